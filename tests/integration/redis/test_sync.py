# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""redis_sync on two real servers: there and back under load, what is closed stays closed, and nothing of ours is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from bowline_redis_load import QUEUE, RUNNING, Producer, Worker, pushed
from bowline_redis_rig import CANARIES, OTHER, Said, free_port, wait_until

LAYOUT = [{"kind": "sidekiq", "db": 0, "prefix": "", "queues": [], "keys": None}]


@contextlib.contextmanager
def producing(pair, count: int = 3):
    side = pair.open_sides()[0]
    producers = [Producer(pair, f"p{number}", side) for number in range(count)]
    for producer in producers:
        producer.start()
    try:
        yield producers
    finally:
        for producer in producers:
            producer.stop()


def more(producers, count: int = 50) -> None:
    """Until each of them has pushed so many more jobs."""
    goals = [len(producer.acknowledged) + count for producer in producers]
    wait_until("more jobs", lambda: all(len(producer.acknowledged) >= goal for producer, goal in zip(producers, goals)))


def held(server) -> list[str]:
    return [*server.ask("LRANGE", QUEUE, 0, -1), *server.ask("LRANGE", RUNNING, 0, -1)]


def test_check_real_again_for_a_whole_move_and_its_way_back(pair):
    for number in range(300):
        pair.legacy.ask("SET", f"key{number}", "value")
    before = {side: server.configuration() for side, server in pair.servers.items()}
    file_before = pair.legacy.conf.read_bytes()
    for state, side, open_side in (("replicating", "new", "legacy"), ("promoted", "new", "new"), ("promoted", "legacy", "legacy"), ("promoted", "new", "new"),
                                   ("promoted", "legacy", "legacy"), ("absent", "new", "")):  # fmt: skip
        seen = {name: server.configuration() for name, server in pair.servers.items()}
        predicted = pair.run(state, side=side, check=True)
        assert {name: server.configuration() for name, server in pair.servers.items()} == seen
        real = pair.run(state, side=side)
        assert (real["plan"], real["diff"], real["phase"]) == (predicted["plan"], predicted["diff"], predicted["phase"])
        assert real["changed"] and not pair.run(state, side=side)["changed"]
        if state == "replicating":
            assert pair.legacy.conf.read_bytes() == file_before, "the file of a server that serves is not touched"
        if open_side:
            assert pair.open_sides() == [open_side] and real["serving"] == open_side
            assert pair.servers[OTHER[open_side]].ask("DBSIZE") == 300
    assert {side: server.configuration() for side, server in pair.servers.items()} == before
    assert (pair.legacy.ask("DBSIZE"), pair.new.ask("DBSIZE")) == (300, 0)
    for server in pair.servers.values():
        server.restart()
        assert server.role() == "master" and "bowline" not in server.configuration()


def test_a_switch_under_load_loses_no_job_and_runs_none_twice(pair):
    """A job table: what was acknowledged is run once, on one side or the other, through a switch, its way back, and a second switch."""
    ran: list[str] = []
    pair.run("replicating")
    with producing(pair) as producers:
        worker = Worker(pair, "legacy", ran)
        worker.start()
        more(producers)
        for side in ("new", "legacy", "new"):
            quiet = worker.quiet
            outcome = pair.apart("promoted", side=side, layouts=LAYOUT, worker={"quiet": ["touch", str(quiet)], "resume": ["rm", "-f", str(quiet)]})
            assert outcome["window_ms"] < 1000 and outcome["window"]["attempts"] == 1 and outcome["jobs"][0]["idle"] and pair.open_sides() == [side]
            worker.stop()
            # Its record came along, and would be taken for a worker that may beat again for some seconds.
            pair.servers[side].ask("DEL", worker.identity)
            worker = Worker(pair, side, ran)
            worker.start()
            more(producers)
    wait_until("an empty queue", lambda: not held(pair.new), 30)
    worker.stop()
    acknowledged = pushed(producers)
    assert len(acknowledged) > 500 and not any(producer.doubtful for producer in producers)
    assert sum(producer.refused for producer in producers) >= 9, "each producer was turned away at each switch"
    assert acknowledged - set(ran) == set(), "never run"
    assert len(ran) == len(set(ran)), "run twice"
    assert set(ran) == acknowledged
    assert max(producer.longest_gap() for producer in producers) < 2


