# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`swarm_cluster` and `swarm_cluster_info`: ask every endpoint, judge, keep, read back. Called on the controller, where the store is."""

from __future__ import annotations

import os
import time
import typing as t
from dataclasses import replace
from datetime import datetime

from ..._core.argspec import refuse_unknown_keys
from ..._core.errors import FleetError
from ..._core.result import Step, result
from ..._core.wait import Deadline, wait_for
from .. import gather
from ..client import certificate, diagnose
from ..client.endpoint import Options, options
from ..client.engine import Engine
from ..client.wire import Unknown, Unsent, Wire
from ..model import Json
from ..store import Cluster, ClusterStore
from ..verdict import health
from ..verdict.quorum import count
from . import plan as planning
from .argspec import CONNECTION_NAMES
from .breaker import Standing, due, probed
from .plan import Answer

# The engine keeps its last 256 events (F12): as many answers, of which the first came after the cursor, may have lost some.
_EVENTS = 256

_POLL = 1.0

# What a sync keeps.
_KINDS = ("nodes", "services", "stacks", "events")

Params = t.Mapping[str, t.Any]


def run(params: Params, store: ClusterStore, check_mode: bool, now: t.Callable[[], float] = time.time) -> Json:
    """Bring the registration of one cluster to its state. In check mode ``store`` is a copy that is thrown away."""
    row = store.get(params["name"])
    if params["state"] == "absent":
        steps = [Step("unregister", f"{params['name']} is forgotten here; the cluster is untouched")] if row else []
        if row:
            store.remove(params["name"])
        return result(steps, before=_shown(row), after=None, cluster=None, health=None)
    if params["state"] == "synced":
        return _synced(params, store, row, now)
    return _present(params, store, row, now)


# --- present ----------------------------------------------------------------------------------------------------------------------


def _present(params: Params, store: ClusterStore, row: t.Optional[Cluster], now: t.Callable[[], float]) -> Json:
    expected = params["expected"] or {}
    refuse_unknown_keys("expected", expected, ("managers", "workers"))
    # What is left out stays as it was registered.
    params = {**params, **{name: row.options.get(name) for name in CONNECTION_NAMES if row and params[name] is None}}
    settings = options(params, os.environ)
    answers = ask(settings)
    pinned = params["cluster_id"] or (row.cluster_id if row else "")
    planning.refuse(answers, pinned, every=False)
    seen = next(answer.cluster_id for answer in answers if answer.cluster_id)
    if any(answer.failure for answer in answers):
        # That managers are gone matters more than that their endpoints are.
        _refuse_lost(params, seen)
    planning.refuse(answers, pinned, every=True)
    if not pinned and not params["adopt"]:
        raise FleetError("cluster_mismatch", f"Cluster {seen} answers, and nothing says that it is the one that is meant. Nothing was registered.",
                         f"Set cluster_id: {seen}, or adopt: true for the first contact.", {"cluster_id": seen})  # fmt: skip
    engine = Engine.connect(params, cluster_id=seen)
    try:
        _wait_for_members(engine, expected, params["wait_timeout"])
        judged = look(engine, settings, now(), params["min_fault_tolerance"], answers)
    finally:
        engine.close()
    wanted = Cluster(params["name"], seen, _kept(params, settings), row.created_at if row else now(), _good(row, now()), row.synced_at if row else None,
                     judged, row.inventory if row else {})  # fmt: skip
    steps = list(_registration(row, wanted))
    if steps or row is None or row.standing != wanted.standing or row.health != wanted.health:
        store.put(wanted)
    kept = store.get(params["name"])
    return result(steps, before=_shown(row), after=_shown(kept), cluster=_described(kept), health=judged)


def _refuse_lost(params: Params, cluster_id: str) -> None:
    """A leader that has lost its majority goes on for some seconds, and knows already whom it does not reach."""
    engine = Engine.connect(params, cluster_id=cluster_id)
    try:
        quorum = count(engine.nodes())
    finally:
        engine.close()
    if quorum.margin < 0:
        raise planning.quorum_lost(quorum)


def _wait_for_members(engine: Engine, expected: t.Mapping[str, t.Sequence[str]], seconds: float) -> None:
    try:
        wait_for(lambda: planning.missing(engine.nodes(), expected), lambda found: not found, Deadline(seconds), what="members", interval=_POLL)
    except FleetError as error:
        if error.code != "timeout":
            raise
        found = planning.missing(engine.nodes(), expected)
        raise FleetError("member_missing", f"{' '.join(found)} Waited {seconds:g} s.", "Run the role swarm_cluster, which joins what is missing.",
                         {"missing": found}) from error  # fmt: skip


