# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lesser users who want to be more: through settings, names, memberships and passwords on their way to another server."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
from dataclasses import replace

import psycopg
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core import checkers
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._pg.engines.physical import follow as physical_follow
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Endpoint, Link
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server import account_sync, accounts, database, link_account
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.postgres import Server, connect
from ansible_collections.bowline.fleet.plugins.module_utils._pg.snapshot import run as snapshot

LINK = Link("pgcut_repl", "disable", {})
NEWLINE = "q;\nALTER ROLE app WITH SUPERUSER;\n"
# What SET, set_config and ALTER … FROM CURRENT can leave in the catalog.
ODD = {
    "empty element": "ALTER ROLE odd SET search_path = ''",
    "empty list": "SELECT set_config('search_path', '', false); ALTER ROLE odd SET search_path FROM CURRENT",
    "quoted": """ALTER ROLE odd SET search_path = '$user', 'a,b', 'A"b', 'it''s', 'ü', ' '""",
    "not quoted": "SELECT set_config('search_path', ' A ,\"B\", c\"d', false); ALTER ROLE odd SET search_path FROM CURRENT",
    "long": f"ALTER ROLE odd SET search_path = '{'x' * 80}', 'y'",
    "list that is one string": "ALTER ROLE odd SET DateStyle = 'German, DMY'",
    "own": """ALTER ROLE odd SET "My".mode = 'it''s; -- \\ $x$'""",
    "number": "ALTER ROLE odd SET work_mem = '7MB'",
    "library": "ALTER ROLE odd SET local_preload_libraries = 'a b', 'c'",
}


def server(cluster, side: str, dbname: str = "postgres", **more) -> Server:
    words = {"port": cluster.port, "dbname": dbname, "password": "canary-super-5e7", "sslmode": "disable", **more}
    return Server(Endpoint(side, "127.0.0.1", **words), "test")


@pytest.fixture(scope="module", autouse=True)
def alone(clusters):
    """The accounts of the database that other tests leave belong to it, so it goes first."""
    clusters.reset()
    for cluster in clusters.clusters:
        cluster.rows("DROP DATABASE IF EXISTS hub WITH (FORCE)", dbname="postgres")


@pytest.fixture
def both(clusters):
    """A small database that belongs to a lesser user, on legacy; nothing of it on new."""
    tidy(clusters)
    legacy = clusters.legacy
    legacy.rows("CREATE ROLE app LOGIN PASSWORD 'canary-app'; CREATE ROLE mallory LOGIN PASSWORD 'canary-mallory'", dbname="postgres")
    legacy.rows("CREATE DATABASE accounts OWNER app", dbname="postgres")
    legacy.rows("GRANT CONNECT ON DATABASE accounts TO mallory", dbname="postgres")
    servers = server(clusters.legacy, "legacy", "accounts"), server(clusters.new, "new", "accounts")
    yield servers
    for each in servers:
        each.close()
    tidy(clusters)


def tidy(world) -> None:
    for cluster in world.clusters:
        cluster.rows("DROP DATABASE IF EXISTS accounts WITH (FORCE)", dbname="postgres")
        for row in cluster.rows("SELECT rolname FROM pg_roles WHERE oid > 16383 AND rolname <> 'pgcut_repl'", dbname="postgres"):
            with cluster.connect("postgres") as connection:
                connection.execute(psycopg.sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(psycopg.sql.Identifier(row["rolname"])))


def as_user(cluster, user: str, text: str, dbname: str = "accounts") -> None:
    with cluster.connect(dbname, user=user, password=f"canary-{user}", options="") as connection:
        connection.execute(text)


def moved(both) -> None:
    """Accounts and database as the seed moves them."""
    legacy, new = both
    account_sync.copy(legacy, new, LINK)
    described = database.describe(legacy.admin, "accounts")
    new.admin.run(database.create_text("accounts", described, new.admin.version))
    database.give(new.admin, "accounts", described, "seed_error")


def superusers(cluster) -> list[str]:
    return [row["rolname"] for row in cluster.rows("SELECT rolname FROM pg_roles WHERE rolsuper", dbname="postgres")]


