# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judging what a preflight saw. Closed: whatever is missing, unreadable or unreachable is a finding, never a pass.

Pure but for `exposed`, which looks at files of the machine that it runs on, the controller.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import asdict, dataclass

from . import private
from .argspec import unknown_keys
from .errors import FleetError

FAILURES = {
    "preflight_failed": "The preflight found something that would stop the run; nothing was changed.",
    "unknown_variable": "A variable of the inventory is not one that any role reads.",
    "container_missing": "A container of the legacy stack does not exist or does not run.",
    "port_taken": "A port that a new unit needs is held by something else.",
    "unsafe_path": "A file with secrets can be read or swapped by others; mode, owner and the command that mends it are named.",
    "not_run": "A check gave no answer; that is a failed check.",
}

# The factor of the design for room on the target: data, indexes built anew, and the log of the copy.
DISK_FACTOR = 1.2
_ROOM = "room"


@dataclass(frozen=True)
class Finding:
    """One thing that a preflight has to say. ``field`` is the variable to look at, ``level`` is fail or warn."""

    code: str
    field: str
    message: str
    remedy: str
    level: str = "fail"


def judge(observed: t.Sequence[t.Mapping[str, t.Any]]) -> list[dict[str, str]]:
    """All findings of the observations, in their order.

    An observation is ``{kind, field, subject, result, …}``; ``kind`` is host, container, port, disk, module or servers, ``result`` what the task
    registered. Raises KeyError for a kind that does not exist, so that a misspelt kind cannot pass.
    """
    rules: dict[str, t.Callable[[t.Mapping[str, t.Any]], list[Finding]]] = {
        "host": _host,
        "container": _container,
        "port": _port,
        "disk": _disk,
        "module": _module,
        "servers": _servers,
    }
    return [asdict(finding) for entry in observed for finding in rules[entry["kind"]](entry)]


