# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the options of node_instance, the node, its template and what it has already to what is asked for. Pure; all that is wrong comes at once.

What a machine is made with: the defaults of the template, the sizes of its type there, then the options of this run. Where it stands is kept with it,
so that later runs need not say it again, and none looks for it on another host.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .._core.argspec import unknown_keys
from .._core.errors import FleetError
from .._core.finding import Finding, failure
from .machine.argspec import HOST, SPEC
from .machine.model import KINDS
from .machine.options import asked as machine_asked
from .model import Instance, Json, Node, Template
from .plan import Desired
from .provider.local import TYPES

Params = t.Mapping[str, t.Any]

# Where a machine stands is kept in its row, under this key of its spec; it is no attribute of the machine.
PLACED = "placed"
# Defaults of a template that are about the machine and no attribute of it.
_ABOUT = ("provider", "instance_types")
_PLACE = ("uri", "folder")
_HOW = ("accel", "launcher")
# What is looked at when a machine is made, and is no attribute of it.
_PROOF = ("image_sha256", "accept_unpublished")
_NOBODY = "00000000-0000-4000-8000-000000000000"
_REMEDY = "Correct the option."


@dataclass(frozen=True)
class Asked:
    """``desired`` for the life; ``host`` are options of node_machine that say where and how, ``credentials`` files on that host by their name.

    ``proof`` says what the image has to be.
    """

    desired: Desired
    host: t.Mapping[str, t.Any]
    credentials: t.Mapping[str, str] = field(default_factory=dict)
    proof: t.Mapping[str, t.Any] = field(default_factory=dict)


def asked(params: Params, node: Node, template: Template, known: t.Optional[Instance], host: str, actor: str = "") -> Asked:
    """What is asked for. ``known`` is the live machine of the node, ``host`` the inventory name of the host that the task runs on."""
    defaults = {name: value for name, value in template.defaults.items() if name not in _ABOUT}
    options = {**defaults, **params["provider_options"]}
    found = [*_unknown("provider_options", params["provider_options"]), *_unknown(f"template {template.name}, defaults", defaults)]
    kind = _kind(params, template, known, found)
    place = _place(params, options, known, host, found)
    attributes, hashed = _made_with(params, template, options, kind, node, known, found)
    if params["confirm"] not in (None, node.name):
        message = f"confirm is {params['confirm']!r}, and the node is {node.name}."
        found.append(Finding("confirm_mismatch", "fail", node.name, message, f"confirm: {node.name}", "confirm"))
    if found:
        raise failure(found, "Nothing was changed.")
    desired = Desired(
        params["state"], kind, {**attributes, PLACED: place}, hashed, bool(options.get("credentials")), drain=params["drain"]["enabled"],
        force=params["force"], skip=tuple(params["skip_finalizers"]), adopt=params["adopt"], accept_undrained=params["accept_undrained"],
        replace=params["on_immutable_change"] == "replace", approved=params["confirm"] == node.name, contacted=params["wait_for"] == "contacted",
        actor=actor, reason=params["reason"] or "",
    )  # fmt: skip
    how = {name: options[name] for name in _HOW if name in options}
    where = {name: place[name] for name in _PLACE if name in place}
    named = {**options, **({"image_sha256": params["image_sha256"]} if params["image_sha256"] else {})}
    proof = {name: named[name] for name in _PROOF if named.get(name) is not None}
    return Asked(desired, {"kind": kind, "mode": params["mode"], **where, **how}, options.get("credentials") or {}, proof)


def _invalid(field_name: str, message: str, remedy: str = _REMEDY) -> Finding:
    return Finding("option_invalid", "fail", field=field_name, message=message, remedy=remedy)


def _unknown(name: str, given: Params) -> t.Iterator[Finding]:
    known = [word for word in (*HOST, *SPEC, *_HOW) if word not in ("kind", "mode")]
    for words in unknown_keys(name, given, known):
        yield Finding("unknown_key", "fail", field=name, message=words, remedy="Correct the key.")


def _kind(params: Params, template: Template, known: t.Optional[Instance], found: t.List[Finding]) -> str:
    kind = str(params["provider"] or (known.provider if known else "") or template.defaults.get("provider") or "")
    if kind not in KINDS:
        words = f"{kind!r} is no provider" if kind else "neither the option nor the template names one"
        found.append(_invalid("provider", f"provider: {words}; known are {', '.join(KINDS)}."))
    elif known is not None and known.provider != kind:
        message = f"The machine is of {known.provider}, and {kind} is asked for."
        found.append(Finding("immutable_change", "fail", message=message, remedy="Run state: absent with the old provider first.", field="provider"))
    return kind


def _place(params: Params, options: Params, known: t.Optional[Instance], host: str, found: t.List[Finding]) -> Json:
    """The host and where on it; that of the machine that is there. Looked for elsewhere, it would be taken for gone."""
    kept = known.spec.get(PLACED) if known is not None else None
    wanted: Json = {"host": host, **{name: str(options[name]) for name in _PLACE if name in options}}
    if not kept:
        return wanted
    given = {"host": host, **{name: str(params["provider_options"][name]) for name in _PLACE if name in params["provider_options"]}}
    for name, value in given.items():
        if kept.get(name) != value:
            field_name, remedy = ("delegate_to", f"delegate_to: {kept['host']}") if name == "host" else (f"provider_options.{name}", "Leave it out.")
            found.append(_invalid(field_name, f"The machine stands at {kept.get(name) or 'the default'} ({name}), and {value} is asked.", remedy))
    return dict(kept)


def _made_with(
    params: Params, template: Template, options: Params, kind: str, node: Node, known: t.Optional[Instance], found: t.List[Finding]
) -> t.Tuple[Json, str]:
    """The declared attributes and their hash; both empty where nothing is asked for, which keeps a machine as it is."""
    spec = {name: value for name, value in {**_sizes(params, template, found), **options}.items() if name in SPEC and name != "credentials"}
    if params["image"]:
        spec["image"] = params["image"]
    read = ArgumentSpecValidator(SPEC).validate({name: value for name, value in spec.items() if value is not None})
    found += [_invalid("provider_options", message) for message in read.error_messages]
    typed = read.validated_parameters
    if not typed.get("image") and not typed.get("kernel"):
        if known is None and not params["adopt"] and params["state"] in ("present", "running"):
            found.append(_invalid("image", "image: neither the option nor the template says what the machine is made from."))
        return {}, ""
    if kind not in KINDS or read.error_messages:
        return {}, ""
    identity = {"fleet": "f", "instance_id": _NOBODY, "node": node.name}
    given = {"kind": kind, "state": "present", "identity": identity, "spec": {**typed, "credentials": options.get("credentials")},
             "mode": params["mode"], "wait_timeout": 0.0, "force": False}  # fmt: skip
    try:
        machine = machine_asked(given, {}).machine
    except FleetError as error:
        found += [_invalid(sentence.partition(": ")[0], sentence) for sentence in error.details.get("faults", [error.message])]
        return {}, ""
    return dict(machine.declared), machine.identity.spec_hash


def _sizes(params: Params, template: Template, found: t.List[Finding]) -> Json:
    wanted, types = params["instance_type"], {**TYPES, **(template.defaults.get("instance_types") or {})}
    if not wanted:
        return {}
    if wanted not in types:
        found += [_invalid("instance_type", words) for words in unknown_keys("instance_type", [wanted], types)]
        return {}
    return dict(types[wanted])
