# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rooms do not know each other, and nothing below plugins/ does what only one place may do."""

from __future__ import annotations

import ast
from pathlib import Path

OPEN_TO_ALL = {"_core", "_store"}
UTILS = ("plugins", "module_utils")


def imported(path: Path, tree: ast.Module) -> list[tuple[int, str]]:
    """Line and dotted path of every import; relative ones are resolved, so our own code starts with ``plugins``."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = path.parent.parts[: len(path.parent.parts) - node.level + 1]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found += [(node.lineno, ".".join([*base, name])) for name in names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.lineno, node.module or ""))
        elif isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
    return found


def outside_type_checking(tree: ast.Module) -> ast.Module:
    """The tree without ``if t.TYPE_CHECKING:`` blocks, which run nowhere."""
    body = [node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))]
    return ast.Module(body=body, type_ignores=[])


def room_complaints(path: Path, tree: ast.Module) -> list[str]:
    room = path.parts[2]
    complaints = []
    for line, name in imported(path, tree):
        words = tuple(name.split("."))
        if words[:1] == ("ansible_collections",):
            complaints.append(f"{path}:{line}: {name}: import relatively")
        elif words[:1] == ("plugins",) and (words[:2] != UTILS or words[2] not in OPEN_TO_ALL | {room}):
            complaints.append(f"{path}:{line}: {room} imports {name}")
        elif words[:1] == ("ansible",) and words[:2] != ("ansible", "module_utils"):
            complaints.append(f"{path}:{line}: {name} exists on the controller only")
    return complaints


def test_a_room_imports_only_core_store_and_itself(clone):
    complaints = []
    for path in clone.below("plugins", suffix=".py"):
        if path.parts[:2] == UTILS and len(path.parts) > 3:
            complaints += room_complaints(path, clone.tree(path))
    assert complaints == []


def test_core_and_store_import_no_room(clone):
    """`_core` is below all rooms, and `_store` stands on `_core` alone."""
    allowed = {"_core": {"_core"}, "_store": {"_core", "_store"}}
    complaints = []
    for path in clone.below("plugins", suffix=".py"):
        if path.parts[:2] == UTILS and len(path.parts) > 3 and path.parts[2] in allowed:
            for line, name in imported(path, clone.tree(path)):
                words = name.split(".")
                if words[:2] == list(UTILS) and len(words) > 2 and words[2] not in allowed[path.parts[2]]:
                    complaints.append(f"{path}:{line}: {name}")
    assert complaints == []


def test_there_is_one_class_finding(clone):
    """Modules, filters, pages and reports hand on one shape: `_core.finding`."""
    made = [(str(path), node.name) for path in clone.below("plugins", suffix=".py") for node in ast.walk(clone.tree(path))
            if isinstance(node, ast.ClassDef) and node.name == "Finding"]  # fmt: skip
    assert made == [("plugins/module_utils/_core/finding.py", "Finding")]
    by_hand = [f"{path}:{node.lineno}" for path in clone.below("plugins", suffix=".py") for node in ast.walk(clone.tree(path))
               if isinstance(node, ast.Dict) and {"code", "message", "remedy"} < set(_keys(node)) and {"level", "object", "field"} & set(_keys(node))]
    assert by_hand == []


def _keys(node: ast.Dict) -> list[str]:
    return [key.value for key in node.keys if isinstance(key, ast.Constant)]


def test_every_foreign_room_is_seen():
    """The check itself: what it must refuse, and what it must let pass."""
    path = Path("plugins/module_utils/_pg/run.py")
    refused = ["from .._dns import model", "from .._dns.plan import plan", "from .. import _traffic", "from ...modules import dns_record",
               "import ansible_collections.bowline.fleet.plugins.module_utils._pg.plan", "from ansible.plugins.action import ActionBase"]
    passed = ["from .._core.errors import FleetError", "from . import plan", "from .model import Facts", "from .._store.store import Store",
              "from ansible.module_utils.basic import AnsibleModule", "import json"]
    assert [line for line in refused if not room_complaints(path, ast.parse(line))] == []
    assert [line for line in passed if room_complaints(path, ast.parse(line))] == []


def test_third_party_code_is_imported_lazily(clone):
    """A missing library must name its package when it is needed, not break the import of a module."""
    third = {"psycopg", "dns", "yaml", "requests", "hvac", "docker"}
    complaints = []
    for path in clone.below("plugins", suffix=".py"):
        for node in outside_type_checking(clone.tree(path)).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            complaints += [f"{path}:{node.lineno}: {name}" for name in names if name.split(".")[0] in third]
    assert complaints == []


def test_no_process_print_assert_or_exit_outside_its_place(clone):
    """Outside programs go through a Runner; modules talk through their result. The pure programs that a room ships say so in their head."""
    complaints = []
    for path in clone.below("plugins", suffix=".py"):
        shipped = "# bowline: shipped program" in clone.text(path)[:600]
        runner = path == Path("plugins/plugin_utils/runner.py")
        for node in ast.walk(clone.tree(path)):
            name = ""
            if isinstance(node, ast.Assert):
                name = "assert"
            elif isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "subprocess" for alias in node.names):
                name = "subprocess"
            elif isinstance(node, ast.ImportFrom) and node.module == "subprocess":
                name = "subprocess"
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                name = called if called in {"print", "sys.exit", "exit", "os.system", "os.popen"} else ""
                if any(word.arg == "shell" and isinstance(word.value, ast.Constant) and word.value.value is True for word in node.keywords):
                    name = "shell=True"
            elif isinstance(node, ast.ExceptHandler) and node.type is None:
                name = "bare except"
            allowed = (runner and name == "subprocess") or (shipped and name in {"print", "sys.exit", "subprocess"})
            if name and not allowed:
                complaints.append(f"{path}:{node.lineno}: {name}")
    assert complaints == []


def rooms_of(clone) -> list[str]:
    found = {path.parts[2] for path in clone.below("plugins", suffix=".py") if path.parts[:2] == UTILS and len(path.parts) > 3}
    return sorted(found - OPEN_TO_ALL)


def test_every_room_has_its_doors(clone):
    """model.py with FAILURES, and plan.py without input or output."""
    files = set(clone.files)
    rooms = rooms_of(clone)
    assert [f"{room}/{door}" for room in rooms for door in ("model.py", "plan.py", "run.py") if Path(*UTILS, room, door) not in files] == []
    assert [room for room in rooms if "FAILURES" not in clone.text(Path(*UTILS, room, "model.py"))] == []


def test_advice_is_carried_to_no_host(clone):
    """failures.py is for the page; a module that imported it would take all of its text along to every host."""
    complaints = []
    for path in clone.below("plugins", suffix=".py"):
        if path.name != "failures.py":
            complaints += [f"{path}:{line}" for line, name in imported(path, clone.tree(path)) if name.split(".")[-1] == "failures"]
    assert complaints == []
    assert imported(Path("plugins/module_utils/_x/run.py"), ast.parse("from . import failures"))[0][1].endswith("failures")


def test_plans_are_pure(clone):
    """A plan decides from what it is given: it neither talks nor looks at a clock."""
    talking = {"socket", "subprocess", "psycopg", "urllib", "http", "dns", "os", "pathlib", "shutil", "tempfile", "time"}
    impure = []
    for path in (Path(*UTILS, room, "plan.py") for room in rooms_of(clone)):
        if path in clone.files:
            imports = imported(path, outside_type_checking(clone.tree(path)))
            impure += [f"{path}:{line}: {name}" for line, name in imports if name.split(".")[0] in talking]
    assert impure == []


ENGINES = (*UTILS, "_pg", "engines")


def engine_complaints(path: Path, tree: ast.Module) -> list[str]:
    found = [(line, name, tuple(name.split("."))) for line, name in imported(path, tree)]
    return [f"{path}:{line}: {name}" for line, name, words in found
            if words[:4] == ENGINES and len(words) > 4 and words[4] not in (path.parts[4], "choice")]


def test_one_engine_does_not_import_another(clone):
    """What two engines need stands beside them: in server/, replication/ or window/."""
    paths = [path for path in clone.below("plugins", suffix=".py") if path.parts[:4] == ENGINES and len(path.parts) > 5]
    assert len({path.parts[4] for path in paths}) == 3
    assert [complaint for path in paths for complaint in engine_complaints(path, clone.tree(path))] == []
    assert engine_complaints(Path(*ENGINES, "logical", "seed.py"), ast.parse("from ..dump import copy_window")) != []


def test_a_file_of_pg_is_read_in_one_sitting(clone):
    """400 lines a file, 250 for the order of a run, 50 for a function: what grows is split by decision."""
    paths = [path for path in clone.below("plugins", suffix=".py") if path.parts[:3] == (*UTILS, "_pg")]
    assert Path(*UTILS, "_pg", "run.py") in paths
    long = {str(path): len(clone.text(path).splitlines()) for path in paths}
    assert {name: lines for name, lines in long.items() if lines > (250 if name.endswith("_pg/run.py") else 400)} == {}
    functions = {f"{path}:{node.name}": node.end_lineno - node.lineno + 1 for path in paths for node in ast.walk(clone.tree(path))
                 if isinstance(node, ast.FunctionDef)}
    assert {name: lines for name, lines in functions.items() if lines > 50} == {}
