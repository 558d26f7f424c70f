# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client of a running HAProxy, against sockets that behave as its master does while it starts over."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.haproxy import HAProxy


WORKERS = b"#<PID> <type>\n# workers\n1 worker\n# old workers\n7 worker [was: 1] 0\n# programs\n"


def serve(path, answers, before=lambda: None):
    """One connection for each of ``answers``; None ends it with the command unread, which its client sees as a reset. ``before`` comes first."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def run():
        for answer in answers:
            connection, _address = listener.accept()
            if answer is not None:
                connection.recv(1000)
                before()
                connection.sendall(answer)
            connection.close()
        listener.close()

    threading.Thread(target=run, daemon=True).start()


@pytest.fixture
def edge(tmp_path, monkeypatch):
    # Unix sockets have short names, pytest's directories have not.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    return HAProxy(".", timeout=1.0)


def test_a_master_that_starts_over_is_asked_again(edge):
    serve("run/master.sock", [None, None, WORKERS])
    assert edge.old_workers() == ["7"]


def test_a_master_that_refuses_while_a_worker_answers_is_no_master_that_is_gone(edge):
    """Its socket is bound before it listens. Whoever took that for an edge without old workers would not tell them of a hold."""
    bound = socket.socket(socket.AF_UNIX)
    bound.bind("run/master.sock")

    def listens():
        serve("run/new.sock", [WORKERS])
        os.replace("run/new.sock", "run/master.sock")

    serve("run/admin.sock", [b"[]"], before=listens)
    assert edge.old_workers() == ["7"]


def test_without_a_worker_nobody_waits_for_the_master(edge):
    bound = socket.socket(socket.AF_UNIX)
    bound.bind("run/master.sock")
    begun = time.monotonic()
    assert edge.old_workers() == []
    assert time.monotonic() - begun < edge.timeout


def test_a_worker_that_hangs_up_is_a_failure(edge):
    serve("run/admin.sock", [None])
    with pytest.raises(FleetError) as failure:
        edge.info()
    assert failure.value.code == "unreachable" and failure.value.details["down"] is False
