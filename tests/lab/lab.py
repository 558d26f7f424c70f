# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: a live compose stack, a second host, two name servers and writers, all on this machine.

``up`` is idempotent; ``down`` stops everything and keeps data and caches; ``reset`` forgets the data too, so that the next ``up`` is
a fresh lab; ``purge`` leaves nothing. Run as root. docs/lab.md has the rest.
"""
from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import sys
import typing as t
from pathlib import Path

from rig import client, describe, engine, image, nameservers, network, packages, settings, stack, target, tls, versions
from rig.progress import Parts, locked, say, steps
from rig.shell import Daemon, LabError, run, write

PARTS: Parts = (
    ("Versions of PostgreSQL", versions.ensure),
    ("Packages", packages.ensure),
    ("Passwords, keys, certificates", tls.ensure),
    ("Docker Engine", engine.ensure),
    ("Images", image.ensure),
    ("Bridge and namespaces", network.ensure),
    ("Name servers", nameservers.ensure),
    ("Legacy stack: folder", stack.prepare),
    ("Legacy stack: database", stack.database),
    ("Legacy stack: services", stack.services),
    ("Target", target.ensure),
    ("build/lab.json", describe.ensure),
)


def owned() -> None:
    """Refuse to touch the lab of another clone, as long as that clone exists."""
    trees = [settings.OWNER.read_text(encoding="utf-8").strip()] if settings.OWNER.exists() and network.left() else []
    if engine.answers():
        trees += stack.owner()
    for tree in trees:
        if tree != str(settings.TREE) and Path(tree, "build/lab/secrets").is_dir():
            raise LabError(f"The lab on this machine belongs to the clone {tree}. Run its lab.py purge first.")


def up() -> None:
    with locked(settings.LOCK):
        owned()
        versions.majors()
        write(settings.OWNER, f"{settings.TREE}\n")
        steps((*PARTS, ("The application, by its public name", application)))
    say(f"The lab is up: {settings.URL} (resolver {settings.PRIMARY}:53, CA {settings.CA}). Next: make cutover.")


def application() -> str:
    reply: list[client.Reply] = []

    def answers() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            reply[:] = [client.Client(client.load(), timeout=3).request("GET", "/up")]
        return bool(reply) and reply[0].status == 200

    stack.wait_ready(answers)
    return f"200 from {reply[0].side}"


def status() -> dict[str, t.Any]:
    running = engine.answers()
    containers = stack.states() if running else {}
    served: dict[str, t.Any] = {"status": None, "side": None}
    with contextlib.suppress(OSError, http.client.HTTPException):
        reply = client.Client(client.load(), timeout=3).request("GET", "/up")
        served = {"status": reply.status, "side": reply.side}
    parts: dict[str, t.Any] = {
        "engine": running,
        "containers": containers,
        "target": target.state(),
        "dns": {server.name: nameservers.lookup(server) for server in settings.SERVERS},
        "network": network.left(),
        "application": served,
        "writers": bool(Daemon("writers").pid()),
    }
    whole = all(containers.get(service) == "running" for service in stack.SERVICES) and parts["target"] in ("running", "degraded")
    return {"up": bool(whole and all(parts["dns"].values()) and served["status"] == 200), **parts}


def show(state: dict[str, t.Any]) -> None:
    print(f"lab          {'up' if state['up'] else 'not up'}")
    print(f"application  {state['application']['status'] or 'no answer'} from {state['application']['side'] or 'nobody'}")
    print(f"engine       {'answers' if state['engine'] else 'no answer'}")
    for name, what in state["containers"].items():
        print(f"  {name:<24} {what}")
    print(f"target       {state['target']}")
    for name, addresses in state["dns"].items():
        print(f"dns {name}      {', '.join(addresses) or 'no answer'}")
    print(f"writers      {'running' if state['writers'] else 'stopped'}")


def second(command: str) -> str:
    """Another stack on this bridge, with a program of its own, goes before it."""
    if not settings.SECOND.exists():
        return "none"
    run([sys.executable, settings.TREE / "tests" / "second" / "second.py", command])
    return "removed" if command == "purge" else "stopped"


def halt(*more: tuple[str, t.Callable[[], str]]) -> None:
    """Stop every part; each of them may be gone already."""
    def containers() -> str:
        if not engine.answers():
            return "no engine"
        stack.stop()
        return "stopped"

    def quiet(work: t.Callable[[], object]) -> t.Callable[[], str]:
        def inner() -> str:
            work()
            return "stopped"
        return inner

    steps((
        ("Second stack", lambda: second("down")),
        ("Writers", quiet(lambda: Daemon("writers").stop(40))),
        ("Probe", quiet(lambda: shutil.rmtree(settings.PROBE, ignore_errors=True))),
        ("Target", quiet(target.stop)),
        ("Containers", containers),
        ("Name servers", quiet(nameservers.stop)),
        ("Bridge and namespaces", quiet(network.remove)),
        *more,
    ))


def down() -> None:
    with locked(settings.LOCK):
        owned()
        halt(("Docker Engine", engine.stop))
        settings.OWNER.unlink(missing_ok=True)
    say("The lab is down; data and caches are kept. lab.py up brings it back.")


def reset() -> None:
    with locked(settings.LOCK):
        owned()
        halt()
        forget(images=False)
    say("The lab's data is gone, images are kept. lab.py up makes a fresh one.")


def forget(images: bool) -> None:
    if engine.answers():
        stack.remove(others=images)
        if images:
            stack.remove_images()
    target.remove()
    stack.forget()
    versions.forget()
    # The command of the edges is on the old host before the first cutover only if another stack needs it.
    for folder in (settings.NAMESERVERS, settings.LEDGER, settings.COMMANDS):
        shutil.rmtree(folder, ignore_errors=True)


def purge() -> None:
    with locked(settings.LOCK):
        owned()
        # Without an engine nothing could be removed from it: an engine of the lab's own is started for that once more.
        if not engine.answers() and Path("/var/lib/docker").is_dir() and settings.HOME.exists():
            engine.ensure()
        second("purge")
        halt()
        forget(images=True)
        remains = network.left() + (stack.left() if engine.answers() else [])
        say(f"Docker Engine: {engine.stop()}.")
        settings.JSON.unlink(missing_ok=True)
        settings.OWNER.unlink(missing_ok=True)
        shutil.rmtree(settings.HOME, ignore_errors=True)
        # Its parent, unless somebody else has something in it.
        with contextlib.suppress(OSError):
            settings.EDGE.parent.rmdir()
        if not os.environ.get("LAB_CACHE"):
            shutil.rmtree(settings.CACHE, ignore_errors=True)
        remains += [str(path) for path in (settings.HOME, settings.JSON) if path.exists()]
    if remains:
        raise LabError("These are left: " + ", ".join(remains))
    say("Nothing is left: looked for containers, volumes, networks and images by label and name, namespaces, bridge, files."
        + (f" Kept on request: {settings.CACHE}." if os.environ.get("LAB_CACHE") else "")
        + " Debian packages stay installed.")


def kill(what: str, name: str | None) -> None:
    if what == "primary-dns":
        nameservers.kill()
    elif what == "legacy-postgres":
        stack.kill(stack.POSTGRES)
    elif name is None:
        raise LabError(f"kill {what} needs the name of its {'unit' if what in ('unit', 'target-postgres') else 'container'}.")
    elif what in ("target-postgres", "unit"):
        target.kill_unit(name)
    else:
        stack.kill(name)
    say(f"Killed {name or what}.")


def heal() -> None:
    with locked(settings.LOCK):
        steps((
            ("Bridge and namespaces", network.ensure),
            ("Name servers", nameservers.ensure),
            ("Containers", stack.heal),
            ("Target", target.heal_units),
        ))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("up", help="start whatever does not run")
    commands.add_parser("status", help="what runs, and who serves").add_argument("--json", action="store_true")
    commands.add_parser("down", help="stop everything; keep data and caches")
    commands.add_parser("reset", help="stop and forget the data; keep images")
    commands.add_parser("purge", help="leave nothing")
    killer = commands.add_parser("kill", help="SIGKILL one part")
    killer.add_argument("what", choices=["legacy-postgres", "target-postgres", "edge", "primary-dns", "container", "unit"])
    killer.add_argument("name", nargs="?", help="unit on the target, or container; not for legacy-postgres and primary-dns")
    commands.add_parser("heal", help="start again what was killed")
    arguments = parser.parse_args()
    try:
        if os.geteuid() != 0:
            raise LabError("The lab makes network namespaces and containers: run it as root.")
        if arguments.command == "status":
            state = status()
            print(json.dumps(state, indent=2)) if arguments.json else show(state)
            return 0 if state["up"] else 3
        if arguments.command == "kill":
            kill(arguments.what, arguments.name)
        else:
            {"up": up, "down": down, "reset": reset, "purge": purge, "heal": heal}[arguments.command]()
    except LabError as problem:
        say(f"\n{problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
