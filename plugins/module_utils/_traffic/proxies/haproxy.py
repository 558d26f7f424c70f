# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy: the servers of a backend or listen section. Sections, quoting and keywords as in its configuration manual 2.6 (2.2, 4, 5.2)."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from .marked import Edit
from .source import Fault, Plan, Source, bypass, missing, shorter, unsupported

_SECTIONS = {
    "global", "defaults", "frontend", "backend", "listen", "peers", "resolvers", "userlist", "cache", "mailers", "program", "http-errors", "ring",
    "fcgi-app", "crt-store", "traces", "log-forward", "log-profile", "acme",
}  # fmt: skip
_WORD = re.compile(r"""(?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^\s#"'\\])+""", re.DOTALL)
# Not with one server: rules that name another one.
_SERVERS = ("server", "server-template", "use-server")
# The edge checks itself; a held request must not make it look ill. Settings of default-server are taken back by name (5.2).
_NEUTRAL = "no-check no-agent-check no-backup"


@dataclass
class _Line:
    words: list[str]
    begin: int
    end: int


@dataclass
class _Section:
    kind: str
    name: str
    begin: int
    source: str = ""
    lines: list[_Line] = field(default_factory=list)
    # The defaults section that it goes by.
    defaults: _Section | None = None

    def has(self, *names: str) -> list[_Line]:
        return [line for line in self.lines if line.words[0] in names]

    def setting(self, *words: str) -> list[str]:
        """What stands behind ``words``, here or in the defaults; the last one counts."""
        for section in (self, self.defaults):
            found = [line.words[len(words) :] for line in (section.lines if section else []) if tuple(line.words[: len(words)]) == words]
            if found:
                return found[-1]
        return []


def _parse(text: str) -> list[_Section]:
    sections: list[_Section] = []
    position = 0
    for row in text.splitlines(keepends=True):
        comment = re.match(rf"(?:\s*{_WORD.pattern})*\s*", row, re.DOTALL)
        found = list(_WORD.findall(row[: comment.end()] if comment else row))
        words = [re.sub(r"""\\(.)|["']""", lambda match: match.group(1) or "", word) for word in found]
        if words and words[0] in _SECTIONS:
            sections.append(_section(words, position, sections))
        elif words and sections:
            sections[-1].lines.append(_Line(words, position, position + len(row.rstrip("\r\n"))))
        position += len(row)
    return sections


def _section(words: list[str], position: int, sections: list[_Section]) -> _Section:
    name = words[1] if len(words) > 1 and words[1] != "from" else ""
    named = words[words.index("from") + 1] if "from" in words[1:-1] else ""
    defaults = [one for one in sections if one.kind == "defaults" and (not named or one.name == named)]
    # A defaults section begins anew unless it names another one.
    inherited = defaults[-1] if defaults and (words[0] != "defaults" or named) else None
    return _Section(words[0], name, position, named, defaults=inherited)


class HAProxy:
    """See `source.Driver`."""

    address_remedy = "http-request set-src hdr(X-Forwarded-For) if { src <address of the other host> }"

    def plan(self, source: Source, upstreams: t.Mapping[str, str]) -> Plan:
        sections = _parse(source.text)
        edits: list[Edit] = []
        faults: list[Fault] = []
        notes: list[Fault] = []
        waits: list[float | None] = []
        for name, via in upstreams.items():
            found = [one for one in sections if one.kind in ("backend", "listen") and one.name == name]
            servers = found[0].has("server", "server-template") if found else []
            if not servers:
                seen = [f"{one.kind} {one.name}" for one in sections if one.kind in ("backend", "listen") and one.has("server", "server-template")]
                wanted = f"{source.path} has no backend or listen {name} with a server"
                faults.append(missing(name, wanted, seen, "Name a backend as it stands in the file; proxy.config is the file that it stands in."))
                continue
            wrong = _wrong(source, found, name, servers)
            faults += wrong
            if not wrong:
                edits += _edits(found[0], via)
                waits.append(_wait(found[0], servers))
                notes += _others(source, sections, found[0], name)
        return Plan(tuple(edits), tuple(faults), tuple(notes), shorter(*waits))

    def address_rules(self, text: str) -> tuple[str, ...]:
        """Rules and tables that go by ``src``; ``set-src`` and ``accept-proxy`` are what takes the address from elsewhere."""
        words = [word for section in _parse(text) for line in section.lines for word in line.words]
        if {"set-src", "accept-proxy"} & set(words):
            return ()
        return ("src",) if any(re.match(r"src\b|src_|sc[0-9]?_", word) for word in words) else ()


