# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's judge and writers: what counts as acknowledged, lost, in doubt."""

from __future__ import annotations

import importlib
import json
import socket
import struct
import sys
import threading
import typing as t
from pathlib import Path

import pytest

LAB = str(Path(__file__).resolve().parents[2] / "lab")


@pytest.fixture(scope="module")
def lab() -> t.Iterator[t.Callable[[str], t.Any]]:
    """Imports a module of the lab by name, as lab.py does."""
    sys.path.insert(0, LAB)
    yield importlib.import_module
    sys.path.remove(LAB)


def entry(key: str, state: str, number: int | None = None, amount: int = 7) -> dict[str, t.Any]:
    return {"key": key, "state": state, "id": number, "amount": amount}


@pytest.mark.parametrize(("attempts", "rows", "expected"), [
    pytest.param([entry("a", "acknowledged", 1)], [(1, "a", 7)], {}, id="acknowledged and present"),
    pytest.param([entry("a", "acknowledged", 1)], [], {"lost": 1}, id="acknowledged and missing"),
    pytest.param([entry("a", "acknowledged", 1)], [(2, "a", 7)], {"lost": 1}, id="present under another id"),
    pytest.param([entry("a", "acknowledged", 1)], [(1, "a", 8)], {"lost": 1}, id="present with another amount"),
    pytest.param([entry("a", "refused")], [], {}, id="refused and missing"),
    pytest.param([entry("a", "refused")], [(1, "a", 7)], {"unacknowledged_present": 1}, id="refused and present"),
    pytest.param([entry("a", "refused"), entry("a", "acknowledged", 1)], [(1, "a", 7)], {}, id="refused, then acknowledged"),
    pytest.param([entry("a", "in_doubt")], [(1, "a", 7)], {"in_doubt": 1}, id="in doubt and present"),
    pytest.param([entry("a", "in_doubt"), entry("a", "refused")], [(1, "a", 7)], {"in_doubt": 1}, id="a refusal does not settle a doubt"),
    pytest.param([entry("a", "acknowledged", 1), entry("a", "acknowledged", 2)], [(2, "a", 7)], {"duplicates": 1}, id="acknowledged twice"),
    pytest.param([entry("a", "acknowledged", 1)], [(1, "a", 7), (2, "a", 7)], {"duplicates": 1}, id="present twice"),
    pytest.param([], [(1, "a", 7)], {}, id="still under way"),
])
def test_verdict(lab, attempts, rows, expected):
    verdict = lab("judge").compare(lab("rig.ledger").verdicts(attempts), rows, 0)
    counted = {name: verdict[name] for name in ("lost", "unacknowledged_present", "duplicates", "in_doubt") if verdict[name]}
    assert counted == expected


@pytest.mark.parametrize(("status", "body", "state"), [
    pytest.param(201, {"id": 1, "key": "a", "amount": 7}, "acknowledged", id="written"),
    pytest.param(200, {"id": 1, "key": "a", "amount": 7}, "acknowledged", id="was there"),
    pytest.param(200, "<html>", "in_doubt", id="200 from somebody else"),
    pytest.param(503, {"error": "read-only", "outcome": "refused"}, "refused", id="fenced"),
    pytest.param(503, {"error": "session ended", "outcome": "unknown"}, "in_doubt", id="session broke"),
    pytest.param(502, "<html>", "in_doubt", id="a proxy's error"),
    pytest.param(400, {"error": "amount"}, "refused", id="bad request"),
])
def test_only_the_application_can_refuse(lab, status, body, state):
    reply = lab("rig.client").Reply(status, "legacy", json.dumps(body).encode() if isinstance(body, dict) else body.encode())
    assert lab("writers").classify(reply) == state


def test_a_line_without_its_end_was_never_counted(lab, tmp_path):
    ledger = lab("rig.ledger")
    writer = ledger.Writer(tmp_path / "writes.jsonl")
    writer.append(entry("a", "acknowledged", 1))
    with (tmp_path / "writes.jsonl").open("ab") as file:
        file.write(b'{"key": "b", "sta')
    assert [line["key"] for line in ledger.read(tmp_path / "writes.jsonl")] == ["a"]


class Nameserver:
    """Answers one query after the other with the given record sections."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def answer(self, *replies: tuple[int, list[tuple[int, int, bytes]]]) -> threading.Thread:
        """Each reply is (rcode, [(type, ttl, data)])."""
        def work() -> None:
            for rcode, records in replies:
                query, client = self._socket.recvfrom(512)
                reply = query[:2] + struct.pack(">HHHHH", 0x8400 | rcode, 1, len(records), 0, 0) + query[12:]
                for kind, ttl, data in records:
                    reply += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data
                self._socket.sendto(reply, client)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread


def test_resolver_skips_other_records_and_keeps_the_answer_for_its_ttl(lab):
    server = Nameserver()
    thread = server.answer((0, [(5, 60, b"\x03www\xc0\x0c"), (1, 60, bytes([10, 78, 0, 2]))]))
    resolver = lab("rig.client").Resolver(server.address, "hub.example.test")
    assert [resolver.address(), resolver.address()] == ["10.78.0.2", "10.78.0.2"]
    thread.join(5)
    assert not thread.is_alive()


def test_resolver_asks_again_after_the_ttl_and_keeps_its_answer_when_refused(lab):
    server = Nameserver()
    thread = server.answer((0, [(1, 0, bytes([10, 78, 0, 1]))]), (0, [(1, 0, bytes([10, 78, 0, 2]))]), (5, []))
    resolver = lab("rig.client").Resolver(server.address, "hub.example.test")
    assert [resolver.address() for _query in range(3)] == ["10.78.0.1", "10.78.0.2", "10.78.0.2"]
    thread.join(5)


def test_resolver_without_any_answer_fails(lab):
    server = Nameserver()
    server.answer((3, []))
    with pytest.raises(OSError, match="rcode 3"):
        lab("rig.client").Resolver(server.address, "hub.example.test").address()


def test_a_reused_pid_is_not_taken_for_the_daemon(lab, tmp_path, monkeypatch):
    shell, settings = lab("rig.shell"), lab("rig.settings")
    monkeypatch.setattr(settings, "HOME", tmp_path)
    daemon = shell.Daemon("sleeper")
    pid = daemon.start(["sleep", "60"])
    assert daemon.pid() == pid
    assert daemon.start(["sleep", "60"]) == pid
    record = tmp_path / "run" / "sleeper.json"
    seen = json.loads(record.read_text())
    record.write_text(json.dumps({**seen, "identity": "another boot:1"}))
    assert daemon.pid() is None
    assert daemon.stop() is False
    record.write_text(json.dumps(seen))
    assert daemon.stop() is True
    assert daemon.pid() is None
