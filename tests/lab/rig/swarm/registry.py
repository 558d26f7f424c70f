# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry of the lab's own on the bridge, without TLS and without accounts; the engines know it as an insecure one."""
from __future__ import annotations

import http.client
import json
import typing as t
from contextlib import closing, suppress

from ..shell import Daemon, LabError, wait, write
from .instance import Instance

# https://distribution.github.io/distribution/about/configuration/; tags can be moved and manifests deleted.
_CONFIG = """\
version: 0.1
log:
  level: warn
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {folder}
  delete:
    enabled: true
http:
  addr: {address}
"""
# https://distribution.github.io/distribution/spec/api/#pulling-an-image-manifest
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def daemon(instance: Instance) -> Daemon:
    return Daemon("registry", instance.home)


def answers(instance: Instance) -> bool:
    with suppress(OSError, http.client.HTTPException):
        return ask(instance, "GET", "/v2/")[0] == 200
    return False


def ensure(instance: Instance) -> str:
    runs = daemon(instance)
    if answers(instance) and runs.pid():
        return "answers"
    start(instance)
    return "started"


def start(instance: Instance) -> None:
    """Start it and wait until it answers."""
    runs, config = daemon(instance), instance.home / "registry.yml"
    write(config, _CONFIG.format(folder=json.dumps(str(instance.home / "registry")), address=instance.registry))
    # Debian's unit calls it the same way; the environment would change its settings (REGISTRY_...).
    runs.start(["nsenter", f"--net=/run/netns/{instance.name}", "docker-registry", "serve", config], env={"OTEL_TRACES_EXPORTER": "none"})
    try:
        wait("the registry to answer", lambda: answers(instance) or runs.pid() is None, 30)
    except LabError as problem:
        raise LabError(f"{problem}\n{runs.tail()}") from None
    if runs.pid() is None:
        raise LabError(f"The registry ended at once:\n{runs.tail()}")


def stop(instance: Instance) -> None:
    daemon(instance).stop(5)


def ask(instance: Instance, method: str, path: str) -> tuple[int, t.Mapping[str, str]]:
    """Status and headers of one request."""
    host, _colon, port = instance.registry.partition(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=5)) as connection:
        connection.request(method, path, headers={"Accept": _MANIFEST})
        reply = connection.getresponse()
        reply.read()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}


def digest(instance: Instance, repository: str, tag: str) -> str | None:
    """The digest that a tag points to; None when the registry has no such tag."""
    status, headers = ask(instance, "HEAD", f"/v2/{repository}/manifests/{tag}")
    return headers.get("docker-content-digest") if status == 200 else None
