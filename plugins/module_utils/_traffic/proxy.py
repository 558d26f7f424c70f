# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reverse proxies that an edge can be put behind: their drivers, and what the option proxy may say."""

from __future__ import annotations

import re
import typing as t

from .._core.runner import Runner
from . import faults
from .model import EdgeSpec
from .proxies.caddy import Caddy
from .proxies.command import CommandProxy
from .proxies.file import FileProxy
from .proxies.haproxy import HAProxy
from .proxies.insertion import Insertion, Proxy, of_error, taken
from .proxies.labels import LabelsProxy
from .proxies.nginx import Nginx
from .proxies.source import Driver
from .proxies.traefik import Traefik
from .render import PRIVATE

__all__ = ["DRIVERS", "Insertion", "Proxy", "asked_for", "of", "of_error", "recorded", "taken"]

DRIVERS: dict[str, Driver] = {"nginx": Nginx(), "caddy": Caddy(), "traefik": Traefik(), "haproxy": HAProxy()}

# What each driver cannot do without. Traefik sees its file change by itself and has no test of it.
_NEEDED = {
    **dict.fromkeys(("nginx", "caddy", "haproxy"), ("config", "upstreams", "check", "reload")),
    "traefik": ("config", "upstreams"),
    "traefik_labels": ("upstreams",),
    "command": ("check", "insert", "remove"),
}


def asked_for(asked: t.Mapping[str, t.Any] | None, spec: EdgeSpec | None) -> Insertion | None:
    """The insertion that the option proxy describes; raises FleetError ``option_invalid`` for words that no configuration can have."""
    if not asked:
        return None
    driver, upstreams = asked["driver"], asked.get("upstreams") or []
    wrong = [f"proxy.{field} is missing; driver {driver} needs it." for field in _NEEDED[driver] if not asked.get(field)]
    wrong += [f"proxy.container is {asked['container']!r}, which is no name of a container."] if not _name(asked.get("container")) else []
    wrong += ["proxy.container is of driver traefik_labels only."] if asked.get("container") and driver != "traefik_labels" else []
    wrong += [f"proxy.{field} is of driver command only." for field in ("insert", "remove") if asked.get(field) and driver != "command"]
    if spec is not None:
        known = {service.name for service in spec.services}
        others = sorted({item["service"] for item in upstreams} - known)
        wrong += [f"proxy.upstreams names the services {', '.join(others)}; known: {', '.join(sorted(known))}."] if others else []
    wrong += [f"proxy.upstreams has the name {item['name']!r}." for item in upstreams if not faults.upstream(item["name"])]
    wrong += [
        f"proxy.upstreams.{item['name']}.via is {item['via']!r}; expected host:port or unix:/path." for item in upstreams if not faults.via(item["via"])
    ]
    names = [item["name"] for item in upstreams]
    wrong += [f"proxy.upstreams has {name} twice." for name in sorted({name for name in names if names.count(name) > 1})]
    faults.refuse(wrong)
    return _insertion(driver, {**asked, "upstreams": {item["name"]: item["via"] for item in upstreams}})


def _name(container: str | None) -> bool:
    return not container or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", container) is not None


def recorded(record: t.Mapping[str, t.Any]) -> Insertion:
    """The insertion of a record, whose keys are those of `Insertion`."""
    return _insertion(record["driver"], record)


def _insertion(driver: str, given: t.Mapping[str, t.Any]) -> Insertion:
    check, reload, insert, remove = (tuple(given.get(field) or ()) for field in ("check", "reload", "insert", "remove"))
    return Insertion(driver, given.get("config") or "", given["upstreams"], check, reload, insert, remove, given.get("container") or "")


def of(insertion: Insertion, directory: str, run: Runner) -> Proxy:
    """The proxy of ``insertion`` for the edge in ``directory``."""
    if insertion.driver == "command":
        return CommandProxy(insertion, run)
    if insertion.driver == "traefik_labels":
        return LabelsProxy(insertion, directory, run)
    return FileProxy(insertion, DRIVERS[insertion.driver], directory, directory + PRIVATE, run)