def _wrong(source: Source, found: list[_Section], name: str, servers: list[_Line]) -> list[Fault]:
    section = found[0]
    if len(found) > 1:
        places = " and ".join(source.line(one.begin) for one in found)
        return [unsupported(name, f"{name} stands in {places}.", "Give backend and listen names of their own.")]
    if any(line.words[0].startswith(".") for line in section.lines):
        return [unsupported(name, f"{section.kind} {name} has conditional lines (.if).", "Write them out, or use driver command.")]
    faults = []
    # tcp is HAProxy's default (4.2, mode).
    if (section.setting("mode") or ["tcp"])[0] != "http":
        remedy = "Use mode http, or write the change yourself: driver command."
        faults.append(unsupported(name, f"{section.kind} {name} ({source.line(section.begin)}) is of mode tcp, and an edge speaks HTTP.", remedy))
    for server in servers:
        words = _effective(section, server)
        schemes = sorted({word for word in words if word == "ssl" or word.startswith(("send-proxy", "proto"))})
        if schemes:
            remedy = "Let the application answer plain HTTP to this host, or write the change yourself: driver command."
            message = f"server {server.words[1]} ({source.line(server.begin)}) has {', '.join(schemes)}, and an edge speaks plain HTTP/1.1 to the application."
            faults.append(unsupported(name, message, remedy))
    return faults


def _effective(section: _Section, server: _Line) -> list[str]:
    """Words of a server line with those of default-server in force."""
    words = [word for part in (section.defaults, section) if part for line in part.has("default-server") for word in line.words[1:]]
    words += server.words[3:]
    taken = {word[len("no-") :] for word in words if word.startswith("no-")}
    return [word for word in words if word not in taken]


def _edits(section: _Section, via: str) -> list[Edit]:
    lines = section.has(*_SERVERS)
    first = next(line for line in lines if line.words[0] != "use-server")
    words = _effective(section, first)
    kept = ["maxconn", words[words.index("maxconn") + 1]] if "maxconn" in words[:-1] else []
    if not via.startswith("unix:") and not re.match(r"[\d.]+:|\[", via):
        # A name is looked up at the start (5.2, init-addr): a server that waits for its first answer would cost the requests of that moment.
        resolvers = ["resolvers", words[words.index("resolvers") + 1]] if "resolvers" in words[:-1] else []
        kept += [*resolvers, "init-addr", "last,libc,none" if resolvers else "last,libc"]
    address = f"unix@{via[len('unix:') :]}" if via.startswith("unix:") else via
    ours = " ".join(["    server bowline-edge", address, _NEUTRAL, *kept])
    return [Edit(line.begin, line.end, ours if line is first else "") for line in lines]


def _wait(section: _Section, servers: list[_Line]) -> float | None:
    """timeout server; with maxconn a request waits for its turn as long as timeout queue, else timeout connect."""
    given = [_seconds(section.setting("timeout", "server"))]
    if any("maxconn" in _effective(section, server) for server in servers):
        given.append(_seconds(section.setting("timeout", "queue") or section.setting("timeout", "connect")))
    return shorter(*given)


def _seconds(words: list[str]) -> float | None:
    """A time of HAProxy (2.5), milliseconds without a unit."""
    match = re.fullmatch(r"(\d+)(us|ms|[smhd])?", words[0]) if words else None
    units = {"us": 1e-6, "ms": 1e-3, None: 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    return int(match.group(1)) * units[match.group(2)] if match else None


def _others(source: Source, sections: list[_Section], taken: _Section, name: str) -> list[Fault]:
    addresses = {line.words[2] for line in taken.has("server") if len(line.words) > 2}
    return [
        bypass(name, f"{section.kind} {section.name} ({source.line(line.begin)}) sends to {line.words[2]} as well, past the edge.")
        for section in sections
        if section is not taken
        for line in section.has("server")
        if len(line.words) > 2 and line.words[2] in addresses
    ]
