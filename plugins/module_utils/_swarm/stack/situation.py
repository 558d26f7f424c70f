# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observe and plan: what is wanted, what is there, what stands in between, with every finding at once."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..._core.errors import FleetError
from ..._core.finding import Finding, failure
from ..._core.runner import Runner
from ..convert import convert, externals_of
from ..model import STACK_LABEL, Desired, Json, StackPlan, World
from ..plan import plan as plan_of
from ..record import records
from ..record.history import History
from ..record.revision import PENDING, Content, Revision, last, select, used_by
from ..run import drift
from ..spec import pin
from ..spec.names import Named, ids_of, named, new_salt, with_ids, without_ids
from . import canary, preflight, salt
from .options import Options, wrong_gates

PLANNED = "Nothing was changed."

# What a run that did not end well leaves is nobody else's change.
_LEFT = (PENDING, "failed", "rollback_failed")
# A count that a person or an autoscaler has set is no other version.
_COUNT = ["Mode.Replicated.Replicas"]


@dataclass(frozen=True)
class Situation:
    """One observation with its plan. ``action`` is the word for the history, ``found`` are the findings of the preflight.

    ``raw`` is what the files say, with digests and with the CLI's names; ``named`` the same with final names. ``salt`` is the key of the names of
    secrets; `salted` says whether the cluster has it already.
    """

    world: World
    raw: Desired
    named: Named
    plan: StackPlan
    revisions: t.Tuple[Revision, ...]
    rollout: t.Optional[records.Record]
    action: str
    salt: str
    salted: bool
    found: t.Tuple[Finding, ...] = ()

    @property
    def desired(self) -> Desired:
        return self.named.desired

    @property
    def live(self) -> t.Dict[str, Json]:
        """The services of the stack by name."""
        return {str(service["Spec"]["Name"]): service for service in of_stack(self.world.services, self.desired.name)}

    def content(self) -> Content:
        """What the history keeps of what is wanted."""
        return content_of(self.desired)

    def past(self) -> t.Tuple[str, ...]:
        """Services that somebody has changed past the history, and that other content is written over now. With the same content it is drift."""
        done = last(self.revisions)
        if done is None or self.action != "deploy" or self.rollout is not None or done.content.digest() == self.content().digest():
            return ()
        if any(one.status in _LEFT for one in self.revisions if one.number > done.number):
            return ()
        networks = {str(item["Id"]): str(item["Name"]) for item in self.world.networks}
        then = Content({}) if done.action == "remove" else done.content
        found = drift(then, {name: service["Spec"] for name, service in self.live.items()}, networks)
        written = {change.service for change in self.plan.changes if change.action != "none"}
        return tuple(str(entry["service"]) for entry in found if entry["service"] in written and entry["fields"] != _COUNT) if self.live else ()

    def warnings(self) -> t.List[str]:
        said = [f"Changed past the history since revision {self.revisions[-1].number}: {', '.join(past)}. That state is kept as a revision of its own."
                for past in [self.past()] if past]  # fmt: skip
        return [*said, *self.desired.warnings, *self.plan.warnings, *(found.message for found in self.found if found.level == "warn")]

    def refuse(self) -> None:
        """Raise FleetError with every finding that is no warning."""
        refuse([found for found in self.found if found.level == "fail"])


def content_of(desired: Desired) -> Content:
    services = {name: without_ids(spec) for name, spec in desired.services.items()}
    digests = {tag: image for image in map(pin.image_of, services.values()) for tag, mark, _digest in [image.partition("@")] if mark}
    used = {kind: tuple(sorted({name for spec in services.values() for name in used_by(spec, kind)})) for kind in ("configs", "secrets")}
    return Content(services, dict(desired.networks), used["configs"], used["secrets"], digests, dict(desired.waves), desired.gates)


def refuse(found: t.Sequence[Finding]) -> None:
    """Raise FleetError with all of ``found``, if there is any."""
    if found:
        raise failure(found, PLANNED)


def findings_of(error: FleetError) -> t.List[Finding]:
    """A failure as findings, so that it can stand beside others. One that holds none is raised as it is."""
    told = error.details.get("findings")
    if not told:
        raise error
    return [Finding(**{key: str(entry[key]) for key in ("code", "field", "message", "remedy", "level")}) for entry in told]


