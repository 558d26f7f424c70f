# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx: servers of an upstream block, or the address in proxy_pass. Directives as in nginx.org/en/docs/http/ngx_http_{upstream,proxy}_module.html."""

from __future__ import annotations

import fnmatch
import re
import typing as t

from . import nginx_text
from .marked import Edit
from .nginx_text import Directive
from .source import Fault, Plan, Source, bypass, missing, shorter, unsupported

# proxy_read_timeout's default.
_READ_TIMEOUT = 60.0
# What still means something with one server; keepalive has to stand behind it.
_KEPT = re.compile(r"keepalive(?:_requests|_time|_timeout)?")
_OTHER = {"grpc_pass": "gRPC", "fastcgi_pass": "FastCGI", "uwsgi_pass": "uwsgi", "scgi_pass": "SCGI"}
_PASS = ("proxy_pass", *_OTHER)
_INDENT = "    "


class _File:
    """One file, with what is known of the others."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.root = nginx_text.parse(source.text)
        self.all = list(self.root.walk())
        self.edits: list[Edit] = []
        self.faults: list[Fault] = []
        self.notes: list[Fault] = []
        self.waits: list[float | None] = []

    def others(self) -> list[tuple[str, _File]]:
        """The other files of the same nginx by path."""
        return [(path, _File(Source(path, text))) for path, text in self.source.files.items()]

    def where(self, directive: Directive) -> str:
        return self.source.line(directive.begin)

    def target(self, directive: Directive) -> tuple[str, str, str]:
        """Scheme, address and rest (the URI) of a pass directive, variables that are set beside it or above filled in."""
        value = directive.args[0] if directive.args else ""
        match = re.match(r"(?:(\w[\w+.-]*|\$\{?\w+\}?)://)?(unix:[^:]+|[^/?\#]*):?(.*)", value, re.DOTALL) if "unix:" in value else None
        match = match or re.match(r"(?:(\w[\w+.-]*|\$\{?\w+\}?)://)?([^/?\#]*)(.*)", value, re.DOTALL)
        scheme, address, rest = (part or "" for part in match.groups()) if match else ("", "", "")
        address = self.filled(address, directive)
        scheme = self.filled(scheme, directive)
        if "://" in address and not scheme:
            # set $upstream http://app:3000; proxy_pass $upstream;
            scheme, address = address.split("://", 1)
            address, slash, behind = address.partition("/")
            rest = slash + behind + rest
        return scheme, address, rest

    def filled(self, text: str, directive: Directive) -> str:
        def value(match: re.Match[str]) -> str:
            for block in directive.above():
                found = [child.args[1] for child in block.has("set") if len(child.args) == 2 and child.args[0] == "$" + match.group(1)]
                if found:
                    return found[-1]
            return match.group(0)

        return re.sub(r"\$\{?(\w+)\}?", value, text)

    def includes(self, block: Directive) -> list[Directive] | None:
        """Directives of the files that ``block`` includes; None when one of them is not known."""
        found: list[Directive] = []
        for include in block.has("include"):
            pattern = include.args[0] if include.args else ""
            paths = [path for path in self.source.files if fnmatch.fnmatch(path, pattern if pattern.startswith("/") else f"*/{pattern}")]
            if not paths:
                return None
            for path in paths:
                found += nginx_text.parse(self.source.files[path]).body or []
        return found


class Nginx:
    """See `source.Driver`."""

    address_remedy = "set_real_ip_from <address of the other host>; real_ip_header X-Forwarded-For;"

    def plan(self, source: Source, upstreams: t.Mapping[str, str]) -> Plan:
        file = _File(source)
        for name, via in upstreams.items():
            blocks = [directive for directive in file.all if directive.name == "upstream" and directive.args[:1] == [name]]
            if blocks:
                _upstream(file, name, via, blocks)
            else:
                _plain(file, name, via)
        _elsewhere(file, upstreams)
        _whole_lines(file)
        return Plan(tuple(file.edits), tuple(file.faults), tuple(file.notes), shorter(*file.waits))

    def address_rules(self, text: str) -> tuple[str, ...]:
        """Modules access, limit_req, limit_conn, geo and realip of nginx. ``deny all`` alone is for everybody."""
        found = list(nginx_text.parse(text).walk())
        names = {directive.name for directive in found if directive.name != "deny" or directive.args != ["all"]}
        return () if "real_ip_header" in names else tuple(word for word in ("allow", "deny", "limit_req", "limit_conn", "geo") if word in names)


def _upstream(file: _File, name: str, via: str, blocks: list[Directive]) -> None:
    block = blocks[0]
    if len(blocks) > 1 or any(outer.name == "stream" for outer in block.above()):
        why = "is not of http" if len(blocks) == 1 else f"stands in {' and '.join(file.where(one) for one in blocks)}"
        file.faults.append(unsupported(name, f"upstream {name} {why}.", "Name one upstream of http."))
        return
    body = block.body or []
    if not any(child.name in ("server", "include") for child in body) or any(child.body is not None for child in body):
        file.faults.append(unsupported(name, f"upstream {name} ({file.where(block)}) has no server, or a block.", "Give it servers only."))
        return
    file.faults += _schemes(file, name)
    kept = "".join(f"{_INDENT}{' '.join(_quoted(file, child))};\n" for child in body if _KEPT.fullmatch(child.name))
    # zone and methods of balancing go: they need or choose among several. So does include, whose servers would be used beside the edge.
    file.edits.append(Edit(*block.inside, f"\n{_INDENT}server {via};\n{kept}"))
    for directive in file.all:
        if directive.name in _PASS and file.target(directive)[1] == name:
            file.waits.append(_wait(file, directive))


def _quoted(file: _File, directive: Directive) -> list[str]:
    return [file.source.text[word.begin : word.end] for word in directive.words]


def _schemes(file: _File, name: str) -> list[Fault]:
    """Whoever sends to ``name`` in a protocol that the edge does not speak, in any file that is known."""
    found = []
    for path, other in [("", file), *file.others()]:
        for directive in other.all:
            if directive.name in _PASS:
                scheme, address, _rest = other.target(directive)
                if address == name and (directive.name != "proxy_pass" or scheme != "http"):
                    place = f"{path} {other.where(directive)}".lstrip()
                    found.append(_protocol(name, f"{directive.name} {directive.args[0]} ({place})", _OTHER.get(directive.name, "TLS")))
    return found


def _protocol(name: str, what: str, protocol: str) -> Fault:
    return unsupported(
        name,
        f"{what}: the application is spoken to in {protocol}, and an edge speaks HTTP to it.",
        "Let the application answer plain HTTP to this host and use http:// here, or write the change yourself: driver command.",
    )


def _plain(file: _File, name: str, via: str) -> None:
    """proxy_pass with the address itself, everywhere in the file."""
    found = []
    for directive in file.all:
        if directive.name in _PASS:
            scheme, address, rest = file.target(directive)
            if _same(address, name) and directive.name == "proxy_pass" and scheme == "http":
                found.append(directive)
                _address(file, directive, address, rest, via)
                file.waits.append(_wait(file, directive))
            elif _same(address, name):
                file.faults.append(_protocol(name, f"{directive.name} {directive.args[0]} ({file.where(directive)})", _OTHER.get(directive.name, "TLS")))
                found.append(directive)
    if not found:
        seen = [f"upstream {one.args[0]}" for one in file.all if one.name == "upstream" and one.args]
        seen += [" ".join([one.name, *one.args]) for one in file.all if one.name in _PASS]
        # Of what is only included here, the text is elsewhere.
        seen += [f"include {one.args[0]}" for one in file.all if one.name == "include" and one.args and not seen]
        wanted = f"{file.source.path} has no 'upstream {name} {{ server …; }}' and no 'proxy_pass http://{name}'"
        remedy = "Name an upstream block, or the address as it stands in proxy_pass; proxy.config is the file that it stands in."
        file.faults.append(missing(name, wanted, list(dict.fromkeys(seen)), remedy))


def _same(address: str, name: str) -> bool:
    return _with_port(address) == _with_port(name)


def _with_port(address: str) -> str:
    return address if address.startswith("unix:") or re.search(r":\d+\Z", address) else f"{address}:80"


def _address(file: _File, directive: Directive, address: str, rest: str, via: str) -> None:
    """The directive with the edge's address; what nginx derives from the address, Host and redirects, stays what it was."""
    literal = "$" not in directive.args[0]
    place = "http://" + via + (":" + rest if via.startswith("unix:") and rest else rest)
    lines = [f"proxy_pass {place};"]
    if not literal:
        # With a variable nginx looks the name up at run time, and passes a URI as it is; both stay so.
        lines = [f"set $bowline_edge {via};", f"proxy_pass http://$bowline_edge{':' if via.startswith('unix:') and rest else ''}{rest};"]
    headers = _host(file, directive)
    if headers is not None:
        lines += [*headers, f"proxy_set_header Host {address};"]
        if literal and not any(block.has("proxy_redirect") for block in directive.above()):
            lines += [f"proxy_redirect http://{address}{rest or '/'} {_location(directive) if rest else '/'};", "proxy_redirect default;"]
    indent = re.search(r"[ \t]*\Z", file.source.text[: directive.begin])
    file.edits.append(Edit(directive.begin, directive.end, ("\n" + (indent.group(0) if indent else "")).join(lines)))


