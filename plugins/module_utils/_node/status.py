# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the status of a machine. Pure.

The machine may lie, be broken into, or be somebody else: its words are taken for those of a stranger. Sizes, kinds and numbers are held to what the
agent writes (agent/document.py), keys that nobody knows are dropped, and nothing of it decides about another machine.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass

from .._core.errors import FleetError
from .._core.visible import one_line
from .agent.document import CONDITIONS, VERSION
from .model import Heartbeat, Json

# Bytes of a document; one of a hundred units and a hundred failed ones has about half of them.
LARGEST = 65_536
_TEXT, _MANY = 200, 200
_NUMBER = float(2**53)
_UPTIME = re.compile(r"(\d{1,12}\.\d{1,6}) \d{1,14}\.\d{1,6}\n")


@dataclass(frozen=True)
class Said:
    """One document. ``age`` are seconds since it was written by the clock of the machine's kernel, None when that was not read with it."""

    document: t.Mapping[str, t.Any]
    age: t.Optional[float] = None

    @property
    def instance(self) -> str:
        return str(self.document["instance"])

    def heartbeat(self, wanted: t.Iterable[str] = ()) -> Heartbeat:
        """The heartbeat of it; its moment is for who keeps it. Modules are active when those of ``wanted``, by name, are there as well."""
        told = self.document
        unmet = set(told["unmet_conditions"])
        return Heartbeat(
            self.instance,
            0.0,
            told["boot_id"],
            told["seq"],
            "enrolled" not in unmet,
            "modules_active" not in unmet and set(wanted) <= set(told["modules"]),
            "services_ready" not in unmet,
            (*told["failed_units"], *(f"{mount} is full" for mount in told["full_disks"])),
            tuple(told["runtimes"]),
            told["certificate_not_after"],
            told,
        )


def read(text: str) -> Said:
    """A document, alone or behind the line of ``/proc/uptime`` that was read with it (proc_uptime(5): seconds since the boot come first).

    Raises FleetError ``status_unreadable``.
    """
    uptime = _UPTIME.match(text)
    alone = text[uptime.end() :] if uptime else text
    if len(alone.encode("utf-8", "replace")) > LARGEST:
        raise _unreadable(f"it is longer than {LARGEST} bytes")
    given = _parsed(alone)
    if not isinstance(given, dict):
        raise _unreadable("it is no dictionary")
    if given.get("version") != VERSION:
        raise _unreadable(f"its version is {one_line(str(given.get('version')))[:20]}, not {VERSION}")
    told = {name: _taken(name, kind, given.get(name)) for name, kind in _KINDS.items()}
    if not told["boot_id"]:
        raise _unreadable("boot_id is empty")
    if not set(told["unmet_conditions"]) <= set(CONDITIONS):
        raise _unreadable(f"unmet_conditions takes {', '.join(CONDITIONS)}")
    # lxcfs shows another uptime in a container than the clock that the agent reads; then nobody knows how old it is.
    age = float(uptime.group(1)) - told["seq"] / 1000 if uptime else None
    return Said(told, max(age, 0.0) if age is not None and age > -1.0 else None)


def _parsed(text: str) -> t.Any:
    def refused(word: str) -> t.Any:
        raise _unreadable(f"{word} is no number")

    try:
        return json.loads(text, parse_constant=refused)
    except (ValueError, RecursionError):
        raise _unreadable("it is no JSON" if text.strip() else "it is empty or missing") from None


def _taken(name: str, kind: t.Callable[[t.Any], t.Any], value: t.Any) -> t.Any:
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise _unreadable(f"{name} is of another kind") from None


def _text(value: t.Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return one_line(value)[:_TEXT]


def _number(value: t.Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _NUMBER:
        raise TypeError
    return float(value)


def _sequence(value: t.Any) -> int:
    if not isinstance(value, int):
        raise TypeError
    return int(_number(value))


def _moment(value: t.Any) -> t.Optional[float]:
    return None if value is None else _number(value)


def _texts(value: t.Any) -> t.List[str]:
    if not isinstance(value, list):
        raise TypeError
    return [_text(one) for one in value[:_MANY]]


def _numbers(value: t.Any) -> t.List[float]:
    if not isinstance(value, list):
        raise TypeError
    return [_number(one) for one in value[:3]]


def _pairs(value: t.Any, kind: t.Callable[[t.Any], t.Any]) -> Json:
    if not isinstance(value, dict):
        raise TypeError
    return {_text(key): kind(value[key]) for key in sorted(value)[:_MANY]}


def _module(value: t.Any) -> Json:
    if not isinstance(value, dict):
        raise TypeError
    return {"stack": _text(value.get("stack")), "digest": _text(value.get("digest")), "units": _pairs(value.get("units"), _text)}


# Every key that is kept, and what it has to be. A machine has no more of them than the agent writes.
_KINDS: t.Mapping[str, t.Callable[[t.Any], t.Any]] = {
    "version": _sequence,
    "instance": _text,
    "node": _text,
    "boot_id": _text,
    "seq": _sequence,
    "agent": _text,
    "uptime": _number,
    "sent_at": _number,
    "phase": _text,
    "unmet_conditions": _texts,
    "modules": lambda value: _pairs(value, _module),
    "failed_units": _texts,
    "runtimes": _texts,
    "certificate_not_after": _moment,
    "full_disks": _texts,
    "load": _numbers,
    "memory": lambda value: _pairs(value, _number),
    "problems": _texts,
}


def _unreadable(why: str) -> FleetError:
    return FleetError("status_unreadable", f"What the machine says of itself cannot be read: {why}.", "Run role node_agent on it.")
