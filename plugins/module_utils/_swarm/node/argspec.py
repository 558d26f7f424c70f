# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of swarm_node and swarm_node_info."""

from __future__ import annotations

import typing as t

from .model import BLOCKERS

NODE: t.Dict[str, t.Any] = {
    "node": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["active", "paused", "drained", "absent"], "default": "active"},
    "role": {"type": "str", "choices": ["manager", "worker"]},
    "labels": {"type": "dict", "default": {}},
    "mode": {"type": "str", "choices": ["surge", "plain"], "default": "surge"},
    "intent": {"type": "str", "choices": ["maintenance", "reboot", "decommission"], "default": "maintenance"},
    "wait_timeout": {"type": "float", "default": 600},
    "on_timeout": {"type": "str", "choices": ["undo", "keep", "force"], "default": "undo"},
    "max_parallel": {"type": "int", "default": 1},
    "accept": {"type": "list", "elements": "str", "choices": list(BLOCKERS), "default": []},
    "quorum": {"type": "str", "choices": ["strict", "votes"], "default": "strict"},
    "accept_quorum_loss": {"type": "bool", "default": False},
    "dead": {"type": "bool", "default": False},
    "dead_proof": {
        "type": "dict",
        "options": {
            "power": {"type": "str", "choices": ["off", "on"], "required": True},
            "source": {"type": "str", "required": True},
            "observed_at": {"type": "str", "required": True},
        },
    },
    "reason": {"type": "str"},
}

NODE_INFO: t.Dict[str, t.Any] = {
    "node": {"type": "str"},
    "gather": {"type": "list", "elements": "str", "choices": ["summary", "tasks", "resources", "blockers", "identity"], "default": ["summary"]},
    "wait_timeout": {"type": "float", "default": 0},
    **{name: NODE[name] for name in ("mode", "intent", "quorum")},
}
