# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Swarm lab: three managers with TLS endpoints, a registry and a small application, all on this machine.

``up`` is idempotent; ``down`` stops everything and keeps data and images; ``reset`` makes a new Swarm from the images that are there;
``purge`` leaves nothing. BOWLINE_SWARM_LAB=<letter> names another instance, which stands beside the first. Run as root.
docs/lab.md has the rest.
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import typing as t
from pathlib import Path

from rig import packages, settings
from rig.progress import Parts, locked, say, steps
from rig.shell import LabError, write
from rig.swarm import cluster, describe, engine, images, instance, network, registry

PROGRAMS = {
    name: packages.PROGRAMS[name] for name in ("docker", "dockerd", "mmdebstrap", "ip", "iptables", "openssl")
} | {"docker-registry": "docker-registry"}


def parts(lab: instance.Instance) -> Parts:
    """Everything that runs once it is up, in the order of its start."""
    return (
        ("Packages", lambda: packages.ensure(PROGRAMS, compose=False)),
        ("Keys and certificates", lambda: describe.keys(lab)),
        ("Bridge and namespaces", lambda: network.ensure(lab)),
        ("Registry", lambda: registry.ensure(lab)),
        ("Engines", lambda: engine.ensure(lab)),
        ("Images", lambda: images.ensure(lab)),
        ("Swarm", lambda: cluster.ensure(lab)),
        (str(lab.json.relative_to(settings.TREE)), lambda: describe.ensure(lab)),
    )


def owned(lab: instance.Instance) -> None:
    """Refuse to touch the lab of another clone, as long as that clone exists."""
    tree = lab.owner.read_text(encoding="utf-8").strip() if lab.owner.exists() else str(settings.TREE)
    if tree != str(settings.TREE) and Path(tree, "build", lab.home.name, "tls").is_dir():
        raise LabError(f"The Swarm lab {lab.name} on this machine belongs to the clone {tree}. Run its tests/lab/swarm.py purge first.")


def up(lab: instance.Instance) -> None:
    with locked(lab.lock):
        owned(lab)
        write(lab.owner, f"{settings.TREE}\n")
        steps(parts(lab))
    say(f"The Swarm lab is up: {', '.join(member.docker_host for member in lab.members)}; {lab.json.relative_to(settings.TREE)} says the rest.")


def status(lab: instance.Instance) -> dict[str, t.Any]:
    engines = {member.name: engine.daemon(member).pid() is not None and engine.answers(member) for member in lab.members}
    answering = [member for member in lab.members if engines[member.name]]
    nodes = next((seen for seen in map(cluster.nodes, answering) if seen), [])
    return {
        "up": all(engines.values()) and registry.answers(lab) and cluster.healthy(lab),
        "engines": engines,
        "registry": registry.answers(lab),
        "nodes": [{name: node[name] for name in ("Hostname", "Status", "Availability", "ManagerStatus")} for node in nodes],
        "network": network.left(lab),
    }


def show(state: dict[str, t.Any]) -> None:
    print(f"swarm lab    {'up' if state['up'] else 'not up'}")
    for name, answers in state["engines"].items():
        print(f"engine {name:<6}{'answers' if answers else 'no answer'}")
    print(f"registry     {'answers' if state['registry'] else 'no answer'}")
    for node in state["nodes"]:
        print(f"node {node['Hostname']:<8}{node['Status']}, {node['Availability']}, {node['ManagerStatus'] or 'worker'}")


def halt(lab: instance.Instance) -> None:
    def engines() -> str:
        engine.each(engine.stop, lab.members)
        return "stopped"

    def others() -> str:
        registry.stop(lab)
        network.remove(lab)
        return "stopped"

    steps((("Engines", engines), ("Registry, bridge and namespaces", others)))


def down(lab: instance.Instance) -> None:
    with locked(lab.lock):
        owned(lab)
        halt(lab)
        lab.owner.unlink(missing_ok=True)
    say("The Swarm lab is down; data and images are kept. swarm.py up brings it back.")


def reset(lab: instance.Instance) -> None:
    def forget() -> str:
        cluster.forget(lab)
        return "left"

    with locked(lab.lock):
        owned(lab)
        before = [part for part in parts(lab) if part[0] not in ("Swarm", parts(lab)[-1][0])]
        steps((*before, ("The old Swarm", forget), *parts(lab)[-2:]))


def purge(lab: instance.Instance) -> None:
    with locked(lab.lock):
        owned(lab)
        halt(lab)
        for member in lab.members:
            engine.remove(member)
        for folder in (lab.home, lab.run):
            shutil.rmtree(folder, ignore_errors=True)
        # The cache is every instance's; it goes with the lab of the tests.
        if not lab.letter and not os.environ.get("LAB_CACHE"):
            for tar in settings.CACHE.glob("swarm-*.tar"):
                tar.unlink()
        lab.json.unlink(missing_ok=True)
        lab.owner.unlink(missing_ok=True)
        remains = network.left(lab) + [str(path) for path in (lab.home, lab.run, lab.json) if path.exists()]
    if remains:
        raise LabError("These are left: " + ", ".join(remains))
    say("Nothing is left: looked for processes, namespaces, folders. Debian packages stay installed.")


def kill(lab: instance.Instance, name: str) -> None:
    member = _member(lab, name)
    engine.kill(member)
    say(f"Killed {member.name} with everything that ran on it.")


def start(lab: instance.Instance, name: str) -> None:
    member = _member(lab, name)
    with locked(lab.lock):
        engine.start(lab, member)
        engine.ready(member)
    say(f"{member.name} runs.")


def _member(lab: instance.Instance, name: str) -> instance.Member:
    found = [member for member in lab.members if member.name == name]
    if not found:
        raise LabError(f"There is no {name!r} here: {', '.join(member.name for member in lab.members)}.")
    return found[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("up", help="start whatever does not run")
    commands.add_parser("status", help="what runs").add_argument("--json", action="store_true")
    commands.add_parser("down", help="stop everything; keep data and images")
    commands.add_parser("reset", help="a new Swarm; keep images")
    commands.add_parser("purge", help="leave nothing")
    for word, what in (("kill", "one manager, as when its machine loses its power"), ("start", "an engine that was killed")):
        commands.add_parser(word, help=what).add_argument("name", help="name of the manager")
    arguments = parser.parse_args()
    try:
        if os.geteuid() != 0:
            raise LabError("The lab makes network namespaces and engines: run it as root.")
        lab = instance.chosen()
        if arguments.command == "status":
            state = status(lab)
            print(json.dumps(state, indent=2)) if arguments.json else show(state)
            return 0 if state["up"] else 3
        if arguments.command in ("kill", "start"):
            {"kill": kill, "start": start}[arguments.command](lab, arguments.name)
        else:
            {"up": up, "down": down, "reset": reset, "purge": purge}[arguments.command](lab)
    except LabError as problem:
        say(f"\n{problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
