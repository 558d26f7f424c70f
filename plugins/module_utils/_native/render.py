# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unit files as text. Pure: the same stack always gives the same bytes.

Escaping follows systemd.service(5) "Command lines" and systemd.exec(5) "Environment=": ``%`` starts a specifier everywhere, ``$`` a
variable in command lines only, backslash and quotes are C-style inside double quotes.
"""

from __future__ import annotations

import re
import typing as t

from .findings import refuse
from .hidden import hidden_files
from .manifest import parse_manifests
from .model import MARK, Limit, Manifest, Service, Unit
from .stack import check_relations, start_order

UNIT_DIRECTORY = "/usr/local/lib/systemd/system"

_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:=,@+-]+\Z")

# Proven on systemd 252 under postgres, nginx (root master, www-data workers) and python3. MemoryDenyWriteExecute breaks PostgreSQL's JIT
# and PrivateUsers breaks ambient capabilities, so no profile has them.
_SANDBOX = {
    "trusted": (),
    "default": (
        "NoNewPrivileges=yes",
        "ProtectSystem=full",
        # Not "yes": libpq takes a home that it may not read for an error, an empty one for no certificate.
        "ProtectHome=tmpfs",
        "PrivateTmp=yes",
        "ProtectControlGroups=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "ProtectKernelLogs=yes",
        "ProtectClock=yes",
        "ProtectHostname=yes",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "SystemCallArchitectures=native",
    ),
}
_SANDBOX["strict"] = (
    *(line for line in _SANDBOX["default"] if not line.startswith("ProtectSystem=")),
    "ProtectSystem=strict",
    "PrivateDevices=yes",
    "ProtectProc=invisible",
    "SystemCallFilter=@system-service",
    "SystemCallErrorNumber=EPERM",
    "UMask=0077",
)
_HANGUP = ("/bin/kill", "-HUP", "$MAINPID")
_RESTART = {"never": "no", "on_failure": "on-failure", "always": "always"}


def unit_name(stack: str, module: str, service: str) -> str:
    return f"{stack}-{module}-{service}.service"


def render_stack(
    documents: t.Any,
    stack: str,
    *,
    credentials: t.Optional[t.Mapping[str, str]] = None,
    credentials_directory: str = "",
    reload: t.Collection[str] = (),
    inputs: t.Optional[t.Mapping[str, t.Sequence[str]]] = None,
    approved: t.Collection[str] = (),
) -> tuple[Unit, ...]:
    """The units of a stack in start order; empty for modules without services.

    ``credentials`` gives the file of a credential where it does not stand in ``credentials_directory`` under its own name. ``reload`` names
    services (``service`` or ``module/service``) that read their configuration again on SIGHUP; ``inputs`` the files whose change a service
    must see; one that the sandbox hides from its service is refused. Raises FleetError ``manifest_invalid``, ``capability_conflict`` or ``unit_cycle``.
    """
    manifests = parse_manifests(documents, stack)
    check_relations(manifests, approved)
    _refuse_hidden_inputs(manifests, inputs or {})
    directory = credentials_directory or f"/etc/bowline/{stack}/credentials"
    units = []
    for order, (manifest, service, before) in enumerate(start_order(manifests)):
        names = (service.name, f"{manifest.id}/{service.name}")
        reloads = bool(service.reload_command) or any(name in reload for name in names)
        sources = {name: (credentials or {}).get(name, f"{directory}/{name}") for name in service.secrets}
        units.append(
            Unit(
                name=unit_name(stack, manifest.id, service.name),
                text=_text(stack, manifest, service, before, sources, reloads),
                module=manifest.id,
                service=service.name,
                order=order,
                reloads=reloads,
                inputs=(*sources.values(), *(path for name in names for path in (inputs or {}).get(name, ()))),
                health=service.health,
            )
        )
    return tuple(units)


def _refuse_hidden_inputs(manifests: t.Sequence[Manifest], inputs: t.Mapping[str, t.Sequence[str]]) -> None:
    findings = [
        f"inputs.{name}: {sentence}"
        for manifest in manifests
        for service in manifest.services
        for name in (service.name, f"{manifest.id}/{service.name}")
        for sentence in hidden_files(manifest, service, inputs.get(name, ()))
    ]
    refuse(findings, "Correct the path; nothing was changed.")


def _text(
    stack: str, manifest: Manifest, service: Service, before: t.Sequence[str], credentials: t.Mapping[str, str], reloads: bool
) -> str:
    after = " ".join(unit_name(stack, *name.split("/")) for name in before)
    wanted = " ".join(unit_name(stack, *name.split("/")) for name in service.depends_on)
    unit = [
        f"Description={stack} {manifest.id}/{service.name}",
        f"{MARK}{stack}",
        f"X-Bowline-Module={manifest.id}",
        f"X-Bowline-Digest={manifest.digest}",
        f"After=network.target {after}".rstrip(),
        # Not Requires=: it restarts this unit whenever the other one restarts, even on its own after a crash (systemd 252), and a pool
        # outlives that.
        *([f"Wants={wanted}"] if wanted else []),
        "StartLimitIntervalSec=0",
    ]
    return "\n".join(
        (
            "[Unit]",
            *unit,
            "",
            "[Service]",
            *_service_lines(stack, manifest, service, credentials, reloads),
            "",
            "[Install]",
            "WantedBy=multi-user.target",
            "",
        )
    )


def _service_lines(stack: str, manifest: Manifest, service: Service, credentials: t.Mapping[str, str], reloads: bool) -> list[str]:
    notify = service.health is not None and service.health.type == "notify"
    lines = [
        f"Type={'notify' if notify else 'exec'}",
        f"ExecStart={_command(service.start_command)}",
        *([f"ExecStop={_command(service.stop_command, main=True)}"] if service.stop_command else []),
        *([f"ExecReload={_command(service.reload_command or _HANGUP, main=True)}"] if reloads else []),
        f"Restart={_RESTART[service.restart_policy]}",
        "RestartSec=1",
        f"KillSignal={service.stop_signal}",
        f"TimeoutStopSec={service.stop_timeout:g}",
        # As a container engine ends one: its main process gets the signal, and what is left of it is killed.
        "KillMode=mixed",
        *(f"Limit{limit.name.upper()}={_limit(limit)}" for limit in service.limits),
        f"SyslogIdentifier={stack}-{manifest.id}-{service.name}",
    ]
    if service.user:
        lines.append(f"User={service.user}")
    if service.working_directory:
        lines.append(f"WorkingDirectory={_specifiers(service.working_directory)}")
    lines += [f"Environment={_quoted(f'{name}={value}')}" for name, value in service.environment]
    lines += [f"LoadCredential={name}:{_specifiers(path)}" for name, path in sorted(credentials.items())]
    if service.state_directory:
        lines += [f"StateDirectory={' '.join(service.state_directory)}", "StateDirectoryMode=0750"]
    return lines + _sandbox(manifest, service)


def _sandbox(manifest: Manifest, service: Service) -> list[str]:
    security = manifest.security
    profile = "trusted" if security.privileged else security.profile
    lines = list(_SANDBOX[profile])
    capabilities = " ".join(service.capabilities)
    if service.capabilities and service.user:
        lines.append(f"AmbientCapabilities={capabilities}")
    if not security.privileged and (service.capabilities or service.user or profile == "strict"):
        lines.append(f"CapabilityBoundingSet={capabilities}")
    if security.apparmor:
        lines.append(f"AppArmorProfile={security.apparmor}")
    for bind in service.binds:
        source, target, mode = ([*bind.split(":"), ""] if ":" in bind else [bind, bind, ""])[:3]
        lines.append(f"{'BindReadOnlyPaths' if mode == 'ro' else 'BindPaths'}={_quoted(source + ':' + target)}")
        if mode != "ro":
            # A bind mount alone stays read-only under ProtectSystem=strict.
            lines.append(f"ReadWritePaths={_quoted(target)}")
    return lines + [f"InaccessiblePaths={_quoted('-' + path)}" for path in manifest.mask]


def _limit(limit: Limit) -> str:
    soft, hard = ("infinity" if end is None else str(end) for end in (limit.soft, limit.hard))
    return soft if soft == hard else f"{soft}:{hard}"


def _command(argv: t.Sequence[str], main: bool = False) -> str:
    """``main``: systemd knows the main process when it runs the command, so $MAINPID as a word and ${MAINPID} in one stay what they are."""
    return " ".join(word if main and word == "$MAINPID" else _quoted(_dollars(word, main)) for word in argv)


def _dollars(word: str, main: bool) -> str:
    kept = "${MAINPID}"
    return kept.join(part.replace("$", "$$") for part in word.split(kept)) if main else word.replace("$", "$$")


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """``word`` as one word of a unit file line, always read back as exactly these characters."""
    if _PLAIN_WORD.match(word):
        return word
    escaped = _specifiers(word).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in char.encode()) for char in escaped) + '"'
