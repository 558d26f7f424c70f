# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that name the two servers, and a module that says which key was meant; documented in the fragment ``bowline.fleet.pg``."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule

from .options import misspelt

_SERVER: dict[str, t.Any] = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "default": 5432},
    "dbname": {"type": "str", "required": True},
    "user": {"type": "str", "default": "postgres"},
    "password": {"type": "str", "no_log": True},
    "passfile": {"type": "path", "no_log": False},
    "sslmode": {"type": "str", "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]},
    "sslrootcert": {"type": "path"},
    "container": {"type": "str"},
    "data_directory": {"type": "path"},
    "bindir": {"type": "path"},
    "server_bindir": {"type": "path"},
    "service": {"type": "str"},
    "command_prefix": {"type": "list", "elements": "str"},
}
SERVERS: dict[str, t.Any] = {side: {"type": "dict", "required": True, "options": _SERVER} for side in ("legacy", "new")}

# A scratch database has a name of its own, so dbname is required by state. Nothing starts or stops these servers; that the options for it are
# known lets an inventory say once how a server is reached.
SNAPSHOT_SERVERS: dict[str, t.Any] = {
    side: {"type": "dict", "options": {**_SERVER, "dbname": {"type": "str"}}} for side in ("source", "target")
}
COMPRESS = ["auto", "gzip", "zstd", "none"]
ORDER: dict[str, t.Any] = {
    "type": "dict",
    "options": {
        "directory": {"type": "path", "required": True},
        "subject": {"type": "str"},
        "compress": {"type": "str", "choices": COMPRESS, "default": "auto"},
    },
}

_REACH: dict[str, t.Any] = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "default": 5432},
    "passfile": {"type": "str", "no_log": False},
    "sslrootcert": {"type": "str"},
}
LINK: dict[str, t.Any] = {
    "type": "dict",
    "options": {
        "user": {"type": "str", "default": "pgcut_repl"},
        "password": {"type": "str", "no_log": True},
        "sslmode": {
            "type": "str",
            "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
            "default": "verify-full",
        },
        "to_legacy": {"type": "dict", "required": True, "options": _REACH},
        "to_new": {"type": "dict", "required": True, "options": _REACH},
    },
}
_ADDRESS: dict[str, t.Any] = {"host": {"type": "str", "required": True}, "port": {"type": "int", "default": 5432}}
ROUTER: dict[str, t.Any] = {
    "type": "dict",
    "options": {
        "type": {"type": "str", "choices": ["none", "libpq", "pgbouncer", "command"], "default": "none"},
        "pause": {"type": "list", "elements": "list"},
        "route": {"type": "list", "elements": "list"},
        "warmup": {"type": "list", "elements": "list"},
        "resume": {"type": "list", "elements": "list"},
        "timeout": {"type": "float", "default": 30},
        "check": {"type": "list", "elements": "list"},
        "host": {"type": "str"},
        "port": {"type": "int"},
        "user": {"type": "str"},
        "passfile": {"type": "path", "no_log": False},
        "config": {"type": "path"},
        "databases": {"type": "list", "elements": "str"},
        "to_legacy": {"type": "dict", "options": _ADDRESS},
        "to_new": {"type": "dict", "options": _ADDRESS},
    },
}


class PairModule(AnsibleModule):  # type: ignore[misc]
    """ansible-core refuses a misspelt nested key, but does not say which one was meant, and gives no ``failure``."""

    def fail_json(self, msg: str, **more: t.Any) -> t.NoReturn:
        wrong = misspelt(self.params) if "failure" not in more and "nsupported parameters" in msg else []
        if wrong:
            failure = {
                "code": "unknown_key",
                "message": " ".join(wrong),
                "remedy": "Correct the keys; nothing was changed.",
                "details": {"keys": wrong},
            }
            msg = f"[unknown_key] {failure['message']} Remedy: {failure['remedy']}"
            more["failure"] = failure
        super().fail_json(msg, **more)
        raise SystemExit(1)
