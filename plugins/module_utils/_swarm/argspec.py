# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that several modules of this room share; documented in the fragments ``bowline.fleet.swarm`` and ``bowline.fleet.swarm.limits``."""

from __future__ import annotations

import typing as t

# Named as in community.docker, so that an inventory serves both.
CONNECTION: dict[str, t.Any] = {
    "docker_host": {"type": "list", "elements": "str"},
    "ca_path": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "validate_certs": {"type": "bool", "default": True},
    "tls_hostname": {"type": "str"},
    "api_version": {"type": "str", "default": "auto"},
    "timeout": {"type": "float", "default": 60},
    "allow_plaintext": {"type": "bool", "default": False},
}

# When the convergence of a service counts as failed.
LIMITS: dict[str, t.Any] = {
    "max_task_failures": {"type": "int", "default": 3},
    "pending_timeout": {"type": "float", "default": 60},
    "progress_deadline": {"type": "float", "default": 300},
    "wait_timeout": {"type": "float", "default": 600},
    "monitor": {"type": "float"},
}

LOCK: dict[str, t.Any] = {
    "lock_wait": {"type": "float", "default": 900},
    "lock_ttl": {"type": "float", "default": 60},
}

STACK_INFO: dict[str, t.Any] = {
    **CONNECTION,
    "name": {"type": "str"},
    "service": {"type": "str"},
    "gather": {
        "type": "list",
        "elements": "str",
        "choices": ["services", "tasks", "history", "drift", "diff", "logs", "rollout"],
        "default": ["services"],
    },
    "revision": {"type": "str"},
    "compare_to": {"type": "str"},
    "logs": {"type": "dict", "options": {"tail": {"type": "int", "default": 100}, "since": {"type": "int", "default": 0}}},
}

SERVICE: dict[str, t.Any] = {
    **CONNECTION,
    **LIMITS,
    **LOCK,
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "replicas": {"type": "int"},
    "revision": {"type": "str"},
    "redistribute": {"type": "str"},
    "expect_image": {"type": "str"},
    "history_keep": {"type": "int", "default": 10},
    "reason": {"type": "str"},
    "vcs_ref": {"type": "str"},
}
