# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders and files of a stack on a real file system: what is planned is done, a second run changes nothing, nothing half-written is seen."""

from __future__ import annotations

import base64
import grp
import os
import pwd

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._native import files, host_files

ME, US = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
OWN = {"owner": ME, "group": US}


def file(path, content, **more):
    return {"path": str(path), "content": content, "encoded": False, "mode": "0644", "replace": True, "secret": False, **OWN, **more}


def folder(path, mode="0755", **more):
    return {"path": str(path), "mode": mode, **OWN, **more}


def run(*entries, folders=(), check_mode=False):
    return files.run({"folders": list(folders), "files": list(entries)}, host_files.HostFiles(), check_mode)


def mode(path):
    return f"{path.stat().st_mode & 0o7777:04o}"


def test_check_foresees_what_the_run_does_and_writes_nothing(tmp_path):
    wanted = [file(tmp_path / "a" / "one", "text\n"), file(tmp_path / "a" / "two", base64.b64encode(b"\xff\x00").decode(), encoded=True, mode="0600")]
    foreseen = run(*wanted, folders=[folder(tmp_path / "a")], check_mode=True)
    assert list(tmp_path.iterdir()) == []
    done = run(*wanted, folders=[folder(tmp_path / "a")])
    assert (foreseen["plan"], foreseen["diff"], foreseen["changed_paths"]) == (done["plan"], done["diff"], done["changed_paths"])
    assert [step["action"] for step in done["plan"]] == ["make_folder", "write_file", "write_file"]
    assert ((tmp_path / "a" / "one").read_text(), (tmp_path / "a" / "two").read_bytes()) == ("text\n", b"\xff\x00")
    assert [mode(tmp_path / "a"), mode(tmp_path / "a" / "one"), mode(tmp_path / "a" / "two")] == ["0755", "0644", "0600"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["one", "two"]
    again = run(*wanted, folders=[folder(tmp_path / "a")])
    assert (again["changed"], again["changed_paths"], again["diff"]) == (False, [], {"before": "", "after": ""})


def test_parents_that_are_missing_get_the_same_rights(tmp_path):
    run(folders=[folder(tmp_path / "a" / "b" / "c", "0750")])
    assert [mode(tmp_path / "a"), mode(tmp_path / "a" / "b"), mode(tmp_path / "a" / "b" / "c")] == ["0750"] * 3


def test_only_what_differs_is_touched(tmp_path):
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    for path in (one, two, three):
        path.write_text("same\n")
        path.chmod(0o644)
    before = {path: path.stat().st_ino for path in (one, two, three)}
    done = run(file(one, "same\n"), file(two, "same\n", mode="u=rw,go="), file(three, "other\n"))
    assert [(step["action"], step["reason"]) for step in done["plan"]] == [
        ("give_file", f"{two} is {ME}:{US} 0644, {ME}:{US} u=rw,go= is wanted"), ("write_file", f"{three} has another content")]
    assert [path.stat().st_ino == before[path] for path in (one, two, three)] == [True, True, False]
    assert (mode(two), three.read_text(), run(file(two, "same\n", mode="u=rw,go="))["changed"]) == ("0600", "other\n", False)


def test_a_file_that_others_edit_later_is_left_as_it_is(tmp_path):
    path = tmp_path / "edited"
    assert run(file(path, "first", replace=False))["changed_paths"] == [str(path)]
    path.write_text("edited")
    path.chmod(0o600)
    assert run(file(path, "first", replace=False))["changed"] is False
    assert (path.read_text(), mode(path)) == ("edited", "0600")


def test_a_link_in_the_place_of_a_file_is_replaced_and_one_to_a_folder_is_that_folder(tmp_path):
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_text("theirs")
    link.symlink_to(victim)
    assert run(file(link, "ours"))["changed"] is True
    assert (victim.read_text(), link.read_text(), link.is_symlink()) == ("theirs", "ours", False)
    (tmp_path / "real").mkdir(mode=0o755)
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    assert run(folders=[folder(tmp_path / "alias")])["changed"] is False


def test_a_secret_and_what_is_no_text_are_in_no_diff(tmp_path):
    blob = base64.b64encode(b"\xff\xfe").decode()
    done = run(file(tmp_path / "key", "canary-5d1\n", secret=True), file(tmp_path / "blob", blob, encoded=True))
    assert "canary-5d1" not in str(done) and "(secret)" in done["diff"]["after"]
    assert "2 bytes, sha256 " in done["diff"]["after"]
    changed = run(file(tmp_path / "key", "canary-6e2\n", secret=True))
    assert "canary" not in str(changed) and changed["changed_paths"] == [str(tmp_path / "key")]


@pytest.mark.parametrize(("given", "code", "words"), [
    pytest.param({"owner": "nobody-at-all"}, "account_missing", "user nobody-at-all", id="owner"),
    pytest.param({"group": "nobody-at-all"}, "account_missing", "group nobody-at-all", id="group"),
    pytest.param({"mode": "rw"}, "invalid_value", "'rw' is no mode", id="mode"),
    pytest.param({"content": "?", "encoded": True}, "invalid_value", "no base64", id="base64"),
    pytest.param({"path": "relative"}, "invalid_value", "no absolute path", id="path"),
])
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, given, code, words):
    with pytest.raises(FleetError, match=words) as failure:
        run(file(tmp_path / "a", "first"), file(**{"path": tmp_path / "b", "content": "new", **given}))
    assert failure.value.code == code and failure.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_an_account_that_an_earlier_step_will_make_is_no_fault_of_the_check(tmp_path):
    assert run(file(tmp_path / "a", "x", owner="nobody-at-all"), check_mode=True)["changed"] is True


