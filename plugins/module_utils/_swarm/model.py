# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What exists: a Swarm as it was observed, a stack as it is wanted, and every failure of this room.

Objects of the engine are kept as the JSON that the Engine API gave (``Json``), never rebuilt: a field that nobody here knows survives.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

Json = t.Dict[str, t.Any]

# Engine API of Docker 20.10, the oldest that has jobs as a service mode.
API_VERSION_MIN = "1.41"

STACK_LABEL = "com.docker.stack.namespace"
IMAGE_LABEL = "com.docker.stack.image"

# A config or secret holds at most this many bytes: swarmkit compares with ">= 1000 * 1024" (manager/controlapi/config.go, MaxConfigSize).
CONFIG_MAX = 1_023_999

# What a name of a config or secret may be: swarmkit, manager/controlapi/common.go, validateConfigOrSecretAnnotations (64 characters).
NAME_MAX = 64

FAILURES: dict[str, str] = {
    "api_unsupported": "The engine speaks an older API than 1.41, or refuses the one that is asked for.",
    "canary_impossible": "A service of the canary cannot have a part of its replicas on another version; the reason is named.",
    "cluster_mismatch": "An endpoint belongs to another cluster than the one that is meant; which engine is where is named.",
    "compose_invalid": "The docker CLI refuses the compose files; its own words are in the message.",
    "conflict": "Somebody else changed the object since it was read; nothing was written over it.",
    "converter_unknown_call": "The docker CLI asked for something that the recorder does not know; nothing was sent to the cluster.",
    "crash_loop": "Tasks of the service start and end again; node, exit code and last lines of the log are named.",
    "drain_blocked": "Something on the node cannot move; each blocker is named with what accepts it.",
    "drain_open": "A drain of this node has begun and is not finished; owner, step and reason are named.",
    "drain_timeout": "Tasks were still on the node at the deadline; they are named.",
    "endpoint_unreachable": "No endpoint of the engine answered; the stage (dns, tcp, tls, http, socket, ssh) is named for each.",
    "engine_error": "The engine refused the request or could not serve it; its own words are in the message.",
    "env_unset": "A variable of the compose files has neither a value nor a default; all such variables are named.",
    "external_missing": "Finding: a network, config or secret that the stack calls external does not exist.",
    "gate_failed": "A gate of the stack did not pass; the values that it saw are named.",
    "healthcheck_missing": "Finding of level warn: nothing says when a task of the service is good.",
    "history_too_large": "The revision is larger than a config can be, so the stack could not be brought back; nothing was changed.",
    "image_pull": "A node could not get the image; node and error are named.",
    "in_stack": "The service belongs to a stack and is removed with it, not alone.",
    "insecure_endpoint": "The endpoint is plain TCP: whoever reaches it rules the hosts.",
    "lease_lost": "This run did not renew its lock in time, or another one took it over; it stopped.",
    "locked": "Another run works on the same stack, service or node; owner, host and age are named.",
    "member_missing": "A member that is expected is not in the cluster, not ready, or a manager that the others do not reach.",
    "no_rollback_target": "Nothing is known that the service could be brought back to.",
    "node_ambiguous": "Several nodes have this hostname; their ids are named.",
    "node_missing": "No node of the cluster has this id or hostname.",
    "not_manager": "The endpoint is a worker, or an engine outside of any Swarm.",
    "not_proven_dead": "It is not proven that the node is off.",
    "option_invalid": "An option has a value that the engine or this room cannot work with; nothing was asked.",
    "pin_failed": "The registry does not give the digest of an image; its own answer is named.",
    "port_taken": "Finding: another service publishes the port already, so the engine refuses it.",
    "preflight_failed": "Something stands in the way; each finding is named with its remedy, nothing was changed.",
    "quorum_lost": "The managers have no majority, so the cluster decides nothing; the numbers are named.",
    "quorum_risk": "The step would take the majority from the managers; the numbers are named.",
    "recreate_needed": "A service or network can only be made anew for this change.",
    "revision_unavailable": "The revision is not in the history, or something that it needs is gone.",
    "rollback_failed": "The way back did not converge either; services and their state are named, everything stays as it is.",
    "rollback_missed": "Finding of level warn: with these update settings Swarm overlooks failures (moby 37972).",
    "rolled_back_by_swarm": "Swarm took the update back by itself, which the CLI reports as success.",
    "rollout_open": "A canary of this stack has begun and is neither promoted nor aborted; owner, step and reason are named.",
    "secret_in_history": "Finding of level warn: a value in the environment of a service looks like a secret, and the history keeps it.",
    "service_missing": "No service of the cluster has this name or id.",
    "stack_missing": "No service, network, config, secret or revision of this stack is in the cluster.",
    "stuck": "No task of the service changed its state for progress_deadline.",
    "superseded": "Somebody else updated the service while it was watched.",
    "timeout": "The service did not converge within wait_timeout; what was last seen is named.",
    "tls_expired": "A certificate of the endpoint, or the one that we show, is out of date.",
    "tls_rejected": "The endpoint does not take our client certificate.",
    "tls_untrusted": "The certificate of the endpoint is not of the CA that is named, or is for another name.",
    "tool_missing": "The library docker is not installed for the module's Python, or is too old.",
    "unpinned": "An image is named by a tag where pin is require; the digests are named where they are known.",
    "unschedulable": "No node takes a task of the service; Swarm's reason is named.",
    "update_paused": "Swarm paused the update of the service after a failure.",
}


