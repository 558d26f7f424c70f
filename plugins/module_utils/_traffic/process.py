# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs the process of an edge, a container or a systemd unit: whose it is, and how it ended with its last words."""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass

from .._core.errors import FleetError
from .._core.runner import Runner
from .._core.unit_log import last_lines
from .render import CONFIG_FILE, masked

_LINES = 15
_LONGEST = 300
_PAUSE = 1.0


@dataclass(frozen=True)
class Seen:
    """``running`` also while a process starts; ``restarts`` counts those since somebody started it. ``ended`` says how it did.

    ``ours`` is whether it runs the edge of the directory that was asked for, None when nothing of the name is there. ``again`` is whether it is to be
    started once more by itself.
    """

    running: bool
    restarts: int
    ended: str
    ours: bool | None = True
    again: bool = False


@dataclass(frozen=True)
class Process:
    """``kind`` is container or unit, ``name`` the one that docker or systemd knows it by."""

    kind: str
    name: str
    directory: str
    run: Runner

    def look(self) -> Seen:
        """What there is of it now; nothing is changed."""
        if self.kind == "container":
            done = self.run(["docker", "container", "inspect", self.name], timeout=15)
            return container(done.out if done.rc == 0 else "[]", self.directory)
        words = ["LoadState", "ActiveState", "SubState", "Result", "NRestarts", "ExecMainStatus", "ExecStart"]
        done = self.run(["systemctl", "show", "--property", ",".join(words), f"{self.name}.service"], timeout=15)
        return unit(done.out, self.directory)

    def last_words(self, secrets: t.Collection[str] = ()) -> str:
        """What its log complains of since the last start, else its last line; empty without any."""
        if self.kind == "container":
            done = self.run(["docker", "container", "logs", "--tail", str(_LINES), self.name], timeout=15)
            lines = [line[:_LONGEST] for line in f"{done.out}\n{done.err}".splitlines()]
        else:
            lines = last_lines(self.run, f"{self.name}.service", _LINES)
        output = complaint(lines)
        for secret in filter(None, secrets):
            output = output.replace(secret, "****")
        return masked(output)

    def refuse_others(self) -> None:
        """Raise FleetError ``not_owner`` when the name is taken by something that does not run the edge of our directory."""
        if self.look().ours is False:
            raise FleetError(
                "not_owner",
                f"The {self.kind} {self.name} is there and does not run the edge in {self.directory}; it belongs to something else. Nothing was changed.",
                remedy=f"Give the edge a name of its own in edge_sides.*.{'container.name' if self.kind == 'container' else 'unit'}; left out,"
                " it is made from the subject.",
                details={"field": self.kind, "name": self.name},
            )

    def renewed(self) -> str:
        """What it means for requests that its container is made again, or its unit changed, while the proxy sends to the edge."""
        if self.kind == "container":
            return (
                f"The container {self.name} is made again while the proxy sends to it: until it answers, about a second, requests get errors. Who cannot"
                " have that takes the edge out first (role edge, entry point absent), which fails none, unless it forwards."
            )
        return (
            f"The unit {self.name} has changed and its process goes on as it was started; the change takes effect at the next restart. systemctl restart"
            f" {self.name} does it now, and requests get errors until it answers, less than a second."
        )

    def crash(self, now: Seen, secrets: t.Collection[str] = (), means: str = "The proxy is unchanged.") -> FleetError:
        """The failure of a process that `hopeless` gave up."""
        output = self.last_words(secrets)
        log = f"docker logs {self.name}" if self.kind == "container" else f"journalctl -u {self.name}"
        return FleetError(
            "edge_crashed",
            f"The edge's {self.kind} {self.name} {now.ended}; {'its last words: ' + output.rstrip('.') if output else 'it said nothing'}. {means}",
            remedy=f"Correct what it says; the whole log: {log}.",
            details={"field": self.kind, "name": self.name, "restarts": now.restarts, "log": output},
        )


def hopeless(before: Seen, now: Seen, down: float) -> bool:
    """Whether waiting is of no use. ``before`` is how it was first seen, ``down`` for how many seconds it has not been running.

    One restart may be somebody's; a second one, or a pause of the engine between two of them, is a process that cannot run.
    """
    if now.ours is None:
        # Whoever starts it has not done so yet.
        return False
    return now.restarts >= before.restarts + 2 or (not now.running and (not now.again or down >= _PAUSE))


def asked_for(asked: t.Mapping[str, t.Any] | None, directory: str, run: Runner) -> Process | None:
    """The process that the options container and unit name; raises FleetError ``option_invalid`` for a name that is none."""
    asked = asked or {}
    kinds = [kind for kind in ("container", "unit") if asked.get(kind)]
    wrong = ["process names container and unit; give one."] if len(kinds) > 1 else []
    wrong += [f"process.{kind} is {asked[kind]!r}, which is no name." for kind in kinds if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9:_.@-]*", asked[kind])]
    if wrong:
        raise FleetError("option_invalid", " ".join(wrong), remedy="Correct the options; nothing was changed.", details={"faults": wrong})
    return Process(kinds[0], asked[kinds[0]], directory, run) if kinds else None


def container(text: str, directory: str) -> Seen:
    """What ``docker container inspect`` printed; an empty list for none (Docker Engine API, ContainerInspect)."""
    found = json.loads(text or "[]")
    if not found:
        return Seen(False, 0, "does not exist", None)
    state = found[0]["State"]
    mounts = {mount.get("Source") for mount in found[0].get("Mounts") or []}
    ended = f"ended with exit code {state.get('ExitCode')}" + (", for want of memory" if state.get("OOMKilled") else "")
    if state.get("Error"):
        ended = f"did not start ({state['Error'][:_LONGEST]})"
    restarting = bool(state.get("Restarting")) or state.get("Status") == "restarting"
    running = bool(state.get("Running")) and not restarting
    # "created" is before its first start.
    return Seen(running or state.get("Status") == "created", int(found[0].get("RestartCount") or 0), ended, directory in mounts, restarting)


def unit(text: str, directory: str) -> Seen:
    """What ``systemctl show`` printed (org.freedesktop.systemd1(5)); LoadState is not-found where there is no such unit."""
    facts = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if facts.get("LoadState") in (None, "not-found"):
        return Seen(False, 0, "does not exist", None)
    again = facts.get("SubState") in ("auto-restart", "auto-restart-queued")
    running = facts.get("ActiveState") in ("active", "activating", "reloading") and not again
    ended = f"ended with exit code {facts.get('ExecMainStatus', '?')} ({facts.get('Result', '?')})"
    # A unit that is masked, or does not load, starts nothing.
    command = facts.get("ExecStart", "")
    ours = f"-f {directory}/{CONFIG_FILE} " in f"{command} " if command else None
    return Seen(running, int(facts.get("NRestarts") or 0), ended, ours, again)


def complaint(lines: t.Sequence[str]) -> str:
    """What HAProxy alerts to since its last start, the cause comes first; else the last line that says something."""
    output = [line.strip() for line in lines if line.strip()]
    starts = [index for index, line in enumerate(output) if "haproxy version is" in line]
    alerts = [line for line in output[starts[-1] if starts else 0 :] if "[ALERT]" in line]
    return " | ".join(alerts[:2]) if alerts else (output or [""])[-1]