def settings(cluster) -> dict:
    rows = cluster.rows(
        "SELECT a.rolname, d.datname, s.setconfig FROM pg_db_role_setting s LEFT JOIN pg_roles a ON a.oid = s.setrole"
        " LEFT JOIN pg_database d ON d.oid = s.setdatabase", dbname="postgres")
    return {(row["rolname"], row["datname"]): row["setconfig"] for row in rows}


# --- settings ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["search_path", "local_preload_libraries", "temp_tablespaces"])
def test_a_setting_is_never_run(both, clusters, name):
    attack = "a;ALTER/**/ROLE/**/mallory/**/SUPERUSER;--"
    for where in ("", " IN DATABASE accounts"):
        if name == "temp_tablespaces":
            # It wants tablespaces that exist, and only a superuser makes those: the strongest text that a user may store is one in quotes.
            text = f"ALTER ROLE mallory{where} SET {name} = '{attack}'"
        else:
            text = f"SELECT set_config('{name}', '{attack}', false); ALTER ROLE mallory{where} SET {name} FROM CURRENT"
        with clusters.legacy.connect("accounts") as connection:
            connection.execute(f"SET SESSION AUTHORIZATION mallory; {text}")
    moved(both)
    assert superusers(clusters.new) == ["postgres"]
    wanted = [f'{name}="{attack.lower() if name == "search_path" else attack}"']
    assert settings(clusters.new) == {("mallory", None): wanted, ("mallory", "accounts"): wanted}


def test_every_setting_means_the_same_afterwards(both, clusters):
    with clusters.legacy.connect("accounts") as connection:
        for name, text in ODD.items():
            role = psycopg.sql.Identifier(name)
            connection.execute(psycopg.sql.SQL("CREATE ROLE {0}; GRANT CONNECT ON DATABASE accounts TO {0}").format(role))
            for where in ("ROLE {}", "ROLE {} IN DATABASE accounts"):
                connection.execute(psycopg.sql.SQL(text.replace("ROLE odd", where)).format(role))
        for name in ("quoted", "own"):
            connection.execute(ODD[name].replace("ROLE odd", "DATABASE accounts"))
    moved(both)
    wanted = settings(clusters.legacy)
    assert len(wanted) == 2 * len(ODD) + 1
    # What a user wrote without quotes is written with them where they are needed.
    assert wanted["not quoted", None] == ['search_path= A ,"B", c"d']
    wanted.update(dict.fromkeys([("not quoted", None), ("not quoted", "accounts")], ['search_path=a, "B", "c""d"']))
    assert settings(clusters.new) == wanted


@pytest.mark.parametrize("value", ['"a', "a b", "a,,b"])
def test_a_list_that_is_none_is_refused_by_name(both, clusters, value):
    as_user(clusters.legacy, "mallory",
            f"SELECT set_config('local_preload_libraries', '{value}', false); ALTER ROLE mallory SET local_preload_libraries FROM CURRENT")
    clusters.legacy.rows("ALTER ROLE mallory SET work_mem = '1MB'", dbname="postgres")
    told = accounts.findings(*both, LINK)
    assert [(finding.code, finding.level, finding.object) for finding in told] == [("account_unsafe", "fail", "mallory")]
    with pytest.raises(FleetError) as failure:
        moved(both)
    assert failure.value.code == "account_unsafe" and "local_preload_libraries" in failure.value.message
    assert not clusters.new.rows("SELECT FROM pg_roles WHERE rolname = 'mallory'", dbname="postgres")
    # The remedy.
    assert 'RESET "local_preload_libraries"' in failure.value.remedy
    clusters.legacy.rows('ALTER ROLE mallory RESET "local_preload_libraries"', dbname="postgres")
    moved(both)
    assert settings(clusters.new)["mallory", None] == ["work_mem=1MB"]


def test_a_setting_that_did_not_arrive_is_named_with_both_values(both, clusters):
    clusters.new.rows("CREATE ROLE app; ALTER ROLE app SET work_mem = '1MB'", dbname="postgres")
    with pytest.raises(FleetError) as failure:
        database.read_back(both[1].admin, "", [{"role": "app", "entry": "work_mem=2MB"}], "seed_error")
    assert failure.value.code == "seed_error" and "work_mem=1MB" in failure.value.message and "work_mem=2MB" in failure.value.message


