# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Phase, who serves, and the steps, from what two servers say."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._redis import plan
from ansible_collections.bowline.fleet.plugins.module_utils._redis.model import SIDES, Endpoint, Options, Server
from ansible_collections.bowline.fleet.plugins.module_utils._redis.run import foreseen

ENDS = {"legacy": Endpoint("legacy", "l", peer_host="l"), "new": Endpoint("new", "n", peer_host="n")}
LEGACY, NEW = Server("legacy", version="7.0.15", link_user=True), Server("new", version="7.0.15")
UP = {"link_up": True, "link_ours": True, "link_user": False}
TO_LEGACY, TO_NEW, STRANGER = ("l", 6379), ("n", 6379), ("x", 6379)
FOLLOWING = (LEGACY, replace(NEW, master=TO_LEGACY, **UP))
OWN = (replace(LEGACY, link_user=False), replace(FOLLOWING[1], link_ours=False, link_own=True))
PROMOTED = (replace(LEGACY, master=TO_NEW, **UP), replace(NEW, link_user=True))
WINDOW = (replace(LEGACY, master=TO_NEW, offset=7), replace(NEW, master=TO_LEGACY, offset=7))
FURTHER = (replace(WINDOW[0], offset=9), WINDOW[1])
CLOSED = tuple(replace(server, master=plan.NOWHERE) for server in (LEGACY, NEW))
DRAINED = (replace(LEGACY, master=plan.NOWHERE, link_user=False), NEW)


def options(state, **changes):
    return Options(**{"state": state, "side": "new", "mode": "replicate", "legacy": ENDS["legacy"], "new": ENDS["new"], **changes})


def actions(wanted, pair):
    return [step.action for step in plan.steps(wanted, plan.phase(*pair, ENDS), *pair)]


@pytest.mark.parametrize(("pair", "phase", "serving"), [
    pytest.param((LEGACY, NEW), "apart", "unknown", id="two masters"),
    pytest.param(FOLLOWING, "following", "legacy", id="new follows"),
    pytest.param((LEGACY, replace(FOLLOWING[1], link_up=False)), "joining", "legacy", id="link down"),
    pytest.param((LEGACY, replace(FOLLOWING[1], copying=True)), "joining", "legacy", id="copying"),
    pytest.param(PROMOTED, "promoted", "new", id="legacy follows"),
    pytest.param((replace(PROMOTED[0], link_up=False), PROMOTED[1]), "rejoining", "new", id="its link is down"),
    pytest.param(WINDOW, "window", "nobody", id="both closed"),
    pytest.param(DRAINED, "drained", "new", id="closed without a link"),
    pytest.param((LEGACY, replace(NEW, master=plan.NOWHERE)), "drained_back", "legacy", id="the other one closed"),
    pytest.param((DRAINED[0], replace(NEW, master=plan.NOWHERE)), "closed", "nobody", id="both closed without a link"),
    pytest.param((replace(LEGACY, master=STRANGER), NEW), "foreign", "unknown", id="legacy follows a stranger"),
    pytest.param((LEGACY, replace(NEW, master=STRANGER)), "foreign", "unknown", id="new follows a stranger"),
])  # fmt: skip
def test_roles_tell_the_phase_and_who_serves(pair, phase, serving):
    assert (plan.phase(*pair, ENDS), plan.serving(phase)) == (phase, serving)


def test_no_facts_ever_give_two_serving_sides():
    """Whoever is said to serve is a master, and the other one is not."""
    masters = (None, TO_LEGACY, TO_NEW, STRANGER, plan.NOWHERE)
    for legacy, new, up in itertools.product(masters, masters, (False, True)):
        pair = {"legacy": replace(LEGACY, master=legacy, link_up=up), "new": replace(NEW, master=new, link_up=up)}
        serves = plan.serving(plan.phase(pair["legacy"], pair["new"], ENDS))
        if serves in SIDES:
            assert pair[serves].master is None
            assert all(server.master is not None for side, server in pair.items() if side != serves)


