# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a proxy waits for an answer, and how long its requests may be held. Pure."""

from __future__ import annotations

from .._core.errors import FleetError

# What is assumed of a proxy whose configuration is not read (driver command): the default of nginx (proxy_read_timeout).
UNKNOWN = 60.0
# After its hold a request still needs the time of the application; of a short timeout half is left for that.
_ROOM = 5.0


def longest_hold(timeout: float) -> float:
    """The longest hold, in seconds, behind a proxy that waits for ``timeout`` seconds."""
    return timeout - min(_ROOM, timeout / 2)


def of(driver: str, asked: float | None, read: float | None) -> tuple[float | None, str]:
    """Seconds that a proxy waits, None for no limit, and where that is from: the option, or what its driver read."""
    if asked is not None:
        return asked, "proxy.timeout"
    if driver == "command":
        return UNKNOWN, "assumed of a proxy whose configuration is not read; proxy.timeout says it"
    return read, "as its configuration says"


def too_long(hold_max: float, timeout: float | None, source: str) -> FleetError | None:
    """The failure ``hold_refused`` when a held request could outlive the patience of the proxy; ``source`` says where that is from."""
    if timeout is None or hold_max <= longest_hold(timeout):
        return None
    most = longest_hold(timeout)
    return FleetError(
        "hold_refused",
        f"hold_max is {hold_max:g} s, and the proxy gives a request up after {timeout:g} s ({source}): clients would get its errors while they"
        " are held. Nothing was changed.",
        remedy=f"Set hold_max (edge_hold_max) to {most:g} or less, or let the proxy wait for {hold_max + _ROOM:g} s or longer.",
        details={"field": "hold_max", "hold_max": hold_max, "timeout": timeout, "most": most},
    )