def _host(file: _File, directive: Directive) -> list[str] | None:
    """Header lines to repeat so that Host can be set beside ``directive``, None when it is set already, or perhaps.

    proxy_set_header is inherited only by a level without any; without one for Host it is the address in proxy_pass.
    """
    for level, block in enumerate(directive.above()):
        included = file.includes(block)
        if included is None and (level == 0 or block.name in ("server", "location")):
            return None
        headers = block.has("proxy_set_header") + [one for one in included or [] if one.name == "proxy_set_header"]
        hosts = [one for one in headers if one.args[:1] and one.args[0].lower() == "host"]
        # $proxy_host is the address in proxy_pass as well.
        if any(one.args[1:] != ["$proxy_host"] for one in hosts):
            return None
        if level == 0:
            file.edits += [Edit(one.begin, one.end, "") for one in hosts if one.parent is block]
        if headers:
            return [f"{' '.join(_raw(one))};" for one in headers if level and one not in hosts]
    return []


def _raw(directive: Directive) -> list[str]:
    return [word.text if re.fullmatch(r"[^\s;{}\"'\\#]+", word.text) else '"' + re.sub(r'(["\\])', r"\\\1", word.text) + '"' for word in directive.words]


def _location(directive: Directive) -> str:
    return next((block.args[-1] for block in directive.above() if block.name == "location" and block.args), "/")


