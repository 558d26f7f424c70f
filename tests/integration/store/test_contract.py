# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The contract of the store, all of it, on PostgreSQL."""

from __future__ import annotations

import bowline_store_contract as contract

world = contract.world
globals().update({name: test for name, test in vars(contract).items() if name.startswith("test_")})
