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

from ..._core.finding import Finding, failure
from ..model import NAME_MAX, Desired, Json, World
from .canonical import canonical, digest

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

    An object of the CLI's name with the same content stays, so that a stack of the CLI's is taken over without a restart. One to which the file
    gives a name of its own has exactly that name, since others may ask for it. ``other`` names secrets whose proof failed. ``world`` has configs
    and secrets of the whole cluster. Raises FleetError conflict with all names of their own that are taken by another content.
    """
    live = {kind: {str(item["Spec"]["Name"]): item for item in getattr(world, kind)} for kind in _REFERENCES}
    given = [_config(desired.name, base, body, live["configs"]) for base, body in desired.configs.items()]
    given += [_secret(desired.name, base, body, live["secrets"], salt, base in other) for base, body in desired.secrets.items()]
    found = [_taken(one) for one in given if one.taken]
    if found:
        raise failure(found, "Nothing was changed.")
    names = {kind: {one.base: one.name for one in given if one.kind == kind} for kind in _REFERENCES}
    bodies = {kind: {one.name: one.body for one in given if one.kind == kind} for kind in _REFERENCES}
    ids = {kind: {name: str(item["ID"]) for name, item in live[kind].items()} for kind in _REFERENCES}
    services = {name: with_ids(_renamed(spec, names), ids) for name, spec in desired.services.items()}
    unproven = {one.base: one.body for one in given if one.unproven}
    return Named(replace(desired, services=services, configs=bodies["configs"], secrets=bodies["secrets"]), unproven)


@dataclass(frozen=True)
class _Given:
    """One config or secret with its final name. ``taken``: the name is its own, and belongs to another content."""

    kind: str
    base: str
    name: str
    body: Json
    taken: bool = False
    unproven: bool = False


def _config(stack: str, base: str, body: Json, live: t.Mapping[str, Json]) -> _Given:
    same = base in live and _content(live[base]["Spec"]) == _content(body)
    if not base.startswith(f"{stack}_"):
        return _Given("configs", base, base, body, taken=base in live and not same)
    name = _name(base, _hash(body, ""))
    name = base if same and name not in live else name
    return _Given("configs", base, name, {**body, "Name": name})


def _secret(stack: str, base: str, body: Json, live: t.Mapping[str, Json], salt: str, other: bool) -> _Given:
    content, there = _hash(body, salt), (live.get(base) or {}).get("Spec")
    may = there is not None and not other and _may_be(there, body, content)
    unproven = may and there is not None and CONTENT_LABEL not in (there.get("Labels") or {})
    marked = {**body, "Labels": {**(body.get("Labels") or {}), CONTENT_LABEL: content}}
    if not base.startswith(f"{stack}_"):
        return _Given("secrets", base, base, marked, taken=there is not None and not may, unproven=unproven)
    name = _name(base, content)
    if may and name not in live:
        return _Given("secrets", base, base, marked, unproven=unproven)
    return _Given("secrets", base, name, {**body, "Name": name})


def _taken(one: _Given) -> Finding:
    word = one.kind[:-1]
    return Finding(
        "conflict", "fail",
        field=f"{one.kind}.{one.base}",
        message=f"The {word} {one.base} exists with another content or other labels, and a {word} never changes.",
        remedy="Give it another `name` in the compose file, or take `name` out there: then its name follows its content.",
    )


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
