# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`node_template` and `node`: rows that are declared. Called on the controller, where the store is; nothing outside of it is touched."""

from __future__ import annotations

import difflib
import re
import typing as t
from dataclasses import asdict, replace

from .._core.errors import FleetError
from .._core.finding import Finding, failure
from .._core.result import Step, plain, result
from .._store.model import unix
from .lease import Leases
from .model import Guard, Json, Node, Template
from .phase import Facts, phase
from .rows import kept
from .store import NodeStore, has_instance, subject_of

Params = t.Mapping[str, t.Any]

# RFC 1123: a label of a host name.
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_UNCHANGED = "Nothing was changed."


def run_template(params: Params, store: NodeStore, leases: Leases) -> Json:
    """Bring the row of one template to its state. In check mode ``store`` is a copy that is thrown away."""
    name = params["name"]
    before = store.template(name)
    if params["state"] == "absent":
        users = [node.name for node in store.nodes() if node.template == name]
        if users:
            raise FleetError("template_in_use", f"Template {name} is that of {', '.join(users)}. {_UNCHANGED}", "Give them another template first.")
        after: t.Optional[Template] = None
    else:
        after = declared_template(params, before)
    steps = steps_of("template", name, before, after)
    if steps:
        with leases.held(f"template/{name}", "node_template", {"plan": steps}, params["reason"]) as held:
            if after is None:
                store.remove_template(held, name)
            else:
                store.put_template(held, after)
    kept = store.template(name)
    return result(steps, before=_shown(before), after=_shown(kept), template=_shown(kept))


def run_node(params: Params, store: NodeStore, leases: Leases) -> Json:
    """Bring the row of one node to its state; its machine, if it has one, is left as it is."""
    name = params["name"]
    before = store.node(name)
    after: t.Optional[Node] = None
    if params["state"] == "absent":
        _refuse_removal(store, before)
    else:
        after = declared_node(params, store, before)
    steps = steps_of("node", name, before, after)
    if steps:
        with leases.held(subject_of(name), "node", {"plan": steps}, params["reason"]) as held:
            if after is None:
                store.remove_node(held, name)
            else:
                store.put_node(held, after)
    kept = store.node(name)
    return result(steps, before=_shown(before), after=_shown(kept), node=_shown(kept), resolved=_shown(_resolved(store, kept)), status=_status(store, kept))


def declared_template(params: Params, before: t.Optional[Template]) -> Template:
    """As `declared_node`."""
    _refuse([*_wrong_name(params["name"]), *_wrong_modules(params)])
    return Template(revision=before.revision if before else 0, **_plain(params, Template))


def declared_node(params: Params, store: NodeStore, before: t.Optional[Node]) -> Node:
    """The row that is asked for. Everything that is wrong with it comes at once."""
    name = params["name"]
    guards, wrong = _guards(params["guards"])
    found = [*_wrong_name(name), *_wrong_modules(params), *wrong, *_wrong_labels(params["labels"]), *_wrong_template(params["template"], store)]
    if before is not None and before.lifecycle_class != params["lifecycle_class"] and store.instances(name, 1):
        message = f"{name} is {before.lifecycle_class} and has had a machine; it does not become {params['lifecycle_class']}."
        found.append(Finding("immutable_class", "fail", name, message, "Declare a new node with the other class.", "lifecycle_class"))
    _refuse(found)
    given = {**_plain(params, Node), "guards": guards, "labels": {str(key): str(value) for key, value in params["labels"].items()}}
    return Node(revision=before.revision if before else 0, **given)


def _refuse_removal(store: NodeStore, node: t.Optional[Node]) -> None:
    if node is None:
        return
    protected = node.guarded(("protected",), store.now())
    if protected:
        raise FleetError("held", f"Guard protected holds for {node.name}. {protected[0].reason}".rstrip() + f" {_UNCHANGED}",
                         "Take it off in guards, after a word with its owner.")  # fmt: skip
    if store.live(node.name) is not None:
        raise has_instance(node.name)


