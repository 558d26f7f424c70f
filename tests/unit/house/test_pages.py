# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pages that must agree with the tree: surface, failure codes, coverage."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import docs

ROW = re.compile(r"^\| (00[0-4]-\d\d\w?) \| (.+?) \| (.+?) \|$")
OWNED = re.compile(r"^\| (00[0-4]-\d\d\w?) \| ([^|]+) \|$")
# How many rows the runbook of Docker and Swarm has.
SWARM_ROWS = 81


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_generated_pages_show_the_tree():
    now = {path: path.read_text(encoding="utf-8") if path.exists() else "" for path in docs.pages()}
    stale = [str(path.relative_to(docs.ROOT)) for path, text in docs.pages().items() if now[path] != text]
    assert stale == [], "next: make docs, and commit the pages with their source"


def test_a_role_page_shows_every_option_and_keeps_what_was_written_by_hand():
    inner = {"x": {"description": "x", "required": True}}
    options = {"r_a": {"description": "See O(r_b).", "type": "list", "elements": "dict", "options": inner}}
    assert docs.option_rows(options) == [("`r_a`", "list of dict", "", "See `r_b`."), ("`r_a.x`", "str", "required", "x")]
    old = f"# By hand\n{docs.BEGIN}\nold\n{docs.END}\nalso by hand\n"
    assert docs.between_marks(old, "new\n") == f"# By hand\n{docs.BEGIN}\n\nnew\n\n{docs.END}\nalso by hand\n"


def test_every_role_has_a_page(clone):
    roles = {path.parts[1] for path in clone.below("roles") if path.name == "argument_specs.yml"}
    assert [role for role in sorted(roles) if Path("roles", role, "README.md") not in clone.files] == [], "next: make docs"


def test_links_between_pages_lead_somewhere(clone):
    dead = []
    for path in clone.files:
        if path.suffix == ".md" and path.parts[0] != "LICENSES":
            for link in re.findall(r"\]\((?!https?://|mailto:|#)([^)#\s]+)", clone.text(path)):
                if not (clone.root / path.parent / link).exists():
                    dead.append(f"{path}: {link}")
    assert dead == []


def not_yet(clone) -> dict[str, set[str]]:
    """Names that are reserved for what is to come, by kind."""
    later = clone.text(Path("docs/surface.md")).split("## Not yet", 1)[1]
    return {kind: set(names(cell)) for kind, cell in re.findall(r"^\| (modules|roles|playbooks) \| (.+) \|$", later, flags=re.M)}


def test_what_is_not_yet_built_does_not_exist(clone):
    planned = not_yet(clone)
    present = {
        "modules": {name for _room, name, _side, _text in docs.modules()},
        "roles": {name for name, _entries, _text in docs.roles()},
        "playbooks": {name for name, _text in docs.playbooks()},
    }
    assert set(planned) == set(present)
    assert {kind: sorted(planned[kind] & present[kind]) for kind in planned if planned[kind] & present[kind]} == {}


def test_everything_says_what_it_does(clone):
    silent = [f"module {name}" for _room, name, _side, text in docs.modules() if not text]
    silent += [f"role {name}" for name, _entries, text in docs.roles() if not text]
    silent += [f"playbook {name}" for name, text in docs.playbooks() if not text]
    silent += [f"{kind} {name}" for kind, name, text in docs.other_plugins() if not text]
    assert silent == []


def test_every_role_has_its_specs(clone):
    roles = {path.parts[1] for path in clone.below("roles")}
    assert sorted(roles) == [name for name, _entries, _text in docs.roles()]


def test_every_failure_code_has_a_meaning_and_advice():
    """What you see, why, what to do, what is unchanged: FAILURES of the room's model.py and ADVICE of its failures.py."""
    assert docs.failures()[2] == []


def test_a_code_without_advice_is_seen():
    rooms, advice = {"a": {"_x"}, "b": {"_x", "_y"}, "c": {"action"}}, {"_core": {"b": ("why it is", "do this", "unchanged")}, "_x": {}}
    assert docs.advice_complaints(rooms, advice)[:2] == [
        "a (_x): no advice in failures.py of the room", "c (action): no advice in failures.py of the room"]  # fmt: skip
    said = ("why it is so", "do something", "all of it")
    assert docs.advice_complaints({"a": {"_x"}}, {"_x": {"a": said}}) == []
    assert docs.advice_complaints({"a": {"_x"}}, {"_x": {"a": (said[0], "", said[2])}}) == ["a (_x): do says nothing"]
    assert docs.advice_complaints({}, {"_x": {"a": said}}) == ["a: _x/failures.py advises on it, and nothing there raises it"]


def test_each_code_has_its_place_on_the_page(clone):
    page = clone.text(Path("docs/failures.md"))
    rooms = docs.failures()[0]
    assert re.findall(r"^## `(\w+)`$", page, flags=re.M) == sorted(rooms)
    parts = page.split("\n## ")[1:]
    assert [part.split("\n", 1)[0] for part in parts if not all(f"- **{name}:** " in part for name in ("Why", "Do", "Unchanged"))] == []


