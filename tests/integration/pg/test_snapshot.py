# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pg_snapshot on real servers: taken, proven by a restore, damaged, interrupted, restored for good, removed; and the dump of a switch."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import bowline_pg_rig as rig
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server import fence

DAY = 86400
SUBJECT = "hub-1"


class Snapshots:
    """Runs of pg_snapshot against the servers of ``world``, each in a process of its own."""

    def __init__(self, world, home: Path) -> None:
        self.world = world
        self.directory = home / "snapshots"
        self.home = home
        self.serial = 0

    def server(self, cluster, **more) -> dict:
        known = {"host": "127.0.0.1", "port": cluster.port, "passfile": str(self.world.passfile), "sslmode": "disable",
                 "bindir": self.world.params("new")["new"]["bindir"]}
        return {**known, **more}

    def spawn(self, state: str, **more) -> subprocess.Popen:
        servers = {
            "preflight": {"source": self.server(self.world.legacy, dbname="hub")},
            "present": {"source": self.server(self.world.legacy, dbname="hub")},
            "tested": {"target": self.server(self.world.new)},
            "restored": {"target": self.server(self.world.new, dbname="hub")},
        }
        params = {"state": state, "directory": str(self.directory), "subject": SUBJECT, "kind": "before", "compress": "auto", "max_age": DAY,
                  "retention": 90 * DAY, "elsewhere": [], "fenced": True, **servers.get(state, {}), **more}
        self.serial += 1
        path = self.home / f"snapshot-{self.serial}.json"
        path.write_text(json.dumps(params))
        drive = str(Path(__file__).parent / "drive.py")
        return subprocess.Popen([sys.executable, drive, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                start_new_session=True)

    def run(self, state: str, **more) -> dict:
        out, err = self.spawn(state, **more).communicate(timeout=180)
        assert out.strip(), err[-3000:]
        assert "canary" not in out
        return json.loads(out)

    def ok(self, state: str, **more) -> dict:
        outcome = self.run(state, **more)
        assert "failure" not in outcome, outcome["failure"]
        return outcome

    def failed(self, state: str, code: str, **more) -> dict:
        outcome = self.run(state, **more)
        assert outcome.get("failed"), outcome
        assert outcome["failure"]["code"] == code, outcome["failure"]
        return outcome["failure"]

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("*")) if self.directory.exists() else []


@pytest.fixture
def snapshots(world, tmp_path):
    return Snapshots(world, tmp_path)


def databases(cluster) -> list[str]:
    return [row["datname"] for row in cluster.rows("SELECT datname FROM pg_database ORDER BY 1", dbname="postgres")]


def test_taken_proven_and_left_alone_the_second_time(snapshots):
    foreseen = snapshots.ok("present", check_mode=True)
    assert snapshots.files() == []
    assert foreseen["snapshot"] is None
    done = snapshots.ok("present")
    assert (foreseen["changed"], foreseen["plan"], foreseen["diff"]) == (True, done["plan"], done["diff"])
    taken = done["snapshot"]
    name = taken["name"]
    assert snapshots.files() == [name, *(f"{name}/{name}.{ending}" for ending in ("accounts.json", "dump", "manifest.json", "sha256"))]
    again = snapshots.ok("present")
    assert (again["changed"], again["plan"], again["snapshot"]["name"]) == (False, [], name)
    assert taken["rows"] == sum(
        snapshots.world.legacy.value(f"SELECT count(*) FROM {table}")
        for table in ("ledger", "balance", '"Größe"', "events", "keyless", "unique_only", "child"))
    before = databases(snapshots.world.new)
    tested = snapshots.ok("tested")
    assert tested["changed"] and tested["snapshot"]["tested"]["rows"] == taken["rows"]
    assert tested["snapshot"]["tested"]["restore_seconds"] > 0
    assert databases(snapshots.world.new) == before
    assert snapshots.ok("tested")["changed"] is False
    # What is there and proven needs nothing that could refuse.
    asked = snapshots.ok("preflight")
    assert (asked["changed"], asked["findings"], asked["snapshot"]["name"]) == (False, [], name)


def test_what_is_taken_under_load_is_one_moment(snapshots, writers):
    with writers(snapshots.world) as busy:
        taken = snapshots.ok("present")["snapshot"]
        after = len(busy.acknowledged)
    manifest = read_manifest(snapshots, taken["name"])
    ledger = next(table for table in manifest["tables"] if table["name"] == "ledger")
    assert 0 < ledger["rows"] < after
    assert snapshots.ok("tested")["changed"]
    position = next(entry for entry in manifest["sequences"] if entry["name"] == "ledger_id_seq")
    assert position["low"][0] < position["high"][0]


def read_manifest(snapshots, name: str) -> dict:
    return json.loads((snapshots.directory / name / f"{name}.manifest.json").read_text())


