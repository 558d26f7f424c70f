# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Giving a move up: whether that is possible now, how, and what is left afterwards. Pure.

``looks`` is what the entry point ``look`` of role rollback found: for each side what its host answered, ``pair`` from pg_cutover_info and
``edge`` from traffic_edge_info.
"""

from __future__ import annotations

import typing as t

from .finding import Finding
from .standing import CONTRADICTIONS, NOTHING, Look, not_read, play, serving_of


def decision(looks: t.Sequence[Look], sources: t.Sequence[str]) -> dict[str, t.Any]:
    """How a move can be given up now.

    ``findings`` say why it cannot (as rows of a preflight; empty when it can), ``serving`` who serves. ``on`` is the side whose host takes the
    pair of databases away, ``abort`` whether a window has to be ended first, ``release`` whether the edge of legacy has to be routed to its
    own side first, and ``waits`` whether clients may still be led to the new side, because it served before.
    """
    serving = serving_of(looks)
    told = {str(look.get("side")): look["pair"] for look in looks if (look.get("pair") or {}).get("serving")}
    answer = _edge_of_legacy(looks)
    edge = answer.get("edge") or {}
    epochs = [str(epoch) for pair in told.values() for epoch in (pair.get("epoch") or {}).values() if epoch]
    return {
        "serving": serving,
        "findings": _findings(serving, looks, told, sources),
        # A standby can only be stopped on its own host, as long as that one can read the databases; a window is ended where its edge holds the clients.
        "on": "new" if told.get("new", {}).get("serving") == "legacy" and serving != "nobody" else "legacy",
        "abort": serving == "nobody",
        "release": bool(edge.get("inserted")) and (edge.get("route") == "peer" or float(edge.get("hold") or 0) > 0),
        "waits": any(epoch.endswith(":commit") for epoch in epochs),
    }


def _findings(serving: str, looks: t.Sequence[Look], told: t.Mapping[str, t.Any], sources: t.Sequence[str]) -> list[dict[str, str]]:
    command = play(sources)
    odd = next((str(pair["phase"]) for pair in told.values() if pair.get("phase") in CONTRADICTIONS), "")
    if odd:
        return [_finding(odd, f"The facts of both servers contradict each other ({odd}). Nothing was changed.", NOTHING)]
    if serving == "new":
        message = "New serves: giving up would lose what was written since the switch. Nothing was changed."
        return [_finding("conflict", message, f"Run {command}.rollback, which loses no row, then {command}.cancel")]
    if serving == "unknown":
        why = "; ".join(not_read(looks)) or "no answer"
        remedy = f"Start the old server, and the new one if it served last; then run {command}.cancel again"
        return [_finding("unreachable", f"Which side serves could not be read ({why}). Nothing was changed.", remedy)]
    return _edge_not_read(looks, command)


def _edge_of_legacy(looks: t.Sequence[Look]) -> Look:
    """What traffic_edge_info answered on legacy: with ``edge``, which is None where there is none; without it when it could not be read."""
    return next((look.get("edge") or {} for look in looks if look.get("side") == "legacy"), {})


def _edge_not_read(looks: t.Sequence[Look], command: str) -> list[dict[str, str]]:
    """An edge that may hold the clients, or send them to the new side: nobody may take it for one that is not in the path."""
    answer = _edge_of_legacy(looks)
    if "edge" in answer:
        return []
    failure = answer.get("failure") or {}
    why = "; ".join(not_read([{**look, "pair": {}} for look in looks if look.get("side") == "legacy"])) or "no answer"
    message = f"Whether the edge of legacy stands in the path of the clients could not be read ({why}). Nothing was changed."
    first = str(failure.get("remedy") or "Make the host of legacy's edge answer").rstrip(".")
    return [_finding(str(failure.get("code") or "unreachable"), message, f"{first}; then run {command}.cancel again")]


def _finding(code: str, message: str, remedy: str) -> dict[str, str]:
    return Finding(code, "fail", field="cutover_subject", message=message, remedy=remedy).as_dict()


def ending(
    standing: t.Mapping[str, t.Any],
    steps: t.Sequence[t.Mapping[str, t.Any]],
    target: str,
    answers: bool,
    kept: t.Sequence[str] = (),
    dumps: str = "",
    check: bool = False,
    links: t.Sequence[str] = (),
) -> dict[str, t.Any]:
    """The evidence of the last step: how it stands, ``taken`` (what was taken away) and ``left`` (what stays, with the reason).

    ``steps`` are those of the journal, ``target`` is the host of the new side and ``answers`` whether it did, ``kept`` are its directories,
    ``dumps`` is the directory of snapshots, ``links`` are files of the link that could not be removed; ``check`` is true where nothing was done.
    """
    taken = [str(step.get("name")) for step in steps if step.get("changed")]
    left = []
    if not answers:
        left.append(f"everything on {target}, which did not answer; run the same playbook again when it does")
    elif kept:
        left.append(f"on {target} {', '.join(kept)}, with what the move copied, and the packages and users; remove them by hand when nobody needs them")
    left += links
    if dumps:
        left.append(f"the dumps in {dumps} of both hosts, which are yours as long as they are retained")
    away = f"{'would be taken' if check else 'taken'} away: {', '.join(taken)}" if taken else f"nothing {'is' if check else 'was'} there to take away"
    words = [away, str(standing.get("said", ""))]
    words += [f"Left: {'; '.join(left)}."] if left else []
    return {**standing, "said": "; ".join(words[:2]) + "".join(f". {word}" for word in words[2:]), "taken": taken, "left": left}
