# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Docker engine of this machine over its socket, with nothing but the library of Python: neither its CLI nor an SDK has to be installed.

(Debian 13 installs docker.io without docker-cli; modules of community.docker need requests on the machine.) Paths and fields:
https://docs.docker.com/reference/api/engine/version/v1.41/ - a path without a version is that of the newest one which the engine speaks.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import typing as t
from urllib.parse import quote

from ..._core.visible import one_line
from .model import Container, Silent, Unanswered

Json = t.Dict[str, t.Any]

ORDER = "bowline.drain.order"
_TASK = "com.docker.swarm.task.id"
_COMPOSE = "com.docker.compose."
# Seconds for a question; a stop takes as long as its container may.
_SECONDS = 20.0
_LARGEST = 64 * 1024 * 1024


class Refused(Exception):
    """The engine answered that it does not do that; the text is its reason."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Docker:
    """Raises Unanswered where the engine says nothing, or nothing in time, and Refused where it says no."""

    def __init__(self, path: str, patience: float = _SECONDS) -> None:
        self.path, self._patience = path, min(patience, _SECONDS)

    def member(self) -> bool:
        """Whether it is in a Swarm: anything but inactive, a locked or leaving one as well."""
        swarm = (self._ask("GET", "/info") or {}).get("Swarm") or {}
        return str(swarm.get("LocalNodeState") or "inactive") != "inactive"

    def containers(self) -> t.Tuple[Container, ...]:
        """All of them. One that goes away while it is looked at is none."""
        found = []
        for listed in self._ask("GET", "/containers/json?all=1") or ():
            try:
                found.append(self._ask("GET", f"/containers/{quote(str(listed['Id']))}/json"))
            except Refused:
                continue
        return read(found)

    def keep_policy(self, container: str, policy: str, retries: int = 0) -> None:
        self._ask("POST", f"/containers/{quote(container)}/update", {"RestartPolicy": {"Name": policy, "MaximumRetryCount": retries}})

    def stop(self, container: str, seconds: float) -> None:
        """Within its own stop timeout, after which the engine kills it; at once where no ``seconds`` are left."""
        at_once = "?t=0" if seconds <= 0 else ""
        self._ask("POST", f"/containers/{quote(container)}/stop{at_once}", seconds=seconds if seconds > 0 else None)

    def start(self, container: str) -> None:
        self._ask("POST", f"/containers/{quote(container)}/start", seconds=60.0)

    def pause(self, container: str) -> None:
        self._ask("POST", f"/containers/{quote(container)}/pause")

    def _ask(self, method: str, path: str, body: t.Optional[Json] = None, seconds: t.Optional[float] = None) -> t.Any:
        connection = _Connection(self.path, max(self._patience if seconds is None else seconds, 0.1))
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            content = answer.read(_LARGEST)
            said = json.loads(content) if content.strip() else None
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise Silent(f"nobody listens at {self.path}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unanswered(f"the engine at {self.path} does not answer: {one_line(error) or type(error).__name__}") from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise Refused(one_line(said.get("message") if isinstance(said, dict) else said)[:300])
        return said


def left_running(proc: str = "/proc") -> t.Tuple[str, ...]:
    """Ids of containers that run although the engine does not (option live-restore): each has a shim of containerd in namespace moby.

    Engines inside of containers have shims as well, which end with the container: they are in another namespace of processes.
    """
    found, ours = [], os.readlink(f"{proc}/self/ns/pid")
    for entry in os.listdir(proc):
        if entry.isdigit():
            try:
                with open(f"{proc}/{entry}/cmdline", "rb") as file:
                    words = file.read(4096).decode(errors="replace").split("\0")
                shim = "containerd-shim" in words[0] and os.readlink(f"{proc}/{entry}/ns/pid") == ours
            except OSError:
                continue
            given = dict(zip(words, words[1:]))
            if shim and given.get("-namespace") == "moby":
                found.append(given.get("-id", "")[:12])
    return tuple(sorted(found))


def read(inspected: t.Sequence[Json]) -> t.Tuple[Container, ...]:
    """Containers of what ``/containers/<id>/json`` says, with what each depends on. Pure."""
    by_name = {str(one["Name"]).lstrip("/"): str(one["Id"]) for one in inspected}
    services: t.Dict[t.Tuple[str, str], t.List[str]] = {}
    for one in inspected:
        labels = _labels(one)
        services.setdefault((labels.get(_COMPOSE + "project", ""), labels.get(_COMPOSE + "service", "")), []).append(str(one["Id"]))
    return tuple(_container(one, by_name, services) for one in inspected)


def _container(one: Json, by_name: t.Mapping[str, str], services: t.Mapping[t.Tuple[str, str], t.Sequence[str]]) -> Container:
    labels, state, host = _labels(one), one["State"], one["HostConfig"]
    policy = host.get("RestartPolicy") or {}
    order = labels.get(ORDER, "")
    return Container(
        id=str(one["Id"]),
        name=one_line(one["Name"]).lstrip("/"),
        # One that the engine is about to start again counts as running.
        running=bool(state.get("Running") or state.get("Restarting") or state.get("Paused")),
        paused=bool(state.get("Paused")),
        policy=str(policy.get("Name") or "no"),
        retries=int(policy.get("MaximumRetryCount") or 0),
        order=int(order) if re.fullmatch(r"-?\d{1,6}", order) else 0,
        needs=tuple(sorted({*_compose(labels, services), *_joined(host, by_name)} - {str(one["Id"])})),
        auto_remove=bool(host.get("AutoRemove")),
        task=_TASK in labels,
        finished=str(state.get("FinishedAt") or ""),
    )


def _labels(one: Json) -> t.Dict[str, str]:
    return {str(key): str(value) for key, value in ((one.get("Config") or {}).get("Labels") or {}).items()}


def _compose(labels: t.Mapping[str, str], services: t.Mapping[t.Tuple[str, str], t.Sequence[str]]) -> t.Iterator[str]:
    """Compose writes ``db:service_started:false,cache:service_healthy:true`` (docker/compose, pkg/compose/create.go); version 1 writes none."""
    for word in labels.get(_COMPOSE + "depends_on", "").split(","):
        service = word.partition(":")[0].strip()
        if service:
            yield from services.get((labels.get(_COMPOSE + "project", ""), service), ())


def _joined(host: Json, by_name: t.Mapping[str, str]) -> t.Iterator[str]:
    """Containers whose namespaces it joins, ``container:<id>``, and those that it is linked to, ``/db:/web/alias``: it starts behind them only."""
    for mode in ("NetworkMode", "PidMode", "IpcMode"):
        kind, _colon, other = str(host.get(mode) or "").partition(":")
        if kind == "container":
            yield by_name.get(other, other)
    for link in host.get("Links") or ():
        name = str(link).partition(":")[0].lstrip("/")
        if name in by_name:
            yield by_name[name]