def test_odd_objects_come_back_and_other_servers_things_stay_out(snapshots):
    legacy = snapshots.world.legacy
    legacy.rows("""
        CREATE TABLE secret (id smallserial PRIMARY KEY, doc json, blob bytea, seen tstzrange);
        INSERT INTO secret (doc, blob, seen) SELECT '{"a":  1}', sha256(n::text::bytea), tstzrange(now(), null) FROM generate_series(1, 50) n;
        ALTER TABLE secret ENABLE ROW LEVEL SECURITY; ALTER TABLE secret FORCE ROW LEVEL SECURITY;
        CREATE POLICY mine ON secret TO readers USING (id < 3);
        CREATE UNLOGGED TABLE cache (a float8); INSERT INTO cache VALUES (0.1 + 0.2), ('NaN'), ('-0');
        CREATE TABLE gaps (a int, gone text, b text); ALTER TABLE gaps DROP COLUMN gone; INSERT INTO gaps VALUES (1, 'ß');
        CREATE EXTENSION hstore; CREATE TABLE tagged (a hstore); INSERT INTO tagged VALUES ('x=>1, y=>NULL');
        CREATE SEQUENCE down INCREMENT -3 MAXVALUE -1; SELECT nextval('down'), nextval('down');
        CREATE SEQUENCE untouched;
        CREATE PUBLICATION theirs FOR TABLE ledger;
        CREATE FUNCTION audit() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
        CREATE EVENT TRIGGER audit ON ddl_command_end EXECUTE FUNCTION audit();
    """)
    taken = snapshots.ok("present")["snapshot"]
    assert taken["left_out"] == {"publications": ["theirs"], "subscriptions": []}
    tested = snapshots.ok("tested")["snapshot"]["tested"]
    assert tested["roles_missing"] == ["hub", "readers"]
    assert tested["passed_over"] == ["POLICY public secret mine postgres"]
    snapshots.world.new.rows("CREATE ROLE hub; CREATE ROLE readers", dbname="postgres")
    again = snapshots.ok("tested", max_age=0.001)["snapshot"]["tested"]
    assert (again["roles_missing"], again["passed_over"]) == ([], [])


def test_zstd_where_pg_dump_knows_it(snapshots):
    """Builds of one version differ in what they know, so auto has to agree with what zstd alone gets."""
    told = snapshots.ok("present", check_mode=True)["evidence"]
    if told["compress"] == "gzip":
        failure = snapshots.failed("present", "invalid_value", compress="zstd")
        assert f"compress: zstd is not known to pg_dump {told['pg_dump']}" in failure["message"] and "auto or gzip" in failure["remedy"]
        assert snapshots.files() == []
        assert snapshots.ok("present", compress="gzip")["snapshot"]["compress"] == "gzip"
    else:
        assert int(told["pg_dump"].split(".")[0]) >= 16
        assert snapshots.ok("present", compress="zstd")["snapshot"]["compress"] == "zstd" and snapshots.ok("tested")["changed"]


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def resum(folder: Path) -> None:
    """What an attacker or a tool that repairs sums would do."""
    names = [line.split("  ")[1] for line in (folder / f"{folder.name}.sha256").read_text().splitlines()]
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / f"{folder.name}.sha256").write_text("".join(lines))


@pytest.mark.parametrize("ending", ["dump", "accounts.json", "manifest.json", "sha256"])
def test_one_flipped_bit_in_any_file_is_found(snapshots, ending):
    name = snapshots.ok("present")["snapshot"]["name"]
    damage(snapshots.directory / name / f"{name}.{ending}")
    for state in ("present", "tested", "restored"):
        failure = snapshots.failed(state, "checksum")
        assert name in failure["message"] and failure["remedy"]
    assert "hub" not in databases(snapshots.world.new)
    # The remedy, where there is no other copy.
    assert f"move {snapshots.directory / name} away" in failure["remedy"]
    (snapshots.directory / name).rename(snapshots.home / "away")
    rig.until(lambda: time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) not in name, 5, "the next second")
    assert snapshots.ok("present")["changed"] and snapshots.ok("tested")["changed"]


def test_a_manifest_that_claims_other_content_is_found_by_the_restore(snapshots):
    name = snapshots.ok("present")["snapshot"]["name"]
    folder = snapshots.directory / name
    path = folder / f"{name}.manifest.json"
    whole = path.read_text()
    changes = {
        "table public.ledger": lambda m: table(m, "ledger").update(rows=table(m, "ledger")["rows"] + 1),
        "table public.balance": lambda m: table(m, "balance").update(hash="1"),
        "table public.gone": lambda m: m["tables"].append({"schema": "public", "name": "gone", "extension": None, "rows": 0, "hash": "0"}),
        "sequence counters.ticket": lambda m: [entry.update(low=[1, True], high=[2, True]) for entry in m["sequences"] if entry["name"] == "ticket"],
        "large objects": lambda m: m["large_objects"].update(sha256="0"),
    }
    for expected, change in changes.items():
        manifest = json.loads(whole)
        change(manifest)
        path.write_text(json.dumps(manifest))
        resum(folder)
        failure = snapshots.failed("tested", "manifest_differs")
        assert [entry["object"] for entry in failure["details"]["differences"]] == [expected]
    assert not any(entry.startswith("bowline_scratch") for entry in databases(snapshots.world.new))
    assert "take a new one" in failure["remedy"]
    folder.rename(snapshots.home / "away")
    assert snapshots.ok("present")["changed"] and snapshots.ok("tested")["changed"]


