# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy's configuration of an edge. Pure text; `validate` refuses what would break it."""

from __future__ import annotations

import hashlib
import ipaddress
import re

from .._core.errors import FleetError
from .model import SIDES, EdgeSpec, Service
from .routing import lua

LUA_FILE = "edge.lua"
MAP_FILE = "edge.map"
CONFIG_FILE = "haproxy.cfg"
SPEC_FILE = "edge.json"
CA_FILE = "peer-ca.pem"
RUN = "run"

# sockaddr_un holds 108 bytes; HAProxy binds under a temporary name with the pid appended.
_DIRECTORY_MAX = 60

# Timeouts: a proxy must never reuse a connection that the edge is about to close, so the edge keeps idle ones longer than nginx (60 s),
# Traefik (90 s) and Caddy (120 s); the shorter one of client and http-keep-alive counts (mux_h1.c, h1_refresh_timeout, HAProxy 2.6).
# One connection per request towards the servers (http-server-close): a reused one may be closed by the server in the very moment of the
# request, and a POST must not be repeated. hard-stop-after ends what a reload left behind, tunnels too.
_HEAD = """\
# Written by bowline.fleet.traffic_edge; changes are overwritten. Side: {side}.
global
    description {mark}
    log stderr format raw daemon notice
    fd-hard-limit 65536
    hard-stop-after 65s
    stats socket {run}/admin.sock mode 600 level admin expose-fd listeners
    stats timeout 1m
    lua-load-per-thread {directory}/edge.lua
{identity}
defaults
    mode http
    log global
    option dontlognull
    option http-server-close
    option idle-close-on-response
    retries 2
    timeout connect 2s
    timeout client 5m
    timeout server 60s
    timeout tunnel 1h
    timeout http-request 30s
    timeout http-keep-alive 5m

resolvers system
    parse-resolv-conf
    hold valid 2s
    hold other 1d
    hold refused 1d
    hold timeout 1d
    hold nx 1d
    hold obsolete 1d
"""

# Upgraded connections stay open for hours and are no requests in flight: they have backends of their own, where a release can end them.
_SERVICE = """
frontend {name}
    bind {listen}
    bind unix@{run}/{name}.sock mode 600
    option forwardfor if-none
    http-request set-var(txn.hop) req.hdr(X-Bowline-Hop)
    http-request lua.edge
    http-request return status 503 content-type text/plain string "The edge has no readable route." if {{ var(txn.to) -m str unknown }}
    http-request return status 508 content-type text/plain string "Both edges forward to each other." if {{ var(txn.to) -m str loop }}
    http-after-response set-header X-Bowline-Epoch %[var(txn.epoch)] if {{ var(txn.hop) -m found }}
    use_backend {name}.%[var(txn.to)].upgraded if METH_GET {{ req.hdr(Upgrade) -i websocket }}
    use_backend {name}.%[var(txn.to)]

frontend {name}.warmup.local
    bind unix@{run}/{name}.local.sock mode 600
    default_backend {name}.local

frontend {name}.warmup.peer
    bind unix@{run}/{name}.peer.sock mode 600
    http-request set-header X-Bowline-Hop 1;{newest}
    http-after-response set-header X-Bowline-Error %[bc_err_str] if {{ bc_err gt 0 }}
    default_backend {name}.peer

backend {name}.local
    server local {local}

backend {name}.local.upgraded
    server local {local}

backend {name}.peer
    server peer {peer}

backend {name}.peer.upgraded
    server peer {peer}
"""


# No route is newer, so the peer's edge answers a warm-up request itself, whatever its own route and clock say.
_NEWEST = 10**15 - 1


def config(spec: EdgeSpec, ca: bytes = b"") -> str:
    """haproxy.cfg of ``spec``. ``ca`` is only hashed: the description line names everything that a reload makes effective."""
    unmarked = _config(spec, "@MARK@")
    digest = hashlib.sha256(b"\0".join([unmarked.encode(), lua_text(spec).encode(), ca])).hexdigest()
    return unmarked.replace("@MARK@", f"bowline-edge {digest[:16]}")


