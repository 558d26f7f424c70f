# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The main job in the lab: start the lab and its writers, run a playbook as a user would, and judge the rows from outside.

    tests/lab/run.py cutover [--check] [ARGUMENTS FOR ansible-playbook]
    tests/lab/run.py rollback
    tests/lab/run.py cancel

The ledger's verdict comes from the file of acknowledged writes and the database that serves now, never from what the playbook says.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab"
BIN = Path(sys.executable).parent
# Acknowledged writes that must follow the switch before the judge may speak, and how long they may take.
WRITES_AFTER = 40
WRITES_DEADLINE = 30.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["cutover", "rollback", "cancel"])
    parser.add_argument("--check", action="store_true", help="read the plan: --check --diff, nothing is written")
    options, more = parser.parse_known_args()
    subprocess.run([sys.executable, str(LAB / "lab.py"), "up"], check=True, cwd=ROOT)

    directory = ROOT / "build" / options.kind
    directory.mkdir(parents=True, exist_ok=True)
    argv = ["ansible-playbook", "-i", "inventories/lab", f"playbooks/{options.kind}.yml", *(["--check", "--diff"] if options.check else []), *more]
    if options.check:
        return _play(argv, directory / "check.json")

    _lab("writers.py", "start")
    _more_writes(5)
    code = _play(argv, None)
    _more_writes(WRITES_AFTER)
    _lab("writers.py", "stop")
    verdict = json.loads(_lab("judge.py"))
    return _conclude(directory / "result.json", verdict, code)


def _play(argv: list[str], result_file: Path | None) -> int:
    """Run the playbook, after printing the very command, and return its exit code."""
    print(f"\n$ {shlex.join(argv)}\n", flush=True)
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PATH": f"{BIN}:{os.environ['PATH']}"}
    if result_file is not None:
        result_file.unlink(missing_ok=True)
        environment["BOWLINE_RESULT_FILE"] = str(result_file)
    return subprocess.run([str(BIN / argv[0]), *argv[1:]], cwd=ROOT, env=environment, check=False).returncode


def _lab(script: str, *words: str) -> str:
    return subprocess.run([sys.executable, str(LAB / script), *words], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def _more_writes(count: int) -> None:
    """Wait until the writers have had ``count`` more acknowledged writes."""
    wanted = json.loads(_lab("writers.py", "status"))["acknowledged"] + count
    deadline = time.monotonic() + WRITES_DEADLINE
    while json.loads(_lab("writers.py", "status"))["acknowledged"] < wanted:
        if time.monotonic() > deadline:
            print(f"The writers had fewer than {count} acknowledged writes in {WRITES_DEADLINE:g} s; the judge says what that means.")
            return
        time.sleep(0.2)


def _conclude(path: Path, verdict: dict, code: int) -> int:
    """Put the verdict into the result, say both in a few lines, and return the exit code of the whole."""
    result = json.loads(path.read_text()) if path.exists() else {"outcome": "failed"}
    result["ledger"] = verdict
    path.write_text(json.dumps(result, indent=2) + "\n")
    probe = result.get("probe") or {}
    good = code == 0 and not any(verdict[name] for name in ("lost", "unacknowledged_present", "duplicates"))
    rows = [
        ("outcome", f"{result.get('outcome')}; serving: {result.get('serving')}"),
        ("write pause", f"{result['window_ms']:.0f} ms" if result.get("window_ms") is not None else "no switch in this run"),
        ("probe", f"{probe.get('requests')} requests, {probe.get('failed')} failed, longest {probe.get('max_ms')} ms"),
        ("ledger", ", ".join(f"{name} {verdict[name]}" for name in ("acknowledged", "lost", "unacknowledged_present", "duplicates"))),
        ("report", str(result.get("report"))),
    ]
    print()
    for name, text in rows:
        print(f"  {name:<12}{text}")
    print(f"  {'next':<12}{_next(path.parent.name, good, result.get("serving"))}")
    return code if code else int(not good)


def _next(kind: str, good: bool, serving: str | None) -> str:
    if not good:
        return f"read the report and {kind}/result.json, mend the cause, and run the same command again"
    if kind == "cancel":
        return "make cutover begins anew; make lab-purge removes the lab"
    if kind == "cutover" and serving == "legacy":
        return "make cutover goes on from here"
    return "make rollback takes it back; make lab-purge removes the lab" if kind == "cutover" else "make cutover moves it again; no table is copied"


if __name__ == "__main__":
    sys.exit(main())
