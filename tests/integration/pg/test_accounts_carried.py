# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is no row: accounts, memberships, settings and rights on the database, through a whole move and back."""

from __future__ import annotations

import re
import shutil

import psycopg
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Endpoint, Link, Reach
from ansible_collections.bowline.fleet.plugins.module_utils._pg.replication import pair
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.postgres import Server
from psycopg import sql

BEFORE = """
CREATE ROLE web LOGIN PASSWORD 'canary-app-web' CONNECTION LIMIT 7 VALID UNTIL '2100-01-01';
CREATE ROLE boss LOGIN CREATEDB NOINHERIT; GRANT postgres TO boss; CREATE ROLE "a ü" ; GRANT "a ü" TO boss WITH ADMIN OPTION;
ALTER ROLE ALL SET work_mem = '5MB';
CREATE ROLE bi LOGIN; ALTER ROLE bi SET default_transaction_read_only = on; ALTER ROLE bi IN DATABASE hub SET default_transaction_read_only = 'true';
REVOKE CONNECT ON DATABASE hub FROM PUBLIC; GRANT CONNECT ON DATABASE hub TO bi, web
"""
LATER = """
CREATE ROLE {late} LOGIN PASSWORD 'canary-app-late'; GRANT "a ü" TO {late};
ALTER ROLE web PASSWORD 'canary-app-{late}' CONNECTION LIMIT {limit} NOLOGIN; ALTER ROLE web LOGIN VALID UNTIL 'infinity';
ALTER ROLE boss NOCREATEDB; REVOKE ADMIN OPTION FOR "a ü" FROM boss CASCADE; REVOKE postgres FROM boss;
ALTER ROLE web SET search_path = '$user', 'x y'; ALTER ROLE bi RESET default_transaction_read_only; ALTER ROLE ALL SET work_mem = '{limit}MB';
ALTER DATABASE hub SET statement_timeout = '{limit}min'; ALTER ROLE web IN DATABASE hub SET work_mem = '{limit}MB';
REVOKE CONNECT ON DATABASE hub FROM bi; GRANT CREATE, TEMPORARY ON DATABASE hub TO {late} WITH GRANT OPTION; COMMENT ON DATABASE hub IS '{late}'
"""
ROLES = ("web", "boss", "bi", "a ü", "late", "later", "gone")


@pytest.fixture
def world(clusters):
    clusters.reset()
    yield clusters
    for cluster in clusters.clusters:
        cluster.rows("ALTER ROLE ALL RESET ALL", dbname="postgres")
    clusters.reset()
    for cluster in clusters.clusters:
        for role in ROLES:
            cluster.rows(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)), dbname="postgres")


def seen(cluster) -> list[str]:
    """All of it, in words of the catalogs."""
    texts = (
        "SELECT concat_ws(' ', rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit,"
        " rolpassword, nullif(rolvaliduntil, 'infinity')) AS line FROM pg_authid WHERE rolname !~ '^pg' AND oid <> 10",
        "SELECT concat_ws(' ', p.rolname, c.rolname, bool_or(admin_option)) AS line FROM pg_auth_members m JOIN pg_roles p ON p.oid = m.roleid"
        " JOIN pg_roles c ON c.oid = m.member WHERE c.rolname !~ '^pg' GROUP BY p.rolname, c.rolname",
        "SELECT concat_ws(' ', a.rolname, d.datname, c) AS line FROM pg_db_role_setting s LEFT JOIN pg_roles a ON a.oid = s.setrole"
        " LEFT JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) c"
        " WHERE a.rolname IS DISTINCT FROM 'pgcut_repl' AND c !~ '^pgcut' AND NOT (s.setrole = 0 AND c ~ '^default_transaction_read_only')",
        "SELECT concat_ws(' ', datconnlimit, shobj_description(oid, 'pg_database'), pg_get_userbyid(a.grantee), a.privilege_type, a.is_grantable) AS line"
        " FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) a WHERE datname = 'hub'"
        " AND a.grantee IS DISTINCT FROM to_regrole('pgcut_repl')",
    )
    with cluster.connect("postgres") as session:
        session.execute("SET TimeZone = 'UTC'")
        return sorted(row["line"] for text in texts for row in session.execute(text).fetchall())


def equal(world) -> None:
    legacy, new = (seen(cluster) for cluster in world.clusters)
    assert [line for line in legacy if line not in new] == [line for line in new if line not in legacy] == [] and legacy


