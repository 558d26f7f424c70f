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
from . import faults, nginx, shown
from .model import EdgeSpec


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

    def words(self) -> set[str]:
        """Ours among what the proxy may name in a message."""
        return {*self.upstreams, *self.upstreams.values(), self.config}


def asked_for(asked: t.Mapping[str, t.Any] | None, spec: EdgeSpec | None) -> Insertion | None:
    """The insertion that the option proxy describes; raises FleetError ``option_invalid`` for words that no configuration can have."""
    if not asked:
        return None
    if spec is not None:
        known = {service.name for service in spec.services}
        wrong = [item["service"] for item in asked["upstreams"] if item["service"] not in known]
        if wrong:
            raise FleetError(
                "option_invalid",
                f"proxy.upstreams names the services {', '.join(wrong)}; known: {', '.join(sorted(known))}.",
                remedy="Correct proxy.upstreams; nothing was changed.",
            )
    wrong = [f"proxy.upstreams has the name {item['name']!r}." for item in asked["upstreams"] if not faults.upstream(item["name"])]
    wrong += [
        f"proxy.upstreams.{item['name']}.via is {item['via']!r}; expected host:port or unix:/path."
        for item in asked["upstreams"]
        if not faults.via(item["via"])
    ]
    faults.refuse(wrong)
    upstreams = {item["name"]: item["via"] for item in asked["upstreams"]}
    return Insertion(asked["driver"], asked["config"], upstreams, tuple(asked["check"]), tuple(asked["reload"]))


def read(path: str) -> str:
    """The configuration, newlines as they are."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except OSError as error:
        raise FleetError("option_invalid", f"proxy.config {path} cannot be read: {error}.", remedy="Correct proxy.config.") from error


def change(insertion: Insertion, old: str, new: str, run: Runner, prove: t.Callable[[], None] = lambda: None) -> None:
    """Write ``new``, have the proxy check it and take it, and ``prove`` it; when one of them fails, ``old`` is back and the failure says why.

    Raises FleetError ``proxy_check_failed`` when a command refuses, and what ``prove`` raises.
    """
    _write_in_place(insertion.config, new)
    refused = _commands(insertion, run)
    if refused:
        _write_in_place(insertion.config, old)
        raise refused
    try:
        prove()
    except BaseException as error:
        _write_in_place(insertion.config, old)
        refused = _commands(insertion, run)
        if isinstance(error, FleetError):
            error.message += f" {insertion.config} is as before" + (", but not taken: " + refused.message if refused else " and taken again.")
        raise


def _commands(insertion: Insertion, run: Runner) -> FleetError | None:
    """Have the proxy check what is written and take it; the refusal, if there is one."""
    for words in (insertion.check, insertion.reload):
        completed = run(words, timeout=30)
        if completed.rc:
            return FleetError(
                "proxy_check_failed",
                f"{' '.join(words)} ended with {completed.rc}: {shown.said(completed.err or completed.out, insertion.words())[-400:]!r}."
                f" {insertion.config} is as before.",
                remedy="Run the command by hand; check proxy.upstreams, proxy.check and proxy.reload.",
                details={"rc": completed.rc},
            )
    return None


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
