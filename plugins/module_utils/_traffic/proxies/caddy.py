# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Caddy: upstreams of reverse_proxy in a Caddyfile.

Words as Caddy's lexer has them (caddyconfig/caddyfile/lexer.go): apart by blanks, "…" and `…` over lines, # a comment where a word could begin,
\\ before the end of a line goes on, <<MARK begins a heredoc. reverse_proxy: caddyserver.com/docs/caddyfile/directives/reverse_proxy.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field

from . import marked
from .marked import Edit
from .source import Fault, Plan, Source, bypass, missing, shorter, unsupported

# What chooses or judges an upstream: a request that an edge holds would make it look ill, and a held application is not.
_JUDGING = re.compile(r"to|dynamic|lb_policy|health_\w+|fail_duration|max_fails|unhealthy_\w+")
# Names that stand for the address of the upstream.
_PLACEHOLDER = re.compile(r"\{(?:http\.reverse_proxy\.upstream\.hostport|upstream_hostport)\}")
_WORD = re.compile(
    r"""(?P<newline>\r?\n)|(?P<blank>(?:[^\S\n]|\\\r?\n)+)|(?P<comment>\#[^\n]*)
    |(?P<heredoc><<(?P<mark>[A-Za-z0-9_-]+)\r?\n(?:.*?\n)??[^\S\n]*(?P=mark))
    |(?P<quoted>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<word>(?:[^\s\\]|\\(?!\r?\n))+)""",
    re.VERBOSE | re.DOTALL,
)


class _Word(t.NamedTuple):
    text: str
    begin: int
    end: int