def test_what_is_no_row_follows_until_the_switch_and_back(world):
    legacy, new = world.clusters
    legacy.rows(BEFORE, dbname="postgres")
    world.ok("armed")
    equal(world)
    legacy.rows(LATER.format(late="late", limit=9), dbname="postgres")
    told = world.ok("armed")
    assert told["changed"] and [line["action"] for line in told["plan"]] == ["accounts"]
    equal(world)
    assert not world.ok("armed")["changed"]
    legacy.rows("ALTER ROLE late PASSWORD 'canary-app-again'; GRANT CONNECT ON DATABASE hub TO late", dbname="postgres")
    world.ok("new")
    equal(world)
    with new.connect(user="late", password="canary-app-again", options=""), pytest.raises(psycopg.OperationalError):
        new.connect(user="bi", options="")
    new.rows("ALTER ROLE boss CREATEDB; GRANT postgres TO boss; GRANT \"a ü\" TO boss WITH ADMIN OPTION", dbname="postgres")
    new.rows(LATER.format(late="later", limit=8), dbname="postgres")
    # Dropped where it served: it is named, and stays.
    new.rows("DROP OWNED BY late; DROP ROLE late", dbname="postgres")
    told = world.ok("legacy")
    assert any("late" in warning and "legacy" in warning for warning in told["warnings"]), told["warnings"]
    legacy.rows("DROP OWNED BY late; DROP ROLE late", dbname="postgres")
    equal(world)


@pytest.fixture
def owned(clusters):
    """Legacy as after ``initdb -U hub``: its first superuser is the application's account and owner; new's is postgres."""
    clusters.reset()
    legacy = clusters.legacy
    legacy.rows("DROP DATABASE hub WITH (FORCE)", dbname="postgres")
    legacy.rows(f"DROP ROLE hub; CREATE ROLE keeper SUPERUSER LOGIN PASSWORD '{legacy_password(legacy)}'", dbname="postgres")
    with legacy.connect("postgres", user="keeper") as session:
        session.execute("ALTER ROLE postgres RENAME TO hub")
        session.execute("CREATE DATABASE hub OWNER hub")
    with legacy.connect(user="hub") as session:
        session.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        session.execute(f"CREATE ROLE member LOGIN PASSWORD '{legacy_password(legacy)}'; GRANT hub TO member")
    passfile = clusters.home / "owned.pgpass"
    passfile.write_text(f"*:*:*:*:{legacy_password(legacy)}\n")
    passfile.chmod(0o600)
    yield {"legacy": {**clusters.params("armed")["legacy"], "user": "hub", "passfile": str(passfile)}}
    with legacy.connect("postgres", user="keeper") as session:
        session.execute("ALTER ROLE hub RENAME TO postgres")
    clusters.reset()
    for cluster in clusters.clusters:
        cluster.rows("DROP ROLE IF EXISTS member; DROP ROLE IF EXISTS keeper", dbname="postgres")


def legacy_password(cluster) -> str:
    return (cluster.home / "password").read_text().strip()


def test_the_first_superuser_of_legacy_is_an_account_of_new(clusters, owned):
    told, new = clusters.ok("armed", **owned), clusters.new
    assert {finding["object"] for finding in told["findings"] if finding["code"] == "account_superuser"} == {"hub", "keeper"}
    row = new.rows("SELECT rolsuper, oid <> 10 AS made, rolpassword FROM pg_authid WHERE rolname = 'hub'", dbname="postgres")[0]
    assert told["phase_after"] == "armed" and row["rolsuper"] and row["made"]
    assert clusters.ok("new", **owned)["serving"] == "new"
    with new.connect(user="member", options=""), new.connect(user="hub") as session:
        session.execute("INSERT INTO t VALUES (2)")
        assert session.execute("SELECT pg_has_role('member', 'hub', 'MEMBER') AS a").fetchone()["a"]
    assert clusters.ok("legacy", **owned)["serving"] == "legacy"
    # New's own first superuser is none of the application's.
    with clusters.legacy.connect(user="keeper") as session:
        assert session.execute("SELECT array_agg(rolname::text ORDER BY rolname) AS a FROM pg_roles WHERE rolsuper").fetchone()["a"] == ["hub", "keeper"]
        assert session.execute("SELECT count(*) AS n FROM t").fetchone()["n"] == 2


def test_a_link_that_may_not_connect_is_told_what_to_grant(world):
    legacy, new = world.clusters
    passfile = new.home / "stranger.pgpass"
    passfile.write_text(f"*:*:*:*:{legacy_password(legacy)}\n")
    passfile.chmod(0o600)
    shutil.chown(passfile, "postgres", "postgres")
    legacy.rows(f"CREATE ROLE gone LOGIN REPLICATION PASSWORD '{legacy_password(legacy)}'; REVOKE CONNECT ON DATABASE hub FROM PUBLIC", dbname="postgres")
    link = Link("gone", "disable", {"legacy": Reach(legacy.host, legacy.port, str(passfile))})
    sides = [Server(Endpoint(each.name, each.host, port=each.port, dbname="hub", password=legacy_password(each), sslmode="disable"), "test")
             for each in (legacy, new)]
    try:
        with pytest.raises(FleetError) as failure:
            pair.try_link(sides[1], sides[0], link)
        assert failure.value.code == "link_auth" and "may not connect to database hub" in failure.value.message
        remedy = re.fullmatch(r"On legacy: (GRANT .*;)", failure.value.remedy)[1]
        legacy.rows(remedy, dbname="postgres")
        pair.try_link(sides[1], sides[0], link)
    finally:
        legacy.rows("DROP OWNED BY gone; DROP ROLE gone", dbname="postgres")
        for side in sides:
            side.close()
