# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a run leaves the world, whether it ended well or not: who serves, whether clients are held, and what to type next. Pure."""

from __future__ import annotations

import shlex
import time
import typing as t
from datetime import datetime, timezone

SIDES = ("legacy", "new")
# Phases in which every further command could cost rows.
CONTRADICTIONS = ("split_brain", "inconsistent")
NOTHING = "run nothing; pg_cutover_info names the facts of both servers, and docs/runbooks/cutover.md says which one to fence by hand"

Look = t.Mapping[str, t.Any]


def serving_of(looks: t.Sequence[Look]) -> str:
    """The side that serves, by the first host that could tell: legacy, new, nobody or unknown."""
    answered = [str((look.get("pair") or {}).get("serving") or "unknown") for look in looks]
    return next((side for side in answered if side != "unknown"), "unknown")


def edges_to_release(looks: t.Sequence[Look], step: str) -> list[str]:
    """Sides whose edge stands in the path of the clients, so that a route or a hold there matters.

    One that its proxy does not send to yet has held nobody. And where the step that puts edges into the path failed, only one that runs can
    be told anything: the others were waited for already.
    """
    edges = {str(look.get("side")): (look.get("edge") or {}).get("edge") or {} for look in looks}
    return [side for side in SIDES if _flag(edges.get(side), "inserted") and (step != "C4" or _flag(edges.get(side), "running"))]


def standing(
    looks: t.Sequence[Look], kind: str, sources: t.Sequence[str], check: bool = False, now: t.Optional[float] = None, good: bool = False
) -> dict[str, t.Any]:
    """``said`` (one sentence), ``serving``, ``held`` (None when it could not be read), ``next`` (a command) and ``unread``.

    ``looks`` has for each side what its host answered: ``pair`` from pg_cutover_info, ``edge`` from traffic_edge_info. ``sources`` are the
    inventories of the run, ``kind`` is cutover, rollback or cancel; ``good`` is whether the run did what it was told to.
    """
    moment = time.time() if now is None else now
    serving = serving_of(looks)
    held, clients = _clients(looks, moment)
    unread = not_read(looks) if serving == "unknown" or held is None else []
    odd = next((str(look["pair"]["phase"]) for look in looks if (look.get("pair") or {}).get("phase") in CONTRADICTIONS), "")
    planned = f"{play(sources)}.{kind} without --check does what was planned"
    command = NOTHING if odd else _command(serving, kind, sources) if not good else planned if check else _onwards(serving, kind, sources)
    words = [f"the facts of both servers contradict each other ({odd})" if odd else _served(serving, kind, check, moment, good), clients]
    holder = next((look["pair"]["holder"] for look in looks if (look.get("pair") or {}).get("holder")), None)
    if holder:
        # A job goes on without its playbook.
        words.append(f"{holder.get('application_name')} still works on the pair (pid {holder.get('pid')} of the server)")
        command = f"wait until it has ended, then {command}"
    sentence = ", ".join(words)
    reasons = f" Not read: {'; '.join(unread)}." if unread else ""
    return {"said": f"{sentence}.{reasons} Next: {command}", "serving": serving, "held": held, "next": command, "unread": unread}


def _served(serving: str, kind: str, check: bool, now: float, good: bool) -> str:
    at = f"at {datetime.fromtimestamp(now, timezone.utc):%H:%M:%S} UTC"
    if serving in SIDES:
        before = {"cutover": "legacy", "rollback": "new", "cancel": "legacy"}.get(kind)
        return f"{serving} serves {at}" + (" as before" if serving == before and not good else "") + (", nothing was changed" if check else "")
    if serving == "nobody":
        return f"nobody takes writes {at}"
    return f"which side serves could not be read {at}, and nothing was changed for it"


def _clients(looks: t.Sequence[Look], now: float) -> tuple[t.Optional[bool], str]:
    """Whether an edge holds clients. An edge that is not in the path, or that is not there, holds nobody."""
    holding: list[str] = []
    silent: list[str] = []
    for look in looks:
        answer = look.get("edge") or {}
        edge = answer.get("edge") or {}
        if "edge" not in answer:
            silent.append(str(look.get("side")))
        elif _flag(edge, "inserted") and float(edge.get("hold") or 0) > 0:
            until = datetime.fromtimestamp(now + float(edge["hold"]), timezone.utc)
            holding.append(f"the edge of {look.get('side')} holds clients until {until:%H:%M:%S} UTC at the latest")
    if holding:
        return True, " and ".join(holding)
    if silent:
        return None, f"whether the edge of {' and '.join(silent)} holds clients could not be read (a hold ends by itself)"
    return False, "clients are not held"


def _inventory(sources: t.Sequence[str]) -> str:
    return "".join(f" -i {shlex.quote(source)}" for source in sources)


def play(sources: t.Sequence[str]) -> str:
    """The command of a playbook with the inventories of the run, up to the dot before its name."""
    return f"ansible-playbook{_inventory(sources)} bowline.fleet"


def _command(serving: str, kind: str, sources: t.Sequence[str]) -> str:
    """What to type behind a run that failed."""
    command = play(sources)
    if serving == "unknown":
        return f"ansible{_inventory(sources)} legacy,target -m ansible.builtin.ping, and when both answer, {command}.{kind}"
    if serving == "new" and kind == "cutover":
        return f"{command}.cutover to go on, or {command}.rollback to go back"
    if serving == "new" and kind == "cancel":
        return f"{command}.rollback, which loses no row, then {command}.cancel"
    if serving == "nobody" and kind == "cutover":
        return f"{command}.rollback, which gives the writes back to legacy"
    return f"correct the cause, then {command}.{kind}"


def _onwards(serving: str, kind: str, sources: t.Sequence[str]) -> str:
    """What can be typed behind a run that did what it was told to."""
    command = play(sources)
    if serving == "new":
        return f"nothing; {command}.rollback takes it back without losing a row"
    if serving == "legacy" and kind == "cancel":
        return f"nothing; {command}.cutover begins anew"
    if serving == "legacy":
        return f"{command}.cutover goes on from here, {command}.cancel gives the move up"
    return _command(serving, kind, sources)


def not_read(looks: t.Sequence[Look]) -> list[str]:
    """Why a host, or a server seen from it, could not be read: each reason once."""
    found: list[str] = []
    for look in looks:
        pair = look.get("pair") or {}
        answers = {str(look.get("side")): look.get("error") or "", **{f"database {side}": str((answered or {}).get("message") or "")
                   for side, answered in (pair.get("failures") or {}).items()}}  # fmt: skip
        for fact, answer in (("serving", pair), ("edge", look.get("edge") or {})):
            # Whoever asks judges for himself, so Ansible's own word (failed_when: false) is that nothing failed.
            if fact not in answer and any(answer.get(name) for name in ("unreachable", "failed", "failure", "msg")):
                answers[f"host of {look.get('side')}"] = str((answer.get("failure") or {}).get("message") or answer.get("msg") or "no answer")
        found += [f"{who}: {' '.join(why.split())[:300].rstrip('.')}" for who, why in answers.items() if why]
    return list(dict.fromkeys(found))


def _flag(value: t.Any, name: str) -> bool:
    return isinstance(value, t.Mapping) and bool(value.get(name))
