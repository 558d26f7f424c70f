# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every rule that refuses a move has a test on real servers that sees nothing written; which one is said in tests/integration/pg/plants.py."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

from ansible_collections.bowline.fleet.plugins.module_utils._pg.preflight import contents, objects

ROOT = Path(__file__).resolve().parents[3]
ROOM = ROOT / "plugins" / "module_utils" / "_pg"


def plants():
    spec = importlib.util.spec_from_file_location("bowline_pg_plants_read", ROOT / "tests" / "integration" / "pg" / "plants.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def shown(node: ast.expr) -> str:
    """An expression as text, alike in all versions of Python: those before 3.12 choose other quotes around an f-string."""
    return ast.unparse(node).replace('"', "'")


def refusing(stem: str, tree: ast.Module) -> set[str]:
    """Each place that makes a finding which may be of level fail: file, function (or name), and what it is about."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.Assign)) and (isinstance(node, ast.FunctionDef) or node in tree.body):
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and (about := _about(call)):
                    found.add(f"{stem}.{node.name} {about}" if isinstance(node, ast.FunctionDef) else f"{stem} {node.targets[0].id}")
    return found


def _about(call: ast.Call) -> str:
    """What a call that makes a finding of level fail, or may, makes it about; empty for every other call."""
    name = ast.unparse(call.func)
    if name == "Finding" and not (isinstance(call.args[1], ast.Constant) and call.args[1].value != "fail"):
        return shown(call.args[2])
    return (shown(call.args[1]) if len(call.args) > 1 else "error") if name == "Finding.of_error" else ""


def every() -> set[str]:
    found = {kind for kind, level, *_more in objects._RULES if level == "fail"} | {row[0] for row in (*contents._RULES, *contents._AS_OWNER)}
    for path in ROOM.rglob("*.py"):
        found |= refusing(path.stem, ast.parse(path.read_text("utf-8")))
    return found


def test_no_rule_is_without_a_case():
    known = plants()
    named = {plant.rule for plant in (*known.REFUSED, *known.APART)} | set(known.ELSEWHERE)
    assert every() - named == set()
    assert named - every() == set()


def test_each_test_that_is_named_exists():
    missing = []
    for place in sorted(set(plants().ELSEWHERE.values())):
        path, _colons, name = place.partition("::")
        if not (ROOT / path).exists() or f"def {name}" not in (ROOT / path).read_text("utf-8"):
            missing.append(place)
    assert missing == []


def test_a_rule_that_refuses_is_seen():
    source = 'A = Finding("x", "fail", "y", "z")\ndef f(b):\n    Finding("x", "warn", "y", "z")\n    Finding("x", b, g(b), "z")\n'
    source += "    Finding.of_error(e, h(b))\n"
    assert refusing("m", ast.parse(source)) == {"m A", "m.f g(b)", "m.f h(b)"}
