# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proving that every node can have an image before any service is touched: a job on all of them, with a command that no image has.

A node that says ``rejected`` could not get the image; one that says ``failed`` has it and could not start what is not there. Nothing of the image runs.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from ..._core.errors import FleetError
from ..._core.wait import Deadline
from ..client.wire import Gone
from ..model import Change, Json
from ..spec.placement import eligible, hostname

LABEL = "bowline.prepull"
# An image that had this would not be started either: the job has no network, and ends at once.
COMMAND = "/bowline/prepull/no-such-command"
# Seconds that nodes have to answer when one has refused.
OTHERS = 10.0
_DONE = ("failed", "complete", "rejected", "orphaned", "shutdown")


def wanted(changes: t.Sequence[Change], mode: str) -> t.List[Change]:
    """The changes whose images are pulled first: with ``auto`` each digest that the service does not run yet, with ``job`` every image."""
    chosen = []
    for change in changes:
        if mode == "none" or change.after is None or change.action not in ("create", "update", "recreate"):
            continue
        new = _image(change.after)
        if mode == "job" or ("@sha256:" in new and new != _image((change.before or {}).get("Spec") or {})):
            chosen.append(change)
    return chosen


def job(stack: str, spec: Json) -> Json:
    """The spec of the job for the image and the nodes of ``spec``. It carries no label of the stack, so that nobody takes it for a part of it."""
    template = spec.get("TaskTemplate") or {}
    placement = {key: value for key, value in (template.get("Placement") or {}).items() if key in ("Constraints", "Platforms")}
    body = {
        "Labels": {LABEL: stack},
        "TaskTemplate": {
            "ContainerSpec": {"Image": _image(spec), "Command": [COMMAND], "Healthcheck": {"Test": ["NONE"]}},
            "RestartPolicy": {"Condition": "none"},
            "Placement": placement,
        },
        "Mode": {"GlobalJob": {}},
    }
    # Two services of one image and place need one job.
    mark = hashlib.sha256(json.dumps([stack, body], sort_keys=True).encode()).hexdigest()[:16]
    return {"Name": f"bowline-prepull-{mark}", **body}


def pull(
    engine: t.Any,
    stack: str,
    changes: t.Sequence[Change],
    auth: t.Mapping[str, str],
    seconds: float,
    beat: t.Callable[[], None],
    deadline: t.Callable[[float], Deadline] = Deadline,
) -> t.List[Json]:
    """Evidence by image: on which nodes it is. The jobs are gone afterwards, whatever happened.

    Raises FleetError "image_pull" with every node that could not get its image, "timeout" for nodes that have not said anything in ``seconds``.
    """
    jobs = {body["Name"]: (body, change) for change in changes for body in [job(stack, change.after or {})]}
    sweep(engine, stack)
    try:
        started = {}
        for name, (body, change) in jobs.items():
            beat()
            started[name] = engine.service_create(body, auth.get(change.service))
        return _awaited(engine, jobs, started, deadline(seconds), beat)
    finally:
        sweep(engine, stack)


def sweep(engine: t.Any, stack: str) -> None:
    """Remove the jobs of this stack, also those that a killed run has left."""
    for service in engine.services({"label": [f"{LABEL}={stack}"]}):
        try:
            engine.service_remove(str(service["ID"]))
        except Gone:
            continue


def _awaited(
    engine: t.Any, jobs: t.Mapping[str, t.Tuple[Json, Change]], started: t.Mapping[str, str], limit: Deadline, beat: t.Callable[[], None]
) -> t.List[Json]:
    after: t.Optional[Deadline] = None
    while True:
        beat()
        nodes, tasks = engine.nodes(), engine.tasks({"service": sorted(started.values())})
        names = {str(node["ID"]): hostname(node) for node in nodes}
        seen = [_seen(body, [task for task in tasks if task.get("ServiceID") == started[name]], nodes, names) for name, (body, _change) in jobs.items()]
        refused, silent = [entry for entry in seen if entry["refused"]], any(entry["silent"] for entry in seen)
        # The other nodes are about to say the same, and one answer shall name them all.
        after = after or (Deadline(OTHERS) if refused else None)
        if refused and (not silent or limit.expired() or (after and after.expired())):
            raise _refused(refused)
        if not silent:
            return [{"image": entry["image"], "nodes": entry["nodes"]} for entry in seen]
        if limit.expired():
            raise _silent(seen, limit.seconds)
        limit.pause(0.5)


def _seen(body: Json, tasks: t.Sequence[Json], nodes: t.Sequence[Json], names: t.Mapping[str, str]) -> Json:
    states = {str(task.get("NodeID")): task.get("Status") or {} for task in tasks if task.get("NodeID")}
    asked = {str(node["ID"]) for node in eligible(body, nodes)}
    refused = {names.get(node, node): str(status.get("Err") or status.get("Message")) for node, status in states.items() if status.get("State") == "rejected"}
    there = sorted(names[node] for node in asked if states.get(node, {}).get("State") in ("failed", "complete"))
    silent = sorted(names[node] for node in asked if states.get(node, {}).get("State") not in _DONE)
    return {"image": _image(body), "refused": refused, "nodes": there, "silent": silent}


def _refused(seen: t.Sequence[Json]) -> FleetError:
    said = "; ".join(f"{entry['image']} on {node}: {error}" for entry in seen for node, error in sorted(entry["refused"].items()))
    return FleetError(
        "image_pull",
        f"Nodes could not get images before the deployment: {said}. No service was changed.",
        "Follow the words of the node; registry_auth: true sends the credentials of the one who deploys.",
        {"images": list(seen)},
    )


def _silent(seen: t.Sequence[Json], seconds: float) -> FleetError:
    said = "; ".join(f"{entry['image']} on {', '.join(entry['silent'])}" for entry in seen if entry["silent"])
    return FleetError(
        "timeout",
        f"Waited {seconds:g} s for nodes to get images: {said}. No service was changed.",
        "Look at the registry and the network of those nodes, or raise wait_timeout.",
        {"images": list(seen)},
    )


def _image(spec: Json) -> str:
    return str(((spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}).get("Image") or "")
