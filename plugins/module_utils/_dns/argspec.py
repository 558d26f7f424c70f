# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that name an RRset and its provider; documented in the fragment ``bowline.fleet.dns``."""

from __future__ import annotations

import typing as t

from .model import TYPES

RECORD: dict[str, t.Any] = {
    "provider": {"type": "str", "choices": ["rfc2136", "lexicon", "none", "hosts"], "default": "rfc2136"},
    "provider_options": {"type": "dict"},
    "provider_auth": {"type": "dict", "no_log": True},
    "zone": {"type": "str"},
    "name": {"type": "str", "required": True},
    "type": {"type": "str", "choices": list(TYPES), "default": "A"},
    "resolvers": {"type": "list", "elements": "str"},
    "ignore_servers": {"type": "list", "elements": "str"},
}