def table(manifest: dict, name: str) -> dict:
    return next(entry for entry in manifest["tables"] if entry["name"] == name)


def test_a_dump_that_lost_its_middle_does_not_pass_by_new_sums(snapshots):
    name = snapshots.ok("present", compress="none")["snapshot"]["name"]
    path = snapshots.directory / name / f"{name}.dump"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    resum(path.parent)
    snapshots.failed("tested", "restore_failed")
    assert not any(entry.startswith("bowline_scratch") for entry in databases(snapshots.world.new))


def test_a_snapshot_of_an_earlier_version_is_restored_by_its_dump_alone(snapshots):
    """It kept roles as SQL. It is looked at and kept as before; nothing of that SQL is run, and the remedy works."""
    name = snapshots.ok("present")["snapshot"]["name"]
    folder = snapshots.directory / name
    (folder / f"{name}.accounts.json").rename(folder / f"{name}.globals.sql")
    (folder / f"{name}.globals.sql").write_text("CREATE ROLE intruder SUPERUSER;\n")
    (folder / f"{name}.manifest.json").write_text(json.dumps({**read_manifest(snapshots, name), "format": 1}))
    sums = (folder / f"{name}.sha256").read_text().replace(f"{name}.accounts.json", f"{name}.globals.sql")
    (folder / f"{name}.sha256").write_text(sums)
    resum(folder)
    assert snapshots.ok("present")["changed"] is False
    for state in ("tested", "restored"):
        failure = snapshots.failed(state, "snapshot_format")
    assert f"file: {folder / name}.dump" in failure["remedy"]
    snapshots.world.new.rows("CREATE ROLE hub; CREATE ROLE readers", dbname="postgres")
    assert snapshots.ok("restored", file=f"{folder / name}.dump", fenced=False)["changed"]
    assert snapshots.world.new.value("SELECT count(*) FROM events") == 3000
    assert snapshots.world.new.value("SELECT to_regrole('intruder')") is None


# --- interrupted, full, in the way ------------------------------------------------------------------------------------------------


def until(condition, what: str, seconds: float = 30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def dumping(cluster) -> set[int]:
    """Backends of pg_dump that wait for a lock."""
    waiting = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'bowline hub-1-%' AND wait_event_type = 'Lock'"
    return {row["pid"] for row in cluster.rows(waiting, dbname="postgres")}


def test_a_killed_run_leaves_a_partial_that_the_next_one_removes(snapshots):
    legacy = snapshots.world.legacy
    with legacy.connect(autocommit=False) as blocker:
        blocker.execute("LOCK TABLE balance")
        process = snapshots.spawn("present")
        until(lambda: dumping(legacy), "pg_dump to wait")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        left = snapshots.files()
        assert left and all(".partial" in entry for entry in left)
        # The orphan of the killed run still waits, and its files are its owner's alone.
        orphan = dumping(legacy)
        assert orphan and all(path.stat().st_mode & 0o077 == 0 for path in snapshots.directory.rglob("*"))
        # A snapshot is named by its second, and a quick machine would take the same name again.
        until(lambda: time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) not in left[0], "the next second")
        second = snapshots.spawn("present")
        until(lambda: dumping(legacy) and not dumping(legacy) & orphan, "the orphan to end and a new pg_dump to wait")
        assert not (snapshots.directory / left[0]).exists()
        blocker.rollback()
    out, err = second.communicate(timeout=60)
    outcome = json.loads(out)
    assert [step["action"] for step in outcome["plan"]] == ["sweep", "dump"], err
    assert not any(".partial" in entry for entry in snapshots.files())
    (snapshots.directory / left[0]).mkdir()
    swept = snapshots.ok("present")
    assert [step["action"] for step in swept["plan"]] == ["sweep"]
    assert not any(".partial" in entry for entry in snapshots.files())


def test_two_runs_do_not_write_at_once(snapshots):
    legacy = snapshots.world.legacy
    with legacy.connect(autocommit=False) as blocker:
        blocker.execute("LOCK TABLE balance")
        first = snapshots.spawn("present")
        until(lambda: dumping(legacy), "pg_dump to wait")
        second = snapshots.spawn("present")
        time.sleep(2)
        assert len(dumping(legacy)) == 1
        blocker.rollback()
    assert all("failure" not in json.loads(process.communicate(timeout=60)[0]) for process in (first, second))
    assert not any(".partial" in entry for entry in snapshots.files())


