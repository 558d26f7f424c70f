# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the watchdog decides from the last word of the module and the target's catalog; it never opens a target."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._pg.options import parse
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window import watchdog
from ansible_collections.bowline.fleet.plugins.module_utils._pg.window.watchdog import (
    COMMIT,
    DONE,
    FENCE,
    HOLD,
    OPENED,
    RESTART,
    STARTED,
    STOPPING,
    decide,
)

TARGETS = ("aborted", "committed", "stale", "unreadable")


@pytest.mark.parametrize(("said", "cause", "target", "expected"), [
    (HOLD, "eof", "stale", "release"),
    (FENCE, "eof", "aborted", "abort"),
    (FENCE, "deadline", "aborted", "abort"),
    (COMMIT, "eof", "aborted", "abort"),
    (COMMIT, "eof", "committed", "serve_target"),
    (OPENED, "eof", "committed", "serve_target"),
    (FENCE, "eof", "unreadable", "abort"),
    (FENCE, "deadline", "unreadable", "wait"),
    (COMMIT, "eof", "unreadable", "wait"),
    (COMMIT, "deadline", "unreadable", "wait"),
])
def test_decisions(said, cause, target, expected):
    assert decide(said, cause, target) == expected


def test_a_restart_has_no_other_side_so_the_clients_are_only_released():
    for said, cause, target in itertools.product((RESTART, STOPPING, STARTED), ("eof", "deadline"), TARGETS):
        assert decide(said, cause, target) == "release"


def test_a_stop_that_is_on_its_way_is_waited_for_before_the_start(monkeypatch):
    """Only after the word stopping; a server that nobody has stopped is not waited for."""
    seen = []

    class Server:
        side, endpoint = "legacy", None

        def __init__(self, *_words):
            pass

        def close(self):
            pass

    class Control:
        def __init__(self, *_words):
            pass

        def start(self):
            seen.append("start")

    monkeypatch.setattr(watchdog, "Server", Server)
    monkeypatch.setattr(watchdog, "Control", Control)
    monkeypatch.setattr(watchdog, "waited", lambda _control, wanted, _seconds: seen.append(("waited", wanted)))
    monkeypatch.setattr(watchdog, "own_lock", lambda *_words: True)
    monkeypatch.setattr(watchdog, "_fenced", lambda _server: False)
    params = {"state": "armed", "legacy": {"host": "a", "dbname": "hub"}, "new": {"host": "b", "dbname": "hub"}}
    for word, expected in ((RESTART, []), (STARTED, []), (STOPPING, [("waited", False), "start"])):
        seen.clear()
        watchdog.act(parse(params), lambda *_words, **_more: None, {"word": word, "source": "legacy", "backends": {"legacy": 1}}, "eof")
        assert seen == expected


def test_a_stale_epoch_does_nothing():
    for said, cause in itertools.product((FENCE, COMMIT, OPENED), ("eof", "deadline")):
        assert decide(said, cause, "stale") == "nothing"


def test_nothing_is_watched_before_the_first_and_after_the_last_word():
    for said, cause, target in itertools.product(("", DONE), ("eof", "deadline"), TARGETS):
        assert decide(said, cause, target) == "nothing"


def test_the_source_is_opened_only_when_the_target_cannot_open_any_more():
    """Either its epoch is ended, or the module is dead and has never sent the commit."""
    for said, cause, target in itertools.product((HOLD, FENCE, COMMIT, OPENED), ("eof", "deadline"), TARGETS):
        if decide(said, cause, target) == "abort":
            assert target == "aborted" or (target, said, cause) == ("unreadable", FENCE, "eof")


def test_words_that_arrive_in_pieces(monkeypatch):
    """The pipe is a stream: a word may come in two reads, and its end is the death of the module."""
    import os

    seen = []
    monkeypatch.setattr(watchdog, "act", lambda options, runner, window, cause: seen.append((dict(window), cause)))
    reading, writing = os.pipe()
    os.write(writing, b'{"word": "hold", "epoch": "7", "seco')
    os.write(writing, b'nds": 100}\n{"word": "fence"}\n')
    os.close(writing)
    watchdog.watch(None, None, reading)
    os.close(reading)
    assert seen == [({"word": "fence", "epoch": "7", "seconds": 100}, "eof")]


def test_a_finished_window_is_forgotten(monkeypatch):
    import os

    seen = []
    monkeypatch.setattr(watchdog, "act", lambda options, runner, window, cause: seen.append(window["word"]))
    reading, writing = os.pipe()
    os.write(writing, b'{"word": "hold", "epoch": "7", "seconds": 100}\n{"word": "done"}\n')
    os.close(writing)
    watchdog.watch(None, None, reading)
    os.close(reading)
    assert seen == [""]


def test_a_late_window_is_settled_once(monkeypatch):
    import os

    seen = []
    reading, writing = os.pipe()

    def settled(options, runner, window, cause):
        seen.append(cause)
        if cause == "deadline":
            os.close(writing)

    monkeypatch.setattr(watchdog, "act", settled)
    os.write(writing, b'{"word": "hold", "epoch": "7", "seconds": 0.05}\n')
    watchdog.watch(None, None, reading)
    os.close(reading)
    assert seen == ["deadline", "eof"]


@pytest.mark.parametrize(("words", "last"), [
    pytest.param([], DONE, id="no window"),
    pytest.param([FENCE, DONE], DONE, id="settled"),
    pytest.param([FENCE], FENCE, id="the source could not be told"),
    pytest.param([FENCE, COMMIT], COMMIT, id="outcome unknown"),
    pytest.param([FENCE, COMMIT, OPENED], OPENED, id="clients still held"),
])
def test_a_window_that_the_module_did_not_settle_ends_without_a_last_word(words, last):
    import json
    import os

    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os._exit(0)
    module = watchdog.Watchdog(child, writing)
    for word in words:
        module.say(word)
    module.end()
    said = os.read(reading, 65536).decode().splitlines()
    os.close(reading)
    assert json.loads(said[-1])["word"] == last
    if last != DONE:
        os.waitpid(child, 0)