@dataclass(frozen=True)
class World:
    """One observation of a cluster, or of one stack of it: raw objects of the Engine API.

    ``info`` is GET /info of the manager that answered. ``nodes`` are always those of the whole cluster; the other lists are of the stack that
    was asked for, or of everything; configs and secrets carry no data of secrets (the engine never gives it).
    """

    cluster_id: str
    info: Json
    nodes: t.Tuple[Json, ...] = ()
    services: t.Tuple[Json, ...] = ()
    tasks: t.Tuple[Json, ...] = ()
    networks: t.Tuple[Json, ...] = ()
    configs: t.Tuple[Json, ...] = ()
    secrets: t.Tuple[Json, ...] = ()


@dataclass(frozen=True)
class Desired:
    """A stack as it is wanted. Keys of the mappings are full names (``<stack>_<key>``).

    ``services`` are ServiceSpecs; ``networks``, ``configs``, ``secrets`` bodies of their create calls (``Data`` in base64). ``auth`` is
    X-Registry-Auth by service and is never shown; ``waves`` the wave of each service (0 where none is named). ``externals`` has the keys
    networks, configs, secrets, each with the names that must exist. ``warnings`` is what the CLI passed over, in its words.
    """

    name: str
    services: t.Mapping[str, Json]
    networks: t.Mapping[str, Json] = field(default_factory=dict)
    configs: t.Mapping[str, Json] = field(default_factory=dict)
    secrets: t.Mapping[str, Json] = field(default_factory=dict, repr=False)
    auth: t.Mapping[str, str] = field(default_factory=dict, repr=False)
    waves: t.Mapping[str, int] = field(default_factory=dict)
    gates: t.Tuple[Json, ...] = ()
    externals: t.Mapping[str, t.Tuple[str, ...]] = field(default_factory=dict)
    warnings: t.Tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """What is done to one service. ``action`` is create, update, remove, recreate (remove, then create) or none; ``restarts`` none, some, all (F7).

    ``before`` is the live service with its version (None where there is none), ``after`` the ServiceSpec that is posted (None: removed).
    """

    service: str
    action: str
    reasons: t.Tuple[str, ...] = ()
    restarts: str = "none"
    before: t.Optional[Json] = None
    after: t.Optional[Json] = None
    wave: int = 0


@dataclass(frozen=True)
class StackPlan:
    """Everything that one run does. ``create`` and ``remove`` have the keys networks, configs, secrets; values are full names, sorted."""

    name: str
    changes: t.Tuple[Change, ...] = ()
    create: t.Mapping[str, t.Tuple[str, ...]] = field(default_factory=dict)
    remove: t.Mapping[str, t.Tuple[str, ...]] = field(default_factory=dict)
    drift: t.Tuple[str, ...] = ()
    warnings: t.Tuple[str, ...] = ()

    def writes(self) -> bool:
        """Whether anything is to be done."""
        objects = [name for names in (*self.create.values(), *self.remove.values()) for name in names]
        return bool(objects) or any(change.action != "none" for change in self.changes)


@dataclass(frozen=True)
class Verdict:
    """What a service has come to: ``code`` is "converged", "waiting", or a failure code of FAILURES.

    ``evidence`` has one entry a task with ``slot``, ``node``, ``state``, ``error``, ``exit_code`` and, where asked for, ``log``.
    """

    code: str
    service: str
    message: str = ""
    evidence: t.Tuple[Json, ...] = ()