def _registration(row: t.Optional[Cluster], wanted: Cluster) -> t.Iterator[Step]:
    if row is None:
        yield Step("register", f"{wanted.name} is cluster {wanted.cluster_id}")
        return
    changed = sorted(key for key in wanted.options if wanted.options[key] != row.options.get(key))
    if row.cluster_id != wanted.cluster_id:
        yield Step("pin", f"cluster {wanted.cluster_id}, was {row.cluster_id}")
    if changed:
        yield Step("change", f"{', '.join(changed)} of {wanted.name}")


def _good(row: t.Optional[Cluster], moment: float) -> Standing:
    """Every endpoint has answered, which no open circuit outlives; the count of good probes is nobody's business here."""
    return replace(probed(Standing(), True, moment), good=row.standing.good if row and row.standing.status == "connected" else 1)


# --- synced -----------------------------------------------------------------------------------------------------------------------


def _synced(params: Params, store: ClusterStore, row: t.Optional[Cluster], now: t.Callable[[], float]) -> Json:
    if row is None:
        raise FleetError("option_invalid", f"No cluster is registered as {params['name']}.", "Register it with state: present first.")
    moment = now()
    interval = float(row.options.get("sync_interval") or params["sync_interval"])
    if not due(row.standing, row.synced_at, interval, moment):
        return _unchanged(row)
    given = {**row.options, "timeout": params["timeout"], "api_version": params["api_version"]}
    try:
        found, judged, gap = _inventory(given, row, moment)
    except FleetError as error:
        # The old inventory stays: what was seen last is better than nothing, and its age stands beside it.
        failed: t.Optional[Cluster] = replace(row, standing=probed(row.standing, False, moment))
        if failed and not store.put(failed, seen=row):
            failed = store.get(row.name)
        status = failed.standing.status if failed else "no longer registered"
        raise FleetError(error.code, f"{error.message} {row.name} is {status} now.", error.remedy, {**error.details, "cluster": _described(failed)}) from error
    synced = replace(row, standing=probed(row.standing, True, moment), synced_at=moment, health=judged, inventory=found)
    steps = [Step("sync", f"{kind} of {row.name}") for kind in _KINDS if found[kind] != row.inventory.get(kind)]
    if synced.standing.status != row.standing.status:
        steps.append(Step("status", f"{synced.standing.status}, was {row.standing.status}"))
    if not store.put(synced, seen=row):
        # Another sync has ended since, or the registration was changed: what that one wrote is not older than what was seen here.
        return _unchanged(store.get(row.name))
    return result(steps, before=_shown(row), after=_shown(synced), cluster=_described(synced), health=judged, events_gap=gap)


def _unchanged(row: t.Optional[Cluster]) -> Json:
    return result((), before=_shown(row), after=_shown(row), cluster=_described(row), health=row.health if row else None, events_gap=False)


def _inventory(given: Params, row: Cluster, moment: float) -> t.Tuple[Json, Json, bool]:
    settings = options(given, os.environ)
    answers = ask(settings)
    planning.refuse(answers, row.cluster_id, every=False)
    engine = Engine.connect(given, cluster_id=row.cluster_id)
    try:
        world = engine.world()
        since = row.synced_at if row.synced_at is not None else moment
        events = engine.events(since, moment, {"scope": ["swarm"]})
        found = gather.inventory(engine, world, [kind for kind in _KINDS if kind != "events"])
        found["events"] = [gather.event(one) for one in events]
        return found, look(engine, settings, moment, int(row.options.get("min_fault_tolerance") or 1), answers), gap(events, since)
    finally:
        engine.close()


def gap(events: t.Sequence[Json], since: float) -> bool:
    """Whether events after ``since`` may be lost: the engine gave as many as it keeps, and none of them is the last that was known (F12)."""
    return len(events) >= _EVENTS and float(events[0].get("timeNano") or 0) / 1e9 > since


# --- both modules -----------------------------------------------------------------------------------------------------------------


def ask(settings: Options) -> t.List[Answer]:
    """Every endpoint, each by itself: one that answers for another would hide what is wrong."""
    answers = []
    for endpoint in settings.endpoints:
        wire = Wire(endpoint, settings)
        try:
            answers.append(planning.read(endpoint.given, wire.json("GET", "/info") or {}))
        except (Unsent, Unknown) as error:
            answers.append(planning.silent(endpoint.given, wire.explain(error)))
        except FleetError as error:
            if error.code == "tool_missing":
                raise
            answers.append(planning.silent(endpoint.given, error))
        finally:
            wire.close()
    return answers


