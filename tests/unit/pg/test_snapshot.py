# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots without a server: what is decided, what counts as equal, whose folder is taken, how names and files are read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg.options import subject_problem
from ansible_collections.bowline.fleet.plugins.module_utils._pg.snapshot import files as snapshot_files, plan as snapshot_plan
from ansible_collections.bowline.fleet.plugins.module_utils._pg.snapshot.content import differences
from ansible_collections.bowline.fleet.plugins.module_utils._pg.snapshot.dump import need

DAY = snapshot_plan.DAY


def actions(steps):
    return [step.action for step in steps]


@pytest.mark.parametrize(("age", "partials", "able", "done"), [
    pytest.param(None, [], True, ["dump"], id="none"),
    pytest.param(10, [], True, [], id="recent"),
    pytest.param(101, [], True, ["dump"], id="old"),
    pytest.param(101, [], False, [], id="old and no server"),
    pytest.param(10, ["a", "b"], True, ["sweep", "sweep"], id="left over"),
    pytest.param(None, ["a"], True, ["sweep", "dump"], id="interrupted"),
])
def test_present(age, partials, able, done):
    assert actions(snapshot_plan.present(age, 100, partials, able)) == done


def test_a_snapshot_that_must_be_there_is_missed():
    with pytest.raises(FleetError) as failure:
        snapshot_plan.present(None, 100, [], False)
    assert failure.value.code == "evidence_missing"


@pytest.mark.parametrize(("age", "good", "others", "code"), [
    pytest.param(91 * DAY, True, ["b:/x"], "", id="old, with a copy"),
    pytest.param(91 * DAY, False, [], "", id="old and damaged"),
    pytest.param(91 * DAY, True, [], "only_copy", id="only copy"),
    pytest.param(89 * DAY, True, ["b:/x"], "retained", id="too young"),
    pytest.param(89 * DAY, False, [], "retained", id="too young and damaged"),
])
def test_absent(age, good, others, code):
    if not code:
        assert actions(snapshot_plan.absent("n", age, 90 * DAY, good, others)) == ["remove"]
        return
    with pytest.raises(FleetError) as failure:
        snapshot_plan.absent("n", age, 90 * DAY, good, others)
    assert failure.value.code == code and failure.value.remedy


def test_absent_of_what_is_gone_does_nothing():
    assert snapshot_plan.absent(None, 0, 90 * DAY, False, []) == ()


def test_a_copy_counts_elsewhere_with_the_same_files_and_lately_read():
    copy = {"host": "b", "directory": "/x", "sums": {"f": "1"}, "checked_at": 100000.0}
    wrong = [{**copy, "host": "a"}, {**copy, "sums": {"f": "2"}}, {**copy, "checked_at": 96000.0}, {**copy, "checked_at": None}, {}]
    assert snapshot_plan.copies({"f": "1"}, ("a", "/x"), [copy, copy], 100200.0) == ["b:/x"]
    assert snapshot_plan.copies({"f": "1"}, ("a", "/x"), wrong, 100200.0) == []


@pytest.mark.parametrize(("exists", "empty", "settings", "fenced", "done"), [
    pytest.param(False, False, {}, True, ["restore"], id="no database"),
    pytest.param(False, False, {}, False, ["restore", "open"], id="no database, open"),
    pytest.param(True, True, {}, True, ["restore"], id="empty"),
    pytest.param(True, False, {"pgcut.stage": "restoring"}, True, ["restore"], id="interrupted"),
    pytest.param(True, False, {"pgcut.restored": "w", "default_transaction_read_only": "on"}, True, [], id="done"),
    pytest.param(True, False, {"pgcut.restored": "w", "default_transaction_read_only": "on"}, False, ["open"], id="done, to open"),
    pytest.param(True, False, {"pgcut.restored": "w"}, True, [], id="open already"),
])
def test_restored(exists, empty, settings, fenced, done):
    assert actions(snapshot_plan.restored("w", exists, empty, settings, fenced)) == done


@pytest.mark.parametrize("settings", [{}, {"pgcut.restored": "another"}])
def test_a_database_with_something_else_is_refused(settings):
    with pytest.raises(FleetError) as failure:
        snapshot_plan.restored("w", True, False, settings, True)
    assert failure.value.code == "conflict"


