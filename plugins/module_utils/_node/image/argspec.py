# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of node_image."""

from __future__ import annotations

import typing as t

from ..machine.model import KINDS
from .debian import MIRROR, SECURITY

IMAGE: t.Dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": list(KINDS), "required": True},
    "state": {"type": "str", "choices": ["built", "published", "absent"], "default": "published"},
    "release": {"type": "str", "default": "bookworm"},
    "packages": {"type": "list", "elements": "str", "default": []},
    "mirror": {"type": "str", "default": MIRROR},
    "security_mirror": {"type": "str", "default": SECURITY},
    "size_gib": {"type": "int", "default": 2},
    "image_base": {"type": "path"},
    "machines_folder": {"type": "path", "default": "/var/lib/bowline/machines"},
}
