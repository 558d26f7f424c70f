# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument specs of this room's modules, and the options that are made of them."""

from __future__ import annotations

import os
import typing as t

from .._core import private
from .._core.argspec import WAIT
from .._core.errors import FleetError
from .model import LAYOUTS, MODES, SIDES, STATES, Endpoint, Layout, Options

_LIST = {"type": "list", "elements": "str"}

SERVER: t.Dict[str, t.Any] = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "default": 6379},
    "user": {"type": "str"},
    "password_file": {"type": "path"},
    "tls": {"type": "bool", "default": False},
    "ca_file": {"type": "path"},
    "certificate": {"type": "path"},
    "key": {"type": "path", "no_log": False},
    "peer_host": {"type": "str"},
    "peer_port": {"type": "int"},
}

LAYOUT: t.Dict[str, t.Any] = {
    "kind": {"type": "str", "choices": list(LAYOUTS), "required": True},
    "db": {"type": "int", "default": 0},
    "prefix": {"type": "str", "default": ""},
    "queues": {**_LIST, "default": []},
    "keys": {
        "type": "list",
        "elements": "dict",
        "no_log": False,
        "options": {
            "pattern": {"type": "str", "required": True},
            "kind": {"type": "str", "choices": ["queue", "busy", "scheduled"], "default": "queue"},
        },
    },
}

PAIR: t.Dict[str, t.Any] = {
    "legacy": {"type": "dict", "required": True, "options": SERVER},
    "new": {"type": "dict", "required": True, "options": SERVER},
    "layouts": {"type": "list", "elements": "dict", "options": LAYOUT, "default": []},
    "mode": {"type": "str", "choices": list(MODES), "default": "replicate"},
}

SYNC: t.Dict[str, t.Any] = {
    **PAIR,
    "state": {"type": "str", "choices": list(STATES), "required": True},
    "side": {"type": "str", "choices": list(SIDES), "default": "new"},
    "worker": {"type": "dict", "options": {"quiet": _LIST, "resume": _LIST}},
    "drain_timeout": {"type": "float", "default": 300},
    "max_window": {"type": "float", "default": 5},
    "window_attempts": {"type": "int", "default": 3},
    "wait_timeout": WAIT["wait_timeout"],
    "persist": {"type": "bool", "default": True},
    "accept_loss": {**_LIST, "choices": list(SIDES), "default": []},
    "accept_scheduled_loss": {**_LIST, "default": []},
}


def parse(params: t.Mapping[str, t.Any]) -> Options:
    """Raises FleetError "option_invalid" with every option that cannot work, "file_missing" and "unsafe_path" for the file of a password."""
    wrong = [*_wrong(params), *(sentence for side in SIDES for sentence in _wrong_server(side, params[side]))]
    if wrong:
        raise FleetError("option_invalid", f"{' '.join(wrong)} Nothing was changed.", remedy="Correct the options that are named.")
    worker = params.get("worker") or {}
    return Options(
        state=params.get("state") or "replicating",
        side=params.get("side") or "new",
        mode=params["mode"],
        legacy=_endpoint("legacy", params["legacy"]),
        new=_endpoint("new", params["new"]),
        layouts=tuple(_layout(given) for given in params.get("layouts") or ()),
        quiet=tuple(worker.get("quiet") or ()),
        resume=tuple(worker.get("resume") or ()),
        drain_timeout=params.get("drain_timeout", 300.0),
        max_window=params.get("max_window", 5.0),
        window_attempts=params.get("window_attempts", 3),
        wait_timeout=params.get("wait_timeout", 300.0),
        persist=params.get("persist", True),
        accept_loss=tuple(params.get("accept_loss") or ()),
        accept_scheduled_loss=tuple(params.get("accept_scheduled_loss") or ()),
    )


def _layout(given: t.Mapping[str, t.Any]) -> Layout:
    return Layout(given["kind"], given.get("db") or 0, given.get("prefix") or "", tuple(given.get("queues") or ()), tuple(given.get("keys") or ()))


def secrets(options: Options) -> t.List[str]:
    return [end.password for end in (options.legacy, options.new) if end.password]


def _wrong(params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    for name in ("drain_timeout", "wait_timeout"):
        if not 0 <= params.get(name, 1) <= 86400:
            yield f"{name} is {params[name]:g}; 0 to 86400 seconds can be waited."
    if not 0.1 <= params.get("max_window", 1) <= 60:
        yield f"max_window is {params['max_window']:g}; a write pause of 0.1 to 60 seconds can be had."
    if not 1 <= params.get("window_attempts", 1) <= 10:
        yield f"window_attempts is {params['window_attempts']}; 1 to 10 can be made."
    if len(set(params.get("accept_loss") or ())) > 1:
        yield "accept_loss names both sides; one of them has to be kept."
    for number, layout in enumerate(params.get("layouts") or ()):
        if layout["kind"] == "keys" and not layout.get("keys"):
            yield f"layouts[{number}].keys is missing, which names the patterns."
    worker = params.get("worker") or {}
    yield from (f"worker.{name} is empty." for name in ("quiet", "resume") if worker.get(name) == [])


def _wrong_server(side: str, given: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    local = given["host"].startswith("/")
    if local and not given.get("peer_host"):
        yield f"{side}.host is a socket, so {side}.peer_host has to say where the other server reaches it."
    for name in ("host", "peer_host", "user"):
        if any(char.isspace() or ord(char) < 33 for char in given.get(name) or ""):
            yield f"{side}.{name} has a blank or a character that cannot be seen."
    for name in ("port", "peer_port"):
        if given.get(name) is not None and not 0 < given[name] < 65536:
            yield f"{side}.{name} is {given[name]}; ports are 1 to 65535."
    if bool(given.get("certificate")) != bool(given.get("key")):
        yield f"{side}.certificate and {side}.key belong together."


def _endpoint(side: str, given: t.Mapping[str, t.Any]) -> Endpoint:
    for name in ("ca_file", "certificate", "key"):
        if given.get(name) and not os.path.isfile(given[name]):
            raise FleetError("file_missing", f"{side}.{name}: {given[name]} is not there.", remedy="Put the file there, on this host, or correct the path.")
    return Endpoint(
        side=side,
        host=given["host"],
        port=given["port"],
        user=given.get("user") or "",
        password=_password(side, given.get("password_file")),
        tls=given["tls"],
        ca_file=given.get("ca_file"),
        certificate=given.get("certificate"),
        key=given.get("key"),
        peer_host=given.get("peer_host") or given["host"],
        peer_port=given.get("peer_port") or given["port"],
    )


def _password(side: str, path: t.Optional[str]) -> str:
    if not path:
        return ""
    try:
        text = private.read(path, 0o600).decode("utf-8", "surrogateescape")
    except FileNotFoundError as error:
        raise FleetError("file_missing", f"{side}.password_file: {path} is not there.", remedy="Put the password into it, mode 0600, on this host.") from error
    return text.rstrip("\r\n")
