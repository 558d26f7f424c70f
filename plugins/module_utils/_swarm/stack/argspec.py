# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of swarm_stack; documented in the module and in the fragments ``bowline.fleet.swarm``."""

from __future__ import annotations

import typing as t

from ..argspec import CONNECTION, LIMITS, LOCK

STACK: t.Dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "canary", "absent"], "default": "present"},
    "compose": {"type": "list", "elements": "path"},
    "revision": {"type": "str"},
    "env": {"type": "dict", "no_log": True},
    "env_files": {"type": "list", "elements": "path"},
    "strict_env": {"type": "bool", "default": True},
    "pin": {"type": "str", "choices": ["missing", "always", "require", "never"], "default": "missing"},
    "registry_auth": {"type": "bool", "default": False},
    "replicas": {"type": "str", "choices": ["enforce", "keep"], "default": "enforce"},
    "drift": {"type": "str", "choices": ["repair", "report", "ignore"], "default": "repair"},
    "prune": {"type": "bool", "default": True},
    "allow_recreate": {"type": "list", "elements": "str"},
    "preflight": {"type": "dict"},
    "prepull": {"type": "str", "choices": ["auto", "job", "none"], "default": "auto"},
    "gates": {"type": "list", "elements": "dict"},
    "on_failure": {"type": "str", "choices": ["rollback", "stop"], "default": "rollback"},
    "reversible": {"type": "bool", "default": True},
    "rollback_timeout": {"type": "float", "default": 600},
    "history_keep": {"type": "int", "default": 10},
    "canary": {"type": "dict"},
    "reason": {"type": "str"},
    "vcs_ref": {"type": "str"},
    "operation": {"type": "str"},
}
SPEC: t.Dict[str, t.Any] = {**CONNECTION, **LIMITS, **LOCK, **STACK}
