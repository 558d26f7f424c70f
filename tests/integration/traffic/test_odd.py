# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What passes nginx alone passes nginx with an edge behind it, and the application cannot tell the difference: the edge is never stricter."""

from __future__ import annotations

import os

import pytest
from bowline_traffic_odd import Application, Case, answer, request, talk
from bowline_traffic_odd_cases import CASES, LIMITS

PASSED = set()


@pytest.fixture(scope="module")
def doors(short_home, make_pair):
    application = Application()
    try:
        with make_pair(short_home / "odd", application.port).started() as pair:
            yield application, pair
    finally:
        application.stop()


def both(doors, case):
    """What client and application saw without an edge, and with it; the same request never reached the application twice."""
    application, pair = doors
    application.case = case
    outcomes = []
    for port in (pair.alone, pair.edged):
        application.seen.clear()
        answered = talk(port, case)
        outcomes.append((answered, list(application.seen)))
        assert len(application.seen) <= case.answers
    return outcomes


@pytest.mark.parametrize("case", CASES, ids=str)
def test_with_an_edge_as_without(doors, case):
    alone, edged = both(doors, case)
    if passes(case, *alone):
        assert edged == alone


def passes(case, answered, seen):
    """Whether a request reached the application, and its answer the client."""
    return bool(seen) and answered.code() == case.code()


def test_most_of_the_table_passes_nginx(doors):
    """So that the comparison is about something; the rest is refused by nginx, as in the cases it was."""
    application, pair = doors
    passing = 0
    for case in CASES:
        application.case = case
        application.seen.clear()
        passing += passes(case, talk(pair.alone, case), application.seen)
    assert len({case.name for case in CASES}) == len(CASES)
    assert passing >= 120


@pytest.mark.parametrize("case", LIMITS, ids=str)
def test_what_no_option_makes_haproxy_take_is_known_by_name(doors, case):
    alone, edged = both(doors, case)
    assert passes(case, *alone)
    assert edged[0].code() in (b"400", b"502")


def test_usual_names_of_headers_keep_their_case_for_an_application_that_wrongly_looks_at_it(doors):
    application, pair = doors
    names = [b"Content-Type", b"Authorization", b"X-Forwarded-For", b"X-Real-IP", b"SOAPAction", b"ETag"]
    asked = Case("case", request(*(name + b": v" for name in names)), answer("WWW-Authenticate: Basic", body=b"x"))
    application.case = asked
    application.heads.clear()
    talk(pair.edged, asked)
    assert [name for name in names if b"\r\n" + name + b": v" not in application.heads[0]] == []


def test_an_application_behind_a_unix_socket(doors, traffic_rig):
    _application, pair = doors
    path = f"{pair.home}/app.sock"
    behind = Application(path)
    os.chmod(path, 0o666)
    behind.case = CASES[0]
    services = [{"name": "app", "listen": f"127.0.0.1:{pair.listen}", "local": f"unix:{path}", "clients": None, "group": None}]
    try:
        pair.run(services=services)
        traffic_rig.wait_until("the new worker", lambda: talk(pair.edged, CASES[0]).code() == b"200" and behind.seen)
        assert pair.cli("warmup", "legacy")[0] == 0
    finally:
        pair.run()
        behind.stop()
