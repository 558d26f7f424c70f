# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images of machines: what is asked for, and what stands below ``image_base``. Pure."""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import asdict, dataclass, field

from .debian import GUEST, KERNELS, PACKAGES

FAILURES: t.Dict[str, str] = {
    "image_build_failed": "The image could not be built; the program and its last words are named.",
    "image_digest": "A file of the image is not the one that was built; nothing was published.",
    "image_in_use": "Machines are made of this image and need it; they are named.",
}

# Changed with what `tree` does to a root file system, so that an image of an older way is not taken for one of today's.
RECIPE = 2


@dataclass(frozen=True)
class Recipe:
    """All that goes into an image, apart from what the mirror has on the day. ``size_gib`` is that of the file system of a qemu disk."""

    name: str
    kind: str
    release: str
    packages: t.Tuple[str, ...]
    mirror: str
    security_mirror: str
    size_gib: int
    machine: str

    @property
    def all_packages(self) -> t.Tuple[str, ...]:
        guest = (*GUEST, KERNELS[self.machine]) if self.kind == "local_qemu" else ()
        return tuple(sorted({*PACKAGES, *guest, *self.packages}))

    @property
    def key(self) -> str:
        """The hash of the inputs, 16 digits; the name does not count."""
        inputs = {**asdict(self), "name": "", "packages": self.all_packages, "recipe": RECIPE}
        inputs["size_gib"] = self.size_gib if self.kind == "local_qemu" else 0
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Built:
    """One build. ``files`` are sha256 digests by name below ``folder``; the one of ``main`` is the digest of the image."""

    folder: str
    main: str
    files: t.Mapping[str, str]


@dataclass(frozen=True)
class Seen:
    """``built`` is the build that is asked for; ``published`` is what the name stands for; ``folders`` are all builds of the name."""

    built: t.Optional[Built] = None
    published: t.Mapping[str, t.Any] = field(default_factory=dict)
    folders: t.Tuple[str, ...] = ()
