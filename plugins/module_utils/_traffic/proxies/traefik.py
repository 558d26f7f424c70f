# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traefik's file provider: the servers of a service in a dynamic configuration, YAML or TOML.

Keys as in doc.traefik.io/traefik/reference/routing-configuration/http/load-balancing/service; Traefik compares them without regard to case. The
files are read line by line, as PyYAML need not be on the host: what is not plain block style in the part that changes is refused by name.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .marked import Edit
from .source import Fault, Plan, Source, bypass, missing, unsupported

# Checks would take an edge that holds requests for ill.
_JUDGING = ("healthcheck", "passivehealthcheck")
_KEY = re.compile(r"""(?P<indent>[ ]*)(?P<quote>["']?)(?P<key>[^\s"':#{}\[\],&*!|>%@`-][^"':#]*?)(?P=quote)[ ]*:(?:[ \t]+(?P<value>.*))?$""")
_HEADER = re.compile(r"[ \t]*(?P<open>\[\[?)[ \t]*(?P<name>[^\]#]+?)[ \t]*\]\]?[ \t]*(?:#.*)?$")


@dataclass
class _Node:
    """A key and its part of the file, as whole lines; ``value`` is what stands beside it."""

    key: str
    begin: int
    end: int
    indent: int
    value: str = ""
    # TOML: whether it is one of a list of tables.
    listed: bool = False


class Traefik:
    """See `source.Driver`."""

    address_remedy = "forwardedHeaders.trustedIPs of the entry point: the address of the other host, and ipStrategy.depth 1."

    def plan(self, source: Source, upstreams: t.Mapping[str, str]) -> Plan:
        toml = source.path.endswith(".toml")
        edits: list[Edit] = []
        faults: list[Fault] = []
        notes: list[Fault] = []
        for asked, via in upstreams.items():
            name = asked[: -len("@file")] if asked.endswith("@file") else asked
            if via.startswith("unix:"):
                faults.append(unsupported(asked, "Traefik connects to addresses only, not to unix sockets.", "Give the edge a port: services[].listen."))
                continue
            services = _toml_services(source.text) if toml else _yaml_services(source.text)
            parts = services.get(name)
            if parts is None:
                remedy = "Name a service of http.services as it stands in the file; proxy.config is the dynamic file that it stands in."
                wanted = f"{source.path} has no http.services.{name}.loadBalancer.servers in block style"
                faults.append(missing(asked, wanted, sorted(services), remedy))
                continue
            wrong = _wrong(source, asked, parts)
            faults += wrong
            if not wrong:
                edits += (_toml_edits if toml else _yaml_edits)(source.text, parts, name, via)
                notes += _others(source.text, services, name)
        return Plan(tuple(edits), tuple(faults), tuple(notes))

    def address_rules(self, text: str) -> tuple[str, ...]:
        """Middlewares that judge addresses; ``ipStrategy`` and ``sourceCriterion`` take them from X-Forwarded-For."""
        words = re.findall(r"\b(?:ipAllowList|ipWhiteList|rateLimit|inFlightReq)\b", text, re.IGNORECASE)
        return () if re.search(r"\b(?:ipStrategy|sourceCriterion)\b", text, re.IGNORECASE) else tuple(dict.fromkeys(words))


def _rows(text: str) -> t.Iterator[tuple[int, str]]:
    """Lines with where they begin; blank ones and comments left out."""
    position = 0
    for row in text.splitlines(keepends=True):
        if row.strip() and not row.lstrip().startswith("#"):
            yield position, row.rstrip("\r\n")
        position += len(row)


def _end(text: str, position: int) -> int:
    newline = text.find("\n", position)
    return len(text) if newline < 0 else newline + 1


def _children(text: str, begin: int, end: int) -> list[_Node]:
    """The keys of a YAML mapping in block style, from the lines between ``begin`` and ``end``."""
    nodes: list[_Node] = []
    indent = None
    for position, row in _rows(text[begin:end]):
        if row.lstrip().startswith("{{"):
            # A line of a template is as deep as its writer likes.
            continue
        match = _KEY.match(row)
        here = len(row) - len(row.lstrip(" "))
        indent = here if indent is None else indent
        # A list may stand as deep as its key.
        if match and here == indent:
            nodes.append(_Node(match.group("key").strip(), begin + position, 0, here, (match.group("value") or "").strip()))
        if nodes:
            nodes[-1].end = _end(text, begin + position)
    return nodes


def _yaml_services(text: str) -> dict[str, list[_Node]]:
    """Name of each service to the keys of its load balancer."""
    nodes = _children(text, 0, len(text))
    for wanted in ("http", "services"):
        nodes = [child for node in nodes if node.key.lower() == wanted and not _value(node) for child in _children(text, _end(text, node.begin), node.end)]
    found: dict[str, list[_Node]] = {}
    for service in nodes:
        for node in [] if _value(service) else _children(text, _end(text, service.begin), service.end):
            if node.key.lower() == "loadbalancer" and not _value(node):
                parts = _children(text, _end(text, node.begin), node.end)
                if any(part.key.lower() == "servers" for part in parts):
                    # A name that stands there twice is found by its two lists of servers.
                    found.setdefault(service.key, []).extend(parts)
    return found


