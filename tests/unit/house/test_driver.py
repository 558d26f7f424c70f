# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The driver behind `make test` and the bootstrap before it: neither may look better than what happened."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import stages

ROOT = Path(__file__).resolve().parents[3]

JUNIT = """<testsuites><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="10" time="1.0"/></testsuites>"""


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """scripts/test.py with its logs elsewhere; loaded by path, because the standard library has a ``test`` as well."""
    spec = importlib.util.spec_from_file_location("bowline_driver", ROOT / "scripts" / "test.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bowline_driver", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "LOGS", tmp_path)
    monkeypatch.setattr(stages, "LOGS", tmp_path)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def stage(driver, *argvs, name="x", budget=30.0, **more):
    return driver.Stage(name, name, lambda _arguments: [stages.Command(list(argv), cwd=driver.LOGS) for argv in argvs], budget, **more)


def test_counts_come_from_the_report(driver, tmp_path):
    report = tmp_path / "x.xml"
    report.write_text(JUNIT, encoding="utf-8")
    assert driver.counts(report) == (4, 3)
    assert driver.counts(tmp_path / "none.xml") == (0, 0)


def test_failed_tests_stand_at_the_end_with_their_reason(driver, tmp_path, capsys):
    case = '<testcase classname="tests.a.test_x" name="test_{}">{}</testcase>'
    wrong = f'<failure message="AssertionError: assert {{39}} == {{0}}&#10;{"x" * 900} ended with 2">trace</failure>'
    cases = [("y", ""), ("z", wrong), ("w", '<error message="">trace</error>')]
    report = "".join(case.format(*each) for each in cases)
    (tmp_path / "x.xml").write_text(f'<testsuites><testsuite errors="1" failures="1" tests="3">{report}</testsuite></testsuites>', encoding="utf-8")
    driver.summary([driver.Outcome(stage(driver, pytest=True), False, 1.0, 1, 2)], 1.0)
    first, *rest = capsys.readouterr().out.splitlines()[-4:]
    assert first.startswith("  tests.a.test_x::test_z: AssertionError: assert {39} == {0} xxx") and first.endswith("xxx ended with 2") and len(first) < 960
    assert rest == ["  tests.a.test_x::test_w: error", "", "===== 1 passed, 2 failed in 1 s ====="]
    assert driver.broken(tmp_path / "none.xml") == []


@pytest.mark.parametrize(("arguments", "run"), [
    pytest.param([], ["tests/a", "tests/b"], id="all of them"),
    pytest.param(["-k", "phase"], ["tests/a", "tests/b"], id="a word is no file"),
    pytest.param(["tests/a/test_x.py::test_y", "-x"], ["tests/a/test_x.py::test_y"], id="only the one that is named"),
])
def test_files_that_are_named_are_run_alone(driver, arguments, run):
    (command,) = stages.pytest("x", "tests/a", "tests/b")(arguments)
    assert [word for word in command.argv if word.startswith("tests/")] == run


@pytest.mark.parametrize(("argvs", "ok", "note"), [
    pytest.param([["true"]], True, "", id="success"),
    pytest.param([["false"], ["true"]], False, "false: exit code 1", id="a later success hides nothing"),
    pytest.param([["no-such-program-here"], ["true"]], False, "no-such-program-here: not installed", id="a missing tool fails"),
])
def test_a_stage_is_ok_only_when_every_command_was(driver, argvs, ok, note):
    outcome = driver.run_stage(stage(driver, *argvs), [], stream=False)
    assert (outcome.ok, outcome.note) == (ok, note)


def test_a_stage_that_cannot_be_prepared_fails(driver):
    def prepare(_arguments):
        raise OSError("disk full")

    outcome = driver.run_stage(driver.Stage("x", "x", prepare, 30.0), [], stream=False)
    assert (outcome.ok, outcome.note) == (False, "not started: disk full")


def test_a_stage_says_how_busy_it_was_with_what_its_programs_waited_for(driver, capsys):
    turns = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    outcome = driver.run_stage(stage(driver, ["sh", "-c", f"'{sys.executable}' -c '{turns}'; true"], ["true"]), [], stream=False)
    assert outcome.ok and 0.3 <= outcome.busy < 3
    driver.summary([driver.Outcome(outcome.stage, True, 2.0, busy=3.0)], 2.0)
    head, line = capsys.readouterr().out.splitlines()[1:3]
    assert (head.split(), line.split()) == (["stage", "result", "time", "cores", "tests"], ["x", "ok", "2.0", "s", "1.5"])