@pytest.mark.parametrize(("wanted", "pair", "steps"), [
    pytest.param(options("replicating"), (replace(LEGACY, link_user=False), NEW), ["link_new"], id="first"),
    pytest.param(options("replicating"), FOLLOWING, [], id="replicating again"),
    pytest.param(options("replicating"), PROMOTED, [], id="replicating holds behind a switch"),
    pytest.param(options("replicating"), (LEGACY, replace(FOLLOWING[1], link_ours=False)), ["link_new"], id="killed before the credentials"),
    pytest.param(options("replicating"), (replace(LEGACY, link_user=False), FOLLOWING[1]), ["link_new"], id="legacy was restarted"),
    pytest.param(options("replicating"), OWN, [], id="own credentials"),
    pytest.param(options("promoted"), FOLLOWING, ["switch", "link_legacy"], id="switch"),
    pytest.param(options("promoted", quiet=("true",), layouts=(object(),)), FOLLOWING, ["quiet", "idle", "switch", "link_legacy"], id="with a worker"),
    pytest.param(options("promoted"), (replace(LEGACY, link_user=False), NEW), ["link_new", "switch", "link_legacy"], id="from nothing"),
    pytest.param(options("promoted"), PROMOTED, [], id="promoted again"),
    pytest.param(options("promoted", side="legacy"), PROMOTED, ["switch", "link_new"], id="way back"),
    pytest.param(options("promoted"), (PROMOTED[0], replace(NEW, link_ours=True)), ["link_legacy"], id="killed behind the opening"),
    pytest.param(options("promoted"), WINDOW, ["reopen_new", "link_legacy"], id="both closed and level"),
    pytest.param(options("promoted"), FURTHER, ["reopen_legacy", "link_new", "switch", "link_legacy"], id="legacy is further"),
    pytest.param(options("replicating"), WINDOW, ["reopen_legacy", "link_new"], id="both closed, replicating wants legacy"),
    pytest.param(options("promoted"), (replace(FOLLOWING[0], version="6.2.14"), FOLLOWING[1]), ["switch", "close_legacy"], id="legacy is older"),
    pytest.param(options("promoted"), DRAINED, [], id="again, legacy is older"),
    pytest.param(options("absent"), FOLLOWING, ["detach", "flush", "clean"], id="absent"),
    pytest.param(options("absent"), (LEGACY, replace(NEW, link_ours=True, keys={0: 3})), ["flush", "clean"], id="absent, killed behind detach"),
    pytest.param(options("absent"), (LEGACY, replace(NEW, link_ours=True)), ["clean"], id="absent, killed behind flush"),
    pytest.param(options("absent"), (replace(LEGACY, link_user=False), replace(NEW, keys={0: 3})), [], id="absent where nothing is"),
    pytest.param(options("absent"), WINDOW, ["reopen_legacy", "detach", "flush", "clean"], id="absent out of a window"),
    pytest.param(options("standalone"), PROMOTED, ["part"], id="standalone"),
    pytest.param(options("standalone"), (replace(PROMOTED[0], link_ours=False, link_up=False), NEW), [], id="standalone again"),
    pytest.param(options("empty"), FOLLOWING, [], id="empty writes nothing"),
    pytest.param(options("promoted", mode="none"), FOLLOWING, [], id="none does nothing"),
    pytest.param(options("promoted", mode="drain"), (replace(LEGACY, link_user=False), NEW), ["drained", "close_legacy"], id="drain"),
    pytest.param(options("promoted", mode="drain"), DRAINED, [], id="drain again"),
    pytest.param(options("promoted", mode="drain", side="legacy"), DRAINED, ["drained", "close_new", "open_legacy"], id="drain, way back"),
    pytest.param(options("promoted", mode="drain", side="legacy"), CLOSED, ["open_legacy"], id="drain, killed between"),
])  # fmt: skip
def test_steps_from_what_is_there_to_what_is_wanted(wanted, pair, steps):
    assert actions(wanted, pair) == steps


