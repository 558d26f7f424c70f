# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The jobs of a Swarm in the lab: run the playbooks as a user would, and compare from outside what the cluster has.

    tests/lab/stack.py deploy [ARGUMENTS FOR ansible-playbook]
    tests/lab/stack.py rollback

``deploy`` brings version 1 of the shop up, sends out a version whose second wave ends at once, and says whether every spec is what it was
before, byte by byte. ``rollback`` brings version 2 up and takes it back. The specs come from the engine, never from what a playbook says.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

from rig.shell import LabError
from rig.swarm import engine, instance

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
STACK = "shop"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["deploy", "rollback"])
    parser.add_argument("--check", action="store_true", help="read the plan: --check --diff, nothing is written")
    options, more = parser.parse_known_args()
    subprocess.run([sys.executable, str(ROOT / "tests" / "lab" / "swarm.py"), "up"], check=True, cwd=ROOT)
    try:
        return {"deploy": deploy, "rollback": rollback}[options.kind]([*(["--check", "--diff"] if options.check else []), *more])
    except LabError as problem:
        print(problem, file=sys.stderr)
        return 1


def deploy(more: list[str]) -> int:
    code = play("stack", *more)
    if code or "--check" in more:
        return code
    before = specs()
    print("\n--- A bad version goes out: back is healthy, front ends as soon as it starts. It has to fail.", flush=True)
    failed = play("stack", *more, "-e", json.dumps({"swarm_stack_env": {**environment(), "BACK": "2", "FRONT": "crash"}}))
    after = specs()
    rows = [
        ("playbook", "failed, as it has to" if failed else "ended well, although the version is bad"),
        *((name, "byte-equal to before" if after.get(name) == spec else "DIFFERS from before") for name, spec in before.items()),
        *((name, "is new and still there") for name in sorted(after.keys() - before.keys())),
        ("report", "build/stack/report.html"),
        ("next", "make stack-rollback brings version 2 up and takes it back; make lab-swarm-purge removes the lab"),
    ]
    return conclude(rows, bool(failed) and before == after)


def rollback(more: list[str]) -> int:
    if "--check" in more:
        return play("stack_rollback", *more)
    code = play("stack", *more)
    if code:
        return code
    before = images()
    code = play("stack", *more, "-e", "swarm_stack_version=2")
    if code:
        return code
    print("\n--- Version 2 runs. Back to the good one before it.", flush=True)
    code = play("stack_rollback", *more, "-e", "swarm_stack_revision=previous")
    after = images()
    rows = [
        ("playbook", "failed" if code else "ended well"),
        *((name, "image as before" if after.get(name) == image else f"{after.get(name)} in place of {image}") for name, image in before.items()),
        ("report", "build/stack_rollback/report.html"),
        ("next", "make stack deploys again; make lab-swarm-purge removes the lab"),
    ]
    return conclude(rows, not code and before == after)


def play(name: str, *words: str) -> int:
    """Run a playbook, after printing the very command, and return its exit code."""
    argv = ["ansible-playbook", "-i", "inventories/lab_swarm", f"playbooks/{name}.yml", *words]
    print(f"\n$ {shlex.join(argv)}\n", flush=True)
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PATH": f"{BIN}:{os.environ['PATH']}"}
    return subprocess.run([str(BIN / argv[0]), *argv[1:]], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=False).returncode


def environment() -> dict[str, str]:
    """Variables of the compose file for a run whose services differ in their version."""
    return {"REPOSITORY": f"{instance.chosen().registry}/app"}


def specs() -> dict[str, str]:
    """Spec of each service of the shop by its name, as the engine writes it."""
    manager = instance.chosen().members[0]
    found = engine.docker(manager, "service", "ls", "-q", "--filter", f"label=com.docker.stack.namespace={STACK}").split()
    lines = engine.docker(manager, "service", "inspect", "--format", "{{.Spec.Name}} {{json .Spec}}", *found).splitlines() if found else []
    return dict(sorted(line.split(" ", 1) for line in lines))


def images() -> dict[str, str]:
    return {name: json.loads(spec)["TaskTemplate"]["ContainerSpec"]["Image"] for name, spec in specs().items()}


def conclude(rows: list[tuple[str, str]], good: bool) -> int:
    """Say what was seen in a few lines; the exit code of the whole."""
    print()
    for name, text in rows:
        print(f"  {name:<14}{text}")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
