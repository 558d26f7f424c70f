# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options: everything wrong at once, the mode from three places, and no secret in a message."""

from __future__ import annotations

import pytest
from machines import params

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.options import asked, mode_of
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.run import factory, info, run


def refused(**given) -> str:
    with pytest.raises(FleetError) as caught:
        asked(params(**given), {})
    assert caught.value.code == "option_invalid"
    return caught.value.message


@pytest.mark.parametrize(("option", "environment", "mode"), [
    (None, {}, "real"), ("local", {}, "recorder"), ("recorder", {"BOWLINE_LIBVIRT_MODE": "real"}, "recorder"),
    (None, {"POWERNODE_LIBVIRT_MODE": "local"}, "recorder"), (None, {"BOWLINE_LIBVIRT_MODE": "disabled", "POWERNODE_LIBVIRT_MODE": "real"}, "disabled"),
    ("", {"BOWLINE_LIBVIRT_MODE": "", "POWERNODE_LIBVIRT_MODE": "recorder"}, "recorder"),
])  # fmt: skip
def test_mode(option, environment, mode):
    assert mode_of({"mode": option}, environment) == mode


def test_another_word_is_refused_with_its_place():
    with pytest.raises(FleetError, match="POWERNODE_LIBVIRT_MODE: 'recoder' is no mode. Did you mean recorder"):
        mode_of({}, {"POWERNODE_LIBVIRT_MODE": "recoder"})
    with pytest.raises(FleetError, match="Known: real, recorder"):
        mode_of({"mode": "kvm!"}, {})


@pytest.mark.parametrize("work", [run, info])
def test_disabled_asks_nobody(work):
    def never(_mode):
        raise AssertionError("asked")

    with pytest.raises(FleetError) as caught:
        work(params(mode="disabled"), never, {})
    assert caught.value.code == "provider_disabled"


def test_all_that_is_wrong_comes_at_once():
    said = refused(node="Web_1", instance="7", spec={"image": "disk", "memory_mib": 1, "vcpus": 0, "network": "a b", "initrd": "/i", "credentials": 3})
    for part in ("identity.name", "identity.instance_id", "spec.image", "memory_mib", "spec.vcpus", "network", "spec.initrd", "spec.credentials"):
        assert part in said, part
    assert "spec.image" in refused(kind="local_nspawn", spec={})
    assert "prefix" in refused(kind="local_nspawn", spec={"image": "/i", "address": "10.0.0.2"})
    assert "volatile" in refused(kind="local_nspawn", spec={"image": "/i", "address": "10.0.0.2/24", "volatile": True})


def test_a_secret_that_was_given_for_its_file_is_not_repeated():
    said = refused(spec={"image": "/i", "credentials": {"token": "hunter2"}})
    assert "spec.credentials.token" in said and "hunter2" not in said
    assert "name of a credential" in refused(spec={"image": "/i", "credentials": {"../up": "/f"}})


def test_credentials_are_given_kept_or_taken_away():
    assert asked(params(), {}).drop_credentials is False
    assert asked(params(spec={"image": "/i", "credentials": {"a": "/f"}}), {}).machine.credentials == {"a": "/f"}
    assert asked(params(spec={"image": "/i", "credentials": "absent"}), {}).drop_credentials is True


def test_absent_needs_no_spec():
    found = asked(params(state="absent", spec={}), {})
    assert found.machine.identity.name == "web-1"


def test_the_kind_decides_what_is_made(tmp_path):
    make = factory(params(folder=str(tmp_path)), lambda *_a, **_k: None)
    assert type(make("recorder")).__name__ == "Recorder"
    assert type(factory(params("local_nspawn", folder=str(tmp_path)), lambda *_a, **_k: None)("real")).__name__ == "Nspawn"
    assert list(tmp_path.iterdir()) == []