def test_a_client_that_stays_gets_an_error_and_writes_nothing(pair):
    pair.run("replicating")
    stayed = pair.legacy.client()
    stayed("SET", "mine", "1")
    pair.run("promoted")
    with pytest.raises(Said, match="READONLY"):
        stayed("SET", "mine", "2")
    assert (stayed("GET", "mine"), pair.new.ask("GET", "mine")) == ("1", "1")


@pytest.mark.parametrize("side", ["new", "legacy"])
def test_a_closed_side_that_restarts_is_closed_and_an_open_one_open(pair, side):
    """The host of one side is rebooted in the soak: roles hold, no password is on a disk, and the next run mends the link."""
    pair.run("replicating")
    pair.run("promoted")
    if side == "legacy":
        pair.run("promoted", side="legacy")
    pair.servers[OTHER[side]].restart()
    assert pair.open_sides() == [side]
    with pytest.raises(Said, match="READONLY"):
        pair.servers[OTHER[side]].ask("SET", "a", "b")
    assert pair.info()["phase"] == {"new": "rejoining", "legacy": "joining"}[side]
    mended = pair.run("promoted", side=side)
    assert [step["action"] for step in mended["plan"]] == [f"link_{OTHER[side]}"]
    pair.servers[side].restart()
    assert pair.open_sides() == [side]
    wait_until("the link to heal by itself", lambda: pair.servers[OTHER[side]].info()["master_link_status"] == "up")
    assert not pair.run("promoted", side=side)["changed"]


def test_new_with_keys_of_its_own_is_not_overwritten(pair):
    pair.new.ask("SET", "somebody", "else")
    with pytest.raises(FleetError) as failed:
        pair.run("replicating")
    assert failed.value.code == "loss_not_accepted" and pair.new.ask("GET", "somebody") == "else" and pair.new.role() == "master"
    assert pair.run("replicating", accept_loss=["new"])["phase"] == "following"
    assert pair.new.ask("DBSIZE") == 0


def test_what_stands_in_the_way_is_said_at_once_before_the_first_write(make):
    """Each of these would end or empty the new server, or its queues, later."""
    pair = make(new={"lines": ("databases 4", "maxmemory 1mb", "maxmemory-policy allkeys-lru", "appendonly no", "replica-read-only no")},
                legacy={"lines": ("user app on >secret ~* +@all",)})  # fmt: skip
    client = pair.legacy.client()
    client("SELECT", 9)
    client("SET", "far", "x" * 2_000_000)
    before = {side: server.configuration() for side, server in pair.servers.items()}
    found = {finding["code"] for finding in pair.info()["findings"] if finding["level"] == "fail"}
    for check in (True, False):
        with pytest.raises(FleetError) as failed:
            pair.run("replicating", check=check)
        assert {finding["code"] for finding in failed.value.details["findings"]} == found
    assert found == {"databases_fewer", "memory_too_small", "eviction", "persistence_missing", "replica_writable", "users_missing"}
    assert {side: server.configuration() for side, server in pair.servers.items()} == before


def test_remedies_of_findings_help(make):
    """The same server, after what the findings say to do."""
    pair = make(new={"lines": ("maxmemory 1mb", "maxmemory-policy allkeys-lru", "appendonly no", "replica-read-only no")},
                legacy={"lines": ("user app on >secret ~* +@all",)})  # fmt: skip
    pair.legacy.ask("SET", "far", "x" * 2_000_000)
    for words in (("CONFIG", "SET", "maxmemory", "8000000"), ("CONFIG", "SET", "maxmemory-policy", "noeviction"), ("CONFIG", "SET", "appendonly", "yes"),
                  ("CONFIG", "SET", "replica-read-only", "yes"), ("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all")):  # fmt: skip
        pair.new.ask(*words)
    assert pair.run("replicating")["phase"] == "following"


