# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done by itself about a machine that is stuck, how often at most, and what the message names when that is used up. Pure.

A silent machine is acted on with two observers only: its heartbeat, and a word over SSH or the power that its provider shows. Somebody who does not
answer us is no observer: the fault may be ours.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .machine.model import NotFound, Observed
from .model import Node
from .phase import VANISHED_AFTER, Facts, Verdict, is_ours

RUNG_EVERY = 600.0
RUNGS_A_DAY = 3
DAY = 86400.0
# Of a group that share is in remediation at a time; when more fall silent together the cause is not in the machines.
GROUP_SHARE = 0.2
BACKOFF = 30.0
TRIES = 3


class Recovery(t.NamedTuple):
    """One row: what is done by itself, its bound, and what the message names afterwards."""

    stuck: str
    automatic: str
    bound: str
    names: t.Tuple[str, ...]


RECOVERY: t.Tuple[Recovery, ...] = (
    Recovery("pending", "nothing: what a provider has refused is asked for by the next run", "–",
             ("the provider's error", "the same command when that is mended")),
    Recovery("provisioning_no_machine", "looked for by its tag, then asked for once more", "60 s; never with a call in flight",
             ("what was asked for, and when", "state: absent, which sweeps a late machine")),
    Recovery("provisioning_no_word", "one power cycle, when the time of its boot is over", "once, until it speaks; none with a guard",
             ("the last lines of its console", "suspects: URL, clock, DNS, CA")),
    Recovery("bootstrapping", "errors of the network are tried again; a signature or digest never", "after 30, 60, 120 s",
             ("the module", "both digests", "the key id", "what changed before")),
    Recovery("token_expired", "issued again, where the provider carries it to the machine", "once", ("provision anew", "push enrolment")),
    Recovery("silent", "restart the agent, reboot, power cycle, enrol anew, replace", "one in 10 min, three in 24 h; approval where policy says so",
             ("the console", "the journal", "what changed before")),
    Recovery("draining", "nothing", "–", ("each blocker", "its reason", "the option that overrides it")),
    Recovery("terminating", "tried again; not found is success", "after 30, 60, 120 s", ("what is left", "skip_finalizers by name")),
    Recovery("run_died", "the next run takes the lease and probes each step", "–", ("the same command",)),
    Recovery("store_lost", "nothing", "–", ("playbooks/state_import.yml",)),
)  # fmt: skip

BY_NAME: t.Mapping[str, Recovery] = {row.stuck: row for row in RECOVERY}

# Verb by verb what policy says for each class of life, unless the operator says otherwise.
POLICY: t.Mapping[str, t.Mapping[str, str]] = {
    **{verb: dict.fromkeys(("persistent", "ephemeral", "spot"), "notify_and_proceed") for verb in ("reconcile", "restart_units", "reboot", "power_cycle")},
    "renew": dict.fromkeys(("persistent", "ephemeral", "spot"), "auto_approve"),
    "reenrol": {"persistent": "require_approval", "ephemeral": "notify_and_proceed", "spot": "notify_and_proceed"},
    "replace": {"persistent": "require_approval", "ephemeral": "notify_and_proceed", "spot": "auto_approve"},
    "terminate": {"persistent": "require_approval", "ephemeral": "notify_and_proceed", "spot": "auto_approve"},
}

# The rungs of the ladder, each with what it needs: a way into the machine, or a hand on its power.
RUNGS: t.Tuple[t.Tuple[str, str], ...] = (("restart_units", "ssh"), ("reboot", "ssh"), ("power_cycle", "power"), ("reenrol", "ssh"), ("replace", "power"))


@dataclass(frozen=True)
class Tried:
    """An automatic move that was made at ``at``."""

    verb: str
    at: float


@dataclass(frozen=True)
class Member:
    """Another node of the same group: whether it takes work, is silent, is being remediated."""

    schedulable: bool = True
    silent: bool = False
    remediated: bool = False


@dataclass(frozen=True)
class Move:
    """What to do now. ``verb`` is empty when nothing is done by itself, ``wait`` says in how many seconds to look again, ``code`` why it is not done.

    ``names`` is what the message to the operator names.
    """

    verb: str = ""
    wait: float = 0.0
    code: str = ""
    why: str = ""
    names: t.Tuple[str, ...] = ()


def stuck(facts: Facts, verdict: Verdict, grade: str) -> str:
    """The row of a machine that does not come on; empty for one that is in no row. ``grade`` is that of its silence."""
    if verdict.phase == "provisioning":
        seen = isinstance(facts.sighting, Observed) or (facts.instance is not None and bool(facts.instance.provider_id))
        return "provisioning_no_word" if seen and facts.power() == "on" else "provisioning_no_machine"
    if verdict.phase in ("pending", "bootstrapping", "draining", "terminating"):
        return verdict.phase
    return "silent" if verdict.phase in ("running", "drained") and grade in ("silent", "lost") else ""


def again(row: str, tries: t.Sequence[float], now: float) -> Move:
    """Whether something that failed at ``tries`` is tried again: three times more, after 30, 60 and 120 s."""
    if len(tries) > TRIES:
        return Move(code="budget_exhausted", why=f"tried {len(tries)} times", names=BY_NAME[row].names)
    due = max(tries) + BACKOFF * 2 ** (len(tries) - 1) if tries else now
    return Move("retry") if now >= due else Move(wait=due - now, why="backing off", names=BY_NAME[row].names)


