# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of configs and secrets that change with their content, and what of a stack of the CLI's can stay as it is. Pure.

The engine changes no data of a config or secret (F11), so new content is a new object. A secret can never be read back: whether a secret of the
CLI's has the content that is wanted is proven by an update with the same data, which swarmkit refuses when it differs (manager/controlapi/secret.go,
UpdateSecret: "only updates to Labels are allowed").
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets as random
import typing as t
from dataclasses import dataclass, replace

from .canonical import canonical, digest
from .model import NAME_MAX, Desired, Json, World

__all__ = ["CONTENT_LABEL", "Named", "canonical", "digest", "ids_of", "named", "new_salt", "with_ids", "without_ids"]

# On a secret of the CLI's: the keyed hash of its content, once that is proven.
CONTENT_LABEL = "bowline.content"

_HASH = 10

# Kind -> the list in a ContainerSpec, and the keys of id and name in its entries (Engine API 1.41, ServiceSpec).
_REFERENCES = {"configs": ("Configs", "ConfigID", "ConfigName"), "secrets": ("Secrets", "SecretID", "SecretName")}


@dataclass(frozen=True)
class Named:
    """``desired`` with final names. ``unproven``: secrets of the CLI's, by name, with the body whose update proves their content."""

    desired: Desired
    unproven: t.Mapping[str, Json]


def new_salt() -> str:
    """A key for one stack, kept in a config that only managers can read: nobody else can try contents against a secret's name."""
    return random.token_hex(32)


def named(desired: Desired, world: World, salt: str, other: t.Collection[str] = ()) -> Named:
    """``desired`` with configs and secrets named ``<stack>_<key>-<sha10>``, and with the ids that are known.

    An object of the CLI's name with the same content stays, so that a stack of the CLI's is taken over without a restart. ``other`` names
    secrets whose proof failed. ``world`` has configs and secrets of the whole cluster.
    """
    live = {kind: {str(item["Spec"]["Name"]): item for item in getattr(world, kind)} for kind in _REFERENCES}
    names: dict[str, dict[str, str]] = {kind: {} for kind in _REFERENCES}
    bodies: dict[str, dict[str, Json]] = {kind: {} for kind in _REFERENCES}
    unproven: dict[str, Json] = {}
    for base, body in desired.configs.items():
        name = _name(base, _hash(body, ""))
        stays = name not in live["configs"] and base in live["configs"] and _content(live["configs"][base]["Spec"]) == _content(body)
        names["configs"][base] = base if stays else name
    for base, body in desired.secrets.items():
        content = _hash(body, salt)
        name, there = _name(base, content), live["secrets"].get(base)
        stays = name not in live["secrets"] and there is not None and base not in other and _may_be(there["Spec"], body, content)
        names["secrets"][base] = base if stays else name
        if stays and there is not None and CONTENT_LABEL not in (there["Spec"].get("Labels") or {}):
            unproven[base] = {**body, "Labels": {**(body.get("Labels") or {}), CONTENT_LABEL: content}}
    for kind, found in names.items():
        bodies[kind] = {found[base]: {**body, "Name": found[base]} for base, body in getattr(desired, kind).items()}
    ids = {kind: {name: str(item["ID"]) for name, item in live[kind].items()} for kind in _REFERENCES}
    services = {name: with_ids(_renamed(spec, names), ids) for name, spec in desired.services.items()}
    return Named(replace(desired, services=services, configs=bodies["configs"], secrets=bodies["secrets"]), unproven)


def with_ids(spec: Json, ids: t.Mapping[str, t.Mapping[str, str]]) -> Json:
    """``spec`` with the id of each config and secret by its name; the empty text where it does not exist yet."""
    runtime: t.Optional[str] = None

    def change(kind: str, entry: Json) -> Json:
        nonlocal runtime
        _list, key, name = _REFERENCES[kind]
        found = ids[kind].get(entry[name], "")
        runtime = found if "Runtime" in entry else runtime
        return {**entry, key: found}

    spec = _each(spec, change)
    container = spec["TaskTemplate"].get("ContainerSpec") or {}
    privileges = container.get("Privileges") or {}
    if runtime is not None and privileges.get("CredentialSpec"):
        # Only this field has the id alone (cli/compose/convert/service.go, convertCredentialSpec).
        privileges = {**privileges, "CredentialSpec": {**privileges["CredentialSpec"], "Config": runtime}}
        return {**spec, "TaskTemplate": {**spec["TaskTemplate"], "ContainerSpec": {**container, "Privileges": privileges}}}
    return spec


def without_ids(spec: Json) -> Json:
    """``spec`` as it is kept and compared: ids of configs and secrets are of one cluster and one moment."""
    return with_ids(spec, {"configs": {}, "secrets": {}})


def ids_of(world: World) -> dict[str, dict[str, str]]:
    """Ids of configs and secrets by kind and name."""
    return {kind: {str(item["Spec"]["Name"]): str(item["ID"]) for item in getattr(world, kind)} for kind in _REFERENCES}


def _may_be(there: Json, body: Json, content: str) -> bool:
    """Whether a live secret has the content, or may have it: what the engine tells of it is the same."""
    mark = (there.get("Labels") or {}).get(CONTENT_LABEL)
    if mark is not None:
        return bool(mark == content)
    told = {key: value for key, value in _content(body).items() if key != "Data"}
    return told == {key: value for key, value in _content(there).items() if key != "Data"}


def _content(body: Json) -> Json:
    """What of a config or secret matters; empty is absent."""
    return {key: value for key, value in body.items() if key in ("Data", "Labels", "Driver", "Templating") and value}


def _hash(body: Json, salt: str) -> str:
    text = json.dumps(_content(body), sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(salt.encode(), text, hashlib.sha256).hexdigest() if salt else hashlib.sha256(text).hexdigest()


def _name(base: str, content: str) -> str:
    return f"{base[: NAME_MAX - _HASH - 1]}-{content[:_HASH]}"


def _renamed(spec: Json, names: t.Mapping[str, t.Mapping[str, str]]) -> Json:
    def change(kind: str, entry: Json) -> Json:
        name = _REFERENCES[kind][2]
        return {**entry, name: names[kind].get(entry[name], entry[name])}

    return _each(spec, change)


def _each(spec: Json, change: t.Callable[[str, Json], Json]) -> Json:
    """``spec`` with every reference to a config or secret changed; all else stays as it is, with its order."""
    template = spec.get("TaskTemplate") or {}
    container = template.get("ContainerSpec") or {}
    lists = {_REFERENCES[kind][0]: kind for kind in _REFERENCES}
    changed = {
        key: [change(lists[key], dict(entry)) for entry in value] if key in lists and value else value for key, value in container.items()
    }
    return {**spec, "TaskTemplate": {**template, "ContainerSpec": changed}} if container else {**spec, "TaskTemplate": template}
