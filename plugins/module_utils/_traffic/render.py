# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy's configuration of an edge. Pure text of values that `faults.validate` has let pass."""

from __future__ import annotations

import hashlib
import ipaddress
import re

from .._core.redact import MASK
from . import door
from .model import RUN, TUNNELS, EdgeSpec, Service
from .routing import lua

LUA_FILE = "edge.lua"
MAP_FILE = "edge.map"
CONFIG_FILE = "haproxy.cfg"
SPEC_FILE = "edge.json"
CA_FILE = "peer-ca.pem"
# What the process of the edge must not read or change lies beside its directory.
PRIVATE = ".private"
TOKEN_FILE = "token"
INSERTION_FILE = "insertion.json"

# An edge is never stricter than what stood there: whatever limits, the proxy in front and the application behind do.
#
# Timeouts: none of its own. The one in front ends what it is tired of, the edge sees that and ends it behind (abortonclose); keep-alive of TCP
# finds who is gone without a word, and who has half gone has a minute. An idle connection is never closed first: a proxy would reuse it in that very
# moment. 20 days is near the most that HAProxy counts to (2^31 ms). A full accept queue is waited for as long as the kernel does (tcp(7):
# tcp_syn_retries, 127 s). One connection per request towards the servers (http-server-close): a reused one may be closed by the server in the very
# moment of the request, and a POST must not be repeated. hard-stop-after ends what a reload left behind, tunnels too.
#
# Sizes: a header of bufsize - maxrewrite passes (configuration manual 2.6, 3.2), which is eight times what nginx takes by default (4 x 8k). A buffer
# costs memory only while data waits in it. Each of maxhdr headers costs 32 bytes of a thread's stack while a message is parsed.
# What is odd is for the application to judge, as it was before (accept-invalid-*); who sends it comes through the proxy all the same.
# Names of headers are lower case inside HAProxy; the usual ones leave it as browsers and proxies write them (h1-case-adjust).
_HEAD = """\
# Written by bowline.fleet.traffic_edge; changes are overwritten. Side: {side}.
global
    description {mark}
    log stderr format raw daemon notice
    fd-hard-limit 65536
    hard-stop-after 1h
    tune.bufsize 262144
    tune.maxrewrite 16384
    tune.http.maxhdr 4096
    h1-accept-payload-with-any-method
    stats socket {run}/admin.sock mode 600 level admin expose-fd listeners
    stats timeout 1m
    lua-load-per-thread {directory}/edge.lua
    set-var proc.bowline_token str({token})
{case}{identity}
defaults
    mode http
    log global
    option dontlognull
    option http-server-close
    option idle-close-on-response
    option http-no-delay
    option abortonclose
    option accept-invalid-http-request
    option accept-invalid-http-response
    option h1-case-adjust-bogus-client
    option h1-case-adjust-bogus-server
    option tcpka
    retries 2
    timeout connect 150s
    timeout client {idle}
    timeout server {idle}
    timeout tunnel {idle}
    timeout http-keep-alive {idle}
    timeout client-fin 1m
    timeout server-fin 1m

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
# Who proves that requests reach the edge is answered by it alone, past hold, route and application (door.py).
# X-Bowline-* are words between the two edges: nobody else's count, and none leaves in any direction but to the peer.
# secure_memcmp takes equally long for every wrong token, del-header -m beg compares names in lower case (configuration manual 2.6, 7.3.1, 4.2).
# Whatever asks for an upgrade has backends of its own, and the answer 101 tracks it there in a table until it closes: upgraded connections stay
# open for hours, are no requests in flight, and a release can end them.
_SERVICE = """
frontend {name}
    bind {listen}
    bind unix@{run}/{name}.sock mode 600
{clients}    http-request return status 204 hdr X-Bowline-Reached {name} if {{ req.fhdr(X-Bowline-Proof) -m str {proof} }}
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
    timeout connect 10s
    http-request set-header X-Bowline-Token %[var(proc.bowline_token)]
    http-request set-header Host {hostname} if {internal}
    server peer {peer}