def test_the_scratch_database_of_a_killed_test_is_dropped_by_the_next(snapshots):
    legacy, new = snapshots.world.clusters
    legacy.rows("CREATE MATERIALIZED VIEW slow AS SELECT pg_sleep(4)::text")
    snapshots.ok("present")
    process = snapshots.spawn("tested")
    until(lambda: any(entry.startswith("bowline_scratch") for entry in databases(new)), "the scratch database")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert any(entry.startswith("bowline_scratch") for entry in databases(new))
    assert snapshots.ok("tested")["changed"]
    assert not any(entry.startswith("bowline_scratch") for entry in databases(new))


@pytest.fixture
def small(tmp_path):
    """A file system of its own, of the size that is asked for."""
    mounted = []

    def mount(size: str) -> Path:
        path = tmp_path / "small"
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(path)], check=True)
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_too_little_room_is_foreseen(snapshots, small):
    snapshots.directory = small("2m") / "snapshots"
    assert "disk_space" in [finding["code"] for finding in snapshots.ok("preflight")["findings"]]
    for check in (True, False):
        failure = snapshots.failed("present", "disk_space", check_mode=check)
        assert failure["details"]["free_bytes"] <= 2 << 20 < failure["details"]["needed_bytes"]
    assert snapshots.files() == []
    snapshots.directory = snapshots.home / "larger"
    assert snapshots.ok("present")["changed"]


def test_a_disk_that_fills_up_leaves_nothing(snapshots, small):
    legacy = snapshots.world.legacy
    home = small("64m")
    snapshots.directory = home / "snapshots"
    with legacy.connect(autocommit=False) as blocker:
        blocker.execute("LOCK TABLE balance")
        process = snapshots.spawn("present")
        until(lambda: dumping(legacy), "pg_dump to wait")
        with (home / "filler").open("wb") as filler:
            try:
                while True:
                    filler.write(b"x" * 65536)
            except OSError:
                pass
        blocker.rollback()
    outcome = json.loads(process.communicate(timeout=60)[0])
    assert outcome["failure"]["code"] == "disk_space", outcome
    assert snapshots.files() == []
    (home / "filler").unlink()
    assert snapshots.ok("present")["changed"]


def test_a_dump_that_fails_leaves_nothing(snapshots, tmp_path):
    wrapped = wrapper(snapshots, tmp_path, "pg_dump", "echo broken >&2; exit 1")
    source = snapshots.server(snapshots.world.legacy, dbname="hub", bindir=str(wrapped))
    assert "broken" in snapshots.failed("present", "dump_failed", source=source)["message"]
    assert snapshots.files() == []
    assert snapshots.ok("present")["changed"]


def test_a_schema_that_cannot_be_dumped_is_foreseen(snapshots, tmp_path):
    wrapped = wrapper(snapshots, tmp_path, "pg_dump", 'case "$*" in *--schema-only*) echo broken >&2; exit 1;; esac')
    source = snapshots.server(snapshots.world.legacy, dbname="hub", bindir=str(wrapped))
    told = [finding for finding in snapshots.ok("preflight", source=source)["findings"] if finding["code"] == "dump_failed"]
    assert len(told) == 1 and "broken" in told[0]["message"]
    assert "dump_failed" not in [finding["code"] for finding in snapshots.ok("preflight")["findings"]]
    assert snapshots.files() == []


def wrapper(snapshots, home: Path, name: str, instead: str) -> Path:
    """A folder of PostgreSQL's programs in which ``name`` does something else when it is asked for more than its version."""
    real = Path(snapshots.world.params("new")["new"]["bindir"])
    folder = home / f"wrapped-{name}"
    folder.mkdir()
    for program in ("pg_dump", "pg_restore"):
        (folder / program).symlink_to(real / program)
    (folder / name).unlink()
    script = f'#!/bin/sh\ncase "$*" in *--version*|*--dbname=none*) exec {real / name} "$@";; esac\n{instead}\nexec {real / name} "$@"\n'
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)
    return folder


def test_no_secret_in_any_argument_and_every_file_is_private(snapshots, tmp_path):
    wrapped = wrapper(snapshots, tmp_path, "pg_dump", f'echo "$*" >> {tmp_path}/argv')
    source = snapshots.server(snapshots.world.legacy, dbname="hub", bindir=str(wrapped), password="canary-super-5e7")
    source.pop("passfile")
    name = snapshots.ok("present", source=source)["snapshot"]["name"]
    said = (tmp_path / "argv").read_text()
    assert "--snapshot=" in said and "canary" not in said
    folder = snapshots.directory / name
    assert [path.stat().st_mode & 0o777 for path in (snapshots.directory, folder)] == [0o700, 0o700]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert subprocess.run(["sha256sum", "--check", "--quiet", f"{name}.sha256"], cwd=folder, check=False).returncode == 0


# --- removing ---------------------------------------------------------------------------------------------------------------------


