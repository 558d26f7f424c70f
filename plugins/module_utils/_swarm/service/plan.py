# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one service is to become: its count, its place, its past. Pure.

What is asked for is laid over the live spec, or over one of the history, and nothing else of it is touched.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..._core.errors import FleetError
from ..model import Change, Json
from ..plan import grafted, restarts as restarts_of
from ..record.revision import Revision, image_of, select
from ..spec.canonical import canonical
from ..spec.difference import reasons as differences
from ..spec.names import without_ids

# Written with the spec, so that the token that has acted is known from then on to everybody.
TOKEN = "bowline.redistribute"

NOTHING = "Nothing was changed."


@dataclass(frozen=True)
class Asked:
    """Options of the module. ``revision`` is a number, "previous" or "stable"; None and "" ask for nothing."""

    name: str
    state: str = "present"
    replicas: t.Optional[int] = None
    revision: t.Union[int, str, None] = None
    redistribute: str = ""
    expect_image: str = ""


@dataclass(frozen=True)
class Wanted:
    """``spec`` None: the service is to be gone. ``action`` is the word for the history, ``source`` says where the spec comes from."""

    spec: t.Optional[Json]
    action: str
    reasons: t.Tuple[str, ...] = ()
    restarts: str = "none"
    source: str = "live"
    origin: t.Optional[Revision] = field(default=None, repr=False)


def wanted(asked: Asked, live: Json, revisions: t.Sequence[Revision], subject: str, networks: t.Mapping[str, str]) -> Wanted:
    """What ``live`` (the engine's service) is to become.

    Raises FleetError "no_rollback_target", "revision_unavailable", "option_invalid".
    """
    if asked.state == "absent":
        return Wanted(None, "remove", ("state is absent",), "all")
    spec, source, origin = live["Spec"], "live", None
    reasons: list[str] = []
    action, restarts = "scale", "none"
    if asked.revision is not None:
        spec, source, origin = _of_past(asked, asked.revision, live, revisions, subject, networks)
        # What means the same stays as it stands in the live spec, so that no task is replaced for another spelling.
        spec = grafted(spec, live["Spec"], networks)
        action = "rollback"
        if not equal(spec, live["Spec"], networks):
            reasons += [f"{source}: {said}" for said in differences(canonical(without_ids(live["Spec"]), networks), canonical(without_ids(spec), networks))]
            restarts = restarts_of(*(canonical(without_ids(one), networks) for one in (live["Spec"], spec)))
    if asked.replicas is not None:
        _replicated(asked, spec)
        spec = {**spec, "Mode": {**spec["Mode"], "Replicated": {**spec["Mode"]["Replicated"], "Replicas": asked.replicas}}}
        if _count(live["Spec"]) != asked.replicas:
            reasons.append(f"{_count(live['Spec'])} replicas, {asked.replicas} are wanted")
    if asked.redistribute and (live["Spec"].get("Labels") or {}).get(TOKEN) != asked.redistribute:
        spec, restarts = _moved(spec, live["Spec"], asked.redistribute), "all"
        action = "redeploy" if action == "scale" else action
        reasons.append(f"redistribute {asked.redistribute} has not been done")
    return Wanted(spec, action, tuple(reasons), restarts, source, origin)


def change_of(live: Json, target: Wanted, networks: t.Mapping[str, str]) -> Change:
    """The plan as a change; action none when the live spec says what is wanted already."""
    name = str(live["Spec"]["Name"])
    if target.spec is None:
        return Change(name, "remove", target.reasons, "all", live)
    if equal(target.spec, live["Spec"], networks):
        return Change(name, "none", (), "none", live, target.spec)
    return Change(name, "update", target.reasons, target.restarts, live, target.spec)


def equal(one: Json, other: Json, networks: t.Mapping[str, str]) -> bool:
    """Whether two specs say the same: ids of configs and secrets are of the moment, and the engine writes its defaults in.

    ``networks`` has their names by id.
    """
    return bool(canonical(without_ids(one), networks) == canonical(without_ids(other), networks))


def _of_past(
    asked: Asked, number: t.Union[int, str], live: Json, revisions: t.Sequence[Revision], subject: str, networks: t.Mapping[str, str]
) -> tuple[Json, str, t.Optional[Revision]]:
    name = str(live["Spec"]["Name"])
    known = [one for one in revisions if name in one.content.services]
    if not known and number == "previous":
        return _of_engine(asked, live, networks), "the engine's previous spec", None
    chosen = select(revisions, number, subject)
    spec = chosen.content.services.get(name)
    if spec is None:
        held = ", ".join(str(one.number) for one in known) or "none"
        raise FleetError(
            "revision_unavailable",
            f"Revision {chosen.number} of {subject} has no service {name}; {held} have. {NOTHING}",
            "Name a revision that has it.",
            {"revision": chosen.number, "service": name},
        )
    _expected(asked, spec, f"Revision {chosen.number}")
    return dict(spec), f"revision {chosen.number}", chosen


def _of_engine(asked: Asked, live: Json, networks: t.Mapping[str, str]) -> Json:
    """PreviousSpec is what was written last, whatever that was (F2): it is taken only when somebody names the image that is expected in it."""
    name, previous = str(live["Spec"]["Name"]), live.get("PreviousSpec")
    if not previous:
        raise _no_target(f"{name} has no history, and the engine keeps no previous spec of it.")
    if equal(previous, live["Spec"], networks):
        raise _no_target(f"{name} has no history, and the engine's previous spec is the live one: a service update wrote over it.")
    if not asked.expect_image:
        said = f"{name} has no history. The engine's previous spec has image {image_of(previous)}, which may be anything that was written last."
        raise FleetError("no_rollback_target", f"{said} {NOTHING}", f"If that is the version: expect_image: {image_of(previous)}.", {"service": name})
    _expected(asked, previous, "The engine's previous spec")
    return dict(previous)


def _expected(asked: Asked, spec: Json, where: str) -> None:
    image = image_of(spec)
    if asked.expect_image and asked.expect_image not in (image, image.partition("@")[0]):
        raise _no_target(f"{where} has image {image}, {asked.expect_image} is expected.")


def _no_target(said: str) -> FleetError:
    return FleetError("no_rollback_target", f"{said} {NOTHING}", "Deploy the wanted version with swarm_stack and its compose file.")


def _replicated(asked: Asked, spec: Json) -> None:
    if "Replicated" not in (spec.get("Mode") or {}):
        raise FleetError(
            "option_invalid",
            f"replicas: {asked.name} is {next(iter(spec.get('Mode') or {'of no mode': None}))}, and only a replicated service has a count. {NOTHING}",
            "Leave replicas out; where a global service runs is said by its constraints.",
        )


def _count(spec: Json) -> int:
    """1 is the engine's default."""
    count = ((spec.get("Mode") or {}).get("Replicated") or {}).get("Replicas")
    return 1 if count is None else int(count)


def _moved(spec: Json, live: Json, token: str) -> Json:
    """moby 24103: Swarm does not move tasks to new nodes by itself; a higher ForceUpdate starts each anew, at the pace of an update."""
    counter = max(int((one.get("TaskTemplate") or {}).get("ForceUpdate") or 0) for one in (spec, live)) + 1
    return {**spec, "Labels": {**(spec.get("Labels") or {}), TOKEN: token}, "TaskTemplate": {**(spec.get("TaskTemplate") or {}), "ForceUpdate": counter}}
