# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fields that the CLI sends and an older engine drops without a word, so that what runs would never be what was sent. Pure.

Sources: moby v28.2.2, api/server/router/swarm/helpers.go (adjustForAPIVersion), and its docs/api/version-history.md for Subpath.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..._core.finding import Finding
from ..model import Json


@dataclass(frozen=True)
class _Field:
    """``path`` below a ContainerSpec, "*" for each item of a list; ``since`` is the first API that keeps it; ``needed``: the service is another
    one without it.
    """

    path: tuple[str, ...]
    key: str
    since: str
    needed: bool = False


_FIELDS = (
    _Field(("OomScoreAdj",), "oom_score_adj", "1.46"),
    _Field(("Healthcheck", "StartInterval"), "healthcheck.start_interval", "1.44"),
    # Without it the container would see the whole volume.
    _Field(("Mounts", "*", "VolumeOptions", "Subpath"), "volumes.volume.subpath", "1.45", needed=True),
)


def fitted(services: t.Mapping[str, Json], api_version: str) -> tuple[dict[str, Json], list[str], list[Finding]]:
    """``services`` without the fields that an engine of ``api_version`` drops; a warning for each, or a finding where it cannot do without."""
    warnings, found, fitting = [], [], {}
    for name, spec in services.items():
        container = spec["TaskTemplate"].get("ContainerSpec") or {}
        for field in _FIELDS:
            if _number(api_version) >= _number(field.since) or not _has(container, field.path):
                continue
            what = f"{name}: {field.key} needs an engine with API {field.since}, and this one has {api_version}"
            if field.needed:
                found.append(Finding("compose_invalid", "fail", field=f"services.{name}", message=f"{what}.",
                                     remedy=f"Update the engines, or take {field.key} out."))
            else:
                warnings.append(f"{what}; it has no effect.")
                container = _without(container, field.path)
        fitting[name] = {**spec, "TaskTemplate": {**spec["TaskTemplate"], "ContainerSpec": container}} if container else spec
    return fitting, warnings, found


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _has(value: t.Any, path: tuple[str, ...]) -> bool:
    if not path:
        return bool(value)
    if path[0] == "*":
        return any(_has(item, path[1:]) for item in value or ())
    return isinstance(value, dict) and _has(value.get(path[0]), path[1:])


def _without(value: Json, path: tuple[str, ...]) -> Json:
    if len(path) == 1:
        return {key: item for key, item in value.items() if key != path[0]}
    return {**value, path[0]: _without(value[path[0]], path[1:])}
