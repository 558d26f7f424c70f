# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observe, plan, apply, verify: the folders and files that the services of a stack read, all in one call.

Over ssh each call of a module costs a third of a second, and `ansible.builtin.copy` makes two of them for each file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import typing as t
from dataclasses import dataclass

from .._core.errors import FleetError
from .._core.result import Step, result


@dataclass(frozen=True)
class Wanted:
    """One path. ``content`` is None for a folder. ``mode`` is octal, or symbolic as for chmod(1); a file without ``replace`` is left as it is
    once it exists; one that is ``secret`` is in no diff."""

    path: str
    owner: str
    group: str
    mode: str
    content: t.Optional[bytes] = None
    replace: bool = True
    secret: bool = False

    @property
    def kind(self) -> str:
        return "folder" if self.content is None else "file"


@dataclass(frozen=True)
class Seen:
    """``kind`` is folder, file, other (a link, a device), or empty for nothing. ``fits``: owner, group and mode are those that are wanted."""

    kind: str = ""
    content: bytes = b""
    owner: str = ""
    group: str = ""
    mode: str = ""
    fits: bool = False


@dataclass(frozen=True)
class Act:
    """``verb`` is make (a folder), write (a file, with owner, group and mode) or give (owner, group and mode alone)."""

    verb: str
    wanted: Wanted
    reason: str

    def step(self) -> Step:
        return Step(f"{self.verb}_{self.wanted.kind}", self.reason)


class Files(t.Protocol):
    """What `run` needs of a host; `host_files.HostFiles` is the real one."""

    def accounts(self, wanted: t.Sequence[Wanted]) -> None: ...
    def look(self, wanted: Wanted) -> Seen: ...
    def make(self, wanted: Wanted) -> None: ...
    def write(self, wanted: Wanted) -> None: ...
    def give(self, wanted: Wanted) -> None: ...


def desired(params: t.Mapping[str, t.Any]) -> list[Wanted]:
    """What the parameters of ``native_files`` ask for, folders first, each path once. Raises FleetError "invalid_value"."""
    found = [Wanted(entry["path"], entry["owner"], entry["group"], entry["mode"]) for entry in params["folders"]]
    for entry in params["files"]:
        content = _content(entry)
        found.append(Wanted(entry["path"], entry["owner"], entry["group"], entry["mode"], content, entry["replace"], entry["secret"]))
    for path in (each.path for each in found if not os.path.isabs(each.path)):
        raise FleetError("invalid_value", f"{path} is no absolute path. Nothing was changed.", remedy="Name the whole path.")
    # Of a path that is named twice, the last word counts.
    return list({each.path: each for each in found}.values())


def _content(entry: t.Mapping[str, t.Any]) -> bytes:
    text = entry["content"] or ""
    if not entry["encoded"]:
        return str(text).encode("utf-8", "surrogateescape")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        message = f"{entry['path']}: its content is no base64: {error}. Nothing was changed."
        raise FleetError("invalid_value", message, remedy="Encode it, or leave out encoded.") from error


def plan(wanted: t.Sequence[Wanted], seen: t.Mapping[str, Seen]) -> list[Act]:
    """What has to be done, in the order of ``wanted``. Raises FleetError "conflict" where something else lies in a place. Pure."""
    acts = []
    for each in wanted:
        there = seen[each.path]
        # A link is replaced by the file, never followed.
        if there.kind == "folder" and each.kind == "file" or there.kind in ("file", "other") and each.kind == "folder":
            raise FleetError(
                "conflict",
                f"{each.path} shall be a {each.kind} and is {'a folder' if there.kind == 'folder' else 'none'}. Nothing was changed.",
                remedy="Look at what is there, and move it away or correct the path.",
                details={"path": each.path, "kind": there.kind},
            )
        act = _act(each, there)
        if act:
            acts.append(act)
    return acts


def _act(wanted: Wanted, seen: Seen) -> t.Optional[Act]:
    if wanted.kind == "folder":
        if not seen.kind:
            return Act("make", wanted, f"{wanted.path} is missing")
    elif not seen.kind:
        return Act("write", wanted, f"{wanted.path} is missing")
    elif not wanted.replace:
        return None
    elif seen.kind != "file" or seen.content != wanted.content:
        return Act("write", wanted, f"{wanted.path} has another content")
    if seen.fits:
        return None
    return Act("give", wanted, f"{wanted.path} is {seen.owner}:{seen.group} {seen.mode}, {wanted.owner}:{wanted.group} {wanted.mode} is wanted")


def run(params: t.Mapping[str, t.Any], client: Files, check_mode: bool) -> dict[str, t.Any]:
    wanted = desired(params)
    seen = {each.path: client.look(each) for each in wanted}
    acts = plan(wanted, seen)
    if not check_mode:
        client.accounts([act.wanted for act in acts])
        for act in acts:
            {"make": client.make, "write": client.write, "give": client.give}[act.verb](act.wanted)
        _verify(acts, client)
    changed = {act.wanted.path for act in acts}
    return result(
        [act.step() for act in acts],
        before="".join(_shown(each, seen[each.path]) for each in wanted if each.path in changed),
        after="".join(_shown(act.wanted, _foreseen(act, seen[act.wanted.path])) for act in acts),
        changed_paths=[act.wanted.path for act in acts],
    )


def _verify(acts: t.Sequence[Act], client: Files) -> None:
    for act in acts:
        after = client.look(act.wanted)
        if _act(act.wanted, after):
            raise FleetError(
                "conflict",
                f"{act.wanted.path} was written and is not as it was written: somebody else changes it.",
                remedy="Find out who writes there; then run the same playbook again.",
                details={"path": act.wanted.path, "owner": after.owner, "group": after.group, "mode": after.mode},
            )


def _foreseen(act: Act, seen: Seen) -> Seen:
    content = act.wanted.content if act.verb == "write" else seen.content
    return Seen(act.wanted.kind, content or b"", act.wanted.owner, act.wanted.group, act.wanted.mode, True)


def _shown(wanted: Wanted, seen: Seen) -> str:
    """For the diff: a line about the place, then the text; of what is secret or no text only a digest."""
    if not seen.kind:
        return ""
    head = f"# {wanted.path}: {seen.kind} {seen.owner}:{seen.group} {seen.mode}\n"
    if seen.kind != "file":
        return head
    if wanted.secret:
        return head + "(secret)\n"
    try:
        text = seen.content.decode("utf-8")
    except UnicodeDecodeError:
        text = f"{len(seen.content)} bytes, sha256 {hashlib.sha256(seen.content).hexdigest()}"
    return head + text + ("" if text.endswith("\n") or not text else "\n")
