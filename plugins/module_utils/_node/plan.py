# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a whole life: what is known of a node and what it shall be in, the steps between them out. Pure.

The steps are those that a run does, in this order, nothing left out: check mode shows them, and a run that finds one of them done passes it over.
Force overrides no guard, a machine that is not ours is never touched, and what nobody knows is waited for.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._core.result import Step
from .finalizers import BY_NAME, NAMES, in_order
from .machine.model import NotFound, Observed, Unknown
from .model import Evidence, Instance, Node
from .phase import VANISHED_AFTER, Facts, is_ours, vanished

# Evidence of a drain that is older than this may be of another hour.
EVIDENCE_FRESH = 300.0
# Stages of evidence that say what runs on the machine, and those that say what was taken back; one by hand has none.
ABOUT_WORK, ABOUT_UNDO = ("", "observe", "drain"), ("", "undo")


@dataclass(frozen=True)
class LifeStep(Step):
    """One step of a life. ``subject`` is the hook or finalizer it is about, ``probe`` what proves it, ``done_by`` who does it."""

    action: str
    reason: str
    disruptive: bool = False
    subject: str = ""
    probe: str = ""
    done_by: str = "node_instance"


@dataclass(frozen=True)
class Desired:
    """What is asked for. ``approved`` says that somebody confirmed the node by its name, or approved the action.

    ``spec`` holds no secrets; ``spec_hash`` is ``v1:<sha256>`` over it; with ``credentials`` a machine that is made gets some. ``skip`` names
    finalizers to pass over; ``replace`` allows a new machine where what it is made with has changed; ``contacted`` has it on in state present, and waits
    until it has spoken.
    """

    state: str
    provider: str = ""
    spec: t.Mapping[str, t.Any] = field(default_factory=dict)
    spec_hash: str = ""
    credentials: bool = False
    mode: str = "real"
    drain: bool = True
    force: bool = False
    skip: t.Tuple[str, ...] = ()
    adopt: bool = False
    accept_undrained: bool = False
    replace: bool = False
    approved: bool = False
    contacted: bool = False
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True)
class View:
    """Everything that is known of a node. ``others`` are machines that carry its tag, or its name, and are not that of its instance.

    ``group`` says of each other member of its quorum group whether it takes work now. ``reachable`` is whether its hooks can be asked.
    """

    node: Node
    facts: Facts
    fleet: str = ""
    others: t.Tuple[Observed, ...] = ()
    evidence: t.Tuple[Evidence, ...] = ()
    group: t.Mapping[str, bool] = field(default_factory=dict)
    own_host: bool = False
    reachable: bool = True

    @property
    def instance(self) -> t.Optional[Instance]:
        return self.facts.instance

    def vanished(self) -> bool:
        return vanished(self.facts)

    def machine(self) -> t.Optional[Observed]:
        """The machine of the instance, when its provider shows it."""
        sighting, instance = self.facts.sighting, self.instance
        return sighting if isinstance(sighting, Observed) and instance is not None and is_ours(sighting, instance) else None

    def orphans(self) -> t.Tuple[Observed, ...]:
        """Machines that carry the tag of this node in this fleet, and that no row of the store knows."""
        known = self.instance.id if self.instance else ""
        return tuple(other for other in self.others if other.identity is not None and other.identity.fleet == self.fleet
                     and other.identity.node == self.node.name and other.identity.instance_id != known)  # fmt: skip

    def works(self) -> bool:
        """Whether something may run on the machine: it was seen, and neither gone nor off."""
        return self.instance is not None and bool(self.instance.provider_id or self.machine()) and not self.vanished() and self.facts.power() != "off"

    def evidence_of(self, hook: str) -> t.Optional[Evidence]:
        """The last word of a hook about work on the machine, unless it is too old. What it has taken back, or left, says nothing about that."""
        about = [one for one in self.evidence if one.hook == hook and one.stage in ABOUT_WORK]
        found = [one for one in about if self.facts.now - one.observed_at < EVIDENCE_FRESH]
        return max(found, key=lambda one: one.observed_at) if found else None


def plan(view: View, desired: Desired) -> t.Tuple[LifeStep, ...]:
    """Every step from ``view`` to ``desired.state``; empty when it holds already. What stands in the way is `contradiction`'s business."""
    if desired.state == "absent":
        return tuple(_end(view, desired))
    if renewed(view, desired):
        after = View(view.node, Facts(view.facts.now), view.fleet)
        return (*_end(view, desired), *plan(after, desired))
    ways: t.Dict[str, t.Callable[[View, Desired], t.Iterator[LifeStep]]] = {
        "present": _present, "running": _running, "cordoned": _cordoned, "drained": _drained, "stopped": _stopped,
    }  # fmt: skip
    return tuple(ways[desired.state](view, desired))


