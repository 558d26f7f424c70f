# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy's configuration of an edge. Pure text of values that `faults.validate` has let pass."""

from __future__ import annotations

import hashlib
import ipaddress
import re

from .._core.redact import MASK
from .model import TUNNELS, EdgeSpec, Service
from .routing import lua

LUA_FILE = "edge.lua"
MAP_FILE = "edge.map"
CONFIG_FILE = "haproxy.cfg"
SPEC_FILE = "edge.json"
CA_FILE = "peer-ca.pem"
RUN = "run"
# What the process of the edge must not read or change lies beside its directory.
PRIVATE = ".private"
TOKEN_FILE = "token"
INSERTION_FILE = "insertion.json"

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
    set-var proc.bowline_token str({token})
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

# Who is not in `src` of a listener is gone before HTTP; a unix socket has no `src`, its mode and folder say who connects.
# X-Bowline-* are words between the two edges: nobody else's count, and none leaves in any direction but to the peer.
# secure_memcmp takes equally long for every wrong token, del-header -m beg compares names in lower case (configuration manual 2.6, 7.3.1, 4.2).
# Whatever asks for an upgrade has backends of its own, and the answer 101 tracks it there in a table until it closes: upgraded connections stay
# open for hours, are no requests in flight, and a release can end them.
_SERVICE = """
frontend {name}
    bind {listen}
    bind unix@{run}/{name}.sock mode 600
{clients}    option forwardfor if-none
    http-request set-var(txn.peer) bool(true) if {{ req.fhdr(X-Bowline-Token),secure_memcmp(proc.bowline_token) }}
    http-request set-var(txn.foreign) bool(true) if {{ req.fhdr(X-Bowline-Token) -m found }} !{{ var(txn.peer) -m bool }}
    http-request set-var(txn.hop) req.fhdr(X-Bowline-Hop) if {{ var(txn.peer) -m bool }}
    http-request del-header x-bowline- -m beg
    http-request lua.edge
    http-request return status 503 content-type text/plain string "The edge has no readable route." if {{ var(txn.to) -m str unknown }}
    http-request return status 508 content-type text/plain string "Both edges forward to each other." if {{ var(txn.to) -m str loop }}
    http-response del-header x-bowline- -m beg
    http-after-response set-header X-Bowline-Epoch %[var(txn.epoch)] if {{ var(txn.peer) -m bool }}
    use_backend {name}.%[var(txn.to)].upgrade if {{ req.hdr(Upgrade) -m found }}
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

backend {name}.local.upgrade
    http-response track-sc0 str({name}.local.upgrade) table {tunnels} if {{ status 101 }}
    server local {local}

backend {name}.peer
    http-request set-header X-Bowline-Token %[var(proc.bowline_token)]
    server peer {peer}

backend {name}.peer.upgrade
    http-request set-header X-Bowline-Token %[var(proc.bowline_token)]
    http-response track-sc0 str({name}.peer.upgrade) table {tunnels} if {{ status 101 }}
    server peer {peer}
"""

_TUNNELS = """
backend {tunnels}
    stick-table type string len 64 size 1k store conn_cur
"""


# No route is newer, so the peer's edge answers a warm-up request itself, whatever its own route and clock say.
_NEWEST = 10**15 - 1


def config(spec: EdgeSpec, token: str, ca: bytes = b"") -> str:
    """haproxy.cfg of ``spec``. ``ca`` is only hashed: the description line names everything that a reload makes effective."""
    unmarked = _config(spec, token, "@MARK@")
    digest = hashlib.sha256(b"\0".join([unmarked.encode(), lua_text(spec).encode(), ca])).hexdigest()
    return unmarked.replace("@MARK@", f"bowline-edge {digest[:16]}")


def mark(text: str) -> str:
    """The description line of a configuration, which the running process shows too; empty when there is none."""
    match = re.search(r"^    description (.+)$", text, re.MULTILINE)
    return match.group(1) if match else ""


def masked(text: str) -> str:
    """``text`` of or about a configuration, without a token."""
    return re.sub(r"(proc\.bowline_token str\()[^)\s]*", rf"\g<1>{MASK}", text)


def lua_text(spec: EdgeSpec) -> str:
    """edge.lua of ``spec``."""
    return lua(f"{spec.directory}/{MAP_FILE}", spec.hold_max)


def _config(spec: EdgeSpec, token: str, marker: str) -> str:
    run = f"{spec.directory}/{RUN}"
    # As numbers: a container knows other names than its host.
    identity = "".join(f"    {word} {number}\n" for word, number in (("uid", spec.uid), ("gid", spec.gid)) if number is not None)
    ca = f"{spec.directory}/{CA_FILE}" if spec.peer.ca_file else "@system-ca"
    peer = (
        f"{_host_port(spec.peer.address, spec.peer.port)} ssl verify required ca-file {ca} sni str({spec.peer.hostname})"
        f" verifyhost {spec.peer.hostname} alpn http/1.1{_resolve(spec.peer.address)}"
    )
    parts = [_HEAD.format(side=spec.side, mark=marker, run=run, directory=spec.directory, identity=identity, token=token)]
    for service in spec.services:
        local = service.local + _resolve(service.local.rpartition(":")[0])
        parts.append(
            _SERVICE.format(
                name=service.name,
                listen=f"unix@{service.socket()} mode 660" if service.socket() else service.listen,
                clients=_clients(service),
                run=run,
                local=local,
                peer=peer,
                newest=_NEWEST,
                tunnels=TUNNELS,
            )
        )
    return "".join([*parts, _TUNNELS.format(tunnels=TUNNELS)])


def _clients(service: Service) -> str:
    """Who may connect. The edge's own socket, over which it is asked whether it is ready, has no source address."""
    if service.socket():
        return ""
    return f"    tcp-request connection reject if {{ src -m found }} !{{ src {' '.join(service.clients)} }}\n"


def _host_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _resolve(host: str) -> str:
    """Names are followed while the edge runs (a container gets a new address when it is made again), addresses need no resolver."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return " resolvers system init-addr last,libc,none"
    return ""
