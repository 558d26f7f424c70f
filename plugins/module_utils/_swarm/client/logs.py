# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of a task, out of the frames in which the engine sends them."""

from __future__ import annotations

# At most this much of one task's log is kept, from its end.
KEPT = 64 * 1024


def text_of(content: bytes) -> str:
    """Both streams in the order in which they came.

    A frame is one byte for the stream (0 to 2), three zeros, four bytes of length, and so many bytes; a task with a terminal has no frames
    (https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach, stream format).
    """
    framed = content[:1] in (b"\x00", b"\x01", b"\x02") and content[1:4] == b"\x00\x00\x00"
    return (_unframed(content) if framed else content)[-KEPT:].decode("utf-8", "replace")


def _unframed(content: bytes) -> bytes:
    parts, place = [], 0
    while place + 8 <= len(content):
        length = int.from_bytes(content[place + 4 : place + 8], "big")
        parts.append(content[place + 8 : place + 8 + length])
        place += 8 + length
    return b"".join(parts)
