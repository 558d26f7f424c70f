# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images: the base pulled or made by mmdebstrap, everything else by one Dockerfile. Built again only when its inputs change."""
from __future__ import annotations

import hashlib
import importlib.util
import types
from pathlib import Path

from . import settings, versions
from .shell import LabError, run

BASE = f"{settings.PROJECT}/base"
STAGES = ("postgres", "app", "nginx", "frontend", "haproxy", "target")
_KEY = f"{settings.LABEL}.key"


def name(stage: str, major: int = versions.DEFAULT) -> str:
    """The image of ``stage``; one with another PostgreSQL has it as its tag, so each is kept."""
    return f"{settings.PROJECT}/{stage}" + ("" if major == versions.DEFAULT else f":{major}")


def _base_name(release: str) -> str:
    return BASE if release == versions.RELEASES[versions.DEFAULT] else f"{BASE}-{release}"


def key() -> str:
    """Hash of everything that goes into the images, apart from the packages of the day."""
    digest = hashlib.sha256()
    for folder in (settings.LAB / "images", settings.LAB / "app"):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(settings.LAB)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def ensure() -> str:
    wanted, majors = key(), versions.majors()
    every = [(stage, versions.DEFAULT) for stage in STAGES] + [("postgres", majors["legacy"]), ("target", majors["target"])]
    stale = [one for one in dict.fromkeys(every) if _label(name(*one)) != wanted]
    if not stale:
        return "cached"
    origins = {release: _base(release) for release in dict.fromkeys(versions.RELEASES[major] for _stage, major in stale)}
    for stage, major in stale:
        run(["docker", "build", "--target", stage, "--build-arg", f"BASE={_base_name(versions.RELEASES[major])}",
             "--build-arg", f"POSTGRES={major}", "--label", f"{_KEY}={wanted}", "--label", f"{settings.LABEL}=image",
             "-t", name(stage, major), "-f", settings.LAB / "images" / "Dockerfile", settings.LAB], timeout=900)
    built = ", ".join(stage if major == versions.DEFAULT else f"{stage} {major}" for stage, major in stale)
    return f"built {built} from {' and '.join(origins.values())}"


def _label(image: str) -> str | None:
    done = run(["docker", "image", "inspect", "-f", f'{{{{index .Config.Labels "{_KEY}"}}}}', image], check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def exists(image: str) -> bool:
    return run(["docker", "image", "inspect", "-f", "{{.Id}}", image], check=False).returncode == 0


def _base(release: str) -> str:
    base, public = _base_name(release), f"debian:{release}-slim"
    if exists(base):
        return "the cached base"
    if exists(public):
        run(["docker", "tag", public, base])
        return f"the {public} that was here"
    tar = settings.CACHE / f"base-{release}.tar"
    if not tar.exists():
        try:
            pulled = run(["docker", "pull", "-q", public], check=False, timeout=90).returncode == 0
        except LabError:
            pulled = False
        if pulled:
            run(["docker", "tag", public, base])
            run(["docker", "rmi", public], check=False)
            return f"a pulled {public}"
        bootstrap(tar, release, "minbase", "ca-certificates")
    run(["docker", "import", "--change", f"LABEL {settings.LABEL}=image", tar, base])
    return f"a {release} base made by mmdebstrap"


def bootstrap(tar: Path, release: str, variant: str, packages: str, *options: str) -> None:
    """The root of a Debian by mmdebstrap, as a tar that is there whole or not at all. ``variant`` and ``options`` as in mmdebstrap(1)."""
    tar.parent.mkdir(parents=True, exist_ok=True)
    new = tar.with_name(f".{tar.name}.new.tar")
    new.unlink(missing_ok=True)
    run(_debian().bootstrap(release, str(new), packages, *options, variant=variant), timeout=900)
    new.replace(tar)


def _debian() -> types.ModuleType:
    """How the collection makes a root file system of Debian; a file of the collection that needs no other one."""
    path = settings.TREE / "plugins" / "module_utils" / "_node" / "image" / "debian.py"
    spec = importlib.util.spec_from_file_location("bowline_debian", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
