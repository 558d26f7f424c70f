# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One tape from all of them: a recorder, libvirt's mock, systemd-nspawn, and (with ``make faults``) a guest of qemu that boots."""

from __future__ import annotations

import subprocess
import time

import pytest

LIFE = ("present", "running", "running", "stopped", "running", "absent", "absent")


def life(rig, kind, folder, spec, changed, **more):
    """Every state, a change of what may change, and the credentials taken away."""
    runs = [rig.params(kind, folder, state, spec=spec, **more) for state in LIFE]
    bare = {**changed, "credentials": "absent"}
    return [*runs[:2], rig.params(kind, folder, "running", spec=changed, **more), rig.params(kind, folder, "running", spec=bare, **more),
            *(rig.params(kind, folder, state, spec=bare, **more) for state in LIFE[2:])]  # fmt: skip


def wrote(outcome):
    return [entry["call"] for entry in outcome["tape"] if entry["call"] != "read"]


ALL = ["prepare", "define", "start", "define", "shutdown", "start", "destroy", "undefine", "clear"]


def disk(folder):
    folder.mkdir()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(folder / "base.qcow2"), "64M"], check=True)
    return {"image": str(folder / "base.qcow2"), "network": "default", "cmdline": "", "memory_mib": 256, "accept_unpublished": True}


def test_the_mock_of_libvirt_and_the_recorder_give_one_tape(tmp_path, rig):
    spec = disk(tmp_path / "base")
    changed = {**spec, "memory_mib": 512}
    mock = rig.elsewhere(life(rig, "local_qemu", tmp_path / "mock", spec, changed))
    recorded = rig.drive(life(rig, "local_qemu", tmp_path / "recorded", spec, changed, mode="recorder"))
    assert [result.get("failure") for result in mock["results"]] == [None] * len(mock["results"]), mock["results"]
    assert wrote(mock) == ALL
    assert mock["tape"] == recorded["tape"]
    assert [result["plan"] for result in mock["results"]] == [result["plan"] for result in recorded["results"]]
    machine = mock["results"][1]["machine"]
    assert machine["provider_id"].endswith(f"/{rig.IDS[0]}") and machine["created_at"]


def test_libvirt_keeps_name_and_id_apart(tmp_path, rig):
    """The mock has a domain ``test`` that nobody of ours made. A name that is taken, and an id that carries another identity, are refused."""
    spec = disk(tmp_path / "base")
    given = {"spec": spec, "folder": str(tmp_path / "m")}
    runs = [rig.params("local_qemu", node="test", state=state, **given) for state in ("running", "absent")]
    runs += [rig.params("local_qemu", node="web-1", **given), rig.params("local_qemu", node="web-2", **given),
             rig.params("local_qemu", node="web-2", state="absent", **given), rig.params("local_qemu", node="web-1", instance=rig.IDS[1], **given),
             rig.params("local_qemu", node="web-1", **given)]  # fmt: skip
    taken, gone, made, other, destroyed, clash, still = rig.elsewhere(runs)["results"]
    assert taken["failure"] == "name_clash" and gone["changed"] is False and "not ours" in gone["warnings"][0]
    assert made["changed"] and other["failure"] == destroyed["failure"] == clash["failure"] == "identity_mismatch"
    assert still["changed"] is False and still["machine"]["power"] == "on"


def test_a_disk_whose_definition_was_lost_is_not_written_over(tmp_path, rig):
    """The mock forgets its domains with its process, as a libvirt does that was installed anew: the disk comes back with what was on it."""
    spec = disk(tmp_path / "base")
    folder = tmp_path / "m"
    path = folder / "qemu" / rig.IDS[0] / "disk.qcow2"
    rig.elsewhere([rig.params("local_qemu", folder, spec=spec)])
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 0 64k", str(path)], check=True, capture_output=True)
    written = path.read_bytes()
    again = rig.elsewhere([rig.params("local_qemu", folder, spec=spec)])["results"][0]
    assert [step["action"] for step in again["plan"]] == ["prepare", "define", "start"] and path.read_bytes() == written
    larger, other = rig.elsewhere([rig.params("local_qemu", folder, spec={**spec, "disk_gib": 20}),
                                   rig.params("local_qemu", folder, "absent", uri="test:///default?x=1")])["results"]  # fmt: skip
    assert larger["failure"] == "immutable_change" and other["failure"] == "identity_mismatch" and path.read_bytes() == written
    assert rig.elsewhere([rig.params("local_qemu", folder, "absent")])["results"][0]["changed"] and not path.exists()


def test_a_missing_base_and_a_silent_libvirt_are_told(tmp_path, rig):
    spec = {"image": str(tmp_path / "none.qcow2")}
    runs = [rig.params("local_qemu", tmp_path / "m", spec=spec), rig.params("local_qemu", tmp_path / "m", uri="nothing:///x", spec=spec)]
    missing, silent = rig.elsewhere(runs)["results"]
    assert missing["failure"] == "image_not_published" and silent["failure"] == "libvirt_error"


def test_nspawn_and_the_recorder_give_one_tape(tmp_path, rig, image, machines):
    secret = tmp_path / "token"
    secret.write_text("hunter2", encoding="utf-8")
    secret.chmod(0o600)
    spec = {"image": image, "volatile": True, "credentials": {"token": str(secret)}}
    expected = ["prepare", "define", "start", "forget", "shutdown", "start", "destroy", "undefine", "clear"]
    real = rig.drive(life(rig, "local_nspawn", machines, spec, spec))
    recorded = rig.drive(life(rig, "local_nspawn", tmp_path / "recorded", spec, spec, mode="recorder"))
    assert [result.get("failure") for result in real["results"]] == [None] * len(real["results"]), real["results"]
    assert wrote(real) == expected
    assert real["tape"] == recorded["tape"]
    assert "hunter2" not in str(real)


def test_a_guest_of_qemu_and_the_recorder_give_one_tape(tmp_path, rig, guest):
    """Boots for real, without KVM in more than a minute; the secret is in the guest and nowhere else."""
    changed = {**guest.spec, "memory_mib": 768}
    runs = life(rig, "local_qemu", guest.folder, guest.spec, changed, uri=guest.uri, wait_timeout=300)
    started = time.monotonic()
    first = rig.elsewhere(runs[:2])
    assert [result.get("failure") for result in first["results"]] == [None, None], first["results"]
    address = guest.address(rig, runs[1])
    assert guest.ssh(address, "cat", "/run/credentials/@system/token") == guest.secret
    print(f"reachable by SSH after {time.monotonic() - started:.0f} s; {first['results'][1]['warnings']}")
    assert guest.leaks() == []
    rest = rig.elsewhere(runs[2:])
    recorded = rig.drive(life(rig, "local_qemu", tmp_path / "recorded", guest.spec, changed, mode="recorder"))
    assert [result.get("failure") for result in rest["results"]] == [None] * len(rest["results"]), rest["results"]
    assert first["tape"] + rest["tape"] == recorded["tape"]
    assert guest.leaks() == []
    assert [path.name for path in (guest.folder / "qemu").iterdir()] == []


pytestmark = pytest.mark.slow
