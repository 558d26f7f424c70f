# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libpq is told about TLS when nobody says, and what is said about a weaker word."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core import libpq
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Endpoint, Link, Reach, weak_tls
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.programs import Programs

WORDS = ("disable", "allow", "prefer", "require", "verify-ca")


@pytest.mark.parametrize(("host", "given", "used", "asks"), [
    ("db.example.org", None, "verify-full", ""),
    ("127.0.0.1", "", "verify-full", ""),
    ("/run/postgresql", None, "", ""),
    ("@abstract", None, "", ""),
    ("/run/a,/run/b", None, "", ""),
    ("/run/a,db", None, "verify-full", ""),
    ("db", "verify-full", "verify-full", ""),
    ("/run/postgresql", "disable", "disable", ""),
    *(("db", word, word, "!password") for word in WORDS),
])
def test_a_server_is_verified_unless_somebody_says_otherwise(host, given, used, asks):
    assert libpq.sslmode(host, given) == used == Endpoint("new", host, sslmode=given or "").tls
    assert libpq.require_auth(host, given, 160000) == asks and libpq.require_auth(host, given, 150019) == ""
    assert bool(libpq.weakness("new", host, given)) is bool(asks)


def test_programs_are_told_the_same(tmp_path):
    seen = []
    tools = Programs(lambda argv, *, env=None, **_more: seen.append(env), [], tmp_path)
    for endpoint in (Endpoint("new", "db"), Endpoint("new", "db", sslmode="prefer"), Endpoint("new", "/run/postgresql")):
        tools.run("psql", endpoint, [])
    assert [(env.get("PGSSLMODE"), env.get("PGREQUIREAUTH")) for env in seen] == [("verify-full", None), ("prefer", "!password"), (None, None)]


def test_each_weak_word_is_a_finding_that_names_what_is_lost():
    link = Link("repl", "require", {"legacy": Reach("a"), "new": Reach("b")})
    found = weak_tls([Endpoint("legacy", "a"), Endpoint("new", "b", sslmode="prefer"), Endpoint("new", "/run/x", sslmode="disable")], link)
    assert [(finding.code, finding.level, finding.object) for finding in found] == [
        ("tls_weak", "warn", "new.sslmode"), ("tls_weak", "warn", "link.sslmode")]
    assert "the connection without TLS" in found[0].message and "superuser" in found[0].message and "sslrootcert" in found[0].remedy
    assert len({libpq.weakness("new", "b", word) for word in WORDS}) == len(WORDS)


@pytest.mark.parametrize(("said", "word"), [
    ('connection to server at "x", port 5432 failed: Connection refused', "publish the port of its container"),
    ('could not translate host name "x" to address: Name or service not known', "a name that this host resolves"),
    ("connection timeout expired", "a firewall"),
    ("connection failed: No route to host", "a firewall"),
    ("server does not support SSL, but SSL was required", "Switch ssl on at that server"),
    ("server closed the connection unexpectedly", "that the server runs"),
])
def test_the_remedy_of_a_connection_is_that_of_its_cause(said, word):
    assert word in libpq.remedy("legacy", said)