def aged(snapshots, days: float) -> str:
    """The newest snapshot, made older by name."""
    old = next(path for path in snapshots.directory.iterdir())
    name = f"{SUBJECT}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(time.time() - days * DAY))}-before"
    new = old.rename(old.with_name(name))
    for path in list(new.iterdir()):
        path.rename(path.with_name(path.name.replace(old.name, name)))
    sums = new / f"{name}.sha256"
    sums.write_text(sums.read_text().replace(old.name, name))
    return name


def test_retention_and_the_only_good_copy(snapshots, tmp_path):
    snapshots.ok("present")
    name = aged(snapshots, 89)
    assert "kept for 90.0" in snapshots.failed("absent", "retained", name=name)["message"]
    snapshots.failed("absent", "only_copy", name=name, retention=30 * DAY)
    here = snapshots.ok("present", name=name)["snapshot"]
    snapshots.failed("absent", "only_copy", name=name, retention=30 * DAY, elsewhere=[here])
    other = Snapshots(snapshots.world, tmp_path)
    other.directory = tmp_path / "other"
    other.directory.mkdir(mode=0o700)
    subprocess.run(["cp", "-a", str(snapshots.directory / name), str(other.directory / f"{name}.partial")], check=True)
    foreseen = other.ok("present", name=name, check_mode=True)
    copy = other.ok("present", name=name)
    assert [step["action"] for step in copy["plan"]] == ["adopt"]
    assert (foreseen["plan"], foreseen["diff"]) == (copy["plan"], copy["diff"])
    assert other.ok("present", name=name)["changed"] is False
    stale = {**copy["snapshot"], "checked_at": time.time() - 7200}
    snapshots.failed("absent", "only_copy", name=name, retention=30 * DAY, elsewhere=[stale])
    damaged = {**copy["snapshot"], "sums": {**copy["snapshot"]["sums"], f"{name}.dump": "0"}}
    snapshots.failed("absent", "only_copy", name=name, retention=30 * DAY, elsewhere=[damaged])
    removal = {"name": name, "retention": 30 * DAY, "elsewhere": [copy["snapshot"]]}
    assert snapshots.ok("absent", check_mode=True, **removal)["changed"] and snapshots.files()
    assert snapshots.ok("absent", **removal)["changed"] and snapshots.files() == []
    assert snapshots.ok("absent", **removal)["changed"] is False


def test_a_damaged_copy_may_go_after_its_retention(snapshots):
    snapshots.ok("present")
    name = aged(snapshots, 91)
    damage(snapshots.directory / name / f"{name}.dump")
    assert snapshots.ok("absent", name=name)["changed"] and snapshots.files() == []


def test_a_copy_that_arrived_in_part_is_not_put_in_place(snapshots, tmp_path):
    name = snapshots.ok("present")["snapshot"]["name"]
    folder = snapshots.directory / name
    folder.rename(folder.with_name(f"{name}.partial"))
    damage(snapshots.directory / f"{name}.partial" / f"{name}.dump")
    snapshots.failed("present", "checksum", name=name)
    assert not folder.exists()


# --- bad input --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "more", "code", "said"), [
    ("present", {"subject": "cutover/hub"}, "invalid_value", "subject: 'cutover/hub'"),
    ("present", {"directory": "relative"}, "invalid_value", "directory: relative is not an absolute path"),
    ("present", {"directory": "/nowhere/at/all"}, "invalid_value", "directory: /nowhere/at does not exist"),
    ("present", {"directory": "/tmp"}, "unsafe_path", "directory: /tmp: lets others write"),
    ("present", {"retention": 1000.0}, "invalid_value", "retention: 1000 s is below the floor"),
    ("present", {"max_age": 0.0}, "invalid_value", "max_age: 0 is not above 0"),
    ("present", {"kind": "switch"}, "invalid_value", "source: a snapshot of kind switch is taken by pg_cutover"),
    ("present", {"kind": "switch", "source": None}, "evidence_missing", "option snapshot"),
    ("present", {"source": None}, "evidence_missing", "does not exist here"),
    ("present", {"name": "../../etc"}, "invalid_value", "name: '../../etc' is no snapshot"),
    ("present", {"source": {"hots": "x"}}, "unknown_key", "Did you mean host?"),
    ("tested", {}, "evidence_missing", "has no snapshot of hub-1, kind before"),
    ("restored", {"file": "/etc/hostname"}, "invalid_value", "file: /etc/hostname is no archive of pg_dump"),
    ("absent", {}, "invalid_value", "name: missing"),
])
def test_bad_input_is_named_before_anything_is_done(clusters, tmp_path, state, more, code, said):
    failure = Snapshots(clusters, tmp_path).failed(state, code, **more)
    assert said in failure["message"] + failure["remedy"]
    assert failure["remedy"]
    assert not (tmp_path / "snapshots").exists()


