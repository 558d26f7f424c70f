# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian with systemd, booted by systemd-nspawn on the lab's bridge from a folder that survives every stop but a purge."""
from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import typing as t
from pathlib import Path

from . import image, settings
from .shell import Daemon, LabError, run, wait, write

_NETWORK = Path("etc/systemd/network/10-host0.network")


class Machine:
    """One machine. ``ssh`` is the folder with the client's key, the machine's own key and the file of known hosts."""

    def __init__(
        self, name: str, address: str, rootfs: Path, ssh: Path, daemon: Daemon, disk: t.Callable[[], str] = lambda: image.name("target")
    ) -> None:
        self.name = name
        self.address = address
        self.rootfs = rootfs
        self.daemon = daemon
        self.ssh_options = [
            "-i", str(ssh / "id_ed25519"), "-o", f"UserKnownHostsFile={ssh / 'known_hosts'}", "-o", "IdentitiesOnly=yes",
            "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=3",
        ]
        self._ssh = ssh
        # The image that a new disk is made from.
        self._disk = disk
        self._unit = f"bowline-lab-{daemon.name}"
        self._word = f"--machine={name}"
        self._link = f"vb-{name}"

    def ssh(self, *argv: str, check: bool = True, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        return run(["ssh", *self.ssh_options, f"root@{self.address}", *argv], check=check, timeout=timeout)

    def state(self) -> str:
        """What systemd there says of itself (running, degraded, starting …), ``off`` or ``unreachable``."""
        if self.daemon.pid() is None:
            return "off"
        done = self.ssh("systemctl", "is-system-running", check=False)
        return done.stdout.strip() or "unreachable"

    def ensure(self, equip: t.Callable[[Path], None] = lambda root: None) -> str:
        """Boot it, from a disk that is made when there is none; ``equip`` gets the root of a new disk before its first boot."""
        unpacked = not self.rootfs.exists()
        if unpacked:
            self._unpack(equip)
        if self.daemon.pid() and not self._attached():
            # The bridge was made anew: the machine's end of it hangs in the air.
            self.stop()
        started = self.daemon.pid() is None
        if started:
            self._start()
        try:
            wait(f"{self.name} to boot", lambda: self.daemon.pid() is None or self.state() in ("running", "degraded"), 60, 0.2)
        except LabError as problem:
            raise LabError(f"{problem}\n{self.daemon.tail()}") from None
        if self.daemon.pid() is None:
            raise LabError(f"{self.name} ended while it booted:\n{self.daemon.tail()}")
        done = "unpacked and booted" if unpacked else "booted" if started else "runs"
        return f"{done}, systemd is {self.state()}"

    def stop(self) -> None:
        if Path("/run/systemd/system").is_dir():
            run(["systemctl", "stop", self._unit], check=False)
        # systemd-nspawn turns SIGTERM into an orderly shutdown of the machine.
        self.daemon.stop(25)
        self._end_orphan()

    def remove(self) -> None:
        if self.rootfs.exists():
            # At once: a removal that was killed must not leave half a disk that looks like one.
            gone = self.rootfs.with_name("rootfs.gone")
            shutil.rmtree(gone, ignore_errors=True)
            self.rootfs.rename(gone)
        if self.rootfs.parent.exists():
            shutil.rmtree(self.rootfs.parent)

    def kill_unit(self, unit: str) -> None:
        if not re.fullmatch(r"[\w@.:\\-]+", unit):
            raise LabError(f"{unit!r} is no unit name.")
        self.ssh("systemctl", "kill", "--signal=KILL", "--kill-who=all", unit)

    def heal_units(self) -> str:
        """Start again whatever failed."""
        failed = self.ssh("systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--full").stdout.split("\n")
        names = [line.split()[0] for line in failed if line.strip()]
        for unit in names:
            self.ssh("systemctl", "reset-failed", unit)
            self.ssh("systemctl", "start", unit, check=False, timeout=60)
        return f"started {', '.join(names)}" if names else "nothing failed"

    def _attached(self) -> bool:
        return bool(run(["ip", "link", "show", "dev", self._link, "master", settings.BRIDGE], check=False).stdout.strip())

    def _init(self) -> int | None:
        """PID of the first process of a machine that runs from our root, with or without its systemd-nspawn."""
        if not self.rootfs.exists():
            return None
        root = self.rootfs.stat()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                same = (folder / "root").stat()[1:3] == root[1:3]
                if same and re.search(r"^NSpid:.*\t1$", (folder / "status").read_text(encoding="utf-8"), re.M):
                    return int(folder.name)
        return None

    def _strangers(self) -> list[int]:
        """PIDs of every systemd-nspawn that runs a machine of this name without being ours."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if words[0] == b"systemd-nspawn" and self._word.encode() in words and int(folder.name) != self.daemon.pid():
                    found.append(int(folder.name))
        return found

    def _end_orphan(self) -> None:
        """A machine outlives a systemd-nspawn that was killed: end it, with everything in it."""
        pid = self._init()
        if pid and self.daemon.pid() is None:
            os.kill(pid, signal.SIGKILL)
            wait("the orphaned machine to be gone", lambda: self._init() is None, 10)
        for pid in self._strangers():
            # Its disk is gone, so it cannot halt: end its first process, and systemd-nspawn ends with it.
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split():
                os.kill(int(child), signal.SIGKILL)
        wait("the machine of a clone that is gone to end", lambda: not self._strangers(), 10)
        if self.daemon.pid() is None:
            run(["ip", "link", "delete", self._link], check=False)

    def _start(self) -> None:
        self._end_orphan()
        argv: list[str | Path] = [
            "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe", "--link-journal=no", "--resolv-conf=off",
            "--timezone=off", self._word, f"--network-bridge={settings.BRIDGE}", "--boot", "-D", self.rootfs,
        ]
        if Path("/run/systemd/system").is_dir():
            # Where systemd runs the machine, the guest needs a unit of its own to keep its control groups in.
            argv = ["systemd-run", "--quiet", "--collect", "--pipe", "--wait", f"--unit={self._unit}", "-p", "Delegate=yes",
                    "-p", "KillMode=mixed", *argv]
        self.daemon.start(argv)

    def _unpack(self, equip: t.Callable[[Path], None]) -> None:
        new = self.rootfs.with_name("rootfs.new")
        if new.exists():
            shutil.rmtree(new)
        new.mkdir(parents=True)
        container = run(["docker", "create", "--label", f"{settings.LABEL}=export", self._disk(), "true"]).stdout.strip()
        try:
            with subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as export:
                packed = subprocess.run(["tar", "-x", "--numeric-owner", "-p", "-C", new], stdin=export.stdout, check=False)
            if export.returncode or packed.returncode:
                raise LabError(f"Unpacking {self.name} ended with {export.returncode} (export) and {packed.returncode} (tar).")
        finally:
            run(["docker", "rm", "-f", container], check=False)
        (new / ".dockerenv").unlink(missing_ok=True)
        write(new / "etc/hostname", f"{self.name}\n")
        write(new / "etc/hosts", f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        write(new / "etc/resolv.conf", f"nameserver {settings.PRIMARY}\nnameserver {settings.SECONDARY}\n")
        write(new / _NETWORK, (new / _NETWORK).read_text(encoding="utf-8").replace(f"={settings.TARGET}/", f"={self.address}/"))
        write(new / "root/.ssh/authorized_keys", (self._ssh / "id_ed25519.pub").read_text(encoding="utf-8"), 0o600)
        for suffix, mode in (("", 0o600), (".pub", 0o644)):
            key = (self._ssh / f"host_ed25519{suffix}").read_text(encoding="utf-8")
            write(new / f"etc/ssh/ssh_host_ed25519_key{suffix}", key, mode)
        equip(new)
        new.rename(self.rootfs)