def test_something_else_in_a_place_is_not_overwritten(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_text("x")
    for given in ({"entries": [file(tmp_path / "a", "x")]}, {"folders": [folder(tmp_path / "b")]}):
        with pytest.raises(FleetError, match="shall be a") as failure:
            run(*given.get("entries", ()), folders=given.get("folders", ()))
        assert failure.value.code == "conflict"


def test_a_folder_that_is_missing_is_named_and_nothing_is_left_beside(tmp_path):
    with pytest.raises(FleetError, match="there is no folder") as failure:
        run(file(tmp_path / "none" / "a", "x"))
    assert failure.value.code == "file_missing"
    assert list(tmp_path.iterdir()) == []


def test_of_a_path_that_is_named_twice_the_last_word_counts(tmp_path):
    done = run(folders=[folder(tmp_path / "a"), folder(tmp_path / "a", "0700")])
    assert (len(done["plan"]), mode(tmp_path / "a")) == (1, "0700")
    assert run(folders=[folder(tmp_path / "a"), folder(tmp_path / "a", "0700")])["changed"] is False


def test_what_somebody_else_changes_meanwhile_is_no_success(tmp_path, monkeypatch):
    whole = host_files.HostFiles.write

    def write(client, wanted):
        whole(client, wanted)
        with open(wanted.path, "w", encoding="utf-8") as there:
            there.write("theirs")

    monkeypatch.setattr(host_files.HostFiles, "write", write)
    with pytest.raises(FleetError, match="somebody else changes it") as failure:
        run(file(tmp_path / "a", "ours"))
    assert failure.value.code == "conflict"


def test_a_file_is_complete_before_it_has_its_name(tmp_path, monkeypatch):
    """What a kill between writing and renaming leaves is the old file; a failure leaves no other one."""
    path = tmp_path / "a"
    path.write_text("old")

    def replace(source, target):
        assert (open(source, encoding="utf-8").read(), os.stat(source).st_mode & 0o777) == ("new", 0o600)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(host_files.os, "replace", replace)
    with pytest.raises(FleetError, match="No space left") as failure:
        run(file(path, "new", mode="0600"))
    assert (failure.value.code, path.read_text(), [each.name for each in tmp_path.iterdir()]) == ("no_space", "old", ["a"])
