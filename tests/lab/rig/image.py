# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images: the base pulled or made by mmdebstrap, everything else by one Dockerfile. Built again only when its inputs change."""
from __future__ import annotations

import hashlib

from . import settings
from .shell import LabError, run

PULLED = "debian:bookworm-slim"
BASE = f"{settings.PROJECT}/base"
TARGET = f"{settings.PROJECT}/target"
STAGES = ("postgres", "app", "nginx", "frontend", "haproxy", "target")
_KEY = f"{settings.LABEL}.key"


def name(stage: str) -> str:
    return f"{settings.PROJECT}/{stage}"


def key() -> str:
    """Hash of everything that goes into the images, apart from the packages of the day."""
    digest = hashlib.sha256()
    for folder in (settings.LAB / "images", settings.LAB / "app"):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(settings.LAB)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def ensure() -> str:
    wanted = key()
    stale = [stage for stage in STAGES if _label(name(stage)) != wanted]
    if not stale:
        return "cached"
    origin = _base()
    for stage in stale:
        run(["docker", "build", "--target", stage, "--build-arg", f"BASE={BASE}", "--label", f"{_KEY}={wanted}",
             "--label", f"{settings.LABEL}=image", "-t", name(stage), "-f", settings.LAB / "images" / "Dockerfile", settings.LAB],
            timeout=900)
    return f"built {', '.join(stale)} from {origin}"


def _label(image: str) -> str | None:
    done = run(["docker", "image", "inspect", "-f", f'{{{{index .Config.Labels "{_KEY}"}}}}', image], check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def exists(image: str) -> bool:
    return run(["docker", "image", "inspect", "-f", "{{.Id}}", image], check=False).returncode == 0


def _base() -> str:
    if exists(BASE):
        return "the cached base"
    if exists(PULLED):
        run(["docker", "tag", PULLED, BASE])
        return f"the {PULLED} that was here"
    tar = settings.CACHE / "base-bookworm.tar"
    if not tar.exists():
        try:
            pulled = run(["docker", "pull", "-q", PULLED], check=False, timeout=90).returncode == 0
        except LabError:
            pulled = False
        if pulled:
            run(["docker", "tag", PULLED, BASE])
            run(["docker", "rmi", PULLED], check=False)
            return f"a pulled {PULLED}"
        settings.CACHE.mkdir(parents=True, exist_ok=True)
        new = tar.with_name(".base-new.tar")
        new.unlink(missing_ok=True)
        run(["mmdebstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", new, "http://deb.debian.org/debian",
             "deb http://deb.debian.org/debian-security bookworm-security main"], timeout=900)
        new.replace(tar)
    run(["docker", "import", "--change", f"LABEL {settings.LABEL}=image", tar, BASE])
    return "a base made by mmdebstrap"
