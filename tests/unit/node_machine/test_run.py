# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The life of a machine over a recorder: check mode tells the truth, a second run does nothing, and a kill anywhere changes only the clock."""

from __future__ import annotations

import itertools
import json
import os
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core import faults
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.lock import locked
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine import run as room
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.run import info, run
from machines import IDS, NSPAWN, QEMU, Host, actions, params

KINDS = ("local_qemu", "local_nspawn")
LIFE = ("present", "running", "stopped", "running", "absent")


@pytest.fixture(params=KINDS)
def host(request, tmp_path, monkeypatch):
    # What is written is still there when a process dies; that it is there when the power goes is tested where files are written.
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    monkeypatch.setattr(room, "_PATIENCE", 0.1)
    return Host(tmp_path / "recorder", request.param)


def test_a_life_is_foreseen_and_a_second_run_does_nothing(host):
    for state in LIFE:
        before = sorted(os.listdir(host.folder)) if os.path.isdir(host.folder) else []
        foreseen = host.run(check=True, state=state)
        assert (sorted(os.listdir(host.folder)) if os.path.isdir(host.folder) else []) == before, "check mode writes nothing"
        done = host.run(state=state)
        assert foreseen["plan"] == done["plan"] and done["changed"] and foreseen["diff"] == done["diff"], state
        # The plan is what was executed.
        called = [call for call in done["evidence"]["calls"] if call != "read"]
        assert called == ["shutdown" if action == "stop" else action for action in actions(done)]
        again = host.run(state=state)
        assert not again["changed"] and again["evidence"]["calls"] == ["read"]
    assert host.records() == [] and host.recorder()._state()["files"] == []


def test_the_result_names_the_machine(host):
    machine = host.run()["machine"]
    assert machine["power"] == "on" and machine["identity"]["instance_id"] == IDS[0] and machine["identity"]["spec_hash"].startswith("v1:")
    assert host.run(state="absent")["machine"] is None


def test_credentials_are_named_given_once_and_taken_away(host, tmp_path):
    secret = tmp_path / "token"
    secret.write_text("hunter2", encoding="utf-8")
    base = QEMU if host.kind == "local_qemu" else NSPAWN
    made = host.run(spec={**base, "credentials": {"token": str(secret)}})
    assert made["machine"]["details"]["credentials"] is True
    assert host.run(spec=base)["changed"] is False
    gone = host.run(spec={**base, "credentials": "absent"})
    assert actions(gone) == ["forget"] and gone["machine"]["details"]["credentials"] is False
    # After the enrolment they are not given again.
    assert host.run(spec={**base, "credentials": {"token": str(secret)}})["changed"] is False
    everything = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "recorder").iterdir())
    assert "hunter2" not in everything and "hunter2" not in json.dumps([made, gone])


def test_a_stranger_stays_as_he_is(host):
    host.stranger("web-1")
    before = host.records()
    for state in ("present", "running", "stopped"):
        with pytest.raises(FleetError) as caught:
            host.run(state=state)
        assert caught.value.code == "name_clash"
    done = host.run(state="absent")
    assert not done["changed"] and "not ours" in done["warnings"][0]
    assert host.records() == before


def test_another_identity_is_not_destroyed(host):
    host.run(node="web-1", instance=IDS[1])
    before = host.records()
    # nspawn knows a machine by its name, so an id that was given anew is seen there; libvirt knows the other one apart by its UUID.
    for state in ("running", "stopped", *(["absent"] if host.kind == "local_nspawn" else [])):
        with pytest.raises(FleetError) as caught:
            host.run(node="web-1", instance=IDS[0], state=state)
        assert caught.value.code == "identity_mismatch"
    if host.kind == "local_qemu":
        assert host.run(node="web-1", instance=IDS[0], state="absent")["changed"] is False
    assert host.records() == before


def test_info_lists_what_is_ours(host):
    host.run(node="web-1", instance=IDS[0])
    host.run(node="web-2", instance=IDS[1])
    host.stranger("foreign")
    asked = {"kind": host.kind, "folder": host.folder, "mode": "recorder", "identity": None, "fleet": "lab", "console_lines": 0}
    listed = info(asked, lambda _mode: host.recorder(), {})
    assert [one["details"]["name"] for one in listed["machines"]] == ["web-1", "web-2"] and listed["changed"] is False
    one = info({**asked, "identity": params()["identity"], "console_lines": 5}, lambda _mode: host.recorder(), {})
    assert len(one["machines"]) == 1 and one["console"]
    assert one["busy"] is False
    # Who has the name is shown, whoever it is; his console is not read.
    foreign = info({**asked, "identity": {**params()["identity"], "node": "foreign"}, "console_lines": 5}, lambda _mode: host.recorder(), {})
    assert foreign["machines"][0]["identity"] is None or foreign["machines"][0]["details"]["name"] == "web-1"
    assert foreign["console"] == []
    assert info({**asked, "fleet": "other"}, lambda _mode: host.recorder(), {})["machines"] == []