def test_what_bad_input_asks_for_is_taken(snapshots, tmp_path):
    """Each remedy, done: no failure of its kind is left."""
    assert "state present" in snapshots.failed("tested", "evidence_missing")["remedy"]
    source = snapshots.server(snapshots.world.legacy, dbname="hub")
    assert "Correct the keys" in snapshots.failed("present", "unknown_key", source={**source, "hots": "x"})["remedy"]
    assert "Correct the values" in snapshots.failed("present", "invalid_value", max_age=0.0)["remedy"]
    name = snapshots.ok("present", source=source, max_age=DAY)["snapshot"]["name"]
    assert snapshots.failed("tested", "invalid_value", target=None)["remedy"] == "Give target."
    with snapshots.world.new.connect("postgres") as other:
        # As another run that restores there.
        other.execute("SELECT pg_advisory_lock(%s)", (fence.key("hub", "snapshot"),))
        assert "Wait for it" in snapshots.failed("restored", "locked")["remedy"]
    old = tmp_path / "old"
    old.mkdir()
    for program in ("pg_dump", "pg_restore"):
        (old / program).write_text(f"#!/bin/sh\necho '{program} (PostgreSQL) 9.6.1'\n")
        (old / program).chmod(0o755)
    remedy = snapshots.failed("present", "tool_missing", source={**source, "bindir": str(old)}, max_age=0.001)["remedy"]
    assert "source.bindir" in remedy and snapshots.ok("present", source=source, max_age=0.001)["changed"]
    for directory, word in (("relative", "absolute path"), (str(tmp_path / "a" / "b"), f"Make {tmp_path / 'a'} first")):
        assert word in snapshots.failed("present", "invalid_value", directory=directory)["remedy"]
    (tmp_path / "a").mkdir()
    assert snapshots.ok("present", directory=str(tmp_path / "a" / "b"), check_mode=True)["changed"]
    assert snapshots.ok("tested")["changed"]
    assert "Name it" in snapshots.failed("absent", "invalid_value")["remedy"]
    snapshots.failed("absent", "retained", name=name)
    assert "kind before" in snapshots.failed("present", "evidence_missing", kind="switch", source=None)["remedy"]
    assert "archive of pg_dump" in snapshots.failed("restored", "invalid_value", file=str(tmp_path / "none.dump"))["remedy"]
    path, bindir = tmp_path / "dump", Path(source["bindir"])
    reach = ["--host=127.0.0.1", f"--port={snapshots.world.legacy.port}", "--username=postgres"]
    for form in ("plain", "custom"):
        words = [*reach, "--no-owner", "--no-acl", f"--format={form}", f"--file={path}", "hub"]
        subprocess.run([str(bindir / "pg_dump"), *words], check=True, env={**os.environ, "PGPASSFILE": str(snapshots.world.passfile)})
        if form == "plain":
            assert "--format=custom" in snapshots.failed("restored", "invalid_value", file=str(path))["remedy"]
    snapshots.world.new.rows("CREATE ROLE hub; CREATE ROLE readers", dbname="postgres")
    assert snapshots.ok("restored", file=str(path))["changed"]


def test_servers_that_do_not_answer_are_named(clusters, tmp_path):
    snapshots = Snapshots(clusters, tmp_path)
    nowhere = snapshots.server(clusters.legacy, dbname="hub", port=1)
    assert "source.port" in snapshots.failed("present", "unreachable", source=nowhere)["remedy"]


# --- restored for good ------------------------------------------------------------------------------------------------------------


def test_a_new_server_from_a_snapshot_alone(snapshots):
    legacy, new = snapshots.world.clusters
    legacy.rows("ALTER DATABASE hub SET work_mem = '7MB'; REVOKE ALL ON DATABASE hub FROM PUBLIC; GRANT CONNECT ON DATABASE hub TO readers")
    legacy.rows("ALTER ROLE hub IN DATABASE hub SET application_name = 'o''clock'; ALTER ROLE readers VALID UNTIL 'infinity'", dbname="postgres")
    legacy.rows("ALTER DATABASE hub CONNECTION LIMIT 77; COMMENT ON DATABASE hub IS 'it''s hub'")
    snapshots.ok("present")
    foreseen = snapshots.ok("restored", check_mode=True)
    assert "hub" not in databases(new)
    done = snapshots.ok("restored")
    assert (foreseen["plan"], foreseen["diff"]) == (done["plan"], done["diff"])
    assert not new.takes_writes()
    assert snapshots.ok("restored")["changed"] is False
    opened = snapshots.ok("restored", fenced=False)
    assert [step["action"] for step in opened["plan"]] == ["open"]
    assert new.takes_writes()
    assert snapshots.ok("restored", fenced=False)["changed"] is False
    for text in ("SELECT rolname, rolpassword, rolcanlogin FROM pg_authid WHERE rolname IN ('hub', 'readers') ORDER BY 1",
                 "SELECT roleid::regrole::text AS a, member::regrole::text AS b FROM pg_auth_members WHERE member = 'hub'::regrole",
                 "SELECT ARRAY(SELECT a::text FROM unnest(datacl) a ORDER BY 1) AS acl, pg_get_userbyid(datdba) AS owner, datconnlimit,"
                 " shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = 'hub'",
                 "SELECT count(*), sum(hashtext(l::text)) FROM ledger l", "SELECT tableowner, tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 2",
                 "SELECT last_value, is_called FROM counters.ticket"):
        assert legacy.rows(text) == new.rows(text), text
    with new.connect(user="hub", password="canary-app-3c2", options="") as client:
        shown = client.execute("SELECT current_setting('work_mem') AS m, current_setting('application_name') AS a").fetchone()
        assert (shown["m"], shown["a"]) == ("7MB", "o'clock")
    # Every statement is logged by these servers, so a verifier that passed through one of them would stand there.
    assert "SCRAM-SHA-256$" not in new.log.read_text(errors="replace")
    new.rows("INSERT INTO balance VALUES ('later', 1)")
    assert snapshots.ok("restored", fenced=False)["changed"] is False
    assert new.value("SELECT count(*) FROM balance WHERE name = 'later'") == 1


