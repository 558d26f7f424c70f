# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether an image is the one that was built: asked once, before a machine is made from it."""

from __future__ import annotations

import os

from ..._core.errors import FleetError
from ..image.shelf import published_digest
from ..image.tree import digest, file_digest

_UNMADE = "No machine was made."


def proven(image: str, wanted: str, accept: bool) -> None:
    """The image at ``image`` has the digest ``wanted``; when that is empty, the one that node_image has published it with, unless ``accept``.

    All of it is read: about a second for a gigabyte. Raises FleetError "image_not_published" and "image_digest". One that is not there is not judged here.
    """
    if not image or not os.path.exists(image):
        return
    wanted = wanted or published_digest(image)
    if not wanted:
        if accept:
            return
        raise FleetError(
            "image_not_published",
            f"{image} is not published, so nobody can say whether it is the image that is meant. {_UNMADE}",
            remedy="Take the path that node_image returns, give image_sha256 beside it, or say accept_unpublished: true where that is right.",
            details={"image": image},
        )
    seen = digest(image) if os.path.isdir(image) else file_digest(image)
    if seen != wanted:
        raise FleetError(
            "image_digest",
            f"{image} has the digest {seen}, and {wanted} is wanted. {_UNMADE}",
            remedy="Find out who has changed it; build it anew with node_image, or correct image_sha256.",
            details={"image": image, "seen": seen, "wanted": wanted},
        )
