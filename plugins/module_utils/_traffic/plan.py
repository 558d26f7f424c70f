# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps from what was observed to what is desired. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._core.result import Step


@dataclass(frozen=True)
class Observed:
    """What is on this host now. ``files`` maps a path to its content (None: missing), ``mark`` names the running configuration."""

    files: t.Mapping[str, bytes | None]
    running: bool = False
    mark: str = ""
    route: str | None = None
    held: bool = False
    proxy_text: str | None = None
    proxy_taken: str | None = None
    leftovers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Desired:
    """What should be here. ``route`` and ``held`` None leave them as they are, ``proxy_text`` None leaves the proxy alone.

    ``proxy_digest`` is of ``proxy_text``: the proxy has taken it when the record of the last reload says the same. ``reloads`` says whether the
    proxy starts new workers for it, whose old ones end kept connections.
    """

    files: t.Mapping[str, bytes] = field(default_factory=dict)
    mark: str = ""
    route: str | None = None
    held: bool | None = None
    proxy_text: str | None = None
    proxy_digest: str = ""
    reloads: bool = False


# RFC 9112, 9.3.1: a client asks again on a new one; who does not look sees an end of file.
_ENDS = "; its reload ends kept connections between two requests"


def plan_present(observed: Observed, desired: Desired) -> tuple[Step, ...]:
    """Files, then the running process, then the route under it, and the proxy last: nothing is sent to an edge that is not ready."""
    steps = []
    differing = [path for path, content in desired.files.items() if observed.files.get(path) != content]
    if differing:
        reason = "no edge yet" if all(content is None for content in observed.files.values()) else f"{', '.join(differing)} differ"
        steps.append(Step("write_files", reason))
    if observed.running and observed.mark != desired.mark:
        steps.append(Step("reload", "the running configuration is an older one"))
    if observed.route is None:
        steps.append(Step("set_route", f"no route yet, {desired.route or 'local'} is wanted"))
    elif desired.route not in (None, observed.route):
        steps.append(Step("set_route", f"route is {observed.route}, {desired.route} is wanted", disruptive=True))
    if desired.held is not None and desired.held != observed.held:
        steps.append(Step("hold", "hold is wanted", disruptive=True) if desired.held else Step("release", "no hold is wanted"))
    if desired.proxy_text is not None:
        if observed.proxy_text != desired.proxy_text:
            steps.append(_reloaded("insert", "the proxy does not send to the edge", desired.reloads))
        elif observed.proxy_taken != desired.proxy_digest:
            steps.append(_reloaded("insert", "the proxy was not seen to take its configuration", desired.reloads))
    return tuple(steps)


def _reloaded(action: str, reason: str, reloads: bool) -> Step:
    return Step(action, reason + (_ENDS if reloads else ""), disruptive=reloads)


def plan_absent(observed: Observed, restored: str | None, reloads: bool = False) -> tuple[Step, ...]:
    """The proxy first, then the files; ``restored`` is its configuration without the edge, None when the proxy is not ours."""
    steps = []
    if restored is not None and (observed.proxy_text != restored or observed.proxy_taken is not None):
        steps.append(_reloaded("take_out", "the proxy sends to the edge", reloads))
    if observed.leftovers:
        steps.append(Step("remove_files", f"{', '.join(observed.leftovers)} exist"))
    return tuple(steps)
