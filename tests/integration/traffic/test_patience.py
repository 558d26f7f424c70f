# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time: the edge waits as long as nginx does, and what nobody waits for any more never reaches the application."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
from bowline_traffic_odd import Case, _Stream, request, talk

# Scaled down: nginx gives up after one second at the impatient doors, as it does after 60 at most.
PATIENCE = 1.0


class Application:
    """Answers when it is told to. ``taken`` are the request lines that arrived, ``ended`` counts clients that left before their answer."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._server.getsockname()[1]
        self.taken: list[bytes] = []
        self.ended = 0
        self.go = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self.go.set()
        self._server.close()

    def count(self, word: bytes) -> int:
        return sum(1 for line in self.taken if word in line)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self._server.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            head = _Stream(connection).head()
            line = head.split(b"\r\n")[0]
            self.taken.append(line)
            if b"/work" in line:
                connection.settimeout(20)
                # A reset says the same as an end.
                with contextlib.suppress(ConnectionResetError):
                    while connection.recv(1 << 16):
                        pass
                self.ended += 1
                return
            if b"/tunnel-" in line:
                protocol = line.split(b"-")[1].split(b" ")[0]
                accept = b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
                connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocol + accept + b"\r\n\r\n")
                while True:
                    said = connection.recv(100)
                    if not said:
                        return
                    connection.sendall(said)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nfirst ")
            if b"/silent" in line:
                self.go.wait(20)
            connection.sendall(b"last")


class Crowded:
    """An application whose accept queue is full for some seconds, and the answers of two clients that came meanwhile."""

    seconds = 6.5

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port = self._server.getsockname()[1]
        self._first = [socket.socket() for _number in range(3)]
        for waiting in self._first:
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", self.port))
        self.codes: dict[int, bytes] = {}
        self.threads: list[threading.Thread] = []

    def begin(self, ports) -> None:
        self.threads = [threading.Thread(target=self._ask, args=(port,), daemon=True) for port in ports]
        self.threads.append(threading.Thread(target=self._serve, daemon=True))
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        for one in (*self._first, self._server):
            one.close()

    def _ask(self, port: int) -> None:
        self.codes[port] = talk(port, Case("crowded", request()), seconds=30).code()

    def _serve(self) -> None:
        # Nothing to wait for: the time itself is the case.
        time.sleep(self.seconds)
        served = 0
        with contextlib.suppress(OSError):
            while served < 2:
                connection, _address = self._server.accept()
                with connection:
                    connection.settimeout(0.5)
                    with contextlib.suppress(OSError):
                        if _Stream(connection).head():
                            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nok")
                            served += 1


@pytest.fixture(scope="module", autouse=True)
def crowded(short_home, make_pair):
    """Begun with the module and asked for at its end, so that its seconds pass beside the other tests."""
    application = Crowded()
    with make_pair(short_home / "crowded", application.port).started() as pair:
        application.begin([pair.alone, pair.edged])
        yield application, pair
    application.stop()


@pytest.fixture(scope="module")
def patient(short_home, make_pair):
    application = Application()
    with make_pair(short_home / "patient", application.port).started() as pair:
        yield application, pair
    application.stop()


@pytest.fixture(scope="module")
def impatient(short_home, make_pair):
    application = Application()
    with make_pair(short_home / "impatient", application.port, f"{PATIENCE:g}s").started() as pair:
        yield application, pair
    application.stop()


def ask_all(port, count, target, body=b"hello", method="POST"):
    """The status codes of ``count`` requests at once."""
    codes = []
    case = Case("held", request(f"Content-Length: {len(body)}", body=body, method=method, target=target))
    threads = [threading.Thread(target=lambda: codes.append(talk(port, case).code())) for _number in range(count)]
    for thread in threads:
        thread.start()
    return codes, threads


def test_what_the_proxy_gave_up_during_a_hold_never_reaches_the_application(impatient, traffic_rig):
    """The case: proxy_read_timeout 3s, hold 5 s: 10 of 10 got 504, and the application got all 10 POSTs afterwards."""
    application, pair = impatient
    # nginx has to lose patience with all of them before the hold ends, on a machine that is busy, too.
    pair.run(hold=5 * PATIENCE)
    codes, threads = ask_all(pair.edged, 10, "/held")
    for thread in threads:
        thread.join(10)
    assert codes == [b"504"] * 10
    traffic_rig.wait_until("the hold to end by itself", lambda: pair.cli("status")[1]["hold"] == 0)
    assert talk(pair.edged, Case("after", request(target="/after"))).code() == b"200"
    traffic_rig.wait_until("no session to be left", lambda: pair.sessions() == 0)
    assert (application.count(b"/held"), application.count(b"/after")) == (0, 1)


@pytest.mark.parametrize("size", [5, 200_000])
def test_whoever_hangs_up_during_a_hold_takes_the_request_along(patient, traffic_rig, size):
    """A browser that is closed: nginx ends the connection to the edge, and nothing is left that could be sent on."""
    application, pair = patient
    pair.run(hold=10.0)
    target = f"/gone-{size}"
    clients = []
    for _number in range(5):
        client = socket.create_connection(("127.0.0.1", pair.edged))
        client.sendall(request(f"Content-Length: {size}", body=b"b" * size, method="POST", target=target))
        clients.append(client)
    traffic_rig.wait_until("all of them to be held", lambda: pair.sessions() == 5)
    for client in clients:
        client.close()
    traffic_rig.wait_until("all of them to be gone", lambda: pair.sessions() == 0)
    assert pair.cli("release")[0] == 0
    assert talk(pair.edged, Case("after", request(target=f"/after-{size}"))).code() == b"200"
    assert (application.count(target.encode()), application.count(b"/after-%d" % size)) == (0, 1)


def test_whoever_hangs_up_while_the_application_works_ends_its_work_with_an_edge_as_without(patient, traffic_rig):
    application, pair = patient
    for port in (pair.alone, pair.edged):
        before = application.ended
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(request(target="/work"))
            traffic_rig.wait_until("the request to arrive", lambda: application.count(b"/work") == before + 1)
        traffic_rig.wait_until("the application to see it", lambda: application.ended == before + 1)


@pytest.mark.parametrize("impatience", [False, True], ids=["within the patience of nginx", "beyond it"])
def test_a_stream_that_is_silent_for_a_while_ends_when_nginx_ends_it(patient, impatient, impatience):
    """The case: 504 at 60 s, and an event stream that broke there. The edge's own figures are in test_model.py; here they run, scaled down."""
    application, pair = impatient if impatience else patient
    application.go.clear()
    case = Case("silent", request(target="/stream/silent"))
    answers = {}
    threads = [threading.Thread(target=lambda port=port: answers.update({port: talk(port, case)})) for port in (pair.alone, pair.edged)]
    for thread in threads:
        thread.start()
    for thread in threads:
        # Whoever loses patience has to have lost it before the application goes on, on both ways: the slower one would still get the rest.
        thread.join(10 if impatience else PATIENCE)
    application.go.set()
    for thread in threads:
        thread.join(10)
    assert answers[pair.edged] == answers[pair.alone]
    assert (answers[pair.edged].body == b"first last") is not impatience