def _wait(file: _File, directive: Directive) -> float | None:
    """proxy_read_timeout as it holds for ``directive``; that of another file is only known where it is the only one."""
    for block in directive.above():
        for child in [*block.has("proxy_read_timeout"), *(file.includes(block) or [])]:
            if child.name == "proxy_read_timeout" and child.args:
                return nginx_text.seconds(child.args[0]) or _READ_TIMEOUT
    given = [
        nginx_text.seconds(child.args[0])
        for text in file.source.files.values()
        for child in nginx_text.parse(text).walk()
        if child.name == "proxy_read_timeout" and child.args and child.parent is not None and child.parent.name == "http"
    ]
    return shorter(*given) if given else _READ_TIMEOUT


def _elsewhere(file: _File, upstreams: t.Mapping[str, str]) -> None:
    """The same application under another name: those requests would go on past the edge."""
    blocks = [block for block in file.all if block.name == "upstream" and block.args and block.args[0] in upstreams]
    servers = {child.args[0]: block.args[0] for block in blocks for child in block.has("server") if child.args}
    # The name of a block leads to the edge from every file; an address is replaced only where it stands in this one.
    reached = set(servers) | set(upstreams) - {block.args[0] for block in blocks}
    for path, other in [("", file), *file.others()]:
        for directive in other.all:
            place = f"{path} {other.where(directive)}".lstrip()
            if directive.name in _PASS and directive.args:
                address = other.target(directive)[1]
                if address in reached and (path or address not in upstreams):
                    file.notes.append(bypass(servers.get(address, address), f"{directive.name} {directive.args[0]} ({place}) sends past the edge."))
            elif directive.name == "upstream" and directive.args and directive.args[0] not in upstreams:
                for address in (child.args[0] for child in directive.has("server") if child.args and child.args[0] in reached):
                    message = f"upstream {directive.args[0]} ({place}) sends to {address} as well, past the edge."
                    file.notes.append(bypass(servers.get(address, address), message))


def _whole_lines(file: _File) -> None:
    """A marked part is whole lines; one that begins or ends amid a text over several lines cannot be."""
    for edit in list(file.edits):
        begin = file.source.text.rfind("\n", 0, edit.begin) + 1
        end = file.source.text.find("\n", max(edit.end - 1, edit.begin))
        if any(left < begin < right or left <= end < right for left, right in file.root.over_lines):
            file.faults.append(unsupported("", f"{file.source.line(edit.begin)} is shared with a text over several lines.", "Put it on a line of its own."))
            file.edits.remove(edit)
