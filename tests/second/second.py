# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another program with another layout, moved to its new home and back with an inventory only.

``up`` starts the notes service (Kinto) and its future home on the lab's bridge; ``cutover`` and ``rollback`` run the collection's playbooks
with the inventory beside this file, under writers, and judge the rows from outside; ``cycle`` is up, there, back and there again. ``down`` stops
everything and keeps data; ``purge`` leaves nothing; ``images`` only makes what an up takes longest for, so that it can be done beside other work.
Needs the lab (tests/lab/lab.py up). Run as root with .venv/bin/python.
"""
from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

_TREE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).resolve().parent), str(_TREE / "tests" / "lab"), str(_TREE / "scripts")]

import judge  # noqa: E402
import notes  # noqa: E402
import stack  # noqa: E402
import writers  # noqa: E402
from project import collection_tree  # noqa: E402
from rig.shell import LabError, wait, write  # noqa: E402

Parts = tuple[tuple[str, t.Callable[[], str]], ...]
IMAGES: Parts = (
    ("The lab", stack.lab_is_up),
    ("Packages", stack.packages),
    ("Images", stack.images),
)
PARTS: Parts = (
    *IMAGES,
    ("Passwords, keys, certificates", stack.credentials),
    ("Compose stack: folder", stack.folder),
    ("Compose stack: volume", stack.volume),
    ("Compose stack: services", stack.services),
    ("Docker host: its door", stack.host),
    ("Name", stack.name),
    ("New home", stack.target),
    ("build/second.json", notes.describe),
    ("The service, by its public name", stack.application),
)
BIN = Path(sys.executable).parent
# Kinto takes 10 ms of a core for a write, so this is a quarter of one.
LOAD = {"LAB_WRITERS": "8", "LAB_WRITERS_RATE": "3"}


@contextlib.contextmanager
def locked() -> t.Iterator[None]:
    """One second.py changes things at a time; the lock goes with the process, however it ends."""
    with Path("/run/bowline-second.lock").open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def up(parts: Parts = PARTS) -> None:
    begin = time.monotonic()
    for number, (title, work) in enumerate(parts, 1):
        say(f"[{number:2}/{len(parts)}] {time.monotonic() - begin:6.1f} s  {title} … {work()}")


def down() -> None:
    notes.NOTES.daemon.stop(40)
    # The probe of a run that was killed ends when its folder is gone.
    shutil.rmtree(notes.OPERATOR / "probe", ignore_errors=True)
    stack.stop()
    say("The notes service is down; its data is kept.")


def purge() -> None:
    notes.NOTES.daemon.stop(40)
    stack.remove()
    remains = stack.left()
    if remains:
        raise LabError("These are left: " + ", ".join(remains))
    say("Nothing of the notes service is left.")


def run(kind: str, name: str = "", fresh: bool = False) -> dict[str, t.Any]:
    """Run a playbook under load; its result with the judge's verdict as ``ledger`` and what the writers saw as ``writers``, kept under ``name``."""
    folder = notes.HOME / (name or kind)
    file = notes.OPERATOR / kind / "result.json"
    file.unlink(missing_ok=True)
    os.environ.update({name: os.environ.get(name, value) for name, value in LOAD.items()})
    writers.start(fresh=fresh, app=notes.NOTES)
    try:
        _more_writes(20)
        code = _play(kind)
        _more_writes(40)
    finally:
        seen = writers.stop(notes.NOTES)
    result = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"outcome": "failed"}
    result.update(code=code, ledger=judge.judge(app=notes.NOTES), writers=seen, edge_users=stack.edge_users(), strangers=stack.strangers())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "judged.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(name or kind, result)
    return result


def _play(kind: str, *words: str) -> int:
    """As somebody without rights on the controller, from a folder without an ansible.cfg: with Ansible's own defaults and callback."""
    argv = ["ansible-playbook", "-i", str(notes.HERE / "inventory"), f"bowline.fleet.{kind}", *words]
    say(f"\n$ {shlex.join(argv)}\n")
    return subprocess.run([*_caller(), str(BIN / argv[0]), *argv[1:]], cwd=notes.OPERATOR, env=_environment(), check=False).returncode


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "SUDO_"))}
    return {**kept, "HOME": str(notes.OPERATOR), "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_COLLECTIONS_PATH": str(collection_tree())}


