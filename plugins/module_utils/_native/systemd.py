# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemd of one host, through ``systemctl`` and the unit directory: the only file of this room that touches the outside."""

from __future__ import annotations

import datetime
import os
import re
import tempfile
import typing as t

from .._core import private
from .._core.errors import FleetError
from .._core.runner import Completed, Runner
from .._core.unit_log import last_lines, own_words
from .model import LONGEST_STOP, MARK, UnitState

_PROPERTIES = "Id,LoadState,ActiveState,UnitFileState,Result,NRestarts,ActiveEnterTimestamp,StateChangeTimestamp,NeedDaemonReload"
# The first word of a command, as `words.quoted` writes it.
_PROGRAM = re.compile(r'^(Exec\w+=)(?:"(?:[^"\\]|\\.)*"|\S+)', re.MULTILINE)
# systemd ends every stop itself, at TimeoutStopSec=, once for the command and once for the signal; this only ends a systemctl that hangs.
_ACT_LIMIT = 2 * LONGEST_STOP + 300


class SystemdClient:
    """``directory`` holds the unit files. It must rank below /etc/systemd/system, or systemctl cannot mask them."""

    def __init__(self, runner: Runner, directory: str) -> None:
        self._run = runner
        self.directory = directory

    def texts(self, stack: str, names: t.Iterable[str]) -> dict[str, str]:
        """Texts by unit name: of ``names``, and of every other unit with the mark of ``stack``. What does not exist is left out.

        Raises FleetError ``unsafe_path`` when others could write beside them: root runs what a unit says.
        """
        private.folder(self.directory, 0o755, make=False, field="unit_directory")
        wanted = set(names)
        found = {}
        try:
            entries = sorted(os.listdir(self.directory))
        except FileNotFoundError:
            return {}
        for entry in entries:
            if not (entry in wanted or (entry.endswith(".service") and entry.startswith(f"{stack}-")) or entry.endswith(".mount")):
                continue
            with open(os.path.join(self.directory, entry), encoding="utf-8", errors="replace") as file:
                text = file.read()
            if entry in wanted or f"{MARK}{stack}" in text.splitlines():
                found[entry] = text
        return found

    def modified(self, names: t.Iterable[str], paths: t.Iterable[str]) -> dict[str, float]:
        """Epoch seconds of the last change: of unit files by name, of other files by path. What does not exist is left out."""
        places = {**{name: os.path.join(self.directory, name) for name in names}, **{path: path for path in paths}}
        times = {}
        for key, place in places.items():
            try:
                times[key] = os.stat(place).st_mtime
            except FileNotFoundError:
                continue
        return times

    def states(self, names: t.Sequence[str]) -> dict[str, UnitState]:
        """The state of every unit in ``names``; one that systemd does not know is ``not-found``, never missing.

        Source: ``systemctl show`` of systemd 247 or newer (``--timestamp``). Raises FleetError ``status_unreadable``.
        """
        if not names:
            return {}
        done = self._run(
            ["systemctl", "show", "--timestamp=us+utc", f"--property={_PROPERTIES}", "--", *names], env={"LC_ALL": "C"}, timeout=30
        )
        blocks = [parse_properties(block) for block in done.out.split("\n\n") if block.strip()]
        if done.rc != 0 or len(blocks) != len(names):
            raise FleetError(
                "status_unreadable",
                f"systemctl show ended with {done.rc} and told of {len(blocks)} of {len(names)} units: {done.err.strip()!r}.",
                remedy="Run systemctl is-system-running on the host.",
            )
        return {name: unit_state(block) for name, block in zip(names, blocks)}

    def check(self, texts: t.Mapping[str, str]) -> None:
        """Let systemd read ``texts`` (by unit name) before they replace anything. Raises FleetError ``unit_invalid``."""
        if not texts:
            return
        with tempfile.TemporaryDirectory(prefix="bowline-units-") as folder:
            for name, text in texts.items():
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    file.write(checkable(text))
            paths = [os.path.join(folder, name) for name in sorted(texts)]
            # Without --recursive-errors the exit code is 0 whatever is wrong (systemd-analyze(1)).
            done = self._run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *paths], env={"LC_ALL": "C"}, timeout=60)
        if done.rc != 0:
            seen = done.err.strip().replace(folder + "/", "") or done.out.strip()
            raise FleetError(
                "unit_invalid", f"systemd refuses the new units: {seen}. The old ones are untouched.", remedy="Correct the manifest."
            )

    def write(self, name: str, text: str) -> None:
        """Put a unit file in its place by rename."""
        private.folder(self.directory, 0o755, field="unit_directory")
        private.write(os.path.join(self.directory, name), text.encode())

    def remove(self, name: str) -> None:
        os.unlink(os.path.join(self.directory, name))

    def act(self, verb: str, unit: str) -> None:
        """One verb of ``systemctl``. Raises FleetError ``unit_failed`` with the state and the last log lines."""
        if verb in ("start", "restart"):
            # A unit that failed before may have used up its start limit; resetting one that did not is no error worth stopping for.
            self._run(["systemctl", "reset-failed", "--", unit], timeout=30)
        words = ["systemctl", verb.replace("_", "-"), "--quiet"]
        done = self._run([*words, "--", unit] if unit else words, env={"LC_ALL": "C"}, timeout=_ACT_LIMIT)
        if done.rc != 0:
            raise self.failure(
                unit, f"systemctl {verb} {unit} ended with {done.rc}" + (f": {done.err.strip()}" if done.err.strip() else ""), done
            )

    def failure(self, unit: str, sentence: str, done: t.Optional[Completed] = None) -> FleetError:
        lines = last_lines(self._run, unit) if unit else []
        own = own_words(lines, unit, 3)
        return FleetError(
            "unit_failed",
            f"{sentence}." + (f" Last log lines: {own}" if own else ""),
            remedy=f"journalctl -u {unit}" if unit else "systemctl --failed",
            details={"unit": unit, "log": lines, "rc": done.rc if done is not None else None},
        )


