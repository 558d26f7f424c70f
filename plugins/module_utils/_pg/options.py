# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parameters of the modules become `model.Options`, or one failure with everything that is wrong. Pure."""

from __future__ import annotations

import re
import typing as t

from .._core.argspec import unknown_keys
from .._core.errors import FleetError
from .model import SIDES, Endpoint, Link, Options, Reach, Router, SnapshotSpec

_ENDPOINT = tuple(name for name in Endpoint.__dataclass_fields__ if name != "side")
_REACH = tuple(Reach.__dataclass_fields__)
_COMMANDS = ("pause", "route", "warmup", "resume", "check")
_PGBOUNCER = ("host", "port", "user", "passfile", "config", "databases", "to_legacy", "to_new")
# Beside type and timeout.
_ROUTERS: dict[str, tuple[str, ...]] = {"none": (), "libpq": (), "pgbouncer": _PGBOUNCER, "command": _COMMANDS}
_ROUTER = ("type", "timeout", *_COMMANDS, *_PGBOUNCER)
_ADDRESS = ("host", "port")
_LINK = ("user", "password", "sslmode", "to_legacy", "to_new")
_ORDER = ("directory", "subject", "compress")
# Every option that names a server, of all modules of the room.
_SERVERS = (*SIDES, "source", "target")


def parse(params: t.Mapping[str, t.Any]) -> Options:
    """Module parameters as `Options`. Raises FleetError "unknown_key" or "invalid_value" with everything that is wrong, at once."""
    wrong = misspelt(params)
    if wrong:
        raise FleetError("unknown_key", " ".join(wrong), remedy="Correct the keys; nothing was changed.", details={"keys": wrong})
    wrong = _invalid(params)
    if wrong:
        raise FleetError("invalid_value", " ".join(wrong), remedy="Correct the values; nothing was changed.", details={"values": wrong})
    known = {name: params[name] for name in Options.__dataclass_fields__ if params.get(name) is not None}
    for side in SIDES:
        known[side] = endpoint(side, params[side])
    known["link"] = _link(params["link"]) if params.get("link") else None
    known["router"] = _router(params.get("router") or {}, known)
    known["snapshot"] = _order(params["snapshot"], params["legacy"]["dbname"]) if params.get("snapshot") else None
    known["ignore_databases"] = tuple(params.get("ignore_databases") or ())
    known["accept_owner_code"] = tuple(params.get("accept_owner_code") or ())
    known.setdefault("state", "info")
    return Options(**known)


def link_of(options: Options) -> Link:
    """Raises FleetError "invalid_value" when there is none."""
    if options.link is None:
        remedy = "Say in link.to_legacy and link.to_new how each server reaches the other one."
        raise FleetError("invalid_value", f"link: missing, and state {options.state} needs it.", remedy=remedy)
    return options.link


def secrets(params: t.Mapping[str, t.Any]) -> list[str]:
    """What never leaves a module: every password among its parameters."""
    groups = [params.get(name) for name in (*_SERVERS, "link")]
    return [str(group["password"]) for group in groups if isinstance(group, t.Mapping) and group.get("password")]


def misspelt(params: t.Mapping[str, t.Any]) -> list[str]:
    """One sentence for each nested key that does not exist, with the near miss."""
    groups: list[tuple[str, t.Any, t.Iterable[str]]] = [(side, params.get(side), _ENDPOINT) for side in _SERVERS]
    link = params.get("link")
    router = params.get("router")
    groups += [("link", link, _LINK), ("router", router, _ROUTER), ("snapshot", params.get("snapshot"), _ORDER)]
    for field_, given, keys in (("link", link, _REACH), ("router", router, _ADDRESS)):
        if isinstance(given, t.Mapping):
            groups += [(f"{field_}.{name}", given.get(name), keys) for name in ("to_legacy", "to_new")]
    return [sentence for field_, given, known in groups if isinstance(given, t.Mapping) for sentence in unknown_keys(field_, given, known)]