def test_failure_codes_are_found_wherever_they_stand():
    source = """
raise FleetError("a", "x")
raise errors.FleetError(code="b", message="x")
wait_for(r, s, d, what="w", code="c")
raise FleetError("d" if x else "e", "")
"""
    assert docs.raised_in(ast.parse(source)) == {"a", "b", "c", "d", "e"}


def coverage_rows(text: str) -> list[tuple[str, str, str]]:
    return [match.groups() for match in map(ROW.match, text.splitlines()) if match]


def node_exists(root: Path, node: str) -> bool:
    """Whether ``tests/…/test_x.py::test_name`` (or ``::TestClass::test_name``) is defined; the part in brackets is not looked at."""
    path, _separator, rest = node.partition("::")
    if not rest or not (root / path).is_file():
        return False
    body = ast.parse((root / path).read_text(encoding="utf-8")).body
    for name in rest.split("[")[0].split("::"):
        found = [item for item in body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and item.name == name]
        if not found:
            return False
        body = found[0].body
    return True


def place_exists(root: Path, place: str) -> bool:
    """Whether ``place`` is a module, ``roles/x``, ``playbooks/x.yml`` or another file of the project."""
    return (root / "plugins" / "modules" / f"{place}.py").is_file() or (root / place).exists()


def test_every_covered_row_names_a_place_and_a_test_that_exist(clone):
    rows = coverage_rows(clone.text(Path("docs/coverage.md")))
    ids = [row for row, _place, _test in rows]
    complaints = [f"{row}: listed twice" for row in sorted(set(ids)) if ids.count(row) > 1]
    complaints += [f"{row}: no place or no test" for row, place, test in rows if not names(place) or not names(test)]
    for row, place, test in rows:
        complaints += [f"{row}: {name} does not exist" for name in names(place) if not place_exists(clone.root, name)]
        complaints += [f"{row}: {name} does not exist" for name in names(test) if not node_exists(clone.root, name)]
    assert complaints == []


def test_every_test_of_the_table_is_collected(clone):
    """What pytest does not find, as in a file of another name, proves nothing."""
    wanted = {name for _row, _place, test in coverage_rows(clone.text(Path("docs/coverage.md"))) for name in names(test)}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *sorted({name.partition("::")[0] for name in wanted})]
    done = subprocess.run(command, cwd=clone.root, env={**os.environ, "BOWLINE_FAULTS": "all"}, capture_output=True, text=True, check=False)
    found = {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}
    assert sorted({name.partition("[")[0] for name in wanted} - found) == [], done.stdout[-2000:] + done.stderr


def unowned(text: str, planned: set[str], total: int, runbook: str) -> list[str]:
    """What is wrong with the rows of one runbook: each is covered, or has an owner that is planned, or differs for a reason that is said."""
    covered = [row for row, _place, _test in coverage_rows(text) if row.startswith(runbook)]
    owned = {row: owner for row, owner in (match.groups() for match in map(OWNED.match, text.splitlines()) if match) if row.startswith(runbook)}
    said = [f"{row}: in both tables" for row in covered if row in owned]
    astray = {row: owner for row, owner in owned.items() if not owner.startswith("differs: ") and not set(names(owner)) & planned}
    said += [f"{row}: its owner is not planned: {owner}" for row, owner in astray.items()]
    rows = {f"{runbook}-{number:02}" for number in range(1, total + 1)}
    return said + [f"{row}: in no table" for row in sorted(rows - set(covered) - set(owned))] + [f"{row}: no row of it" for row in owned if row not in rows]


def test_every_row_of_swarm_is_covered_or_has_an_owner(clone):
    assert unowned(clone.text(Path("docs/coverage.md")), set().union(*not_yet(clone).values()), SWARM_ROWS, "002") == []


def test_a_row_that_nobody_owns_is_seen():
    text = "| 002-01 | `gate` | `t` |\n| 002-02 | `later` |\n| 002-03 | differs: why |\n"
    assert unowned(text, {"later"}, 3, "002") == []
    assert unowned(text, set(), 4, "002") == ["002-02: its owner is not planned: `later`", "002-04: in no table"]
    assert unowned(text + "| 002-01 | `later` |\n", {"later"}, 2, "002") == ["002-01: in both tables", "002-03: no row of it"]


def test_a_missing_test_is_seen(clone):
    assert node_exists(clone.root, "tests/unit/house/test_pages.py::test_a_missing_test_is_seen")
    assert not node_exists(clone.root, "tests/unit/house/test_pages.py::test_that_nobody_wrote")
    assert not node_exists(clone.root, "tests/unit/house/test_pages.py")
    assert not node_exists(clone.root, "tests/unit/house/nowhere.py::test_a")
    assert not place_exists(clone.root, "module_that_nobody_wrote")
    assert coverage_rows("| 000-01 | `gate` | `t` |\n| id | place | test |") == [("000-01", "`gate`", "`t`")]
