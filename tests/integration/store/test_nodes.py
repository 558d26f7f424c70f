# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the store keeps of nodes, on PostgreSQL."""

from __future__ import annotations

import bowline_node_store as contract
import pytest

kept, edge = contract.kept, contract.edge
globals().update({name: test for name, test in vars(contract).items() if name.startswith("test_")})


@pytest.fixture
def opens(place):
    return place.open