def test_credentials_that_a_follower_had_before_are_used_and_kept(make):
    """A server that was made for replication: its masterauth is the operator's, before, during and after the move."""
    pair = make(new={"lines": (f"masterauth {CANARIES['legacy']}",)})
    before = {side: server.configuration() for side, server in pair.servers.items()}
    assert pair.run("replicating")["phase"] == "following"
    assert "bowline-link" not in pair.legacy.configuration()
    assert not pair.run("replicating")["changed"]
    pair.run("absent")
    assert {side: server.configuration() for side, server in pair.servers.items()} == before


def test_credentials_that_the_other_side_refuses_are_a_finding(make):
    pair = make(new={"lines": ("masterauth wrong",)})
    with pytest.raises(FleetError) as failed:
        pair.run("replicating")
    assert failed.value.code == "link_auth" and pair.new.role() == "master"


def test_a_second_run_waits_and_then_names_the_first(pair, monkeypatch):
    from ansible_collections.bowline.fleet.plugins.module_utils._redis import alone

    monkeypatch.setattr(alone.alone, "__defaults__", (0.2,))
    first = pair.legacy.client()
    first("CLIENT", "SETNAME", "bowline-redis:of-another-host")
    with pytest.raises(FleetError) as failed:
        pair.run("replicating")
    assert failed.value.code == "locked" and str(first("CLIENT", "ID")) in failed.value.remedy
    assert pair.info()["holder"]["side"] == "legacy" and pair.new.role() == "master"
    first.close()
    assert pair.run("replicating")["phase"] == "following"


def test_a_server_without_a_file_is_told_to_forget_its_role(make):
    pair = make(legacy={"file": False})
    outcome = pair.run("replicating")
    assert [finding["code"] for finding in outcome["findings"]] == ["role_volatile"]
    outcome = pair.run("promoted")
    assert pair.open_sides() == ["new"] and any("forgets its role" in warning for warning in outcome["warnings"])
    # What the warning is about: it is restarted and takes writes; the next run does not guess which side lost.
    pair.legacy.restart()
    assert pair.open_sides() == ["legacy", "new"] or pair.legacy.ask("DBSIZE") == 0


def test_standalone_ends_the_way_back_and_leaves_the_old_side_closed(pair):
    pair.legacy.ask("SET", "a", "b")
    pair.run("replicating")
    pair.run("promoted")
    assert pair.run("standalone", check=True)["phase"] == (done := pair.run("standalone"))["phase"] == "rejoining"
    assert done["changed"] and not pair.run("standalone")["changed"]
    assert pair.open_sides() == ["new"] and "bowline" not in pair.new.configuration() + pair.legacy.configuration()
    with pytest.raises(Said, match="READONLY"):
        pair.legacy.ask("SET", "a", "c")


def test_a_way_back_that_is_closed_is_found_before_the_switch(pair, make):
    """New reaches legacy and not the other way round: seen by legacy itself, ahead, and again at the switch."""
    pair.legacy.ask("SET", "small", "key")
    before = {side: server.configuration() for side, server in pair.servers.items()}
    stranger = make().new.port
    for port, said in ((free_port(), "cannot be reached"), (stranger, "not the server that was meant")):
        closed = pair.end("new", peer_port=port)
        # The first run of all tries it when the link is made; later ones right before the switch.
        for state in ("replicating", "promoted") if pair.new.role() == "master" else ("promoted",):
            with pytest.raises(FleetError) as failed:
                pair.run(state, new=closed)
            assert failed.value.code == "way_back_closed" and pair.open_sides() == ["legacy"]
            assert f"127.0.0.1:{port}" in failed.value.message and said in failed.value.message
    assert pair.run("promoted")["warnings"] == [] and pair.open_sides() == ["new"] and pair.new.ask("DBSIZE") == 1
    pair.run("promoted", side="legacy")
    pair.run("absent")
    assert {side: server.configuration() for side, server in pair.servers.items()} == before


