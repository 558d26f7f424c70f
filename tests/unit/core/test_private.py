# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is accepted as a folder or file that nobody else can change, row by row; and locks that say who holds them."""

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess
import sys
import threading
import time
import types

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core import lock, private
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError

NOBODY = 65534


def foreign(path, monkeypatch) -> None:
    """``path`` and what lies in it become somebody else's; without root this process becomes somebody else instead."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: NOBODY)


@pytest.fixture
def base(tmp_path, monkeypatch):
    monkeypatch.delenv("SUDO_UID", raising=False)
    os.chmod(tmp_path, 0o755)
    return tmp_path.resolve()


def refused(call) -> FleetError:
    with pytest.raises(FleetError) as failure:
        call()
    assert failure.value.code == "unsafe_path", failure.value.message
    assert failure.value.remedy and failure.value.details["owner"]
    return failure.value


def test_a_missing_folder_is_made_with_its_parents(base):
    assert private.folder(str(base / "a" / "b" / "c")) == str(base / "a" / "b" / "c")
    assert [oct((base / name).stat().st_mode & 0o777) for name in ("a", "a/b", "a/b/c")] == ["0o755", "0o755", "0o700"]
    assert private.folder(str(base / "d"), make=False) == str(base / "d") and not (base / "d").exists()


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711, 0o770, 0o777, 0o1777])
def test_a_private_folder_gives_others_nothing(base, mode):
    (base / "f").mkdir()
    (base / "f").chmod(mode)
    failure = refused(lambda: private.folder(str(base / "f"), field="directory"))
    assert failure.message.startswith(f"directory: {base}/f: lets others") and f"{mode:04o}" in failure.message


@pytest.mark.parametrize(("mode", "good"), [(0o755, True), (0o700, True), (0o757, False), (0o777, False), (0o1777, False)])
def test_a_readable_folder_is_written_by_us_alone(base, mode, good):
    (base / "f").mkdir()
    (base / "f").chmod(mode)
    if good:
        assert private.folder(str(base / "f"), 0o755) == str(base / "f")
    else:
        refused(lambda: private.folder(str(base / "f"), 0o755))


def test_a_file_in_a_missing_folder_is_missing(base):
    """Not written to by a path that was not judged: somebody else may make the folder in this moment."""
    for call in (lambda: private.read(str(base / "none" / "f")), lambda: private.write(str(base / "none" / "f"), b"")):
        with pytest.raises(FileNotFoundError):
            call()


def test_a_folder_that_somebody_makes_after_the_judgement_is_not_written_to(base, monkeypatch):
    judged = private._folder

    def late(*words):
        answer = judged(*words)
        (base / "late").mkdir(exist_ok=True)
        return answer

    monkeypatch.setattr(private, "_folder", late)
    with pytest.raises(FileNotFoundError):
        private.write(str(base / "late" / "f"), b"secret")
    assert list((base / "late").iterdir()) == []


@pytest.mark.parametrize(
    ("owner", "group", "members", "listed", "good"),
    [
        pytest.param("alice", "alice", [], False, True, id="a private group, as where the umask is 002"),
        pytest.param("alice", "root", ["root"], False, True, id="the group of root"),
        pytest.param("alice", "users", [], False, False, id="a group of many"),
        pytest.param("alice", "alice", ["bob"], False, False, id="a private group with a guest"),
        pytest.param("alice", "alice", [], True, False, id="an access list, whose mask is what looks like the group's rights"),
    ],
)
def test_a_group_may_write_when_nobody_else_is_in_it(base, monkeypatch, owner, group, members, listed, good):
    (base / "f").mkdir()
    (base / "f").chmod(0o775)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: types.SimpleNamespace(pw_name=owner))
    monkeypatch.setattr(grp, "getgrgid", lambda gid: types.SimpleNamespace(gr_name=group, gr_mem=members))
    monkeypatch.setattr(os, "listxattr", lambda path, **more: ["system.posix_acl_access"] if listed else [])
    if good:
        assert private.folder(str(base / "f"), 0o755) == str(base / "f")
    else:
        refused(lambda: private.folder(str(base / "f"), 0o755))
    refused(lambda: private.folder(str(base / "f")))


def test_a_folder_that_vanishes_while_it_is_made_is_refused(base, monkeypatch):
    monkeypatch.setattr(private, "_make", lambda place, mode: None)
    with pytest.raises(FleetError) as failure:
        private.folder(str(base / "f"))
    assert failure.value.code == "unsafe_path" and "went away" in failure.value.message


def test_the_remedy_works(base):
    (base / "f").mkdir()
    (base / "f").chmod(0o777)
    remedy = refused(lambda: private.folder(str(base / "f"))).remedy
    subprocess.run(["sh", "-c", remedy.partition("then ")[2].partition(". Or")[0]], check=True)
    assert private.folder(str(base / "f")) == str(base / "f")


def test_a_folder_of_somebody_else_is_none_of_ours(base, monkeypatch):
    (base / "f").mkdir(mode=0o700)
    foreign(base / "f", monkeypatch)
    assert "belongs to another user" in refused(lambda: private.folder(str(base / "f"))).message


@pytest.mark.parametrize(("invoker", "good"), [("owner", True), ("1", False), ("", False), ("x", False)])
def test_the_user_behind_sudo_keeps_his_folders(base, monkeypatch, invoker, good):
    """`sudo make lab` in a clone of one's own; who could be root anyway gets nothing by it."""
    (base / "f").mkdir(mode=0o700)
    foreign(base / "f", monkeypatch)
    owner = (base / "f").stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", str(owner) if invoker == "owner" else invoker)
    if good:
        assert private.folder(str(base / "f" / "g")) == str(base / "f" / "g")
    else:
        refused(lambda: private.folder(str(base / "f" / "g")))


