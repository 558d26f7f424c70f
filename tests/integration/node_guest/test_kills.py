# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kill -9 of the controller around every step that asks libvirt for something: whatever was cut off, there is one domain, and then none.

All of it on libvirt's mock, whose domains outlive the controller; a sample on a libvirt that runs qemu, and there the module is killed as well.
"""

from __future__ import annotations

import itertools

import pytest

# A command, and what was before it: nothing, a machine that is on, one whose power somebody took.
LIVES = {"create": ("present", {}), "power": ("present", {"wait_for": "contacted"}), "delete": ("absent", {})}


def begin(fleet, life):
    if life != "create":
        fleet.run("present")
    if life == "power":
        fleet.libvirt.ask("destroy", "web-1")


def agree(fleet, life):
    """The domain that is asked for, or none; the row that lives is its."""
    rows = [row.id for row in fleet.rows() if row.terminated_at is None]
    domains = fleet.libvirt.domains()
    assert [uuid for uuid, _on in domains.values()] == rows and len(rows) == (0 if life == "delete" else 1)
    assert all(on for _uuid, on in domains.values())


def through(fleet, life, cut) -> bool:
    """The command, cut off, and again; then there is nothing left to do, and at last no domain."""
    state, given = LIVES[life]
    begin(fleet, life)
    was_cut = cut(state, **given)
    fleet.run(state, **given)
    agree(fleet, life)
    assert fleet.run(state, **given)["plan"] == []
    fleet.run("absent", force=True)
    assert fleet.libvirt.domains() == {}
    return was_cut


@pytest.mark.parametrize("point", ["I1", "I2", "I3"])
@pytest.mark.parametrize("life", LIVES)
def test_one_domain_of_the_mock(tmp_path, mock, make_fleet, life, point):
    for turn in itertools.count(1):
        fleet = make_fleet(tmp_path / str(turn), mock)
        if not through(fleet, life, lambda state, turn=turn, fleet=fleet, **given: fleet.killed(f"{point}.{turn}", state, **given)):
            break
    assert turn > 1


@pytest.mark.slow
@pytest.mark.parametrize("point", ["I2", "I3", "M1", "M2"])
def test_one_domain_of_qemu(real, make_fleet, point):
    """M1 and M2 end the module on the host, before and behind its first call to libvirt; who asked it lives, and goes on."""
    host, base = real
    for life in LIVES:
        fleet = make_fleet(base / life, host, accel="tcg")

        def cut(state, fleet=fleet, **given):
            if point.startswith("I"):
                return fleet.killed(point, state, **given)
            host.armed(point)
            fleet.run(state, **given)
            return host.fault == ""

        try:
            assert through(fleet, life, cut)
        finally:
            fleet.run("absent", force=True)


@pytest.mark.slow
def test_gone_behind_our_back(real, make_fleet):
    """Somebody undefines the domain: it has vanished, its end is gone through, and the next one is made when it is asked for."""
    host, base = real
    fleet = make_fleet(base / "gone", host, accel="tcg")
    first = fleet.run("present")["instance"]["id"]
    host.ask("undefine", "web-1")
    shown = fleet.run("absent", check=True)
    ends = [step["subject"] for step in shown["plan"] if step["action"] == "finish"]
    assert shown["instance"]["reason"] == "vanished" and ends[-2:] == ["provider", "traces"]
    second = fleet.run("present")["instance"]
    assert second["generation"] == 2 and [uuid for uuid, _on in host.domains().values()] == [second["id"]] != [first]
    fleet.run("absent", force=True)
    assert host.domains() == {}
