# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a root file system of Debian is made: the arguments of mmdebstrap(1). Pure, and free of other files, since the lab makes its bases with it."""

from __future__ import annotations

import typing as t

MIRROR = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
# What a machine needs to boot, to be reached by SSH, to run modules and to become a member.
PACKAGES = ("dbus", "iproute2", "openssh-server", "openssl", "python3", "systemd", "systemd-sysv")
# What a guest of qemu needs on top; the kernel is the one for virtual machines, by machine of uname(2).
GUEST = ("initramfs-tools", "udev", "zstd")
KERNELS = {"x86_64": "linux-image-cloud-amd64", "aarch64": "linux-image-cloud-arm64"}


def bootstrap(release: str, target: str, packages: str, *options: str, variant: str = "minbase", mirror: str = MIRROR, security: str = SECURITY) -> t.List[str]:
    """The command that makes ``target``, a folder or a file that ends in .tar, with ``packages`` (comma-separated) and the security updates."""
    return ["mmdebstrap", f"--variant={variant}", f"--include={packages}", *options, release, target, mirror, f"deb {security} {release}-security main"]