# --- comparison -------------------------------------------------------------------------------------------------------------------


def content(**more):
    return {
        "tables": [{"schema": "s", "name": "a", "extension": None, "rows": 1, "hash": "5"},
                   {"schema": "s", "name": "e", "extension": "x", "rows": 1, "hash": "6"}],
        "sequences": [{"schema": "s", "name": "q", "increment": 2, "low": [3, True], "high": [9, True]}],
        "large_objects": {"count": 0, "sha256": "0"},
        "extensions": {"x": "1.0"},
        **more,
    }


def sequence(low, high, increment=2):
    return [{"schema": "s", "name": "q", "increment": increment, "low": low, "high": high}]


@pytest.mark.parametrize(("wanted", "seen", "objects"), [
    pytest.param({}, {}, [], id="equal but for a moving sequence"),
    pytest.param({}, {"tables": content()["tables"][:1]}, ["table s.e"], id="missing table"),
    pytest.param({"tables": content()["tables"][:1]}, {}, ["table s.e"], id="extra table"),
    pytest.param({}, {"tables": [{**content()["tables"][0], "hash": "7"}, content()["tables"][1]]}, ["table s.a"], id="changed row"),
    pytest.param({}, {"extensions": {"x": "1.1"}, "tables": [content()["tables"][0], {**content()["tables"][1], "rows": 2}]}, [],
                 id="rows of another version of an extension"),
    pytest.param({}, {"sequences": sequence([2, True], [2, True])}, ["sequence s.q"], id="sequence too low"),
    pytest.param({}, {"sequences": sequence([9, True], [9, True])}, [], id="sequence at the end"),
    pytest.param({}, {"sequences": sequence([10, True], [10, True])}, ["sequence s.q"], id="sequence too high"),
    pytest.param({"sequences": sequence([1, False], [1, False])}, {"sequences": sequence([1, True], [1, True])}, ["sequence s.q"], id="used"),
    pytest.param({"sequences": sequence([-3, True], [-9, True], -3)}, {"sequences": sequence([-6, True], [-6, True], -3)}, [], id="downwards"),
    pytest.param({"sequences": sequence([-3, True], [-9, True], -3)}, {"sequences": sequence([-12, True], [-12, True], -3)}, ["sequence s.q"],
                 id="downwards too far"),
    pytest.param({"sequences": sequence([9, True], [1, True])}, {"sequences": sequence([5, True], [5, True])}, [], id="wrapped around"),
    pytest.param({}, {"sequences": []}, ["sequence s.q"], id="missing sequence"),
    pytest.param({}, {"large_objects": {"count": 0, "sha256": "1"}}, ["large objects"], id="large objects"),
])
def test_differences(wanted, seen, objects):
    assert [entry["object"] for entry in differences(content(**wanted), content(**seen))] == objects


# --- files ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("subject", "fits"), [
    ("hub-1", True), ("a" * 30, True), ("a" * 31, False), ("", False), ("a/b", False), (".hidden", False), ("größe", False), ("a b", False),
])
def test_subjects(subject, fits):
    assert (subject_problem(subject) == "") == fits


def test_only_our_names_are_snapshots(tmp_path):
    folder = snapshot_files.Folder(tmp_path)
    ours = ["hub-20260101T000000Z-before", "hub-20260102T000000Z-before", "hub-20260101T000000Z-switch", "hub-b-20260101T000000Z-before"]
    for name in [*ours, "hub-20261301T000000Z-before", "hub-20260103T000000Z-before.partial", "hub-20260103T000000Z-later", "else"]:
        (tmp_path / name).mkdir()
    (tmp_path / "hub-20260104T000000Z-before").touch()
    assert [kept.name for kept in folder.kept("hub", "before")] == ["hub-20260102T000000Z-before", "hub-20260101T000000Z-before"]
    assert [kept.name for kept in folder.kept("hub-b", "before")] == ["hub-b-20260101T000000Z-before"]
    assert [path.name for path in folder.partials("hub")] == ["hub-20260103T000000Z-before.partial"]
    assert folder.partials("hu") == []


