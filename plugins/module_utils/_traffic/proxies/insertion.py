# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of a proxy, and what every kind of proxy can do, however it is configured."""

from __future__ import annotations

import re
import socket
import typing as t
from dataclasses import dataclass, field

from ..._core.errors import FleetError
from ..._core.finding import Finding
from ..._core.runner import Completed, Runner
from .source import Fault

Prove = t.Callable[[], None]


@dataclass(frozen=True)
class Insertion:
    """Where a proxy's configuration is, and how it checks and takes it. ``upstreams``: name in its configuration to host:port of the edge.

    ``insert`` and ``remove`` are commands of driver command, ``container`` is that of the edge, for driver traefik_labels.
    """

    driver: str
    config: str = ""
    upstreams: t.Mapping[str, str] = field(default_factory=dict)
    check: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()
    insert: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    container: str = ""

    def words(self) -> set[str]:
        """Ours among what the proxy may name in a message."""
        return {*self.upstreams, *self.upstreams.values(), self.config}


class Proxy(t.Protocol):
    """A proxy that an edge can be put behind. States are texts: a configuration file, or a word for in and out."""

    def seen(self) -> str:
        """The state now; nothing is changed. Raises FleetError when it cannot be told."""

    def inserted(self, seen: str) -> str:
        """The state with the edge; raises FleetError with everything that stands against it, and nothing is changed."""

    def restored(self, seen: str) -> str:
        """The state without the edge."""

    def digest(self, state: str) -> str:
        """What a record keeps of a state that the proxy took."""

    def change(self, seen: str, back: str, new: str, prove: Prove = lambda: None) -> None:
        """From ``seen`` to ``new``, taken by the proxy and proven by ``prove``; else ``back``, taken too, and the failure says why."""

    def shown(self, state: str) -> t.Any:
        """Of a state what a diff may show."""

    def notes(self, seen: str) -> list[dict[str, str]]:
        """What should be known of a state, as findings of level warn."""

    def findings(self) -> list[dict[str, str]]:
        """Everything that stands against an insertion (level fail) or should be known of it (warn), found by reading alone."""

    def labels(self) -> dict[str, str]:
        """Labels that the container of the edge needs for this proxy; none for most."""

    def timeout(self) -> float | None:
        """Seconds that the proxy waits for an answer of what is behind it; None for no limit, or when it is not known."""


def finding(fault: Fault, where: str, level: str = "fail") -> dict[str, str]:
    """A finding of module and preflight."""
    return Finding(fault.code, level, where, fault.message, fault.remedy).as_dict()


def taken(insertion: Insertion) -> list[dict[str, str]]:
    """Findings for listeners of an edge that does not run yet, where something else answers already; those in containers are not seen from here."""
    found = []
    for name, via in insertion.upstreams.items():
        host, _colon, port = via.rpartition(":")
        if re.fullmatch(r"127\.[0-9.]+|localhost|\[::1\]", host):
            with socket.socket(socket.AF_INET6 if host == "[::1]" else socket.AF_INET) as probe:
                probe.settimeout(1)
                if probe.connect_ex((host.strip("[]"), int(port))) == 0:
                    message = f"{via}, the edge's listener for {name}, is answered by something else; the edge does not run yet."
                    remedy = f"Choose another port in services[].listen and upstreams[].via, or end what ss -ltnp 'sport = :{port}' shows."
                    found.append(finding(Fault("port_taken", name, message, remedy), "proxy.upstreams"))
    return found


def of_error(error: FleetError, where: str) -> dict[str, str]:
    return Finding.of_error(error, where).as_dict()


def refuse(faults: t.Sequence[Fault], where: str) -> None:
    """Raise FleetError with all of ``faults``, if there is any; the code is the first one's."""
    if faults:
        raise FleetError(
            faults[0].code,
            f"{' '.join(fault.message for fault in faults)} {where} is unchanged.",
            remedy=" ".join(dict.fromkeys(fault.remedy for fault in faults)),
            details={
                "missing": [fault.name for fault in faults if fault.code == "proxy_upstream_missing"],
                "faults": [{"code": fault.code, "name": fault.name, "message": fault.message} for fault in faults],
            },
        )


def command(field: str, words: t.Sequence[str], insertion: Insertion, run: Runner, env: t.Mapping[str, str] | None = None) -> Completed:
    """How a command of the operator ended; what it printed may quote the configuration, so only words of ours stay in quotes."""
    completed = run(words, timeout=30, env=env)
    return Completed(completed.rc, _without_quotes(completed.out, insertion.words()), _without_quotes(completed.err, insertion.words()))


def failed(field: str, words: t.Sequence[str], completed: Completed, unchanged: str) -> FleetError:
    return FleetError(
        "proxy_check_failed",
        f"{' '.join(words)} ended with {completed.rc}: {(completed.err or completed.out)[-400:]!r}. {unchanged}",
        remedy=f"Run the command by hand; check proxy.upstreams and proxy.{field}.",
        details={"rc": completed.rc, "field": f"proxy.{field}"},
    )


def _without_quotes(output: str, known: t.Iterable[str]) -> str:
    """What a proxy said of its configuration. It quotes what it read there, which may be anything; only ``known`` words stay."""
    words = set(known)

    def keep(match: re.Match[str]) -> str:
        return match.group(0) if match.group(0)[1:-1] in words else match.group(0)[0] * 2

    return re.sub(r"""\"[^\"]*\"|'[^']*'""", keep, output.strip())