def checkable(text: str) -> str:
    """``text`` as systemd-analyze can judge it: it looks for programs on the host, also for those of a unit with a root of its own (252)."""
    return _PROGRAM.sub(r"\1/bin/true", text) if "\nRootDirectory=" in text else text


def parse_properties(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def unit_state(properties: t.Mapping[str, str]) -> UnitState:
    """Raises FleetError ``status_unreadable`` when the two states that decide are not there."""
    if not properties.get("LoadState") or not properties.get("ActiveState"):
        raise FleetError(
            "status_unreadable",
            f"systemctl show told no state: {dict(properties)!r}.",
            remedy="Run systemctl show for the unit on the host.",
        )
    # A reload changes only the time of the last state change; a start changes both.
    times = [_epoch(properties.get(name, "")) for name in ("ActiveEnterTimestamp", "StateChangeTimestamp")]
    return UnitState(
        load=properties["LoadState"],
        active=properties["ActiveState"],
        file=properties.get("UnitFileState", ""),
        result=properties.get("Result", ""),
        restarts=int(properties.get("NRestarts") or 0),
        since=max(times),
        needs_daemon_reload=properties.get("NeedDaemonReload") == "yes",
    )


def _epoch(text: str) -> float:
    """``Sat 2026-11-21 10:02:37.123456 UTC`` in epoch seconds; 0.0 for a time that never was."""
    parts = text.split()
    if len(parts) != 4:
        return 0.0
    form = "%Y-%m-%d %H:%M:%S.%f" if "." in parts[2] else "%Y-%m-%d %H:%M:%S"
    return datetime.datetime.strptime(f"{parts[1]} {parts[2]}", form).replace(tzinfo=datetime.timezone.utc).timestamp()
