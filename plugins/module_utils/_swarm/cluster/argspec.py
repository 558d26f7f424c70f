# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of swarm_cluster and swarm_cluster_info."""

from __future__ import annotations

import typing as t

from ..argspec import CONNECTION
from ..gather import INVENTORY

# What of the connection a registration keeps.
CONNECTION_NAMES = ("docker_host", "ca_path", "client_cert", "client_key", "validate_certs", "tls_hostname", "allow_plaintext")

CLUSTER: t.Dict[str, t.Any] = {
    **CONNECTION,
    "store": {"type": "str"},
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "synced", "absent"], "default": "present"},
    "cluster_id": {"type": "str"},
    "adopt": {"type": "bool", "default": False},
    "expected": {"type": "dict", "default": {}},
    "sync_interval": {"type": "float", "default": 300},
    "min_fault_tolerance": {"type": "int", "default": 1},
    "wait_timeout": {"type": "float", "default": 120},
}

CLUSTER_INFO: t.Dict[str, t.Any] = {
    **CONNECTION,
    "store": {"type": "str"},
    "name": {"type": "str"},
    "gather": {"type": "list", "elements": "str", "choices": ["health", *INVENTORY], "default": ["health"]},
    "since": {"type": "float"},
    "min_fault_tolerance": {"type": "int", "default": 1},
}
