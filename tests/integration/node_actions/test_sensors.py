# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""node_sensor_info over a recorded host: each trouble is made, told once with one fingerprint by every look, and gone when it is gone."""

from __future__ import annotations

import hashlib
import json

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node.argspec import SENSORS
from ansible_collections.bowline.fleet.plugins.module_utils._node.beats import Beats
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import SIGNALS
from ansible_collections.bowline.fleet.plugins.module_utils._node.sensors import sensors
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import NodeStore
from asking import ask, listens, quiet, speaks
from controller import Controller
from fleet import Fleet, typed

DAY = 86400.0


@pytest.fixture
def home(fleet):
    for name in ("web-1", "web-2"):
        fleet.node(name)
        fleet.run("running", name=name)
    listens(fleet)
    return fleet


def look(home: Fleet, **given) -> dict:
    with home.opened(True) as database:
        return sensors(typed(SENSORS, given), NodeStore(database, home.clock))


def told(home: Fleet, **given) -> list[tuple[str, str, str, str]]:
    return [(one["kind"], one["node"], one["severity"], one["verb"]) for one in look(home, **given)["signals"]]


def twice(home: Fleet, wanted: tuple[str, str, str, str], seconds: float = 20.0, **given) -> dict:
    """The one signal that is wanted, with the same onset and fingerprint at a later look; nothing is written by either."""
    before = hashlib.sha256(home.path.read_bytes()).hexdigest()
    first = look(home, **given)["signals"]
    assert [(one["kind"], one["node"], one["severity"], one["verb"]) for one in first] == [wanted]
    assert hashlib.sha256(home.path.read_bytes()).hexdigest() == before
    home.skew += seconds
    listens(home)
    second = look(home, **given)["signals"]
    assert [(one["onset"], one["fingerprint"]) for one in second] == [(one["onset"], one["fingerprint"]) for one in first]
    return first[0]


def machines(home: Fleet) -> list[dict]:
    folder = str(home.folder / "host")
    answer = home.call("node_machine_info", {"kind": "local_nspawn", "folder": folder, "mode": "recorder"})
    return [{"host": "hv-1", "kind": "local_nspawn", "folder": folder, "answer": answer}]


def test_nothing_is_wrong(home):
    seen = look(home, machines=machines(home))
    assert (seen["signals"], seen["changed"], seen["observer"]["listens"], seen["observer"]["speaking"]) == ([], False, True, 2)
    assert seen["groups"] == {"small": {"members": 2, "silent": [], "together": False}}


def test_late_silent_and_lost(home):
    found = []
    for seconds, wanted in ((100, ("instance.late", "web-1", "low", "")), (300, ("instance.silent", "web-1", "high", "ladder")),
                            (600, ("instance.lost", "web-1", "critical", "ladder"))):  # fmt: skip
        quiet(home, seconds, "web-2")
        found.append(twice(home, wanted))
    assert len({one["fingerprint"] for one in found}) == 3
    speaks(home, "web-1")
    speaks(home, "web-2")
    assert told(home) == []
    quiet(home, 400, "web-2")
    assert twice(home, ("instance.silent", "web-1", "high", "ladder"))["fingerprint"] not in {one["fingerprint"] for one in found}, "another silence"
    quiet(home, 400)
    assert look(home)["groups"]["small"] == {"members": 2, "silent": ["web-1", "web-2"], "together": True}
    assert told(home, thresholds={"silent": 10_000, "lost": 20_000, "late": 9000}) == []


def test_nobody_listened(home):
    """observer_down, and its remedy: somebody listens again. Other sensors can be asked meanwhile."""
    home.skew += 4000
    speaks(home, "web-1", certificate_not_after=home.clock() + DAY)
    with pytest.raises(FleetError) as error:
        look(home)
    assert error.value.code == "observer_down" and error.value.details["signals"][0]["kind"] == "cert.expiring"
    assert told(home, sensors=["cert.expiring"]) == [("cert.expiring", "web-1", "high", "renew")]
    with home.opened(False) as database:
        Beats(database, home.clock).listens("sweep", home.clock())
    assert "instance.silent" not in {one[0] for one in told(home)}, "time in which nobody listened is no silence"


def test_gone_behind_our_back(home):
    gone = ("instance.vanished", "web-1", "critical", "replace")
    file = home.folder / "host" / "recorder" / "recorder-local_nspawn.json"
    state = json.loads(file.read_text())
    file.write_text(json.dumps({**state, "machines": state["machines"][1:]}))
    assert told(home) == [], "nobody has looked"
    first = twice(home, gone, machines=machines(home))
    elsewhere = [{**one, "folder": "/another"} for one in machines(home)]
    assert told(home, machines=elsewhere) == [], "where it does not stand it cannot be missing"
    with home.opened(False) as database, database.transaction() as transaction:
        transaction.execute("UPDATE node_instance SET missing_since = ?, missed_at = ? WHERE node = 'web-1'", (home.clock() - 61, home.clock()))
    assert twice(home, gone)["fingerprint"] == first["fingerprint"], "whoever has looked"
    home.run("running", name="web-1")
    assert told(home, machines=machines(home)) == []