def test_without_a_spec_a_machine_stays_as_it_is(host):
    """Power alone: nothing is compared, and nothing is made of nothing."""
    for state in ("present", "running", "stopped"):
        with pytest.raises(FleetError) as caught:
            run_without_spec(host, state)
        assert caught.value.code == "machine_missing"
    host.run()
    before = host.records()[0]
    assert actions(run_without_spec(host, "stopped")) == ["stop"] and actions(run_without_spec(host, "running")) == ["start"]
    assert host.records()[0] == before
    assert run_without_spec(host, "absent")["machine"] is None and run_without_spec(host, "absent")["changed"] is False


def run_without_spec(host, state):
    return run({**params(host.kind, folder=host.folder, state=state), "spec": None}, lambda _mode: host.recorder(), {})


def test_a_machine_that_is_worked_on_is_busy(host):
    asked = {"kind": host.kind, "folder": host.folder, "mode": "recorder", "identity": params()["identity"], "fleet": None, "console_lines": 0}
    with locked(os.path.join(host.folder, host.kind, "web-1")):
        seen = info(asked, lambda _mode: host.recorder(), {})
        with pytest.raises(FleetError) as caught:
            run({**params(host.kind, folder=host.folder), "wait_timeout": 0}, lambda _mode: host.recorder(), {})
    assert seen["busy"] is True and caught.value.code == "locked" and host.records() == []


class Deaf:
    """A machine that never powers off by itself."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return (lambda _machine: None) if name == "shutdown" else getattr(self.inner, name)


def test_a_guest_that_does_not_power_off(host):
    host.run()
    wanted = params(host.kind, folder=host.folder, state="stopped", wait_timeout=0)
    with pytest.raises(FleetError) as caught:
        run(wanted, lambda _mode: Deaf(host.recorder()), {})
    assert caught.value.code == "timeout" and host.records()[0]["power"] == "on"
    done = run({**wanted, "force": True}, lambda _mode: Deaf(host.recorder()), {})
    assert done["machine"]["power"] == "off" and "destroy" in done["evidence"]["calls"]


class Lost(Deaf):
    """A host that answers no more once it was asked to power a machine off."""

    def __getattr__(self, name):
        if name == "shutdown":
            self.read = self._silent
        return super().__getattr__(name)

    def _silent(self, _identity):
        raise FleetError("libvirt_error", "libvirt could not read: gone")


def test_a_host_that_goes_silent_is_no_guest_that_stays_on(host):
    """Its power is not taken away on a guess, even with force."""
    host.run()
    with pytest.raises(FleetError) as caught:
        run({**params(host.kind, folder=host.folder, state="stopped"), "force": True}, lambda _mode: Lost(host.recorder()), {})
    assert caught.value.code == "libvirt_error" and host.records()[0]["power"] == "on"


# --- kills ------------------------------------------------------------------------------------------------------------------------


def killed(host, point: str, turn: int, **given) -> bool:
    """Run it in a process of its own that is killed at the point; false when the run ended before."""
    pid = os.fork()
    if pid == 0:
        faults.arm(f"{point}.{turn}")
        try:
            host.run(**given)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("point", ["M1", "M2"])
def test_a_kill_before_and_after_every_call(host, point):
    """Machines made / wanted is 1.00, whichever call it was, and each kill is seen to have happened."""
    kills = 0
    for state in LIFE:
        for turn in itertools.count(1):
            # From the very beginning of this state, and then again after the kill.
            for earlier in LIFE[: LIFE.index(state)]:
                host.run(state=earlier)
            died = killed(host, point, turn, state=state)
            kills += died
            host.run(state=state)
            assert [one["name"] for one in host.records()] == ([] if state == "absent" else ["web-1"])
            assert host.run(state=state)["changed"] is False
            host.run(state="absent")
            assert host.records() == [] and host.recorder()._state()["files"] == []
            if not died:
                break
    assert kills >= 8


@pytest.mark.parametrize("seed", range(8))
def test_no_sequence_makes_two_machines_of_one(host, seed):
    """Random states, kills and instances on two names: one machine an id and a name at most, and strangers stay."""
    chance = random.Random(seed)
    host.stranger("web-3")
    stranger = host.records()[0]
    for _turn in range(25):
        given = {"node": chance.choice(["web-1", "web-2", "web-3"]), "instance": chance.choice(IDS[:3]),
                 "state": chance.choice(["present", "running", "stopped", "absent"])}  # fmt: skip
        try:
            if chance.random() < 0.2:
                killed(host, chance.choice(["M1", "M2"]), chance.randint(1, 3), **given)
            else:
                host.run(**given)
        except FleetError as error:
            assert error.code in ("name_clash", "identity_mismatch")
        records = host.records()
        names, ids = [one["name"] for one in records], [one["identity"]["instance_id"] for one in records if one["identity"]]
        assert len(set(names)) == len(names) and len(set(ids)) == len(ids)
        assert stranger in records


def test_runs_at_once_over_one_recorder_lose_nothing(tmp_path):
    """`provision` makes several machines at a time, each in a process of its own."""
    host = Host(tmp_path)
    names = [f"web-{number}" for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda name: host.run(node=name, instance=f"0f0e0d0c-1111-4222-8333-0000000001{name[4:]:0>2}"), names))
    assert sorted(one["name"] for one in host.records()) == sorted(names)
    assert {one["power"] for one in host.records()} == {"on"}
