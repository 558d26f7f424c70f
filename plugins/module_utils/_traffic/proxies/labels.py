# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traefik that is driven by docker labels: the edge's container has the application's rules at a higher priority.

No file of anybody is touched. The labels are on the container from the beginning and count for nothing while it is not healthy, as Traefik leaves
such containers out (pkg/provider/docker, containerFilter: Health is empty or "healthy"). Its health check is whether one file is there, so the edge
goes in and out by that file, at once and while it runs. Labels: doc.traefik.io/traefik/reference/routing-configuration/other-providers/docker.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import typing as t

from ..._core import private
from ..._core.errors import FleetError
from ..._core.runner import Runner
from ..._core.wait import Deadline, wait_for
from .insertion import Insertion, Prove, finding, of_error, refuse
from .source import Fault, missing, unsupported

IN, OUT = "in", "out"
IN_FILE = "in-the-path"
_SUFFIX = "-bowline"
# A check a second, one that fails is enough; the engine takes its time on a busy host.
_HEALTH = 60.0


class LabelsProxy:
    """See `insertion.Proxy`. Names of ``upstreams`` are containers, or container/service where one has several."""

    def __init__(self, insertion: Insertion, directory: str, run: Runner) -> None:
        self.insertion = insertion
        self._file = f"{directory}/{IN_FILE}"
        self._run = run

    def seen(self) -> str:
        return IN if os.path.lexists(self._file) else OUT

    def inserted(self, seen: str) -> str:
        self.labels()
        return IN

    def restored(self, seen: str) -> str:
        return OUT

    def digest(self, state: str) -> str:
        return hashlib.sha256(json.dumps([state, dict(self.insertion.upstreams)], sort_keys=True).encode()).hexdigest()

    def shown(self, state: str) -> t.Any:
        return state

    def change(self, seen: str, back: str, new: str, prove: Prove = lambda: None) -> None:
        if new == IN:
            refuse(self._unfit(), self.insertion.container)
        try:
            self._make(new)
            prove()
        except BaseException as error:
            if new != back:
                self._set(back)
                if isinstance(error, FleetError):
                    error.message += f" The edge is {back} of the path again."
            raise

    def notes(self, seen: str) -> list[dict[str, str]]:
        return []

    def findings(self) -> list[dict[str, str]]:
        try:
            _labels, faults = self._labels()
        except FleetError as error:
            return [of_error(error, "proxy.upstreams")]
        return [finding(fault, "proxy.upstreams") for fault in faults]

    def timeout(self) -> float | None:
        return None

    def labels(self) -> dict[str, str]:
        """The labels that the container of the edge needs; raises FleetError with all that stands against it."""
        labels, faults = self._labels()
        refuse(faults, "Every container")
        return labels

    def _labels(self) -> tuple[dict[str, str], list[Fault]]:
        labels: dict[str, str] = {}
        faults: list[Fault] = []
        for name, via in self.insertion.upstreams.items():
            container, _slash, service = name.partition("/")
            found = self._inspect(container)
            if found is None:
                faults.append(missing(name, f"There is no container {container}", [], "Name the container of the application, as docker ps shows it."))
                continue
            more, wrong = of_application(name, found["Config"]["Labels"] or {}, service, via.rpartition(":")[2])
            labels.update(more)
            faults += wrong
        return labels, faults

    def _unfit(self) -> list[Fault]:
        """What the container of the edge has not; a plan does not ask, as it may be still to come."""
        name = self.insertion.container
        there = self._inspect(name) if name else None
        if there is None:
            message = f"proxy.container is {name!r}; there is none of that name."
            return [Fault("option_invalid", "", message, "Start the container of the edge; role edge does.")]
        faults = []
        if not there["State"].get("Health"):
            faults.append(unsupported("", f"Container {name} of the edge has no health check.", "Role edge makes it anew with one."))
        differing = sorted(key for key, value in self.labels().items() if (there["Config"]["Labels"] or {}).get(key) != value)
        if differing:
            message = f"Container {name} of the edge has not the labels {', '.join(differing)}."
            faults.append(unsupported("", message, "Role edge makes it anew with them."))
        return faults

    def _inspect(self, container: str) -> dict[str, t.Any] | None:
        """``docker inspect`` of a container; None when there is none."""
        completed = self._run(["docker", "inspect", "--type", "container", "--", container], timeout=30)
        if completed.rc:
            if "no such container" in completed.err.lower():
                return None
            raise FleetError(
                "proxy_check_failed",
                f"docker inspect {container} ended with {completed.rc}: {completed.err.strip()[-300:]!r}. Nothing was changed.",
                remedy="Run it by hand.",
                details={"rc": completed.rc},
            )
        return dict(json.loads(completed.out)[0])

    def _make(self, state: str) -> None:
        self._set(state)
        if not self.insertion.container:
            # Nobody said which; whether requests still reach the edge is seen at the door.
            return
        wanted = "healthy" if state == IN else "unhealthy"

        def health() -> str:
            found = self._inspect(self.insertion.container)
            status = ((found or {}).get("State") or {}).get("Health", {}).get("Status", "none" if found else "gone")
            return "unhealthy" if status in ("gone", "starting") and state == OUT else str(status)

        wait_for(
            health,
            lambda seen: seen == wanted,
            Deadline(_HEALTH),
            what=f"container {self.insertion.container} of the edge to be {wanted}",
            code="edge_not_ready",
            interval=0.1,
            remedy=f"docker inspect {self.insertion.container}: its health check has to be whether {self._file} is there (role edge).",
        )

    def _set(self, state: str) -> None:
        if state == IN:
            private.write(self._file, b"The edge is in the path of Traefik while this file is here.\n", 0o644)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._file)


