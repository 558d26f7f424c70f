# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's images: one root with Python and BusyBox, and variants that differ in version and in what they do wrong.

Built by the first engine, pushed to the registry. Nothing runs while they are built, so they need neither a network nor another engine.
"""
from __future__ import annotations

import hashlib
import typing as t

from .. import settings
from ..image import bootstrap
from ..shell import run
from . import registry
from .engine import OWN_SOCKET, docker, each
from .instance import Instance

FOLDER = settings.LAB / "swarm_app"
REPOSITORY = "app"
BASE = f"{settings.PROJECT}/swarm-base"
_KEY = f"{settings.LABEL}.key"
# tag: what it does wrong, see swarm_app/app.py. Each is version 1 unless its tag is a number.
TAGS = {
    "1": "", "2": "", "3": "",
    "unhealthy": "unhealthy",
    "crash": "crash",
    "slow": "slow=10",
    "errors": "errors=100",
}
# Without a health check, which is what many images are.
PLAIN = "plain"
_RELEASE = "bookworm"
_PACKAGES = "busybox-static,python3"
# Only unpacked, not configured: 50 MB in place of 200. The links are what Debian's packages would have made.
_APPLETS = "cat env ls sh sleep wget"
_OPTIONS = (
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    f'--extract-hook=for name in {_APPLETS}; do ln -s busybox "$1/usr/bin/$name"; done',
    '--extract-hook=rm -rf "$1"/usr/share/doc "$1"/usr/share/man "$1"/usr/share/locale',
)


def key() -> str:
    """Hash of everything that goes into the images, apart from the packages of the day."""
    digest = hashlib.sha256(repr((TAGS, PLAIN, _RELEASE, _PACKAGES, _OPTIONS)).encode())
    for name in ("Dockerfile", "app.py"):
        digest.update((FOLDER / name).read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def reference(instance: Instance, tag: str) -> str:
    return f"{instance.registry}/{REPOSITORY}:{tag}"


def digests(instance: Instance) -> dict[str, str | None]:
    return {tag: registry.digest(instance, REPOSITORY, tag) for tag in (*TAGS, PLAIN)}


def ensure(instance: Instance) -> str:
    wanted = f"key-{key()}"
    found = "cached"
    # The tag with the key is pushed last, so it stands for all of them.
    if registry.digest(instance, REPOSITORY, wanted) is None or None in digests(instance).values():
        found = _build(instance, wanted)
    # Every engine has it already, so that no test waits for a first pull.
    first = f"{instance.registry}/{REPOSITORY}@{registry.digest(instance, REPOSITORY, '1')}"
    each(lambda member: docker(member, "image", "inspect", "-f", "-", first, check=False) or docker(member, "pull", "-q", first), instance.members)
    return found


def _build(instance: Instance, wanted: str) -> str:
    member = instance.members[0]
    tar = settings.CACHE / f"swarm-{hashlib.sha256(repr((_RELEASE, _PACKAGES, _OPTIONS)).encode()).hexdigest()[:8]}.tar"
    made = not tar.exists()
    if made:
        bootstrap(tar, _RELEASE, "extract", _PACKAGES, *_OPTIONS)
    docker(member, "import", "--change", f"LABEL {settings.LABEL}=image", tar, BASE)
    for tag, fault in TAGS.items():
        _variant(instance, tag, tag if tag.isdigit() else "1", fault, "app")
    _variant(instance, PLAIN, "1", "", "plain")
    docker(member, "tag", reference(instance, "1"), reference(instance, wanted))
    docker(member, "push", "-q", reference(instance, wanted))
    return f"built {len(TAGS) + 1}{' from a root made by mmdebstrap' if made else ''}"


def _variant(instance: Instance, tag: str, version: str, fault: str, stage: str) -> None:
    member = instance.members[0]
    arguments: list[t.Any] = [word for pair in (("VERSION", version), ("FAULT", fault), ("BASE", BASE)) for word in ("--build-arg", "=".join(pair))]
    run(["docker", "-H", member.socket, "build", "--target", stage, *arguments, "--label", f"{settings.LABEL}=image",
         "-t", reference(instance, tag), FOLDER], timeout=300, env=OWN_SOCKET)
    docker(member, "push", "-q", reference(instance, tag))
