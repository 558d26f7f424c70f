# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders as machines of nspawn, without one that boots: whole or not there, nobody else's touched, nothing written through a link."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from machines import IDS

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine import process
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.model import Identity, Machine, Spec, declared
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.nspawn import Nspawn


def runner(argv, *, env=None, stdin=None, timeout=None):
    done = subprocess.run(argv, capture_output=True, text=True, input=stdin, timeout=timeout, check=False)
    return Completed(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def image(tmp_path):
    root = tmp_path / "image"
    for folder in ("usr", "etc/systemd/network", "root"):
        (root / folder).mkdir(parents=True)
    (root / "etc" / "hostname").write_text("image\n", encoding="utf-8")
    return root


def machine(image, name="web-1", instance=IDS[0], credentials=None, **spec) -> Machine:
    attributes = declared("local_nspawn", Spec(image=str(image), **spec))
    return Machine("local_nspawn", Identity("lab", instance, "web-1", name, "v1:x"), attributes, credentials or {})


def made(tmp_path, image, **given):
    hypervisor, wanted = Nspawn(str(tmp_path / "m"), runner, "plain"), machine(image, **given)
    hypervisor.prepare(wanted)
    hypervisor.define(wanted)
    return hypervisor, wanted


def test_a_machine_is_there_with_its_identity_or_not_at_all(tmp_path, image):
    hypervisor, wanted = Nspawn(str(tmp_path / "m"), runner, "plain"), machine(image, network="br0", address="10.0.0.2/24", gateway="10.0.0.1")
    assert hypervisor.read(wanted.identity).by_name is None
    hypervisor.prepare(wanted)
    world = hypervisor.read(wanted.identity)
    assert world.by_id is world.by_name is None and world.files and hypervisor.machines() == []
    hypervisor.define(wanted)
    world = hypervisor.read(wanted.identity)
    assert world.by_id.identity == wanted.identity and world.by_id.power == "off" and not world.files
    assert world.by_id.details == {"name": "web-1", "declared": wanted.declared, "credentials": False}
    root = tmp_path / "m" / "nspawn" / "web-1" / "root"
    assert (root / "etc" / "hostname").read_text(encoding="utf-8") == "web-1\n"
    network = (root / "etc/systemd/network/10-bowline.network").read_text(encoding="utf-8")
    assert "Address=10.0.0.2/24" in network and "Gateway=10.0.0.1" in network
    assert (image / "etc" / "hostname").read_text(encoding="utf-8") == "image\n"
    hypervisor.undefine(wanted)
    assert hypervisor.read(wanted.identity).by_name is None and hypervisor.read(wanted.identity).files
    hypervisor.clear(wanted)
    assert os.listdir(tmp_path / "m" / "nspawn") == []


def test_credentials_are_copied_for_nobody_else_and_named_by_file_only(tmp_path, image):
    secret = tmp_path / "token"
    secret.write_text("hunter2", encoding="utf-8")
    secret.chmod(0o600)
    hypervisor, wanted = made(tmp_path, image, credentials={"token": str(secret)})
    kept = tmp_path / "m" / "nspawn" / "web-1" / "credentials" / "token"
    assert kept.read_text(encoding="utf-8") == "hunter2" and kept.stat().st_mode & 0o777 == 0o600
    argv = hypervisor._argv(wanted)
    assert f"--load-credential=token:{kept}" in argv and "hunter2" not in " ".join(argv)
    assert hypervisor.read(wanted.identity).by_id.details["credentials"] is True
    hypervisor.forget(wanted)
    assert not kept.exists() and hypervisor.read(wanted.identity).by_id.details["credentials"] is False
    assert "load-credential" not in " ".join(hypervisor._argv(wanted))


def test_a_secret_that_others_can_read_is_refused(tmp_path, image):
    secret = tmp_path / "token"
    secret.write_text("hunter2", encoding="utf-8")
    secret.chmod(0o644)
    with pytest.raises(FleetError) as caught:
        made(tmp_path, image, credentials={"token": str(secret)})
    assert caught.value.code == "unsafe_path"
    with pytest.raises(FleetError, match="does not exist"):
        made(tmp_path, image, credentials={"token": str(tmp_path / "none")})


def test_arguments(tmp_path, image):
    hypervisor, wanted = made(tmp_path, image, network="br0")
    argv = hypervisor._argv(wanted)
    assert argv[0] == "systemd-nspawn" and f"--uuid={IDS[0]}" in argv and "--network-bridge=br0" in argv and "--register=no" in argv
    alone = machine(image, volatile=True)
    assert {"--volatile=overlay", "--private-network", str(image)} <= set(hypervisor._argv(alone))
    assert "--register=yes" in Nspawn(str(tmp_path), runner, "machined")._argv(alone)


def test_a_folder_of_somebody_else_is_seen_and_left(tmp_path, image):
    foreign = tmp_path / "m" / "nspawn" / "web-1"
    foreign.mkdir(parents=True)
    (foreign / "theirs").write_text("x", encoding="utf-8")
    hypervisor, wanted = Nspawn(str(tmp_path / "m"), runner, "plain"), machine(image)
    world = hypervisor.read(wanted.identity)
    assert world.by_id is None and world.by_name.identity is None
    hypervisor.prepare(wanted)
    with pytest.raises(FleetError) as caught:
        hypervisor.define(wanted)
    assert caught.value.code == "name_clash" and (foreign / "theirs").exists()
    # A rename would put ours in the place of a folder that is empty.
    (foreign / "theirs").unlink()
    with pytest.raises(FleetError) as caught:
        hypervisor.define(wanted)
    assert caught.value.code == "name_clash" and os.listdir(foreign) == []
    # A record that says something else than an identity is nobody's.
    (foreign / "identity.json").write_text(json.dumps({"identity": {"fleet": "lab"}}), encoding="utf-8")
    assert hypervisor.read(wanted.identity).by_id is None


def test_our_id_under_another_name_is_found(tmp_path, image):
    hypervisor, _wanted = made(tmp_path, image, name="web-1")
    found = hypervisor.read(machine(image, name="web-2").identity)
    assert found.by_id.identity.name == "web-1" and found.by_name is None


@pytest.mark.parametrize("place", ["etc", "etc/systemd/network"])
def test_nothing_is_written_through_a_link_of_the_image(tmp_path, image, place):
    outside = tmp_path / "outside"
    (outside / "systemd" / "network").mkdir(parents=True)
    target = image / place
    subprocess.run(["rm", "-rf", str(target)], check=True)
    target.symlink_to(outside)
    with pytest.raises(FleetError) as caught:
        made(tmp_path, image, address="10.0.0.2/24")
    assert caught.value.code == "unsafe_path"
    assert [path for path in outside.rglob("*") if path.is_file()] == []


def test_a_change_writes_nothing_into_a_guest_that_may_run(tmp_path, image):
    """Its root file system is the guest's; the address is written there at the next start."""
    hypervisor, _wanted = made(tmp_path, image)
    root = tmp_path / "m" / "nspawn" / "web-1" / "root"
    before = sorted(str(path) for path in root.rglob("*"))
    changed = machine(image, address="10.0.0.9/24")
    hypervisor.define(changed)
    assert sorted(str(path) for path in root.rglob("*")) == before
    assert hypervisor.read(changed.identity).by_id.details["declared"]["address"] == "10.0.0.9/24"


def test_a_link_in_place_of_the_host_name_is_replaced(tmp_path, image):
    outside = tmp_path / "kept"
    outside.write_text("mine", encoding="utf-8")
    (image / "etc" / "hostname").unlink()
    (image / "etc" / "hostname").symlink_to(outside)
    made(tmp_path, image)
    assert outside.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("image_name", ["nothing", "text"])
def test_an_image_that_is_none(tmp_path, image, image_name):
    (tmp_path / "text").write_text("no tar", encoding="utf-8")
    with pytest.raises(FleetError) as caught:
        made(tmp_path, tmp_path / image_name)
    assert caught.value.code == "image_not_published"


def test_a_program_outlives_its_starter_and_is_known_by_its_start(tmp_path):
    """The record names it before it begins; a pid that was given out again is not it."""
    record, console = str(tmp_path / "run.json"), str(tmp_path / "console.log")
    said = process.launch([sys.executable, "-c", "import sys; print('here', flush=True); sys.stdin.read(); import time; time.sleep(60)"], record, console)
    pid = process.recorded(record)
    try:
        assert said == "" and pid and os.getsid(pid) != os.getsid(0)
        kept = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
        (tmp_path / "run.json").write_text(json.dumps({**kept, "identity": "another boot:1"}), encoding="utf-8")
        (tmp_path / "run.json").chmod(0o600)
        assert process.recorded(record) is None
    finally:
        process.kill(pid)
    assert process.recorded(str(tmp_path / "none")) is None


def test_a_program_that_is_not_there_is_told(tmp_path):
    assert "No such file" in process.launch(["/nowhere/program"], str(tmp_path / "r"), str(tmp_path / "c"))


def test_a_number_that_is_nobodys():
    assert process.identity(2**22 + 1) is None and process.container("00000000-0000-0000-0000-000000000000") is None
    process.kill(None)
