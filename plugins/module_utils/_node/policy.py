# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may be done about a node, and what stands for it to be done: the table of verbs and classes, the operator's rules before it, budgets. Pure.

A verb is asked for once for each cause (`Action.fingerprint`); what somebody has decided about it holds for a day.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, replace

from .._core.errors import FleetError
from .._core.result import Step
from .model import Action, Heartbeat, Instance, Json, Node
from .recovery import DAY, POLICY, RUNG_EVERY, RUNGS, Member, Tried, hindered

VERBS: t.Tuple[str, ...] = tuple(POLICY)
WORDS = ("auto_approve", "notify_and_proceed", "require_approval", "block")
# Seconds for which an approval or a rejection holds.
DECIDED_FOR = DAY
# Seconds after which an action that was begun no longer counts as at work: whoever has begun it is gone.
AT_WORK = 3 * RUNG_EVERY
# What a guard against remediation does not stop: it changes nothing that clients see, or is an end that has guards of its own.
_UNGUARDED = ("renew", "terminate")
# Done here, by the provider; whatever else is done by a role and closed by what the machine shows afterwards.
BY_PROVIDER = ("power_cycle",)
_OPEN = ("pending", "running")
_LADDER = tuple(verb for verb, _needs in RUNGS)


@dataclass(frozen=True)
class Answer:
    """What policy says of a verb now. ``word`` is one of `WORDS`; ``code`` is why it is not done, empty when it may be; ``wait`` in how many seconds to
    ask again, 0 when time alone changes nothing."""

    verb: str
    word: str
    code: str = ""
    why: str = ""
    wait: float = 0.0