def test_a_database_with_something_else_is_not_touched(snapshots):
    new = snapshots.world.new
    snapshots.ok("present")
    new.rows("CREATE DATABASE hub", dbname="postgres")
    new.rows("CREATE TABLE theirs (a int)")
    failure = snapshots.failed("restored", "conflict")
    assert new.value("SELECT count(*) FROM theirs") == 0 and "drop that database" in failure["remedy"]
    new.rows("DROP DATABASE hub", dbname="postgres")
    assert snapshots.ok("restored")["changed"]


def test_a_killed_restore_is_made_anew(snapshots):
    legacy, new = snapshots.world.clusters
    legacy.rows("CREATE MATERIALIZED VIEW slow AS SELECT pg_sleep(3)::text")
    snapshots.ok("present")
    process = snapshots.spawn("restored")
    until(lambda: new.rows("SELECT 1 FROM pg_stat_activity WHERE datname = 'hub' AND query LIKE '%slow%'", dbname="postgres"), "the restore to run")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not new.takes_writes()
    assert snapshots.ok("restored")["changed"]
    assert new.value("SELECT count(*) FROM events") == 3000


def test_a_foreign_archive_is_restored_and_said_to_be_unproven(snapshots, tmp_path):
    legacy, new = snapshots.world.clusters
    path = tmp_path / "final.dump"
    bindir = Path(snapshots.world.params("new")["new"]["bindir"])
    env = {**os.environ, "PGPASSFILE": str(snapshots.world.passfile)}
    words = ["--host=127.0.0.1", f"--port={legacy.port}", "--username=postgres", "--format=custom", f"--file={path}", "hub"]
    subprocess.run([str(bindir / "pg_dump"), *words], check=True, env=env)
    failure = snapshots.failed("restored", "restore_failed", file=str(path))
    assert 'role "hub" does not exist' in failure["message"] and not new.takes_writes()
    new.rows("CREATE ROLE hub LOGIN PASSWORD 'canary-app-3c2'; CREATE ROLE readers", dbname="postgres")
    done = snapshots.ok("restored", file=str(path), fenced=False)
    assert done["snapshot"] is None and "no manifest" in done["warnings"][0]
    assert new.takes_writes() and new.value("SELECT count(*) FROM events") == 3000
    assert snapshots.ok("restored", file=str(path), fenced=False)["changed"] is False


# --- the dump of a switch ---------------------------------------------------------------------------------------------------------