# --- rights -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("here", "there", "more"), [
    pytest.param("CREATE ROLE dba; GRANT dba TO mallory", "CREATE ROLE dba SUPERUSER", "SUPERUSER", id="a group that is more"),
    pytest.param("", "CREATE ROLE mallory CREATEROLE LOGIN", "CREATEROLE", id="one without a password that is more"),
    pytest.param("CREATE ROLE dba; GRANT dba TO mallory", "CREATE ROLE top; CREATE ROLE dba; GRANT pg_execute_server_program TO top; GRANT top TO dba",
                 "pg_execute_server_program, top", id="one who is a member of more"),
])
def test_nobody_meets_a_role_of_his_name_that_is_more(both, clusters, here, there, more):
    clusters.legacy.rows(here or "SELECT 1", dbname="postgres")
    clusters.new.rows(there, dbname="postgres")
    with pytest.raises(FleetError) as failure:
        moved(both)
    assert failure.value.code == "account_unsafe" and f"than it has now: {more}." in failure.value.message and failure.value.remedy
    assert not clusters.new.rows("SELECT FROM pg_auth_members WHERE member = to_regrole('mallory')", dbname="postgres")
    assert not clusters.new.value("SELECT count(*) FROM pg_authid WHERE rolname = 'mallory' AND rolpassword IS NOT NULL", dbname="postgres")


def test_a_role_that_is_the_same_there_is_taken(both, clusters):
    for cluster in clusters.clusters:
        cluster.rows("CREATE ROLE dba CREATEROLE; GRANT pg_monitor TO dba", dbname="postgres")
    clusters.new.rows("CREATE ROLE app LOGIN; GRANT dba TO app", dbname="postgres")
    clusters.legacy.rows("GRANT dba TO app; CREATE ROLE held SUPERUSER; GRANT held TO dba", dbname="postgres")
    assert accounts.findings(*both, LINK) == []
    moved(both)
    assert account_sync.follow(*both, LINK) == ([], [])
    assert sorted(superusers(clusters.new)) == ["held", "postgres"]
    with clusters.new.connect("accounts", user="app", password="canary-app", options="") as connection:
        assert connection.execute("SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS a").fetchone()["a"]


def test_a_membership_keeps_its_limits(both, clusters):
    if min(cluster.major for cluster in clusters.clusters) < 16:
        known = {"parent": "a", "child": "b", "admin": False, "inherit": False, "set": False}
        assert accounts.member_text(known, 160000) == 'GRANT "a" TO "b" WITH ADMIN FALSE, INHERIT FALSE, SET FALSE'
        with pytest.raises(FleetError):
            accounts.member_text(known, 150000)
        return
    clusters.legacy.rows("CREATE ROLE dba; GRANT dba TO mallory WITH INHERIT FALSE, SET FALSE", dbname="postgres")
    moved(both)
    found = clusters.new.rows("SELECT admin_option, inherit_option, set_option FROM pg_auth_members WHERE member = 'mallory'::regrole", dbname="postgres")
    assert [list(row.values()) for row in found] == [[False, False, False]]


CHAIN = """
CREATE ROLE dba; CREATE ROLE lead; CREATE ROLE deputy; CREATE ROLE temp; GRANT dba TO lead WITH ADMIN OPTION;
SET ROLE lead; GRANT dba TO deputy WITH ADMIN OPTION; RESET ROLE; SET ROLE deputy; GRANT dba TO temp; RESET ROLE;
GRANT CONNECT ON DATABASE accounts TO dba, lead, deputy, temp
"""
GRANTED = """
SELECT member::regrole::text AS member, grantor::regrole::text AS grantor, admin_option FROM pg_auth_members WHERE roleid = 'dba'::regrole ORDER BY 1, 2
"""