@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_a_parent_in_which_others_may_rename_spoils_everything_below(base, mode):
    (base / "open" / "f").mkdir(parents=True, mode=0o700)
    (base / "open").chmod(mode)
    assert refused(lambda: private.folder(str(base / "open" / "f"))).details["at"] == str(base / "open")
    # Sticky, as /tmp is: what is ours cannot be renamed there.
    (base / "open").chmod(0o1777)
    (base / "open" / "f").chmod(0o700)
    assert private.folder(str(base / "open" / "f")) == str(base / "open" / "f")


def test_a_parent_of_somebody_else_spoils_it_too(base, monkeypatch):
    (base / "theirs" / "f").mkdir(parents=True, mode=0o700)
    foreign(base / "theirs", monkeypatch)
    refused(lambda: private.folder(str(base / "theirs" / "f")))


def test_links_are_followed_and_judged(base, monkeypatch):
    (base / "real").mkdir(mode=0o700)
    (base / "link").symlink_to("real")
    (base / "deep").symlink_to(base / "link" / ".." / "link")
    assert private.folder(str(base / "link")) == private.folder(str(base / "deep")) == str(base / "real")
    (base / "round").symlink_to("round")
    refused(lambda: private.folder(str(base / "round" / "f")))
    (base / "real").chmod(0o777)
    refused(lambda: private.folder(str(base / "link" / "f")))
    (base / "real").chmod(0o700)
    foreign(base / "link", monkeypatch)
    refused(lambda: private.folder(str(base / "link")))


@pytest.mark.parametrize("name", ["link", "fifo", "hard", "mode", "folder"])
def test_only_a_file_of_our_own_is_opened(base, name):
    (base / "secret").write_text("secret")
    (base / "secret").chmod(0o600)
    place = base / "f"
    if name == "link":
        place.symlink_to(base / "secret")
    elif name == "fifo":
        os.mkfifo(place, 0o600)
    elif name == "hard":
        os.link(base / "secret", place)
    elif name == "mode":
        place.write_text("")
        place.chmod(0o666)
    else:
        place.mkdir()
    with pytest.raises(FleetError) as failure:
        os.close(private.open_file(str(place), os.O_RDWR | os.O_CREAT))
    assert failure.value.code == ("privileges" if name == "folder" else "unsafe_path")
    assert (base / "secret").read_text() == "secret"


