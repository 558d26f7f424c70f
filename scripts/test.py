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
import shutil
import signal
import subprocess
import sys
import threading
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from project import collection_tree, tracked  # noqa: E402
from schedule import following  # noqa: E402

BUILD = ROOT / "build"
LOGS = BUILD / "test"
BIN = Path(sys.executable).parent
OLDEST = "3.11"
FLEET = Path("ansible_collections") / "bowline" / "fleet"

# pip's bootstrap for ansible-test: it would be downloaded from a host that may be unreachable. ensurepip brings the same, offline; it
# runs in a child process because it replaces the pip that the calling process may have imported.
GET_PIP = """\
import subprocess
import sys

subprocess.check_call([sys.executable, "-m", "ensurepip", "--default-pip"], stdout=subprocess.DEVNULL)
words = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *words]))
"""


@dataclass
class Stage:
    """What a stage runs. ``prepare`` returns the commands; ``budget`` is in seconds and ends a hanging stage. The other facts: schedule.py."""

    name: str
    title: str
    prepare: t.Callable[[list[str]], list[Command]]
    budget: float
    pytest: bool = False
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    cores: float = 1.0
    alone: bool = False


@dataclass
class Command:
    argv: list[str]
    cwd: Path = ROOT
    env: dict[str, str] = field(default_factory=dict)
    quiet: bool = False


@dataclass
class Outcome:
    """``passed`` and ``failed`` count tests; ``note`` is what the table says beside them."""

    stage: Stage
    ok: bool
    seconds: float
    passed: int = 0
    failed: int = 0
    note: str = ""


