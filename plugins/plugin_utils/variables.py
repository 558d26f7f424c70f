# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of a run, resolved before anything is done: each that is missing, misspelt or cannot be read is a finding with its field."""

from __future__ import annotations

import difflib
import re
import typing as t
from dataclasses import dataclass, field

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..module_utils._core.finding import Finding

Template = t.Callable[[t.Any, t.Mapping[str, t.Any]], t.Any]
# By what was said: places, each with the expression that stands there.
Troubles = t.Dict[str, t.List[t.Tuple[str, str]]]

# What the playbooks give to a role in its step; no inventory has it.
GIVEN_BY_STEPS = frozenset(("edge_serving", "operation_kind", "operation_subjects", "operation_step"))
_FILE = re.compile(r"(?:access the file|template file|find or access)\s+'?([^'\s]+)'?")
_GONE = object()


@dataclass(frozen=True)
class Role:
    """What a role says about its variables: ``options`` of all its entry points by name, and ``defaults``."""

    name: str
    options: t.Mapping[str, t.Mapping[str, t.Any]]
    defaults: t.Mapping[str, t.Any]


@dataclass
class Resolved:
    """``values`` by variable, without what could not be resolved; ``open`` names the variables that are not whole; ``findings``."""

    values: dict[str, t.Any] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)


def role_of(name: str, specs: t.Mapping[str, t.Any], defaults: t.Mapping[str, t.Any] | None) -> Role:
    """``specs`` is a parsed meta/argument_specs.yml."""
    options: dict[str, t.Mapping[str, t.Any]] = {}
    for entry in (specs.get("argument_specs") or {}).values():
        for option, reason in (entry.get("options") or {}).items():
            # Required in one entry point is needed by a run that takes them all.
            options[option] = {**options.get(option, {}), **reason}
    return Role(name, options, defaults or {})


def resolve(roles: t.Sequence[Role], given: t.Mapping[str, t.Any], template: Template, idle: t.Collection[str] = ()) -> Resolved:
    """Resolve every variable of ``roles``, each beside the defaults of its own role, as the role itself will see it.

    What a role that is ``idle`` in this run needs may be missing.
    """
    found = Resolved()
    troubles: Troubles = {}
    done: set[str] = set()
    for role in roles:
        for name, option in role.options.items():
            if name in done:
                continue
            done.add(name)
            own = role if name in role.defaults else next((other for other in roles if name in other.defaults), role)
            if name not in given and name not in own.defaults:
                if option.get("required") and name not in GIVEN_BY_STEPS and role.name not in idle:
                    found.open.add(name)
                    found.findings.append(_missing(name, given))
                elif "default" in option:
                    found.values[name] = option["default"]
                continue
            value = _walk(name, given.get(name, own.defaults.get(name)), own.defaults, template, troubles)
            if value is not _GONE:
                found.values[name] = value
    for reason, places in troubles.items():
        found.open |= {_variable(place) for place, _text in places}
        found.findings.append(_unresolved(_first_cause(places), reason))
    options = {name: option for role in roles for name, option in role.options.items()}
    for name in sorted(set(found.values) & set(given) - found.open):
        wrong = _misfits(name, options[name], found.values[name])
        if wrong:
            # Nobody looks into what has another form than everybody expects.
            del found.values[name]
            found.open.add(name)
            found.findings += wrong
    return found


def _walk(place: str, value: t.Any, defaults: t.Mapping[str, t.Any], template: Template, troubles: Troubles) -> t.Any:
    """``value`` resolved; what cannot be is left out and noted in ``troubles`` by what was said, so that one cause is one finding."""
    if isinstance(value, t.Mapping):
        pairs = {key: _walk(f"{place}.{key}", item, defaults, template, troubles) for key, item in value.items()}
        return {key: item for key, item in pairs.items() if item is not _GONE}
    if isinstance(value, (list, tuple)):
        items = [_walk(f"{place}[{_label(item, number)}]", item, defaults, template, troubles) for number, item in enumerate(value)]
        return [item for item in items if item is not _GONE]
    try:
        return template(value, defaults)
    except (AnsibleError, OSError, ValueError, TypeError, KeyError) as error:
        troubles.setdefault(" ".join(str(error).split()), []).append((place, str(value)))
        return _GONE


def _variable(place: str) -> str:
    return re.split(r"[.\[]", place, maxsplit=1)[0]


def _first_cause(places: t.Sequence[tuple[str, str]]) -> list[str]:
    """The places, those first that do not only name a variable which is among the others."""
    names = {_variable(place) for place, _text in places}

    def borrowed(place: str, text: str) -> bool:
        return any(re.search(rf"\b{re.escape(name)}\b", text) for name in names - {_variable(place)})

    return [place for place, _text in sorted(places, key=lambda entry: borrowed(*entry))]


def _label(item: t.Any, number: int) -> str:
    """What a person finds an item of a list by."""
    for key in ("name", "path", "key"):
        if isinstance(item, t.Mapping) and isinstance(item.get(key), str) and "{{" not in item[key]:
            return str(item[key])
    return str(number)


def _missing(name: str, given: t.Mapping[str, t.Any]) -> Finding:
    near = difflib.get_close_matches(name, list(given), n=1, cutoff=0.85)
    hint = f" Is it {near[0]}?" if near else ""
    message = f"{name} is missing, and a role needs it.{hint}"
    return Finding("variable_invalid", "fail", field=name, message=message, remedy=f"Set {name} in the inventory.")


def _unresolved(fields: t.Sequence[str], reason: str) -> Finding:
    more = f" The same stops {len(fields) - 1} more: {', '.join(fields[1:4])}{' …' if len(fields) > 4 else ''}." if len(fields) > 1 else ""
    file = _FILE.search(reason)
    if file:
        path = file.group(1)
        return Finding(
            "file_missing",
            "fail",
            field=fields[0],
            message=f"{path} is not on this machine, or cannot be read here.{more}",
            remedy=f"Put the file there, with mode 0600 when it is a secret, or correct {fields[0]}.",
        )
    remedy = "Name the vault's password: --ask-vault-pass." if "vault" in reason.lower() else "Define what it names, or correct the expression."
    return Finding("variable_invalid", "fail", field=fields[0], message=f"{fields[0]} cannot be resolved: {reason.rstrip('.')}.{more}", remedy=remedy)


def _misfits(name: str, option: t.Mapping[str, t.Any], value: t.Any) -> list[Finding]:
    """What the argument spec of the role would refuse, before any role is begun."""
    if value is None:
        return []
    reason = ArgumentSpecValidator({name: dict(option, required=False)}).validate({name: value}).error_messages
    return [
        Finding("variable_invalid", "fail", field=name, message=f"{sentence.rstrip('.')}.", remedy=f"Correct {name} in the inventory.")
        for sentence in reason
    ]