def _status(store: NodeStore, node: t.Optional[Node]) -> t.Optional[str]:
    if node is None:
        return None
    known = store.known(node.name)
    return phase(Facts(store.now(), known.instance, None, known.heartbeat, known.receivers, known.actions)).phase


# --- what is wrong ----------------------------------------------------------------------------------------------------------------


def nearest(kind: str, name: str, known: t.Iterable[str]) -> str:
    """``No template edg. Did you mean edge?``"""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"No {kind} {name}. " + (f"Did you mean {near[0]}?" if near else f"Known: {', '.join(names) or 'none'}.")


def _refuse(found: t.Sequence[Finding]) -> None:
    if found:
        raise failure(found, _UNCHANGED)


def _invalid(field: str, message: str) -> Finding:
    return Finding("option_invalid", "fail", field=field, message=message, remedy="Correct the option.")


def _wrong_name(name: str) -> t.Iterator[Finding]:
    if not NAME.fullmatch(name):
        yield _invalid("name", f"name is {name!r}; it takes up to 63 small letters, digits and hyphens, a letter or digit at both ends.")


def _wrong_template(name: t.Optional[str], store: NodeStore) -> t.Iterator[Finding]:
    if not name:
        yield _invalid("template", "template is missing.")
    elif store.template(name) is None:
        message = nearest("template", name, (template.name for template in store.templates()))
        yield Finding("template_unknown", "fail", name, message, "Correct the name, or declare it with node_template first.", "template")


def _wrong_modules(params: Params) -> t.Iterator[Finding]:
    names = [module["name"] for module in params["modules"]]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield _invalid("modules", f"modules has {name} more than once.")
    for hook in sorted({hook for hook in params["hooks"] if params["hooks"].count(hook) > 1}):
        yield _invalid("hooks", f"hooks has {hook} more than once.")


def _wrong_labels(labels: t.Mapping[str, t.Any]) -> t.Iterator[Finding]:
    for key, value in sorted(labels.items(), key=str):
        if isinstance(value, (dict, list)):
            yield _invalid("labels", f"labels.{key} is a {type(value).__name__}; a label is one text.")


def _guards(given: t.Sequence[Params]) -> t.Tuple[t.Tuple[Guard, ...], t.List[Finding]]:
    guards, wrong = [], []
    for one in given:
        try:
            until = unix(one["until"])
        except ValueError:
            wrong.append(_invalid("guards", f"guards.until is {one['until']!r}; it takes a moment like 2026-12-01T12:00:00Z."))
            continue
        guards.append(Guard(one["kind"], one["reason"], until))
    return tuple(guards), wrong


# --- rows -------------------------------------------------------------------------------------------------------------------------


def _plain(params: Params, kind: type) -> t.Dict[str, t.Any]:
    """The fields of a row among ``params``, lists as tuples, as they are when they were kept: secrets out of them."""
    names = [name for name in getattr(kind, "__dataclass_fields__") if name in params and name not in ("revision", "guards", "labels")]
    given = kept({name: params[name] for name in names})
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def steps_of(kind: str, name: str, before: t.Any, after: t.Any) -> t.List[Step]:
    """What makes the row ``after`` of the row ``before``; None is no row."""
    if before is None and after is None:
        return []
    if before is None:
        return [Step("declare", f"no {kind} {name} is in the store")]
    if after is None:
        return [Step("remove", f"{kind} {name} is forgotten; what it had stays on record")]
    old, new = plain(kept(asdict(before))), plain(kept(asdict(after)))
    changed = sorted(field for field in new if field != "revision" and new[field] != old[field])
    return [Step("change", f"{', '.join(changed)} of {name}")] if changed else []


def _resolved(store: NodeStore, node: t.Optional[Node]) -> t.Optional[Node]:
    template = store.template(node.template) if node is not None else None
    return replace(node.resolved(template), revision=node.revision) if node is not None and template is not None else None


def _shown(row: t.Union[Template, Node, None]) -> t.Optional[Json]:
    return t.cast(Json, plain(row)) if row is not None else None
