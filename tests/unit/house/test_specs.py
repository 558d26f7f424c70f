# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A role's specs and its defaults say the same: a spec's ``default`` documents, only defaults/main.yml sets the variable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml


def complaints(role: str, specs: dict, defaults: dict, entries: set[str], elsewhere: frozenset[str] = frozenset()) -> list[str]:
    """What does not fit: ``specs`` by entry point, ``defaults`` by variable, ``entries`` the task files that there are.

    ``elsewhere`` names variables that several roles share and that get their default where they are used (``x | default(…)``).
    """
    found = [f"{role}: entry point {entry} has no tasks/{entry}.yml" for entry in sorted(set(specs) - entries)]
    found += [f"{role}: {entry} says nothing about itself" for entry in sorted(specs) if not specs[entry].get("short_description")]
    documented: dict[str, dict] = {}
    for entry in sorted(specs):
        for name, option in (specs[entry].get("options") or {}).items():
            documented.setdefault(name, option)
            if not option.get("description"):
                found.append(f"{role}: {entry}.{name} has no description")
            if option.get("required") and name in defaults:
                found.append(f"{role}: {entry}.{name} is required and has a default")
            shared = not name.startswith(f"{role}_") and name in elsewhere
            if "default" in option and not shared and (name not in defaults or defaults[name] != option["default"]):
                found.append(f"{role}: {entry}.{name} is documented as {option['default']!r}, set to {defaults.get(name, 'nothing')!r}")
            computed = isinstance(defaults.get(name), str) and "{{" in defaults[name]
            if name in defaults and defaults[name] is not None and "default" not in option and not option.get("required") and not computed:
                found.append(f"{role}: {entry}.{name} is set to {defaults[name]!r}, which the spec does not say")
    found += [f"{role}: {name} is set and not documented" for name in sorted(set(defaults) - set(documented)) if not name.startswith("__")]
    return found


def load(path: Path) -> dict:
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}


def test_specs_and_defaults_say_the_same(clone):
    found = []
    used = [clone.text(path) for path in clone.below("roles", "playbooks") if path.suffix in (".yml", ".j2")]
    elsewhere = frozenset(name for text in used for name in re.findall(r"\b([a-z]\w+)\s*\|\s*default\(", text))
    for role in sorted((clone.root / "roles").iterdir()):
        if (role / "meta" / "argument_specs.yml").is_file():
            specs = load(role / "meta" / "argument_specs.yml").get("argument_specs") or {}
            entries = {path.stem for path in (role / "tasks").glob("*.yml")}
            found += complaints(role.name, specs, load(role / "defaults" / "main.yml"), entries, elsewhere)
    assert found == []


@pytest.mark.parametrize(("options", "defaults", "said"), [
    pytest.param({"r_a": {"description": "x", "default": 1}}, {"r_a": 1}, "", id="equal"),
    pytest.param({"r_a": {"description": "x", "default": 1}}, {"r_a": 2}, "documented as 1", id="other value"),
    pytest.param({"r_a": {"description": "x", "default": 1}}, {}, "set to 'nothing'", id="spec alone sets nothing"),
    pytest.param({"r_a": {"description": "x"}}, {"r_a": 1}, "does not say", id="not in the spec"),
    pytest.param({"r_a": {"description": "x"}}, {"r_a": "{{ r_b }}"}, "", id="computed"),
    pytest.param({"r_a": {"description": "x", "required": True}}, {"r_a": 1}, "required and has a default", id="required"),
    pytest.param({}, {"r_a": 1}, "not documented", id="undocumented"),
    pytest.param({}, {"__r_a": 1}, "", id="internal"),
    pytest.param({"r_a": {}}, {}, "no description", id="silent"),
])
def test_the_comparison_sees_what_it_is_for(options, defaults, said):
    found = complaints("r", {"main": {"short_description": "x", "options": options}}, defaults, {"main"})
    assert (said in found[0]) if said else found == []


def test_a_shared_variable_may_get_its_default_where_it_is_used():
    specs = {"main": {"short_description": "x", "options": {"cutover_a": {"description": "x", "default": 1}}}}
    assert complaints("r", specs, {}, {"main"}, frozenset({"cutover_a"})) == []
    assert "set to 'nothing'" in complaints("r", specs, {}, {"main"})[0]
    own = {"main": {"short_description": "x", "options": {"r_a": {"description": "x", "default": 1}}}}
    assert "set to 'nothing'" in complaints("r", own, {}, {"main"}, frozenset({"r_a"}))[0]
