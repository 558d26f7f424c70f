# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A provider that somebody else writes: a role with the task files create, read, power, destroy and list (and console, if it has one).

Each file gets ``node_identity``, and create ``node_spec``, power ``node_power``, list ``node_fleet``, console ``node_console_lines``. It sets the fact
``node_answer``: ``{found: false}``, or ``{found: true, machine: …}`` as node_machine returns one; list sets ``{machines: […]}``, console ``{lines: […]}``.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import asdict

from ..._core.finding import Finding
from ..machine.model import Identity, NotFound, Observed, Sighting, Unknown
from .model import Call, Catalogue, Result, observed, troubled, unavailable

FILES = ("create", "read", "power", "destroy", "list", "console")
FACT = "node_answer"
_NAME = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*){2}")


class Role:
    """``role:<namespace>.<collection>.<role>``; ``options`` are handed on as ``node_provider_options``."""

    def __init__(self, name: str, options: t.Mapping[str, t.Any]) -> None:
        self.name = name
        self.role = name.partition(":")[2]
        self.catalogue = Catalogue(tuple(map(str, options.get("regions") or ())), dict(options.get("types") or {}))
        self._options = dict(options)

    def validate(self, spec: t.Mapping[str, t.Any]) -> t.Tuple[Finding, ...]:
        if _NAME.fullmatch(self.role):
            return ()
        return (Finding("option_invalid", "fail", field="provider", message=f"{self.role!r} is no full name of a role.",
                        remedy="Name it as role:<namespace>.<collection>.<role>."),)  # fmt: skip

    def read(self, identity: Identity) -> Call[Sighting]:
        return self._call("read", _sighting, identity)

    def create(self, identity: Identity, spec: t.Mapping[str, t.Any]) -> Call[Sighting]:
        return self._call("create", _sighting, identity, node_spec=dict(spec))

    def power(self, identity: Identity, to: str) -> Call[Sighting]:
        return self._call("power", _sighting, identity, node_power=to)

    def destroy(self, identity: Identity) -> Call[Sighting]:
        return self._call("destroy", _sighting, identity)

    def list(self, fleet: str) -> Call[t.Sequence[Observed]]:
        return self._call("list", _machines, None, node_fleet=fleet)

    def console_tail(self, identity: Identity, lines: int) -> Call[t.Sequence[str]]:
        return self._call("console", lambda result: tuple(map(str, (_answer(result) or {}).get("lines") or ())), identity, node_console_lines=lines)

    def _call(self, file: str, parse: t.Callable[[Result], t.Any], identity: t.Optional[Identity], **more: t.Any) -> Call[t.Any]:
        given = {} if identity is None else {"node_identity": asdict(identity)}
        return Call("role", {"name": self.role, "tasks_from": file, "vars": {"node_provider_options": self._options, **given, **more}}, parse)


def _answer(result: Result) -> t.Optional[t.Mapping[str, t.Any]]:
    found = (result.get("ansible_facts") or {}).get(FACT)
    return found if isinstance(found, t.Mapping) else None


def _sighting(result: Result) -> Sighting:
    unknown, answer = troubled(result), _answer(result)
    if unknown is not None:
        return unknown
    if answer is None or not isinstance(answer.get("found"), bool):
        return Unknown("unsupported", f"The role did not set {FACT} with found: true or false.")
    # Only the role knows whether a call is in flight.
    return observed(answer.get("machine")) if answer["found"] else NotFound(final=answer.get("final") is True)


def _machines(result: Result) -> t.Sequence[Observed]:
    unknown, answer = troubled(result), _answer(result)
    machines = answer.get("machines") if answer is not None else None
    if unknown is None and not isinstance(machines, (list, tuple)):
        unknown = Unknown("unsupported", f"The role did not set {FACT} with machines.")
    read = [observed(one) for one in machines or ()] if unknown is None else []
    unknown = unknown or next((one for one in read if isinstance(one, Unknown)), None)
    if unknown is not None:
        raise unavailable(unknown)
    return tuple(one for one in read if isinstance(one, Observed))
