# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The provider of a life whose machines are made by the module node_machine, on the host that the task runs on.

An answer of the module is what it said; no answer (a host that is away, a module that was killed) is never read as "there is no machine".
"""

from __future__ import annotations

import time
import typing as t

from .._core.errors import FleetError
from .._core.faults import hit
from .machine.model import Identity, NotFound, Observed, Sighting, Unknown
from .provider.model import observed, unavailable
from .wanted import PLACED

Result = t.Mapping[str, t.Any]
# The module of that short name run with these arguments; its result as Ansible has it, ``unreachable`` among the keys where the host is away.
Call = t.Callable[[str, t.Mapping[str, t.Any]], Result]

# Failures of the host that pass by themselves, or that the next look decides about; every other one ends the run with the module's own words.
_PASSES = ("libvirt_error", "locked", "machine_missing", "timeout")
# An answer is worth so many seconds: about what it takes to get the next one.
_FRESH = 1.0


class Hypervisor:
    """`drive.Provider` by modules. ``host`` are options that say where and how; ``credentials`` are files on that host for a machine that is made,
    ``proof`` says what its image has to be.

    ``in_flight``: an earlier run has asked for the machine and has not seen it, so that it may come late. What node_machine returns is what it has
    read itself after its work, so it stands for the next look.
    """

    def __init__(self, call: Call, host: t.Mapping[str, t.Any], credentials: t.Mapping[str, str], in_flight: bool = False,
                 proof: t.Optional[t.Mapping[str, t.Any]] = None) -> None:  # fmt: skip
        self._call, self._host, self._credentials, self._proof = call, host, credentials, proof or {}
        self._lost = in_flight
        self._silent = False
        self._seen: Sighting = NotFound()
        self._others: t.List[Observed] = []
        self._seen_of, self._seen_at = "", 0.0
        self.machine: t.Optional[Observed] = None
        self.mode, self.host_key = "", ""
        self.calls: t.List[str] = []
        self.problems: t.List[str] = []

    @property
    def recorded(self) -> bool:
        """Whether the machines are entries of a file, so that nobody answers in them."""
        return self.mode == "recorder"

    def read(self, identity: Identity) -> Sighting:
        if self._seen_of != identity.instance_id or time.monotonic() - self._seen_at >= _FRESH:
            try:
                self._look(identity)
            except FleetError as error:
                if error.code == "provider_disabled":
                    raise
                self.machine, self._silent, self._seen_of = None, True, ""
                return Unknown("transient", error.message)
        tag = self._seen.identity if isinstance(self._seen, Observed) else None
        self.machine = self._seen if isinstance(self._seen, Observed) and tag is not None and tag.instance_id == identity.instance_id else None
        return self._seen

    def list(self, identity: Identity) -> t.Sequence[Observed]:
        """As `drive.Provider` says; empty right after a read that got no answer."""
        if self._silent:
            self._silent = False
            return ()
        if self._seen_of != identity.instance_id or time.monotonic() - self._seen_at >= _FRESH:
            self._look(identity)
        found = [self._seen, *self._others] if isinstance(self._seen, Observed) else self._others
        return [one for one in found if one.details.get("name") == identity.name or (one.identity is not None and one.identity.node == identity.node)]

    def create(self, identity: Identity, spec: t.Mapping[str, t.Any]) -> Sighting:
        attributes = {name: value for name, value in spec.items() if name != PLACED}
        return self._do("running", identity, spec={**attributes, **self._proof, "credentials": dict(self._credentials)})

    def power(self, identity: Identity, to: str) -> Sighting:
        if to == "on":
            return self._do("running", identity)
        return self._do("stopped", identity, **({"force": True, "wait_timeout": 5} if to == "hard" else {}))

    def forget(self, identity: Identity) -> Sighting:
        """With the attributes that it has: only the credentials go. Its power is left as it is."""
        declared = (self.machine.details.get("declared") if self.machine is not None else None) or {}
        return self._do("present", identity, spec={**declared, "credentials": "absent"})

    def destroy(self, identity: Identity) -> Sighting:
        return self._do("absent", identity)

    def console(self, identity: Identity, lines: int = 10) -> t.List[str]:
        """The last lines that the machine has said; none when nobody can be asked."""
        found = self._call("node_machine_info", {**self._where(), "identity": _tag(identity), "console_lines": lines})
        return [str(line) for line in found.get("console") or []]

    def _where(self) -> t.Dict[str, t.Any]:
        return {name: value for name, value in self._host.items() if name not in ("accel", "launcher") and value is not None}

    def _look(self, identity: Identity) -> None:
        """Ask for the machine, for what carries its name, and for every other one of its fleet, in one call."""
        self.calls.append("node_machine_info")
        answer = self._call("node_machine_info", {**self._where(), "identity": _tag(identity), "fleet": identity.fleet})
        if answer.get("failed") or answer.get("unreachable"):
            raise self._problem(answer)
        found = [_machine(one) for one in answer["machines"]]
        self.mode, self._others, self.host_key = str(answer["mode"]), [_machine(one) for one in answer["others"]], str(answer.get("host_key") or "")
        # A call that an earlier run has made may not have come to the host yet, whatever that says.
        self._seen = found[0] if found else NotFound(final=answer["busy"] is False and not self._lost)
        self._seen_of, self._seen_at = identity.instance_id, time.monotonic()

    def _do(self, state: str, identity: Identity, **more: t.Any) -> Sighting:
        arguments = {**{name: value for name, value in self._host.items() if value is not None}, "state": state, "identity": _tag(identity), **more}
        self.calls.append(f"node_machine {state}")
        self._seen_of = ""
        hit("I2")
        answer = self._call("node_machine", arguments)
        hit("I3")
        if answer.get("failed") or answer.get("unreachable"):
            problem = self._problem(answer)
            # Without the module's own words nobody knows whether it has ended.
            self._lost = self._lost or not answer.get("failure")
            if answer.get("failure") and problem.code not in _PASSES:
                raise problem
            return Unknown("transient", problem.message)
        self._seen = _machine(answer["machine"]) if answer.get("machine") else NotFound(final=not self._lost)
        self._seen_of, self._seen_at = identity.instance_id, time.monotonic()
        return self._seen

    def _problem(self, answer: Result) -> FleetError:
        said = answer.get("failure") or {}
        message = str(said.get("message") or answer.get("msg") or "the module has ended without a word")
        self.problems.append(message)
        code = str(said.get("code") or "provider_unavailable")
        return FleetError(code, message, str(said.get("remedy") or "Mend what it names, then run the same command again."), said.get("details") or {})


def _machine(given: t.Any) -> Observed:
    found = observed(given)
    if isinstance(found, Unknown):
        raise unavailable(found)
    return found


def _tag(identity: Identity) -> t.Dict[str, t.Any]:
    return {name: getattr(identity, name) for name in Identity.__dataclass_fields__ if getattr(identity, name) != ""}
