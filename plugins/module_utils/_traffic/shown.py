# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a result and its diff show: our own files without the token, and of a proxy's configuration nothing but the lines that change."""

from __future__ import annotations

import hashlib
import typing as t

from .._core.redact import MASK
from . import render
from .plan import Desired, Observed

if t.TYPE_CHECKING:
    from .proxies.insertion import Proxy


def before(observed: Observed, proxy: Proxy | None) -> dict[str, t.Any]:
    return {
        "files": {path: _text(path, content) for path, content in observed.files.items() if content is not None},
        "route": observed.route,
        "held": observed.held,
        "proxy": _part(observed.proxy_text, proxy),
    }


def after(observed: Observed, desired: Desired, proxy: Proxy | None) -> dict[str, t.Any]:
    return {
        "files": {path: _text(path, content) for path, content in desired.files.items()},
        "route": desired.route or observed.route or "local",
        "held": observed.held if desired.held is None else desired.held,
        "proxy": _part(observed.proxy_text if desired.proxy_text is None else desired.proxy_text, proxy),
    }


def _part(state: str | None, proxy: Proxy | None) -> t.Any:
    return None if state is None or proxy is None else proxy.shown(state)


def _text(path: str, content: bytes) -> str:
    """Text as it is, the archive as its digest, the token not at all."""
    if path.endswith(f"{render.PRIVATE}/{render.TOKEN_FILE}"):
        return MASK
    try:
        return render.masked(content.decode())
    except UnicodeDecodeError:
        return f"sha256 {hashlib.sha256(content).hexdigest()}"
