# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands between a node and what is asked of it: every finding at once, before the first write. Pure."""

from __future__ import annotations

import typing as t

from .._core.argspec import unknown_keys
from .._core.finding import Finding, failure
from .finalizers import BY_NAME, NAMES
from .machine.model import NotFound, Observed, Unknown
from .model import GUARDS
from .phase import is_ours
from .plan import Desired, View, differs, renewed, skipped

# What a state takes away from clients, and what of that a guard forbids.
_TAKES_AWAY = ("drained", "stopped", "absent")
_GUARDED: t.Mapping[str, t.Tuple[str, ...]] = {"stopped": ("protected", "no_stop"), "absent": ("protected", "no_stop")}

# The hook that empties what runs on a machine, by the runtime that it reports.
_HOOK_OF = {"docker": ("docker",), "swarm": ("swarm",), "k3s": ("k3s_agent", "k3s_server"), "native": ("native",)}


def refuse(view: View, desired: Desired) -> None:
    """Raise one FleetError with everything of `contradiction` that stops the run."""
    found = [finding for finding in contradiction(view, desired) if finding.level == "fail"]
    if found:
        raise failure(found, "Nothing was changed.")


def contradiction(view: View, desired: Desired) -> t.List[Finding]:
    """Findings of level fail and warn, in the order in which an operator would look at them."""
    looks = (_names, _provider, _identity, _others, _guards, _machine, _immutable, _approval, _quorum, _hooks)
    return [finding for look in looks for finding in look(view, desired)]


def _fails(code: str, view: View, message: str, remedy: str, field: str = "", level: str = "fail") -> Finding:
    return Finding(code, level, view.node.name, message, remedy, field)


def _ends(view: View, desired: Desired) -> bool:
    """Whether a machine of the node is destroyed."""
    return view.instance is not None and (desired.state == "absent" or renewed(view, desired))


def _names(view: View, desired: Desired) -> t.Iterator[Finding]:
    for sentence in unknown_keys("skip_finalizers", desired.skip, NAMES):
        yield _fails("option_invalid", view, sentence, "Name finalizers as the plan shows them.", "skip_finalizers")
    for name in desired.skip:
        if name in BY_NAME and not BY_NAME[name].may_skip:
            yield _fails("held", view, f"Finalizer {name} is never passed over.", "Take the guard off the node, with its owner.", "skip_finalizers")


def _provider(view: View, desired: Desired) -> t.Iterator[Finding]:
    sighting, instance = view.facts.sighting, view.instance
    if desired.state in ("cordoned", "drained"):
        return
    if desired.mode == "disabled" and desired.state != "absent":
        yield _fails("provider_disabled", view, "The provider is disabled: no machine is made, started or stopped.", "Set mode: real.", "mode")
    if isinstance(sighting, Unknown):
        level = "warn" if desired.state == "absent" else "fail"
        yield _fails("provider_unavailable", view, f"The provider gave no answer that can be relied on ({sighting.code}): {sighting.message}",
                     "Mend what it names, then run again; nothing is made twice.", level=level)  # fmt: skip
    elif isinstance(sighting, NotFound) and instance is not None and instance.provider_id and not view.vanished() and not _ends(view, desired):
        yield _fails("provider_unavailable", view, f"The provider does not find {instance.provider_id} now, which may be late news.",
                     "Run again in a minute: what is not found in any look for 60 s is gone.")  # fmt: skip


def _identity(view: View, desired: Desired) -> t.Iterator[Finding]:
    sighting, instance = view.facts.sighting, view.instance
    if desired.state in ("cordoned", "drained"):
        return
    foreign = isinstance(sighting, Observed) and not (instance is not None and is_ours(sighting, instance))
    if isinstance(sighting, Observed) and foreign and instance is not None and instance.provider_id == sighting.provider_id:
        if desired.state != "absent" or not skipped(view, desired, "provider"):
            yield _fails("identity_mismatch", view, f"{sighting.provider_id} is {_whose(sighting)} now, not instance {instance.id} of {view.node.name}.",
                         "It is not touched. Find out whose it is; skip_finalizers: [provider] lets go of ours.")  # fmt: skip
    elif desired.state in ("present", "running") and (instance is None or not instance.provider_id):
        named = [sighting] if isinstance(sighting, Observed) and foreign else []
        clashing = {one.provider_id: one for one in (*named, *view.others) if one not in view.orphans() and not _same(one, view)}
        for one in clashing.values():
            yield _fails("name_clash", view, f"{one.provider_id} carries the name of {view.node.name} and is {_whose(one)}.",
                         "Rename or remove that machine, or name the node otherwise; adopt: true takes one over that carries this node's tag.")  # fmt: skip


def _whose(machine: Observed) -> str:
    tag = machine.identity
    return f"of instance {tag.instance_id} of {tag.node} in fleet {tag.fleet}" if tag else "of nobody that we know"


def _same(machine: Observed, view: View) -> bool:
    return machine.identity is not None and view.instance is not None and machine.identity.instance_id == view.instance.id


