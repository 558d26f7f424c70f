# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages that the lab needs on the machine: installed when missing, never started."""
from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

from .shell import LabError, ok, run, write

PROGRAMS = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "knotd": "knot",
    "kdig": "knot-dnsutils",
    "knsupdate": "knot-dnsutils",
    "ip": "iproute2",
    "iptables": "iptables",
    "openssl": "openssl",
    "ssh": "openssh-client",
    "psql": "postgresql-client",
}

# Compose v2 is not in bookworm; trixie's package runs there. Priority 100: nothing else is ever taken from trixie.
TRIXIE = """Types: deb
URIs: http://deb.debian.org/debian
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
PIN = "Package: *\nPin: release n=trixie\nPin-Priority: 100\n"
SOURCE = Path("/etc/apt/sources.list.d/bowline-trixie.sources")
PREFERENCES = Path("/etc/apt/preferences.d/bowline-trixie")


# Started by the lab itself: the service that a package enables would come with the next boot.
SERVICES = {"knot": "knot.service", "docker-registry": "docker-registry.service"}


def missing(programs: t.Mapping[str, str] | None = None) -> list[str]:
    """Packages whose program is not on PATH, sorted."""
    return sorted({package for program, package in (PROGRAMS if programs is None else programs).items() if not _found(program)})


def _found(program: str) -> bool:
    return any(shutil.which(program, path=path) for path in (None, "/usr/sbin:/sbin"))


def ensure(programs: t.Mapping[str, str] | None = None, compose: bool = True) -> str:
    """Install what is missing; a sentence about what was done. ``programs`` are names of programs with their package."""
    programs = PROGRAMS if programs is None else programs
    done = []
    names = missing(programs)
    if names:
        if not shutil.which("apt-get"):
            raise LabError(f"Please install what the lab needs and apt-get cannot: {', '.join(names)}.")
        _apt(names)
        done += names
        # Since Debian 13 the client is a package of its own.
        if "docker" in programs and not _found("docker"):
            _apt(["docker-cli"])
    if compose and not ok(["docker", "compose", "version"]):
        done.append(_compose())
    return f"installed {', '.join(done)}" if done else "all there"


def _compose() -> str:
    for package in ("docker-compose-v2", "docker-compose-plugin"):
        if _candidate(package):
            _apt([package])
            return package
    if not ok(["apt-get", "install", "--simulate", "docker-compose/trixie"]):
        write(PREFERENCES, PIN)
        write(SOURCE, TRIXIE)
    _apt(["docker-compose/trixie"])
    return "docker-compose"


def _candidate(package: str) -> bool:
    policy = run(["apt-cache", "policy", package], check=False).stdout
    return "Candidate:" in policy and "Candidate: (none)" not in policy


def _apt(names: list[str]) -> None:
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
    # Services that a package brings stay down: dpkg asks this file, which is removed again.
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        write(policy, "#!/bin/sh\n# bowline lab, removed after the installation\nexit 101\n", 0o755)
    try:
        run(["apt-get", "update", "-q"], env=environment)
        run([*install, *names], env=environment, timeout=900)
    finally:
        if ours:
            policy.unlink(missing_ok=True)
    for name in sorted(SERVICES.keys() & set(names)):
        run(["systemctl", "disable", SERVICES[name]], check=False)
