# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unit files as text. Pure: the same stack always gives the same bytes; how values become words of a unit file is in `words`."""

from __future__ import annotations

import typing as t

from .findings import refuse
from .hidden import hidden_files
from .manifest import parse_manifests
from .model import MARK, Limit, Manifest, Service, Unit
from .render_image import environment_of, hosts_of, mount_name, mount_text, root_of, tree_lines
from .stack import check_relations, start_order
from .words import command, quoted, specifiers

UNIT_DIRECTORY = "/usr/local/lib/systemd/system"

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
    artifacts: t.Optional[t.Mapping[str, str]] = None,
) -> tuple[Unit, ...]:
    """The units of a stack in start order; empty for modules without services.

    ``credentials`` gives the file of a credential where it does not stand in ``credentials_directory`` under its own name. ``reload`` names
    services (``service`` or ``module/service``) that read their configuration again on SIGHUP; ``inputs`` the files whose change a service
    must see; one that the sandbox hides from its service is refused. ``artifacts`` has the digest of the files of each module with an image, by its id;
    without one its units are rendered for nobody's files (to be looked at). Raises FleetError ``manifest_invalid``, ``capability_conflict`` or ``unit_cycle``.
    """
    manifests = parse_manifests(documents, stack)
    check_relations(manifests, approved)
    _refuse_hidden_inputs(manifests, inputs or {})
    directory = credentials_directory or f"/etc/bowline/{stack}/credentials"
    units: list[Unit] = []
    for manifest, service, before in start_order(manifests):
        names = (service.name, f"{manifest.id}/{service.name}")
        reloads = bool(service.reload_command) or any(name in reload for name in names)
        sources = {name: (credentials or {}).get(name, f"{directory}/{name}") for name in service.secrets}
        if manifest.image:
            units.append(_files(stack, manifest, service, (artifacts or {}).get(manifest.id, manifest.image), len(units)))
        units.append(
            Unit(
                name=unit_name(stack, manifest.id, service.name),
                text=_text(stack, manifest, service, before, sources, reloads),
                module=manifest.id,
                service=service.name,
                order=len(units),
                reloads=reloads,
                inputs=(*sources.values(), *_own_inputs(stack, manifest, service), *(path for name in names for path in (inputs or {}).get(name, ()))),
                health=service.health,
                user=service.user if service.inside else "",
            )
        )
    return tuple(units)


def _files(stack: str, manifest: Manifest, service: Service, digest: str, order: int) -> Unit:
    """The mount unit of the tree that a service runs in."""
    name = mount_name(root_of(stack, manifest, service))
    return Unit(name, mount_text(stack, manifest, service, digest), manifest.id, f"{service.name}.files", order)


def _own_inputs(stack: str, manifest: Manifest, service: Service) -> tuple[str, ...]:
    """Files that a service in an image sees as they were when it started: a bind stays with the file that it found."""
    if service.inside is None:
        return ()
    return (hosts_of(stack), *([environment_of(stack, manifest, service)] if service.inside.secret_environment else []))


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
        *_kind(service, notify),
        f"ExecStart={command(service.start_command)}",
        *([f"ExecStop={command(service.stop_command, main=True)}"] if service.stop_command else []),
        *([f"ExecReload={command(service.reload_command or _HANGUP, main=True)}"] if reloads else []),
        f"Restart={_RESTART[service.restart_policy]}",
        "RestartSec=1",
        f"KillSignal={service.stop_signal}",
        f"TimeoutStopSec={service.stop_timeout:g}",
        # As a container engine ends one: its main process gets the signal, and what is left of it is killed.
        "KillMode=mixed",
        *(f"Limit{limit.name.upper()}={_limit(limit)}" for limit in service.limits),
        f"SyslogIdentifier={stack}-{manifest.id}-{service.name}",
    ]
    if service.user and service.inside is None:
        lines.append(f"User={service.user}")
    if service.working_directory:
        lines.append(f"WorkingDirectory={specifiers(service.working_directory)}")
    lines += [f"Environment={quoted(f'{name}={value}')}" for name, value in service.environment]
    lines += [f"LoadCredential={name}:{specifiers(path)}" for name, path in sorted(credentials.items())]
    if service.state_directory:
        lines += [f"StateDirectory={' '.join(service.state_directory)}", "StateDirectoryMode=0750"]
    return lines + (_sandbox(manifest, service) if service.inside is None else tree_lines(stack, manifest, service, service.inside))


def _kind(service: Service, notify: bool) -> list[str]:
    if service.inside is not None and service.inside.one_shot:
        return ["Type=oneshot", "RemainAfterExit=yes"]
    return [f"Type={'notify' if notify else 'exec'}"]


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
        lines.append(f"{'BindReadOnlyPaths' if mode == 'ro' else 'BindPaths'}={quoted(source + ':' + target)}")
        if mode != "ro":
            # A bind mount alone stays read-only under ProtectSystem=strict.
            lines.append(f"ReadWritePaths={quoted(target)}")
    return lines + [f"InaccessiblePaths={quoted('-' + path)}" for path in manifest.mask]


def _limit(limit: Limit) -> str:
    soft, hard = ("infinity" if end is None else str(end) for end in (limit.soft, limit.hard))
    return soft if soft == hard else f"{soft}:{hard}"
