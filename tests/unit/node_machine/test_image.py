# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images without a mirror: what makes a build another one, what is of one machine, what is published and what may not be removed."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._node.image import debian, tree
from ansible_collections.bowline.fleet.plugins.module_utils._node.image.model import Recipe
from ansible_collections.bowline.fleet.plugins.module_utils._node.image.run import run
from ansible_collections.bowline.fleet.plugins.module_utils._node.image.mounts import below
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine import run as room
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.files import overlay
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.proof import proven
from machines import NSPAWN, params

RECIPE = Recipe("debian-12", "local_nspawn", "bookworm", ("curl",), debian.MIRROR, debian.SECURITY, 2, "x86_64")
QEMU = replace(RECIPE, kind="local_qemu")


class Builder:
    """A runner in which mmdebstrap makes a small root, mke2fs and qemu-img a small disk; everything else is the real program."""

    def __init__(self) -> None:
        self.called: list[list[str]] = []
        self.fails = ""

    def __call__(self, argv, *, env=None, stdin=None, timeout=None):
        self.called.append(list(argv))
        if argv[0] == self.fails:
            return Completed(25, "", f"{argv[0]}: E: Unable to locate package zzz")
        if argv[0] == "mmdebstrap":
            root = Path(argv[argv.index(next(word for word in argv if word.endswith("/rootfs")))])
            for name, text in {"etc/machine-id": "0123", "etc/ssh/ssh_host_rsa_key": "secret", "etc/hostname": "builder", "boot/vmlinuz-6.1": "k",
                               "boot/vmlinuz-6.12": "k12", "boot/initrd.img-6.12": "i12", "usr/bin/true": "x"}.items():  # fmt: skip
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding="utf-8")
        elif argv[0] in ("mke2fs", "qemu-img"):
            Path(argv[-1]).write_text("disk", encoding="utf-8")
        else:
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            return Completed(done.returncode, done.stdout, done.stderr)
        return Completed(0, "", "")

    def programs(self) -> list[str]:
        return [argv[0] for argv in self.called if argv[0] != "rm"]


@pytest.fixture
def shop(tmp_path):
    """Run node_image with these options; ``build.builder`` is what it called."""
    builder = Builder()

    def build(check=False, environment=None, **given):
        params = {"name": "debian-12", "kind": "local_nspawn", "state": "published", "release": "bookworm", "packages": [], "mirror": debian.MIRROR,
                  "security_mirror": debian.SECURITY, "size_gib": 2, "image_base": str(tmp_path / "images"),
                  "machines_folder": str(tmp_path / "machines"), **given}  # fmt: skip
        return run(params, builder, environment or {}, check)

    build.builder, build.base, build.machines = builder, tmp_path / "images", tmp_path / "machines"
    return build


def steps(result):
    return [step["action"] for step in result["plan"]]


def test_inputs_make_the_key_and_the_name_does_not():
    assert RECIPE.key == replace(RECIPE, name="other").key == replace(RECIPE, size_gib=9).key
    others = [replace(RECIPE, release="trixie"), replace(RECIPE, packages=()), replace(RECIPE, mirror="http://m/debian"), QEMU, replace(QEMU, size_gib=9)]
    assert len({RECIPE.key, *(other.key for other in others)}) == 6
    # A package that is there anyhow changes nothing.
    assert replace(RECIPE, packages=("curl", "dbus")).all_packages == RECIPE.all_packages
    assert "linux-image-cloud-amd64" in QEMU.all_packages and "linux-image-cloud-arm64" in replace(QEMU, machine="aarch64").all_packages


def test_the_command():
    argv = debian.bootstrap("bookworm", "/t/rootfs", "a,b")
    assert argv == ["mmdebstrap", "--variant=minbase", "--include=a,b", "bookworm", "/t/rootfs", "http://deb.debian.org/debian",
                    "deb http://deb.debian.org/debian-security bookworm-security main"]  # fmt: skip


@pytest.mark.parametrize("kind", ["local_nspawn", "local_qemu"])
def test_built_once_for_the_same_inputs(shop, kind):
    foreseen = shop(check=True, kind=kind)
    assert not shop.base.exists() and foreseen["image"] is None
    first = shop(kind=kind)
    assert steps(foreseen) == steps(first) == ["build", "publish"] and foreseen["diff"] == first["diff"]
    assert first["image"]["published"] and first["image"]["ref"] == f"debian-12@sha256:{first['image']['sha256']}"
    assert os.path.exists(first["image"]["image"])
    called = len(shop.builder.programs())
    assert shop(kind=kind)["changed"] is False and len(shop.builder.programs()) == called
    other = shop(kind=kind, packages=["curl"])
    assert steps(other) == ["build", "publish"] and other["image"]["key"] != first["image"]["key"]
    # Going back is a publication of what was built before.
    assert steps(shop(kind=kind)) == ["publish"]
    assert steps(shop(kind=kind, state="absent")) == ["unpublish", "remove"]
    assert list(shop.base.iterdir()) == [] and shop(kind=kind, state="absent")["changed"] is False