def test_an_older_side_is_closed_without_a_link_and_comes_back_by_drain(pair, monkeypatch):
    """Legacy cannot read what new writes: said before, closed at the switch, and the way back needs empty queues."""
    from ansible_collections.bowline.fleet.plugins.module_utils._redis import plan, preflight

    for room in (plan, preflight):
        monkeypatch.setattr(room, "reads", lambda reader, _writer: reader.side == "new")
    pair.legacy.ask("LPUSH", QUEUE, "job")
    assert [finding["code"] for finding in pair.run("replicating")["findings"]] == ["way_back_drain"]
    predicted, real = pair.run("promoted", check=True), pair.run("promoted")
    assert (real["plan"], real["phase"], real["serving"]) == (predicted["plan"], "drained", "new") and real["window_ms"] < 1000
    assert not pair.run("promoted")["changed"] and pair.open_sides() == ["new"] and pair.new.ask("LLEN", QUEUE) == 1
    assert "bowline" not in pair.new.configuration() + pair.legacy.configuration()
    pair.legacy.restart()
    assert pair.open_sides() == ["new"]
    with pytest.raises(FleetError) as failed:
        pair.run("promoted", side="legacy")
    assert failed.value.code == "mode_unsupported" and "mode: drain" in failed.value.remedy
    back = {"mode": "drain", "side": "legacy", "drain_timeout": 0, "layouts": [{"kind": "keys", "keys": [{"pattern": "queue:*", "kind": "queue"}]}]}
    with pytest.raises(FleetError) as failed:
        pair.run("promoted", **back)
    assert failed.value.code == "queue_not_empty"
    pair.new.ask("DEL", QUEUE)
    assert pair.run("promoted", **{**back, "drain_timeout": 5})["serving"] == "legacy" and pair.open_sides() == ["legacy"]


def test_tls_with_certificates_of_both_sides(make, tmp_path):
    """Clients and replication by TLS alone: chain and name are verified, and a wrong CA or name ends before the password is sent."""
    openssl(tmp_path)
    pair = make(**{side: {"tls": tmp_path} for side in OTHER})
    tls = {"host": "localhost", "tls": True, "ca_file": f"{tmp_path}/ca.pem", "certificate": f"{tmp_path}/server.pem", "key": f"{tmp_path}/server.key"}
    ends = {side: pair.end(side, **tls) for side in pair.servers}
    outcome = pair.run("promoted", **ends)
    assert outcome["phase"] == "promoted" and any("TLS" in warning for warning in outcome["warnings"])
    assert pair.run("promoted", side="legacy", **ends)["phase"] == "following"
    for change in ({"ca_file": None}, {"host": "127.0.0.1"}, {"tls": False}):
        with pytest.raises(FleetError) as failed:
            pair.run("replicating", **{**ends, "new": {**ends["new"], **change}})
        assert failed.value.code in ("tls", "not_redis", "unreachable"), failed.value
    assert failed.value.remedy