def _caller() -> list[str]:
    """What runs a program as the caller. He is in the passwd of a mount namespace of his own, so the machine gets no user from this."""
    users = notes.HOME / "passwd"
    entry = f"caller:x:{notes.CALLER}:{notes.CALLER}::{notes.OPERATOR}:/bin/sh\n"
    write(users, Path("/etc/passwd").read_text(encoding="utf-8") + entry)
    # A Python below /root is beyond him; reading it is all that is lent.
    drop = ["setpriv", f"--reuid={notes.CALLER}", f"--regid={notes.CALLER}", "--clear-groups", "--inh-caps=+dac_read_search",
            "--ambient-caps=+dac_read_search", "--"]
    return ["unshare", "--mount", "sh", "-c", f'mount --bind {shlex.quote(str(users))} /etc/passwd && exec "$@"', "sh", *drop]


def _more_writes(count: int) -> None:
    wanted = writers.status(notes.NOTES)["acknowledged"] + count
    wait(f"{count} more acknowledged writes", lambda: writers.status(notes.NOTES)["acknowledged"] >= wanted, 30, 0.2)


def clean(result: dict[str, t.Any]) -> bool:
    failed = (result["writers"]["failed"], (result.get("probe") or {}).get("failed"))
    return result["code"] == 0 and result["ledger"]["clean"] and failed == (0, 0)


def show(kind: str, result: dict[str, t.Any]) -> None:
    probe, verdict, seen = result.get("probe") or {}, result["ledger"], result["writers"]
    print(f"\n  {kind:<12}{result.get('outcome')}, exit code {result['code']}, {result.get('seconds')} s, serving: {result.get('serving')}")
    print(f"  {'write pause':<12}{result.get('window_ms')} ms")
    print(f"  {'probe':<12}" + ", ".join(f"{name} {probe.get(name)}" for name in ("requests", "failed", "max_ms", "longest_write_gap_ms")))
    print(f"  {'writers':<12}" + ", ".join(f"{name} {seen[name]}" for name in ("acknowledged", "failed", "reconnects")))
    counts = ("acknowledged", "lost", "unacknowledged_present", "duplicates")
    print(f"  {'ledger':<12}" + ", ".join(f"{name} {verdict[name]}" for name in counts))
    print(f"  {'databases':<12}" + ", ".join(f"{side} {state}" for side, state in verdict["databases"].items()), flush=True)


def discover() -> None:
    """What the collection sees of the stack, by its name alone; `judged.json` has the page and whether the containers are what they were."""
    folder, page = notes.HOME / "discover", notes.OPERATOR / "discovery.md"
    page.unlink(missing_ok=True)
    before = stack.states()
    code = _play("discover", "-e", "discover_name=notes", "-e", f"discover_page={page}")
    folder.mkdir(parents=True, exist_ok=True)
    judged = {"code": code, "page": page.read_text(encoding="utf-8") if page.exists() else "", "before": before, "after": stack.states()}
    (folder / "judged.json").write_text(json.dumps(judged, indent=2) + "\n", encoding="utf-8")


def cycle() -> list[dict[str, t.Any]]:
    up()
    discover()
    return [run("cutover", fresh=True), run("rollback"), run("cutover", "again")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["up", "images", "status", "down", "purge", "cutover", "rollback", "cycle", "write"],
                        metavar="command", help="up, images, status, down, purge, cutover, rollback or cycle")
    command = parser.parse_args().command
    try:
        if command == "write":
            # The process of the writers, started by `run`.
            writers.work(notes.NOTES)
        elif command == "status":
            serving = judge.serving(notes.description(), notes.NOTES)
            print(json.dumps({"containers": stack.states(), "new home": notes.TARGET.state(), "serving": serving}))
        else:
            with locked():
                if command in ("cutover", "rollback"):
                    up()
                    return int(not clean(run(command)))
                if command == "cycle":
                    return int(not all(clean(result) for result in cycle()))
                {"up": up, "images": lambda: up(IMAGES), "down": down, "purge": purge}[command]()
    except (LabError, LookupError) as problem:
        say(f"\n{problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