def renewed(view: View, desired: Desired) -> bool:
    """Whether the machine has to end and another one to come: it is gone, its end has begun, or it was made with something else."""
    if view.instance is None or desired.state not in ("present", "running"):
        return False
    return view.vanished() or view.instance.delete_requested_at is not None or differs(view, desired)


def differs(view: View, desired: Desired) -> bool:
    """Whether the machine was made with something else than what is asked for now. Asking for nothing keeps what is there."""
    return view.instance is not None and bool(desired.spec_hash) and view.instance.spec_hash != desired.spec_hash


def create_verdict(facts: Facts) -> str:
    """Whether the machine is there: done, not (it may be asked for now), or unknown (wait, never ask).

    A call whose reply was lost may still make a machine, so nobody asks again before it would have been seen. ``final`` says that no call is in flight.
    """
    if isinstance(facts.sighting, Observed):
        return "done" if facts.instance is not None and is_ours(facts.sighting, facts.instance) else "foreign"
    if not isinstance(facts.sighting, NotFound):
        return "unknown"
    return "not" if facts.sighting.final or _asked(facts) is None or _missing(facts) else "unknown"


def destroy_verdict(facts: Facts) -> str:
    """Whether the machine is gone: done, not (ours is there), unknown (wait), or foreign: another machine has the id of ours, and is not touched."""
    instance, sighting = facts.instance, facts.sighting
    if instance is None or isinstance(sighting, Unknown) or sighting is None:
        return "unknown"
    if isinstance(sighting, Observed):
        if is_ours(sighting, instance):
            return "not"
        if sighting.provider_id == instance.provider_id:
            return "foreign"
    elif sighting.final:
        return "done"
    if _asked(facts) is None and not instance.provider_id:
        return "done"
    return "done" if _missing(facts) else "unknown"


def _asked(facts: Facts) -> t.Optional[float]:
    """When the machine was last asked for, by a call of which nobody has seen what came of it."""
    return max((action.attempted_at for action in facts.actions if action.verb == "create" and action.attempted_at is not None), default=None)


def _missing(facts: Facts) -> bool:
    """Whether it was looked for all this while and not found. The age of a call is not enough: a provider may show its machine, and hide it for a moment."""
    instance, asked = facts.instance, _asked(facts)
    since = instance.missing_since if instance is not None else None
    return instance is not None and since is not None and (asked is None or since >= asked) and instance.missing_for >= VANISHED_AFTER


# --- ways -------------------------------------------------------------------------------------------------------------------------


def _made(view: View, desired: Desired) -> t.Iterator[LifeStep]:
    found = view.orphans() if desired.adopt and view.instance is None else ()
    if found:
        yield LifeStep("adopt", f"{found[0].provider_id} becomes the machine of {view.node.name}", subject=found[0].provider_id, probe="its identity")
        return
    if view.instance is None:
        yield LifeStep("reserve", f"{view.node.name} gets a row for its machine", probe="the row")
    if view.machine() is None and (view.instance is None or not view.instance.provider_id):
        yield LifeStep("create_machine", f"{desired.provider or 'its provider'} has no machine of {view.node.name}", probe="the machine, by its tag")


def _present(view: View, desired: Desired) -> t.Iterator[LifeStep]:
    born = tuple(_made(view, desired))
    yield from born
    if not desired.contacted:
        return
    off = not born and view.facts.power() == "off"
    if off:
        yield LifeStep("power_on", "its power is off", probe="power is on")
    if born or off or not _fresh(view.facts):
        yield LifeStep("await_contact", "it boots" if born or off else "it has not spoken", probe="a word of the machine")


def _fresh(facts: Facts) -> bool:
    """Whether the machine has spoken since it was switched on, and not too long ago."""
    return facts.in_contact() and facts.now - (facts.contacted_at() or 0.0) < facts.clocks.silent