# --- the tools and their environment ----------------------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """The environment of every command: the tools of .venv first, no pyenv shims (they can exist without a version behind them)."""
    given = os.environ.get("PATH", "").split(os.pathsep)
    folders = [str(BIN), *(entry for entry in given if entry and not entry.rstrip("/").endswith("/shims"))]
    folders += [folder for folder in ("/usr/sbin", "/sbin") if folder not in folders]
    env = {**os.environ, "PATH": os.pathsep.join(folders), "PYTHONDONTWRITEBYTECODE": "1", "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
    for variable in ("VIRTUAL_ENV", "PYTHONPATH", "ANSIBLE_CONFIG", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        env.pop(variable, None)
    return env


def pyenv_pythons() -> list[Path]:
    """Folders of real interpreters that pyenv has: sanity compiles and imports for every Python of a target that it finds."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return sorted(path.parent for minor in range(9, 15) for path in versions.glob(f"3.{minor}.*/bin/python3.{minor}"))


def copy_collection(base: Path, keep: t.Callable[[Path], bool] = lambda path: True) -> Path:
    """A real collection folder below ``base`` with the files as they are now; ansible-test resolves symlinks and then refuses."""
    target = base / FLEET
    wanted = {path for path in tracked() if keep(path)}
    for present in [path for path in target.rglob("*") if path.is_file()] if target.exists() else []:
        relative = present.relative_to(target)
        if relative not in wanted and relative.parts[0] != ".git" and relative.parts[:2] != ("tests", "output"):
            present.unlink()
    for path in wanted:
        source, copy = ROOT / path, target / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists() or copy.stat().st_mtime_ns != source.stat().st_mtime_ns or copy.stat().st_size != source.stat().st_size:
            shutil.copy2(source, copy)
    return target


def place_pip_bootstrap() -> None:
    """Put `GET_PIP` where ansible-test looks for its download; a file that is already there is left alone."""
    versions = subprocess.run(
        [
            sys.executable,
            "-c",
            "import re, pathlib, ansible_test._internal as package;"
            "text = (pathlib.Path(package.__file__).parent / 'python_requirements.py').read_text();"
            "print('\\n'.join(sorted(set(re.findall(r\"pip='([0-9.]+)'\", text)))))",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    cache = Path.home() / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in versions:
        path = cache / f"get_pip_{version.replace('.', '_')}.py"
        if not path.exists():
            path.write_text(GET_PIP, encoding="utf-8")


# --- stages -----------------------------------------------------------------------------------------------------------------------


def lint(_arguments: list[str]) -> list[Command]:
    base = BUILD / "lint"
    fleet = copy_collection(base)
    tree = {"ANSIBLE_COLLECTIONS_PATH": str(base)}
    shebangs = (b"#!/bin/sh", b"#!/bin/bash", b"#!/usr/bin/env bash")
    shell = [str(path) for path in tracked() if (ROOT / path).read_bytes().startswith(shebangs)]
    parts = [part for part in ("module_utils", "plugin_utils") if any((ROOT / "plugins" / part).rglob("*.py"))]
    typed = [word for part in parts for word in ("--package", f"ansible_collections.bowline.fleet.plugins.{part}")]
    commands = [
        Command(["ansible-lint", "--offline", "--profile", "production", "--strict", "--nocolor", "-q"], cwd=fleet, env=tree),
        Command(["yamllint", "--strict", "."], cwd=fleet),
        Command(["mypy", *typed]),
        Command(["mypy", "scripts"]),
        Command(["shellcheck", *shell]),
        Command(["antsibull-changelog", "lint"], cwd=fleet, env=tree),
        Command(["antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs=self", "."], cwd=fleet, env=tree),
    ]
    return commands


def sanity(arguments: list[str]) -> list[Command]:
    base = BUILD / "sanity"
    fleet = copy_collection(base, lambda path: path.parts[0] not in (".ci", "stacks"))
    place_pip_bootstrap()
    # Without a repository of its own, ansible-test asks the one around it, which ignores build/, and finds nothing to do.
    for words in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *words], cwd=fleet, check=True, capture_output=True)
    path = os.pathsep.join([environment()["PATH"], *(str(folder) for folder in pyenv_pythons())])
    return [Command(["ansible-test", "sanity", "--venv", "--color", "no", "--truncate", "0", *arguments], cwd=fleet, env={"PATH": path})]


def pytest(name: str, *folders: str, beside: bool = False) -> t.Callable[[list[str]], list[Command]]:
    """``beside`` runs the tests of two files at a time (pytest-xdist, loadfile): for those that wait more than they work and share nothing."""

    def prepare(arguments: list[str]) -> list[Command]:
        report = LOGS / f"{name}.xml"
        report.unlink(missing_ok=True)
        # Files or folders that are named stand in place of all of them.
        named = any(word.startswith("tests/") for word in arguments)
        two = ["-n", "2", "--dist", "loadfile"] if beside and not named else []
        words = [*(() if named else folders), "-q", "--durations=5", *two, f"--junitxml={report}", *arguments]
        return [Command([sys.executable, "-m", "pytest", *words])]

    return prepare


def oldest(arguments: list[str]) -> list[Command]:
    """Unit tests with the oldest Python and ansible-core that the locks know, in an environment of its own."""
    path = os.pathsep.join([environment()["PATH"], *(str(folder) for folder in pyenv_pythons())])
    if shutil.which(f"python{OLDEST}", path=path) is None:
        return [Command(["echo", f"There is no Python {OLDEST} here; nothing to do."])]
    venv = BUILD / f"venv-{OLDEST}"
    env = {"BOWLINE_VENV": str(venv), "BOWLINE_PYTHONS": OLDEST, "PATH": path}
    report = LOGS / "oldest.xml"
    report.unlink(missing_ok=True)
    call = [str(venv / "bin" / "python"), "-m", "pytest", "tests/unit", "--ignore=tests/unit/house", "-q", f"--junitxml={report}"]
    return [Command(["scripts/bootstrap", "dev"], env=env), Command([*call, *arguments], env={"PATH": f"{venv}/bin{os.pathsep}{path}"})]


def lab(_arguments: list[str]) -> list[Command]:
    """The images of the second stack too: they need nothing but the lab's, and their time is nobody's here."""
    return [Command([sys.executable, "tests/lab/lab.py", "up"]), Command([sys.executable, "tests/second/second.py", "images"])]


def swarm_lab(_arguments: list[str]) -> list[Command]:
    return [Command([sys.executable, "tests/lab/swarm.py", "up"])]


# They take nodes from everybody, or judge the cluster as a whole.
ALONE = tuple(f"tests/integration/swarm/test_{name}.py" for name in ("node", "facts_nodes", "recover", "cluster"))


# They write nothing, and nothing in them is timed.
ASKS = tuple(sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "cutover").glob("test_0_*.py")))


def swarm_nodes(arguments: list[str]) -> list[Command]:
    """The tests start the Swarm lab unless it runs. It is stopped when all of them have run: what comes next measures time."""
    commands = pytest("swarm-nodes", *ALONE)(arguments)
    return commands if arguments else [*commands, Command([sys.executable, "tests/lab/swarm.py", "down"])]


def build(_arguments: list[str]) -> list[Command]:
    """Build from tracked files, install into an empty folder, and load from there, in another working directory, what was built."""
    base = BUILD / "dist"
    shutil.rmtree(base, ignore_errors=True)
    fleet = copy_collection(base / "source")
    home = base / "installed"
    elsewhere = base / "elsewhere"
    elsewhere.mkdir(parents=True)
    env = {"ANSIBLE_COLLECTIONS_PATH": str(home)}
    modules = sorted(f"bowline.fleet.{path.stem}" for path in (ROOT / "plugins" / "modules").glob("*.py") if path.stem != "__init__")
    playbooks = sorted(f"bowline.fleet.{path.stem}" for path in (ROOT / "playbooks").glob("*.yml"))
    install = "ansible-galaxy collection install --offline --no-deps"
    commands = [
        Command(["ansible-galaxy", "collection", "build", "--force", "--output-path", str(base), str(fleet)]),
        Command(["sh", "-c", f"exec {install} -p '{home}' '{base}'/bowline-fleet-*.tar.gz"], cwd=elsewhere, env=env),
    ]
    if modules:
        commands.append(Command(["ansible-doc", "--type", "module", "--json", *modules], cwd=elsewhere, env=env, quiet=True))
    for kind in ("inventory", "lookup"):
        named = sorted(f"bowline.fleet.{path.stem}" for path in (ROOT / "plugins" / kind).glob("*.py"))
        commands.append(Command(["ansible-doc", "--type", kind, "--json", *named], cwd=elsewhere, env=env, quiet=True))
    if playbooks:
        commands.append(Command(["ansible-playbook", "-i", "localhost,", "--syntax-check", *playbooks], cwd=elsewhere, env=env))
    return commands


# In the order in which they are begun. ``cores`` is what a stage keeps busy on 2 cores, daemons that it started included. Stages that hold "workers"
# run two workers of pytest, with kills and deadlines in them: two such stages at a time would be a load of four.
STAGES = {
    stage.name: stage
    for stage in (
        # Both may install packages of Debian.
        Stage("lab", "lab started", lab, 900, holds=("lab", "packages")),
        Stage("swarm-lab", "Swarm lab started", swarm_lab, 300, holds=("swarm-lab", "packages")),
        Stage(
            "swarm",
            "the room _swarm against three real managers",
            pytest("swarm", "tests/integration/swarm", *(f"--ignore={path}" for path in ALONE), beside=True),
            1800,
            pytest=True,
            needs=("swarm-lab",),
            holds=("swarm-lab", "workers"),
            cores=0.8,
        ),
        Stage(
            "swarm-nodes",
            "nodes of the same cluster drained, killed and lost",
            swarm_nodes,
            1200,
            pytest=True,
            needs=("swarm-lab",),
            after=("swarm",),
            holds=("swarm-lab", "workers"),
            cores=0.8,
        ),
        Stage("lint", "lint: ansible-lint, yamllint, mypy, shellcheck, changelog, docs", lint, 1200),
        Stage("sanity", "ansible-test sanity", sanity, 1200),
        Stage("unit", "unit tests", pytest("unit", "tests/unit"), 600, pytest=True),
        Stage("oldest", f"unit tests with Python {OLDEST}", oldest, 600, pytest=True),
        Stage("build", "collection built, installed and loaded elsewhere", build, 300),
        # These compare which containers there are before and after.
        Stage("asks", "inventories with things wrong, asked of the lab", pytest("asks", *ASKS), 900, pytest=True, needs=("lab",), holds=("lab", "containers")),
        # What it shares with the lab (bridge, name servers, images) stays as it is.
        Stage(
            "second",
            "a stack as people run it, there, back and there again",
            pytest("second", "tests/second"),
            1500,
            pytest=True,
            needs=("lab",),
            holds=("containers",),
            cores=0.8,
        ),
        Stage(
            "integration",
            "rooms against real servers, some of them the lab's",
            pytest("integration", "tests/integration", "--ignore=tests/integration/swarm", beside=True),
            2400,
            pytest=True,
            after=("lab",),
            holds=("lab", "workers"),
            cores=1.2,
        ),
        Stage(
            "fault",
            "kills at every step and generated databases between two real PostgreSQL servers, a sample",
            pytest("fault", "tests/fault/test_kills.py", "tests/fault/test_fuzz.py"),
            1500,
            pytest=True,
            alone=True,
        ),
        Stage(
            "suite",
            "cutovers and rollbacks in the lab",
            pytest("suite", "tests/cutover", *(f"--ignore={path}" for path in ASKS)),
            2000,
            pytest=True,
            needs=("lab",),
            # It looks for secrets in what the questions left as well.
            after=("asks",),
            holds=("lab",),
            alone=True,
        ),
    )
}
CORES = max(2.0, float(os.cpu_count() or 1))
LIVE: set[subprocess.Popen[bytes]] = set()
INTERRUPTED = threading.Event()


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
                code = process.wait(max(1.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                end(process)
                notes.append(f"{words}: ended after {stage.budget:.0f} s")
                break
            finally:
                if process.returncode is not None:
                    LIVE.discard(process)
            # 5: pytest collected nothing, which is no failure of a room that has no such tests yet.
            if code != 0 and not (stage.pytest and code == 5):
                notes.append(f"{words}: exit code {code}")
    passed, failed = counts(LOGS / f"{stage.name}.xml") if stage.pytest else (0, 0)
    return Outcome(stage, not notes, time.monotonic() - started, passed, failed, "; ".join(notes))


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
    sys.stdout.write(f"\n{'stage':<14}{'result':<9}{'time':>9}   tests\n")
    for outcome in outcomes:
        tests = f"{outcome.passed} passed, {outcome.failed} failed" if outcome.stage.pytest else ""
        verdict = "ok" if outcome.ok else "FAILED"
        sys.stdout.write(f"{outcome.stage.name:<14}{verdict:<9}{outcome.seconds:>7.1f} s   {tests}".rstrip() + "\n")
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
