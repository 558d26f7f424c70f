# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters over the manifests of a native stack: units, their names, findings, gates, and PostgreSQL's configuration as text."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils._core.errors import FleetError
from ..module_utils._core.finding import Finding, sentence
from ..module_utils._core.result import plain
from ..module_utils._native.compose.model import Image
from ..module_utils._native.compose.plan import convert
from ..module_utils._native.gates import health_gates, smoke_gates, unit_gates
from ..module_utils._native.inputs import inputs_by_service, placed
from ..module_utils._native.locales import line, missing
from ..module_utils._native.packages import missing_packages
from ..module_utils._native.plan import wanted_states
from ..module_utils._native.postgresql import configuration
from ..module_utils._native.recorder import recorded
from ..module_utils._native.render import render_stack


def _with_words(work: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    """``work`` with FleetError turned into what Ansible shows for a filter."""

    def wrapped(*args: t.Any, **kwargs: t.Any) -> t.Any:
        try:
            return plain(work(*args, **kwargs))
        except FleetError as error:
            raise AnsibleFilterError(f"[{error.code}] {error.message} Remedy: {error.remedy}") from error

    return wrapped


def native_units(manifests: t.Any, stack: str, **options: t.Any) -> list[dict[str, t.Any]]:
    units = render_stack(manifests, stack, **options)
    return [{"name": unit.name, "text": unit.text, "module": unit.module, "service": unit.service, "order": unit.order} for unit in units]


def native_unit_names(
    manifests: t.Any, stack: str, services: t.Optional[t.Sequence[str]] = None, approved: t.Collection[str] = ()
) -> list[str]:
    units = render_stack(manifests, stack, approved=approved)
    if services is None:
        return [unit.name for unit in units]
    chosen = wanted_states(units, {name: "active" for name in services}, "present")
    return [unit.name for unit in units if chosen[unit.name] == "active"]


def native_findings(
    manifests: t.Any,
    stack: str,
    services: t.Optional[t.Mapping[str, str]] = None,
    approved: t.Collection[str] = (),
    inputs: t.Optional[t.Mapping[str, t.Sequence[str]]] = None,
) -> list[dict[str, t.Any]]:
    try:
        wanted_states(render_stack(manifests, stack, approved=approved, inputs=inputs), services or {}, "active")
    except FleetError as error:
        wrong = error.details.get("findings") or [error.as_failure()]
        return [Finding(error.code, "fail", field="native_stack_manifests", message=sentence(each), remedy=error.remedy).as_dict() for each in wrong]
    return []


def native_modules(manifests: t.Sequence[t.Any]) -> list[dict[str, t.Any]]:
    return [{"manifest": manifest} for manifest in manifests]


def native_from_compose(project: t.Mapping[str, t.Any], stack: t.Optional[str] = None) -> t.Any:
    """``project`` as compose_info returns it; the stack gets its name unless another is given."""
    images = {name: _image(item["image"]) for name, item in project["services"].items() if item.get("image")}
    return convert(project["config"], images, stack or str(project["name"]))


def _image(given: t.Mapping[str, t.Any]) -> Image:
    users = None if given.get("users") is None else {name: (item[0], item[1], item[2]) for name, item in given["users"].items()}
    kind = (given.get("architecture") or "", given.get("os") or "linux")
    return Image(given["id"], given.get("config") or {}, *kind, users=users, groups=given.get("groups"), programs=given.get("programs"))


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "native_units": _with_words(native_units),
            "native_unit_names": _with_words(native_unit_names),
            "native_findings": native_findings,
            "native_modules": native_modules,
            "native_from_compose": _with_words(native_from_compose),
            "native_missing_packages": _with_words(missing_packages),
            "native_inputs": _with_words(inputs_by_service),
            "native_placed": _with_words(placed),
            "native_health_gates": _with_words(health_gates),
            "native_unit_gates": _with_words(unit_gates),
            "native_smoke_gates": _with_words(smoke_gates),
            "native_recorded": _with_words(recorded),
            "native_locale_line": _with_words(line),
            "native_locale_missing": _with_words(missing),
            "native_postgresql_conf": _with_words(configuration),
        }
