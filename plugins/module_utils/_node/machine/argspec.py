# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of node_machine and node_machine_info."""

from __future__ import annotations

import typing as t

from .model import KINDS, STATES

HOST: t.Dict[str, t.Any] = {
    "kind": {"type": "str", "choices": list(KINDS), "required": True},
    "uri": {"type": "str", "default": "qemu:///system"},
    "folder": {"type": "path", "default": "/var/lib/bowline/machines"},
    "mode": {"type": "str"},
}

IDENTITY: t.Dict[str, t.Any] = {
    "fleet": {"type": "str", "required": True},
    "instance_id": {"type": "str", "required": True},
    "node": {"type": "str", "required": True},
    "name": {"type": "str"},
    "spec_hash": {"type": "str"},
    "generation": {"type": "int", "default": 1},
}

SPEC: t.Dict[str, t.Any] = {
    "image": {"type": "path"},
    "kernel": {"type": "path"},
    "initrd": {"type": "path"},
    "cmdline": {"type": "str"},
    "memory_mib": {"type": "int", "default": 1024},
    "vcpus": {"type": "int", "default": 1},
    "disk_gib": {"type": "int", "default": 8},
    "network": {"type": "str"},
    "address": {"type": "str"},
    "gateway": {"type": "str"},
    "volatile": {"type": "bool", "default": False},
    "credentials": {"type": "raw"},
    "image_sha256": {"type": "str"},
    "accept_unpublished": {"type": "bool", "default": False},
}

MACHINE: t.Dict[str, t.Any] = {
    **HOST,
    "state": {"type": "str", "choices": list(STATES), "default": "running"},
    "identity": {"type": "dict", "required": True, "options": IDENTITY},
    "spec": {"type": "dict", "options": SPEC},
    "accel": {"type": "str", "choices": ["auto", "kvm", "tcg"], "default": "auto"},
    "launcher": {"type": "str", "choices": ["auto", "machined", "plain"], "default": "auto"},
    "wait_timeout": {"type": "float", "default": 120},
    "force": {"type": "bool", "default": False},
}

MACHINE_INFO: t.Dict[str, t.Any] = {
    **HOST,
    "identity": {"type": "dict", "options": IDENTITY},
    "fleet": {"type": "str"},
    "console_lines": {"type": "int", "default": 0},
}