def _running(view: View, desired: Desired) -> t.Iterator[LifeStep]:
    born = tuple(_made(view, desired))
    yield from born
    facts, instance = view.facts, view.instance
    off = not born and facts.power() == "off"
    if off:
        yield LifeStep("power_on", "its power is off", probe="power is on")
    fresh = _fresh(facts)
    if born or off or not fresh:
        yield LifeStep("await_contact", "it has not spoken" if not fresh else "it boots", probe="a word of the machine")
    if born or facts.heartbeat is None or not facts.heartbeat.enrolled:
        yield LifeStep("enrol", "it has no certificate of this fleet", probe="its certificate, or its pinned host key", done_by="role node_enrol")
    if _carries(view, desired, bool(born)):
        yield LifeStep("forget_credentials", "it needs none any more, and its host still has them", probe="its definition")
    if born or off or not facts.all_good():
        yield LifeStep("await_services", "modules or services are not ready in this boot", probe="its own report")
    if instance is not None and instance.cordoned_by:
        yield from _undone(view)
        yield LifeStep("uncordon", f"cordoned by {instance.cordoned_by}", probe="it is schedulable")


def _carries(view: View, desired: Desired, born: bool) -> bool:
    """Whether its host holds credentials that were for its first boot. A volatile machine forgets what it made of them, and gets them at each boot."""
    found = view.machine() or next(iter(view.orphans() if born else ()), None)
    declared = desired.spec if found is None else found.details.get("declared") or {}
    return bool(desired.credentials and born if found is None else found.details.get("credentials")) and not declared.get("volatile")


def _undone(view: View) -> t.Iterator[LifeStep]:
    """What a drain has changed is taken back, in the opposite order; what it has not changed is left alone."""
    for hook in reversed(view.node.hooks):
        said = [one for one in view.evidence if one.hook == hook and one.changed]
        if said:
            yield LifeStep("undo", f"the drain changed {', '.join(said[-1].changed)}", subject=hook, probe="its evidence", done_by="hook roles")


def _cordoned(view: View, _desired: Desired) -> t.Iterator[LifeStep]:
    if view.instance is not None and not view.instance.cordoned_by:
        yield LifeStep("cordon", "it takes new work", subject="operator", probe="it is cordoned")


def _drained(view: View, _desired: Desired) -> t.Iterator[LifeStep]:
    instance = view.instance
    if instance is None or (instance.cordoned_by and instance.drained_at is not None):
        return
    yield from _emptied(view)
    yield LifeStep("mark_drained", "every hook says empty", probe="it is drained")


def _emptied(view: View) -> t.Iterator[LifeStep]:
    if view.instance is not None and not view.instance.cordoned_by:
        yield LifeStep("cordon", "it takes new work", subject="drain", probe="it is cordoned")
    for hook in view.node.hooks:
        said = view.evidence_of(hook)
        if said is None or said.outcome == "blocked":
            yield LifeStep("drain", f"work of {hook} may run on it", True, hook, "evidence of the hook", "hook roles")


def _stopped(view: View, desired: Desired) -> t.Iterator[LifeStep]:
    if view.instance is None or view.facts.power() == "off":
        return
    if desired.drain:
        yield from _drained(view, desired)
    yield LifeStep("power_off", "its power is on", True, probe="power is off")


def _end(view: View, desired: Desired) -> t.Iterator[LifeStep]:
    instance = view.instance
    if instance is not None:
        if instance.delete_requested_at is None:
            yield LifeStep("request_delete", f"{desired.state} is asked for", probe="its finalizers")
        left = NAMES if instance.delete_requested_at is None else in_order(instance.finalizers)
        for name in left:
            yield from _finished(view, desired, name)
        yield LifeStep("close", "no finalizer is left", probe="the row says terminated")
    if desired.state == "absent":
        for orphan in view.orphans():
            yield LifeStep("sweep", "it carries the tag of this node, and no row knows it", True, orphan.provider_id, "the provider says not found")


def _finished(view: View, desired: Desired, name: str) -> t.Iterator[LifeStep]:
    finalizer = BY_NAME[name]
    why = skipped(view, desired, name)
    if why:
        yield LifeStep("skip", why, subject=name, probe="the skip, with its actor")
        return
    if name == "drain" and view.works() and (view.instance is None or view.instance.drained_at is None):
        yield from _emptied(view)
    yield LifeStep("finish", finalizer.does, name in ("drain", "provider"), name, finalizer.probe, finalizer.done_by)


def skipped(view: View, desired: Desired, name: str) -> str:
    """Why a finalizer is passed over; empty when it is not. Each skip is recorded with its actor."""
    if not BY_NAME[name].may_skip:
        return ""
    if name in desired.skip:
        return "skip_finalizers names it"
    if name == "drain" and view.works() and not view.reachable and desired.force:
        return "the machine cannot be reached, and force is set"
    if name == "drain" and view.works() and not desired.drain:
        return "drain.enabled is false"
    return ""
