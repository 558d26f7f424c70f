# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running outside programs on the controller: the only place of the collection with ``subprocess``."""

from __future__ import annotations

import os
import subprocess
import typing as t

from ..module_utils._core.errors import FleetError
from ..module_utils._core.runner import Completed


def run(
    argv: t.Sequence[str], *, env: t.Mapping[str, str] | None = None, stdin: str | None = None, timeout: float | None = None
) -> Completed:
    """A `Runner` for controller plugins, see _core/runner.py."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell, the argv is ours
            list(argv),
            env={**os.environ, **(env or {})},
            input=stdin,
            timeout=timeout,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise FleetError("tool_missing", f"{argv[0]} was not found.", remedy=f"Install the package that brings {argv[0]}.") from error
    except subprocess.TimeoutExpired as error:
        return Completed(124, _text(error.stdout), _text(error.stderr))
    return Completed(done.returncode, done.stdout, done.stderr)


def _text(output: t.Any) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""