def _invalid(params: t.Mapping[str, t.Any]) -> list[str]:
    wrong = [f"{side}.{name}: missing." for side in SIDES for name in ("host", "dbname") if not params[side].get(name)]
    for name in ("max_window", "drain_grace", "window_attempts"):
        if params.get(name) is not None and float(params[name]) <= 0:
            wrong.append(f"{name}: {params[name]} is not above 0.")
    if params.get("max_window") and params.get("drain_grace") and float(params["drain_grace"]) >= float(params["max_window"]):
        wrong.append(f"drain_grace: {params['drain_grace']} s leaves nothing of max_window {params['max_window']} s.")
    wrong += _invalid_router(params.get("router") or {})
    if params.get("trial_window") and params.get("state") != "armed":
        wrong.append(f"trial_window: it is for state armed, not {params.get('state')}.")
    if params.get("accept_loss") and params.get("state") != "legacy":
        wrong.append(f"accept_loss: it is for state legacy, not {params.get('state')}.")
    wrong += _invalid_snapshot(params.get("snapshot") or {}, params["legacy"].get("dbname") or "")
    link = params.get("link") or {}
    if link:
        wrong += [f"link.{name}.host: missing." for name in ("to_legacy", "to_new") if not (link.get(name) or {}).get("host")]
    return wrong


def _invalid_router(router: t.Mapping[str, t.Any]) -> list[str]:
    type_ = router.get("type") or "none"
    if type_ not in _ROUTERS:
        return [f"router.type: {type_} does not exist; use {', '.join(_ROUTERS)}."]
    given = [name for name in (*_COMMANDS, *_PGBOUNCER) if router.get(name) not in (None, [], {}, "")]
    wrong = [
        f"router.{name}: belongs to router type {'command' if name in _COMMANDS else 'pgbouncer'}, not to {type_}."
        for name in given
        if name not in _ROUTERS[type_]
    ]
    if router.get("timeout") is not None and float(router["timeout"]) <= 0:
        wrong.append(f"router.timeout: {router['timeout']} is not above 0.")
    for name in _COMMANDS:
        lists = router.get(name) or []
        if not isinstance(lists, list) or any(not isinstance(argv, list) or not argv for argv in lists):
            wrong.append(f"router.{name}: not a list of commands, each a list of words.")
    if type_ == "pgbouncer":
        wrong += [f"router.{name}.host: missing." for name in ("to_legacy", "to_new") if router.get(name) and not router[name].get("host")]
        wrong += [f"router.databases: {name!r} is no name of an entry." for name in router.get("databases") or () if name in ("", "*")]
    return wrong


def _invalid_snapshot(order: t.Mapping[str, t.Any], dbname: str) -> list[str]:
    if not order:
        return []
    wrong = [] if order.get("directory") else ["snapshot.directory: missing."]
    problem = subject_problem(order.get("subject") or dbname)
    return [*wrong, f"snapshot.{problem}"] if problem else wrong


# A subject is part of file names and, behind "bowline ", of an application_name of at most 63 bytes.
_SUBJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,29}")


def subject_problem(subject: str) -> str:
    """Why ``subject`` cannot be one; empty when it can."""
    if _SUBJECT.fullmatch(subject):
        return ""
    return f"subject: {subject!r} is not 1 to 30 letters, digits, dots, dashes or underscores that begin with a letter or digit."


def _order(values: t.Mapping[str, t.Any], dbname: str) -> SnapshotSpec:
    return SnapshotSpec(values["directory"], values.get("subject") or dbname, "switch", values.get("compress") or "auto")


def _given(values: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {name: int(value) if name == "port" else value for name, value in values.items() if value is not None}


def endpoint(side: str, values: t.Mapping[str, t.Any]) -> Endpoint:
    """``side`` is also the name of the option, which messages show."""
    known = _given(values)
    known["command_prefix"] = tuple(str(word) for word in known.get("command_prefix") or ())
    return Endpoint(side=side, **known)


def _link(values: t.Mapping[str, t.Any]) -> Link:
    reach = {side: Reach(**_given(values[f"to_{side}"])) for side in SIDES}
    return Link(values.get("user") or "pgcut_repl", values.get("sslmode") or "verify-full", reach, values.get("password") or "")


def _router(values: t.Mapping[str, t.Any], endpoints: t.Mapping[str, Endpoint]) -> Router:
    """Where PgBouncer is not told how it reaches a side, it is as this module does; without ``databases`` the entry has the database's name."""
    type_ = values.get("type") or "none"
    known: dict[str, t.Any] = _given({name: values.get(name) for name in ("timeout", "host", "port", "user", "passfile", "config")})
    known |= {name: tuple(tuple(str(word) for word in argv) for argv in values.get(name) or ()) for name in _COMMANDS}
    if type_ == "pgbouncer":
        known["databases"] = tuple(values.get("databases") or (endpoints["legacy"].dbname,))
        known["addresses"] = {}
        for side in SIDES:
            there = values.get(f"to_{side}") or {"host": endpoints[side].host, "port": endpoints[side].port}
            known["addresses"][side] = (str(there["host"]), int(there.get("port") or 5432))
    return Router(type=type_, **known)
