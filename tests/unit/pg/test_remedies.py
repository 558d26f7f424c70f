# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No failure and no finding of the room leaves a reader without a next step, and a test has taken each of these steps.

``remedies.yml`` names, for each place and text, the test that saw the failure, did what the remedy says and saw it gone; or why only a hand
can do it. A new text, and one that was changed, needs its line.
"""

from __future__ import annotations

import ast
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROOM = ROOT / "plugins" / "module_utils" / "_pg"
BOOK = Path(__file__).with_name("remedies.yml")
# Which argument of a call is its remedy; of the others only the keyword is looked at.
POSITION = {"FleetError": 2, "Finding": 4, "_unsafe": 1, "_fail": 2, "_directory": 1}
# Tables of rules: the name of an assignment -> which strings in it are remedies.
TABLES: dict[str, t.Callable[[ast.expr], list[ast.expr]]] = {
    "_RULES": lambda value: [row.elts[-1] for row in value.elts],
    "_AS_OWNER": lambda value: [row.elts[-1] for row in value.elts],
    "_HOPELESS": lambda value: [row.elts[1] for row in value.values],
    "_REMEDIES": lambda value: value.values,
}
# Functions and constants that make or hold a remedy for somebody else.
MAKERS = ("_remedy", "_text", "unfit_text", "_generate", "reset", "_raised", "_refreshed", "anew", "resume")
HOLDERS = ("_ICU", "_WRITTEN", "_SET", "_NEWER", "_INSTALL", "_CORRECT", "_QUALIFY", "_ALONE", "_REMEDY")


def speechless(source: str) -> list[int]:
    """Lines of failures without a remedy, or with an empty one."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "FleetError":
            given = next((word.value for word in node.keywords if word.arg == "remedy"), node.args[2] if len(node.args) > 2 else None)
            if given is None or (isinstance(given, ast.Constant) and not given.value):
                found.append(node.lineno)
    return found


def text_of(node: ast.expr) -> list[str]:
    """The texts that an expression may be, with … for what is put in; none for a name or a call, whose text stands elsewhere."""
    if isinstance(node, ast.IfExp):
        return text_of(node.body) + text_of(node.orelse)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value] if node.value else []
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
        text = " ".join("".join(map(str, parts)).split())
        return [text] if text.strip("… .") else []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = (text_of(side) or ["…"] for side in (node.left, node.right))
        return [one + other for one in left for other in right if (one + other).strip("… ")]
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in text_of(value)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("strip", "format"):
        return text_of(node.func.value)
    return []


def sites(source: str) -> t.Iterator[tuple[str, str]]:
    """Function (or table) and text of every remedy in ``source``."""
    tree = ast.parse(source)
    for node in tree.body:
        name = node.targets[0].id if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) else ""
        if name in TABLES:
            yield from ((name, text) for value in TABLES[name](node.value) for text in text_of(value))
        elif name in HOLDERS:
            yield from ((name, text) for text in text_of(node.value))
    yield from _inside(tree, "")


def _inside(node: ast.AST, function: str) -> t.Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        here = child.name if isinstance(child, (ast.FunctionDef, ast.ClassDef)) else function
        if isinstance(child, ast.Call):
            name = child.func.id if isinstance(child.func, ast.Name) else child.func.attr if isinstance(child.func, ast.Attribute) else ""
            given = [word.value for word in child.keywords if word.arg == "remedy"]
            position = POSITION.get(name)
            if position is not None and len(child.args) > position and not given:
                given = [child.args[position]]
            yield from ((here, text) for value in given for text in text_of(value))
        elif isinstance(child, ast.Return) and function in MAKERS and child.value is not None:
            parts = child.value.elts if isinstance(child.value, ast.Tuple) else [child.value]
            yield from ((function, text) for text in text_of(parts[-1]))
        elif isinstance(child, ast.Assign) and isinstance(child.targets[0], ast.Name) and child.targets[0].id == "remedy":
            yield from ((function, text) for text in text_of(child.value))
        yield from _inside(child, here)


def remedies() -> dict[str, list[str]]:
    """Every remedy of the room by file and function."""
    found: dict[str, list[str]] = {}
    for path in sorted(ROOM.rglob("*.py")):
        for function, text in sites(path.read_text("utf-8")):
            texts = found.setdefault(f"{path.relative_to(ROOM)}:{function}", [])
            texts += [] if text in texts else [text]
    return found


def names_in(file: str) -> set[str]:
    """Names of the tests in a file below tests/; empty when there is no such file."""
    path = ROOT / "tests" / file
    if not path.exists():
        return set()
    return {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def wrong(line: t.Any) -> str:
    """What is wrong with a line of the book; empty when it names a test that exists, or a reason why only a hand can do it."""
    if isinstance(line, dict):
        return "" if list(line) == ["by_hand"] and len(str(line["by_hand"]).split()) >= 5 else f"{line} is no reason"
    file, _colons, name = str(line).partition("::")
    return "" if name in names_in(file) else f"{line} does not exist"


def test_every_failure_has_a_remedy():
    assert {str(path.relative_to(ROOM)): lines for path in sorted(ROOM.rglob("*.py")) if (lines := speechless(path.read_text("utf-8")))} == {}


@pytest.mark.parametrize("source", ["FleetError('x', 'y')", "FleetError('x', 'y', remedy='')", "FleetError('x', 'y', '')"])
def test_one_without_is_seen(source):
    assert speechless(source) == [1]


def test_a_test_has_followed_every_remedy():
    book = yaml.safe_load(BOOK.read_text("utf-8"))
    there, kept = ({(site, text) for site, texts in found.items() for text in texts} for found in (remedies(), book))
    assert sorted(there - kept) == [], "remedies that no test has followed"
    assert sorted(kept - there) == [], "lines about a remedy that is not there any more"
    assert [f"{site}: {text}: {said}" for site, texts in book.items() for text, line in texts.items() if (said := wrong(line))] == []


@pytest.mark.parametrize(("source", "found"), [
    ("def f():\n    raise FleetError('c', 'm', remedy=f'Do {x} now.')", [("f", "Do … now.")]),
    ("def f():\n    Finding('c', 'fail', 'o', 'm', 'A.' if x else 'B.')", [("f", "A."), ("f", "B.")]),
    ("def f():\n    remedy = 'A.'\n    raise FleetError('c', 'm', remedy=remedy)", [("f", "A.")]),
    ("_RULES = (('a', 'fail', 'c', 'm', 'A.'),)", [("_RULES", "A.")]),
    ("def f():\n    wait_for(x, remedy='A.' + y)", [("f", "A.…")]),
])
def test_a_remedy_is_found_wherever_it_stands(source, found):
    assert list(sites(source)) == found


@pytest.mark.parametrize("line", ["unit/pg/test_remedies.py::test_nothing", "unit/pg/nothing.py::test_x", {"by_hand": "no"}, {"why": "a b c d e f"},
                                  {"not_yet": True}])
def test_a_line_that_proves_nothing_is_refused(line):
    assert wrong(line)
