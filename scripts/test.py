# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the tests: ``scripts/test.py [STAGE] [-- arguments for pytest]``; without a stage all of them, which is what CI does.

Every stage is run even when one before it failed. Stages that wait more than they work run beside each other, as their facts in `STAGES`
allow (schedule.py); the ones that measure time have the machine to themselves. Logs stand in build/test/. The last line is the sum of all
pytest runs; a stage that fails without a failed test (lint, sanity, build, a crash of pytest itself) counts as one failure there, so the
line never looks better than the run.
"""

from __future__ import annotations

import argparse
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from project import collection_tree  # noqa: E402
from schedule import following  # noqa: E402
from stages import LOGS, STAGES, Stage, environment  # noqa: E402

CORES = max(2.0, float(os.cpu_count() or 1))
LIVE: set[subprocess.Popen[bytes]] = set()
INTERRUPTED = threading.Event()


@dataclass
class Outcome:
    """``passed`` and ``failed`` count tests; ``note`` is what the table says beside them; ``busy`` is in seconds of one core, see `waited`."""

    stage: Stage
    ok: bool
    seconds: float
    passed: int = 0
    failed: int = 0
    note: str = ""
    busy: float = 0.0


# --- running them -----------------------------------------------------------------------------------------------------------------


def end(process: subprocess.Popen[bytes]) -> None:
    """End the process group that we started: politely, then for good."""
    for number, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def waited(process: subprocess.Popen[bytes], seconds: float) -> float:
    """Wait for the end of a process: seconds of one core that it and what it waited for have used. Daemons that went their own way are not in it.

    Nobody has taken the ended process away yet when its times are read, which is when they have those of its children: proc_pid_stat(5).
    """
    deadline = time.monotonic() + seconds
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            raise subprocess.TimeoutExpired(process.args, seconds)
        time.sleep(0.02)
    # The name of the program, which may hold anything, ends with the last parenthesis.
    times = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[11:15]
    process.wait()
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def counts(report: Path) -> tuple[int, int]:
    """Passed and failed tests of a junit file; zeros when pytest did not get to write it."""
    if not report.exists():
        return 0, 0
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    passed = failed = 0
    for suite in suites:
        wrong = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        failed += wrong
        passed += int(suite.get("tests", 0)) - wrong - int(suite.get("skipped", 0))
    return passed, failed


def broken(report: Path) -> list[str]:
    """The failed tests of a junit file in their order, each with what was wrong in one line: its beginning, and its end when it is long."""
    if not report.exists():
        return []
    found = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        for kind in ("failure", "error"):
            wrong = case.find(kind)
            if wrong is not None:
                why = " ".join((wrong.get("message") or kind).split())
                found.append(f"{case.get('classname')}::{case.get('name')}: {why if len(why) <= 900 else f'{why[:300]} … {why[-600:]}'}")
    return found


def run_stage(stage: Stage, arguments: list[str], stream: bool) -> Outcome:
    """Run one stage; its output goes to the terminal when ``stream``, and to its log otherwise."""
    started = time.monotonic()
    deadline = started + stage.budget
    path = LOGS / f"{stage.name}.log"
    notes: list[str] = []
    busy = 0.0
    with path.open("wb") as log:
        try:
            commands = stage.prepare(arguments)
        except (OSError, subprocess.CalledProcessError) as error:
            return Outcome(stage, False, time.monotonic() - started, note=f"not started: {error}")
        for command in commands:
            if INTERRUPTED.is_set():
                notes.append("interrupted")
                break
            words = " ".join([Path(command.argv[0]).name, *(word for word in command.argv[1:2] if not word.startswith("-"))])
            log.write(f"$ {' '.join(command.argv)}\n".encode())
            log.flush()
            try:
                process = subprocess.Popen(
                    command.argv,
                    cwd=command.cwd,
                    env={**environment(), **command.env},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL if command.quiet else None if stream else log,
                    stderr=None if stream else log,
                    start_new_session=True,
                )
            except FileNotFoundError:
                notes.append(f"{words}: not installed")
                continue
            LIVE.add(process)
            try:
                busy += waited(process, max(1.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                end(process)
                notes.append(f"{words}: ended after {stage.budget:.0f} s")
                break
            finally:
                if process.returncode is not None:
                    LIVE.discard(process)
            # 5: pytest collected nothing, which is no failure of a room that has no such tests yet.
            if process.returncode != 0 and not (stage.pytest and process.returncode == 5):
                notes.append(f"{words}: exit code {process.returncode}")
    passed, failed = counts(LOGS / f"{stage.name}.xml") if stage.pytest else (0, 0)
    return Outcome(stage, not notes, time.monotonic() - started, passed, failed, "; ".join(notes), busy)


def show(outcome: Outcome, done: int, total: int) -> None:
    tests = f"{outcome.passed} passed, {outcome.failed} failed" if outcome.stage.pytest else ""
    verdict = "ok" if outcome.ok else "FAILED"
    parts = [part for part in (tests, outcome.note) if part]
    line = f"[{done:2}/{total}] {outcome.stage.name:<12} {verdict:<6} {outcome.seconds:6.1f} s  {'; '.join(parts)}"
    sys.stdout.write(line.rstrip() + "\n")
    if not outcome.ok:
        log = LOGS / f"{outcome.stage.name}.log"
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-60:] if log.exists() else []
        sys.stdout.write("".join(f"        | {text}\n" for text in tail))
        sys.stdout.write(f"        whole log: {log.relative_to(ROOT)}\n")
    sys.stdout.flush()


def kept(stage: Stage, arguments: list[str]) -> Outcome:
    """Run one stage beside others: whatever goes wrong here is its outcome, since nobody waits for the thread itself."""
    try:
        return run_stage(stage, arguments, stream=False)
    except Exception as error:
        return Outcome(stage, False, 0.0, note=f"the driver failed: {error!r}")


def run_all(arguments: list[str]) -> list[Outcome]:
    """All stages that exist in this clone; each begins as soon as its facts and those of the running ones allow it."""
    with_lab = (ROOT / "tests" / "lab" / "lab.py").is_file()
    absent = dict.fromkeys(("lab", "swarm-lab", "swarm", "swarm-nodes"), not with_lab)
    absent.update({name: not (ROOT / folder).is_dir() for name, folder in (("asks", "tests/cutover"), ("suite", "tests/cutover"), ("second", "tests/second"))})
    waiting = [stage for name, stage in STAGES.items() if not absent.get(name)]
    total = len(waiting)
    running: list[Stage] = []
    outcomes: list[Outcome] = []
    ended: queue.SimpleQueue[Outcome] = queue.SimpleQueue()

    def begin(stage: Stage) -> None:
        missing = [outcome.stage.name for outcome in outcomes if outcome.stage.name in stage.needs and not outcome.ok]
        if missing:
            ended.put(Outcome(stage, False, 0.0, note=f"not run: {missing[0]} failed"))
        else:
            threading.Thread(target=lambda: ended.put(kept(stage, arguments)), daemon=True).start()

    while waiting or running:
        while (stage := following(waiting, running, CORES)) is not None:
            waiting.remove(stage)
            running.append(stage)
            begin(stage)
        outcome = ended.get()
        running.remove(outcome.stage)
        outcomes.append(outcome)
        show(outcome, len(outcomes), total)
    return outcomes


def summary(outcomes: list[Outcome], seconds: float) -> None:
    sys.stdout.write(f"\n{'stage':<14}{'result':<9}{'time':>9}{'cores':>7}   tests\n")
    for outcome in outcomes:
        tests = f"{outcome.passed} passed, {outcome.failed} failed" if outcome.stage.pytest else ""
        verdict = "ok" if outcome.ok else "FAILED"
        cores = outcome.busy / max(outcome.seconds, 0.1)
        sys.stdout.write(f"{outcome.stage.name:<14}{verdict:<9}{outcome.seconds:>7.1f} s{cores:>7.1f}   {tests}".rstrip() + "\n")
    # At the very end, where a reader of a cut log finds them.
    for line in [line for outcome in outcomes if outcome.failed for line in broken(LOGS / f"{outcome.stage.name}.xml")]:
        sys.stdout.write(f"  {line}\n")
    passed = sum(outcome.passed for outcome in outcomes)
    failed = sum(max(outcome.failed, 0 if outcome.ok else 1) for outcome in outcomes)
    sys.stdout.write(f"\n===== {passed} passed, {failed} failed in {seconds:.0f} s =====\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the tests; without a stage all of them.")
    parser.add_argument("stage", nargs="?", choices=sorted(STAGES), metavar="STAGE", help=", ".join(STAGES))
    words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    chosen = parser.parse_args(words[:split]).stage
    arguments = words[split + 1:]
    LOGS.mkdir(parents=True, exist_ok=True)
    collection_tree(ROOT)
    started = time.monotonic()
    if chosen in (None, "lint", "integration", "swarm", "swarm-nodes", "asks", "second", "fault", "suite"):
        if subprocess.run([str(ROOT / "scripts" / "packages")], check=False).returncode != 0:
            return 1
    if chosen:
        outcome = run_stage(STAGES[chosen], arguments, stream=True)
        verdict = f"{'ok' if outcome.ok else 'FAILED'} in {outcome.seconds:.0f} s"
        sys.stdout.write(f"\n{chosen}: {'; '.join(part for part in (verdict, outcome.note) if part)}\n")
        return 0 if outcome.ok else 1
    sys.stdout.write(f"Testing {ROOT.name} with Python {sys.version.split()[0]}; logs stand in build/test/\n")
    sys.stdout.flush()
    outcomes = run_all(arguments)
    summary(outcomes, time.monotonic() - started)
    return 0 if all(outcome.ok for outcome in outcomes) else 1


def interrupted(_number: int, _frame: object) -> t.NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupted)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        INTERRUPTED.set()
        for leftover in list(LIVE):
            end(leftover)
        sys.stdout.write("\ninterrupted; what was started has been ended\n")
        sys.exit(130)
