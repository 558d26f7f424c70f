# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading manifests: every finding of every document at once, each with its path."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t

from . import container
from .findings import Findings, kind_of, refuse
from .hidden import hidden_paths
from .model import (
    DEFAULT_LIMITS,
    HEALTH_TYPES,
    LONGEST_STOP,
    PROFILES,
    RESTART_POLICIES,
    STOP_TIMEOUT,
    Health,
    Manifest,
    Security,
    Service,
)
from .process import limits, stop_signal

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_CAPABILITY = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}\Z")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_CREDENTIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_VERSION = re.compile(r"\d+(\.\d+)*([-+][0-9A-Za-z.+-]+)?\Z")
_COMPARATOR = re.compile(r"(>=|<=|>|<|=|)(\d+(?:\.\d+)*)\Z")
_REFERENCE = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)?\Z")

_MANIFEST_KEYS = (
    "schema_version", "name", "id", "version", "provides", "requires", "conflicts", "services", "mask", "protected", "security",
    "reversible", "reboot_required", "image", "hosts", "published",
)  # fmt: skip
_SERVICE_KEYS = (
    "name", "start_command", "stop_command", "reload_command", "stop_signal", "stop_timeout", "limits", "restart_policy", "user",
    "working_directory", "environment", "secrets", "ports", "capabilities", "state_directory", "binds", "depends_on", "health",
)  # fmt: skip
_HEALTH_KEYS = ("type", "host", "port", "path", "status", "command", "interval", "timeout", "initial_delay")
_SECURITY_KEYS = ("profile", "apparmor", "egress_allow", "privileged")


def parse_manifests(documents: t.Any, stack: str) -> tuple[Manifest, ...]:
    """The manifests of a stack, in the given order.

    Raises FleetError ``manifest_invalid`` with all findings of all documents at once; what modules mean to each other is judged in `plan`.
    """
    findings = Findings()
    findings.text("stack", stack, "", _LABEL, "must be a DNS label of at most 63 characters")
    manifests = [
        _manifest(findings, f"manifests[{n}]", document, stack) for n, document in enumerate(findings.items_of("manifests", documents))
    ]
    for what, values in (("name", [item.name for item in manifests]), ("id", [item.id for item in manifests])):
        for value in sorted({value for value in values if value and values.count(value) > 1}):
            findings.add("manifests", f"{what} {value} is used by {values.count(value)} modules.")
    _port_clashes(findings, manifests)
    _covered_paths(findings, manifests)
    refuse(findings.items, "Correct the manifest; nothing was changed.")
    return tuple(manifests)


