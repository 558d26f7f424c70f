# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judging what a preflight saw. Closed: whatever is missing, unreadable or unreachable is a finding, never a pass.

Pure but for `exposed`, which looks at files of the machine that it runs on, the controller.
"""

from __future__ import annotations

import os
import re
import typing as t

from . import private
from .argspec import unknown_keys
from .errors import FleetError
from .finding import Finding

FAILURES = {
    "preflight_failed": "The preflight found something that would stop the run; nothing was changed.",
    "unknown_variable": "A variable of the inventory is not one that any role reads.",
    "container_missing": "A container of the legacy stack does not exist or does not run.",
    "port_taken": "A port that a new unit needs is held by something else.",
    "variable_invalid": "A variable is missing, cannot be resolved, or has a value that no role can work with.",
    "file_missing": "A file that the run copies or names is not where it is said to be.",
    "account_missing": "A user or group that owns what the run makes does not exist on the target, and nothing of the inventory makes it.",
    "platform_unsupported": "A host is no Debian or what is made from it, or an enforcing SELinux would refuse what the move makes there.",
    "image_missing": "The image of a container is not on its host and cannot be pulled.",
    "network_missing": "A network that a container shall join does not exist.",
    "package_missing": "A package is not installed on the target, and apt knows no source of it.",
    "locale_missing": "A locale that the new server needs is not on the target and cannot be made there.",
    "certificate_invalid": "A certificate is over, does not fit its name, its key or its CA.",
    "path_closed": "One host cannot reach a port of the other that the move uses; the cause is named.",
    "target_incomplete": "The inventory says that something is on the target, and nothing of it makes that.",
    "unsafe_path": "A file with secrets can be read or swapped by others; mode, owner and the command that mends it are named.",
    "inventory_swallowed": "Secrets, manifests or reports lie below the folder that -i names, where Ansible reads every file as inventory.",
    "not_run": "A check gave no answer; that is a failed check.",
}

# What missing_required_lib of ansible-core says (module_utils/basic.py).
_LIBRARY = re.compile(r"required Python library \((\w+)")
# The factor of the design for room on the target: data, indexes built anew, and the log of the copy.
DISK_FACTOR = 1.2
UNKNOWN = "unknown"
# What ansible-core says of a host that it logged into, and what the operator has to look at (plugins/connection, executor/interpreter_discovery).
_CONNECTING = (
    (
        r"\b(sudo|doas|su): (command )?not found",
        "tool_missing",
        "ansible_become_method",
        "Install sudo on this host, name another way to root in ansible_become_method, or reach it as root.",
    ),
    (
        r"(missing|incorrect) \w+ password|password is required|privilege escalation|not in the sudoers|may not run sudo",
        "privileges",
        "ansible_become_password",
        "Give the password of a user who may use sudo on this host: ansible_become_password from a vault or a file, or --ask-become-pass.",
    ),
    (
        r"interpreter|python\S* ?: (command )?not found|no such file or directory.*python",
        "tool_missing",
        "ansible_python_interpreter",
        "Install Python 3.9 or newer on this host, or name the one that is there in ansible_python_interpreter.",
    ),
)


def findings(seen: t.Mapping[str, t.Any]) -> list[dict[str, str]]:
    """All findings of a preflight, each once, those that stop the run first.

    ``seen`` has ``inputs`` (the result of `preflight_info`), ``hosts`` (see `judge_asked`), ``engine`` (what docker_host_info said), and ``observed``:
    for each part that the inputs call ready, what its role has seen, as `judge` takes it. Raises KeyError when one is missing.
    """
    inputs, observed = seen["inputs"] or {}, seen["observed"]
    if "findings" not in inputs:
        return [finding.as_dict() for finding in _module({"field": "inventory", "subject": "the variables", "result": inputs})]
    found: list[dict[str, str]] = list(inputs["findings"])
    databases: t.Any = None
    for part, ready in inputs["ready"].items():
        if not ready or (part == "snapshot" and (databases or {}).get("failure")):
            continue
        if not observed.get(part):
            found.append(_unanswered({"field": part, "result": {}}, f"the {part} were not asked").as_dict())
            continue
        found += judge(observed[part])
        databases = observed[part][0]["result"] if part == "databases" else databases
    needed = size_of(databases) if inputs["ready"]["databases"] else UNKNOWN
    found += judge_asked(seen["hosts"], inputs["asked"], needed)
    found += _locale(databases, seen["hosts"], inputs["asked"])
    field = "cutover_preflight_containers"
    names = inputs["containers"]["names"]
    found += judge([{"kind": "container", "field": field, "subject": name, "result": seen["engine"]} for name in names])
    unique = list({(entry["code"], entry["message"]): entry for entry in reversed(found)}.values())[::-1]
    return sorted(unique, key=lambda entry: entry["level"])


def _locale(databases: t.Any, answers: t.Sequence[t.Mapping[str, t.Any]], asked: t.Mapping[str, t.Any]) -> list[dict[str, str]]:
    """The locale of the database that moves has to be on the target; C2 makes the one that native_stack_postgres names."""
    wanted = (((databases or {}).get("evidence") or {}).get("locale") or {}).get("collate")
    for answer in answers:
        for name, check in _checks(answer.get("gate")).items():
            if check.get("type") == "locale" and wanted and name in asked.get(answer["host"], {}):
                evidence, made = check["evidence"], same_locale(check["evidence"].get("wanted", ""))
                if "locales" in evidence and same_locale(wanted) not in (made, *evidence["locales"]):
                    message = f"{answer['host']}: the database that moves has the locale {wanted}, which is not there, and C2 makes {made}."
                    remedy = f"native_stack_postgres.locale: {wanted}"
                    return [Finding("locale_missing", "fail", field="native_stack_postgres.locale", message=message, remedy=remedy).as_dict()]
    return []


def same_locale(name: str) -> str:
    """One spelling of a locale: glibc lists en_US.UTF-8 as en_US.utf8 (_nl_normalize_codeset), and a modifier behind @ stays."""
    head, at, modifier = name.partition("@")
    language, dot, codeset = head.partition(".")
    return language + dot + codeset.lower().replace("-", "") + at + modifier


def judge(observed: t.Sequence[t.Mapping[str, t.Any]]) -> list[dict[str, str]]:
    """All findings of the observations, in their order.

    An observation is ``{kind, field, subject, result}``; ``kind`` is container, module or servers, ``result`` what the task registered. Raises
    KeyError for a kind that does not exist, so that a misspelt kind cannot pass.
    """
    rules: dict[str, t.Callable[[t.Mapping[str, t.Any]], list[Finding]]] = {
        "container": _container,
        "module": _module,
        "servers": _servers,
    }
    return [finding.as_dict() for entry in observed for finding in rules[entry["kind"]](entry)]


def judge_asked(
    answers: t.Sequence[t.Mapping[str, t.Any]], asked: t.Mapping[str, t.Mapping[str, t.Any]], needed: t.Any
) -> list[dict[str, str]]:
    """Findings for what the hosts said to the checks of `preflight_info`.

    ``answers`` has one ``{host, ping, gate}`` for each host that was to be asked, ``asked`` by host and check what a failed one means, and
    ``needed`` is the size of the data in bytes, None when nobody told it, `UNKNOWN` when the database has a finding of its own. A host that does
    not answer is one finding, its checks none.
    """
    found: list[Finding] = []
    seen = {str(answer.get("host")): answer for answer in answers}
    for host in [*seen, *(host for host in asked if host not in seen)]:
        answer = seen.get(host) or {}
        silent = _host({"subject": host, "result": answer.get("ping")})
        found += silent
        if not silent and asked.get(host):
            found += _answers(str(host), answer.get("gate"), asked[host], needed)
    return [finding.as_dict() for finding in found]


def _answers(host: str, gate: t.Any, asked: t.Mapping[str, t.Any], needed: t.Any) -> list[Finding]:
    checks = _checks(gate)
    if not checks:
        return [_unanswered({"field": f"host {host}", "result": gate}, f"{len(asked)} checks on {host}")]
    failed = {name for name in asked if (checks.get(name) or {}).get("ok") is False}
    found = []
    for name, meaning in asked.items():
        check = checks.get(name)
        if check is None or check.get("ok") is None:
            found.append(_unanswered({"field": meaning["field"], "result": {}}, f"check {name} on {host}"))
        elif meaning.get("room"):
            # A database that cannot be asked is a finding of its own.
            place = {"field": meaning["field"], "subject": check.get("evidence", {}).get("path"), "needed": needed, "result": check}
            found += [] if needed == UNKNOWN else _disk(place)
        elif name in failed and meaning.get("behind") not in failed:
            found.append(_failed(host, check, meaning))
    return found


def _failed(host: str, check: t.Mapping[str, t.Any], meaning: t.Mapping[str, t.Any]) -> Finding:
    evidence = check.get("evidence") or {}
    reason = ", ".join(check.get("findings") or ["no reason was given"])
    remedy = (meaning.get("remedies") or {}).get(evidence.get("cause", "")) or meaning["remedy"]
    code = meaning["code"]
    if reason.startswith("tool_missing: "):
        code, reason = "tool_missing", reason[len("tool_missing: ") :]
    elif check.get("type") == "free" and not evidence:
        # Only a refused connection says that a port is free; one that says nothing was not tried.
        code = "not_run"
    return Finding(code, meaning.get("level", "fail"), field=meaning["field"], message=f"{host}: {reason.rstrip('.')}.", remedy=remedy)


def size_of(result: t.Any) -> t.Any:
    """Bytes that are still to be copied, by the preflight of the databases; None when it does not tell. What was copied needs no room."""
    databases = result or {}
    if databases.get("failure"):
        return UNKNOWN
    if databases.get("phase_before", "empty") not in ("empty", "prepared"):
        return 0
    return (databases.get("evidence") or {}).get("size_bytes")


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
        Finding(
            "unknown_variable",
            "fail",
            field=sentence.split(":", 1)[0].split(".", 1)[1],
            message=sentence.split(".", 1)[1],
            remedy="Correct the name in the inventory.",
        ).as_dict()
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
            findings.append(Finding.of_error(error, field=field).as_dict())
        except FileNotFoundError:
            remedy = "Remove the link, or put its target there."
            findings.append(Finding("not_run", "fail", field=field, message=f"{path} leads nowhere.", remedy=remedy).as_dict())
    return findings


def _files(place: str) -> list[str]:
    if not os.path.isdir(place):
        return [place] if os.path.lexists(place) else []
    return sorted(os.path.join(folder, name) for folder, _folders, names in os.walk(place) for name in names)


def _host(entry: t.Mapping[str, t.Any]) -> list[Finding]:
    """``result`` is that of a ping. How it failed says which variable of the connection is wrong."""
    result = entry.get("result") or {}
    host = entry["subject"]
    if result.get("ping") == "pong":
        return []
    reason = " ".join(str(result.get("msg") or result.get("module_stderr") or "no answer").split())
    for pattern, code, field, remedy in _CONNECTING:
        if not result.get("unreachable") and re.search(pattern, reason, re.IGNORECASE):
            return [Finding(code, "fail", field=f"{field} of {host}", message=f"{host}: {reason}", remedy=remedy)]
    remedy = "Check ansible_host, ansible_user and the key of this host, then run again."
    return [Finding("unreachable", "fail", field="inventory", message=f"{host} could not be reached: {reason}", remedy=remedy)]


def _container(entry: t.Mapping[str, t.Any]) -> list[Finding]:
    """``result`` is that of docker_host_info with all containers, verbose; the engine shows a name with a slash before it."""
    result = entry.get("result") or {}
    subject = entry["subject"]
    if result.get("failed") or result.get("unreachable") or "containers" not in result:
        # Without its name, so that one cause is one finding.
        library = _LIBRARY.search(str(result.get("msg") or ""))
        if library:
            message = f"The Python that runs the tasks of the old host lacks {library[1]}, which asks its container engine."
            remedy = f"apt install python3-{library[1].lower()}, or pip install it for that Python."
            return [Finding("tool_missing", "fail", field=entry["field"], message=message, remedy=remedy)]
        return [_unanswered(entry, "the containers of the old host could not be listed")]
    status = next((found["State"] for found in result["containers"] if f"/{subject}" in found["Names"]), None)
    if status == "running":
        return []
    message, remedy = f"Container {subject} is {status}, expected running.", f"docker start {subject}"
    if status is None:
        message, remedy = f"Container {subject} does not exist.", "Start the legacy stack, or correct the name."
    return [Finding("container_missing", "fail", field=entry["field"], message=message, remedy=remedy)]


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
            "fail",
            field=entry["field"],
            message=f"{seen.get('directory')} has {free / 1e6:.0f} MB free; {needed / 1e6:.0f} MB of data need {DISK_FACTOR * needed / 1e6:.0f} MB.",
            remedy="Free space on the target, or put the data directory on a larger disk.",
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
        message = f"{entry['subject']}: {failure['message']}"
        return [Finding(failure["code"], "fail", field=entry["field"], message=message, remedy=failure.get("remedy", ""))]
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
            "fail",
            field=entry["field"],
            message=f"{server['name']} ({server['address']} port {server['port']}) did not answer for the zone: {server['error']}",
            remedy="Start this name server or remove it from the zone's NS records; the name is moved only when all of them follow.",
        )
        for server in servers
        if server["error"]
    ]


def _inner(entry: t.Mapping[str, t.Any], finding: t.Mapping[str, t.Any]) -> Finding:
    where = f"{entry['subject']}: {finding['object']}: " if finding.get("object") else f"{entry['subject']}: "
    # A module knows its options, and what its role calls them begins with the role's name.
    own = [f"{entry['prefix']}{option}" for option in finding["field"].split(", ")] if finding.get("field") and entry.get("prefix") else []
    return Finding(
        finding["code"],
        finding.get("level", "fail"),
        field=", ".join(own) or entry["field"],
        message=where + finding["message"],
        remedy=finding.get("remedy", ""),
    )


def _unanswered(entry: t.Mapping[str, t.Any], what: str) -> Finding:
    result = entry.get("result") or {}
    seen = str(result.get("msg") or ", ".join(result.get("findings") or []) or "no answer").strip()
    remedy = "Look at what was seen; an unanswered check stops the run."
    return Finding("not_run", "fail", field=entry["field"], message=f"{what}: {seen}", remedy=remedy)
