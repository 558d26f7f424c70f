# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of node_hook."""

from __future__ import annotations

import typing as t

from .model import ACCEPTED, OWN, STAGES
from .record import FOLDER

HOOK: t.Dict[str, t.Any] = {
    "hook": {"type": "str", "choices": list(OWN), "required": True},
    "stage": {"type": "str", "choices": list(STAGES), "default": "observe"},
    "timeout": {"type": "float", "default": 600.0},
    "accept": {"type": "list", "elements": "str", "choices": sorted(ACCEPTED), "default": []},
    "after": {"type": "list", "elements": "str", "default": []},
    "force": {"type": "bool", "default": False},
    "stop_engine": {"type": "bool", "default": True},
    "socket": {"type": "path", "default": "/run/docker.sock"},
    "folder": {"type": "path", "default": FOLDER},
}