def test_who_granted_a_membership_is_carried_where_it_means_something(both, clusters):
    """Since PostgreSQL 16 a membership ends with the right of who granted it; before, the grantor is a note without a meaning."""
    clusters.legacy.rows(CHAIN, dbname="postgres")
    moved(both)
    legacy, new = (cluster.rows(GRANTED, dbname="postgres") for cluster in clusters.clusters)
    if min(cluster.major for cluster in clusters.clusters) < 16:
        assert [(row["member"], row["admin_option"]) for row in new] == [("deputy", True), ("lead", True), ("temp", False)]
        assert account_sync.pending(*both, LINK.user, "legacy") == []
        return
    assert legacy == new and [row["grantor"] for row in new] == ["lead", "postgres", "deputy"]
    clusters.legacy.rows("GRANT dba TO temp; SET ROLE lead; REVOKE dba FROM deputy CASCADE", dbname="postgres")
    assert account_sync.pending(*both, LINK.user, "legacy")
    account_sync.follow(*both, LINK)
    legacy, new = (cluster.rows(GRANTED, dbname="postgres") for cluster in clusters.clusters)
    assert legacy == new and [(row["member"], row["grantor"]) for row in new] == [("lead", "postgres"), ("temp", "postgres")]
    assert account_sync.pending(*both, LINK.user, "legacy") == []


def test_words_that_are_no_rights_are_never_run(both):
    hostile = {"privilege": "CONNECT ON DATABASE accounts TO mallory; ALTER ROLE mallory SUPERUSER; GRANT CREATE", "role": "app", "grantable": False}
    with pytest.raises(FleetError):
        database.grant_text('"accounts"', hostile)
    described = database.describe(both[0].admin, "accounts")
    for name in ("collate", "ctype", "encoding"):
        with pytest.raises(FleetError) as failure:
            both[1].admin.run(database.create_text("accounts", {**described, name: "C' TABLESPACE x; ALTER ROLE app SUPERUSER; --"}, 150000))
        assert failure.value.code == "sql_error"
    with pytest.raises(FleetError):
        database.create_text("accounts", {**described, "provider": "icu; ALTER ROLE app SUPERUSER"}, 150000)


# --- snapshots --------------------------------------------------------------------------------------------------------------------


def snapshots(clusters, directory, state: str, **more) -> dict:
    def runner(argv, *, env=None, stdin=None, timeout=None):
        done = subprocess.run(argv, capture_output=True, text=True, input=stdin, check=False, env={**os.environ, **(env or {})})
        return Completed(done.returncode, done.stdout, done.stderr)

    cluster, side = (clusters.legacy, "source") if state == "present" else (clusters.new, "target")
    reached = {"host": "127.0.0.1", "port": cluster.port, "dbname": "accounts", "passfile": str(clusters.passfile), "sslmode": "disable",
               "bindir": str(clusters.new.bin)}
    params = {"state": state, "directory": str(directory), "subject": "accounts", "kind": "before", "compress": "auto", "max_age": 86400,
              "retention": 90 * 86400, "elsewhere": [], "fenced": False, side: reached, **more}
    return snapshot.run(params, runner, False)


def test_a_snapshot_brings_accounts_back_and_runs_none_of_them(both, clusters, tmp_path):
    attack = "a;ALTER/**/ROLE/**/mallory/**/SUPERUSER;--"
    as_user(clusters.legacy, "mallory", f"SELECT set_config('search_path', '{attack}', false); ALTER ROLE mallory SET search_path FROM CURRENT")
    clusters.legacy.rows("CREATE ROLE readers; GRANT readers TO mallory WITH ADMIN OPTION; GRANT CREATE ON DATABASE accounts TO readers"
                         " WITH GRANT OPTION; ALTER ROLE app IN DATABASE accounts SET search_path = ''", dbname="postgres")
    told = snapshots(clusters, tmp_path / "kept", "present")
    files = {path.name.rsplit(".", 2 if "json" in path.name else 1)[1]: path for path in (tmp_path / "kept").rglob("*.*") if path.is_file()}
    assert files.keys() == {"dump", "accounts", "manifest", "sha256"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files.values())
    assert files["accounts"].name in files["sha256"].read_text()
    verifier = next(role["rolpassword"] for role in json.loads(files["accounts"].read_text())["roles"] if role["rolname"] == "app")
    assert verifier.startswith("SCRAM-SHA-256$") and verifier not in json.dumps(told) and verifier not in files["manifest"].read_text()
    clusters.new.rows("CREATE ROLE readers SUPERUSER", dbname="postgres")
    with pytest.raises(FleetError) as failure:
        snapshots(clusters, tmp_path / "kept", "restored")
    assert failure.value.code == "account_unsafe" and clusters.new.value("SELECT to_regrole('mallory')", dbname="postgres") is None
    clusters.new.rows("DROP ROLE readers", dbname="postgres")
    snapshots(clusters, tmp_path / "kept", "restored")
    assert superusers(clusters.new) == ["postgres"]
    with clusters.new.connect("accounts", user="app", password="canary-app", options="") as connection:
        assert connection.execute("SELECT pg_has_role('mallory', 'readers', 'USAGE WITH ADMIN OPTION') AS a").fetchone()["a"]
    assert settings(clusters.new)["app", "accounts"] == ['search_path=""']


