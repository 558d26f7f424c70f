# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From tags to digests, so that every node and every later run has the same image. Pure but for the question to the registry that is handed in.

Reference and platforms become what the CLI makes of the same answer (moby client/service_create.go, imageDigestAndPlatforms), so a stack that the
CLI deployed is the same stack.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from ..._core.errors import FleetError
from ..._core.finding import Finding, failure
from ..model import Desired, Json

# GET /distribution/{reference}/json for a reference, with X-Registry-Auth or None. Raises FleetError with the registry's answer.
Resolve = t.Callable[[str, t.Optional[str]], Json]

MODES = ("missing", "always", "require", "never")


@dataclass(frozen=True)
class _Pinned:
    image: str
    platforms: t.Tuple[Json, ...]


def pin(desired: Desired, mode: str, resolve: Resolve, recorded: t.Mapping[str, Json], platforms: bool = False) -> Desired:
    """``desired`` with a digest in every image.

    ``mode``: missing takes the digest that ``recorded`` has for the same tag (of the same service, else of another), and asks for the others;
    always asks; require refuses tags; never changes nothing. ``recorded`` are full specs by the name of the service: of the last stable
    revision, or the live ones of a stack without history. ``platforms``: also ask for images that have a digest, because the cluster has several
    architectures. Raises FleetError pin_failed or unpinned with all images at once.
    """
    if mode == "never":
        return desired
    found: list[Finding] = []
    answers: dict[t.Tuple[str, t.Optional[str]], t.Union[_Pinned, FleetError]] = {}
    services: dict[str, Json] = {}
    for name, spec in desired.services.items():
        image = image_of(spec)
        known = None if mode == "always" else _recorded(name, image, recorded)
        if mode == "require" and not has_digest(image):
            found.append(_unpinned(name, image, known))
        if known is None and (platforms if has_digest(image) else mode != "require"):
            asked = (image, desired.auth.get(name))
            if asked not in answers:
                answers[asked] = _ask(*asked, resolve)
            answer = answers[asked]
            if isinstance(answer, FleetError):
                found.append(_failed(name, image, answer))
                continue
            known = answer
        services[name] = spec if known is None or (mode == "require" and not has_digest(image)) else _with(spec, known)
    if found:
        raise failure(found, "Nothing was sent to the cluster.")
    return replace(desired, services=services)


def image_of(spec: Json) -> str:
    """The image of a service; empty for a plugin."""
    return str(((spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}).get("Image") or "")


def has_digest(image: str) -> bool:
    """Whether nothing can be pinned: there is a digest, or the text is an id or empty (the CLI leaves those alone, too)."""
    return "@" in image or not image or re.fullmatch(r"[0-9a-f]{64}", image) is not None


def _recorded(name: str, image: str, recorded: t.Mapping[str, Json]) -> t.Optional[_Pinned]:
    for other in (name, *sorted(recorded)):
        spec = recorded.get(other)
        pinned = image_of(spec) if spec else ""
        if spec and "@" in pinned and (pinned == image or pinned.partition("@")[0] == image):
            return _Pinned(pinned, tuple((spec["TaskTemplate"].get("Placement") or {}).get("Platforms") or ()))
    return None


def _ask(image: str, auth: t.Optional[str], resolve: Resolve) -> t.Union[_Pinned, FleetError]:
    try:
        answer = resolve(image, auth)
    except FleetError as error:
        return error
    value = str((answer.get("Descriptor") or {}).get("digest") or "")
    if not re.fullmatch(r"[a-z0-9]+:[0-9a-f]{32,}", value):
        return FleetError("pin_failed", f"the registry's answer has no digest: {value!r}")
    # A manifest says arm, a node armv7l, so that the task would find no node (swarmkit #2294).
    found = [{"Architecture": "" if str(item.get("architecture")).lower() == "arm" else item.get("architecture"), "OS": item.get("os")}
             for item in answer.get("Platforms") or ()]  # fmt: skip
    return _Pinned(image if has_digest(image) else f"{image}@{value}", tuple(found))


def _with(spec: Json, known: _Pinned) -> Json:
    template = spec["TaskTemplate"]
    placement = {**(template.get("Placement") or {}), **({"Platforms": [dict(item) for item in known.platforms]} if known.platforms else {})}
    container = {**template["ContainerSpec"], "Image": known.image}
    more = {"Placement": placement} if placement or "Placement" in template else {}
    return {**spec, "TaskTemplate": {**template, "ContainerSpec": container, **more}}


def _unpinned(name: str, image: str, known: t.Optional[_Pinned]) -> Finding:
    what = f"Write {known.image}." if known else f"Write {image}@sha256:…; `docker buildx imagetools inspect {image}` tells the digest."
    return Finding("unpinned", "fail", field=f"services.{name}.image", message=f"{name}: {image} is a tag, and pin is require.", remedy=what)


def _failed(name: str, image: str, error: FleetError) -> Finding:
    return Finding(
        "pin_failed", "fail",
        field=f"services.{name}.image",
        message=f"{name}: the registry gives no digest of {image}: {error.message}",
        remedy=error.remedy or "Push the image or correct the reference; `docker login` where the module runs, if the registry wants credentials.",
    )