def look(engine: Engine, settings: Options, moment: float, min_fault_tolerance: int, answers: t.Sequence[Answer]) -> Json:
    """The verdict over the cluster behind ``engine``, with the endpoints that gave no good answer among its reasons."""
    judged = health.judge(engine.world(), moment, seconds, min_fault_tolerance=min_fault_tolerance,
                          certificates=_certificates(settings, answers, moment), open_work=gather.open_work(engine))  # fmt: skip
    said = {"silent": "does not answer", "leaderless": "is cut off from the other managers", "worker": "is a worker", "outside": "is in no Swarm"}
    wrong = [health.Reason("error", "endpoint", answer.endpoint, f"{answer.endpoint} {said[answer.state]}.") for answer in answers if answer.state in said]
    return health.verdict([*judged.reasons, *wrong], judged.quorum).as_data()


def _certificates(settings: Options, answers: t.Sequence[Answer], moment: float) -> t.Dict[str, float]:
    """Days left, by what each certificate is for: ours, those of the endpoints, and the CA of the Swarm itself."""
    found = {"our client": certificate.of_file(settings.client_cert) if settings.client_cert else None}
    for endpoint in settings.endpoints:
        if endpoint.kind == "tls":
            found[f"endpoint {endpoint.given}"] = diagnose.peer_validity(endpoint, settings)
    root = next((answer.info["Swarm"]["Cluster"].get("TLSInfo", {}).get("TrustRoot") for answer in answers if answer.cluster_id), "")
    found["the Swarm's CA"] = certificate.of_pem(root) if root else None
    return {name: (seen.ends - moment) / 86400 for name, seen in found.items() if seen is not None}


def seconds(text: str) -> float:
    """A moment of the engine (RFC 3339 with up to nine digits behind the point) in Unix seconds."""
    whole, _point, rest = text.rstrip("Z").partition(".")
    try:
        return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{rest or 0}")
    except ValueError:
        return 0.0


def info(params: Params, find: t.Callable[[str], t.Optional[Cluster]], now: t.Callable[[], float] = time.time) -> Json:
    """Verdict and inventory. A cluster that has no majority, or does not answer, is a verdict here and no failure."""
    wanted = set(params["gather"] or ())
    given, pinned = _given(params, find)
    settings = options(given, os.environ)
    answers = ask(settings)
    shown = {"changed": False, "endpoints": [answer.as_data() for answer in answers]}
    if planning.lost(answers):
        if wanted - {"health"}:
            planning.refuse(answers, pinned, every=False)
        return {**shown, "cluster_id": None, "health": health.lost(planning.without_leader(answers)).as_data()}
    if all(answer.state == "silent" for answer in answers):
        if wanted - {"health"}:
            planning.refuse(answers, pinned, every=False)
        said = " ".join(f"{answer.endpoint}: {answer.failure.message}" for answer in answers if answer.failure)
        return {**shown, "cluster_id": None, "health": health.unreachable(said).as_data()}
    planning.refuse(answers, pinned, every=False)
    engine = Engine.connect(given, cluster_id=pinned)
    try:
        since = float(params["since"]) if params["since"] is not None else now() - 3600
        lists = gather.inventory(engine, engine.world(), wanted, since) if wanted - {"health"} else {}
        tolerance = int(given.get("min_fault_tolerance") or params["min_fault_tolerance"])
        return {**shown, "cluster_id": engine.cluster_id, "health": look(engine, settings, now(), tolerance, answers), **lists}
    finally:
        engine.close()


def _given(params: Params, find: t.Callable[[str], t.Optional[Cluster]]) -> t.Tuple[Json, str]:
    """Options of the connection and the pinned id: those of a registration, or those that were given."""
    if not params["name"]:
        return dict(params), ""
    row = find(params["name"])
    if row is None:
        raise FleetError("option_invalid", f"No cluster is registered as {params['name']}.", "Correct name, or give docker_host.")
    return {**params, **row.options}, row.cluster_id


def _kept(params: Params, settings: Options) -> Json:
    """What a registration keeps: paths of certificates and keys, never what is in them; and endpoints also where the environment named them."""
    names = (*CONNECTION_NAMES, "expected", "sync_interval", "min_fault_tolerance")
    kept = {name: params[name] for name in names if params.get(name) is not None}
    return {**kept, "docker_host": [endpoint.given for endpoint in settings.endpoints]}


def _described(row: t.Optional[Cluster]) -> t.Optional[Json]:
    if row is None:
        return None
    return {"name": row.name, "cluster_id": row.cluster_id, "docker_host": row.options.get("docker_host") or [], "status": row.standing.status,
            "failures": row.standing.failures, "next_probe_at": row.standing.next_probe_at, "synced_at": row.synced_at,
            "sync_interval": row.options.get("sync_interval"), "expected": row.options.get("expected") or {}}  # fmt: skip


def _shown(row: t.Optional[Cluster]) -> t.Optional[Json]:
    """For a diff: no moments, so that check mode and the real run show the same."""
    return {"name": row.name, "cluster_id": row.cluster_id, "status": row.standing.status, **row.options} if row else None