def test_a_disk_has_the_newest_kernel_beside_it(shop):
    image = shop(kind="local_qemu", state="built")["image"]
    assert Path(image["kernel"]).read_text(encoding="utf-8") == "k12" and Path(image["initrd"]).read_text(encoding="utf-8") == "i12"
    assert image["published"] is False and not (Path(image["image"]).parent / "rootfs").exists()
    assert not (Path(image["image"]).parent / "disk.raw").exists()


def test_nothing_in_it_is_of_one_machine(shop):
    root = Path(shop()["image"]["image"])
    assert (root / "etc/machine-id").read_text(encoding="utf-8") == "" and not (root / "etc/hostname").exists()
    assert list((root / "etc/ssh").iterdir()) == []
    assert os.readlink(root / "etc/systemd/system/multi-user.target.wants/bowline-host-keys.service") == "/etc/systemd/system/bowline-host-keys.service"
    assert os.readlink(root / "etc/systemd/system/ldconfig.service") == "/dev/null"


def test_what_was_changed_since_is_not_published(shop):
    image = shop(state="built")["image"]
    (Path(image["image"]) / "usr/bin/true").write_text("y", encoding="utf-8")
    with pytest.raises(FleetError) as caught:
        shop()
    assert caught.value.code == "image_digest" and shop(state="built")["image"]["published"] is False


def test_a_digest_sees_every_kind_of_change(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_text("1", encoding="utf-8")
    (tmp_path / "a" / "l").symlink_to("f")
    seen = {tree.digest(str(tmp_path))}
    changes = [lambda: (tmp_path / "a" / "f").write_text("2", encoding="utf-8"), lambda: (tmp_path / "a" / "f").chmod(0o600),
               lambda: (tmp_path / "a").chmod(0o700), (tmp_path / "b").mkdir,
               lambda: (tmp_path / "a" / "f").rename(tmp_path / "b" / "f")]  # fmt: skip
    for change in changes:
        change()
        seen.add(tree.digest(str(tmp_path)))
    (tmp_path / "a" / "l").unlink()
    (tmp_path / "a" / "l").symlink_to("g")
    assert len({*seen, tree.digest(str(tmp_path))}) == 7
    os.utime(tmp_path / "b" / "f", (1, 1))
    assert tree.digest(str(tmp_path)) not in seen


def test_a_build_that_fails_leaves_what_is_there(shop):
    shop()
    shop.builder.fails = "mmdebstrap"
    with pytest.raises(FleetError) as caught:
        shop(packages=["zzz"])
    assert caught.value.code == "image_build_failed" and "zzz" in caught.value.message
    assert shop()["changed"] is False
    # What was begun is begun anew.
    shop.builder.fails = ""
    assert steps(shop(packages=["zzz"])) == ["build", "publish"]


def qcow2(path: Path, base: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 104, len(base), 16, 4 << 30).ljust(104, b"\0") + base.encode())


def test_an_image_that_machines_need_is_kept(shop, tmp_path):
    image = shop(kind="local_qemu")["image"]
    qcow2(shop.machines / "qemu" / "id-1" / "disk.qcow2", image["image"])
    qcow2(shop.machines / "qemu" / "id-2" / "disk.qcow2", "/elsewhere/disk.qcow2")
    folder = shop.machines / "nspawn" / "web-1"
    folder.mkdir(parents=True)
    (folder / "identity.json").write_text(json.dumps({"declared": {"volatile": True, "image": f"{shop.base}/debian-12/x/rootfs"}}), encoding="utf-8")
    for check in (True, False):
        with pytest.raises(FleetError) as caught:
            shop(check=check, kind="local_qemu", state="absent")
        assert caught.value.code == "image_in_use" and caught.value.details["machines"] == ["id-1", "web-1"]
    assert os.path.exists(image["image"])


def test_an_overlay_names_its_base_and_size(tmp_path):
    assert overlay(str(tmp_path / "none")) == ("", 0)
    for content in (b"QFI", b"\0" * 64):
        (tmp_path / "other").write_bytes(content)
        assert overlay(str(tmp_path / "other")) == ("", 0)
    qcow2(tmp_path / "x" / "d", "/base")
    assert overlay(str(tmp_path / "x" / "d")) == ("/base", 4 << 30)


