# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemd of this machine: units with marks of ours, and those of an engine. A systemd that says nothing in time is never taken for "nothing runs"."""

from __future__ import annotations

import time
import typing as t

from ..._core.runner import Completed, Runner
from ..._core.visible import one_line
from ..agent import host
from .model import Unanswered, Unit

_SECONDS = 10.0
_PROPERTIES = "Id,LoadState,ActiveState,UnitFileState,StateDirectory,ActiveEnterTimestampMonotonic"
# systemctl(1), ActiveState: what is none of these has processes, or is about to have some.
_ENDED = ("inactive", "failed")
Shown = t.Dict[str, str]


class Systemd:
    """``places`` says where the files of units are."""

    def __init__(self, run: Runner, places: t.Optional[host.Places] = None, patience: float = _SECONDS) -> None:
        self._run, self._places, self._patience = run, places or host.Places(), max(1.0, min(patience, _SECONDS))

    def marked(self) -> t.Tuple[Unit, ...]:
        """Units that carry our marks, by name."""
        try:
            names = sorted(host.marked(self._places))
        except OSError as error:
            raise Unanswered(f"files of units cannot be read: {one_line(error)}") from error
        return tuple(self._unit(shown) for shown in self.shown(names) if shown.get("LoadState") != "not-found")

    def shown(self, names: t.Sequence[str]) -> t.List[Shown]:
        """Properties of units, a unit each; of one that there is not, too (LoadState is not-found then)."""
        # Without a name it would tell about systemd itself.
        done = self._called(["show", f"--property={_PROPERTIES}", "--", *names]) if names else Completed(0, "", "")
        return [dict(line.partition("=")[::2] for line in block.splitlines()) for block in done.out.split("\n\n") if block.strip()]

    def active(self, names: t.Sequence[str]) -> t.List[str]:
        return [shown["Id"] for shown in self.shown(names) if shown.get("ActiveState") not in _ENDED]

    def change(self, verb: str, names: t.Sequence[str], seconds: float = 60.0, *options: str) -> str:
        """One job for all of ``names``; empty when it is done, else why not.

        One transaction: units with an ordering between them stop in the opposite order of their start (systemd.unit(5), Before= and After=).
        """
        if not names:
            return ""
        done = self._run(["systemctl", verb, *options, "--", *names], timeout=max(seconds, 1.0))
        if done.rc == 124:
            return f"systemctl {verb} did not end in {max(seconds, 1.0):.0f} s"
        return f"systemctl {verb} ended with {done.rc}: {one_line(done.err)[:200]}" if done.rc else ""

    def _called(self, words: t.Sequence[str]) -> Completed:
        done = self._run(["systemctl", *words], timeout=self._patience)
        if done.rc:
            why = f"said nothing for {self._patience:g} s" if done.rc == 124 else f"ended with {done.rc}: {one_line(done.err)[:200]}"
            raise Unanswered(f"systemctl {words[0]} {why}")
        return done

    @staticmethod
    def _unit(shown: Shown) -> Unit:
        state, since = shown.get("ActiveState", ""), int(shown.get("ActiveEnterTimestampMonotonic") or 0)
        return Unit(
            shown["Id"],
            state not in _ENDED,
            shown.get("UnitFileState") in ("enabled", "enabled-runtime"),
            state == "active",
            time.clock_gettime(time.CLOCK_MONOTONIC) - since / 1e6 if state == "active" else 0.0,
            tuple(f"/var/lib/{word}" for word in shown.get("StateDirectory", "").split()),
        )
