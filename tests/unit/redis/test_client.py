# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client against a listener that answers what a test tells it to: whole, in pieces, hostile, or not at all."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._redis.model import Endpoint
from ansible_collections.bowline.fleet.plugins.module_utils._redis.redis import Redis

PASSWORD = "a-password-that-nobody-may-see"
HELLO = (b"+OK\r\n", b":7\r\n")


class Listener:
    """One connection at a time; gives the next of ``answers`` for whatever comes. None closes, an empty one stays silent."""

    def __init__(self, answers) -> None:
        self.answers, self.heard = list(answers), b""
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def close(self) -> None:
        # Wakes the thread that waits for a connection.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                link, _address = self.socket.accept()
            except OSError:
                return
            with link:
                while True:
                    chunk = link.recv(65536)
                    if not chunk:
                        break
                    self.heard += chunk
                    answer = self.answers.pop(0) if self.answers else b""
                    if answer is None:
                        break
                    # In two pieces, as a network may bring it.
                    link.sendall(answer[:3])
                    link.sendall(answer[3:])


@pytest.fixture
def client():
    made = []

    def connect(*answers, password="", timeout=0.3):
        listener = Listener([*([b"+OK\r\n"] if password else []), *HELLO, *answers])
        redis = Redis(Endpoint("legacy", "127.0.0.1", listener.port, password=password), "bowline-test", timeout)
        made.extend((redis, listener))
        return redis, listener

    yield connect
    for item in made:
        item.close()


@pytest.mark.parametrize(("answer", "value"), [
    (b"+PONG\r\n", "PONG"), (b":-1\r\n", -1), (b"$-1\r\n", None), (b"*-1\r\n", None), (b"$0\r\n\r\n", ""), (b"*0\r\n", []),
    (b"$4\r\na\r\nb\r\n", "a\r\nb"), (b"*3\r\n$1\r\nx\r\n:5\r\n*1\r\n$-1\r\n", ["x", 5, [None]]), (b"$2\r\n\xff\xfe\r\n", "\udcff\udcfe"),
])  # fmt: skip
def test_answers_are_read(client, answer, value):
    redis, _listener = client(answer)
    assert redis.ask("PING") == value and redis.id == 7


def test_a_key_of_any_bytes_goes_back_as_it_came(client):
    redis, listener = client(b"$2\r\n\xff\xfe\r\n", b":1\r\n")
    redis.ask("DEL", redis.ask("RANDOMKEY"))
    assert listener.heard.endswith(b"*2\r\n$3\r\nDEL\r\n$2\r\n\xff\xfe\r\n")


@pytest.mark.parametrize(("answer", "code"), [
    pytest.param(b"-NOAUTH Authentication required.\r\n", "auth_failed", id="no password"),
    pytest.param(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n", "auth_failed", id="wrong password"),
    pytest.param(b"-NOPERM this user has no permissions to run the 'info' command\r\n", "privileges", id="right"),
    pytest.param(b"-LOADING Redis is loading the dataset in memory\r\n", "server_loading", id="loading"),
    pytest.param(b"-BUSY Redis is busy running a script.\r\n", "server_busy", id="busy"),
    pytest.param(b"-MASTERDOWN Link with MASTER is down\r\n", "link_down", id="master down"),
    pytest.param(b"-READONLY You can't write against a read only replica.\r\n", "server_closed", id="read only"),
    pytest.param(b"-DENIED Redis is running in protected mode\r\n", "protected_mode", id="protected"),
    pytest.param(b"-ERR unknown command 'CONFIG'\r\n", "redis_error", id="renamed"),
])  # fmt: skip
def test_errors_are_understood(client, answer, code):
    redis, _listener = client(answer)
    with pytest.raises(FleetError) as failed:
        redis.ask("CONFIG", "GET", "x")
    assert failed.value.code == code and failed.value.remedy and "legacy" in failed.value.message


@pytest.mark.parametrize(("answer", "code"), [
    pytest.param(None, "unreachable", id="closes"),
    pytest.param(b"", "unreachable", id="says nothing"),
    pytest.param(b"$100\r\nhalf", "unreachable", id="half an answer"),
    pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", "not_redis", id="http"),
    pytest.param(b"\x15\x03\x01\x00\x02\x02\x46\r\n", "not_redis", id="tls"),
    pytest.param(b"$99999999999\r\n", "not_redis", id="a huge text"),
    pytest.param(b"*99999999\r\n", "not_redis", id="a huge list"),
    pytest.param(b"*1\r\n" * 20, "not_redis", id="deep"),
    pytest.param(b":" + b"1" * 70000, "not_redis", id="a line without an end"),
    pytest.param(b"$x\r\n", "not_redis", id="no number"),
])  # fmt: skip
def test_a_hostile_answer_ends_in_time_and_by_name(client, answer, code):
    redis, _listener = client(answer)
    with pytest.raises(FleetError) as failed:
        redis.ask("PING")
    assert failed.value.code == code and failed.value.remedy


def test_a_server_that_repeats_what_it_was_told_gives_no_password_away(client):
    """A renamed AUTH is an unknown command, which Redis answers with its arguments; so is CONFIG with a password for replication."""
    repeated = f"-ERR unknown command 'AUTH', with args beginning with: '{PASSWORD}' \r\n".encode()
    redis, listener = client(password=PASSWORD)
    listener.answers[0] = repeated
    with pytest.raises(FleetError) as failed:
        redis.ask("PING")
    assert PASSWORD not in str(failed.value.as_failure()) and "unknown command" in failed.value.message
    redis, listener = client(f"-ERR wrong value '{PASSWORD}' \x1b[2J\r\n".encode())
    with pytest.raises(FleetError) as failed:
        redis.ask("CONFIG", "SET", "masterauth", PASSWORD, secret=PASSWORD)
    assert PASSWORD not in str(failed.value.as_failure()) and "\x1b" not in failed.value.message


def test_the_name_is_said_before_anything_else_and_the_password_before_that(client):
    redis, listener = client(b"+PONG\r\n", password=PASSWORD)
    assert redis.ask("PING") == "PONG"
    order = [listener.heard.index(word) for word in (b"AUTH", b"SETNAME", b"PING")]
    assert order == sorted(order) and PASSWORD not in repr(redis.endpoint)


def test_a_turn_is_whole_and_an_error_in_it_is_an_answer(client):
    redis, _listener = client(b"+OK\r\n", b"+QUEUED\r\n", b"+QUEUED\r\n", b"*2\r\n+OK\r\n-ERR The server is running without a config file\r\n")
    answers = redis.together(("ACL", "DELUSER", "x"), ("CONFIG", "REWRITE"))
    assert answers[0] == "OK" and answers[1].code == "redis_error" and "config file" in answers[1].said


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(FleetError) as failed:
        Redis(Endpoint("new", "127.0.0.1", port), "bowline-test", 0.3).ask("PING")
    assert failed.value.code == "unreachable" and f"127.0.0.1:{port}" in failed.value.message