def test_where_images_lie(shop, tmp_path):
    elsewhere = str(tmp_path / "elsewhere")
    assert shop(image_base=None, environment={"POWERNODE_IMAGE_BASE": elsewhere})["evidence"]["image_base"] == elsewhere
    assert shop(check=True, image_base=None)["evidence"]["image_base"] == "/var/lib/bowline/images"


def test_all_that_is_wrong_comes_at_once(shop):
    with pytest.raises(FleetError) as caught:
        shop(name="../x", packages=["a,b"], mirror="-o=evil", release="a b", size_gib=0, image_base="relative")
    assert caught.value.code == "option_invalid"
    assert [word for word in ("name", "packages", "mirror", "release", "size_gib", "image_base") if f"{word}:" not in caught.value.message] == []


def test_an_image_is_the_one_that_was_published_or_named(shop, tmp_path):
    image = shop()["image"]
    other = tmp_path / "other.qcow2"
    other.write_text("disk", encoding="utf-8")
    sha256 = hashlib.sha256(b"disk").hexdigest()
    proven(image["image"], "", False)
    proven(image["image"], image["sha256"], False)
    proven(str(other), sha256, False)
    proven(str(other), "", True)
    proven(str(tmp_path / "none"), "", False)
    for path, wanted, accept, code in ((other, "", False, "image_not_published"), (other, "0" * 64, True, "image_digest"),
                                       (image["image"], sha256, False, "image_digest")):  # fmt: skip
        with pytest.raises(FleetError) as caught:
            proven(str(path), wanted, accept)
        assert caught.value.code == code
    (Path(image["image"]) / "usr/bin/true").write_text("changed", encoding="utf-8")
    with pytest.raises(FleetError) as caught:
        proven(image["image"], "", True)
    assert caught.value.code == "image_digest"
    # A name that was published anew stands for the new build; the old one has to be named by its digest then.
    shop(packages=["curl"])
    with pytest.raises(FleetError) as caught:
        proven(image["image"], "", False)
    assert caught.value.code == "image_not_published"


def test_nothing_is_laid_down_for_an_image_that_nobody_has_published(tmp_path):
    image, folder = tmp_path / "rootfs", tmp_path / "machines"
    (image / "usr").mkdir(parents=True)
    given = {**params("local_nspawn", folder=str(folder)), "mode": "real", "spec": {**NSPAWN, "image": str(image)}}
    for check in (True, False):
        with pytest.raises(FleetError) as caught:
            room.run(given, room.factory(given, Builder()), {}, check)
        assert caught.value.code == "image_not_published" and not (folder / "nspawn").exists()


def test_mounts_below_a_folder_and_no_others():
    table = "\n".join(f"36 35 98:0 / {point} rw shared:1 - ext4 /dev/root rw" for point in (
        "/", "/images/a/k.new", "/images/a/k.new/rootfs/proc", r"/images/a/k.new/rootfs/a\040b", "/images/a/k.newer/rootfs/proc", "/dev"))  # fmt: skip
    assert below(table, "/images/a/k.new") == ["/images/a/k.new/rootfs/proc", "/images/a/k.new/rootfs/a b"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_mounts_of_a_killed_build_are_ended_and_the_hosts_stay(shop, tmp_path):
    """A bind of a shared mount with one below it: what ends here must not end there. The folder is removed after it, and the build made anew."""
    host = tmp_path / "host"
    left = shop.base / "debian-12" / f"{shop(check=True)['evidence']['key']}.new" / "rootfs"
    (left / "dev").mkdir(parents=True)
    host.mkdir()
    commands = [["mount", "-t", "tmpfs", "tmpfs", str(host)], ["mount", "--make-shared", str(host)], ["mkdir", str(host / "inner")],
                ["mount", "-t", "tmpfs", "tmpfs", str(host / "inner")], ["mount", "--rbind", str(host), str(left / "dev")]]  # fmt: skip
    try:
        for argv in commands:
            subprocess.run(argv, check=True)
        (host / "inner" / "kept").write_text("of the host", encoding="utf-8")
        assert steps(shop()) == ["build", "publish"]
        assert (host / "inner" / "kept").read_text(encoding="utf-8") == "of the host"
        assert str(left) not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    finally:
        subprocess.run(["umount", "--recursive", str(left / "dev")], check=False, capture_output=True)
        subprocess.run(["umount", "--recursive", str(host)], check=True)
