# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a machine says of itself, made from what was read of it. Pure.

The document has no secret in it and decides nothing by itself: whoever reads it takes it for the word of a stranger.
"""

from __future__ import annotations

import datetime
import json
import typing as t
from dataclasses import dataclass, field

VERSION = 1
CONDITIONS = ("enrolled", "modules_active", "services_ready")

# Units that show that a runtime works here. What else is a unit of ours carries its own marks, see `marks`.
RUNTIME_UNITS: t.Mapping[str, str] = {"docker.service": "docker", "k3s.service": "k3s", "k3s-agent.service": "k3s"}

# A file system with less than this share, and less than this many bytes, is full: what writes there fails.
FULL_SHARE, FULL_BYTES = 0.01, 64 * 1024 * 1024

_MOST = 100
_WORKING = ("active", "reloading", "refreshing")


@dataclass(frozen=True)
class Unit:
    """One unit as systemd knows it; the words are those of ``systemctl show``. ``enabled`` is whether it starts at boot."""

    name: str
    active: str
    enabled: bool


@dataclass(frozen=True)
class Host:
    """What was read of a machine. None is what could not be read, and ``problems`` says why, a sentence each.

    ``marked`` are units that carry marks of ours, by name. ``disks`` are ``(mount, bytes, free bytes)``; ``elapsed`` and ``uptime`` are seconds of
    the kernel's clock that never goes back (CLOCK_BOOTTIME), ``now`` unix seconds of a clock that may.
    """

    boot_id: str
    elapsed: float
    now: float
    agent: str
    identity: t.Mapping[str, str] = field(default_factory=dict)
    has_key: bool = False
    certificate_not_after: t.Optional[float] = None
    marked: t.Mapping[str, t.Mapping[str, str]] = field(default_factory=dict)
    units: t.Optional[t.Mapping[str, Unit]] = None
    failed: t.Optional[t.Sequence[str]] = None
    swarm: bool = False
    disks: t.Sequence[t.Tuple[str, int, int]] = ()
    load: t.Sequence[float] = ()
    memory: t.Mapping[str, int] = field(default_factory=dict)
    problems: t.Sequence[str] = ()


def document(host: Host) -> t.Dict[str, t.Any]:
    """The status of ``host``. ``seq`` grows with each call of one boot without anything to be kept: milliseconds of CLOCK_BOOTTIME."""
    full = [mount for mount, size, free in host.disks if size and free < min(FULL_BYTES, size * FULL_SHARE)]
    wanted = [name for name in sorted(host.marked) if host.units is not None and name in host.units and host.units[name].enabled]
    states = {name: host.units[name].active if host.units and name in host.units else "unknown" for name in sorted(host.marked)}
    known = host.units is not None and host.failed is not None
    met = {
        "enrolled": bool(host.identity.get("instance")) and host.has_key and host.certificate_not_after is not None,
        "modules_active": known and all(states[name] in (*_WORKING, "activating") for name in wanted),
        "services_ready": known and not full and all(states[name] in _WORKING for name in wanted),
    }
    unmet = [name for name in CONDITIONS if not met[name]]
    return {
        "version": VERSION,
        "instance": host.identity.get("instance", ""),
        "node": host.identity.get("node", ""),
        "boot_id": host.boot_id,
        "seq": int(host.elapsed * 1000),
        "agent": host.agent,
        "uptime": round(host.elapsed, 3),
        "sent_at": round(host.now, 3),
        "phase": "bootstrapping" if unmet else "ready",
        "unmet_conditions": unmet,
        "modules": _modules(host.marked, states),
        "failed_units": list(host.failed or ())[:_MOST],
        "runtimes": _runtimes(host),
        "certificate_not_after": host.certificate_not_after,
        "full_disks": full,
        "load": [round(one, 2) for one in host.load],
        "memory": dict(host.memory),
        "problems": [problem[:300] for problem in host.problems][:20],
    }


def _modules(marked: t.Mapping[str, t.Mapping[str, str]], states: t.Mapping[str, str]) -> t.Dict[str, t.Any]:
    found: t.Dict[str, t.Any] = {}
    for unit in sorted(marked)[:_MOST]:
        marks = marked[unit]
        module = found.setdefault(marks["Module"], {"stack": marks.get("Stack", ""), "digest": marks.get("Digest", ""), "units": {}})
        module["units"][unit] = states[unit]
    return found


def _runtimes(host: Host) -> t.List[str]:
    units = host.units or {}
    found = {runtime for unit, runtime in RUNTIME_UNITS.items() if unit in units and units[unit].active in (*_WORKING, "activating")}
    return sorted(found | ({"swarm"} if host.swarm else set()) | ({"native"} if host.marked else set()))


def as_bytes(status: t.Mapping[str, t.Any]) -> bytes:
    return (json.dumps(status, sort_keys=True, separators=(",", ":")) + "\n").encode()


# --- readers ----------------------------------------------------------------------------------------------------------------------


def marks(text: str) -> t.Dict[str, str]:
    """The marks ``X-Bowline-Stack``, ``-Module`` and ``-Digest`` of a unit file; empty for a unit of somebody else."""
    pairs = (line.partition("=") for line in text.splitlines() if line.startswith("X-Bowline-"))
    found = {name[len("X-Bowline-") :]: value.strip() for name, _equals, value in pairs}
    return found if found.get("Module") else {}


def units(shown: str) -> t.Dict[str, Unit]:
    """Units of the output of ``systemctl show``: one paragraph each, a line ``Name=value`` each."""
    found = {}
    for block in shown.split("\n\n"):
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        if values.get("Id"):
            enabled = values.get("UnitFileState") in ("enabled", "enabled-runtime")
            found[values["Id"]] = Unit(values["Id"], values.get("ActiveState", ""), enabled and values.get("LoadState") == "loaded")
    return found


def failed_names(listed: str) -> t.List[str]:
    """Names of the output of ``systemctl list-units --plain --no-legend``."""
    return [line.split()[0] for line in listed.splitlines() if line.strip()]


def not_after(pem: str) -> float:
    """When the first certificate of ``pem`` ends, in unix seconds. Raises ValueError for what is no certificate.

    Source: RFC 5280, 4.1: Certificate is a sequence whose first part, tbsCertificate, holds [0] version (when given), serial number, signature,
    issuer and then validity, a sequence of two times (4.1.2.5: UTCTime YYMMDDHHMMSSZ up to 2049, GeneralizedTime YYYYMMDDHHMMSSZ).
    """
    import ssl  # The library takes ten times as long to load as the rest of this file.

    der = ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END CERTIFICATE-----") + 25])
    try:
        parts = _parts(_parts(_parts(der)[0][1])[0][1])
        validity = _parts(parts[4 if parts[0][0] == 0xA0 else 3][1])
        tag, value = validity[1]
    except IndexError:
        raise ValueError("this is no certificate") from None
    text = value.decode("ascii")
    if tag == 0x17:
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()


def _parts(der: bytes) -> t.List[t.Tuple[int, bytes]]:
    """Tag and content of each value that stands in ``der``. Source: X.690, 8.1.3: a length below 128 is one byte, else 0x80 plus the bytes that follow."""
    found, at = [], 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            length, at = int.from_bytes(der[at : at + count], "big"), at + count
        if at + length > len(der):
            raise ValueError("this is no certificate")
        found.append((tag, der[at : at + length]))
        at += length
    return found