def alive(stat: Path) -> bool:
    try:
        return stat.read_text(encoding="utf-8").split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_hanging_stage_is_ended_with_its_children(driver, tmp_path):
    script = f"sleep 300 & echo $! > {tmp_path}/child; wait"
    outcome = driver.run_stage(stage(driver, ["sh", "-c", script], budget=1.0), [], stream=False)
    assert (outcome.ok, outcome.note) == (False, "sh: ended after 1 s")
    stat = Path("/proc") / (tmp_path / "child").read_text(encoding="utf-8").strip() / "stat"
    # The signal goes to all at once; the child may be a moment later than the one that is waited for.
    deadline = time.monotonic() + 5
    while alive(stat):
        assert time.monotonic() < deadline, "the child of an ended stage runs on"
        time.sleep(0.01)


def test_no_tests_collected_is_no_failure_and_a_crash_is_one(driver):
    assert driver.run_stage(stage(driver, ["sh", "-c", "exit 5"], pytest=True), [], stream=False).ok
    assert not driver.run_stage(stage(driver, ["sh", "-c", "exit 3"], pytest=True), [], stream=False).ok
    assert not driver.run_stage(stage(driver, ["sh", "-c", "exit 5"]), [], stream=False).ok


def test_the_closing_line_is_never_better_than_the_run(driver, capsys):
    lint, unit = stage(driver), stage(driver, pytest=True)
    green = driver.Outcome(unit, True, 1.0, passed=7)
    red = driver.Outcome(unit, False, 1.0, passed=2, failed=3)
    driver.summary([driver.Outcome(lint, False, 1.0), green, red], 3.0)
    assert capsys.readouterr().out.splitlines()[-1] == "===== 9 passed, 4 failed in 3 s ====="


def test_what_needs_a_failed_stage_is_not_run_and_counts_as_failed(driver, tmp_path, monkeypatch):
    (tmp_path / "tests" / "cutover").mkdir(parents=True)
    (tmp_path / "tests" / "lab").mkdir()
    (tmp_path / "tests" / "lab" / "lab.py").touch()
    stages = [
        stage(driver, ["false"], name="lab"),
        stage(driver, ["touch", "ran"], name="suite", needs=("lab",)),
        stage(driver, ["true"], name="lint"),
    ]
    monkeypatch.setattr(driver, "STAGES", {item.name: item for item in stages})
    outcomes = {outcome.stage.name: outcome for outcome in driver.run_all([])}
    assert {name: outcome.ok for name, outcome in outcomes.items()} == {"lab": False, "suite": False, "lint": True}
    assert outcomes["suite"].note == "not run: lab failed"
    assert not (tmp_path / "ran").exists()


def test_stages_that_allow_it_run_beside_each_other_and_one_that_measures_time_alone(driver, tmp_path, monkeypatch):
    """The first two end only when both of them run."""
    meet = "touch here-{0}; until [ -e here-{1} ]; do :; done; [ ! -e alone ]"
    stages = [
        stage(driver, ["sh", "-c", meet.format("a", "b")], name="a", cores=0.5),
        stage(driver, ["sh", "-c", "touch alone; test -e ended"], name="suite", alone=True),
        stage(driver, ["sh", "-c", f"{meet.format('b', 'a')} && touch ended"], name="b", cores=0.5),
    ]
    (tmp_path / "tests" / "cutover").mkdir(parents=True)
    monkeypatch.setattr(driver, "STAGES", {item.name: item for item in stages})
    outcomes = driver.run_all([])
    assert [(outcome.stage.name, outcome.note) for outcome in sorted(outcomes, key=lambda outcome: outcome.stage.name)] == [("a", ""), ("b", ""), ("suite", "")]
    assert outcomes[-1].stage.name == "suite"


