# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Provider hosts on real files: one block, everything else byte for byte as before, mode kept."""

from __future__ import annotations

import os

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._dns.hosts import Hosts
from ansible_collections.bowline.fleet.plugins.module_utils._dns.model import Key, Ownership, Record, RRset
from ansible_collections.bowline.fleet.plugins.module_utils._dns.run import connect, info, run

BEFORE = "127.0.0.1 localhost hub\n# 10.0.0.9 hub.bowline.test\n\n::1 ip6-localhost # \udcff\n"
KEY = Key("hub.bowline.test.", "A")


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "hosts"
    file.write_text(BEFORE, encoding="utf-8", errors="surrogateescape")
    file.chmod(0o640)
    return file


def text(path):
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def params(path, **options):
    return {
        "provider": "hosts",
        "provider_options": {"path": str(path)},
        "zone": None,
        "name": "hub.bowline.test",
        "type": "A",
        "resolvers": None,
        "state": "present",
        "values": None,
        "ttl": 300,
        "ttl_during": 60,
        "previous": None,
        "expect_current": None,
        "owner": None,
        "max_changes": 5,
        "verify": "authoritative",
        "on_timeout": "fail",
        "wait_old_ttl": False,
        "wait": True,
        "wait_timeout": 0,
        **options,
    }


def do(path, check_mode=False, **options):
    given = params(path, **options)
    return run(given, lambda: connect(given, []), check_mode)


def test_there_and_back(path):
    predicted = do(path, True, values=["10.0.0.2"], expect_current="absent", owner="me")
    assert text(path) == BEFORE
    made = do(path, values=["10.0.0.2"], expect_current="absent", owner="me")
    assert (made["plan"], made["diff"]) == (predicted["plan"], predicted["diff"])
    assert made["verified"] is True
    kept, _mark, block = text(path).partition("# BEGIN bowline.fleet\n")
    assert kept == BEFORE
    assert block.startswith("10.0.0.2 hub.bowline.test # v=bowline1 owner=me ")
    assert path.stat().st_mode & 0o777 == 0o640
    assert do(path, values=["10.0.0.2"], owner="me")["changed"] is False
    assert do(path, state="prepared", owner="me")["changed"] is False
    assert info(params(path), lambda: Hosts(path))["record"]["owner"] == "me"
    do(path, previous=made["previous"], owner="me")
    assert text(path) == BEFORE
    assert os.listdir(path.parent) == ["hosts"]


def test_families_and_other_names_share_the_block(path):
    do(path, values=["10.0.0.2", "10.0.0.3"])
    do(path, type="AAAA", values=["2001:DB8::2"])
    do(path, name="other.test", values=["10.0.0.4"])
    do(path, state="absent")
    assert text(path) == BEFORE + "# BEGIN bowline.fleet\n10.0.0.4 other.test\n2001:db8::2 hub.bowline.test\n# END bowline.fleet\n"


def test_name_outside_the_block_is_not_ours(path):
    with pytest.raises(FleetError) as failure:
        do(path, name="hub", values=["10.0.0.2"])
    assert failure.value.code == "not_owner"
    assert "127.0.0.1 localhost hub" in failure.value.message
    assert text(path) == BEFORE


@pytest.mark.parametrize(
    "broken",
    ["# BEGIN bowline.fleet\n", "# END bowline.fleet\n# BEGIN bowline.fleet\n", "# BEGIN bowline.fleet\n# END bowline.fleet\n" * 2],
)
def test_broken_block_is_left_alone(path, broken):
    path.write_text(broken, encoding="utf-8")
    with pytest.raises(FleetError) as failure:
        do(path, values=["10.0.0.2"])
    assert failure.value.code == "conflict"
    assert text(path) == broken


def test_edit_between_reading_and_writing(path):
    hosts = Hosts(path)
    before = hosts.read(KEY)
    do(path, values=["10.0.0.66"])
    with pytest.raises(FleetError) as failure:
        hosts.apply(KEY, before, Record(RRset(KEY.name, "A", 0, ("10.0.0.2",)), Ownership("me")))
    assert failure.value.code == "conflict"
    assert "10.0.0.66 hub" in text(path)


def test_missing_file_is_no_empty_file(tmp_path):
    with pytest.raises(FleetError) as failure:
        do(tmp_path / "gone", values=["10.0.0.2"])
    assert failure.value.code == "privileges"
    assert os.listdir(tmp_path) == []