def test_a_role_with_a_line_break_in_its_name_becomes_no_statement(both, clusters, tmp_path):
    """Row by row: refused before the dump; and where it is in a snapshot nevertheless, it is a name and nothing else."""
    name = psycopg.sql.Identifier(NEWLINE)
    clusters.legacy.rows("ALTER ROLE mallory CREATEROLE; CREATE ROLE held LOGIN PASSWORD 'canary-held'", dbname="postgres")
    as_user(clusters.legacy, "mallory", psycopg.sql.SQL("CREATE ROLE {}; GRANT {} TO app").format(name, name))
    with pytest.raises(FleetError) as failure:
        snapshots(clusters, tmp_path / "kept", "present")
    assert failure.value.code == "account_unsafe" and repr(NEWLINE) in failure.value.message and "\n" not in failure.value.message
    assert not list((tmp_path / "kept").glob("*"))
    known = accounts.accounts(both[0].admin, "accounts")
    assert NEWLINE in [role["rolname"] for role in known["roles"]]
    clusters.new.rows("CREATE ROLE app LOGIN", dbname="postgres")
    accounts.make(both[1].admin, known, "restore_failed")
    assert superusers(clusters.new) == ["postgres"]
    assert clusters.new.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", NEWLINE, dbname="postgres") == 1


# --- verifiers --------------------------------------------------------------------------------------------------------------------

CANARY = "md5c0ffee0123456789c0ffee0123456789"
STATEMENT = f"ALTER ROLE gone PASSWORD '{CANARY}'"


@pytest.mark.parametrize("text", [
    pytest.param(STATEMENT, id="no such role"),
    pytest.param(STATEMENT.replace("PASSWORD", "PASWORD"), id="misspelt"),
    pytest.param(f"ALTER ROLE app VALID UNTIL '{CANARY}'", id="a value that the server quotes"),
    pytest.param(f"ALTER ROLE app PASSWORD {CANARY}", id="a word that the server quotes"),
    pytest.param(f"ALTER ROLE app '{CANARY}' PASSWORD", id="out of order"),
])
def test_a_quiet_session_fails_without_its_statement(both, clusters, text):
    session = both[0].fresh("postgres")
    session.quiet()
    with pytest.raises(FleetError) as failure:
        session.run(text)
    told = failure.value
    assert told.details["statement"] == "ALTER ROLE" and CANARY not in json.dumps(told.as_failure())
    assert told.__cause__ is None and told.__context__ is None
    assert CANARY not in clusters.legacy.log.read_text()


