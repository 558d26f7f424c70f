# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reverse proxies that an edge can be put behind, and the careful change of their configuration."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from .._core.errors import FleetError
from .._core.runner import Runner
from . import nginx


class Driver(t.Protocol):
    """What a kind of proxy needs: pure rewriting of its configuration text."""

    def insert(self, text: str, upstreams: t.Mapping[str, str]) -> str: ...

    def restore(self, text: str) -> str: ...


DRIVERS: dict[str, Driver] = {"nginx": t.cast(Driver, nginx)}


@dataclass(frozen=True)
class Insertion:
    """Where a proxy's configuration is, and how the proxy checks and takes it. ``upstreams``: name in its configuration to host:port."""

    driver: str
    config: str
    upstreams: t.Mapping[str, str]
    check: tuple[str, ...]
    reload: tuple[str, ...]


def read(path: str) -> str:
    """The configuration, newlines as they are."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except OSError as error:
        raise FleetError("option_invalid", f"proxy.config {path} cannot be read: {error}.", remedy="Correct proxy.config.") from error


def change(insertion: Insertion, old: str, new: str, run: Runner) -> None:
    """Write ``new``, have the proxy check it and take it; on refusal ``old`` is back, and FleetError ``proxy_check_failed`` says why."""
    _write_in_place(insertion.config, new)
    for words in (insertion.check, insertion.reload):
        completed = run(words, timeout=30)
        if completed.rc:
            _write_in_place(insertion.config, old)
            raise FleetError(
                "proxy_check_failed",
                f"{' '.join(words)} ended with {completed.rc}: {(completed.err or completed.out).strip()[-400:]!r}."
                f" {insertion.config} is as before.",
                remedy="Run the command by hand; check proxy.upstreams, proxy.check and proxy.reload.",
                details={"rc": completed.rc},
            )


def _write_in_place(path: str, text: str) -> None:
    """Keep the inode: a file that is bind-mounted into a container on its own would not be seen there after a rename.

    Proxies read it at a reload only. New bytes are written over the old ones before the rest is cut off, so it is never empty.
    """
    content = text.encode("utf-8", "surrogateescape")
    with open(path, "r+b") as file:
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