def search(facts: Facts, asked: t.Sequence[float]) -> Move:
    """A machine that was asked for at ``asked`` and is not there: looked for during 60 s, asked for once more, then left to the operator."""
    names = BY_NAME["provisioning_no_machine"].names
    final = isinstance(facts.sighting, NotFound) and facts.sighting.final
    if not isinstance(facts.sighting, NotFound):
        return Move(wait=BACKOFF, code="provider_unavailable", why="nobody knows whether it is there", names=names)
    age = facts.now - max(asked) if asked else VANISHED_AFTER
    if age < VANISHED_AFTER and not final:
        return Move(wait=VANISHED_AFTER - age, why="a call may be in flight", names=names)
    return Move("create") if len(asked) < 2 else Move(code="provider_timeout", why="asked for twice, and not there", names=names)


def boot_again(tried: t.Sequence[Tried]) -> Move:
    """A machine that is on and has never spoken gets one power cycle."""
    done = any(one.verb == "power_cycle" for one in tried)
    return Move(code="no_contact", why="one power cycle did not help", names=BY_NAME["provisioning_no_word"].names) if done else Move("power_cycle")


def fetch_again(reason: str, tries: t.Sequence[float], now: float) -> Move:
    """Modules that do not come: the network is tried again, a signature or a digest that is wrong never."""
    if reason in ("signature_invalid", "digest_mismatch", "key_not_trusted"):
        return Move(code=reason, why="what is not proven is not tried again", names=BY_NAME["bootstrapping"].names)
    return again("bootstrapping", tries, now)


def reissue(carried: bool, tried: t.Sequence[Tried]) -> Move:
    """A token that is over is issued again where the provider brings it to the machine, and nobody else can read it on the way."""
    if carried and not any(one.verb == "reissue" for one in tried):
        return Move("reissue")
    return Move(code="token_expired", why="nobody carries a new one to the machine", names=BY_NAME["token_expired"].names)


def ladder(node: Node, facts: Facts, ssh: t.Optional[bool], tried: t.Sequence[Tried], group: t.Sequence[Member], approved: bool = False) -> Move:
    """The next rung for a silent machine. ``ssh`` is whether it let us in, None when nobody tried; ``group`` are the other members.

    The guard wins over everything, then the second observer, then the group, then the budget; policy is asked last, for the very verb.
    """
    names = BY_NAME["silent"].names
    stop = _guarded(node, facts) or _alone(node, facts, ssh) or hindered(node, facts.now, tried, group)
    if stop is not None:
        return Move(stop.verb, stop.wait, stop.code, stop.why, names)
    means = {"ssh": ssh is True, "power": isinstance(facts.sighting, Observed)}
    done = {one.verb for one in tried if facts.now - one.at < DAY}
    reached = max((number for number, (verb, _needs) in enumerate(RUNGS) if verb in done), default=-1)
    for verb, needs in RUNGS[reached + 1 :]:
        if not means[needs]:
            continue
        if POLICY[verb][node.lifecycle_class] == "require_approval" and not approved:
            return Move(code="approval_required", why=f"{verb} of a {node.lifecycle_class} node", names=names)
        return Move(verb, why=f"silent, and {'SSH answers' if means['ssh'] else 'its power is ' + facts.power()}", names=names)
    return Move(code="budget_exhausted", why="every rung was tried", names=names)


def hindered(node: Node, now: float, tried: t.Sequence[Tried], group: t.Sequence[Member]) -> t.Optional[Move]:
    """Why a rung is not taken now, by its group and by what was tried already; None when it may be."""
    return _grouped(node, group) or _spent(now, tried)


def _guarded(node: Node, facts: Facts) -> t.Optional[Move]:
    guards = node.guarded(("no_remediation",), facts.now)
    return Move(code="held", why=f"guard no_remediation: {guards[0].reason}") if guards else None


def _alone(node: Node, facts: Facts, ssh: t.Optional[bool]) -> t.Optional[Move]:
    if isinstance(facts.sighting, Observed) and facts.instance is not None and not is_ours(facts.sighting, facts.instance):
        return Move(code="identity_mismatch", why=f"{facts.sighting.provider_id} is not the machine of {node.name}")
    if ssh is True or isinstance(facts.sighting, Observed):
        return None
    return Move(wait=RUNG_EVERY, code="observer_down", why="its heartbeat is the only one that says so")


def _grouped(node: Node, group: t.Sequence[Member]) -> t.Optional[Move]:
    allowed = max(1, int(GROUP_SHARE * (len(group) + 1)))
    if 1 + sum(member.silent for member in group) > allowed:
        return Move(wait=RUNG_EVERY, code="observer_down", why="more of its group fell silent together than machines fail by themselves")
    if 1 + sum(member.remediated for member in group) > allowed:
        return Move(wait=RUNG_EVERY, code="budget_exhausted", why=f"{allowed} of its group at a time")
    if node.quorum_group and sum(member.schedulable for member in group) * 2 <= len(group) + 1:
        return Move(code="quorum_risk", why=f"{node.quorum_group} would have no majority")
    return None


def _spent(now: float, tried: t.Sequence[Tried]) -> t.Optional[Move]:
    today = sorted(one.at for one in tried if now - one.at < DAY)
    if len(today) >= RUNGS_A_DAY:
        return Move(wait=today[-RUNGS_A_DAY] + DAY - now, code="budget_exhausted", why=f"{RUNGS_A_DAY} in 24 h")
    if today and now - today[-1] < RUNG_EVERY:
        return Move(wait=today[-1] + RUNG_EVERY - now, why="one in 10 min")
    return None
