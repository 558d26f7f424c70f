# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a database may have, by subject; importing this registers all of it."""

from __future__ import annotations

from . import access, accounts, checks, columns, extensions, loopholes, programs, settings, tables, views

__all__ = ["access", "accounts", "checks", "columns", "extensions", "loopholes", "programs", "settings", "tables", "views"]
