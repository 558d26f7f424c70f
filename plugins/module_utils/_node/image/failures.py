# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about failures of images; see _core/failures.py."""

from __future__ import annotations

from ..._core.failures import NOTHING_WRITTEN, Advice

ADVICE = {
    "image_build_failed": Advice(
        "A program that the build needs ended with an error, which stands in the message: the mirror did not answer, a package does not exist in this release,"
        " or the disk is full.",
        "Mend what it says, then run again: a build that was begun is made anew from its start.",
        "Every image that was there, and what is published.",
    ),
    "image_digest": Advice(
        "A file of a build was changed since it was built.",
        "Find out who writes below `image_base`. Remove the folder of the build that is named and run again: it is built anew.",
        "What was published before stays published; machines that run are untouched.",
    ),
    "image_in_use": Advice(
        "Disks of qemu machines are laid over a build of this image, or volatile machines run on it; without it they would be lost.",
        "Remove the machines that are named (`node_machine`, `state=absent`), or keep the image.",
        NOTHING_WRITTEN,
    ),
}