@pytest.mark.parametrize(("wanted", "pair", "code"), [
    pytest.param(options("replicating"), (replace(LEGACY, link_user=False), replace(NEW, keys={0: 1})), "loss_not_accepted", id="new has keys"),
    pytest.param(options("replicating", accept_loss=("legacy",)), (replace(LEGACY, keys={0: 1}), NEW), "", id="the loss of legacy is accepted"),
    pytest.param(options("promoted"), (replace(LEGACY, master=STRANGER), NEW), "follows_other", id="a stranger leads"),
    pytest.param(options("absent"), PROMOTED, "mode_unsupported", id="absent while new serves"),
    pytest.param(options("absent"), (WINDOW[0], replace(WINDOW[1], offset=9)), "mode_unsupported", id="absent while new is further"),
    pytest.param(options("promoted", mode="drain"), FOLLOWING, "mode_unsupported", id="drain of a pair that replicates"),
    pytest.param(options("replicating", mode="drain"), (LEGACY, NEW), "mode_unsupported", id="drain replicates nothing"),
    pytest.param(options("replicating"), DRAINED, "mode_unsupported", id="replicating behind drain"),
    pytest.param(options("standalone"), WINDOW, "mode_unsupported", id="standalone inside a window"),
])  # fmt: skip
def test_what_may_not_be_done_is_refused_by_name(wanted, pair, code):
    if not code:
        assert actions(wanted, pair) == ["link_legacy"]
        return
    with pytest.raises(FleetError) as failed:
        actions(wanted, pair)
    assert failed.value.code == code and "Nothing was changed" in failed.value.message and failed.value.remedy


@pytest.mark.parametrize(("wanted", "pair", "phase"), [
    pytest.param(options("replicating"), (replace(LEGACY, link_user=False), NEW), "following", id="first"),
    pytest.param(options("promoted"), FOLLOWING, "promoted", id="switch"),
    pytest.param(options("promoted"), (replace(FOLLOWING[0], version="6.2.14"), FOLLOWING[1]), "drained", id="legacy is older"),
    pytest.param(options("promoted", side="legacy"), PROMOTED, "following", id="way back"),
    pytest.param(options("absent"), FOLLOWING, "apart", id="absent"),
    pytest.param(options("standalone"), PROMOTED, "rejoining", id="standalone"),
    pytest.param(options("promoted", mode="drain", side="legacy"), DRAINED, "drained_back", id="drain, way back"),
])  # fmt: skip
def test_check_mode_tells_the_phase_that_is_reached(wanted, pair, phase):
    found = plan.phase(*pair, ENDS)
    assert foreseen(wanted, found, plan.steps(wanted, found, *pair)) == phase


def test_of_two_closed_sides_the_further_one_has_everything():
    wanted = options("promoted")
    assert plan.source_of(wanted, replace(LEGACY, offset=8), replace(NEW, offset=7), "new") == "legacy"
    assert plan.source_of(wanted, replace(LEGACY, offset=7), replace(NEW, offset=8), "legacy") == "new"
    assert plan.source_of(wanted, LEGACY, NEW, "new") == "new"


def test_two_histories_are_not_compared():
    """Killed behind the opening of new, before its role was on its disk; then new was restarted and says it follows legacy."""
    pair = (replace(WINDOW[0], replid="a", offset=9), replace(WINDOW[1], replid="b", offset=0))
    for wanted in (options("promoted"), options("replicating"), options("absent")):
        with pytest.raises(FleetError) as failed:
            actions(wanted, pair)
        assert failed.value.code == "loss_not_accepted" and "accept_loss" in failed.value.remedy
    assert actions(options("promoted", accept_loss=("legacy",)), pair) == ["reopen_new", "link_legacy"]
