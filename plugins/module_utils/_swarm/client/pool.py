# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several managers of one cluster: who is asked next when one does not answer, and what becomes of a write whose outcome is not known."""

from __future__ import annotations

import typing as t

from ..._core.errors import FleetError
from ..._core.wait import Deadline
from ..model import Json
from .wire import Exists, Gone, NoLeader, NotManager, OutOfSequence, Unknown, Unsent, Wire

T = t.TypeVar("T")

# Seconds in which a new leader is found: swarmkit's election timeout is 10 ticks of a second, up to twice that with its jitter
# (manager/state/raft/raft.go, DefaultNodeConfig), and a killed engine starts again.
PATIENCE = 45.0

PAUSE = 1.0


class Pool:
    """Endpoints in the order in which they are asked; the one that answered last comes first."""

    def __init__(self, wires: t.Sequence[Wire], cluster_id: str, patience: float) -> None:
        self._wires, self.cluster_id, self._patience = list(wires), cluster_id, patience
        self._known: set[int] = set()

    @property
    def current(self) -> Wire:
        return self._wires[0]

    def clone(self) -> "Pool":
        return Pool([Wire(wire.endpoint, wire.options) for wire in self._wires], self.cluster_id, self._patience)

    def close(self) -> None:
        for wire in self._wires:
            wire.close()

    def open(self) -> None:
        """Find the first manager. Only a missing leader is waited for: what is wrong with an address stays wrong."""
        self._round(lambda wire: None, Deadline(self._patience), waits=(NoLeader,))

    def read(self, ask: t.Callable[[Wire], T]) -> T:
        return self._round(ask, Deadline(self._patience), waits=(NoLeader, Unsent, Unknown))

    def write(self, send: t.Callable[[Wire], T], landed: t.Callable[[], t.Optional[T]]) -> T:
        """Send once. After an unknown outcome ``landed`` is asked: its value when the write is in, None when it may be sent again."""
        deadline = Deadline(self._patience)
        doubtful = False
        while True:
            try:
                return self._round(send, deadline, waits=(NoLeader, Unsent), passes=(Unknown,))
            except (Unknown, OutOfSequence, Exists, Gone) as error:
                doubtful = doubtful or isinstance(error, Unknown)
                if not doubtful:
                    raise
                done = landed()
                if done is not None:
                    return done
                if not isinstance(error, Unknown) or deadline.expired():
                    raise self._lost(error) from error
                deadline.pause(PAUSE)

    def _lost(self, error: Exception) -> Exception:
        return self.current.explain(error) if isinstance(error, Unknown) else error

    def _round(
        self,
        ask: t.Callable[[Wire], T],
        deadline: Deadline,
        waits: tuple[type[Exception], ...],
        passes: tuple[type[Exception], ...] = (),
    ) -> T:
        """The answer of the first endpoint that gives one, again and again while what stands in the way may pass."""
        while True:
            faults: list[tuple[Wire, Exception]] = []
            for wire in list(self._wires):
                try:
                    self._meet(wire)
                    answer = ask(wire)
                except passes:
                    self._known.discard(id(wire))
                    raise
                except (OutOfSequence, Exists, Gone):
                    raise
                except (Unsent, Unknown, NoLeader, NotManager) as error:
                    self._known.discard(id(wire))
                    faults.append((wire, error))
                except FleetError as error:
                    if id(wire) in self._known:
                        raise
                    faults.append((wire, error))
                else:
                    self._prefer(wire)
                    return answer
            if deadline.expired() or not any(isinstance(error, waits) for _wire, error in faults):
                raise worst(faults)
            deadline.pause(PAUSE)

    def _prefer(self, wire: Wire) -> None:
        self._wires.remove(wire)
        self._wires.insert(0, wire)

    def _meet(self, wire: Wire) -> None:
        """Ask an endpoint who it is, once for each time that it is connected to."""
        if id(wire) in self._known:
            return
        info: Json = (wire.json("GET", "/info") or {}).get("Swarm") or {}
        found = str((info.get("Cluster") or {}).get("ID") or "")
        given = wire.endpoint.given
        if not info.get("ControlAvailable"):
            raise _no_manager(given, info)
        if not found:
            raise _no_leader(given, info)
        if self.cluster_id and found != self.cluster_id:
            raise FleetError(
                "cluster_mismatch",
                f"{given} belongs to cluster {found}, not to {self.cluster_id}. Nothing was changed.",
                "Correct docker_host, or take the engine out of the foreign cluster.",
                details={"endpoint": given, "cluster_id": found, "expected": self.cluster_id},
            )
        self.cluster_id = found
        self._known.add(id(wire))


def worst(faults: t.Sequence[tuple[Wire, Exception]]) -> FleetError:
    """One failure for all endpoints. What an engine said outweighs that another one was silent; the other endpoints stand in the details."""
    told = [(wire.endpoint.given, error if isinstance(error, FleetError) else wire.explain(error)) for wire, error in faults]
    order = ("quorum_lost", "cluster_mismatch", "tls_expired", "tls_rejected", "tls_untrusted", "not_manager")
    first = min(told, key=lambda one: order.index(one[1].code) if one[1].code in order else len(order))[1]
    if len(told) == 1:
        return first
    others = " ".join(f"{given}: {error.code}." for given, error in told)
    endpoints = [{"endpoint": given, **error.as_failure()} for given, error in told]
    return FleetError(first.code, f"{first.message} All endpoints: {others}", first.remedy, details={**first.details, "endpoints": endpoints})


def _no_manager(given: str, info: Json) -> NotManager:
    """LocalNodeState is inactive, pending, active, error or locked (types/swarm.LocalNodeState of moby)."""
    managers = sorted({str(one.get("Addr", "")).rpartition(":")[0] for one in info.get("RemoteManagers") or ()})
    state = str(info.get("LocalNodeState") or "inactive")
    if state == "active":
        said = f"{given} is a worker; its managers are {', '.join(managers) or 'not known to it'}. Nothing was changed."
        return NotManager("not_manager", said, "Give a manager in docker_host.", {"endpoint": given, "managers": managers})
    words = {"locked": "waits to be unlocked", "inactive": "is in no Swarm", "pending": "has not joined yet", "error": "has a fault in its Swarm"}
    remedy = "Unlock it (`docker swarm unlock`)." if state == "locked" else "Give a manager in docker_host, or found the cluster with the role swarm_cluster."
    said = f"{given} {words.get(state, state)}{': ' + str(info['Error']) if info.get('Error') else ''}. Nothing was changed."
    return NotManager("not_manager", said, remedy, {"endpoint": given, "state": state})


def _no_leader(given: str, info: Json) -> NoLeader:
    """A manager without a majority does not know its own cluster; what it knows is who the managers were."""
    known = len(info.get("RemoteManagers") or ())
    needed = known // 2 + 1
    return NoLeader(
        "quorum_lost",
        f"{given} is a manager without a leader: it knows {known} managers, {needed} have to reach each other. {info.get('Error') or ''}".strip(),
        "Start managers until more than half of them run. If they are lost for good, the playbook swarm_recover makes a cluster of one survivor.",
        {"endpoint": given, "managers": known, "quorum": needed},
    )
