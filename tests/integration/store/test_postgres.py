# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What only a server can do to a store: many controllers, connections that end, rights, and whoever else is in the database."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import bowline_pg_rig as rig
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.result import failed
from ansible_collections.bowline.fleet.plugins.module_utils._core.wait import Deadline, wait_for
from ansible_collections.bowline.fleet.plugins.module_utils._store import postgres, process
from ansible_collections.bowline.fleet.plugins.module_utils._store.dsn import Server
from ansible_collections.bowline.fleet.plugins.module_utils._store.migrations import MIGRATIONS
from ansible_collections.bowline.fleet.plugins.module_utils._store.store import StateStore

PASSWORD = "canary-store-4d1"
PACKAGE = "ansible_collections.bowline.fleet.plugins.module_utils"
# A controller of its own: opens the store, takes the lease, says what it got, and waits until its stdin ends.
CONTROLLER = f"""
import json, os, sys
from {PACKAGE}._core.errors import FleetError
from {PACKAGE}._store import postgres, process
from {PACKAGE}._store.dsn import Server
from {PACKAGE}._store.store import StateStore

dsn, subject, actor = sys.argv[1:]
postgres.load()
print("ready", flush=True)
sys.stdin.readline()
try:
    store = StateStore(postgres.open_for_writing(Server(dsn)), process.owner_of(os.getpid(), actor))
    said = store.open("cutover", [subject], []) if subject else {{}}
except FleetError as error:
    said = error.as_failure()
print(json.dumps(said), flush=True)
sys.stdin.read()
"""
# One that has written half of a transaction.
HALF = f"""
import sys
from {PACKAGE}._store import postgres
from {PACKAGE}._store.dsn import Server

database = postgres.open_for_writing(Server(sys.argv[1]))
with database.transaction() as transaction:
    transaction.execute("INSERT INTO room (name, number) VALUES ('_half', 1)")
    print(transaction.execute("SELECT pg_backend_pid() AS pid")[0]["pid"], flush=True)
    sys.stdin.read()
"""


def refused(call):
    with pytest.raises(FleetError) as failure:
        call()
    assert failure.value.code == "store_unavailable" and "canary" not in str(failed(failure.value))
    return failure.value


def statements(remedy):
    """The SQL of a remedy, as somebody would copy it."""
    return [f"{found};" for found in re.findall(r"((?:CREATE|GRANT|ALTER|SELECT)\b[^;]*);", remedy)]