def _others(view: View, desired: Desired) -> t.Iterator[Finding]:
    same = [other for other in view.others if _same(other, view)]
    # One of them is the machine itself, when a list shows it and the question for it had no answer.
    same = same if view.machine() is not None else same[1:]
    orphans = [] if desired.state == "absent" or (desired.adopt and view.instance is None and len(view.orphans()) == 1) else list(view.orphans())
    for other in (*same, *orphans) if desired.state not in ("cordoned", "drained") else ():
        tag = other.identity.instance_id if other.identity else ""
        yield _fails("duplicate_machine", view, f"{other.provider_id} carries the tag of {view.node.name} as well (instance {tag}).",
                     "adopt: true takes one over that no row knows; state: absent with confirm removes it.")  # fmt: skip


def _guards(view: View, desired: Desired) -> t.Iterator[Finding]:
    kinds = _GUARDED["absent"] if _ends(view, desired) else _GUARDED.get(desired.state, ())
    for guard in view.node.guarded(kinds, view.facts.now):
        until = f" until {guard.until - view.facts.now:.0f} s from now" if guard.until is not None else ""
        yield _fails("held", view, f"Guard {guard.kind} holds{until}: {view.node.name} is {GUARDS[guard.kind]}. {guard.reason}".rstrip(),
                     "Wait for its end, or take it off in node.guards with its owner; force does not override it.", "guards")  # fmt: skip
    if view.own_host and (desired.state == "stopped" or _ends(view, desired)):
        yield _fails("self_management", view, f"{view.node.name} is the host that this runs on.", "Run from another controller.")


def _machine(view: View, desired: Desired) -> t.Iterator[Finding]:
    if desired.state not in ("cordoned", "drained", "stopped"):
        return
    if view.instance is None or view.vanished() or not (view.instance.provider_id or view.machine()):
        yield _fails("no_machine", view, f"{view.node.name} has no machine that could be {desired.state}.", "state: running makes one.", "state")
    elif view.instance.delete_requested_at is not None:
        yield _fails("finalizers_pending", view, f"The end of its machine has begun; left: {', '.join(view.instance.finalizers)}.",
                     "Run state: absent to its end first.", "state")  # fmt: skip


def _immutable(view: View, desired: Desired) -> t.Iterator[Finding]:
    if desired.state in ("present", "running") and differs(view, desired) and not desired.replace and not view.vanished():
        yield _fails("immutable_change", view, f"The machine was made with {view.instance.spec_hash if view.instance else ''}, and {desired.spec_hash} is asked"
                     " for: that takes a new machine.", "Set on_immutable_change: replace, or go back to what it has.", "on_immutable_change")  # fmt: skip


def _approval(view: View, desired: Desired) -> t.Iterator[Finding]:
    if desired.approved:
        return
    begun = view.instance is not None and view.instance.delete_requested_at is not None
    persistent = view.node.lifecycle_class == "persistent"
    if persistent and _ends(view, desired) and not begun:
        gone = "its machine is gone; another one starts empty" if view.vanished() else "its machine is destroyed, with what is on it"
        yield _fails("approval_required", view, f"{view.node.name} is persistent: {gone}.", f"confirm: {view.node.name}", "confirm")
    elif desired.state == "absent" and view.orphans():
        named = ", ".join(orphan.provider_id for orphan in view.orphans())
        yield _fails("approval_required", view, f"Machines that no row knows carry its tag: {named}.", f"confirm: {view.node.name}", "confirm")


def _quorum(view: View, desired: Desired) -> t.Iterator[Finding]:
    leaves = desired.state in _TAKES_AWAY or _ends(view, desired)
    if not view.node.quorum_group or not leaves or not view.works() or (view.instance is not None and view.instance.cordoned_by):
        return
    stays, members = sum(view.group.values()), len(view.group) + 1
    if stays * 2 <= members:
        yield _fails("quorum_risk", view, f"Without it {stays} of {members} members of {view.node.quorum_group} take work, which is no majority.",
                     "Repair or add a member first.", "quorum_group")  # fmt: skip


def _hooks(view: View, desired: Desired) -> t.Iterator[Finding]:
    drains = (desired.state in _TAKES_AWAY or _ends(view, desired)) and desired.drain and view.works()
    if not drains or (_ends(view, desired) and skipped(view, desired, "drain")) or view.instance is None or view.instance.drained_at is not None:
        return
    if not view.reachable:
        yield _fails("drain_blocked", view, "It cannot be reached, and nobody knows what runs on it.", "Mend the way to it; state: absent goes on with force.")
    runtimes = view.facts.heartbeat.runtimes if view.facts.heartbeat and not desired.accept_undrained else ()
    for runtime in runtimes:
        hooks = _HOOK_OF.get(runtime, (runtime,))
        if not set(hooks) & set(view.node.hooks):
            yield _fails("hook_missing", view, f"It reports {runtime}, and no hook of the node empties that.",
                         f"Add {' or '.join(hooks)} to its hooks, or accept_undrained: true.", "hooks")  # fmt: skip
    for hook in view.node.hooks:
        said = view.evidence_of(hook)
        for blocker in said.blockers if said is not None and said.outcome == "blocked" else ():
            override = f"; {blocker['override']} overrides it" if blocker.get("override") else ""
            yield _fails("drain_blocked", view, f"{hook}: {blocker.get('name')} stays: {blocker.get('reason')}{override}.",
                         "Remove the blocker, or name what overrides it.")  # fmt: skip
