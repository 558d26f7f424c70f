# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The probe as a process: it measures both edges, follows a name and its TTL, and outlives whoever started it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.probe import Probe, run_probe, run_probe_info

WORKER = {
    "address": None,
    "method": "GET",
    "path": "/up",
    "body": None,
    "headers": None,
    "expect_status": [200, 201],
    "rate": 50.0,
    "concurrency": 4,
}


def runner(argv, *, env=None, stdin=None, timeout=None):
    completed = subprocess.run(list(argv), capture_output=True, text=True, input=stdin, timeout=timeout, check=False)
    return Completed(completed.returncode, completed.stdout, completed.stderr)


def read(directory, **changes):
    return run_probe_info({"directory": directory, "since": None, "old_side": None, "released_at": None, "series": False, **changes})["probe"]


class Names:
    """A name server with one address and one TTL, which counts what it is asked."""

    def __init__(self) -> None:
        self.address, self.ttl, self.asked = "127.0.0.1", 60, 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.server = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                question, client = self._socket.recvfrom(512)
            except OSError:
                return
            self.asked += 1
            alias = b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, self.ttl, 6) + b"\x03alt\xc0\x0c"
            target = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, self.ttl, 4) + socket.inet_aton(self.address)
            self._socket.sendto(question[:2] + struct.pack(">5H", 0x8180, 1, 2, 0, 0) + question[12:] + alias + target, client)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def names():
    server = Names()
    yield server
    server.close()


@pytest.fixture
def probed(world, names, tmp_path):
    directory = str(tmp_path / "probe")
    params = {
        "state": "started", "directory": directory, "url": f"https://hub.example.test:{world.legacy.port}",
        "ca_file": str(world.authority / "ca.pem"), "resolvers": [names.server], "side_header": "X-Served-By", "timeout": 35.0,
        "max_seconds": 60.0,
        "workers": [
            {**WORKER, "name": "pinned", "address": "127.0.0.1"},
            {**WORKER, "name": "dns"},
            {**WORKER, "name": "writer", "method": "POST", "path": "/ledger", "body": {"key": "{key}", "amount": 1}},
        ],
    }  # fmt: skip
    yield params
    if os.path.isdir(directory):
        run_probe({**params, "state": "stopped"}, runner, False)


def test_the_first_request_of_each_worker_is_sent_before_there_is_a_probe(world, traffic_rig, probed):
    """Check mode sends nothing that writes, and says nothing of its answer; whether it would get there is tried all the same."""
    asked = run_probe({**probed, "state": "tried"}, runner, True)
    assert (asked["changed"], asked["findings"]) == (False, [])
    assert [line["status"] for line in asked["evidence"]["requests"]] == [200, 200, None]
    sent = run_probe({**probed, "state": "tried"}, runner, False)
    assert sent["findings"] == [] and sent["evidence"]["requests"][2]["status"] in (200, 201)
    assert not os.path.exists(probed["directory"])


@pytest.mark.parametrize(("changes", "worker", "code", "field"), [
    ({}, {"expect_status": [204]}, "check_failed", "workers.it"),
    ({}, {"address": "127.0.0.9"}, "unreachable", "workers.it"),
    ({"resolvers": ["127.0.0.1:1"]}, {}, "unreachable", "url, resolvers"),
    ({"ca_file": None}, {}, "certificate_invalid", "ca_file, url"),
    ({}, {"method": "POST", "address": "127.0.0.9"}, "unreachable", "workers.it"),
])  # fmt: skip
def test_a_first_request_that_fails_names_the_option(world, traffic_rig, probed, changes, worker, code, field):
    params = {**probed, "state": "tried", **changes, "workers": [{**WORKER, "name": "it", **worker}]}
    (finding,) = run_probe(params, runner, True)["findings"]
    assert (finding["code"], finding["field"]) == (code, field) and finding["remedy"]


def test_a_switch_seen_from_outside(world, traffic_rig, probed):
    directory = probed["directory"]
    predicted = run_probe(probed, runner, True)
    assert predicted["changed"] and not os.path.exists(directory)
    assert run_probe(probed, runner, False)["plan"] == predicted["plan"]
    assert run_probe(probed, runner, False)["changed"] is False
    traffic_rig.wait_until("requests", lambda: read(directory)["requests"] > 60)
    for words in (("hold", "--seconds", "5"), ("route", "new")):
        assert world.cli("legacy", *words)[0] == 0
    assert world.cli("legacy", "warmup", "new")[0] == 0
    released = time.time()
    assert world.cli("legacy", "release")[0] == 0
    traffic_rig.wait_until("the new side", lambda: read(directory)["sides"].get("new", {}).get("requests", 0) > 60)
    seen = read(directory, old_side="legacy", released_at=released, series=True)
    assert seen["alive"] and seen["failed"] == 0, seen["failures"]
    assert seen["served_by_old_after_release"] == 0
    assert set(seen["workers"]) == {"pinned", "dns", "writer"}
    assert seen["sides"]["legacy"]["last"] <= seen["sides"]["new"]["first"]
    # The hold shows: as a late answer, and as a gap between writes.
    assert seen["max_ms"] > 100 and seen["longest_write_gap_ms"] > 100
    assert {gap["worker"] for gap in seen["gaps"]} == {"pinned", "dns", "writer"}
    assert sum(bucket["ok"] for bucket in seen["series"]) == seen["requests"]
    stopped = run_probe({**probed, "state": "stopped"}, runner, False)
    assert stopped["changed"] and not stopped["probe"]["alive"]
    assert run_probe({**probed, "state": "stopped"}, runner, False)["changed"] is False
    after = read(directory)
    assert not after["alive"] and after["requests"] >= seen["requests"]


