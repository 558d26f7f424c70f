# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images of Debian, built by node_image itself and kept for the next run, a folder for machines that is empty again afterwards, and a guest of qemu."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from ansible_collections.bowline.fleet.plugins.module_utils._node.image import run as images
from ansible_collections.bowline.fleet.plugins.module_utils._node.image.debian import MIRROR, SECURITY
from ansible_collections.bowline.fleet.tests.loading import load

ROOT = Path(__file__).resolve().parents[3]
drive = load(Path(__file__).with_name("drive.py"), "bowline_node_drive")
CACHE = ROOT / "build" / "cache" / "node"
SECRET = "canary-b20c77e1"


def built(kind: str, release: str = "bookworm"):
    given = {"name": f"test-{release}-{kind[6:]}", "kind": kind, "state": "published", "release": release, "packages": [], "mirror": MIRROR,
             "security_mirror": SECURITY, "size_gib": 2, "image_base": str(CACHE), "machines_folder": str(CACHE / "none")}  # fmt: skip
    return images.run(given, drive.runner, {})["image"]


@pytest.fixture(scope="session")
def image():
    assert os.geteuid() == 0, "root is needed: a machine of systemd-nspawn is made of files of all users"
    return built("local_nspawn")["image"]


@pytest.fixture
def rig():
    return drive


@pytest.fixture
def machines(tmp_path):
    """Whatever a test that failed has left runs no longer."""
    folder = tmp_path / "machines"
    yield folder
    for node, instance in (("web-1", drive.IDS[0]), ("web-2", drive.IDS[1])):
        drive.drive([drive.params("local_nspawn", folder, "absent", node, instance)])


class Guest:
    """What a real guest of qemu needs: an image where qemu's own user comes to, a key, a secret, and a libvirt that runs."""

    uri, secret = "qemu:///system", SECRET

    def __init__(self, base: Path) -> None:
        self.base, self.folder = base, base / "machines"
        base.chmod(0o711)
        made = built("local_qemu", "trixie")
        for name in ("image", "kernel", "initrd"):
            subprocess.run(["cp", "--reflink=auto", made[name], str(base / name)], check=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(base / "key")], check=True)
        (base / "key.pub").chmod(0o600)
        (base / "token").write_text(SECRET, encoding="utf-8")
        (base / "token").chmod(0o600)
        credentials = {"token": str(base / "token"), "ssh.authorized_keys.root": str(base / "key.pub")}
        self.spec = {"image": str(base / "image"), "image_sha256": made["sha256"], "kernel": str(base / "kernel"),
                     "initrd": str(base / "initrd"), "network": "default",
                     "cmdline": "root=/dev/vda rw console=ttyS0", "vcpus": 2, "disk_gib": 4, "credentials": credentials}  # fmt: skip
        self._daemons, self._network = [], False

    def start(self) -> None:
        for program in ("virtlogd", "libvirtd"):
            if not self._virsh("version").stdout:
                self._daemons.append(subprocess.Popen([program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait(lambda: self._virsh("version").stdout, 30, "libvirtd to answer")
        if "default" not in self._virsh("net-list", "--name").stdout.split():
            self._network = self._virsh("net-start", "default").returncode == 0

    def stop(self) -> None:
        try:
            drive.elsewhere([drive.params("local_qemu", self.folder, "absent", uri=self.uri)])
        finally:
            # Whatever the module has left, when it is the module that fails.
            if "web-1" in self._virsh("list", "--all", "--name").stdout.split():
                self._virsh("destroy", "web-1")
                self._virsh("undefine", "web-1")
            if self._network:
                self._virsh("net-destroy", "default")
            for daemon in reversed(self._daemons):
                daemon.terminate()
                daemon.wait(20)

    def address(self, rig, given) -> str:
        """The address that the guest has got, as the module reads it, once SSH answers there."""

        def reachable() -> str:
            found = rig.elsewhere([given])["results"][0]["machine"]["addresses"]
            return found[0] if found and self.ssh(found[0], "true", check=False) is not None else ""

        return wait(reachable, 900, "the guest to answer SSH")

    def ssh(self, address: str, *argv: str, check: bool = True):
        options = ["-i", str(self.base / "key"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
                   "-o", "ConnectTimeout=30"]  # fmt: skip
        done = subprocess.run(["ssh", *options, f"root@{address}", *argv], capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout.strip() if done.returncode == 0 else None

    def leaks(self) -> list[str]:
        """Where the secret stands that it must not: definitions, arguments, logs, the console."""
        texts = {f"xml {flag}": self._virsh("dumpxml", "web-1", *flag).stdout for flag in ((), ("--inactive",))}
        for path in [*Path("/proc").glob("[0-9]*/cmdline"), *Path("/var/log/libvirt/qemu").glob("web-1.log*"), *self.folder.glob("qemu/*/console.log")]:
            with contextlib.suppress(OSError):
                texts[str(path)] = path.read_bytes().decode("utf-8", "replace")
        return [place for place, text in texts.items() if SECRET in text]

    def _virsh(self, *argv: str):
        return subprocess.run(["virsh", "-q", "-c", self.uri, *argv], capture_output=True, text=True, check=False)


def wait(condition, seconds: float, what: str):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(1)
    return found


@pytest.fixture
def guest():
    if os.environ.get("BOWLINE_FAULTS") != "all":
        pytest.skip("make faults runs it: without KVM a boot takes more than a minute")
    missing = [name for name in ("libvirtd", "virtlogd", "virsh", "qemu-system-x86_64") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (libvirt-daemon-system, libvirt-clients, qemu-system-x86 10 or newer, dnsmasq-base)")
    with tempfile.TemporaryDirectory(prefix="bowline-guest-", dir="/var/tmp") as base:
        made = Guest(Path(base))
        try:
            made.start()
            yield made
        finally:
            made.stop()