backend {name}.peer.upgrade
    timeout connect 10s
    http-request set-header X-Bowline-Token %[var(proc.bowline_token)]
    http-request set-header Host {hostname} if {internal}
    http-response track-sc0 str({name}.peer.upgrade) table {tunnels} if {{ status 101 }}
    server peer {peer}
"""

# As RFC 9110 and the de facto standards write them. Others leave HAProxy in lower case, which HTTP calls the same.
_NAMES = """
Accept Accept-Charset Accept-Encoding Accept-Language Accept-Ranges Access-Control-Allow-Credentials Access-Control-Allow-Headers
Access-Control-Allow-Methods Access-Control-Allow-Origin Access-Control-Expose-Headers Access-Control-Max-Age Access-Control-Request-Headers
Access-Control-Request-Method Age Allow Authorization Cache-Control Connection Content-Disposition Content-Encoding Content-Language Content-Length
Content-Location Content-MD5 Content-Range Content-Security-Policy Content-Type Cookie DNT Date ETag Expect Expires Forwarded From Host If-Match
If-Modified-Since If-None-Match If-Range If-Unmodified-Since Keep-Alive Last-Event-ID Last-Modified Link Location Max-Forwards Origin Pragma
Proxy-Authenticate Proxy-Authorization Range Referer Referrer-Policy Retry-After SOAPAction Sec-WebSocket-Accept Sec-WebSocket-Extensions
Sec-WebSocket-Key Sec-WebSocket-Protocol Sec-WebSocket-Version Server Set-Cookie Strict-Transport-Security TE Trailer Transfer-Encoding Upgrade
Upgrade-Insecure-Requests User-Agent Vary Via WWW-Authenticate Warning X-Accel-Buffering X-Accel-Redirect X-Api-Key X-CSRF-Token
X-Content-Type-Options X-Correlation-ID X-Forwarded-For X-Forwarded-Host X-Forwarded-Port X-Forwarded-Prefix X-Forwarded-Proto X-Forwarded-Server
X-Frame-Options X-Powered-By X-Real-IP X-Request-ID X-Requested-With X-Sendfile X-XSS-Protection
""".split()

_IDLE = "20d"

# A proxy without a word about Host sends the name or address by which it reaches the application (nginx: $proxy_host). The application has that from
# everybody; at the other side's public port nobody is called so. Names without a dot, addresses, [::1].
_INTERNAL = r"{ req.hdr(host),field(1,:) -m reg ^([^.]*|[0-9.]+)$ }"

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
    case = "".join(f"    h1-case-adjust {name.lower()} {name}\n" for name in _NAMES)
    head = {"side": spec.side, "mark": marker, "run": run, "directory": spec.directory, "identity": identity, "token": token}
    parts = [_HEAD.format(**head, case=case, idle=_IDLE)]
    for service in spec.services:
        local = _server(service.local)
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
                proof=door.proof(token),
                hostname=spec.peer.hostname,
                internal=_INTERNAL,
            )
        )
    return "".join([*parts, _TUNNELS.format(tunnels=TUNNELS)])


def _clients(service: Service) -> str:
    """Who may connect. The edge's own socket, over which it is asked whether it is ready, has no source address."""
    if service.socket():
        return ""
    return f"    tcp-request connection reject if {{ src -m found }} !{{ src {' '.join(service.clients)} }}\n"


def _server(local: str) -> str:
    """Where the application is: configuration manual 2.6, 5.2, knows a socket as unix@ and its path."""
    if local.startswith("unix:"):
        return f"unix@{local[len('unix:') :]}"
    return local + _resolve(local.rpartition(":")[0])


def _host_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _resolve(host: str) -> str:
    """Names are followed while the edge runs (a container gets a new address when it is made again), addresses need no resolver."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return " resolvers system init-addr last,libc,none"
    return ""