@dataclass
class _Line:
    """One statement: its words, and what stands in its block; ``end`` is behind its } or its last word."""

    words: list[_Word]
    end: int
    body: list[_Line] | None = None
    over_lines: list[tuple[int, int]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.words[0].text

    @property
    def begin(self) -> int:
        return self.words[0].begin

    def walk(self) -> t.Iterator[_Line]:
        for child in self.body or []:
            yield child
            yield from child.walk()


def _parse(text: str) -> _Line:
    root = _Line([_Word("", 0, 0)], len(text), [])
    stack = [root]
    words: list[_Word] = []
    position = 0

    def end_of_line() -> None:
        if not words:
            return
        if words[0].text == "}" and len(stack) > 1:
            stack.pop().end = words[0].end
        else:
            line = _Line(list(words), words[-1].end)
            t.cast("list[_Line]", stack[-1].body).append(line)
            if words[-1].text == "{":
                line.body, line.end = [], len(text)
                stack.append(line)
        words.clear()

    while position < len(text):
        match = _WORD.match(text, position)
        if match is None:
            break
        kind, found, position = str(match.lastgroup), match.group(0), match.end()
        if kind == "newline":
            end_of_line()
        elif kind in ("word", "quoted", "mark", "heredoc"):
            words.append(_Word(found[1:-1] if kind == "quoted" else found, match.start(), match.end()))
            if "\n" in found:
                root.over_lines.append(match.span())
    end_of_line()
    return root


class Caddy:
    """See `source.Driver`."""

    address_remedy = "servers { trusted_proxies static <address of the other host> }, and client_ip instead of remote_ip."

    def plan(self, source: Source, upstreams: t.Mapping[str, str]) -> Plan:
        if _is_json(source.text):
            fault = unsupported("", f"{source.path} is JSON; an edge is put into a Caddyfile.", "Name the Caddyfile, or use driver command with Caddy's API.")
            return Plan(faults=(fault,))
        root = _parse(source.text)
        lines = list(root.walk())
        edits: list[Edit] = []
        faults = _general(source, root)
        notes: list[Fault] = []
        waits: list[float | None] = []
        for name, via in upstreams.items():
            found = [line for line in lines if line.name == "reverse_proxy" and any(_address(word.text) == _address(name) for word in _upstreams(line))]
            for line in found:
                wrong = _wrong(source, line, name)
                faults += wrong
                waits.append(_wait(line))
                if not wrong:
                    edits.append(_edit(source, line, name, via))
            passed = [] if found else _passed(lines, name)
            edits += [Edit(word.begin, word.end, _via(via)) for word in passed]
            if not found and not passed:
                faults.append(_missing(source, lines, name))
            notes += _others(source, lines, found, name)
        for edit in edits:
            begin, end = source.text.rfind("\n", 0, edit.begin) + 1, source.text.find("\n", edit.end - 1)
            if any(left < begin < right or left <= end < right for left, right in root.over_lines):
                faults.append(unsupported("", f"{source.line(edit.begin)} is shared with a text over several lines.", "Put it on a line of its own."))
        return Plan(tuple(edits), tuple(faults), tuple(notes), shorter(*waits))

    def address_rules(self, text: str) -> tuple[str, ...]:
        """Matchers remote_ip and client_ip judge addresses; client_ip, and X-Forwarded-For, are taken from trusted_proxies alone."""
        lines = list(_parse(text).walk())
        words = {word.text for line in lines for word in line.words}
        return () if "trusted_proxies" in words else tuple(word for word in ("remote_ip", "client_ip", "rate_limit") if word in words)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _general(source: Source, root: _Line) -> list[Fault]:
    """Global options come first, as a block without a name (caddyfile/options)."""
    for first in (root.body or [])[:1]:
        for line in (first.body or []) if first.name == "{" else []:
            if [word.text for word in line.words[:2]] == ["admin", "off"]:
                remedy = "Let it listen on a unix socket (admin unix//run/caddy/admin.sock) and restart Caddy once, before the move."
                return [unsupported("", f"{source.line(line.begin)} has admin off, so Caddy takes no new configuration without a restart.", remedy)]
    return []


def _upstreams(line: _Line) -> list[_Word]:
    """The upstreams of a reverse_proxy: behind a matcher (which begins with /, * or @) in its first line, and behind ``to``."""
    words = [word for word in line.words[1:] if word.text != "{"]
    if words and words[0].text[:1] in ("/", "*", "@"):
        words = words[1:]
    return words + [word for child in line.body or [] if child.name == "to" for word in child.words[1:]]


def _address(text: str) -> str:
    """host:port of an upstream, with the scheme's port when there is none; unix sockets as unix:/path."""
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "http", text
    rest = rest.rstrip("/")
    if text.startswith("unix/"):
        return "unix:" + text[len("unix/") :]
    if rest.startswith(":"):
        rest = "localhost" + rest
    return rest if re.search(r":[\d-]+\Z", rest) or rest.startswith("unix:") else f"{rest}:{443 if scheme == 'https' else 80}"


def _via(via: str) -> str:
    return f"unix/{via[len('unix:') :]}" if via.startswith("unix:") else via


def _wrong(source: Source, line: _Line, name: str) -> list[Fault]:
    where = source.line(line.begin)
    schemes = {word.text.partition("://")[0] for word in _upstreams(line) if "://" in word.text} - {"http"}
    transports = {child.words[1].text for child in line.body or [] if child.name == "transport" and len(child.words) > 1} - {"http"}
    inside = {word.text for child in line.walk() for word in child.words}
    protocols = sorted(schemes | transports) or (["TLS"] if any(word.startswith("tls") for word in inside) else []) or (["h2c"] if "h2c" in inside else [])
    if not protocols:
        return []
    remedy = "Let the application answer plain HTTP to this host, or write the change yourself: driver command."
    return [unsupported(name, f"reverse_proxy ({where}) speaks {', '.join(protocols)} to the application, and an edge speaks HTTP to it.", remedy)]


def _edit(source: Source, line: _Line, name: str, via: str) -> Edit:
    """The statement with one upstream, the edge; what chooses between upstreams or judges them goes."""
    inner: list[Edit] = []
    head = [word for word in _upstreams(line) if line.begin <= word.begin <= line.words[-1].begin]
    for number, word in enumerate(head):
        inner.append(Edit(word.begin, word.end, "" if number else _via(via)))
    for child in line.body or []:
        if _JUDGING.fullmatch(child.name):
            ours = f"to {_via(via)}" if child.name == "to" and not head else ""
            inner.append(Edit(child.begin, child.end, ours))
            head = head or child.words[:1] if child.name == "to" else head
        else:
            for word in (word for part in (child, *child.walk()) for word in part.words):
                if _PLACEHOLDER.search(word.text):
                    inner.append(Edit(word.begin, word.end, _PLACEHOLDER.sub(_address(name), source.text[word.begin : word.end])))
    text = marked.apply(source.text, inner, line.begin, line.end)
    # Lines that have become empty; those inside a quoted text over lines are not touched, as it belongs to a word that stays.
    return Edit(line.begin, line.end, text if _long(line) else re.sub(r"\n[ \t\r]*(?=\n)", "", text))


def _long(line: _Line) -> bool:
    """Whether a word of the statement goes over several lines."""
    return any("\n" in word.text for part in (line, *line.walk()) for word in part.words)


def _passed(lines: list[_Line], name: str) -> list[_Word]:
    """An address that is an argument of an import: of a snippet in this file whose reverse_proxy has arguments as upstreams."""
    snippets = {line.name[1:-1]: line for line in lines if line.body is not None and re.fullmatch(r"\(.+\)", line.name)}
    found = []
    for line in lines:
        if line.name == "import" and len(line.words) > 2 and line.words[1].text in snippets:
            inside = [child for child in snippets[line.words[1].text].walk() if child.name == "reverse_proxy"]
            if inside and all(re.search(r"\{args[.\[]", word.text) for child in inside for word in _upstreams(child)):
                found += [word for word in line.words[2:] if _address(word.text) == _address(name) and not word.text.startswith("https:")]
    return found


def _missing(source: Source, lines: list[_Line], name: str) -> Fault:
    seen = [" ".join(word.text for word in line.words if word.text != "{") for line in lines if line.name == "reverse_proxy"]
    seen += [f"import {line.words[1].text}" for line in lines if line.name == "import" and len(line.words) > 1]
    remedy = "Name an upstream as it stands behind reverse_proxy; proxy.config is the file that it stands in."
    return missing(name, f"{source.path} has no 'reverse_proxy {name}'", list(dict.fromkeys(seen)), remedy)


def _others(source: Source, lines: list[_Line], found: list[_Line], name: str) -> list[Fault]:
    """Servers of the same application (other upstreams of the same statement) that are used elsewhere too."""
    taken = {_address(word.text) for line in found for word in _upstreams(line)}
    notes = []
    for line in lines:
        if line.name in ("reverse_proxy", "forward_auth", "php_fastcgi") and line not in found and taken & {_address(word.text) for word in line.words[1:]}:
            notes.append(bypass(name, f"{line.name} in {source.line(line.begin)} sends to the same application, past the edge."))
    return notes


def _wait(line: _Line) -> float | None:
    """Seconds that a transport waits for the head of an answer; Caddy's default is no limit."""
    for child in line.walk():
        if child.name in ("response_header_timeout", "read_timeout") and len(child.words) > 1:
            units = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
            found = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|[smhd])", child.words[1].text)
            return sum(float(number) * units[unit] for number, unit in found) if found else None
    return None
