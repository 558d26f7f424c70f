# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster, asked through whichever of its managers answers. Paths and fields: https://docs.docker.com/reference/api/engine/version/v1.41/

A read goes on with the next manager of the same cluster. A write whose outcome is not known is read back first: the version that it carries,
or the name that it makes, tells whether it has landed, and keeps a second one from landing, too.
"""

from __future__ import annotations

import base64
import json
import os
import time
import typing as t

from ..model import STACK_LABEL, Json, World
from ..spec.same import same
from .endpoint import Options, options
from .logs import text_of
from .pool import PATIENCE, Pool
from .wire import Exists, Gone, OutOfSequence, Wire, filters, segment

__all__ = ["Engine", "Exists", "Gone", "OutOfSequence"]

Filters = t.Optional[t.Mapping[str, t.Sequence[str]]]
T = t.TypeVar("T")

# What the engine calls the objects, by the word of this room.
_LISTS = {"config": "configs", "secret": "secrets", "network": "networks", "service": "services", "node": "nodes"}


class Engine:
    """Managers of one cluster. Objects are the JSON of the API; lists are tuples in the order of the engine."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @classmethod
    def connect(cls, given: t.Mapping[str, t.Any], *, cluster_id: str = "", patience: float = PATIENCE) -> "Engine":
        """The cluster of the first endpoint of ``given`` (options of the modules) that answers as a manager; ``cluster_id`` pins it.

        Raises FleetError "option_invalid", "insecure_endpoint", "tool_missing", "endpoint_unreachable", "tls_expired", "tls_untrusted",
        "tls_rejected", "api_unsupported", "not_manager", "cluster_mismatch", "quorum_lost".
        """
        return cls.over(options(given, os.environ), cluster_id=cluster_id, patience=patience)

    @classmethod
    def over(cls, settings: Options, *, cluster_id: str = "", patience: float = PATIENCE) -> "Engine":
        pool = Pool([Wire(endpoint, settings) for endpoint in settings.endpoints], cluster_id, patience)
        pool.open()
        return cls(pool)

    def clone(self) -> "Engine":
        """The same cluster over connections of its own, for another thread; it connects at its first question."""
        return Engine(self._pool.clone())

    def close(self) -> None:
        self._pool.close()

    @property
    def cluster_id(self) -> str:
        return self._pool.cluster_id

    @property
    def api_version(self) -> str:
        """The version of the API that is spoken with the manager that answered last."""
        return self._pool.current.api_version

    @property
    def endpoint(self) -> str:
        """The manager that answered last, as it was given."""
        return self._pool.current.endpoint.given

    # --- reads

    def world(self, stack: t.Optional[str] = None) -> World:
        """One observation: of everything, or of one stack. Nodes are always all of them."""
        mine = {"label": [f"{STACK_LABEL}={stack}"]} if stack else None
        services = self.services(mine)
        return World(
            self.cluster_id,
            self.info(),
            self.nodes(),
            services,
            self.tasks(mine),
            self._with_predefined(self.networks(mine), services),
            self.configs(mine),
            self.secrets(mine),
        )

    def _with_predefined(self, networks: tuple[Json, ...], services: tuple[Json, ...]) -> tuple[Json, ...]:
        """``networks`` and those of Swarm's own that ``services`` use: its `host` and `bridge` have ids, and are in no list (seen on 20.10)."""
        known = {str(network["Id"]) for network in networks}
        used = {str(item.get("Target")) for service in services for item in (service["Spec"].get("TaskTemplate") or {}).get("Networks") or ()}
        found = []
        for identity in sorted(used - known):
            try:
                found.append(self.network(identity))
            except Gone:
                continue
        return (*networks, *found)

    def info(self) -> Json:
        return t.cast(Json, self._get("/info"))

    def swarm(self) -> Json:
        return t.cast(Json, self._get("/swarm"))

    def nodes(self, wanted: Filters = None) -> tuple[Json, ...]:
        return self._list("/nodes", wanted)

    def services(self, wanted: Filters = None, *, status: bool = False) -> tuple[Json, ...]:
        """With ``status`` each has ServiceStatus: RunningTasks, DesiredTasks, CompletedTasks."""
        return self._list("/services", wanted, {"status": "true"} if status else {})

    def tasks(self, wanted: Filters = None) -> tuple[Json, ...]:
        return self._list("/tasks", wanted)

    def networks(self, wanted: Filters = None) -> tuple[Json, ...]:
        """Networks of the cluster, not those of the one host that answers."""
        return self._list("/networks", {"scope": ["swarm"], **(wanted or {})})

    def volumes(self, wanted: Filters = None) -> tuple[Json, ...]:
        """Volumes of the one host that answers: the engine has no list of the others."""
        return tuple((self._get("/volumes", filters(wanted)) or {}).get("Volumes") or ())

    def configs(self, wanted: Filters = None) -> tuple[Json, ...]:
        return self._list("/configs", wanted)

    def secrets(self, wanted: Filters = None) -> tuple[Json, ...]:
        return self._list("/secrets", wanted)

    def service(self, name: str) -> Json:
        """By id or name. Raises Gone."""
        return t.cast(Json, self._get(f"/services/{segment(name)}"))

    def node(self, name: str) -> Json:
        return t.cast(Json, self._get(f"/nodes/{segment(name)}"))

    def config(self, name: str) -> Json:
        return t.cast(Json, self._get(f"/configs/{segment(name)}"))

    def secret(self, name: str) -> Json:
        """Without its data, which the engine never gives."""
        return t.cast(Json, self._get(f"/secrets/{segment(name)}"))

    def network(self, name: str) -> Json:
        return t.cast(Json, self._get(f"/networks/{segment(name)}"))

    def task(self, name: str) -> Json:
        return t.cast(Json, self._get(f"/tasks/{segment(name)}"))

    def task_logs(self, task_id: str, tail: int = 100, since: int = 0, timeout: float = 10.0) -> str:
        """The last ``tail`` lines of one task, both streams as they came. A node that does not answer gives what came in ``timeout`` seconds."""
        query = {"stdout": 1, "stderr": 1, "tail": tail, "since": since}
        return text_of(self._pool.read(lambda wire: wire.patient("GET", f"/tasks/{segment(task_id)}/logs", query, timeout)))

    def distribution(self, reference: str, auth: t.Optional[str] = None) -> Json:
        """What the registry says of an image: Descriptor (digest) and Platforms. Raises FleetError "engine_error" with the registry's answer."""
        headers = {"X-Registry-Auth": auth} if auth else None
        return t.cast(Json, self._pool.read(lambda wire: wire.json("GET", f"/distribution/{segment(reference)}/json", headers=headers)))

    def events(self, since: float, until: t.Optional[float] = None, wanted: Filters = None) -> list[Json]:
        """Events from ``since`` to ``until`` (unix seconds, default now), of what the engine still has: its last 256 (F12)."""
        query = {"since": f"{since:.9f}", "until": f"{time.time() if until is None else until:.9f}", **filters(wanted)}
        content = self._pool.read(lambda wire: wire.raw("GET", "/events", query))
        return [json.loads(line) for line in content.splitlines() if line.strip()]

    def _get(self, path: str, query: t.Optional[t.Mapping[str, t.Any]] = None) -> t.Any:
        return self._pool.read(lambda wire: wire.json("GET", path, query))

    def _list(self, path: str, wanted: Filters, query: t.Optional[t.Mapping[str, t.Any]] = None) -> tuple[Json, ...]:
        return tuple(self._get(path, {**filters(wanted), **(query or {})}) or ())

    # --- services

    def service_create(self, spec: Json, auth: t.Optional[str] = None) -> str:
        """Its id. Raises Exists."""
        return self._create("service", "/services/create", spec, auth)

    def service_update(self, name: str, version: int, spec: Json, auth: t.Optional[str] = None) -> tuple[str, ...]:
        """The engine's warnings. ``version`` is the one that ``spec`` was planned from. Raises OutOfSequence, Gone."""
        answer = self._update("service", name, version, spec, auth)
        return tuple((answer or {}).get("Warnings") or ())

    def service_remove(self, name: str) -> None:
        self._remove(f"/services/{segment(name)}")

    # --- networks, configs, secrets

    def network_create(self, body: Json) -> str:
        return self._create("network", "/networks/create", body)

    def network_remove(self, name: str) -> None:
        self._remove(f"/networks/{segment(name)}")

    def config_create(self, body: Json) -> str:
        return self._create("config", "/configs/create", body)

    def config_update(self, name: str, version: int, spec: Json) -> None:
        """Labels only: the engine refuses other data (F11)."""
        self._update("config", name, version, spec)

    def config_remove(self, name: str) -> None:
        self._remove(f"/configs/{segment(name)}")

    def secret_create(self, body: Json) -> str:
        return self._create("secret", "/secrets/create", body)

    def secret_update(self, name: str, version: int, spec: Json) -> None:
        self._update("secret", name, version, spec)

    def secret_remove(self, name: str) -> None:
        self._remove(f"/secrets/{segment(name)}")

    # --- nodes

    def node_update(self, name: str, version: int, spec: Json) -> None:
        self._update("node", name, version, spec)

    def node_remove(self, name: str, force: bool = False) -> None:
        self._remove(f"/nodes/{segment(name)}", {"force": "true"} if force else None)

    # --- writes

    def _create(self, kind: str, path: str, body: Json, auth: t.Optional[str] = None) -> str:
        headers = {"X-Registry-Auth": auth} if auth else None

        def landed() -> t.Optional[str]:
            there = self._named(kind, str(body.get("Name") or ""))
            if there is None:
                return None
            if not _made_of(kind, there, body):
                raise Exists("conflict", f"{kind} {body.get('Name')} was made by somebody else meanwhile; it stays as it is.", "Run again.")
            return _id(there)

        return self._write(lambda wire: _id(wire.json("POST", path, body=body, headers=headers)), landed)

    def _update(self, kind: str, name: str, version: int, spec: Json, auth: t.Optional[str] = None) -> t.Any:
        headers = {"X-Registry-Auth": auth} if auth else None
        path = f"/{_LISTS[kind]}/{segment(name)}"

        def landed() -> t.Optional[Json]:
            there = self._get(path)
            if int(there["Version"]["Index"]) == version:
                return None
            if not same(there.get("Spec"), spec):
                raise OutOfSequence("conflict", f"{kind} {name} was changed by somebody else meanwhile; nothing was written over.", "Run again.")
            return {}

        return self._write(lambda wire: wire.json("POST", f"{path}/update", {"version": version}, spec, headers) or {}, landed)

    def _remove(self, path: str, query: t.Optional[t.Mapping[str, t.Any]] = None) -> None:
        def landed() -> t.Optional[bool]:
            try:
                self._get(path)
            except Gone:
                return True
            return None

        def send(wire: Wire) -> bool:
            wire.raw("DELETE", path, query)
            return True

        self._write(send, landed)

    def _write(self, send: t.Callable[[Wire], T], landed: t.Callable[[], t.Optional[T]]) -> T:
        return self._pool.write(send, landed)

    def _named(self, kind: str, name: str) -> t.Optional[Json]:
        """The object of exactly this name; the filter of the engine takes beginnings."""
        found = self._list(f"/{_LISTS[kind]}", {"name": [name]})
        return next((one for one in found if (one.get("Spec") or one).get("Name") == name), None)


def _id(answer: Json) -> str:
    """Networks are made with Id or ID, by version of the engine."""
    return str(answer.get("ID") or answer.get("Id") or "")


def _made_of(kind: str, there: Json, body: Json) -> bool:
    """Whether ``there`` is what ``body`` makes. Data of secrets cannot be read; their labels and names are of this run or of its like."""
    if kind == "service":
        return same(there.get("Spec"), body)
    if kind == "network":
        return same(there.get("Labels"), body.get("Labels")) and there.get("Driver") == (body.get("Driver") or "overlay")
    spec = there.get("Spec") or {}
    data = kind == "secret" or _decoded(spec.get("Data")) == _decoded(body.get("Data"))
    return data and same(spec.get("Labels"), body.get("Labels"))


def _decoded(data: t.Any) -> bytes:
    return base64.b64decode(str(data or ""))