@pytest.fixture
def start():
    begun = []

    def begin(program, *words):
        begun.append(subprocess.Popen([sys.executable, "-c", program, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return begun[-1]

    yield begin
    for one in begun:
        one.kill()
        one.communicate(timeout=30)


def ready(controller):
    assert controller.stdout.readline() == "ready\n"


def go(controller):
    controller.stdin.write("\n")
    controller.stdin.flush()


def test_of_two_controllers_one_works_and_the_other_is_told_who_and_since_when(place, start):
    ann, bob, eve = (start(CONTROLLER, place.dsn(), subject, actor) for actor, subject in (("ann", "node/1"), ("bob", "node/1"), ("eve", "node/2")))
    for one in (ann, bob, eve):
        ready(one)
    go(ann)
    assert json.loads(ann.stdout.readline())["lease_numbers"] == {"node/1": 1}
    go(bob)
    failure = json.loads(bob.stdout.readline())
    assert failure["code"] == "locked" and f"ann (pid {ann.pid}" in failure["message"]
    assert failure["details"]["holder"].startswith("ann") and 0 <= failure["details"]["age"] < 60
    go(eve)
    assert json.loads(eve.stdout.readline())["lease_numbers"] == {"node/2": 1}
    ann.kill()
    ann.wait(30)
    store = StateStore(place.open(), process.owner_of(os.getpid()))
    assert store.open("cutover", ["node/1"], [])["takeover"] is True
    store.close()


def test_twenty_first_runs_at_once_make_one_schema(place, start):
    """All of them are in the middle of it at one moment: somebody else is making a schema of that name, and gives it up."""
    many = [start(CONTROLLER, place.dsn(), "fleet", f"run{number}") for number in range(20)]
    waiting = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'bowline store' AND wait_event_type = 'Lock'"
    for one in many:
        ready(one)
    with place.cluster.connect(place.name, autocommit=False) as other:
        other.execute("CREATE SCHEMA bowline")
        for one in many:
            go(one)
        wait_for(lambda: place.admin(waiting)[0]["n"], lambda n: n == 20, Deadline(9), what="twenty runs that wait", interval=0.05)
        other.rollback()
    said = [json.loads(one.stdout.readline()) for one in many]
    assert sorted(one.get("code", "works") for one in said) == ["locked"] * 19 + ["works"]
    assert place.version() == len(MIGRATIONS) and place.raw("SELECT number FROM lease") == [1]


@pytest.mark.parametrize("end", ["the process", "its session", "its silence"])
def test_a_writer_that_ends_in_the_middle_leaves_nothing_and_no_lock(place, start, monkeypatch, end):
    short = "postgres._SETTINGS = postgres._SETTINGS.replace(\"'30s'\", \"'300ms'\")\n" if end == "its silence" else ""
    writer = start(HALF.replace("\ndatabase", f"\n{short}database", 1), place.dsn())
    pid = int(writer.stdout.readline())
    if end == "the process":
        os.kill(writer.pid, signal.SIGKILL)
    elif end == "its session":
        place.admin(f"SELECT pg_terminate_backend({pid})")
    else:
        os.kill(writer.pid, signal.SIGSTOP)
    database = place.open()
    with database.transaction() as transaction:
        assert transaction.execute("SELECT name FROM room") == []
    database.close()


def test_a_session_that_is_ended_is_a_failure_that_says_so(place):
    database = place.open()

    def write():
        with database.transaction() as transaction:
            transaction.execute("INSERT INTO room (name, number) VALUES ('_half', 1)")
            place.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bowline store'")
            transaction.execute("INSERT INTO room (name, number) VALUES ('_other', 1)")

    failure = refused(write)
    assert "Nothing of this transaction was written" in failure.message
    assert place.raw("SELECT name FROM room") == []


def test_a_session_that_ends_while_it_commits_is_not_said_to_have_written_nothing(place):
    database = place.open()
    place.raw("CREATE FUNCTION dies() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'",
              "CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON room DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dies()")  # fmt: skip
    failure = refused(lambda: database.join("_a", (("CREATE TABLE a (x TEXT)",),)))
    assert "as a whole, or not at all" in failure.message
    assert place.raw("SELECT name FROM room") == [] and "a" not in place.tables()


def test_a_store_that_somebody_holds_is_waited_for_then_named_with_its_holder(place, monkeypatch):
    place.open().close()
    monkeypatch.setattr(postgres, "_SETTINGS", postgres._SETTINGS.replace("lock_timeout = '10s'", "lock_timeout = '200ms'"))
    holder = place.open()
    with pytest.raises(FleetError), holder.transaction():
        failure = refused(lambda: StateStore(place.open(), process.owner_of(os.getpid())).operations())
        assert failure.details["sqlstate"] == "55P03"
        # Readers never wait.
        place.copy().close()
        who, ending = statements(failure.remedy + ";")[0].split("; end it with ")[0], "SELECT pg_terminate_backend({pid})"
        found = place.admin(who.rstrip(";"))
        assert [row["application_name"] for row in found] == ["bowline store"]
        place.admin(ending.format(pid=found[0]["pid"]))
        place.open().close()


# --- rights -----------------------------------------------------------------------------------------------------------------------------


def test_an_account_that_may_not_make_a_schema_is_told_what_gives_it_one(place):
    place.admin(f"REVOKE CREATE ON DATABASE {place.name} FROM fleet")
    failure = refused(place.open)
    assert "fleet@127.0.0.1" in failure.message and place.copy().version() == len(MIGRATIONS)
    place.admin(*statements(failure.remedy))
    place.open().close()
    assert place.version() == len(MIGRATIONS)


def test_a_schema_of_another_account_is_not_used_until_that_account_is_trusted(place):
    """Whoever owns tables can have code run in the sessions of those who read and write them."""
    place.open().close()
    for opening in (place.open, place.copy):
        failure = refused(lambda opening=opening: opening("other"))
        assert "belongs to fleet" in failure.message
    place.admin(*statements(failure.remedy + ";"))
    try:
        place.open("other").close()
    finally:
        place.admin("REVOKE fleet FROM other")


def test_a_schema_that_a_superuser_made_is_shared_by_what_he_grants(place):
    place.admin("CREATE SCHEMA bowline")
    failure = refused(place.open)
    place.admin(*statements(failure.remedy))
    StateStore(place.open(), process.owner_of(os.getpid())).open("cutover", ["a"], [])
    refused(lambda: place.copy("other"))
    place.admin("GRANT USAGE ON SCHEMA bowline TO other; GRANT SELECT ON ALL TABLES IN SCHEMA bowline TO other")
    reader = place.copy("other")
    assert reader.transaction().__enter__().execute("SELECT subject FROM lease") == [{"subject": "a"}]
    reader.close()
    failure = refused(lambda: StateStore(place.open("other"), process.owner_of(os.getpid())).lease("a"))
    place.admin(*statements(failure.remedy))
    assert StateStore(place.open("other"), process.owner_of(os.getpid())).lease("a")["subject"] == "a"


def test_a_database_that_is_closed_for_writes_is_read_but_not_written(place):
    place.open().close()
    place.admin(f"ALTER DATABASE {place.name} SET default_transaction_read_only = on")
    place.copy().close()
    failure = refused(lambda: StateStore(place.open(), process.owner_of(os.getpid())).open("cutover", ["a"], []))
    assert failure.details["sqlstate"] == "25006" and "primary" in failure.remedy


@pytest.fixture
def standby(place, server):
    """A hot standby of the server, with what it had when the test began to use it."""
    place.open().close()
    other = rig.Cluster(f"standby-{place.name}", server.home.parent, server.major)
    other.home.mkdir()
    shutil.chown(other.home, "postgres", "postgres")
    subprocess.run([*rig.AS_POSTGRES, server.bin / "pg_basebackup", "-D", other.home / "data", "-R", "--checkpoint=fast", "--no-sync",
                    "-d", f"postgresql://postgres:{rig.SUPER}@127.0.0.1:{server.port}"], check=True, capture_output=True, cwd="/")  # fmt: skip
    with (other.home / "data" / "postgresql.conf").open("a") as file:
        file.write(f"port = {other.port}\nunix_socket_directories = '{other.home}'\n")
    try:
        other.start()
        yield other
    finally:
        other.stop()


def test_a_standby_is_read_and_the_primary_is_found_for_writing(place, server, standby):
    where = place.dsn().replace(f":{server.port}/", f":{standby.port}/")
    postgres.open_copy(Server(where)).close()
    failure = refused(lambda: StateStore(postgres.open_for_writing(Server(where)), process.owner_of(os.getpid())).lease("a"))
    assert failure.details["sqlstate"] == "25006" and "target_session_attrs=read-write" in failure.remedy
    both = place.dsn(more="&target_session_attrs=read-write").replace("@127", f"@127.0.0.1:{standby.port},127")
    database = postgres.open_for_writing(Server(both))
    StateStore(database, process.owner_of(os.getpid())).open("cutover", ["a"], [])
    database.close()
    assert place.raw("SELECT subject FROM lease") == ["a"]


def test_names_of_ours_mean_our_tables_whatever_the_account_has_set(place):
    """A setting of an account or database, and objects of others in public, change nothing."""
    place.admin(f"GRANT CREATE ON SCHEMA public TO other; ALTER DATABASE {place.name} SET search_path = public, pg_catalog")
    place.admin("CREATE TABLE public.lease (subject text); CREATE TABLE public.room (name text); CREATE TABLE public.version (number int)")
    place.admin("CREATE FUNCTION public.to_regclass(text) RETURNS regclass LANGUAGE sql AS 'SELECT 1/0; SELECT NULL::regclass'")
    place.admin(f"ALTER DATABASE {place.name} SET standard_conforming_strings = off")
    database = place.open()
    StateStore(database, process.owner_of(os.getpid())).open("cut\\'over", ["a\\' OR 1=1"], [])
    with database.transaction() as transaction:
        assert transaction.execute("SELECT 'a\\' AS a, ? AS b", ("b\\",)) == [{"a": "a\\", "b": "b\\"}]
    assert place.raw("SELECT subject FROM bowline.lease") == ["a\\' OR 1=1"] and place.admin("SELECT * FROM public.lease") == []


def test_text_is_ordered_by_its_bytes_whatever_the_database_says(place):
    place.open().close()
    found = place.admin("SELECT DISTINCT c.collation_name FROM information_schema.columns c WHERE table_schema = 'bowline' AND data_type = 'text'")
    assert found == [{"collation_name": "C"}]


# --- the way in ---------------------------------------------------------------------------------------------------------------------------


def test_each_way_not_to_get_in_has_a_remedy_that_helps(place, server, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("*:*:*:*:canary-wrong\n")
    base = f"postgresql://fleet@127.0.0.1:{server.port}"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        said = {
            dsn: refused(lambda dsn=dsn: postgres.open_for_writing(Server(dsn))).remedy
            for dsn in (
                f"{base}/{place.name}?passfile={place.passfile}",
                f"{base}/{place.name}?sslmode=disable&passfile={wrong}",
                f"{base}/nothing_{place.name}?sslmode=disable&passfile={place.passfile}",
                f"postgresql://fleet@127.0.0.1:{taken.getsockname()[1]}/{place.name}?sslmode=disable",
            )
        }
    assert [next(word for word in ("sslmode=disable", "passfile=", "CREATE DATABASE", "Check host") if word in one) for one in said.values()] == [
        "sslmode=disable", "passfile=", "CREATE DATABASE", "Check host"]  # fmt: skip
    place.admin(*statements(list(said.values())[2]))
    postgres.open_for_writing(Server(list(said)[2])).close()


def test_a_password_in_the_dsn_is_used_and_shown_to_nobody(place, server, monkeypatch):
    where = Server(f"postgresql://fleet:{PASSWORD}@127.0.0.1:{server.port}/{place.name}?sslmode=disable")
    assert "canary" not in repr(where)
    database = postgres.open_for_writing(where)
    assert "canary" not in database.name and database.name == f"postgresql://fleet@127.0.0.1:{server.port}/{place.name}"
    assert database._connection.info.get_parameters()["keepalives_idle"] == "10", "a network that swallows packets would be waited for"
    database.close()


def test_what_a_database_cannot_hold_is_said_so(place):
    store = StateStore(place.open(), process.owner_of(os.getpid()))
    failure = refused(lambda: store.open("cutover", ["a"], [], vcs_ref="a\0b"))
    assert "NUL bytes" in failure.remedy and store.operations() == []


def test_a_service_of_libpq_says_where_it_is(place, server, monkeypatch, tmp_path):
    (tmp_path / "services").write_text(
        f"[fleet]\nhost=127.0.0.1\nport={server.port}\nuser=fleet\ndbname={place.name}\nsslmode=disable\npassfile={place.passfile}\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    postgres.open_for_writing(Server("postgresql:///?service=fleet")).close()
    assert place.version() == len(MIGRATIONS)


def test_a_missing_library_is_named_with_its_package(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(FleetError) as failure:
        place.open()
    assert failure.value.code == "tool_missing" and "psycopg[binary]" in failure.value.remedy


def test_a_play_keeps_its_operation_there(place, server, tmp_path):
    """As an operator does it, with -vvv, the DSN in the environment and its password in it; a look in check mode, the run, and its journal."""
    dsn = f"postgresql://fleet:{PASSWORD}@127.0.0.1:{server.port}/{place.name}?sslmode=disable"
    tasks = [
        {"bowline.fleet.operation": {"state": "opened", "kind": "toy", "subjects": ["toy/1"]}, "register": "toy"},
        {"bowline.fleet.operation": {"state": "closed", "journal": "{{ toy }}", "outcome": "succeeded"}},
    ]
    (tmp_path / "play.json").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))

    def play(*words):
        program = os.path.join(os.path.dirname(sys.executable), words[0])
        done = subprocess.run([program, *words[1:], "-vvv"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
                              env={**os.environ, "BOWLINE_STATE_DSN": dsn, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_INJECT_INVOCATION": "true"})  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "canary" not in done.stdout + done.stderr
        return done.stdout

    play("ansible-playbook", "-i", "localhost,", "play.json", "--check")
    assert place.tables() == set()
    play("ansible-playbook", "-i", "localhost,", "play.json")
    assert place.raw("SELECT outcome FROM operation") == ["succeeded"]
    given = f"store=postgresql://fleet:{PASSWORD}@127.0.0.1:{server.port}/{place.name}?sslmode=disable"
    assert '"outcome": "succeeded"' in play("ansible", "localhost", "-m", "bowline.fleet.operation_info", "-a", given)


def test_a_pooler_that_hands_each_transaction_to_another_session_changes_nothing(place, server, start):
    """PgBouncer in transaction mode with three sessions for eight controllers."""
    home, port = server.home / f"bouncer-{place.name}", rig.free_port()
    home.mkdir()
    config = home / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n{place.name} = host=127.0.0.1 port={server.port} user=fleet password={PASSWORD}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\nlogfile = {home / 'log'}\n"
    )
    for path in (home, config):
        shutil.chown(path, "postgres", "postgres")
    process = subprocess.Popen([*rig.AS_POSTGRES, "/usr/sbin/pgbouncer", "-q", str(config)], cwd="/", start_new_session=True)
    try:
        wait_for(lambda: _listens(port), bool, Deadline(10), what="PgBouncer", interval=0.05)
        dsn = f"postgresql://fleet@127.0.0.1:{port}/{place.name}?sslmode=disable"
        many = [start(CONTROLLER, dsn, "node/1", f"run{number}") for number in range(8)]
        for one in many:
            ready(one)
            go(one)
        said = [json.loads(one.stdout.readline()) for one in many]
        assert sorted(one.get("code", "works") for one in said) == ["locked"] * 7 + ["works"]
        postgres.open_copy(Server(dsn)).close()
        assert place.raw("SELECT number FROM lease") == [1]
    finally:
        process.kill()
        process.wait(10)


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