def mark(text: str) -> str:
    """The description line of a configuration, which the running process shows too; empty when there is none."""
    match = re.search(r"^    description (.+)$", text, re.MULTILINE)
    return match.group(1) if match else ""


def lua_text(spec: EdgeSpec) -> str:
    """edge.lua of ``spec``."""
    return lua(f"{spec.directory}/{MAP_FILE}", spec.hold_max)


def _config(spec: EdgeSpec, marker: str) -> str:
    run = f"{spec.directory}/{RUN}"
    identity = "".join(f"    {word} {name}\n" for word, name in (("user", spec.user), ("group", spec.group)) if name)
    ca = f"{spec.directory}/{CA_FILE}" if spec.peer.ca_file else "@system-ca"
    peer = (
        f"{_host_port(spec.peer.address, spec.peer.port)} ssl verify required ca-file {ca} sni str({spec.peer.hostname})"
        f" verifyhost {spec.peer.hostname} alpn http/1.1{_resolve(spec.peer.address)}"
    )
    parts = [_HEAD.format(side=spec.side, mark=marker, run=run, directory=spec.directory, identity=identity)]
    for service in spec.services:
        local = service.local + _resolve(service.local.rpartition(":")[0])
        parts.append(_SERVICE.format(name=service.name, listen=service.listen, run=run, local=local, peer=peer, newest=_NEWEST))
    return "".join(parts)


def _host_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _resolve(host: str) -> str:
    """Names are followed while the edge runs (a container gets a new address when it is made again), addresses need no resolver."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return " resolvers system init-addr last,libc,none"
    return ""


def validate(spec: EdgeSpec) -> None:
    """Raise FleetError ``option_invalid`` with everything that is wrong with ``spec`` at once."""
    wrong = []
    if spec.side not in SIDES:
        wrong.append(f"side is {spec.side!r}; expected one of {', '.join(SIDES)}.")
    if not re.fullmatch(r"/[\w./-]+", spec.directory) or len(spec.directory) > _DIRECTORY_MAX:
        wrong.append(f"directory {spec.directory!r} must be absolute, of letters, digits and ./_-, at most {_DIRECTORY_MAX} characters.")
    if not spec.services:
        wrong.append("services is empty; name at least one.")
    names = [service.name for service in spec.services]
    wrong.extend(f"services: {name} is named twice." for name in sorted({name for name in names if names.count(name) > 1}))
    for service in spec.services:
        wrong.extend(_service_faults(service))
    if spec.warmup.service not in names:
        wrong.append(f"warmup.service is {spec.warmup.service!r}; known: {', '.join(names)}.")
    if not re.fullmatch(r"/[!-~]*", spec.warmup.path):
        wrong.append(f"warmup.path is {spec.warmup.path!r}; expected a path that starts with /.")
    for field, value in (("peer.address", spec.peer.address), ("peer.hostname", spec.peer.hostname), ("warmup.host", spec.warmup.host)):
        if not re.fullmatch(r"[\w.:-]+", value):
            wrong.append(f"{field} is {value!r}; expected a host name or an address.")
    if not 0 < spec.peer.port < 65536:
        wrong.append(f"peer.port is {spec.peer.port}; expected 1 to 65535.")
    if not 0 < spec.hold_max <= 120:
        wrong.append(f"hold_max is {spec.hold_max:g}; expected more than 0 and at most 120 s.")
    if wrong:
        raise FleetError("option_invalid", " ".join(wrong), remedy="Correct the options; nothing was changed.", details={"faults": wrong})


def _service_faults(service: Service) -> list[str]:
    faults = []
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,20}", service.name):
        faults.append(f"services: name {service.name!r} must be lower-case letters, digits, - and _, at most 21.")
    for field, value in (("listen", service.listen), ("local", service.local)):
        if not re.fullmatch(r"([\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}", value):
            faults.append(f"services.{service.name}.{field} is {value!r}; expected host:port.")
    return faults
