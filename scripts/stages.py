# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of ``make test``: the commands of each, and the facts by which schedule.py lets it begin."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from project import tracked

ROOT = Path(__file__).resolve().parent.parent
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


def pytest(name: str, *folders: str, files: int = 1) -> t.Callable[[list[str]], list[Command]]:
    """``files`` at a time (pytest-xdist, loadfile): more than one for tests that wait more than they work and share nothing."""

    def prepare(arguments: list[str]) -> list[Command]:
        report = LOGS / f"{name}.xml"
        report.unlink(missing_ok=True)
        # Files or folders that are named stand in place of all of them.
        named = any(word.startswith("tests/") for word in arguments)
        beside = ["-n", str(files), "--dist", "loadfile"] if files > 1 and not named else []
        words = [*(() if named else folders), "-q", "--durations=5", *beside, f"--junitxml={report}", *arguments]
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


# In the order in which they are begun. ``cores`` is what a stage keeps busy on 2 cores; the table at the end of `make test` says what it was, without
# the daemons that a stage starts. Stages that hold "workers" run two workers of pytest, with kills and deadlines in them: two such stages at a time
# would be a load of four.
STAGES = {
    stage.name: stage
    for stage in (
        # Both may install packages of Debian.
        Stage("lab", "lab started", lab, 900, holds=("lab", "packages")),
        Stage("swarm-lab", "Swarm lab started", swarm_lab, 300, holds=("swarm-lab", "packages")),
        Stage(
            "swarm",
            "the room _swarm against three real managers",
            pytest("swarm", "tests/integration/swarm", *(f"--ignore={path}" for path in ALONE), files=2),
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
            pytest("integration", "tests/integration", "--ignore=tests/integration/swarm", files=2),
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