def _value(node: _Node) -> str:
    return node.value.partition("#")[0].strip() if not node.value.startswith(("'", '"')) else node.value


def _toml_services(text: str) -> dict[str, list[_Node]]:
    """The same for TOML, whose tables may stand anywhere: servers are those of a list of tables."""
    nodes: list[tuple[list[str], _Node]] = []
    table: tuple[list[str], _Node] = ([], _Node("", 0, 0, 0))
    for position, row in _rows(text):
        header, pair = _HEADER.match(row), re.match(r"\s*([\w-]+)\s*=\s*(.*)", row)
        end = _end(text, position)
        if header:
            words = [first or second or third for first, second, third in re.findall(r""""([^"]*)"|'([^']*)'|([^\s."']+)""", header.group("name"))]
            table = (words, _Node(words[-1], position, end, len(row) - len(row.lstrip()), listed=header.group("open") == "[["))
            nodes.append(table)
        else:
            table[1].end = end
            if pair:
                nodes.append(([*table[0], pair.group(1)], _Node(pair.group(1), position, end, 0, pair.group(2))))
    found: dict[str, list[_Node]] = {}
    for words, node in nodes:
        lower = [word.lower() for word in words]
        if lower[:2] == ["http", "services"] and lower[3:4] == ["loadbalancer"] and len(words) > 4 and (node.listed or len(words) == 5 or not node.value):
            # Tables below a check, such as its headers, go with it.
            node.key = words[4]
            found.setdefault(words[2], []).append(node)
    return {name: parts for name, parts in found.items() if any(part.listed and part.key.lower() == "servers" for part in parts)}


def _wrong(source: Source, name: str, parts: list[_Node]) -> list[Fault]:
    faults = []
    servers = [part for part in parts if part.key.lower() == "servers"]
    where = source.line(servers[0].begin)
    if len({part.listed for part in servers}) > 1 or (len(servers) > 1 and not servers[0].listed):
        faults.append(unsupported(name, f"Service {name} has servers in {' and '.join(source.line(one.begin) for one in servers)}.", "Leave one of them."))
    body = "".join(source.text[part.begin : part.end] for part in servers)
    urls = _urls(body)
    if not urls:
        faults.append(unsupported(name, f"Service {name} ({where}) has servers without url.", "Write each server as url: http://host:port."))
    templates = [url for url in urls if url.startswith("{{")]
    if templates:
        faults.append(unsupported(name, f"Service {name} ({where}) has its url from a template, which may be anything.", "Write its servers out."))
    protocols = sorted({url.partition("://")[0] for url in urls if url not in templates} - {"http"})
    if protocols:
        remedy = "Let the application answer plain HTTP to this host and use http:// here, or write the change yourself: driver command."
        message = f"Service {name} ({where}) speaks {', '.join(protocols)} to the application, and an edge speaks HTTP to it."
        faults.append(unsupported(name, message, remedy))
    if re.search(r"preservePath[\"']?\s*[:=]\s*true", body, re.IGNORECASE):
        faults.append(unsupported(name, f"Service {name} ({where}) has preservePath.", "Add the path by a middleware (addPrefix)."))
    for part in parts:
        if part.key.lower() == "passhostheader" and part.value.partition("#")[0].strip().lower() == "false":
            remedy = "Set passHostHeader to true, and the Host by a middleware (headers.customRequestHeaders), if the application needs another."
            faults.append(unsupported(name, f"passHostHeader is false ({source.line(part.begin)}): the application would see the edge's name as Host.", remedy))
    if any(row.lstrip().startswith("{{") for part in parts for _position, row in _rows(source.text[part.begin : part.end])):
        faults.append(unsupported(name, f"Service {name} ({where}) is written by a template.", "Write its servers out."))
    return faults


def _urls(body: str) -> list[str]:
    return re.findall(r"""url["']?\s*[:=]\s*["']?([^\s"',}\]]+)""", body)


def _yaml_edits(text: str, parts: list[_Node], _name: str, via: str) -> list[Edit]:
    edits = []
    for part in parts:
        blank = " " * part.indent
        if part.key.lower() == "servers":
            edits.append(Edit(part.begin, part.end, f'{blank}servers:\n{blank}  - url: "http://{via}"\n'))
        elif part.key.lower() in _JUDGING:
            edits.append(Edit(part.begin, part.end, ""))
    return edits


def _toml_edits(text: str, parts: list[_Node], name: str, via: str) -> list[Edit]:
    edits = []
    first = next(part for part in parts if part.key.lower() == "servers")
    header = text[first.begin : _end(text, first.begin)]
    for part in parts:
        if part.key.lower() in ("servers", *_JUDGING):
            ours = f'{header}{" " * (part.indent + 2)}url = "http://{via}"\n' if part is first else ""
            edits.append(Edit(part.begin, part.end, ours))
    return edits


def _others(text: str, services: t.Mapping[str, list[_Node]], name: str) -> list[Fault]:
    urls = {
        service: {url.rstrip("/") for part in parts if part.key.lower() == "servers" for url in _urls(text[part.begin : part.end])}
        for service, parts in services.items()
    }
    return [
        bypass(name, f"Service {other} sends to {', '.join(sorted(urls[name] & mine))} as well, past the edge.")
        for other, mine in urls.items()
        if other != name and urls[name] & mine
    ]