def test_power_that_nobody_asked_for(home):
    home.change(power="off")
    drifted = ("instance.state_drifted", "web-1", "high", "")
    assert told(home) == [], "the store has not seen it"
    first = twice(home, drifted, machines=machines(home))
    home.run("present", name="web-1")
    assert told(home) == [], "present wants no power"
    home.change(power="on")
    home.run("running", name="web-1")
    home.change(power="off")
    home.run("running", name="web-2")
    again = look(home, machines=machines(home))["signals"]
    assert [one["kind"] for one in again] == ["instance.state_drifted"] and again[0]["fingerprint"] != first["fingerprint"], "another time"
    home.run("stopped", name="web-1")
    assert told(home, machines=machines(home)) == [], "it is off, and that is asked for now"
    home.change(power="on")
    assert told(home, machines=machines(home)) == [drifted]


def test_machines_that_no_row_has(home):
    file = home.folder / "host" / "recorder" / "recorder-local_nspawn.json"
    state = json.loads(file.read_text())
    one, other = (json.loads(json.dumps(state["machines"][0])) for _copy in range(2))
    one.update(name="x", identity={**one["identity"], "instance_id": "99999999-9999-4999-8999-999999999999", "name": "x"})
    other.update(name="y", identity={**other["identity"], "fleet": "elsewhere", "instance_id": "88888888-8888-4888-8888-888888888888"})
    file.write_text(json.dumps({**state, "machines": [*state["machines"], one, other]}))
    twice(home, ("machine.orphan", "web-1", "high", "terminate"), machines=machines(home))
    there = machines(home)
    there += [{**there[0], "host": "hv-2", "answer": {"machines": [there[0]["answer"]["machines"][1]]}}]
    assert ("machine.duplicate", "web-2", "high", "terminate") in told(home, machines=there)
    silent = [*machines(home), {"host": "hv-3", "kind": "local_nspawn", "answer": {"unreachable": True, "msg": "no route"}}]
    assert [one["code"] for one in look(home, machines=silent)["findings"]] == ["provider_unavailable"]


def test_modules_that_are_not_those_of_the_node(home):
    def carries(**digests):
        modules = {name: {"stack": "hub", "digest": f"sha256:{digest}", "units": {f"{name}.service": "active"}} for name, digest in digests.items()}
        speaks(home, "web-1", document={"modules": modules})

    wanted = [{"name": f"m{number}", "ref": f"r@sha256:{number}"} for number in range(5)]
    home.node("web-1", modules=wanted)
    carries(m0="0", m1="1", m2="2", m3="3", m4="9")
    only = {"sensors": ["module.drift_detected"]}
    first = twice(home, ("module.drift_detected", "web-1", "high", "reconcile"), **only)
    assert "m4; 20 %" in first["message"]
    carries(m0="0", m1="1", m2="2", m3="3", m4="8")
    assert look(home, **only)["signals"][0]["fingerprint"] != first["fingerprint"], "another difference"
    carries(m0="9", m1="9", m2="9", m3="9", x="9")
    assert told(home, **only) == [("module.drift_detected", "web-1", "critical", "reconcile")]
    carries(m0="0", m1="1", m2="2", m3="3", m4="4")
    assert told(home, **only) == []


def test_a_certificate_that_ends(home):
    speaks(home, "web-1", certificate_not_after=home.clock() + 13 * DAY)
    first = twice(home, ("cert.expiring", "web-1", "medium", "renew"), sensors=["cert.expiring"])
    speaks(home, "web-1", certificate_not_after=home.clock() + DAY - 60)
    second = twice(home, ("cert.expiring", "web-1", "high", "renew"), sensors=["cert.expiring"])
    assert first["fingerprint"] != second["fingerprint"]
    speaks(home, "web-1", certificate_not_after=home.clock() + 90 * DAY)
    assert told(home, sensors=["cert.expiring"]) == []
    assert told(home, sensors=["cert.expiring"], thresholds={"certificate": 100 * DAY}) == [("cert.expiring", "web-1", "medium", "renew")]


def test_what_takes_longer_than_it_may(home):
    home.node("db-1")
    home.real = True
    home.run("present", name="db-1")
    quiet(home, 901, "web-1", "web-2")
    stalled = twice(home, ("action.stalled", "db-1", "high", ""))
    assert "no_contact" in stalled["message"] and "suspects" in stalled["message"]
    ask(home, "running", "renew")
    quiet(home, 1801, "web-1", "web-2")
    assert [one for one in told(home) if one[1] == "web-1"] == [("action.stalled", "web-1", "high", "")]
    ask(home, "aborted", "renew")
    assert [one for one in told(home) if one[1] == "web-1"] == []


def test_what_is_asked_for(home):
    quiet(home, 400)
    both = look(home)["signals"]
    assert len(both) == 2 and told(home, name="web-2") == [("instance.silent", "web-2", "high", "ladder")]
    assert look(home, since=both[0]["onset"])["signals"] and told(home, since="2099-01-01T00:00:00Z") == []
    for code, given in (("option_invalid", {"since": "soon"}), ("node_unknown", {"name": "web-3"})):
        with pytest.raises(FleetError) as error:
            look(home, **given)
        assert error.value.code == code
    assert {one["kind"] for one in both} <= set(SIGNALS)


def test_as_a_playbook_runs_it(folder, home):
    seen = Controller(folder).run("""
    - name: Look
      bowline.fleet.node_sensor_info: {sensors: [cert.expiring, action.stalled]}
      register: done
""")
    assert seen["done"]["signals"] == [] and seen["done"]["observer"]["speaking"] == 2