def test_failed_replacement_leaves_the_file_and_no_rest(path, monkeypatch):
    def full(*_arguments):
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FleetError) as failure:
        do(path, values=["10.0.0.2"])
    assert failure.value.code == "privileges"
    assert (text(path), os.listdir(path.parent)) == (BEFORE, ["hosts"])


def test_link_stays_a_link(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    do(link, values=["10.0.0.2"])
    assert link.is_symlink() and "10.0.0.2" in text(path)


OWN_LINES = [
    pytest.param("127.0.0.1 localhost\n10.0.0.1\thub.bowline.test   # by hand\n::1 ip6\n", id="a line for this name alone"),
    pytest.param("10.0.0.1 db hub.bowline.test  hub # three names\r\n127.0.0.1 localhost\r\n", id="beside other names, with carriage returns"),
    pytest.param("10.0.0.1 hub.bowline.test", id="without a last line end"),
    pytest.param("10.0.0.1 hub.bowline.test\n10.0.0.7 HUB.bowline.test. other\n\n\n", id="two lines"),
    pytest.param("10.0.0.1 hub.bowline.test # \u2028 \udcff \x0c\n", id="characters that some take for a line end"),
]


@pytest.mark.parametrize("own", OWN_LINES)
def test_a_line_written_by_hand_is_taken_over_when_asked_and_put_back_byte_equal(path, own):
    path.write_bytes(own.encode("utf-8", "surrogateescape"))
    before = path.read_bytes()
    adopt = {"provider_options": {"path": str(path), "adopt": True}}
    with pytest.raises(FleetError) as failure:
        do(path, values=["10.0.0.2"])
    assert failure.value.code == "not_owner" and "adopt" in failure.value.remedy
    with pytest.raises(FleetError) as failure:
        do(path, values=["10.0.0.2"], expect_current=["10.0.0.9"], **adopt)
    assert failure.value.code == "conflict"
    assert path.read_bytes() == before
    do(path, True, values=["10.0.0.2"], **adopt)
    assert path.read_bytes() == before
    moved = do(path, values=["10.0.0.2"], owner="me", expect_current=moved_from(own), **adopt)
    names = [line.split("#")[0].split() for line in path.read_bytes().decode("utf-8", "surrogateescape").split("\n")]
    assert [words[0] for words in names if "hub.bowline.test" in words] == ["10.0.0.2"]
    assert sorted(name for words in names for name in words[1:] if name != "hub.bowline.test") == others(own)
    assert do(path, values=["10.0.0.2"], owner="me", **adopt)["changed"] is False
    do(path, previous=moved["previous"], owner="me", **adopt)
    assert path.read_bytes() == before
    do(path, values=["10.0.0.2"], expect_current=moved_from(own), **adopt)
    do(path, values=moved_from(own), **adopt)
    assert path.read_bytes() == before, "the values of before are the line of before"


def others(own):
    names = [name for line in own.split("\n") for name in line.split("#")[0].split()[1:]]
    return sorted(name for name in names if name.lower().rstrip(".") != "hub.bowline.test")


def moved_from(own):
    return sorted({line.split()[0] for line in own.split("\n") if "hub.bowline.test" in line.lower()})


def test_a_line_that_somebody_changed_meanwhile_is_not_put_back_over_it(path):
    path.write_text("10.0.0.1 hub.bowline.test db\n", encoding="utf-8")
    adopt = {"provider_options": {"path": str(path), "adopt": True}}
    moved = do(path, values=["10.0.0.2"], **adopt)
    changed = text(path).replace("10.0.0.1 db", "10.0.0.5 db")
    assert changed != text(path)
    path.write_text(changed, encoding="utf-8")
    with pytest.raises(FleetError) as failure:
        do(path, previous=moved["previous"], **adopt)
    assert failure.value.code == "conflict"
    assert text(path) == changed


@pytest.mark.parametrize("kept", ["127.0.0.1 localhost", "", "a\r\nb\r\n", "a\x0cb\u2028c\n\n"])
def test_what_stands_around_the_block_keeps_its_line_ends(path, kept):
    path.write_bytes(kept.encode())
    do(path, values=["10.0.0.2"])
    assert path.read_bytes().startswith(kept.encode())
    do(path, state="absent")
    assert path.read_bytes() == kept.encode()
