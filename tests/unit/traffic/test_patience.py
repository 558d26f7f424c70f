# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A hold is shorter than the patience of the proxy in front of it."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.patience import UNKNOWN, longest_hold, of, too_long


@pytest.mark.parametrize(("timeout", "most"), [(60, 55), (600, 595), (10, 5), (3, 1.5), (1, 0.5)])
def test_a_hold_leaves_room_for_the_answer(timeout, most):
    assert longest_hold(timeout) == most
    assert too_long(most, timeout, "there") is None and too_long(most, None, "no limit") is None
    failure = too_long(most + 0.1, timeout, "there")
    assert (failure.code, failure.details["field"]) == ("hold_refused", "hold_max")
    assert f"to {most:g} or less" in failure.remedy and "there" in failure.message


@pytest.mark.parametrize(
    ("driver", "asked", "read", "seconds"),
    [("nginx", None, 3.0, 3.0), ("nginx", 9.0, 3.0, 9.0), ("caddy", None, None, None), ("caddy", 9.0, None, 9.0), ("command", None, None, UNKNOWN)],
)
def test_the_option_counts_before_what_was_read(driver, asked, read, seconds):
    assert of(driver, asked, read)[0] == seconds