def test_verifiers_are_seen_by_nobody(both, clusters):
    """A member of pg_monitor looks at every session while accounts are copied; the server's log and statistics are read afterwards."""
    clusters.new.rows("CREATE ROLE spy LOGIN PASSWORD 'canary-spy'; GRANT pg_monitor TO spy", dbname="postgres")
    clusters.legacy.rows("SET password_encryption = 'md5'; ALTER ROLE mallory PASSWORD 'canary-mallory'", dbname="postgres")
    verifiers = [row["rolpassword"] for row in clusters.legacy.rows("SELECT rolpassword FROM pg_authid WHERE rolname IN ('app', 'mallory')",
                                                                    dbname="postgres")]
    seen, stop = set(), threading.Event()

    def spy() -> None:
        with clusters.new.connect("postgres", user="spy", password="canary-spy", options="") as connection:
            while not stop.is_set():
                seen.update(row["query"] for row in connection.execute("SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()"))

    target = both[1].fresh("postgres")
    target.quiet()
    target.run(f"CREATE ROLE held PASSWORD '{verifiers[0]}'")
    watcher = threading.Thread(target=spy)
    watcher.start()
    try:
        moved(both)
    finally:
        stop.set()
        watcher.join()
    # The session that has just said it is still open.
    with clusters.new.connect("postgres", user="spy", password="canary-spy", options="") as connection:
        seen.update(row["query"] for row in connection.execute("SELECT query FROM pg_stat_activity"))
    everything = "\n".join(filter(None, seen)) + clusters.new.log.read_text() + clusters.legacy.log.read_text()
    assert len(verifiers) == 2 and not [each for each in verifiers if each in everything]
    assert not re.search(r"SCRAM-SHA-256\$", "\n".join(filter(None, seen)))


# --- TLS --------------------------------------------------------------------------------------------------------------------------


class Rogue:
    """Somebody in the path: no TLS here, and the password in clear, please (frontend/backend protocol 3.0)."""

    def __enter__(self) -> Rogue:
        self.got = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_error) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                line, _address = self._socket.accept()
            except OSError:
                return
            with line:
                line.settimeout(10)
                while True:
                    head = line.recv(4096)
                    if not head:
                        break
                    code = int.from_bytes(head[4:8], "big")
                    if code in (80877103, 80877104):
                        line.sendall(b"N")
                    elif code == 196608 or code >> 16 == 3:
                        line.sendall(b"R\x00\x00\x00\x08\x00\x00\x00\x03")
                    else:
                        self.got += head
                        break


def gate(port: int, **more) -> str:
    spec = {"host": "127.0.0.1", "port": port, "dbname": "postgres", "user": "postgres", "passfile": None, "sslmode": None, "sslrootcert": None,
            "read_write": None, "version": None, "timeout": 5, **more}
    return " ".join(checkers.check_postgres(spec, None).findings)


@pytest.mark.parametrize("sslmode", ["", "prefer", "disable", "require"])
def test_a_rogue_server_gets_no_password(sslmode, tmp_path):
    with Rogue() as rogue:
        endpoint = Endpoint("legacy", "127.0.0.1", rogue.port, password="canary-super", sslmode=sslmode)
        with pytest.raises(FleetError) as failure:
            connect(endpoint, "postgres", "test")
        passfile = tmp_path / "passfile"
        passfile.write_text("*:*:*:*:canary-super\n")
        passfile.chmod(0o600)
        assert gate(rogue.port, passfile=str(passfile), sslmode=sslmode or None)
        assert rogue.got == b""
    # It speaks no TLS, so where TLS is asked for, a CA would not help.
    asked = sslmode not in ("prefer", "disable")
    assert failure.value.code == ("tls" if asked else "auth")
    assert ("Switch ssl on" if asked else "legacy.sslrootcert") in failure.value.remedy


@pytest.fixture(scope="module")
def certified(clusters, tmp_path_factory):
    """legacy with a certificate of a CA for 127.0.0.1."""
    home, cluster = tmp_path_factory.mktemp("tls"), clusters.legacy
    # Debian's servers know TLS; some of the wheels of newer ones do not.
    if not cluster.value("SHOW ssl_library", dbname="postgres"):
        pytest.skip(f"PostgreSQL {cluster.major} was built without TLS here.")
    for name, words in (("ca", []), ("server", ["-CA", home / "ca.pem", "-CAkey", home / "ca.key", "-addext", "subjectAltName=IP:127.0.0.1"])):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        f"/CN={name}", "-keyout", home / f"{name}.key", "-out", home / f"{name}.pem", *words], check=True, capture_output=True)
    data = cluster.home / "data"
    for source, name in (("server.pem", "server.crt"), ("server.key", "server.key")):
        (data / name).write_bytes((home / source).read_bytes())
        (data / name).chmod(0o600)
        subprocess.run(["chown", "postgres:", data / name], check=True)
    cluster.rows("ALTER SYSTEM SET ssl = on", dbname="postgres")
    cluster.rows("SELECT pg_reload_conf()", dbname="postgres")
    yield home / "ca.pem"
    cluster.rows("ALTER SYSTEM RESET ssl", dbname="postgres")
    cluster.rows("SELECT pg_reload_conf()", dbname="postgres")


