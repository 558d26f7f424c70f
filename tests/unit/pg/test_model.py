# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options: what is refused, with the near miss, everything at once; and that no secret is shown."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg.options import parse, secrets


def params(**more):
    return {
        "state": "new",
        "legacy": {"host": "a", "dbname": "hub", "password": "canary-1", "port": "5433"},
        "new": {"host": "b", "dbname": "hub"},
        "link": {"password": "canary-2", "to_legacy": {"host": "a"}, "to_new": {"host": "b", "port": 6000}},
        **more,
    }


def test_defaults_and_types():
    options = parse(params())
    assert (options.legacy.port, options.new.port, options.new.user) == (5433, 5432, "postgres")
    assert options.link is not None
    assert (options.link.user, options.link.sslmode, options.link.reach["new"].port) == ("pgcut_repl", "verify-full", 6000)
    assert (options.router.type, options.max_window, options.verify) == ("none", 10, "hash")


def test_router_commands_are_tuples_of_words():
    options = parse(params(router={"type": "command", "pause": [["edge", "hold", 20]], "timeout": 3}))
    assert (options.router.pause, options.router.timeout) == ((("edge", "hold", "20"),), 3.0)


def test_pgbouncer_reaches_the_servers_as_the_module_does_unless_it_is_told():
    router = parse(params(router={"type": "pgbouncer", "to_new": {"host": "c"}, "port": None})).router
    assert (router.host, router.port, router.user, router.databases) == ("/var/run/postgresql", 6432, "pgbouncer", ("hub",))
    assert router.addresses == {"legacy": ("a", 5433), "new": ("c", 5432)}


def test_all_misspelt_keys_at_once_with_the_near_miss():
    with pytest.raises(FleetError) as failure:
        link = {"to_legacy": {"hst": "a"}, "to_new": {"host": "b"}, "sslmod": "x"}
        parse(params(legacy={"hots": "a", "dbname": "hub"}, link=link, router={"rout": [], "to_new": {"hosts": 1}}))
    assert failure.value.code == "unknown_key"
    for expected in ("legacy.hots", "Did you mean host?", "link.to_legacy.hst", "link.sslmod", "sslmode?", "router.rout", "route?", "router.to_new.hosts"):
        assert expected in failure.value.message


@pytest.mark.parametrize(("more", "said"), [
    ({"legacy": {"host": "a"}}, "legacy.dbname: missing"),
    ({"max_window": 0}, "max_window: 0 is not above 0"),
    ({"max_window": 2, "drain_grace": 2}, "drain_grace"),
    ({"router": {"type": "haproxy"}}, "router.type: haproxy does not exist; use none, libpq, pgbouncer, command"),
    ({"router": {"type": "libpq", "config": "/x"}}, "router.config: belongs to router type pgbouncer, not to libpq"),
    ({"router": {"type": "pgbouncer", "pause": [["x"]]}}, "router.pause: belongs to router type command, not to pgbouncer"),
    ({"router": {"type": "pgbouncer", "databases": ["*"]}}, "router.databases: '*' is no name of an entry"),
    ({"router": {"type": "pgbouncer", "to_new": {"port": 1}}}, "router.to_new.host: missing"),
    ({"router": {"type": "command", "timeout": 0}}, "router.timeout: 0 is not above 0"),
    ({"router": {"type": "command", "pause": ["edge hold"]}}, "router.pause: not a list of commands"),
    ({"link": {"to_legacy": {"host": "a"}, "to_new": {}}}, "link.to_new.host: missing"),
])
def test_bad_values(more, said):
    with pytest.raises(FleetError) as failure:
        parse(params(**more))
    assert failure.value.code == "invalid_value"
    assert said in failure.value.message


def test_secrets_are_listed_and_never_shown():
    assert secrets(params()) == ["canary-1", "canary-2"]
    assert "canary" not in repr(parse(params()))