def of_application(name: str, given: t.Mapping[str, str], service: str, port: str) -> tuple[dict[str, str], list[Fault]]:
    """Labels for an edge from those of the application's container, and what stands against it. Pure."""
    labels = {key: value for key, value in given.items() if re.match(r"traefik\.(?!(?:http|tcp|udp)\.)", key, re.IGNORECASE)}
    # The same definition twice is one to Traefik, and it stays when the application's container is gone.
    labels.update({key: value for key, value in given.items() if key.lower().startswith("traefik.http.middlewares.")})
    routers = _named(given, "routers")
    services = _named(given, "services")
    faults = _wrong(name, routers, services, service)
    for router, options in routers.items():
        target = options.get("service", "")
        if (service and target != service) or ("@" in target and not target.endswith("@docker")):
            continue
        if "rule" not in options:
            remedy = "Write the rule as a label: traefik.http.routers.<name>.rule. The edge's container would have another default."
            faults.append(unsupported(name, f"Router {router} of container {name} has no rule of its own.", remedy))
            continue
        priority = int(options.get("priority") or 0) or len(options["rule"])
        ours = f"traefik.http.routers.{router}{_SUFFIX}"
        labels.update({f"{ours}.{key}": value for key, value in options.items()})
        labels.update({f"{ours}.service": router + _SUFFIX, f"{ours}.priority": str(priority + 1)})
        labels[f"traefik.http.services.{router}{_SUFFIX}.loadbalancer.server.port"] = port
    if not faults and not any(key.endswith(f"{_SUFFIX}.rule") for key in labels):
        wanted = f"Container {name} has no label traefik.http.routers.<name>.rule that leads to it"
        seen = [f"router {router}" for router in routers]
        faults.append(missing(name, wanted, seen, "Name the container that has the labels; those of a Swarm service are not read."))
    return labels, faults


def _named(given: t.Mapping[str, str], kind: str) -> dict[str, dict[str, str]]:
    """Options by name of ``traefik.http.<kind>.<name>.<option>``; keys are compared without regard to case."""
    found: dict[str, dict[str, str]] = {}
    for key, value in given.items():
        match = re.fullmatch(rf"traefik\.http\.{kind}\.([^.]+)\.(.+)", key, re.IGNORECASE)
        if match:
            found.setdefault(match.group(1), {})[match.group(2).lower()] = value
    return found


def _wrong(name: str, routers: t.Mapping[str, t.Any], services: t.Mapping[str, t.Mapping[str, str]], service: str) -> list[Fault]:
    faults = []
    if service and service not in services:
        return [missing(name, f"Container {name.partition('/')[0]} has no traefik.http.services.{service}", list(services), "Name one that it has.")]
    if not service and len(services) > 1:
        return [unsupported(name, f"Container {name} has the services {', '.join(services)}.", f"Name one: {name}/<service>.")]
    for each, options in services.items():
        if service and each != service:
            continue
        scheme = options.get("loadbalancer.server.scheme", "http").lower()
        if scheme != "http":
            remedy = "Let the application answer plain HTTP, or write the change yourself: driver command."
            faults.append(unsupported(name, f"Service {each} of container {name} speaks {scheme} to the application, and an edge speaks HTTP.", remedy))
        if options.get("loadbalancer.passhostheader", "true").lower() == "false":
            remedy = "Set passhostheader to true, and the Host by a middleware, if the application needs another."
            faults.append(unsupported(name, f"Service {each} of container {name} has passhostheader false: the edge's name would be its Host.", remedy))
    for router in routers:
        if router.endswith(_SUFFIX):
            faults.append(unsupported(name, f"Container {name} has the router {router}, which is an edge's.", "Name the application's container."))
    return faults