def observations(seen: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """The observations behind what the tasks of role cutover_preflight registered.

    ``seen`` has the results ``hosts`` (each with the name of its ``host``), the registered results ``engine`` (docker_host_info), ``target``
    (a gate with the checks of `gates`), ``edges`` (each with its ``edge_side``), ``databases`` and ``names``, and what they are about: names of
    ``containers``, ``ports`` and the path ``data_directory``, all as the inventory has them. Raises KeyError when one is missing.
    """
    databases = seen["databases"] or {}
    checks = _checks(seen["target"])
    # What was copied needs no room any more.
    copied = databases.get("phase_before", "empty") not in ("empty", "prepared")
    size = 0 if copied else (databases.get("evidence") or {}).get("size_bytes")
    found: list[dict[str, t.Any]] = []
    found += [{"kind": "host", "field": "inventory", "subject": result.get("host"), "result": result} for result in seen["hosts"] or [{}]]
    for name in seen["containers"]:
        found.append({"kind": "container", "field": "cutover_preflight_containers", "subject": name, "result": seen["engine"]})
    for port in seen["ports"]:
        place = {"subject": _place(port), "unit": port["unit"], "result": checks.get(_place(port)) or seen["target"]}
        found.append({"kind": "port", "field": "cutover_preflight_ports", **place})
    # A database that cannot be asked is a finding of its own; one that does not tell its size leaves the room unproven.
    if not databases.get("failure"):
        place = {"subject": seen["data_directory"], "needed": size, "result": checks.get(_ROOM) or seen["target"]}
        found.append({"kind": "disk", "field": "cutover_preflight_data_directory", **place})
    found.append({"kind": "module", "field": "pg_move_legacy, pg_move_new, pg_move_link", "subject": "databases", "result": seen["databases"]})
    for result in seen["edges"] or [{}]:
        found.append({"kind": "module", "field": "edge_sides", "subject": f"edge of {result.get('edge_side')}", "result": result})
    found.append({"kind": "servers", "field": "dns_provider_options, dns_zone, dns_name", "subject": "name servers", "result": seen["names"]})
    return found


def gates(ports: t.Iterable[t.Mapping[str, t.Any]], data_directory: str) -> list[dict[str, t.Any]]:
    """Checks of a gate on the target: the room below ``data_directory``, which is only read, and each of ``ports``."""
    # A port on this very machine answers or refuses at once.
    free = [{"type": "free", "host": port["address"], "port": port["port"], "unit": port["unit"], "timeout": 1, "name": _place(port)} for port in ports]
    return [{"name": _ROOM, "type": "disk", "path": data_directory, "free_bytes": 0}, *free]


def _place(port: t.Mapping[str, t.Any]) -> str:
    return f"{port['address']}:{port['port']}"


def _checks(gate: t.Any) -> dict[str, t.Any]:
    """Checks by name of a gate that passed or failed; none when it gave no answer."""
    answer = gate or {}
    listed = answer.get("checks") or ((answer.get("failure") or {}).get("details") or {}).get("checks") or []
    return {check["name"]: check for check in listed}


def misspelt(given: t.Iterable[str], specs: t.Iterable[t.Mapping[str, t.Any]]) -> list[dict[str, str]]:
    """Findings for variables that no argument spec names. ``specs`` are the parsed meta/argument_specs.yml of all roles of the play."""
    known: set[str] = set()
    for spec in specs:
        for entry_point in spec.get("argument_specs", {}).values():
            known.update(entry_point.get("options", {}))
    return [
        asdict(Finding("unknown_variable", sentence.split(":", 1)[0].split(".", 1)[1], sentence.split(".", 1)[1], "Correct the name in the inventory."))
        for sentence in unknown_keys("inventory", sorted(given), known)
    ]


def exposed(places: t.Iterable[str], field: str) -> list[dict[str, str]]:
    """Findings for files at and below ``places`` that others may read, write or swap. A place that does not exist holds no secret.

    Readable ones may be those that ansible-vault encrypted: their first words say so.
    """
    findings = []
    for path in (path for place in places for path in _files(place)):
        try:
            place = private.real(path)
            try:
                os.close(private.open_file(place, os.O_RDONLY, 0o600))
            except FleetError:
                if not private.read(place, 0o644).startswith(b"$ANSIBLE_VAULT;"):
                    raise
        except FleetError as error:
            findings.append(asdict(Finding(error.code, field, error.message, error.remedy)))
        except FileNotFoundError:
            findings.append(asdict(Finding("not_run", field, f"{path} leads nowhere.", "Remove the link, or put its target there.")))
    return findings


def _files(place: str) -> list[str]:
    if not os.path.isdir(place):
        return [place] if os.path.lexists(place) else []
    return sorted(os.path.join(folder, name) for folder, _folders, names in os.walk(place) for name in names)


def _host(entry: t.Mapping[str, t.Any]) -> list[Finding]:
    result = entry.get("result") or {}
    if result.get("ping") == "pong":
        return []
    seen = result.get("msg") or "no answer"
    return [
        Finding(
            "unreachable",
            entry["field"],
            f"{entry['subject']} could not be reached: {str(seen).strip()}",
            "Check ansible_host, ansible_user and the key of this host, then run again.",
        )
    ]


def _container(entry: t.Mapping[str, t.Any]) -> list[Finding]:
    """``result`` is that of docker_host_info with all containers, verbose; the engine shows a name with a slash before it."""
    result = entry.get("result") or {}
    subject = entry["subject"]
    if result.get("failed") or result.get("unreachable") or "containers" not in result:
        return [_unanswered(entry, f"container {subject} could not be inspected")]
    status = next((found["State"] for found in result["containers"] if f"/{subject}" in found["Names"]), None)
    if status is None:
        return [Finding("container_missing", entry["field"], f"Container {subject} does not exist.", "Start the legacy stack, or correct the name.")]
    if status != "running":
        return [Finding("container_missing", entry["field"], f"Container {subject} is {status}, expected running.", f"docker start {subject}")]
    return []


def _port(entry: t.Mapping[str, t.Any]) -> list[Finding]:
    """``result`` is that of a check of type free, or of the whole gate when it gave no answer."""
    result = entry.get("result") or {}
    if result.get("ok") is True:
        return []
    if not (result.get("evidence") or {}).get("listening"):
        return [_unanswered(entry, f"port {entry['subject']} could not be tried")]
    return [
        Finding(
            "port_taken",
            entry["field"],
            f"Port {entry['subject']} answers, but not for unit {entry['unit']}.",
            "End what listens there, or choose another port.",
        )
    ]


def _disk(entry: t.Mapping[str, t.Any]) -> list[Finding]:
    """``result`` is that of a check of type disk, ``needed`` the size of the data in bytes, ``subject`` where it goes to."""
    seen = (entry.get("result") or {}).get("evidence") or {}
    needed, free = entry.get("needed"), seen.get("free_bytes")
    if not isinstance(needed, (int, float)) or not isinstance(free, (int, float)):
        return [_unanswered(entry, f"free space below {entry['subject']} could not be read")]
    if free >= DISK_FACTOR * needed:
        return []
    return [
        Finding(
            "no_space",
            entry["field"],
            f"{seen.get('directory')} has {free / 1e6:.0f} MB free; {needed / 1e6:.0f} MB of data need {DISK_FACTOR * needed / 1e6:.0f} MB.",
            "Free space on the target, or put the data directory on a larger disk.",
        )
    ]


def _module(entry: t.Mapping[str, t.Any]) -> list[Finding]:
    """A module of this collection: its own findings, or its failure, or an answer that is not one."""
    result = entry.get("result") or {}
    failure = result.get("failure")
    if failure:
        inner = (failure.get("details") or {}).get("findings") or []
        if inner:
            return [_inner(entry, finding) for finding in inner]
        return [Finding(failure["code"], entry["field"], f"{entry['subject']}: {failure['message']}", failure.get("remedy", ""))]
    if result.get("skipped"):
        return []
    # A crash under failed_when looks like a success but for its message, which no success of these modules has.
    if result.get("failed") or result.get("unreachable") or "changed" not in result or "msg" in result:
        return [_unanswered(entry, entry["subject"])]
    return [_inner(entry, finding) for finding in result.get("findings") or []]


def _servers(entry: t.Mapping[str, t.Any]) -> list[Finding]:
    """``result`` is that of dns_record_info: every authoritative server must have answered, and there must be one."""
    findings = _module(entry)
    if findings:
        return findings
    servers = entry["result"].get("servers")
    if not servers:
        return [_unanswered(entry, "no authoritative server was asked")]
    return [
        Finding(
            "no_authority",
            entry["field"],
            f"{server['name']} ({server['address']} port {server['port']}) did not answer for the zone: {server['error']}",
            "Start this name server or remove it from the zone's NS records; the name is moved only when all of them follow.",
        )
        for server in servers
        if server["error"]
    ]


def _inner(entry: t.Mapping[str, t.Any], finding: t.Mapping[str, t.Any]) -> Finding:
    where = f"{entry['subject']}: {finding['object']}: " if finding.get("object") else f"{entry['subject']}: "
    return Finding(finding["code"], entry["field"], where + finding["message"], finding.get("remedy", ""), finding.get("level", "fail"))


def _unanswered(entry: t.Mapping[str, t.Any], what: str) -> Finding:
    result = entry.get("result") or {}
    seen = str(result.get("msg") or ", ".join(result.get("findings") or []) or "no answer").strip()
    return Finding("not_run", entry["field"], f"{what}: {seen}", "Look at what was seen; an unanswered check stops the run.")
