# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What guests of qemu need on this host: libvirt's daemons, a network without a way out, and somebody who looks where a secret shows."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import typing as t
from pathlib import Path

from .shell import LabError, run, wait

URI = "qemu:///system"
NETWORK = "bowline-node"
# libvirt's own server gives the addresses; without <forward> nothing leaves this host: https://libvirt.org/formatnetwork.html#connectivity
_NETWORK = """<network><name>{name}</name><bridge name='bowline-guest'/><ip address='10.213.78.1' netmask='255.255.255.0'>
<dhcp><range start='10.213.78.10' end='10.213.78.60'/></dhcp></ip></network>"""
_PROGRAMS = {
    "libvirtd": "libvirt-daemon-system", "virtlogd": "libvirt-daemon-system", "virsh": "libvirt-clients",
    "qemu-system-x86_64": "qemu-system-x86 (10 or newer)", "dnsmasq": "dnsmasq-base",
}  # fmt: skip


def missing() -> str:
    """Packages that guests need and that are not installed, in one line."""
    return ", ".join(sorted({package for program, package in _PROGRAMS.items() if shutil.which(program) is None}))


def virsh(*argv: str) -> str:
    """What virsh prints; empty when it fails."""
    return run(["virsh", "-q", "-c", URI, *argv], check=False, timeout=120).stdout


@contextlib.contextmanager
def hypervisor(folder: Path) -> t.Iterator[None]:
    """libvirt that answers, and the network. What did not run before runs no longer after it, and the network is gone."""
    lacks = missing()
    if lacks:
        raise LabError(f"Guests of qemu need: {lacks}. make node without NODE_PROVIDER needs none of them.")
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for program in ("virtlogd", "libvirtd"):
            if not virsh("version"):
                daemons.append(subprocess.Popen([program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True))
        wait("libvirtd to answer", lambda: bool(virsh("version")), 60, 0.5)
        virsh("net-destroy", NETWORK)
        file = folder / "network.xml"
        file.write_text(_NETWORK.format(name=NETWORK), encoding="utf-8")
        run(["virsh", "-q", "-c", URI, "net-create", file])
        yield
    finally:
        virsh("net-destroy", NETWORK)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(30)


def address(name: str) -> str:
    """The address that libvirt's server has given to a guest; empty when it has none."""
    words = virsh("domifaddr", name, "--source", "lease").split()
    return next((word.partition("/")[0] for word in words if word.count(".") == 3), "")


class Watch:
    """Looks for ``secret`` in every argument of every process, twice a second, and on demand in definitions, logs and files of ours.

    ``found`` names the places; ``looks`` counts what was read. ``own`` are the files that hold it by right.
    """

    def __init__(self, secret: str, domain: str, folder: Path, own: t.Sequence[Path]) -> None:
        self._secret, self._domain, self._folder, self._own = secret.encode(), domain, folder, {path.resolve() for path in own}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.found: set[str] = set()
        self.looks = 0

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def said(self, place: str, text: str | bytes) -> None:
        """Look into a text."""
        self.looks += 1
        if self._secret in (text.encode() if isinstance(text, str) else text):
            self.found.add(place)

    def look(self) -> None:
        """Definitions, and every file that libvirt, qemu or we have written. The folder of credentials is where it lies by right."""
        for flags in ((), ("--inactive",), ("--security-info",)):
            self.said(f"definition {' '.join(flags)}".strip(), virsh("dumpxml", self._domain, *flags))
        files = [path for path in self._folder.rglob("*") if path.is_file() and not path.name.endswith(".qcow2") and path.parent.name != "credentials"]
        kept = [path for folder in ("/var/log/libvirt", "/etc/libvirt", "/run/libvirt") for path in Path(folder).rglob("*") if path.is_file()]
        for path in (*files, *kept):
            if path.resolve() not in self._own:
                self.said(str(path), _bytes(path))

    def _sample(self) -> None:
        while not self._over.wait(0.5):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                self.said(f"arguments of a process: {path}", _bytes(path))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