def test_each_remedy_works(clusters, certified):
    endpoint = Endpoint("legacy", "127.0.0.1", clusters.legacy.port, password="canary-super-5e7")
    with pytest.raises(FleetError) as failure:
        connect(endpoint, "postgres", "test")
    assert failure.value.code == "tls"
    for word in ("legacy.sslrootcert", "legacy.host", "legacy.sslmode: disable"):
        assert word in failure.value.remedy
    for way, encrypted in (({"sslrootcert": str(certified)}, True), ({"sslmode": "disable"}, False), ({"sslmode": "prefer"}, True),
                           ({"host": str(clusters.legacy.home), "sslmode": ""}, False)):
        session = connect(replace(endpoint, **way), "postgres", "test")
        assert session.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") is encrypted
        session.close()
    with pytest.raises(FleetError) as failure:
        connect(replace(endpoint, host="localhost", sslrootcert=str(certified)), "postgres", "test")
    assert failure.value.code == "tls" and "localhost" in failure.value.message
    assert "sslrootcert" in gate(clusters.legacy.port)


# --- the host ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False])
def test_a_planted_folder_is_not_taken_for_ours_at_a_rewind(tmp_path_factory, shared):
    """The folder beside a data directory whose parent is others' is in /var/tmp, where anybody may have been first."""
    home = tmp_path_factory.mktemp("rewind")
    for folder in home.parents:
        if folder.stat().st_uid == os.geteuid() and folder.parent != folder:
            folder.chmod(folder.stat().st_mode | 0o011)
    data = home / "data"
    data.mkdir()
    (data / "pg_hba.conf").write_text("local all all peer\n")
    subprocess.run(["chown", "-R", "postgres:", data if shared else home], check=True)
    home.chmod(0o755)
    number = subprocess.run(["cksum"], input=str(data).encode(), capture_output=True, check=True).stdout.split()[0].decode()
    planted = f"/var/tmp/bowline-{number}"
    made = "mkdir -m 0755 \"$1\" && echo 'host all all all trust' > \"$1/pg_hba.conf\" && : > \"$1/.done\" && : > \"$1/.lock\" && chmod 0666 \"$1\"/.*k"
    subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "sh", "-c", made, "sh", planted], check=True)
    try:
        done = subprocess.run(
            ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "sh", "-c", physical_follow._REWIND, "sh", str(data), "true", "x"],
            capture_output=True, text=True, check=False)
        assert "trust" not in (data / "pg_hba.conf").read_text()
        assert done.returncode == (1 if shared else 0), done.stderr
        if shared:
            assert planted in done.stderr and "nobody" in done.stderr and not (data / "standby.signal").exists()
        else:
            assert (data / "standby.signal").exists() and sorted(path.name for path in home.iterdir()) == ["data"]
    finally:
        subprocess.run(["rm", "-rf", planted], check=True)


# --- what cannot be made equal, and the link ---------------------------------------------------------------------------------------