def openssl(folder) -> None:
    """A CA, and a certificate for the name localhost."""
    extensions = folder / "server.ext"
    extensions.write_text("subjectAltName=DNS:localhost\n", encoding="utf-8")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    calls = (
        ["req", "-x509", *key, "-subj", "/CN=a CA", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"],
        ["req", *key, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"],
        ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "server.ext",
         "-out", "server.pem"],
    )  # fmt: skip
    for words in calls:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def test_absent_refuses_while_new_serves(pair):
    pair.run("replicating")
    pair.run("promoted")
    with pytest.raises(FleetError) as failed:
        pair.run("absent")
    assert failed.value.code == "mode_unsupported" and pair.open_sides() == ["new"]


def test_no_secret_leaves_the_files_that_hold_it(pair):
    """Passwords of both servers and of the link: in no result, no log of a server, no file but those that had them, no list of processes."""
    said = [json.dumps(pair.run("replicating"))]
    links = [dict([pair.new.ask("CONFIG", "GET", "masterauth")])["masterauth"]]
    said += [json.dumps(pair.run("promoted")), json.dumps(pair.info())]
    links.append(dict([pair.legacy.ask("CONFIG", "GET", "masterauth")])["masterauth"])
    assert all(len(secret) == 64 for secret in links) and links[0] != links[1]
    said += [json.dumps(server.ask("SLOWLOG", "GET", 128)) for server in pair.servers.values()]
    wrong = pair.end("legacy", password_file=str(pair.new.secret))
    with pytest.raises(FleetError) as failed:
        pair.run("replicating", legacy=wrong)
    said.append(json.dumps(failed.value.as_failure()))
    assert failed.value.code == "auth_failed"
    for secret in (*links, *CANARIES.values()):
        assert not any(secret in text for text in said)
        holders = {path.name for path in pair.home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()}
        assert holders <= ({"password", "redis.conf"} if secret in CANARIES.values() else set()), (secret, holders)


def test_a_rewritten_file_has_no_password_of_the_link(pair):
    """CONFIG REWRITE writes what is set at that moment; it is called while nothing is."""
    pair.run("replicating")
    pair.run("promoted")
    for server in pair.servers.values():
        assert "masterauth" not in server.conf.read_text(encoding="utf-8")
    assert f"replicaof 127.0.0.1 {pair.new.port}" in pair.legacy.conf.read_text(encoding="utf-8")
    assert "replicaof" not in pair.new.conf.read_text(encoding="utf-8")


def test_a_target_that_is_not_level_in_time_leaves_the_writes_where_they_are(pair):
    """The new server applies nothing: writes wait for max_window at most, then go on; not one is lost."""
    pair.run("replicating")
    with producing(pair) as producers:
        more(producers)
        process = pair.new.process
        process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(FleetError) as failed:
                pair.apart("promoted", max_window=0.5, window_attempts=2)
        finally:
            process.send_signal(signal.SIGCONT)
        assert failed.value.code in ("window_aborted", "unreachable") and pair.legacy.role() == "master"
        more(producers)
        wait_until("the link", lambda: pair.new.info()["master_link_status"] == "up")
        assert pair.apart("promoted")["phase"] == "promoted"
        more(producers)
    assert pair.open_sides() == ["new"]
    assert pushed(producers) - set(held(pair.new)) == set()


def test_drain_proves_empty_closes_and_comes_back(pair):
    """Nothing follows: the proof are empty queues, twice; what is closed stays closed over a restart."""
    keys = [{"pattern": "queue:*", "kind": "queue"}, {"pattern": "later", "kind": "scheduled"}]
    layouts = [{"kind": "keys", "db": 0, "prefix": "", "queues": [], "keys": keys}]
    drain = {"mode": "drain", "layouts": layouts, "drain_timeout": 0.1}
    pair.legacy.ask("LPUSH", QUEUE, "job")
    pair.legacy.ask("ZADD", "later", 1, "job")
    for state in ("empty", "promoted"):
        with pytest.raises(FleetError) as failed:
            pair.run(state, **drain)
        assert failed.value.details["left"] == [f"{QUEUE}: 1", "later: 1"] and pair.open_sides() == ["legacy", "new"]
    pair.legacy.ask("DEL", QUEUE)
    drain.update(accept_scheduled_loss=["later"], drain_timeout=10)
    assert not pair.run("empty", **drain)["changed"]
    for side, closed in (("new", "legacy"), ("legacy", "new")):
        predicted, real = pair.run("promoted", side=side, check=True, **drain), pair.run("promoted", side=side, **drain)
        assert (real["plan"], real["phase"], real["serving"]) == (predicted["plan"], predicted["phase"], side)
        assert pair.open_sides() == [side] and not pair.run("promoted", side=side, **drain)["changed"]
        pair.servers[closed].restart()
        with pytest.raises(Said, match="READONLY"):
            pair.servers[closed].ask("SET", "a", "b")


def test_a_worker_that_never_rests_stops_the_switch_and_is_resumed(pair):
    """The pause is not begun while a job runs; the worker that was quieted goes on."""
    pair.run("replicating")
    pair.legacy.ask("SADD", "processes", "p")
    pair.legacy.ask("HSET", "p", "info", "{}", "busy", "1", "beat", "1", "quiet", "true")
    quiet = pair.home / "quiet"
    with pytest.raises(FleetError) as failed:
        pair.run("promoted", layouts=LAYOUT, drain_timeout=0.1, worker={"quiet": ["touch", str(quiet)], "resume": ["rm", str(quiet)]})
    assert failed.value.code == "queue_not_empty" and pair.open_sides() == ["legacy"] and not quiet.exists()
    with pytest.raises(FleetError) as failed:
        pair.run("promoted", worker={"quiet": ["false"], "resume": None})
    assert failed.value.code == "worker_failed" and pair.open_sides() == ["legacy"]


def test_a_side_that_does_not_answer_is_not_taken_for_a_closed_one(pair):
    pair.run("replicating")
    pair.run("promoted")
    pair.legacy.kill()
    seen = pair.info()
    assert seen["servers"]["legacy"] is None and seen["failures"]["legacy"]["code"] == "unreachable"
    assert (seen["phase"], seen["serving"], seen["lag"]) == ("unknown", "new", None)
    with pytest.raises(FleetError) as failed:
        pair.run("promoted", side="legacy")
    assert failed.value.code == "unreachable" and pair.new.role() == "master"


def test_nothing_is_done_where_nothing_in_redis_matters(pair):
    outcome = pair.run("promoted", mode="none")
    assert not outcome["changed"] and "nothing" in outcome["evidence"]["said"] and pair.open_sides() == ["legacy", "new"]


def test_the_modules_themselves(pair, tmp_path):
    """Arguments, results and masks as Ansible has them: check, real, again, and the reader; no secret in what a run prints with -vvv."""
    ends = {side: {key: value for key, value in pair.end(side).items() if value is not None} for side in pair.servers}
    tasks = [{"name": name, "bowline.fleet.redis_sync": {"state": "replicating", **ends}, "check_mode": check, "register": register}
             for name, check, register in (("Predict", True, "predicted"), ("Follow", False, "real"), ("Again", False, "again"))]  # fmt: skip
    tasks += [
        {"name": "Read", "bowline.fleet.redis_sync_info": {**ends, "layouts": [{"kind": "sidekiq"}]}, "register": "seen"},
        {"name": "Judge", "ansible.builtin.assert": {"that": [
            "predicted is changed and real is changed and again is not changed", "predicted.plan == real.plan and predicted.diff == real.diff",
            "seen.phase == 'following' and seen.lag.bytes is defined and seen.jobs[0].layout == 'sidekiq'"]}},
        {"name": "Refuse", "bowline.fleet.redis_sync": {"state": "promoted", "max_window": 0, **ends}, "register": "refused",
         "failed_when": "refused.failure.code != 'option_invalid'"},
    ]  # fmt: skip
    play = tmp_path / "play.json"
    play.write_text(json.dumps([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks,
                                 "vars": {"ansible_python_interpreter": sys.executable}}]), encoding="utf-8")  # fmt: skip
    done = subprocess.run(["ansible-playbook", "-vvv", "-i", "localhost,", str(play)], capture_output=True, text=True, check=False,
                          env={**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"})  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert not any(secret in done.stdout + done.stderr for secret in CANARIES.values())
