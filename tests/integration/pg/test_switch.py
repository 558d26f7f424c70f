# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""There, back, and there again, with writers on; nothing is lost and nothing is copied twice."""

from __future__ import annotations


def test_there_and_back_and_there_again_without_losing_a_row(world, writers):
    assert world.ok("armed")["phase_after"] == "armed"
    with writers(world) as clients:
        there = world.ok("new")
        assert (there["phase_after"], there["serving"], there["changed"]) == ("new", "new", True)
        assert (there["rollback"]["armed"], there["rollback"]["reason"]) == (True, "")
        assert there["verify"]["equal"] is True and there["verify"]["tables"] >= 8
        assert world.ok("armed")["phase_after"] == "new_armed"
        back = world.ok("legacy")
        assert (back["serving"], back["verify"]["equal"]) == ("legacy", True)
        assert world.ok("armed")["phase_after"] == "armed"
        again = world.ok("new")
        assert [step["action"] for step in again["plan"]] == ["switch", "cleanup"]
        assert again["verify"]["equal"] is True
    clients.assert_lossless()
    assert clients.longest_gap() < 2
    assert world.open_sides() == ["new"]