def test_a_file_is_read_when_only_we_could_write_it(base, monkeypatch):
    private.write(str(base / "f"), b"text")
    assert private.read(str(base / "f")) == b"text"
    with pytest.raises(FileNotFoundError):
        private.read(str(base / "missing"))
    (base / "f").chmod(0o646)
    refused(lambda: private.read(str(base / "f")))
    (base / "f").chmod(0o644)
    refused(lambda: private.read(str(base / "f"), 0o600))
    foreign(base / "f", monkeypatch)
    refused(lambda: private.read(str(base / "f")))


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_a_write_replaces_what_is_there_and_follows_nothing(base, mode):
    (base / "victim").write_text("as it was")
    (base / "f").symlink_to("victim")
    umask = os.umask(0o077)
    try:
        private.write(str(base / "f"), b"new", mode)
    finally:
        os.umask(umask)
    assert (base / "victim").read_text() == "as it was"
    assert not (base / "f").is_symlink() and (base / "f").read_bytes() == b"new" and (base / "f").stat().st_mode & 0o777 == mode
    assert sorted(path.name for path in base.iterdir()) == ["f", "victim"]


def test_a_write_into_a_folder_of_others_is_refused(base):
    base.chmod(0o777)
    refused(lambda: private.write(str(base / "f"), b"new"))
    base.chmod(0o755)
    assert list(base.iterdir()) == []


def test_a_failed_write_leaves_nothing(base, monkeypatch):
    (base / "f").mkdir()
    with pytest.raises(OSError):
        private.write(str(base / "f"), b"new")
    assert [path.name for path in base.iterdir()] == ["f"]


# --- locks --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def locks(base, monkeypatch):
    monkeypatch.setattr(lock, "home", lambda: str(base / "locks"))
    return base / "locks"


def test_two_do_not_work_on_one_place(base, locks):
    inside, order = threading.Event(), []

    def second():
        inside.wait(10)
        with lock.locked(str(base / "x")):
            order.append("second")

    other = threading.Thread(target=second)
    other.start()
    with lock.locked(str(base / "x")):
        inside.set()
        with lock.locked(str(base / "y")):
            order.append("another place")
        order.append("first")
    other.join(10)
    assert order == ["another place", "first", "second"]


def test_a_link_to_the_place_is_the_place(base, locks):
    (base / "link").symlink_to("x")
    with lock.locked(str(base / "x")), pytest.raises(FleetError) as failure, lock.locked(str(base / "link"), 0.0):
        pass
    assert failure.value.code == "locked"


@pytest.mark.parametrize("record", [True, False])
def test_the_holder_is_named(base, locks, record):
    """By what it wrote, or by the kernel while it has written nothing."""
    with lock.locked(str(base / "x")):
        name = next(locks.iterdir())
        if not record:
            name.write_text("")
        begun = time.monotonic()
        with pytest.raises(FleetError) as failure, lock.locked(str(base / "x"), 0.1):
            pass
        assert 0.1 <= time.monotonic() - begun < 5
    assert failure.value.details["pid"] == os.getpid() and f"process {os.getpid()}" in failure.value.message
    assert ("since" in failure.value.details) is record
    assert name.stat().st_mode & 0o777 == 0o600 and locks.stat().st_mode & 0o777 == 0o700


def test_a_killed_holder_holds_nothing_and_its_record_is_replaced(base, locks):
    program = (
        "import sys, time\n"
        "from ansible_collections.bowline.fleet.plugins.module_utils._core import lock\n"
        "lock.home = lambda: sys.argv[1]\n"
        "with lock.locked(sys.argv[2]):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    argv = [sys.executable, "-c", program, str(locks), str(base / "x")]
    holder = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(FleetError) as failure, lock.locked(str(base / "x"), 0.0):
        pass
    assert failure.value.details["pid"] == holder.pid
    holder.kill()
    holder.wait(10)
    with lock.locked(str(base / "x"), 5.0):
        assert json.loads(next(locks.iterdir()).read_text())["pid"] == os.getpid()
    assert next(locks.iterdir()).read_text() == ""


def test_a_folder_of_locks_that_others_could_open_is_refused(base, locks):
    locks.mkdir()
    locks.chmod(0o755)
    with pytest.raises(FleetError) as failure, lock.locked(str(base / "x")):
        pass
    assert failure.value.code == "unsafe_path"