def word_of(verb: str, node: Node, rules: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """The first of ``rules`` whose verb, class and node fit, each one only where it is named; else the table."""
    for rule in rules:
        if all(not rule.get(name) or rule[name] == value for name, value in (("verb", verb), ("lifecycle_class", node.lifecycle_class), ("node", node.name))):
            return str(rule["answer"])
    return POLICY[verb][node.lifecycle_class]


def decided(action: t.Optional[Action], now: float) -> str:
    """approved, rejected, or nothing that still holds."""
    if action is None or action.decided_at is None or now - action.decided_at >= DECIDED_FOR:
        return ""
    return action.decision


def answer(verb: str, node: Node, now: float, action: t.Optional[Action], tried: t.Sequence[Tried], group: t.Sequence[Member],
           rules: t.Sequence[t.Mapping[str, t.Any]]) -> Answer:  # fmt: skip
    """Whether ``verb`` may be done to ``node`` now. The guard wins over everything, then the group, then the budget; approval is asked for last."""
    word = word_of(verb, node, rules)
    guards = node.guarded(("no_remediation",), now) if verb not in _UNGUARDED else ()
    if guards:
        return Answer(verb, word, "held", f"guard no_remediation: {guards[0].reason}".rstrip(": "))
    if word == "block":
        return Answer(verb, word, "held", f"policy blocks {verb} of {node.lifecycle_class} nodes")
    stop = hindered(node, now, tried, group) if verb in _LADDER else None
    if stop is not None:
        return Answer(verb, word, stop.code or "budget_exhausted", stop.why, stop.wait)
    if word == "require_approval" and decided(action, now) != "approved":
        return Answer(verb, word, "approval_required", f"{verb} of a {node.lifecycle_class} node")
    return Answer(verb, word)


def tried_of(actions: t.Iterable[Action], now: float) -> t.List[Tried]:
    """Rungs that were taken in the last day, each attempt of an action for itself."""
    return [Tried(one.verb, one.attempted_at) for one in actions if one.verb in _LADDER and one.attempted_at is not None and now - one.attempted_at < DAY
            for _attempt in range(one.attempts)]  # fmt: skip


def steps_to(state: str, action: t.Optional[Action], verb: str, now: float) -> t.Tuple[Step, ...]:
    """What brings an action into ``state``; empty when it is. Raises FleetError ``action_final``, ``action_unknown``."""
    has = action.state if action is not None else ""
    if state == "aborted":
        return (Step("abort", f"{verb} is {has}"),) if has in _OPEN else ()
    if has == "complete":
        if state in ("approved", "rejected"):
            raise final(action, f"nothing is left that could be {state}")
        return ()
    if has == "aborted" or (has == "rejected" and decided(action, now) == "rejected" and state != "rejected"):
        raise final(action, "one cause is acted on once")
    ask = () if has in _OPEN else (Step("ask", f"{verb} was not asked for" if not has else f"{verb} is {has}"),)
    if state == "pending":
        return ask
    if state in ("approved", "rejected"):
        if has == "running":
            raise final(action, "it has begun; state: aborted stops it")
        return () if decided(action, now) == state else (*ask, Step("approve" if state == "approved" else "reject", f"somebody says so about {verb}"))
    begin = () if has == "running" else (Step("begin", f"{verb} may be done", verb != "renew"),)
    if state == "running":
        return (*ask, *begin)
    if verb in BY_PROVIDER:
        return (*ask, *begin, Step(verb, "by the provider", True), Step("close", "its provider shows that it was done"))
    if action is None:
        raise FleetError("action_unknown", f"Nobody has asked for {verb}, so there is nothing to close.", "Begin it with state: running, and do it, first.")
    return (*ask, Step("close", "the machine shows that it was done"))


def final(action: t.Optional[Action], why: str) -> FleetError:
    said = f"{action.verb} for {action.fingerprint} is {action.state}" if action is not None else "The action is over"
    by = f", by {action.decided_by}" if action is not None and action.state == "rejected" and action.decided_by else ""
    return FleetError("action_final", f"{said}{by}: {why}. Nothing was changed.", "Another cause is another fingerprint; a rejection holds for 24 h.",
                      {"action": action.key if action is not None else ""})  # fmt: skip


def snapshot(beat: t.Optional[Heartbeat]) -> str:
    """What a machine said of itself when a verb was begun, as `Action.seen` keeps it."""
    if beat is None:
        return "{}"
    return json.dumps({"boot_id": beat.boot_id, "certificate_not_after": beat.certificate_not_after, "received_at": beat.received_at}, sort_keys=True)


def awaited(action: Action, instance: t.Optional[Instance], beat: t.Optional[Heartbeat], live: t.Optional[Instance], phase: str) -> str:
    """What proves that the verb was done and is not there; empty when it is.

    ``instance`` and ``beat`` are of the machine that the action is about, ``live`` and ``phase`` of the one that the node has now.
    """
    since = action.attempted_at if action.attempted_at is not None else action.asked_at or 0.0
    before: Json = json.loads(action.seen)
    if action.verb == "terminate":
        return "" if instance is not None and instance.terminated_at is not None else "the end of its machine"
    if action.verb == "replace":
        return "" if live is not None and live.id != action.instance and phase == "running" else "another machine of the node that runs"
    if action.verb == "power_cycle":
        return "" if instance is not None and (instance.powered_at or 0.0) > (action.asked_at or 0.0) else "its power, on again"
    if beat is None or beat.received_at <= since:
        return "a word of its machine that is younger than the attempt"
    needs: t.Mapping[str, t.Tuple[bool, str]] = {
        "restart_units": (True, ""),
        "reboot": (beat.boot_id != before.get("boot_id"), "another boot than the one before"),
        "renew": ((beat.certificate_not_after or 0.0) > (before.get("certificate_not_after") or 0.0), "a certificate that lives longer than the one before"),
        "reenrol": (beat.enrolled, "the word that it is enrolled"),
        "reconcile": (beat.modules_active, "the word that its modules are those that are wanted"),
    }
    good, what = needs[action.verb]
    return "" if good else what


def asked_again(action: Action, now: float) -> Action:
    """An action that failed, or whose rejection no longer holds, as if it were asked for now. Its attempts stay counted."""
    return replace(action, state="pending", ended_at=None, asked_at=now, decision="", decided_at=None, decided_by="")