def test_each_write_has_a_key_of_its_own(world, traffic_rig, probed):
    run_probe(probed, runner, False)
    traffic_rig.wait_until("writes", lambda: read(probed["directory"])["workers"].get("writer", {}).get("requests", 0) > 20)
    with open(Probe(probed["directory"]).path("requests.jsonl"), encoding="utf-8") as file:
        keys = [line["key"] for line in map(json.loads, file.read().split("\n")[:-1]) if line.get("worker") == "writer"]
    assert len(set(keys)) == len(keys) > 20


def test_failures_are_counted_and_named(world, traffic_rig, probed):
    run_probe(probed, runner, False)
    traffic_rig.wait_until("requests", lambda: read(probed["directory"])["requests"] > 30)
    world.legacy.application.up = False
    traffic_rig.wait_until("failures", lambda: read(probed["directory"])["failed"] > 10)
    world.legacy.application.up = True
    assert {line["status"] for line in read(probed["directory"])["failures"]} == {500}
    world.legacy.nginx.stop()
    try:
        traffic_rig.wait_until(
            "a refusal", lambda: any("ConnectionRefusedError" in line.get("error", "") for line in read(probed["directory"])["failures"])
        )
        assert read(probed["directory"])["alive"], "a dead service does not silence the probe"
    finally:
        world.legacy.nginx.start()
        traffic_rig.wait_until("nginx", lambda: traffic_rig.port_open(world.legacy.port))


def test_the_name_is_followed_by_its_ttl(world, traffic_rig, probed, names):
    names.ttl = 1
    run_probe({**probed, "workers": probed["workers"][1:2]}, runner, False)
    traffic_rig.wait_until("answers", lambda: read(probed["directory"])["requests"] > 10)
    assert names.asked == 1, "one answer serves for its TTL"
    names.address = "127.0.0.2"
    failed = traffic_rig.wait_until("the other address", lambda: read(probed["directory"])["failures"])
    assert failed[0]["address"] == "127.0.0.2"
    names.address = "127.0.0.1"
    traffic_rig.wait_until("the first address again", lambda: read(probed["directory"])["workers"]["dns"]["last"] > failed[0]["t"] + 0.5)


def test_other_options_start_it_anew_and_a_vanished_directory_ends_it(world, traffic_rig, probed):
    run_probe(probed, runner, False)
    assert [step["action"] for step in run_probe({**probed, "timeout": 30.0}, runner, False)["plan"]] == ["restart"]
    assert os.path.exists(Probe(probed["directory"]).path("requests.previous.jsonl"))
    pid = pid_of(probed["directory"])
    shutil.rmtree(probed["directory"])
    traffic_rig.wait_until("the probe to end", lambda: not os.path.exists(f"/proc/{pid}"))


def test_it_outlives_the_session_that_started_it(world, traffic_rig, probed, tmp_path):
    """The starter is a session of its own that is killed as a whole, as by kill -9 of a playbook."""
    script = tmp_path / "starter.py"
    script.write_text(
        "import json, subprocess, sys, time\n"
        "from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed\n"
        "from ansible_collections.bowline.fleet.plugins.module_utils._traffic.probe import run_probe\n"
        "run = lambda argv, stdin=None, timeout=None: Completed(subprocess.run(argv, input=stdin, text=True).returncode, '', '')\n"
        "run_probe(json.loads(sys.argv[1]), run, False)\n"
        "print('started', flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.environ["PYTHONPATH"].split(os.pathsep)[0]}
    starter = subprocess.Popen(
        [sys.executable, str(script), json.dumps(probed)], stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment
    )
    assert starter.stdout.readline() == "started\n"
    os.killpg(starter.pid, 9)
    starter.wait(10)
    before = read(probed["directory"])["requests"]
    traffic_rig.wait_until("more requests", lambda: read(probed["directory"])["requests"] > before + 30)
    assert read(probed["directory"])["alive"]


def test_bad_options_are_all_named_and_nothing_is_written(probed):
    bad = {
        **probed,
        "url": "hub.example.test",
        "ca_file": "/nowhere.pem",
        "workers": [{**WORKER, "name": "a", "rate": 0.0, "path": "up"}] * 2,
    }
    with pytest.raises(FleetError) as failure:
        run_probe(bad, runner, False)
    assert failure.value.code == "option_invalid"
    assert all(word in failure.value.message for word in ("url is", "twice", "rate is", "path is", "ca_file"))
    assert not os.path.exists(probed["directory"])


def pid_of(directory):
    """The process that holds the lock, from /proc/locks by inode."""
    inode = os.stat(os.path.join(directory, "probe.lock")).st_ino
    with open("/proc/locks", encoding="utf-8") as file:
        return next(int(line.split()[4]) for line in file if line.split()[5].rpartition(":")[2] == str(inode))
