# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compose files as trees with lines, for what the CLI does not tell: all variables without a value, all missing files, ``x-bowline``.

Nothing here makes a spec. The CLI reads the same files by itself.
"""

from __future__ import annotations

import os
import stat
import typing as t
from dataclasses import dataclass

from ..._core.errors import FleetError
from ..._core.finding import Finding
from ..model import CONFIG_MAX
from . import variables

# Larger than any compose file; what is read here is held in memory.
FILE_MAX = 16 * 1024 * 1024

PASSED_ON = "it is passed on to the container"

Node = t.Any  # of PyYAML, which is imported when it is needed


@dataclass(frozen=True)
class Document:
    """One compose file: ``path`` as it was given, ``root`` its tree."""

    path: str
    root: Node

    def at(self, words: t.Sequence[str], node: Node) -> str:
        """``compose.yml:12: services.web.image``."""
        return f"{self.path}:{node.start_mark.line + 1}: {'.'.join(words)}"


@dataclass(frozen=True)
class File:
    """A file that a compose file names: ``path`` is absolute, ``field`` says where it is named, ``most`` how many bytes it may have."""

    path: str
    field: str
    most: int


def read(paths: t.Sequence[str]) -> tuple[list[Document], list[Finding], list[Finding]]:
    """The files that can be read, in their order; a finding for each that cannot be opened, and for each that is no YAML.

    Raises FleetError tool_missing.
    """
    documents, closed, unread = [], [], []
    for path in paths:
        problem = unusable(path, FILE_MAX)
        if problem:
            closed.append(Finding("compose_invalid", "fail", field="compose", message=f"{path} {problem}.",
                                  remedy="Correct the path, or bring the file to the host that runs the module."))
            continue
        try:
            documents.append(Document(path, _tree(path)))
        except ValueError as error:
            unread.append(Finding("compose_invalid", "fail", field="compose", message=f"{path}: {error}", remedy="Correct the YAML at the line that is named."))
    return documents, closed, unread


def unusable(path: str, most: int) -> str:
    """Why the file cannot be read to its end; empty when it can. Pipes and devices never end."""
    try:
        status = os.stat(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file"
    if status.st_size > most:
        return f"has {status.st_size} bytes, {most} are the most"
    return "" if os.access(path, os.R_OK) else "cannot be read by this user"


def scalars(document: Document) -> t.Iterator[tuple[tuple[str, ...], Node]]:
    """Every text value with the keys that lead to it. What an anchor names several times comes once."""
    seen: set[int] = set()
    waiting: list[tuple[tuple[str, ...], Node]] = [((), document.root)]
    while waiting:
        words, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if _kind(node) == "scalar" and node.tag == "tag:yaml.org,2002:str":
            yield words, node
        waiting += [((*words, key), child) for key, child in reversed(list(children(node)))]


def children(node: Node) -> t.Iterator[tuple[str, Node]]:
    """Key and value of a mapping, number and item of a list; nothing of a scalar."""
    kind = _kind(node)
    if kind == "mapping":
        yield from ((str(key.value) if _kind(key) == "scalar" else "?", value) for key, value in node.value)
    elif kind == "sequence":
        yield from ((str(number), item) for number, item in enumerate(node.value))


def entries(node: Node, known: t.Optional[dict[int, dict[str, Node]]] = None) -> dict[str, Node]:
    """The values of a mapping by key, what it merges (``<<``) included: its own first, then the merged ones in their order.

    Each mapping is looked at once, however often it is merged. Raises RecursionError where merges go too deep.
    """
    known = {} if known is None else known
    if id(node) in known:
        return known[id(node)]
    # A mapping can merge itself through another one.
    known[id(node)] = {}
    found: dict[str, Node] = {}
    merged = []
    for key, value in children(node) if _kind(node) == "mapping" else ():
        if key == "<<":
            merged += [item for _number, item in children(value)] if _kind(value) == "sequence" else [value]
        else:
            found[key] = value
    for item in merged:
        found = {**entries(item, known), **found}
    known[id(node)] = found
    return found


def child(node: Node, *keys: str) -> Node:
    """The node below ``keys``; None where there is none."""
    for key in keys:
        node = entries(node).get(key)
    return node


def unset(documents: t.Sequence[Document], environment: t.Mapping[str, str]) -> list[Finding]:
    """One finding for each variable that has neither value nor default, with all its places."""
    places: dict[variables.Missing, list[str]] = {}
    for document in documents:
        for words, node in scalars(document):
            for lack in variables.missing(node.value, environment):
                places.setdefault(lack, []).append(document.at(words, node))
        for words, node, name in _passed_on(document):
            if name not in environment:
                places.setdefault(variables.Missing(name, PASSED_ON), []).append(document.at(words, node))
    return [_unset(lack, where) for lack, where in sorted(places.items(), key=lambda item: (item[0].name, item[0].why))]


def dropped(documents: t.Sequence[Document]) -> list[Finding]:
    """Texts with a ``$`` that begins no variable. The CLI refuses one only where no variable follows in the same text; else it drops the ``$``."""
    return [
        Finding(
            "compose_invalid", "fail",
            field="compose",
            message=f"{document.at(words, node)}: has a $ that begins no variable; the CLI drops it without a word.",
            remedy="Write $$ for a $ that stays.",
        )
        for document in documents
        for words, node in scalars(document)
        if variables.stray(node.value)
    ]


def _unset(lack: variables.Missing, places: t.Sequence[str]) -> Finding:
    remedy = f"Give {lack.name} in env or env_files, or a default in the file: ${{{lack.name}:-value}}."
    if lack.inside:
        remedy = "Write the default without a variable in it."
    elif lack.why == PASSED_ON:
        remedy = f"Give {lack.name} in env or env_files, or a value in the file; '' for an empty one."
    message = f"{lack.name} has no value{f' ({lack.why})' if lack.why else ''}: {', '.join(places)}."
    return Finding("env_unset", "fail", field=f"env.{lack.name}", message=message, remedy=remedy)


def _passed_on(document: Document) -> t.Iterator[tuple[tuple[str, ...], Node, str]]:
    """``environment: [NAME]`` takes the value from the environment of the CLI, and drops the variable without a word when there is none."""
    for service, node in entries(child(document.root, "services")).items():
        # What the file of the service sets counts, and the CLI takes it where the environment has nothing.
        if child(node, "env_file") is not None:
            continue
        listed = child(node, "environment")
        for key, item in entries(listed).items() if _kind(listed) == "mapping" else children(listed):
            words = ("services", service, "environment", key)
            if _kind(item) != "scalar":
                continue
            if _kind(listed) == "sequence" and variables.VARIABLE.fullmatch(item.value):
                yield words, item, item.value
            elif _kind(listed) == "mapping" and item.tag == "tag:yaml.org,2002:null":
                yield words, item, key


def files(documents: t.Sequence[Document], environment: t.Mapping[str, str]) -> list[File]:
    """The files that the CLI reads for configs, secrets and env_file. It looks beside the first compose file."""
    found = []
    for document in documents:
        base = os.path.dirname(os.path.abspath(documents[0].path))
        for section in ("configs", "secrets"):
            for name, node in entries(child(document.root, section)).items():
                found += _file(document, (section, name, "file"), child(node, "file"), base, environment, CONFIG_MAX)
        for name, node in entries(child(document.root, "services")).items():
            listed = child(node, "env_file")
            items = [item for _key, item in children(listed)] if _kind(listed) == "sequence" else [listed]
            for item in items:
                found += _file(document, ("services", name, "env_file"), item, base, environment, FILE_MAX)
    return found


def _file(document: Document, words: tuple[str, ...], node: Node, base: str, environment: t.Mapping[str, str], most: int) -> list[File]:
    if node is None or _kind(node) != "scalar" or not node.value:
        return []
    try:
        path = variables.substitute(node.value, environment)
    except variables.Unset:
        return []
    if path.startswith("~"):
        path = environment.get("HOME", "") + path[1:]
    return [File(os.path.normpath(os.path.join(base, path)), document.at(words, node), most)]


def _kind(node: Node) -> str:
    return str(getattr(node, "id", ""))


def _tree(path: str) -> Node:
    """The first document of the file, as the CLI reads it. Raises ValueError with line and reason."""
    try:
        import yaml
    except ImportError as error:
        raise FleetError(
            "tool_missing",
            "The library PyYAML is not installed for the Python that runs the module; it reads x-bowline and finds variables.",
            remedy="Install python3-yaml on that host, or run the module where it is.",
        ) from error
    with open(path, "rb") as file:
        content = file.read()
    try:
        for root in yaml.compose_all(content, Loader=yaml.SafeLoader):
            return root
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ValueError(f"line {mark.line + 1 if mark else '?'}: {error.problem or error.context}.") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{str(error).splitlines()[0] if str(error) else 'nested too deep'}.") from error
    return None