def test_an_account_that_the_module_logs_in_with_is_never_changed(both, clusters):
    for cluster in clusters.clusters:
        cluster.rows("CREATE ROLE ops SUPERUSER LOGIN PASSWORD 'canary-super-5e7'", dbname="postgres")
    clusters.legacy.rows("ALTER ROLE ops CREATEDB; CREATE ROLE top SUPERUSER", dbname="postgres")
    new = server(clusters.new, "new", "accounts", user="ops")
    try:
        told = {(finding.code, finding.level, finding.object) for finding in account_sync.findings(both[0], new, LINK.user)}
        assert told == {("accounts_differ", "fail", "account 'ops' differs in CREATEDB, PASSWORD"), ("account_superuser", "warn", "top")}
        with pytest.raises(FleetError) as failure:
            account_sync.copy(both[0], new, LINK)
        assert failure.value.code == "accounts_differ" and "SCRAM" not in json.dumps(failure.value.as_failure())
        assert not clusters.new.rows("SELECT 1 FROM pg_roles WHERE rolname = 'mallory'", dbname="postgres")
        # The remedy.
        verifier = clusters.legacy.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'ops'", dbname="postgres")
        clusters.new.rows(f"ALTER ROLE ops CREATEDB PASSWORD '{verifier}'", dbname="postgres")
        account_sync.copy(both[0], new, LINK)
        assert account_sync.pending(both[0], new, LINK.user, "legacy") == []
    finally:
        new.close()


def test_a_library_that_new_has_not_locks_nobody_out(both, clusters):
    legacy, new = both
    seen = account_sync.both(legacy, new, LINK.user)
    more = {"role": None, "entry": "session_preload_libraries=nowhere_at_all"}
    wanted = replace(seen[0], known={**seen[0].known, "settings": [*seen[0].known["settings"], more]})
    change = next(change for change in account_sync.changes(wanted, seen[1]) if "session_preload" in change.what)
    session = new.fresh("postgres")
    session.quiet()
    with pytest.raises(FleetError) as failure:
        account_sync._do(session, change)
    assert failure.value.code == "accounts_differ" and "nowhere_at_all" in failure.value.message and "everybody" in failure.value.message
    assert failure.value.__cause__ is None and (None, None) not in settings(clusters.new)


def test_an_account_that_new_had_before_is_not_carried_to_legacy(both, clusters):
    clusters.new.rows("CREATE ROLE monitor LOGIN SUPERUSER", dbname="postgres")
    moved(both)
    clusters.new.rows("CREATE ROLE later LOGIN; CREATE ROLE dba; GRANT dba TO later WITH ADMIN OPTION", dbname="postgres")
    done, alone = account_sync.follow(*reversed(both), LINK)
    assert any("later" in what for what in done) and alone == []
    assert clusters.legacy.value("SELECT pg_has_role('later', 'dba', 'MEMBER WITH ADMIN OPTION')", dbname="postgres")
    assert superusers(clusters.legacy) == ["postgres"]
    clusters.new.rows("DROP ROLE later", dbname="postgres")
    assert account_sync.follow(*reversed(both), LINK) == ([], ["later"])


def test_the_link_connects_where_only_some_may_and_leaves_no_grant(both, clusters):
    legacy = both[0]
    clusters.legacy.rows("CREATE ROLE reader LOGIN", dbname="postgres")
    clusters.legacy.rows("REVOKE ALL ON DATABASE accounts FROM PUBLIC", dbname="postgres")
    before = clusters.legacy.value("SELECT datacl::text FROM pg_database WHERE datname = 'accounts'", dbname="postgres")
    described = database.describe(legacy.admin, "accounts")
    link_account.keep_connect(legacy.admin, "accounts", "reader")
    able = "SELECT has_database_privilege('reader', 'accounts', 'CONNECT')"
    assert clusters.legacy.value(able, dbname="postgres") and database.describe(legacy.admin, "accounts") == described
    # Somebody else's name in the setting takes nothing from anybody.
    link_account.take_connect(legacy.admin, "accounts", "mallory")
    assert clusters.legacy.value(able, dbname="postgres")
    link_account.take_connect(legacy.admin, "accounts", "reader")
    assert clusters.legacy.value("SELECT datacl::text FROM pg_database WHERE datname = 'accounts'", dbname="postgres") == before
    assert settings(clusters.legacy) == {}
    # A grant of the operator is not ours.
    clusters.legacy.rows("GRANT CONNECT ON DATABASE accounts TO reader", dbname="postgres")
    link_account.keep_connect(legacy.admin, "accounts", "reader")
    link_account.take_connect(legacy.admin, "accounts", "reader")
    assert clusters.legacy.value(able, dbname="postgres")
