# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of node_provider_info."""

from __future__ import annotations

import typing as t

PROVIDER_INFO: t.Dict[str, t.Any] = {
    "provider": {"type": "str"},
    "provider_options": {"type": "dict", "default": {}},
    "region": {"type": "str"},
    "instance_type": {"type": "str"},
}
