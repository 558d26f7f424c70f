# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A trial window: the real pause and the real comparison, and the writes are back where they were, whatever happens to it."""

from __future__ import annotations

import signal
import sys
import threading

import psycopg
import pytest

rig = sys.modules["bowline_pg_rig"]
wait_until = rig.until


class Watch:
    """Looks at the side that must not open as fast as it can, past the module."""

    def __init__(self, cluster) -> None:
        self.cluster, self.opened, self.looks = cluster, 0, 0

    def __enter__(self):
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _look(self) -> None:
        with self.cluster.connect("postgres") as session:
            while not self._stop.is_set():
                fenced = session.execute(
                    "SELECT count(*) AS n FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase"
                    " WHERE d.datname = 'hub' AND s.setrole = 0 AND 'default_transaction_read_only=on' = ANY (s.setconfig)"
                ).fetchone()["n"]
                self.looks += 1
                self.opened += fenced == 0

    def __exit__(self, *_error) -> None:
        self._stop.set()
        self._thread.join(10)


@pytest.mark.parametrize("serves", ["legacy", "new"])
def test_a_trial_is_a_real_pause_and_ends_where_it_began(armed, writers, serves):
    armed.ok(serves, verify="none")
    armed.ok("armed")
    before, phase = armed.ok("info"), {"legacy": "armed", "new": "new_armed"}[serves]
    foreseen = armed.ok("armed", trial_window=True, check_mode=True)
    assert armed.ok("info")["epoch"] == before["epoch"]
    with writers(armed) as clients, Watch(armed.new if serves == "legacy" else armed.legacy) as watch:
        told = armed.ok("armed", trial_window=True)
        seen = len(clients.acknowledged)
        wait_until(lambda: len(clients.acknowledged) > seen + 20, 5, "writes after the trial")
    assert [step["action"] for step in foreseen["plan"]] == ["trial"] and foreseen["plan"] == told["plan"]
    assert (foreseen["phase_after"], told["phase_before"], told["phase_after"], told["serving"]) == (phase, phase, phase, serves)
    assert told["changed"] is foreseen["changed"] is True and foreseen["diff"] == told["diff"]
    assert told["verify"]["equal"] is True and told["verify"]["rows"] > 3000
    names = [step["name"] for step in told["steps"]]
    assert names == ["pause", "W0", "W1", "W2", "W3", "W4", "W5", "W6", "abort", "sessions", "route", "warmup", "resume"]
    assert 0 < told["database_ms"] <= told["window_ms"] <= told["pause_ms"] < 5000
    assert watch.looks > 50 and watch.opened == 0
    epochs = armed.ok("info")["epoch"]
    assert epochs["legacy"] == epochs["new"] != before["epoch"]["legacy"] and epochs["new"].endswith(":abort")
    clients.assert_lossless()
    assert clients.longest_gap() < 3
    assert armed.ok("armed")["changed"] is False


@pytest.mark.parametrize("point", ["W0", "W2", "W4", "W6"])
def test_killed_inside_it_converges(armed, writers, point):
    with writers(armed) as clients, Watch(armed.new) as watch:
        process = armed.spawn("armed", fault=point, trial_window=True)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        wait_until(lambda: armed.open_sides() == ["legacy"], 3, "the watchdog")
        acknowledged = len(clients.acknowledged)
        wait_until(lambda: len(clients.acknowledged) > acknowledged, 3, "writes after the kill")
        told = armed.ok("armed", trial_window=True)
        assert (told["phase_after"], told["serving"], told["verify"]["equal"]) == ("armed", "legacy", True)
    assert watch.opened == 0
    clients.assert_lossless()
    assert armed.ok("armed")["changed"] is False


def test_a_hanging_trial_is_ended_by_the_watchdog(armed, writers):
    with writers(armed) as clients, Watch(armed.new) as watch:
        process = armed.spawn("armed", fault="W6:stop", trial_window=True, max_window=2, drain_grace=1, window_attempts=1)
        try:
            wait_until(lambda: armed.open_sides() == [], 20, "the window")
            wait_until(lambda: armed.open_sides() == ["legacy"], 10, "the watchdog")
            process.send_signal(signal.SIGCONT)
            out, _err = process.communicate(timeout=30)
            assert '"failed": true' in out
        finally:
            process.poll() is None and process.kill()
    assert watch.opened == 0
    clients.assert_lossless()
    assert armed.ok("armed")["changed"] is False


def test_a_session_that_began_in_the_pause_is_ended_since_it_would_stay_read_only(armed):
    """As a pool makes it that reconnects at once; W2 had ended its sessions."""
    hook = armed.home / "join.py"
    hook.write_text(
        f"""
import os, time, psycopg
if os.fork() == 0:
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    words = dict(host="127.0.0.1", port={armed.legacy.port}, user="hub", password="canary-app-3c2", dbname="hub", autocommit=True)
    while True:
        answer = ""
        try:
            with psycopg.connect(**words) as session:
                if session.execute("SHOW default_transaction_read_only").fetchone()[0] == "off":
                    time.sleep(0.005)
                    continue
                answer = "ended"
                for _look in range(400):
                    session.execute("SELECT 1")
                    time.sleep(0.01)
                answer = "still there"
        except psycopg.OperationalError:
            pass
        if answer:
            open({str(armed.home / "joined")!r}, "w").write(answer)
            os._exit(0)
"""
    )
    (armed.home / "joined").unlink(missing_ok=True)
    armed.ok("armed", trial_window=True, router={"type": "command", "pause": [[sys.executable, str(hook)]], "timeout": 20})
    wait_until(lambda: (armed.home / "joined").exists() and (armed.home / "joined").read_text() != "", 15, "the session that joined")
    assert (armed.home / "joined").read_text() == "ended"


def test_the_clients_are_sent_back_to_the_side_that_serves(armed):
    log = armed.home / "trial.log"
    log.unlink(missing_ok=True)
    program = armed.home / "trial-router"
    program.write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
    program.chmod(0o755)
    commands = {name: [[str(program), name, "{side}"]] for name in ("pause", "route", "warmup", "resume")}
    told = armed.ok("armed", trial_window=True, router={"type": "command", "timeout": 5, **commands})
    assert log.read_text().splitlines() == ["pause legacy", "route legacy", "warmup legacy", "resume legacy"]
    assert told["hold"]["until"] > told["hold"]["from"]


def test_it_is_for_state_armed_only(armed):
    for state in ("new", "legacy", "seeded"):
        failure = armed.run(state, trial_window=True)["failure"]
        assert failure["code"] == "invalid_value" and "trial_window" in failure["message"]
    assert armed.open_sides() == ["legacy"]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), armed.new.connect(options="") as session:
        session.execute("CREATE TABLE x ()")


def test_a_difference_is_found_and_nothing_was_switched(world):
    world.ok("armed")
    world.new.rows("UPDATE balance SET total = 77 WHERE name = 'account 3'")
    outcome = world.run("armed", trial_window=True)
    assert outcome["failure"]["code"] == "rows_differ" and "No switch was made" in outcome["failure"]["message"]
    assert [entry["table"] for entry in outcome["failure"]["details"]["verify"]["mismatches"]] == ["public.balance"]
    assert outcome["failure"]["details"]["window_ms"] > 0
    assert world.open_sides() == ["legacy"]
    # The remedy: the copy is made anew.
    world.ok("absent")
    assert world.ok("armed", trial_window=True)["verify"]["equal"] is True
