# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each host is asked before a move, from the variables of all roles: where rooms meet, so no room knows the other. Pure.

Whatever an earlier step of the run makes is not asked for; whatever nothing makes has to be there.
"""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t
from dataclasses import asdict, dataclass

from ..module_utils._core.checkers import CHECKERS
from ..module_utils._core.errors import FleetError
from ..module_utils._core.finding import Finding, sentence
from ..module_utils._core.gates import read_checks
from ..module_utils._native.gates import smoke_gates
from ..module_utils._native.plan import wanted_states
from ..module_utils._native.render import render_stack
from ..module_utils._traffic.subject import edge_of

Values = t.Mapping[str, t.Any]

# Debian keeps each major version of PostgreSQL in a directory and a package of its own.
_BINDIR = re.compile(r"/usr/lib/postgresql/([0-9]+)/bin/?\Z")
_PORT_REMEDIES = {
    "refused": "Publish the port of the database's container on an address that the other host reaches, or correct host and port.",
    "silent": "Open the way between the two hosts: a firewall, a route, or an address that the other side cannot reach.",
    "name": "Give an address, or a name that this host resolves.",
    "no_tls": "Switch ssl on at that server with a certificate for this name; the copy crosses a network.",
    "stranger": "Correct host and port.",
}
# The same where a proxy is to answer.
_DOOR_REMEDIES = {**_PORT_REMEDIES, "refused": "Start the proxy there, or correct address and port."}


@dataclass(frozen=True)
class Ask:
    """One check of M(gate) on ``host``, and what a failed one means. ``remedies`` by the cause that the check names.

    ``room`` compares the free bytes that were seen with the size of the data; ``behind`` is the number of an ask without whose pass this one
    says nothing new.
    """

    host: str
    check: t.Mapping[str, t.Any]
    code: str
    field: str
    remedy: str
    level: str = "fail"
    remedies: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    room: bool = False
    behind: int | None = None


class Asks:
    """Collects asks and findings; a host that the inventory has not is a finding, not an ask."""

    def __init__(self, values: Values, hosts: t.Collection[str], legacy: str, target: str, unresolved: t.Collection[str]) -> None:
        self.values, self.unresolved = values, unresolved
        self.hosts = hosts
        self.legacy, self.target = legacy, target
        self.asks: list[Ask] = []
        self.findings: list[Finding] = []

    def get(self, name: str, default: t.Any = None) -> t.Any:
        value = self.values.get(name)
        return default if value is None else value

    def ask(self, host: t.Any, check: t.Mapping[str, t.Any], code: str, place: str, remedy: str, **more: t.Any) -> int:
        if host in self.hosts:
            self.asks.append(Ask(str(host), check, code, place, remedy, **more))
        return len(self.asks) - 1

    def find(self, code: str, place: str, message: str, remedy: str, level: str = "fail") -> None:
        self.findings.append(Finding(code, level, field=place, message=message, remedy=remedy))

    def ports(self) -> list[tuple[int, t.Mapping[str, t.Any]]]:
        """Those of cutover_preflight_ports that are whole, with their places."""
        return [(n, port) for n, port in enumerate(self.get("cutover_preflight_ports", [])) if {"address", "port", "unit"} <= set(port)]

    # --- what the run makes itself ----------------------------------------------------------------------------------------------

    def made(self) -> set[str]:
        """Paths on the target that C2 writes."""
        files = {str(item.get("path")) for item in self.get("native_stack_files", []) if isinstance(item, t.Mapping)}
        directory = str(self.get("native_stack_directory", ""))
        return files | {f"{directory}/credentials/{name}" for name in self.get("native_stack_secrets", {})}

    def needs_file(self, host: t.Any, path: t.Any, place: str, kind: str = "file") -> None:
        if isinstance(path, str) and path.startswith("/") and not (host == self.target and path in self.made()):
            remedy = f"Put it there, let native_stack_files make it, or correct {place}." if host == self.target else f"Put it there, or correct {place}."
            self.ask(host, {"type": "file", "path": path, "kind": kind}, "file_missing", place, remedy)


def collect(
    values: Values,
    hosts: t.Collection[str],
    groups: t.Mapping[str, t.Sequence[str]],
    source: t.Callable[[str], t.Optional[str]],
    *,
    chains: t.Sequence[str] = (),
    unresolved: t.Collection[str] = (),
) -> Asks:
    """All asks. ``source`` says where a file of the controller is, as role native_stack looks for it; ``chains`` are certificates that C2 brings.
    Variables that are ``unresolved`` have findings of their own, and a whole is not judged by its parts.
    """
    legacy, target = (str(values.get(name, "")) for name in ("cutover_legacy_host", "cutover_target_host"))
    # Without its group, which is a finding, the target is the host of the new edge.
    new = ((values.get("edge_sides") or {}).get("new") or {}).get("host")
    asks = Asks(values, hosts, legacy, target if target in hosts or not new else str(new), unresolved)
    _groups(asks, groups)
    _known_hosts(asks)
    _privileges(asks)
    _sources(asks, source)
    _stack(asks)
    _target(asks)
    _services(asks)
    _database(asks)
    _paths(asks)
    _edges(asks)
    _door(asks, source)
    _new_door(asks, chains)
    _smoke(asks)
    return asks


def as_data(asks: Asks) -> dict[str, t.Any]:
    """``checks`` by host for M(gate), ``asked`` by host and name of the check."""
    checks: dict[str, list[dict[str, t.Any]]] = {}
    asked: dict[str, dict[str, t.Any]] = {}
    for number, ask in enumerate(asks.asks):
        name = f"{number} {ask.field}"
        checks.setdefault(ask.host, []).append({**ask.check, "name": name})
        known = {key: value for key, value in asdict(ask).items() if key not in ("host", "check")}
        first = None if ask.behind is None else f"{ask.behind} {asks.asks[ask.behind].field}"
        asked.setdefault(ask.host, {})[name] = {**known, "behind": first}
    return {"checks": checks, "asked": asked}


def _groups(asks: Asks, groups: t.Mapping[str, t.Sequence[str]]) -> None:
    for name in ("legacy", "target"):
        members = list(groups.get(name) or ())
        if len(members) != 1:
            seen = f"has {len(members)} hosts ({', '.join(members[:3])})" if members else "has no host"
            asks.find("variable_invalid", f"group {name}", f"The inventory's group {name} {seen}; a move has one on each side.", f"Put one host into {name}.")


def _known_hosts(asks: Asks) -> None:
    named: list[tuple[str, t.Any]] = [(f"cutover_preflight_hosts[{n}]", host) for n, host in enumerate(asks.get("cutover_preflight_hosts", []))]
    named += [(f"edge_sides.{side}.host", edge.get("host")) for side, edge in _sides(asks)]
    named += [(f"pg_move_hosts.{side}", host) for side, host in asks.get("pg_move_hosts", {}).items()]
    named += [(f"pg_link_servers.{side}.host", server.get("host")) for side, server in asks.get("pg_link_servers", {}).items()]
    named += [("traffic_probe_host", asks.get("traffic_probe_host"))]
    named += [(f"dns_clients[{n}]", host) for n, host in enumerate(asks.get("dns_clients", []))]
    for place, host in named:
        if host and host not in asks.hosts:
            known = ", ".join(sorted(map(str, asks.hosts))[:6])
            asks.find("variable_invalid", place, f"{place} is {host!r}, which is no host of the inventory.", f"Name one of: {known}.")


def _sides(asks: Asks) -> list[tuple[str, t.Mapping[str, t.Any]]]:
    """The edges with what their inventory leaves out; as they are where that cannot be made."""
    sides, subject = asks.get("edge_sides", {}), str(asks.get("edge_subject") or asks.get("cutover_subject", ""))
    found: list[tuple[str, t.Mapping[str, t.Any]]] = []
    for side in (side for side in ("legacy", "new") if isinstance(sides.get(side), t.Mapping)):
        try:
            found.append((side, edge_of(sides, side, subject)))
        except (FleetError, KeyError, TypeError, AttributeError):
            found.append((side, sides[side]))
    return found


def _privileges(asks: Asks) -> None:
    writers = [asks.legacy, asks.target, *(edge.get("host") for _side, edge in _sides(asks))]
    writers += [server.get("host") for server in asks.get("pg_link_servers", {}).values()]
    for host in dict.fromkeys(host for host in writers if host):
        asks.ask(host, {"type": "root"}, "privileges", f"ansible_become of {host}", f"Set ansible_become: true for {host}, and its password.")
        remedy = "Move to a host with Debian, or set SELinux to permissive there for the time of the move (setenforce 0)."
        asks.ask(host, {"type": "platform", "selinux": host == asks.target}, "platform_unsupported", str(host), remedy)


def _sources(asks: Asks, source: t.Callable[[str], t.Optional[str]]) -> None:
    """Files of the controller that C2 copies."""
    named = [(f"native_stack_secrets.{name}", path) for name, path in asks.get("native_stack_secrets", {}).items()]
    named += [(f"native_stack_files[{item.get('path')}].source", item["source"]) for item in asks.get("native_stack_files", []) if item.get("source")]
    postgres = asks.get("native_stack_postgres", {})
    named += [("native_stack_postgres.superuser_password_file", postgres["superuser_password_file"])] if postgres.get("superuser_password_file") else []
    for place, path in named:
        if source(str(path)) is None:
            asks.find("file_missing", place, f"{path} is not on this machine, or cannot be read here.", f"Put the file there, or correct {place}.")


def _stack(asks: Asks) -> None:
    """A target that nothing makes, and services that no manifest has."""
    name = str(asks.get("native_stack_name", ""))
    manifests = asks.get("native_stack_manifests", [])
    if "native_stack_manifests" in asks.unresolved:
        return
    if not manifests:
        asks.find(
            "target_incomplete",
            "native_stack_manifests",
            "native_stack_manifests is empty, so nothing would run on the target.",
            "Describe the services of the new home, see role native_stack.",
        )
        return
    try:
        units = render_stack(manifests, name, approved=asks.get("native_stack_approved", []))
    except FleetError as error:
        for item in error.details.get("findings") or [error.as_failure()]:
            asks.find(error.code, "native_stack_manifests", sentence(item), error.remedy)
        return
    wanted = [("native_stack_services", service) for service in asks.get("native_stack_services", {})]
    wanted += [("cutover_app_services", service) for service in asks.get("cutover_app_services", [])]
    wanted += [(f"smoke_units.{role}", service) for role, service in asks.get("smoke_units", {}).items()]
    postgres = asks.get("native_stack_postgres")
    wanted += [("native_stack_postgres.service", postgres.get("service") or "postgres")] if postgres else []
    for place, service in wanted:
        try:
            wanted_states(units, {service: "active"}, "present")
        except FleetError as error:
            asks.find("target_incomplete", place, f"{place} names {service!r}: {error.message}", "Name a service of native_stack_manifests, or add one.")
    for number, port in asks.ports():
        if port["unit"] not in {unit.name for unit in units}:
            place = f"cutover_preflight_ports[{number}].unit"
            known = ", ".join(unit.name for unit in units)
            asks.find("target_incomplete", place, f"{port['unit']} is no unit of the stack {name}.", f"Name one of: {known}.", "warn")


def _target(asks: Asks) -> None:
    """Packages, accounts, directories and programs of the new home."""
    host, packages = asks.target, [str(item) for item in asks.get("native_stack_packages", [])]
    for package in packages:
        asks.ask(host, {"type": "package", "package": package}, "package_missing", "native_stack_packages", f"apt-get update on {host}, or correct the name.")
    # What a package of the list brings cannot be looked for before it is there.
    level = "warn" if packages else "fail"
    asks.ask(host, {"type": "program", "program": "systemctl"}, "tool_missing", "native_stack_name", "The new home needs systemd.")
    accounts = {str(user.get("name")) for user in asks.get("native_stack_users", [])} | {"root"}
    owners = {(str(item[key]), kind) for item in [*asks.get("native_stack_files", []), *asks.get("native_stack_directories", [])]
              for key, kind in (("owner", "user"), ("group", "group")) if item.get(key)}  # fmt: skip
    services = [service for manifest in asks.get("native_stack_manifests", []) for service in (manifest.get("services") or [])]
    owners |= {(str(service["user"]), "user") for service in services if service.get("user")}
    for name, kind in sorted(owners):
        if name not in accounts and not name.isdigit():
            check = {"type": "account", "account": name, "kind": kind}
            asks.ask(host, check, "account_missing", "native_stack_users", f"Add {name} to native_stack_users, or correct the name.", level=level)
    made = asks.made()
    for program in sorted({str(service["start_command"][0]) for service in services if service.get("start_command")} - made):
        asks.ask(host, {"type": "program", "program": program}, "tool_missing", "native_stack_manifests",
                 "Name the package that brings it in native_stack_packages, or correct start_command.", level=level)  # fmt: skip
    directories = {str(item.get("path")) for item in asks.get("native_stack_directories", [])} | {str(asks.get("native_stack_directory", ""))}
    for folder in sorted({os.path.dirname(path) for path in made} - directories - {f"{asks.get('native_stack_directory', '')}/credentials"}):
        remedy = f"Add {folder} to native_stack_directories, or correct the path."
        asks.ask(host, {"type": "file", "path": folder, "kind": "directory"}, "file_missing", "native_stack_files", remedy, level=level)


def _services(asks: Asks) -> None:
    """Ports and room of the new home."""
    for number, port in asks.ports():
        check = {"type": "free", "host": port["address"], "port": port["port"], "unit": port["unit"], "timeout": 1}
        place = f"cutover_preflight_ports[{number}]"
        asks.ask(asks.target, check, "port_taken", place, "End what listens there, or choose another port.")
    data = asks.get("cutover_preflight_data_directory")
    if data:
        check = {"type": "disk", "path": data, "free_bytes": 0}
        remedy = "Free space on the target, or put the data directory on a larger disk."
        asks.ask(asks.target, check, "no_space", "cutover_preflight_data_directory", remedy, room=True)
    if asks.get("cutover_snapshot"):
        hosts = asks.get("snapshot_hosts", {"legacy": asks.legacy, "new": asks.target})
        check = {"type": "disk", "path": asks.get("snapshot_directory", "/var/backups/bowline"), "free_bytes": 0}
        for side in ("legacy", "new"):
            asks.ask(hosts.get(side), check, "no_space", "snapshot_directory", "Free space there, or name another snapshot_directory.", room=True)


def _database(asks: Asks) -> None:
    """What makes the new server, with which programs and which locale."""
    postgres, new = asks.get("native_stack_postgres"), asks.get("pg_move_new", {})
    packages = [re.split(r"[=/:]", str(item))[0] for item in asks.get("native_stack_packages", [])]
    if not postgres:
        if new.get("host") and not str(new["host"]).startswith("/"):
            check = {"type": "reach", "host": new["host"], "port": new.get("port") or 5432}
            remedy = "Describe the server in native_stack_postgres, start it, or correct pg_move_new."
            asks.ask(asks.get("pg_move_hosts", {}).get("legacy", asks.legacy), check, "target_incomplete", "pg_move_new", remedy)
        return
    if new.get("port") and int(new["port"]) != int(postgres.get("port") or 5432):
        asks.find(
            "target_incomplete",
            "pg_move_new.port",
            f"pg_move_new.port is {new['port']}, but native_stack_postgres.port is {postgres.get('port') or 5432}: nothing would listen there.",
            "Give both the same port.",
        )
    bindir = str(postgres.get("bindir") or "")
    major = _BINDIR.match(bindir)
    brought = f"postgresql-{major.group(1)}" if major else ""
    if brought not in packages:
        remedy = f"Name {brought} in native_stack_packages, or correct native_stack_postgres.bindir." if brought else "Correct native_stack_postgres.bindir."
        for program in ("initdb", "psql"):
            asks.ask(asks.target, {"type": "program", "program": f"{bindir}/{program}"}, "tool_missing", "native_stack_postgres.bindir", remedy)
    locale = str(postgres.get("locale") or "C.UTF-8")
    remedy = "Install the package locales on the target, or correct the name (locale -a lists those that are there)."
    asks.ask(asks.target, {"type": "locale", "locale": locale}, "locale_missing", "native_stack_postgres.locale", remedy)
    if "python3-psycopg" not in packages:
        check = {"type": "python", "module": "psycopg"}
        remedy = "Name python3-psycopg in native_stack_packages, or pip install 'psycopg[binary]' for the interpreter of this host."
        asks.ask(asks.get("pg_move_hosts", {}).get("new"), check, "tool_missing", "pg_move_hosts.new", remedy)


def _paths(asks: Asks) -> None:
    """Every way between the two hosts, from the end that will use it. What C2 has yet to start need not listen."""
    hosts, link = asks.get("pg_move_hosts", {}), asks.get("pg_move_link", {})
    ways: list[tuple[t.Any, t.Any, str, bool, bool]] = []
    tls = (link.get("sslmode") or "verify-full") != "disable"
    ways.append((hosts.get("new"), link.get("to_legacy"), "pg_move_link.to_legacy", True, tls))
    ways.append((hosts.get("legacy"), link.get("to_new"), "pg_move_link.to_new", False, False))
    ways.append((hosts.get("legacy"), asks.get("pg_move_new"), "pg_move_new", False, False))
    ways.append((hosts.get("new"), asks.get("pg_move_legacy"), "pg_move_legacy", True, False))
    for side, edge in _sides(asks):
        peer = {"port": 443, **edge["peer"]} if isinstance(edge.get("peer"), t.Mapping) else {}
        ways.append((edge.get("host"), {"host": peer.get("address"), "port": peer.get("port")}, f"edge_sides.{side}.peer", side == "new", False))
    asked: set[tuple[t.Any, ...]] = set()
    for host, place, name, listening, secured in ways:
        address = (place or {}).get("host")
        if not address or str(address).startswith(("/", "@")):
            continue
        way = (host, address, int(place.get("port") or 5432))
        if way not in asked:
            asked.add(way)
            check = {"type": "reach", "host": way[1], "port": way[2], "listening": listening, "postgres_tls": secured, "timeout": 3}
            remedies = _DOOR_REMEDIES if name.startswith("edge_sides.") else _PORT_REMEDIES
            asks.ask(host, check, "path_closed", name, remedies["silent"], remedies=remedies)


def _edges(asks: Asks) -> None:
    """What the edge of each side is made of."""
    packages = [re.split(r"[=/:]", str(item))[0] for item in asks.get("native_stack_packages", [])]
    for side, edge in _sides(asks):
        place, host = f"edge_sides.{side}", edge.get("host")
        container = edge.get("container")
        if isinstance(container, t.Mapping):
            check = {"type": "image", "image": str(container.get("image")), "pull": container.get("pull") or "missing", "timeout": 20}
            asks.ask(host, check, "image_missing", f"{place}.container.image", f"docker pull it on {host}, or correct the name.")
            for network in container.get("networks") or []:
                check = {"type": "command", "argv": ["docker", "network", "inspect", "--", str(network.get("name"))], "read_only": True}
                remedy = "Name a network of the compose project: docker network ls."
                asks.ask(host, check, "network_missing", f"{place}.container.networks", remedy)
        elif not (host == asks.target and "haproxy" in packages):
            remedy = "Name haproxy in native_stack_packages, or install it." if host == asks.target else "Install the package haproxy."
            asks.ask(host, {"type": "program", "program": "haproxy"}, "tool_missing", f"{place}.unit", remedy)
        if isinstance(edge.get("peer"), t.Mapping):
            asks.needs_file(host, edge["peer"].get("ca_file"), f"{place}.peer.ca_file")
        # What stands against the old proxy is the role's to say; the new one comes with the stack, or has to be there.
        if side == "new":
            asks.needs_file(host, (edge.get("proxy") or {}).get("config"), f"{place}.proxy.config")


def _door(asks: Asks, source: t.Callable[[str], t.Optional[str]]) -> None:
    """The old side as a client sees it, through its proxy: certificate first, then the path that proves a side."""
    sides = dict(_sides(asks))
    peer = (sides.get("new") or {}).get("peer")
    if not isinstance(peer, t.Mapping) or not peer.get("address") or not peer.get("hostname"):
        return
    sources = {item.get("path"): item.get("source") for item in asks.get("native_stack_files", [])}
    ca, host = peer.get("ca_file"), asks.target
    if ca in sources:
        # C2 brings it to the target, so it is here; one that is not is a finding of its own, and one that is text in the inventory has no place.
        ca, host = source(str(sources[ca])) if sources[ca] else None, "localhost"
        if ca is None:
            return
    known = {"ca_file": ca} if ca else {}
    port = int(peer.get("port") or 443)
    check = {"type": "reach", "host": peer["address"], "port": port, "timeout": 3}
    reached = asks.ask(host, check, "path_closed", "edge_sides.new.peer", _DOOR_REMEDIES["silent"], remedies=_DOOR_REMEDIES)
    check = {"type": "tls", "host": peer["address"], "port": port, "hostname": peer["hostname"], "min_days": 1, **known}
    remedy = "Give the name that the old proxy's certificate has, and the CA that signed it."
    first = asks.ask(host, check, "certificate_invalid", "edge_sides.new.peer", remedy, behind=reached)
    path = asks.get("edge_path", "/up")
    address = str(peer["address"])
    where = f"{f'[{address}]' if ':' in address else address}:{port}"
    check = {"type": "http", "url": f"https://{peer['hostname']}:{port}{path}", "connect_to": where, **known}
    remedy = "Name a path in edge_path that the application answers with 200 while it works, without a login."
    asks.ask(host, check, "check_failed", "edge_path", remedy, behind=first)


def _new_door(asks: Asks, chains: t.Sequence[str]) -> None:
    """The old edge forwards to the new proxy, and verifies it: one of the certificates that C2 brings has to hold there."""
    edge = dict(_sides(asks)).get("legacy") or {}
    peer = edge.get("peer")
    if chains and isinstance(peer, t.Mapping) and peer.get("hostname"):
        known = {"ca_file": peer["ca_file"]} if peer.get("ca_file") else {}
        check = {"type": "certificate", "chains": list(chains), "hostname": peer["hostname"], **known}
        remedy = "Give the name that the certificate of the new proxy has, and the CA that signed it; or bring another certificate with native_stack_files."
        asks.ask(edge.get("host"), check, "certificate_invalid", "edge_sides.legacy.peer", remedy)


def _smoke(asks: Asks) -> None:
    """Checks that cannot be read, and files that they name."""
    for side, host in (("new", asks.target), ("legacy", asks.legacy)):
        place = f"cutover_smoke_checks.{side}"
        if "cutover_smoke_checks" in asks.unresolved:
            continue
        checks = (asks.get("cutover_smoke_checks") or {}).get(side)
        if not checks:
            asks.find("variable_invalid", place, f"{place} is empty, and a smoke without checks proves nothing.", "Add a check.")
            continue
        try:
            for phase in ("dark", "full") if side == "new" else ("full",):
                read_checks(smoke_gates(checks, phase), CHECKERS)
        except FleetError as error:
            asks.find(error.code, place, error.message, f"Correct {place}.")
            continue
        for path in dict.fromkeys(check.get(key) for check in checks for key in ("ca_file", "passfile", "sslrootcert")):
            asks.needs_file(host, path, place)
