# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fresh root file system as the image of many machines: nothing in it is of one machine, and it boots without detours."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import typing as t

from ..machine.files import TOLD

# Each machine makes its own: ssh-keygen(1), -A, makes those that are missing. The keys that the package made while the image was built would be the same
# on all of them. The console is a file of the machine's host, so the key that is told there is known without a word over the network.
_HOST_KEYS = f"""[Unit]
Description=Host keys of this machine, told on its console
Before=ssh.service

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A
ExecStart=/usr/bin/sed "s/^/{TOLD}/" /etc/ssh/ssh_host_ed25519_key.pub
StandardOutput=journal+console

[Install]
WantedBy=multi-user.target
"""
_WIRED = "[Match]\nName=en*\n\n[Network]\nDHCP=ipv4\n"
# Work of the first boot that changes nothing in an image that was just made, and timers that fetch.
_MASKED = ("ldconfig.service", "systemd-journal-catalog-update.service", "systemd-networkd-wait-online.service", "apt-daily.timer",
           "apt-daily-upgrade.timer", "man-db.timer")  # fmt: skip
_ENABLED = ("bowline-host-keys.service", "systemd-networkd.service")


def generalise(root: str) -> None:
    """Of no machine yet: machine-id(5) is empty and made at the first boot; no host name, no host keys, no resolver of the builder."""
    etc = os.path.join(root, "etc")
    _write(os.path.join(etc, "machine-id"), "")
    for name in ("hostname", "resolv.conf", *(f"ssh/{key}" for key in _listed(os.path.join(etc, "ssh")) if key.startswith("ssh_host_"))):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(etc, name))
    units = os.path.join(etc, "systemd", "system")
    _write(os.path.join(units, "bowline-host-keys.service"), _HOST_KEYS)
    _write(os.path.join(etc, "systemd", "network", "20-wired.network"), _WIRED)
    for name in _ENABLED:
        place = "/etc" if name.startswith("bowline") else "/usr/lib"
        _link(os.path.join(units, "multi-user.target.wants", name), f"{place}/systemd/system/{name}")
    for name in _MASKED:
        _link(os.path.join(units, name), "/dev/null")
    # systemd.unit(5), ConditionNeedsUpdate=: /usr is not newer than what was made of it.
    for folder in ("etc", "var"):
        _write(os.path.join(root, folder, ".updated"), "")


def digest(root: str) -> str:
    """sha256 over names, kinds, modes, owners and contents, in the order of the names; times and hard links do not count."""
    total = hashlib.sha256()
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted([*files, *(one for one in folders if os.path.islink(os.path.join(folder, one)))]):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content = os.readlink(path).encode() if stat.S_ISLNK(status.st_mode) else b""
            if stat.S_ISREG(status.st_mode):
                content = file_digest(path).encode()
            head = f"{os.path.relpath(path, root)}\0{status.st_mode}\0{status.st_uid}\0{status.st_gid}\0{status.st_rdev}\0"
            total.update(head.encode("utf-8", "surrogateescape") + content + b"\n")
        status = os.lstat(folder)
        total.update(f"{os.path.relpath(folder, root)}/\0{status.st_mode}\0{status.st_uid}\0{status.st_gid}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def file_digest(path: str) -> str:
    total = hashlib.sha256()
    with open(path, "rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            total.update(part)
    return total.hexdigest()


def newest(folder: str, prefix: str) -> t.Optional[str]:
    """The last file in ``folder`` that begins so, by name."""
    names = sorted(name for name in _listed(folder) if name.startswith(prefix))
    return os.path.join(folder, names[-1]) if names else None


def _listed(folder: str) -> t.List[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o644)


def _link(path: str, target: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.symlink(target, path)