def test_a_fault_of_the_driver_is_the_outcome_of_its_stage(driver, monkeypatch):
    def broken(_arguments):
        raise ValueError("a fault")

    monkeypatch.setattr(driver, "STAGES", {"x": driver.Stage("x", "x", broken, 30.0)})
    assert [(outcome.ok, outcome.note) for outcome in driver.run_all([])] == [(False, "the driver failed: ValueError('a fault')")]


def test_shims_are_not_on_the_path_of_the_tools(driver, monkeypatch):
    monkeypatch.setenv("PATH", "/opt/pyenv/shims:/usr/bin")
    folders = stages.environment()["PATH"].split(os.pathsep)
    assert (folders[0], "/opt/pyenv/shims" in folders, "/usr/bin" in folders) == (str(stages.BIN), False, True)


@pytest.fixture
def small_clone(tmp_path):
    """A clone with an empty lock, so that pip has nothing to fetch."""
    for name in ("bootstrap", "project.py"):
        (tmp_path / "scripts").mkdir(exist_ok=True)
        shutil.copy2(ROOT / "scripts" / name, tmp_path / "scripts" / name)
    for name in ("requirements.lock", "requirements-dev.lock"):
        (tmp_path / name).write_text("# empty\n", encoding="utf-8")
    return tmp_path


def bootstrap(root: Path, *, path: str, **more: str) -> subprocess.CompletedProcess:
    env = {"HOME": str(root), "PATH": path, **more}
    return subprocess.run([root / "scripts" / "bootstrap", "runtime"], env=env, capture_output=True, text=True, timeout=120, check=False)


def test_bootstrap_never_asks_a_shim_and_does_nothing_twice(small_clone):
    shims = small_clone / "shims"
    shims.mkdir()
    for version in ("3.11", "3.12", "3.13", "3.14"):
        shim = shims / f"python{version}"
        shim.write_text(f"#!/bin/sh\ntouch {small_clone}/asked\nexit 127\n", encoding="utf-8")
        shim.chmod(0o755)
    real = Path(sys.executable).resolve().parent
    path = f"{shims}:{real}:/usr/local/bin:/usr/bin:/bin"

    first = bootstrap(small_clone, path=path)
    assert (first.returncode, (small_clone / "asked").exists()) == (0, False), first.stderr
    assert (small_clone / ".venv" / "bin" / "python").exists()
    assert (small_clone / "build" / "collections" / "ansible_collections" / "bowline" / "fleet").is_dir()

    again = bootstrap(small_clone, path=path)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")

    (small_clone / "requirements.lock").write_text("# another\n", encoding="utf-8")
    assert "installing" in bootstrap(small_clone, path=path).stdout


def test_bootstrap_says_what_to_do_when_pip_fails(small_clone):
    (small_clone / "requirements.lock").write_text("no-hash-here==1.0\n", encoding="utf-8")
    real = Path(sys.executable).resolve().parent
    outcome = bootstrap(small_clone, path=f"{real}:/usr/local/bin:/usr/bin:/bin")
    assert outcome.returncode == 1
    assert "next: see" in outcome.stderr
    assert not (small_clone / ".venv" / ".bowline-runtime").exists()


def test_bootstrap_builds_no_source(small_clone):
    """A source is built by running code of its own. Its hash is in the lock, so only the wish for wheels keeps it out."""
    folder, ran = small_clone / "index", small_clone / "ran"
    folder.mkdir()
    parts = {
        "evil-1.0/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "evil"\nbackend-path = ["."]\n[project]\nname = "evil"\nversion = "1.0"\n',
        "evil-1.0/PKG-INFO": "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n",
        "evil-1.0/evil.py": f"open({str(ran)!r}, 'w').close()\n",
    }
    with tarfile.open(folder / "evil-1.0.tar.gz", "w:gz") as archive:
        for name, text in parts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    digest = hashlib.sha256((folder / "evil-1.0.tar.gz").read_bytes()).hexdigest()
    (small_clone / "requirements.lock").write_text(f"evil==1.0 --hash=sha256:{digest}\n", encoding="utf-8")
    real = Path(sys.executable).resolve().parent
    outcome = bootstrap(small_clone, path=f"{real}:/usr/local/bin:/usr/bin:/bin", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(folder))
    assert (outcome.returncode, ran.exists()) == (1, False), outcome.stderr
    assert "evil==1.0" in outcome.stderr