def digest_of(document: t.Any) -> str:
    """``sha256:…`` of the canonical JSON of a manifest: the same for every order of keys."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _manifest(findings: Findings, path: str, document: t.Any, stack: str) -> Manifest:
    given = findings.mapping(path, document, _MANIFEST_KEYS)
    label = "must be a DNS label of at most 63 characters"
    if given and given.get("schema_version") != 1:
        findings.add(f"{path}.schema_version", f"must be 1; is {given.get('schema_version')!r}.")
    if given and given.get("name") is None:
        findings.add(f"{path}.name", "is required.")
    if given and given.get("version") is None:
        findings.add(f"{path}.version", "is required.")
    name = findings.text(f"{path}.name", given.get("name"), "", _LABEL, label)
    prefix = f"{stack}-"
    identity = findings.text(f"{path}.id", given.get("id"), name[len(prefix) :] if name.startswith(prefix) else name, _LABEL, label)
    version = findings.text(f"{path}.version", given.get("version"), "", _VERSION, "must be a version such as 1.2.3")
    image = container.image_id(findings, f"{path}.image", given.get("image"))
    services = tuple(
        _service(findings, f"{path}.services[{n}]", item, identity, bool(image))
        for n, item in enumerate(findings.items_of(f"{path}.services", given.get("services")))
    )
    names = [service.name for service in services]
    for double in sorted({item for item in names if item and names.count(item) > 1}):
        findings.add(f"{path}.services", f"name {double} is used twice.")
    manifest = Manifest(
        name=name,
        id=identity,
        version=version,
        digest=digest_of(document),
        provides=_capabilities(findings, f"{path}.provides", given.get("provides"), version),
        requires=_capabilities(findings, f"{path}.requires", given.get("requires"), ""),
        conflicts=_capabilities(findings, f"{path}.conflicts", given.get("conflicts"), ""),
        services=services,
        mask=_paths(findings, f"{path}.mask", given.get("mask")),
        protected=_paths(findings, f"{path}.protected", given.get("protected")),
        security=_security(findings, f"{path}.security", given.get("security")),
        reversible=findings.boolean(f"{path}.reversible", given.get("reversible"), True),
        reboot_required=findings.boolean(f"{path}.reboot_required", given.get("reboot_required"), False),
        image=image,
        hosts=container.hosts(findings, f"{path}.hosts", given.get("hosts")),
        published=_ports(findings, f"{path}.published", given.get("published")),
    )
    for n, service in enumerate(services):
        for key, sentence in hidden_paths(manifest, service):
            findings.add(f"{path}.services[{n}].{key}", sentence)
    return manifest


def _service(findings: Findings, path: str, document: t.Any, module: str, contained: bool) -> Service:
    """``contained``: its module has an image, so it has the keys of `container` too."""
    given = findings.mapping(path, document, (*_SERVICE_KEYS, *container.KEYS) if contained else _SERVICE_KEYS)
    if given and given.get("name") is None:
        findings.add(f"{path}.name", "is required.")
    depends_on = findings.texts(f"{path}.depends_on", given.get("depends_on"), _REFERENCE, "must be service or module/service")
    return Service(
        name=findings.text(f"{path}.name", given.get("name"), "", _LABEL, "must be a DNS label of at most 63 characters"),
        start_command=findings.command(f"{path}.start_command", given.get("start_command"), required=bool(given)),
        stop_command=findings.command(f"{path}.stop_command", given.get("stop_command"), required=False),
        reload_command=findings.command(f"{path}.reload_command", given.get("reload_command"), required=False),
        stop_signal=stop_signal(findings, f"{path}.stop_signal", given.get("stop_signal"), "SIGTERM"),
        stop_timeout=findings.number(f"{path}.stop_timeout", given.get("stop_timeout"), STOP_TIMEOUT, 1, LONGEST_STOP),
        limits=limits(findings, f"{path}.limits", given.get("limits"), DEFAULT_LIMITS),
        restart_policy=findings.choice(f"{path}.restart_policy", given.get("restart_policy"), RESTART_POLICIES, "on_failure"),
        user=_owner(findings, f"{path}.user", given.get("user"), contained),
        working_directory=findings.path(f"{path}.working_directory", given.get("working_directory")),
        environment=_environment(findings, f"{path}.environment", given.get("environment")),
        secrets=findings.texts(f"{path}.secrets", given.get("secrets"), _CREDENTIAL, "must be the name of a credential"),
        ports=_ports(findings, f"{path}.ports", given.get("ports")),
        capabilities=findings.texts(
            f"{path}.capabilities", given.get("capabilities"), re.compile(r"CAP_[A-Z_]+\Z"), "must be a name such as CAP_NET_BIND_SERVICE"
        ),
        state_directory=_state_directories(findings, f"{path}.state_directory", given.get("state_directory")),
        binds=_binds(findings, f"{path}.binds", given.get("binds")),
        depends_on=tuple(item if "/" in item else f"{module}/{item}" for item in depends_on),
        health=_health(findings, f"{path}.health", given.get("health")),
        inside=container.inside(findings, path, given) if contained else None,
    )


def _owner(findings: Findings, path: str, value: t.Any, contained: bool) -> str:
    return container.user(findings, path, value) if contained else findings.text(path, value, "", _USER, "must be the name of a system user")


def _health(findings: Findings, path: str, document: t.Any) -> t.Optional[Health]:
    if document is None:
        return None
    given = findings.mapping(path, document, _HEALTH_KEYS)
    kind = findings.choice(f"{path}.type", given.get("type"), HEALTH_TYPES, "")
    if not kind:
        if given.get("type") is None:
            findings.add(f"{path}.type", f"is required: {', '.join(HEALTH_TYPES)}.")
        return None
    port = int(findings.number(f"{path}.port", given.get("port"), 0, 1, 65535))
    if kind in ("http", "tcp") and given.get("port") is None:
        findings.add(f"{path}.port", f"is required for type {kind}.")
    return Health(
        type=kind,
        host=findings.text(f"{path}.host", given.get("host"), "127.0.0.1"),
        port=port,
        path=findings.text(f"{path}.path", given.get("path"), "/", re.compile(r"/"), "must begin with /"),
        status=int(findings.number(f"{path}.status", given.get("status"), 200, 100, 599)),
        command=findings.command(f"{path}.command", given.get("command"), required=kind == "exec"),
        interval=findings.number(f"{path}.interval", given.get("interval"), 30, 0.1, 86400),
        timeout=findings.number(f"{path}.timeout", given.get("timeout"), 5, 0.1, 3600),
        initial_delay=findings.number(f"{path}.initial_delay", given.get("initial_delay"), 0, 0, 3600),
    )


def _security(findings: Findings, path: str, document: t.Any) -> Security:
    if document is None:
        return Security()
    given = findings.mapping(path, document, _SECURITY_KEYS)
    if given.get("egress_allow") is not None:
        # IPAddressAllow= filters both directions and needs cgroup v2; a rule that only looks like one is worse than none.
        findings.add(f"{path}.egress_allow", "cannot be enforced for units that run from the host's own files; leave it out.")
    return Security(
        profile=findings.choice(f"{path}.profile", given.get("profile"), PROFILES, "default"),
        apparmor=findings.text(
            f"{path}.apparmor", given.get("apparmor"), "", re.compile(r"[A-Za-z0-9_.@/-]+\Z"), "must be the name of an AppArmor profile"
        ),
        privileged=findings.boolean(f"{path}.privileged", given.get("privileged"), False),
    )


def _capabilities(findings: Findings, path: str, value: t.Any, default: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for n, item in enumerate(findings.items_of(path, value)):
        name, _at, limits = findings.text(f"{path}[{n}]", item).partition("@")
        if not _CAPABILITY.match(name):
            findings.add(f"{path}[{n}]", f"must be name or name@range; is {item!r}.")
        for limit in limits.replace(",", " ").split():
            if not _COMPARATOR.match(limit):
                findings.add(f"{path}[{n}]", f"{limit!r} is no version limit; write 15, >=15 or '>=15 <17'.")
        pairs.append((name, limits or default))
    return tuple(pairs)


def _environment(findings: Findings, path: str, value: t.Any) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, t.Mapping):
        findings.add(path, f"must be a mapping, is {kind_of(value)}.")
        return ()
    pairs = []
    for key, item in value.items():
        if not _ENVIRONMENT_NAME.match(str(key)):
            findings.add(f"{path}.{key}", "is no name of an environment variable.")
        if isinstance(item, bool) or not isinstance(item, (str, int, float)) or "\x00" in str(item):
            findings.add(f"{path}.{key}", f"must be a text or a number (quote it); is {item!r}.")
        pairs.append((str(key), str(item)))
    return tuple(sorted(pairs))


def _ports(findings: Findings, path: str, value: t.Any) -> tuple[int, ...]:
    return tuple(int(findings.number(f"{path}[{n}]", item, 0, 1, 65535)) for n, item in enumerate(findings.items_of(path, value)))


def _paths(findings: Findings, path: str, value: t.Any) -> tuple[str, ...]:
    return tuple(findings.path(f"{path}[{n}]", item) for n, item in enumerate(findings.items_of(path, value)))


def _state_directories(findings: Findings, path: str, value: t.Any) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    rule = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/-]*\Z")
    return findings.texts(path, given, rule, "must be a path below /var/lib, such as powernode/files")


def _binds(findings: Findings, path: str, value: t.Any) -> tuple[str, ...]:
    binds = findings.texts(path, value)
    for n, bind in enumerate(binds):
        parts = bind.split(":")
        if len(parts) > 3 or not all(part.startswith("/") for part in parts[:2]) or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
            findings.add(f"{path}[{n}]", f"must be /path, /from:/to or /from:/to:ro; is {bind!r}.")
    return binds


def _port_clashes(findings: Findings, manifests: t.Sequence[Manifest]) -> None:
    owners: dict[int, list[str]] = {}
    for manifest in manifests:
        for service in manifest.services:
            for port in service.ports:
                owners.setdefault(port, []).append(f"{manifest.id}/{service.name}")
    for port, names in sorted(owners.items()):
        if port and len(names) > 1:
            findings.add("manifests", f"port {port} is wanted by {' and '.join(names)}.")


def _covered_paths(findings: Findings, manifests: t.Sequence[Manifest]) -> None:
    for owner in manifests:
        for neighbour in manifests:
            if neighbour is owner:
                continue
            targets = [bind.split(":")[1] if ":" in bind else bind for service in neighbour.services for bind in service.binds]
            for target in (*targets, *neighbour.mask):
                for protected in owner.protected:
                    if protected and (
                        target == protected
                        or target.startswith(protected.rstrip("/") + "/")
                        or protected.startswith(target.rstrip("/") + "/")
                    ):
                        findings.add("manifests", f"{neighbour.id} covers {target}, which {owner.id} protects.")
