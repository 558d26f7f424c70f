# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hook native: units with marks of ours stop in the opposite order of their start and do not come back at boot; undo starts those again, and no other."""

from __future__ import annotations

import typing as t

from ..._core.faults import hit
from ..._core.result import Step
from ..._core.wait import Deadline
from . import plan
from .model import Asked, Blocker, Told, Unit
from .record import Record
from .systemd import Systemd

# Seconds for which a unit has to be active: one whose program ends at once is active for a moment.
_STEADY = 1.0
_POLL = 0.1


class Units:
    """The stages of hook native on one machine."""

    def __init__(self, systemd: Systemd, record: Record, asked: Asked, deadline: Deadline) -> None:
        self._systemd, self._record, self._asked, self._deadline = systemd, record, asked, deadline
        self.told = Told()

    def observe(self) -> Told:
        units, told = self._systemd.marked(), self.told
        told.blockers, told.changed = plan.kept(units, self._asked.accept), sorted(self._record.parts)
        told.before = told.after = _running(units)
        return told

    def drain(self, check: bool) -> Told:
        told, units = self.observe(), self._systemd.marked()
        told.steps = [] if told.blockers else plan.ending(units)
        if told.steps and not check:
            self._remember(units)
            told.changed = sorted(self._record.parts)
            told.blockers = self._end(units)
            told.after = _running(self._systemd.marked())
        return told

    def undo(self, check: bool) -> Told:
        told = self.told
        if not self._record.there:
            return told
        units = self._systemd.marked()
        enable, start = plan.beginning(units, self._record.parts)
        told.before, told.changed = _running(units), sorted({*enable, *start})
        told.steps = [Step("enable", f"the drain keeps {name} from its start at boot") for name in enable]
        told.steps += [Step("start", f"the drain has stopped {name}") for name in start]
        if check:
            return told
        failed = self._systemd.change("enable", enable) or self._systemd.change("start", start, self._deadline.remaining())
        wanted = [name for name, part in self._record.parts.items() if part["running"]]
        late = [one for one in self._steady(wanted) if one.name in wanted and one.steady < _STEADY]
        told.blockers = [Blocker(one.name, f"it was started and is not active. {failed}".strip(), f"see journalctl -u {one.name}") for one in late]
        if failed and not told.blockers:
            told.blockers = [Blocker("systemd", failed)]
        told.after = _running(self._systemd.marked())
        if not told.blockers:
            self._record.remove()
        return told

    def leave(self) -> Told:
        """Units go with their machine, and nobody counts them as members."""
        return self.told

    def _remember(self, units: t.Sequence[Unit]) -> None:
        for one in units:
            known = self._record.parts.setdefault(one.name, {"running": False, "enabled": False})
            known.update({name: True for name in ("running", "enabled") if getattr(one, name)})
        self._record.write()
        hit("H1")

    def _end(self, units: t.Sequence[Unit]) -> t.List[Blocker]:
        # Disabled first: a machine that boots in the middle starts none of them.
        failed = self._systemd.change("disable", [one.name for one in units if one.enabled])
        hit("H2")
        running = [one.name for one in units if one.running]
        failed = failed or self._systemd.change("stop", running, self._deadline.remaining())
        left = [one for one in self._systemd.marked() if one.running or one.enabled]
        if left and self._asked.force and self._deadline.expired():
            failed = self._systemd.change("kill", [one.name for one in left], 10.0, "--signal=KILL") or self._systemd.change("stop", running)
            left = [one for one in self._systemd.marked() if one.running or one.enabled]
        override = "node_drain_on_timeout: force, or a longer node_drain_timeout"
        return [Blocker(one.name, f"it has not stopped. {failed}".strip() if one.running else f"it still starts at boot. {failed}".strip(), override)
                for one in left]  # fmt: skip

    def _steady(self, wanted: t.Sequence[str]) -> t.Tuple[Unit, ...]:
        """The units, once those of ``wanted`` are active for a while, or at the deadline."""
        while True:
            units = self._systemd.marked()
            if self._deadline.expired() or all(one.steady >= _STEADY for one in units if one.name in wanted):
                return units
            self._deadline.pause(_POLL)


def _running(units: t.Sequence[Unit]) -> t.List[str]:
    return [one.name for one in units if one.running]
