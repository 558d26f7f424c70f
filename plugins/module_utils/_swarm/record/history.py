# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The past of a stack, kept in the cluster itself: one config a revision, written before the first change. Who writes holds the stack's lock."""

from __future__ import annotations

import time
import typing as t
from dataclasses import replace

from ..._core.errors import FleetError
from ..client.wire import Exists, Gone
from ..model import Json
from . import keep
from .lock import Configs
from .revision import KIND, SUCCEEDED, Content, Revision, Selector, dead, decoded, encoded, follow, labels, last, select, surplus

KEEP = 10


class History:
    """Revisions of one stack, or of one service outside of any stack. Each question asks the cluster."""

    def __init__(self, engine: Configs, stack: str) -> None:
        self._engine, self.stack = engine, stack

    def revisions(self) -> tuple[Revision, ...]:
        """All that can be read, by number."""
        found = filter(None, map(decoded, self._engine.configs(keep.wanted(KIND, self.stack))))
        return tuple(sorted((one for one in found if one.stack == self.stack), key=lambda one: one.number))

    def select(self, wanted: Selector) -> Revision:
        """A number, "previous" or "stable". Raises FleetError "revision_unavailable"."""
        return select(self.revisions(), wanted, self.stack)

    def last(self) -> t.Optional[Revision]:
        return last(self.revisions())

    def dead(self) -> t.Optional[Revision]:
        """The revision of a run that ended in the middle, for the holder of the lock."""
        return dead(self.revisions())

    def adopt(self, content: Content, reason: str = "found as it is", actor: str = "", *, anew: bool = False, stable: bool = True) -> Revision:
        """Store a stack of somebody else before it is touched; nothing of it changes. Where there is a history, the last of it is returned, but for
        ``anew``: somebody has changed the stack past it since."""
        known = self.revisions()
        there = last(known)
        if there is not None and not anew:
            return there
        number = max((one.number for one in known), default=0) + 1
        by, why = actor or keep.whoami(), keep.said(reason)
        return self._write(Revision(self.stack, number, "adopt", content, actor=by, reason=why, begun=now(), status=SUCCEEDED, stable=stable))

    def begin(
        self,
        action: str,
        content: Content,
        live: t.Mapping[str, Json],
        *,
        actor: str = "",
        reason: str = "",
        vcs_ref: str = "",
        operation: str = "",
    ) -> Revision:
        """The pending revision of this run, stored. ``live`` are the specs as they are now, by name.

        A dead run of the same content is continued, with its number and baseline; one of other content is superseded and its baseline stays.
        Raises FleetError "history_too_large" before anything is written.
        """
        known = self.revisions()
        by = actor or keep.whoami()
        ref, why = keep.said(vcs_ref), keep.said(reason)
        fresh = Revision(self.stack, 0, action, content, actor=by, reason=why, vcs_ref=ref, operation=operation, begun=now())
        revision, left = follow(known, fresh, live)
        if revision.config:
            return revision
        encoded(revision)
        if left is not None:
            self.finish(left, "superseded")
        return self._write(revision)

    def finish(self, revision: Revision, status: str, *, stable: bool = False, duration: t.Optional[float] = None) -> Revision:
        """``revision`` with another status. The last step of a run; what was set before is kept where it is not given."""
        config = self._engine.config(str(revision.config["ID"]))
        done = replace(revision, status=status, stable=stable, duration=revision.duration if duration is None else duration)
        self._engine.config_update(str(config["ID"]), keep.version_of(config), keep.relabelled(config, {**keep.labels_of(config), **labels(done)}))
        return replace(done, config=self._engine.config(str(config["ID"])))

    def collect(self, count: int = KEEP, needed: t.Iterable[int] = ()) -> list[int]:
        """Delete what need not be kept; the numbers that went."""
        gone = []
        for one in surplus(self.revisions(), count, needed):
            try:
                self._engine.config_remove(str(one.config["ID"]))
            except Gone:
                continue
            gone.append(one.number)
        return gone

    def _write(self, revision: Revision) -> Revision:
        try:
            made = self._engine.config_create(keep.body(revision.name, labels(revision), encoded(revision)))
        except Exists:
            raise FleetError(
                "conflict",
                f"Revision {revision.number} of {self.stack} was written by somebody else, or its config {revision.name} is of something else. "
                "Nothing was changed.",
                "Run again; if it comes again, look at that config (`docker config inspect`).",
                {"stack": self.stack, "config": revision.name},
            ) from None
        return replace(revision, config=self._engine.config(made))


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def stacks(engine: Configs) -> set[str]:
    """Names of all that have a history."""
    return {keep.labels_of(config).get(keep.SUBJECT, "") for config in engine.configs(keep.wanted(KIND))} - {""}
