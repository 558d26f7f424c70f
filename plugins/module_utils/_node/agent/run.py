# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring the agent's file to its condition on the host that this runs on."""

from __future__ import annotations

import os
import typing as t

from ..._core import private
from ..._core.result import Step, result
from . import archive

Params = t.Mapping[str, t.Any]


def run(params: Params, check_mode: bool) -> t.Dict[str, t.Any]:
    """``path`` holds the agent of this collection, or no file. Raises FleetError ``unsafe_path`` where others could swap what root runs."""
    path, content = params["path"], archive.build() if params["state"] == "present" else b""
    folder = private.folder(os.path.dirname(path), 0o755, make=bool(content) and not check_mode, field="path")
    place = os.path.join(folder, os.path.basename(path))
    before, mode = _seen(place)
    wanted = archive.digest(content) if content else ""
    steps = _steps(before, mode, wanted)
    if steps and not check_mode:
        if content:
            private.write(place, content, 0o755)
        else:
            os.unlink(place)
    return result(steps, before=before, after=wanted, digest=wanted, path=place)


def _seen(place: str) -> t.Tuple[str, int]:
    """Digest and mode of what is there; empty and 0 for nothing."""
    try:
        with os.fdopen(private.open_file(place, os.O_RDONLY, 0o755), "rb") as file:
            return archive.digest(file.read()), os.fstat(file.fileno()).st_mode & 0o777
    except FileNotFoundError:
        return "", 0


def _steps(before: str, mode: int, wanted: str) -> t.List[Step]:
    if before == wanted:
        return [Step("install", f"its mode is {mode:04o}, not 0755")] if wanted and mode != 0o755 else []
    if not wanted:
        return [Step("remove", f"{before} is there")]
    return [Step("install", f"{before or 'nothing'} is there, not {wanted}")]