def of_stack(items: t.Iterable[Json], name: str) -> t.Tuple[Json, ...]:
    """Those of ``items`` that carry the label of the stack."""
    return tuple(item for item in items if ((item.get("Spec") or item).get("Labels") or {}).get(STACK_LABEL) == name)


def look(
    engine: t.Any,
    options: Options,
    runner: Runner,
    found: t.Sequence[Finding] = (),
    earlier: t.Optional[Situation] = None,
    other: t.Collection[str] = (),
) -> Situation:
    """Observe the whole cluster and plan. What an ``earlier`` look of this run has made of files and registry is not made again; ``other`` names
    secrets whose content turned out to be another one.

    Raises FleetError with all of ``found`` and its own findings at once where no plan can be made; else they stand in the situation.
    """
    world, told = engine.world(), list(found)
    revisions = History(engine, options.name).revisions()
    rollout = records.find(engine, records.ROLLOUT, options.name)
    kept = salt.read(world, options.name)
    key = kept or (earlier.salt if earlier else new_salt())
    done = last(revisions)
    try:
        if options.revision is not None:
            raw, action = _replayed(options, revisions, world)
            final = Named(raw, {})
        else:
            raw, more = (earlier.raw, []) if earlier else _wanted(engine, options, runner, world, done)
            told += more
            final, action = named(raw, world, key, other), "deploy"
        # A canary differs from what is wanted by its settings, and its promotion or end is no repair that could be left out.
        drift = "repair" if rollout else options.drift
        asked = {"replicas": options.replicas, "drift": drift, "prune": options.prune, "allow_recreate": options.allow_recreate}
        plan = plan_of(world, final.desired, {**asked, "recorded": done.content.services if done else {}})
    except FleetError as error:
        refuse(told + findings_of(error))
        raise
    told += preflight.findings(world, final.desired, plan, options.preflight)
    if options.state == "canary":
        told += canary.findings(canary.chosen(plan, options.canary_services, options.name), world.nodes)
    return Situation(world, raw, final, plan, revisions, rollout, action, key, bool(kept), tuple(told))


def _wanted(
    engine: t.Any, options: Options, runner: Runner, world: World, done: t.Optional[Revision]
) -> t.Tuple[Desired, t.List[Finding]]:
    """What the files say, with digests. What cannot be pinned is a finding beside the others, and stays a tag until then."""
    desired = convert(
        options.name, options.compose, options.env, options.env_files, options.strict_env, engine.api_version, externals_of(world), runner
    )
    found = wrong_gates("x-bowline.gates", desired.gates)
    live = {str(service["Spec"]["Name"]): service["Spec"] for service in of_stack(world.services, options.name)}
    recorded = done.content.services if done else live
    architectures = {str(((node.get("Description") or {}).get("Platform") or {}).get("Architecture")) for node in world.nodes}
    try:
        return pin.pin(desired, options.pin, engine.distribution, recorded, len(architectures) > 1), found
    except FleetError as error:
        return desired, found + findings_of(error)


def _replayed(options: Options, revisions: t.Sequence[Revision], world: World) -> t.Tuple[Desired, str]:
    """A stored revision as what is wanted now. Raises FleetError "revision_unavailable" for what of it is gone."""
    chosen = select(revisions, options.revision or "stable", options.name)
    content = chosen.content
    there = ids_of(world)
    needed = {kind: {name for spec in content.services.values() for name in used_by(spec, kind)} for kind in there}
    missing = [f"{kind[:-1]} {name}" for kind in there for name in sorted(needed[kind] - set(there[kind]))]
    if missing:
        raise FleetError(
            "revision_unavailable",
            f"Revision {chosen.number} of {options.name} needs {', '.join(missing)}, which is not in the cluster. {PLANNED}",
            "Deploy the compose files of that version.",
            {"stack": options.name, "revision": chosen.number, "missing": missing},
        )
    services = {name: with_ids(spec, there) for name, spec in content.services.items()}
    desired = Desired(options.name, services, dict(content.networks), waves=dict(content.waves), gates=tuple(content.gates))
    return desired, "redeploy" if isinstance(options.revision, int) else "rollback"
