# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""BIND with views: the key decides which form of the zone is read, written and seen."""

from __future__ import annotations

import contextlib

import bowline_dns_rig as rig
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError

KEY = ("-y", f"hmac-sha256:cutover:{rig.secret()}")


class Views(rig.Bind):
    """Who has the key sees and changes the inner zone. The secondary follows the inner one with the key, or the outer one without."""

    def __init__(self, folder, *, knows, outer):
        self.knows, self.outer = knows, outer
        super().__init__(folder)

    def make(self, primary, secondary):
        inside, outside = primary / "inside.zone", primary / "outside.zone"
        text = self.zone_file.read_text(encoding="utf-8")
        inside.write_text(text, encoding="utf-8")
        outside.write_text(text.replace("hub 300 A 10.0.0.1", f"hub 300 A {self.outer}"), encoding="utf-8")
        zone = 'zone "{zone}" {{ type primary; file "{file}"; allow-update {{ key cutover; }}; }};'
        views = (
            f'view "inside" {{ match-clients {{ key cutover; }}; {zone.format(zone=rig.ZONE, file=inside)} }};\n'
            f'view "outside" {{ match-clients {{ any; }}; {zone.format(zone=rig.ZONE, file=outside)} }};'
        )
        where = f"{self.addresses[0]}{' key cutover' if self.knows else ''}"
        follows = f'zone "{rig.ZONE}" {{ type secondary; file "{secondary}/zone"; primaries port {self.port} {{ {where}; }}; }};'
        first = self.server(primary, self.addresses[0], views)
        second = self.server(secondary, self.addresses[1], follows, (("cutover", b"k"),) if self.knows else ())
        first.words = KEY
        second.words = KEY if self.knows else ()
        return first, second

    def inner(self):
        return self.primary.dig("hub.bowline.test", "A", *KEY)


@pytest.fixture
def views(tmp_path):
    with contextlib.ExitStack() as stack:

        def start(**options):
            pair = Views(tmp_path / "views", **options)
            stack.callback(pair.stop)
            pair.start()
            return pair

        yield start


def test_the_question_that_verifies_has_the_key(views):
    pair = views(knows=True, outer="192.0.2.1")
    moved = rig.do_while_transferring(pair, values=["10.0.0.2"], expect_current=["10.0.0.1"])
    assert moved["verified"] is True
    assert "without the key" in " ".join(moved["warnings"])
    assert pair.inner() == ["300 A 10.0.0.2"]
    assert pair.primary.dig("hub.bowline.test", "A") == ["300 A 192.0.2.1"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_view_that_would_hide_the_answer_is_refused_before_the_write(views, check_mode):
    pair = views(knows=False, outer="192.0.2.1")
    with pytest.raises(FleetError) as failure:
        rig.do(pair, check_mode, values=["10.0.0.2"], wait_timeout=1)
    assert failure.value.code == "view_mismatch"
    assert pair.secondary.where in failure.value.message
    assert pair.inner() == ["300 A 10.0.0.1"], "nothing was written"
    moved = rig.do(pair, values=["10.0.0.2"], ignore_servers=["ns2"], wait_timeout=5)
    assert moved["verified"] is True


def test_a_good_change_that_a_view_hides_is_not_taken_back(views):
    pair = views(knows=False, outer="10.0.0.1")
    with pytest.raises(FleetError) as failure:
        rig.do(pair, values=["10.0.0.2"], wait_timeout=0.2, on_timeout="revert")
    assert (failure.value.code, failure.value.details["reverted"]) == ("verify_timeout", False)
    assert "view" in failure.value.message
    assert pair.inner() == ["300 A 10.0.0.2"]