def snapshot(tmp_path: Path, form: int = 2) -> snapshot_files.Kept:
    tmp_path.chmod(0o700)
    folder = snapshot_files.Folder(tmp_path)
    partial = folder.begin("hub", "before")
    name = partial.name.replace(".partial", "")
    for ending in ("dump", "globals.sql" if form == 1 else "accounts.json"):
        (partial / f"{name}.{ending}").write_text(ending)
    (partial / f"{name}.manifest.json").write_text(json.dumps({"format": form}))
    snapshot_files.write_sums(partial)
    return folder.place(partial)


def test_a_test_record_counts_for_exactly_these_files(tmp_path):
    kept = snapshot(tmp_path)
    assert snapshot_files.tested(kept) is None
    snapshot_files.write_tested(kept, {"rows": 1})
    assert snapshot_files.tested(kept)["rows"] == 1
    snapshot_files.check(kept)
    kept.file("dump").write_text("other")
    sums = kept.file("sha256")
    sums.write_text(sums.read_text().replace(kept.sums()[f"{kept.name}.dump"], snapshot_files.sha256(kept.file("dump"))))
    snapshot_files.check(kept)
    assert snapshot_files.tested(kept) is None


@pytest.mark.parametrize("change", ["missing", "changed", "unlisted", "no sums", "foreign"])
def test_every_damage_is_named(tmp_path, change):
    kept = snapshot(tmp_path)
    sums, dump = kept.file("sha256"), kept.file("dump")
    if change == "missing":
        dump.unlink()
    elif change == "changed":
        dump.write_text("d")
    elif change == "unlisted":
        sums.write_text("".join(line + "\n" for line in sums.read_text().splitlines() if not line.endswith(".dump")))
    elif change == "no sums":
        sums.unlink()
    else:
        sums.write_text(sums.read_text() + "0  ../other\n")
    with pytest.raises(FleetError) as failure:
        snapshot_files.check(kept)
    assert failure.value.code == "checksum"
    assert {"no sums": ".sha256", "foreign": "../other"}.get(change, dump.name) in failure.value.message


def test_roles_that_are_kept_as_sql_are_not_run(tmp_path):
    """An earlier version's snapshot can be looked at, copied and removed; what it holds is restored by its dump alone."""
    kept = snapshot(tmp_path, 1)
    assert snapshot_files.check(kept) and snapshot_files.manifest_of(kept)["format"] == 1
    with pytest.raises(FleetError) as failure:
        snapshot_files.restorable(kept)
    assert failure.value.code == "snapshot_format"
    assert str(kept.file("globals.sql")) in failure.value.remedy and f"file: {kept.file('dump')}" in failure.value.remedy
    snapshot_files.restorable(snapshot(tmp_path))


@pytest.mark.parametrize("owner", ["folder", "parent", "parent's mode"])
def test_a_folder_that_others_could_exchange_is_refused(tmp_path, owner):
    parent = tmp_path / "parent"
    path = parent / "snapshots"
    path.mkdir(parents=True)
    path.chmod(0o700)
    folder = snapshot_files.Folder(path)
    folder.judge()
    if owner == "parent's mode":
        parent.chmod(0o777)
    else:
        os.chown(path if owner == "folder" else parent, 65534, 65534)
    with pytest.raises(FleetError) as failure:
        folder.judge()
    assert failure.value.code == "unsafe_path" and failure.value.details["at"] == str(path if owner == "folder" else parent)
    path.rmdir()
    if owner != "folder":
        with pytest.raises(FleetError):
            folder.judge()
    # The remedies.
    if owner == "parent's mode":
        parent.chmod(0o1777)
    else:
        os.chown(parent, os.geteuid(), -1)
    folder.judge()


def test_two_snapshots_of_one_second_have_two_names(tmp_path):
    folder = snapshot_files.Folder(tmp_path)
    assert len({folder.begin("hub", "before").name for _attempt in range(3)}) == 3


def test_room_is_judged_with_reserve():
    need(Path("/x"), 1200, 1000, 1.2, "a dump")
    with pytest.raises(FleetError) as failure:
        need(Path("/x"), 1199, 1000, 1.2, "a dump")
    assert (failure.value.code, failure.value.details["needed_bytes"]) == ("disk_space", 1200)
