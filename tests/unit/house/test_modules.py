# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module or a role promises is kept: results have samples, groups share options, and every option is read somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import yaml

TYPES = {"str": str, "int": int, "float": (int, float), "bool": bool, "list": list, "dict": dict}


def literal(tree: ast.Module, name: str):
    found = [node.value for node in tree.body if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]]
    return ast.literal_eval(found[0]) if found else None


def returned(clone) -> dict[Path, dict]:
    return {path: yaml.safe_load(literal(clone.tree(path), "RETURN")) for path in clone.below("plugins", suffix=".py")
            if path.parts[1] == "modules" and path.stem != "__init__"}


def sample_complaints(name: str, result: dict) -> list[str]:
    """A sample is of the type that is documented, and has no key that is not."""
    complaints = []
    for key, entry in result.items():
        if "sample" not in entry:
            complaints.append(f"{name}: {key} has no sample")
            continue
        sample = entry["sample"]
        if sample is not None and not isinstance(sample, TYPES[entry["type"]]):
            complaints.append(f"{name}: the sample of {key} is {type(sample).__name__}, not {entry['type']}")
        known = entry.get("contains")
        for one in sample if isinstance(sample, list) else [sample]:
            if known and isinstance(one, dict):
                complaints += [f"{name}: the sample of {key} has {word}, which is not documented" for word in sorted(set(one) - set(known))]
    return complaints


def test_every_result_has_a_sample(clone):
    results = returned(clone)
    assert len(results) > 10
    assert [line for path, result in results.items() for line in sample_complaints(path.stem, result)] == []
    assert len(sample_complaints("x", {"a": {"type": "int"}, "b": {"type": "int", "sample": "1"},
                                       "c": {"type": "dict", "sample": {"d": 1}, "contains": {"e": {}}}})) == 3  # fmt: skip


def options_of(clone, path: Path) -> set[str]:
    """Top-level options in the documentation of a module, those of our own fragments among them."""
    page = yaml.safe_load(literal(clone.tree(path), "DOCUMENTATION"))
    names = set(page.get("options") or {})
    for fragment in page.get("extends_documentation_fragment") or []:
        file, _dot, part = fragment.removeprefix("bowline.fleet.").partition(".")
        tree = clone.tree(Path("plugins/doc_fragments", f"{file}.py"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == (part.upper() or "DOCUMENTATION"):
                names |= set(yaml.safe_load(ast.literal_eval(node.value)).get("options") or {})
    return names


def test_modules_of_a_group_share_an_option(clone):
    groups = yaml.safe_load(clone.text(Path("meta/runtime.yml")))["action_groups"]
    modules = {path.stem: path for path in returned(clone)}
    assert [name for members in groups.values() for name in members if name not in modules] == []
    shared = {group: set.intersection(*(options_of(clone, modules[name]) for name in members)) for group, members in groups.items()}
    assert {group for group, options in shared.items() if not options} == set()
    assert {"provider", "zone"} <= shared["dns"] and {"legacy", "new"} <= shared["pg_cutover"]


def test_nothing_is_newer_than_the_collection(clone):
    version = tuple(map(int, yaml.safe_load(clone.text(Path("galaxy.yml")))["version"].split(".")))
    later = [f"{path}: {found}" for path in clone.below("plugins") for found in re.findall(r"version_added: (\d+\.\d+\.\d+)", clone.text(path))
             if tuple(map(int, found.split("."))) > version]
    assert later == []


# --- options ----------------------------------------------------------------------------------------------------------------------


def names_read(tree: ast.Module) -> set[str]:
    """Words that a program could read an option by: constants of subscripts, calls and comparisons, attributes and keyword names.

    The keys of a dictionary are not among them: an argument spec names an option and reads nothing.
    """
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Dict):
            found |= {word.value for value in node.values for word in ast.walk(value) if isinstance(word, ast.Constant) and isinstance(word.value, str)}
        elif isinstance(node, (ast.Subscript, ast.Call, ast.Compare, ast.List, ast.Tuple, ast.For, ast.comprehension)):
            parts = node.args if isinstance(node, ast.Call) else [node.slice] if isinstance(node, ast.Subscript) else list(ast.iter_child_nodes(node))
            found |= {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            # A field of a dataclass that is made of the options.
            found.add(node.target.id)
    return found


def spec_options(spec: dict) -> set[str]:
    return {name for name, option in spec.items()} | {
        inner for option in spec.values() for inner in spec_options(option.get("options") or option.get("suboptions") or {})
    }


def test_every_option_of_a_module_is_read(clone):
    trees = [clone.tree(path) for path in clone.below("plugins", suffix=".py") if path.parts[1] != "doc_fragments"]
    read = set().union(*(names_read(tree) for tree in trees))
    asked = {path.stem: options_of(clone, path) | spec_options(yaml.safe_load(literal(clone.tree(path), "DOCUMENTATION")).get("options") or {})
             for path in returned(clone)}  # fmt: skip
    assert {f"{name}.{option}" for name, options in asked.items() for option in options if option not in read} == set()


def test_an_option_that_nobody_reads_is_seen():
    tree = ast.parse('SPEC = {"a": {"type": "str"}, "b": {"type": "str"}, "c": {}}\nwork(params["a"], params.get("b"))')
    assert {"a", "b"} <= names_read(tree)
    assert "c" not in names_read(tree)


def unread(specs: dict[str, dict], texts: dict[Path, str]) -> set[str]:
    """Variables of roles that no task, template or playbook names. ``specs`` are the entry points of each role."""
    everything = "\n".join(text for path, text in texts.items() if path.parts[-2:] != ("meta", "argument_specs.yml") and path.name != "README.md")
    # A default that is made of another variable reads that one; its own name stands before the colon.
    everything = re.sub(r"(?m)^[a-z]\w*:", "", everything)
    words = set(re.findall(r"\w+", everything))
    return {f"{role}: {name}" for role, entries in specs.items() for entry in entries.values() for name in entry.get("options") or {} if name not in words}


def test_every_variable_of_a_role_is_read(clone):
    texts = {path: clone.text(path) for path in clone.below("roles", "playbooks") if path.suffix in (".yml", ".j2", ".md")}
    # The preflight asks what the variables of all roles name, so it reads them in Python.
    texts |= {path: "\n".join(names_read(clone.tree(path))) for path in clone.below("plugins", suffix=".py") if path.parts[1] in ("plugin_utils", "action")}
    specs = {path.parts[1]: yaml.safe_load(text)["argument_specs"] for path, text in texts.items() if path.name == "argument_specs.yml"}
    assert len(specs) > 10
    assert unread(specs, texts) == set()


def test_a_variable_that_nobody_reads_is_seen():
    specs = {"r": {"main": {"options": {"r_read": {}, "r_set": {}}}}}
    texts = {Path("roles/r/tasks/main.yml"): "x: '{{ r_read }}'", Path("roles/r/defaults/main.yml"): "r_set: 1\nr_read: 2\n"}
    assert unread(specs, texts) == {"r: r_set"}