@pytest.mark.parametrize(("method", "protocol"), [("GET", "websocket"), ("POST", "tcp"), ("PUT", "any/1")])
def test_an_open_tunnel_of_any_kind_does_not_keep_a_hold_from_completing(patient, traffic_rig, method, protocol):
    """The case: POST with Upgrade, and Upgrade: tcp; the hold never ended."""
    _application, pair = patient
    key = ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
    lines = [f"Upgrade: {protocol}", "Connection: Upgrade", *key, *(["Content-Length: 0"] if method != "GET" else [])]
    with socket.create_connection(("127.0.0.1", pair.edged), 10) as client:
        client.sendall(request(*lines, method=method, target=f"/stream/tunnel-{protocol}"))
        assert b" 101 " in client.recv(1000)
        code, answer = pair.cli("hold", "--seconds", "10", "--drain", "3")
        assert (code, pair.cli("status")[1]["upgraded"]) == (0, 1), answer
        client.sendall(b"knock")
        assert client.recv(5) == b"knock", "it goes on meanwhile"
        assert pair.cli("release")[0] == 0
    traffic_rig.wait_until("the tunnel to end with its client", lambda: pair.cli("status")[1]["upgraded"] == 0)


def test_a_tunnel_of_a_worker_that_a_reload_left_behind_ends_with_the_release(patient, traffic_rig):
    """It may live for an hour, and its client would go on with the side that does not serve any more."""
    _application, pair = patient
    lines = ["Upgrade: tcp", "Connection: Upgrade"]
    with socket.create_connection(("127.0.0.1", pair.edged), 10) as client:
        client.sendall(request(*lines, target="/stream/tunnel-tcp"))
        assert b" 101 " in client.recv(1000)
        pair.run(hold_max=29.0)
        traffic_rig.wait_until("the old worker to be one", lambda: pair.cli("status")[1]["old_workers"] > 0)
        try:
            assert pair.cli("route", "new")[0] == 0
            answer = pair.cli("release")[1]
            assert answer.get("closed_upgraded") == 1, answer['failure']['message'][:200]
            assert client.recv(10) == b""
        finally:
            pair.run(route="local")


def test_a_full_accept_queue_is_waited_for_as_nginx_waits(crowded):
    """The case: 503 after 6 s; nginx alone waits, and so does the edge, as long as the kernel tries (150 s stand in the configuration)."""
    application, pair = crowded
    for thread in application.threads:
        thread.join(30)
    assert application.codes == {pair.alone: b"200", pair.edged: b"200"}
