# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument specs of this room's modules."""

from __future__ import annotations

import typing as t

from .model import HOLD_MAX, PROXIES, SIDES, Warmup

_LIST = {"type": "list", "elements": "str"}

PROXY: dict[str, t.Any] = {
    "type": "dict",
    "options": {
        "driver": {"type": "str", "choices": list(PROXIES), "default": "nginx"},
        "config": {"type": "path"},
        "upstreams": {
            "type": "list",
            "elements": "dict",
            "options": {name: {"type": "str", "required": True} for name in ("name", "service", "via")},
        },
        **dict.fromkeys(("check", "reload", "insert", "remove"), _LIST),
        "timeout": {"type": "float"},
        "container": {"type": "str"},
        "door": {
            "type": "dict",
            "options": {
                "address": {"type": "str", "default": "127.0.0.1"},
                "port": {"type": "int", "default": 443},
                "hostname": {"type": "str"},
                "path": {"type": "str"},
                "tls": {"type": "bool", "default": True},
            },
        },
    },
}

EDGE: dict[str, t.Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "directory": {"type": "path", "required": True},
    "side": {"type": "str", "choices": list(SIDES)},
    "services": {
        "type": "list",
        "elements": "dict",
        "options": {
            **{name: {"type": "str", "required": True} for name in ("name", "listen", "local")},
            "clients": _LIST,
            "group": {"type": "str"},
        },
    },
    "token": {"type": "str", "no_log": True},
    "peer": {
        "type": "dict",
        "options": {
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "default": 443},
            "hostname": {"type": "str", "required": True},
            "ca_file": {"type": "path"},
        },
    },
    "route": {"type": "str", "choices": ["local", "peer"]},
    "hold": {"type": "float"},
    "hold_max": {"type": "float", "default": HOLD_MAX},
    "warmup": {
        "type": "dict",
        "options": {
            "service": {"type": "str"},
            "host": {"type": "str"},
            "path": {"type": "str", "default": Warmup.path},
            "count": {"type": "int", "default": Warmup.count},
            "timeout": {"type": "float", "default": Warmup.timeout},
        },
    },
    "proxy": PROXY,
    "check_config": _LIST,
    "reload": _LIST,
    "user": {"type": "str"},
    "group": {"type": "str"},
    "subject": {"type": "str"},
    "process": {"type": "dict", "options": {"container": {"type": "str"}, "unit": {"type": "str"}}},
    "process_renewed": {"type": "bool", "default": False},
    "given_up": {"type": "bool", "default": False},
    "command": {"type": "path", "default": "/usr/libexec/bowline/bowline-edge.pyz"},
}

EDGE_INFO: dict[str, t.Any] = {
    "directory": {"type": "path", "required": True},
    "reach": {"type": "bool", "default": False},
    "proxy": PROXY,
    "proxy_planned": {"type": "bool", "default": False},
    "hold_max": {"type": "float"},
    "subject": {"type": "str"},
    "process": {"type": "dict", "options": {"container": {"type": "str"}, "unit": {"type": "str"}}},
}

PROBE: dict[str, t.Any] = {
    "state": {"type": "str", "choices": ["tried", "started", "stopped"], "default": "started"},
    "directory": {"type": "path", "required": True},
    "url": {"type": "str"},
    "ca_file": {"type": "path"},
    "resolvers": _LIST,
    "side_header": {"type": "str", "default": "X-Served-By"},
    "timeout": {"type": "float", "default": 35},
    "max_seconds": {"type": "float", "default": 3600},
    "workers": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "address": {"type": "str"},
            "method": {"type": "str", "choices": ["GET", "HEAD", "POST", "PUT", "PATCH"], "default": "GET"},
            "path": {"type": "str", "default": "/up"},
            "body": {"type": "raw"},
            "headers": {"type": "dict", "no_log": True},
            "expect_status": {"type": "list", "elements": "int", "default": [200, 201]},
            "rate": {"type": "float", "default": 20},
            "concurrency": {"type": "int", "default": 8},
        },
    },
}

PROBE_INFO: dict[str, t.Any] = {
    "directory": {"type": "path", "required": True},
    "since": {"type": "str"},
    "old_side": {"type": "str"},
    "released_at": {"type": "float"},
    "series": {"type": "bool", "default": False},
}
