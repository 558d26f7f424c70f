# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every endpoint says of itself, what follows from that, and which members are missing. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..._core.errors import FleetError
from ..model import Json
from ..verdict.quorum import Quorum, hostname, member, reachable


@dataclass(frozen=True)
class Answer:
    """One endpoint as it answered GET /info, or the failure of asking it.

    ``state`` is leader (it knows one), leaderless, worker, outside, or silent; ``cluster_id`` is empty where the engine does not know it.
    """

    endpoint: str
    state: str
    cluster_id: str = ""
    node_id: str = ""
    name: str = ""
    managers: int = 0
    failure: t.Optional[FleetError] = None
    info: Json = field(default_factory=dict, repr=False)

    def as_data(self) -> Json:
        """Result and details of a failure."""
        said = {"code": self.failure.code, "message": self.failure.message} if self.failure else None
        return {"endpoint": self.endpoint, "state": self.state, "cluster_id": self.cluster_id, "node": self.name, "failure": said}


def read(endpoint: str, info: Json) -> Answer:
    """GET /info as an answer. A manager without a leader does not know its cluster, but who the managers are."""
    swarm = info.get("Swarm") or {}
    cluster_id = str((swarm.get("Cluster") or {}).get("ID") or "")
    if swarm.get("LocalNodeState") != "active":
        state = "outside"
    elif not swarm.get("ControlAvailable"):
        state = "worker"
    else:
        state = "leader" if cluster_id else "leaderless"
    known = len(swarm.get("RemoteManagers") or ())
    return Answer(endpoint, state, cluster_id, str(swarm.get("NodeID") or ""), str(info.get("Name") or ""), known, info=info)


def silent(endpoint: str, failure: FleetError) -> Answer:
    return Answer(endpoint, "silent", failure=failure)


def refuse(answers: t.Sequence[Answer], cluster_id: str, every: bool) -> None:
    """Raise FleetError when no cluster, or another one than ``cluster_id`` (empty: any one), answers.

    With ``every`` each endpoint has to be a manager of it, which is what a registration promises.
    """
    details = {"endpoints": [answer.as_data() for answer in answers]}
    where = "; ".join(f"{answer.endpoint} ({answer.name or 'no name'}) is in {answer.cluster_id}" for answer in answers if answer.cluster_id)
    ids = {answer.cluster_id for answer in answers if answer.cluster_id}
    if len(ids) > 1:
        raise FleetError("cluster_mismatch", f"The endpoints are of {len(ids)} clusters: {where}. Nothing was changed.",
                         "Correct docker_host, or take the foreign engine out of its Swarm.", details)  # fmt: skip
    if cluster_id and ids and ids != {cluster_id}:
        raise FleetError("cluster_mismatch", f"Cluster {cluster_id} is meant; {where}. Nothing was changed.",
                         "Correct docker_host, or unregister the old cluster with state: absent.", details)  # fmt: skip
    wrong = [answer for answer in answers if answer.state in ("worker", "outside")]
    if wrong and (every or not ids):
        words = {"worker": "a worker", "outside": "an engine outside of any Swarm"}
        said = "; ".join(f"{answer.endpoint} is {words[answer.state]}" for answer in wrong)
        raise FleetError("not_manager", f"{said}. Nothing was changed.", "Give managers in docker_host; role swarm_cluster founds and joins.", details)
    mute = [answer for answer in answers if answer.failure is not None]
    if not ids and any(answer.state == "leaderless" for answer in answers):
        raise quorum_lost(without_leader(answers), details)
    if mute and (every or not ids):
        first = mute[0].failure
        said = " ".join(f"{answer.endpoint}: {answer.failure.message}" for answer in mute if answer.failure)
        raise FleetError(first.code if first else "endpoint_unreachable", f"{said} Nothing was changed.", first.remedy if first else "", details)


def quorum_lost(quorum: Quorum, details: t.Optional[Json] = None) -> FleetError:
    return FleetError("quorum_lost", f"{quorum}: the cluster decides nothing. Nothing was changed.",
                      "Start managers until more than half of them run; if they are lost for good, playbook swarm_recover.",
                      {**(details or {}), "quorum": quorum.as_data()})  # fmt: skip


def without_leader(answers: t.Sequence[Answer]) -> Quorum:
    """The numbers of a cluster without a leader, as far as its managers tell: N is what they know, R who answers from here."""
    managers = [answer for answer in answers if answer.state in ("leader", "leaderless")]
    known = max([answer.managers for answer in managers] + [len(managers)])
    return Quorum(known, len(managers), "", tuple(sorted(answer.endpoint for answer in answers if answer.state == "silent")))


def lost(answers: t.Sequence[Answer]) -> bool:
    """Whether managers answer, and none of them has a leader."""
    states = {answer.state for answer in answers}
    return "leaderless" in states and "leader" not in states


def missing(nodes: t.Sequence[Json], expected: t.Mapping[str, t.Sequence[str]]) -> t.List[str]:
    """A sentence for each member of ``expected`` (managers, workers: hostnames or ids) that is not as it should be."""
    found = []
    for role in ("managers", "workers"):
        for name in expected.get(role) or ():
            node = next((node for node in nodes if name in (node["ID"], hostname(node))), None)
            if node is None:
                found.append(f"{name} is no member.")
            elif node["Status"]["State"] != "ready":
                found.append(f"{name} is {node['Status']['State']}.")
            elif role == "managers" and not member(node):
                found.append(f"{name} is a worker.")
            elif role == "managers" and not reachable(node):
                found.append(f"{name} is not reached by the other managers.")
            elif role == "workers" and member(node):
                found.append(f"{name} is a manager.")
    return found