def test_a_switch_brings_the_dump_of_exactly_its_rows(snapshots, writers, tmp_path):
    world = snapshots.world
    order = {"directory": str(snapshots.directory), "subject": SUBJECT, "compress": "auto"}
    world.ok("armed")
    with writers(world) as busy:
        done = world.ok("new", snapshot=order)
        time.sleep(0.5)
    busy.assert_lossless()
    taken = done["snapshot"]
    assert taken["frozen_at_switch"] and taken["kind"] == "switch" and taken["rows"] == done["verify"]["rows"]
    assert world.new.value("SELECT count(*) FROM ledger") > table(read_manifest(snapshots, taken["name"]), "ledger")["rows"]
    manifest = read_manifest(snapshots, taken["name"])
    assert all(entry["low"] == entry["high"] for entry in manifest["sequences"])
    # Clients wrote again before the dump began.
    began = time.mktime(time.strptime(manifest["taken_at"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    assert done["hold"]["until"] < began + 1
    assert [step["name"] for step in done["steps"]][-1] == "resume"
    again = world.ok("new", snapshot=order)
    assert (again["changed"], again["snapshot"]) == (False, None)
    assert snapshots.ok("present", kind="switch", source=None)["changed"] is False
    tested = snapshots.ok("tested", kind="switch")
    assert tested["snapshot"]["tested"]["roles_missing"] == []
    back = world.ok("legacy", snapshot={**order, "subject": "hub-back"})
    assert back["snapshot"]["name"].startswith("hub-back-")


def test_what_would_stop_the_dump_is_found_before_the_switch(snapshots, small):
    world = snapshots.world
    world.ok("armed")
    home = small("2m")
    for check in (True, False):
        outcome = world.run("new", check_mode=check, snapshot={"directory": str(home / "s"), "subject": SUBJECT})
        assert outcome["failure"]["code"] == "disk_space"
    assert world.open_sides() == ["legacy"]
    outcome = world.run("new", snapshot={"directory": "/tmp", "subjct": SUBJECT})
    assert "Did you mean subject?" in outcome["failure"]["message"]
    outcome = world.run("new", snapshot={"directory": str(home), "subject": "a/b"})
    assert "snapshot.subject" in outcome["failure"]["message"]


def test_a_dump_that_fails_after_the_switch_is_told_and_the_switch_stays(snapshots, tmp_path):
    world = snapshots.world
    world.ok("armed")
    wrapped = wrapper(snapshots, tmp_path, "pg_dump", "echo no luck >&2; exit 1")
    legacy = {**world.params("new")["legacy"], "bindir": str(wrapped)}
    done = world.ok("new", legacy=legacy, verify="none", snapshot={"directory": str(snapshots.directory), "subject": SUBJECT})
    assert done["serving"] == "new" and done["snapshot"]["failure"]["code"] == "dump_failed"
    assert any("no luck" in warning and "The switch stays" in warning for warning in done["warnings"])
    assert world.open_sides() == ["new"] and snapshots.files() == []


# --- the role ---------------------------------------------------------------------------------------------------------------------

PLAY = """\
---
- name: Keep a proven dump on both hosts
  hosts: localhost
  gather_facts: false
  vars:
    snapshot_subject: hub-1
    snapshot_directory: {directory}
    snapshot_hosts: {{legacy: hub-old, new: hub-new}}
    snapshot_source: {source}
    snapshot_target: {target}
  tasks:
    - name: Take and copy
      ansible.builtin.include_role: {{name: bowline.fleet.snapshot}}
    - name: Keep
      ansible.builtin.copy:
        content: "{{{{ snapshot_step | to_json }}}}"
        dest: {result}
        mode: "0600"
      check_mode: false
"""


@pytest.fixture
def other_host(tmp_path):
    """An interpreter whose programs see another file system at tmp_path/backups, as those of another host would."""
    backups = tmp_path / "backups"
    backups.mkdir()
    mount = f"mount -t tmpfs -o mode=0755 tmpfs {backups} && echo ready && exec sleep 600"
    holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", mount], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "ready\n"
        interpreter = tmp_path / "python-of-the-other-host"
        interpreter.write_text(f'#!/bin/sh\nexec nsenter --mount=/proc/{holder.pid}/ns/mnt -- {sys.executable} "$@"\n')
        interpreter.chmod(0o755)
        yield interpreter
    finally:
        holder.kill()
        holder.wait()


def test_the_role_keeps_it_on_both_hosts(snapshots, other_host, tmp_path):
    source = snapshots.server(snapshots.world.legacy, dbname="hub", password="canary-super-5e7")
    source.pop("passfile")
    directory, result = tmp_path / "backups" / "snapshots", tmp_path / "result.json"
    play, inventory = tmp_path / "play.yml", tmp_path / "inventory"
    target = snapshots.server(snapshots.world.new)
    play.write_text(PLAY.format(directory=directory, source=json.dumps(source), target=json.dumps(target), result=result))
    inventory.write_text(f"[all:vars]\nansible_connection=local\n[all]\nlocalhost ansible_python_interpreter={sys.executable}\n"
                         f"hub-new ansible_python_interpreter={sys.executable}\nhub-old ansible_python_interpreter={other_host}\n")

    def run(*words: str) -> dict:
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), "--diff", *words, str(play)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "ANSIBLE_NOCOLOR": "1"})
        assert done.returncode == 0, done.stdout + done.stderr
        assert "canary" not in done.stdout and "SCRAM" not in done.stdout
        return {**json.loads(result.read_text()), "out": done.stdout}

    assert run("--check")["changed"] is True and not directory.exists()
    first = run()
    name = first["evidence"]["snapshot"]["name"]
    assert first["changed"] and first["evidence"]["tested"]["rows"] == first["evidence"]["snapshot"]["rows"]
    [copy] = first["evidence"]["copies"]
    assert (copy["name"], copy["sums"]) == (name, first["evidence"]["snapshot"]["sums"])
    seen = subprocess.run([str(other_host), "-c", f"import os; print(sorted(os.listdir('{directory}')))"], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == str([name])
    again = run()
    assert (again["changed"], again["evidence"]["snapshot"]["name"]) == (False, name)
    # The task of this play that keeps the result is the one that changes something.
    assert re.search(r"^localhost .* changed=(\d+)", again["out"], flags=re.M).group(1) == "1"
