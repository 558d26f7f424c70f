# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking DNS servers, signed or not. The only file of this room that needs dnspython, together with `rfc2136`."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._core.errors import FleetError
from .model import Answer, Key, RRset, Server, normal_values

# One lost datagram is no dead server; two in a row within the timeout are taken for one.
ATTEMPTS = 2

UNSIGNED = "the answer is not signed"

Message = t.Any


@dataclass(frozen=True)
class TsigKey:
    """A shared secret. Its ``repr`` leaves the secret out."""

    name: str
    algorithm: str
    secret: str

    def __repr__(self) -> str:
        return f"TsigKey({self.name}, {self.algorithm})"


def library() -> t.Any:
    """The package ``dns`` with the parts that are used here. Raises FleetError ``tool_missing`` naming Debian's package."""
    try:
        import dns.exception
        import dns.flags
        import dns.message
        import dns.name
        import dns.query
        import dns.rcode
        import dns.rdata
        import dns.rdataclass
        import dns.rdatatype
        import dns.resolver
        import dns.tsig
        import dns.update
    except ImportError as error:
        raise FleetError(
            "tool_missing",
            "dnspython is not installed for this Python; nothing was read or changed.",
            remedy="apt install python3-dnspython, or pip install 'dnspython>=2.3'.",
        ) from error
    return dns


def query(server: Server, name: str, rtype: str, *, timeout: float, key: TsigKey | None = None, recurse: bool = False) -> Message:
    """The answer of ``server``, over UDP and again over TCP when it was truncated.

    Raises FleetError ``unreachable``, ``tsig_error``, or ``refused`` for every code but NOERROR and NXDOMAIN.
    """
    dns = library()
    message = dns.message.make_query(name, rtype)
    if not recurse:
        message.flags &= ~dns.flags.RD
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = exchange(server, message, key, lambda: dns.query.udp_with_fallback(message, server.address, timeout, server.port)[0])
            break
        except FleetError as error:
            if error.details.get("error") == UNSIGNED:
                # knot refuses a zone that it does not hold without signing. Only an error code is believed unsigned.
                query(server, name, rtype, timeout=timeout, recurse=recurse)
            if error.code != "unreachable" or attempt == ATTEMPTS:
                raise
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise refused(server, f"a query for {name} {rtype}", answer)
    return answer


def exchange(server: Server, message: Message, key: TsigKey | None, send: t.Callable[[], Message]) -> Message:
    """The answer to ``message``, signed with ``key`` if there is one; a signed question must get a signed answer.

    RFC 8945, 5.3 and 5.4: an error of the key (BADKEY, BADSIG, BADTIME) comes in the TSIG record of the answer.
    """
    dns = library()
    if key is not None:
        message.use_tsig(dns.tsig.Key(dns.name.from_text(key.name), key.secret, dns.name.from_text(key.algorithm)))
    try:
        answer = send()
    except (dns.tsig.PeerError, dns.tsig.BadSignature, dns.tsig.BadTime, dns.tsig.BadKey, dns.message.UnknownTSIGKey) as error:
        raise _tsig_error(server, key, f"{type(error).__name__}: {error}") from error
    except dns.exception.FormError as error:
        # dnspython 2.9 refuses an unsigned answer to a signed question like this; older ones leave had_tsig false.
        if key is None:
            raise _unreachable(server, "its answer could not be read (FormError)") from error
        raise _tsig_error(server, key, UNSIGNED) from error
    except dns.exception.Timeout as error:
        raise _unreachable(server, "it did not answer in time") from error
    except (OSError, EOFError) as error:
        raise _unreachable(server, f"{getattr(error, 'strerror', None) or type(error).__name__}") from error
    except dns.exception.DNSException as error:
        raise _unreachable(server, f"its answer could not be read ({type(error).__name__})") from error
    if key is not None and not answer.had_tsig:
        raise _tsig_error(server, key, UNSIGNED)
    return answer


def refused(server: Server, what: str, answer: Message) -> FleetError:
    """The failure for an answer with an error code."""
    rcode = library().rcode.to_text(answer.rcode())
    return FleetError(
        "refused",
        f"{server} answered {rcode} to {what}. Nothing was changed.",
        remedy="Allow this client and key in the server's access list (knot: acl; BIND: allow-update, allow-query).",
        details={"rcode": rcode, "server": str(server)},
    )


def rrset_of(answer: Message, name: str, rtype: str) -> t.Any | None:
    """The RRset as it came over the wire, None when the answer has none. Compared by name and type; the section order does not matter."""
    dns = library()
    wanted_name, wanted_type = dns.name.from_text(name), dns.rdatatype.from_text(rtype)
    for rrset in answer.answer:
        if rrset.name == wanted_name and rrset.rdtype == wanted_type:
            return rrset
    return None


def normal_rrset(raw: t.Any, name: str, rtype: str) -> RRset | None:
    """``raw`` of `rrset_of` in normal form."""
    if raw is None:
        return None
    return RRset(name, rtype, int(raw.ttl), normal_values(rtype, [rdata.to_text() for rdata in raw]))


def serial_of(answer: Message) -> int | None:
    """The serial in the answer or authority section; None when there is no SOA."""
    soa = library().rdatatype.SOA
    for section in (answer.answer, answer.authority):
        for rrset in section:
            if rrset.rdtype == soa:
                return int(rrset[0].serial)
    return None


def ask_authority(server: Server, key: Key, timeout: float, tsig: TsigKey | None = None) -> Answer:
    """What ``server`` says about ``key`` and the serial of its zone. An answer without authority is an error.

    With ``tsig`` it is asked with this key first, because a view may be chosen by the key (BIND: match-clients). A server that does not
    take the key is asked without.
    """
    dns = library()
    if tsig is not None:
        try:
            return _from_authority(server, key, dns, timeout, tsig)
        except FleetError as error:
            if error.code == "tool_missing":
                raise
    try:
        return _from_authority(server, key, dns, timeout, None)
    except FleetError as error:
        return _failed(server, error)


def _from_authority(server: Server, key: Key, dns: t.Any, timeout: float, tsig: TsigKey | None) -> Answer:
    answer = query(server, key.name, key.type, timeout=timeout, key=tsig)
    soa = query(server, key.zone, "SOA", timeout=timeout, key=tsig)
    if not answer.flags & dns.flags.AA:
        return Answer(server, None, error="answers without authority", signed=tsig is not None)
    rrset = normal_rrset(rrset_of(answer, key.name, key.type), key.name, key.type)
    return Answer(server, rrset, serial_of(soa), signed=tsig is not None)


def ask_resolver(server: Server, key: Key, timeout: float = 2.0) -> Answer:
    """What the resolver ``server`` tells its clients about ``key``."""
    try:
        answer = query(server, key.name, key.type, timeout=timeout, recurse=True)
    except FleetError as error:
        return _failed(server, error)
    return Answer(server, normal_rrset(rrset_of(answer, key.name, key.type), key.name, key.type))


def _failed(server: Server, error: FleetError) -> Answer:
    if error.code == "tool_missing":
        raise error
    return Answer(server, None, error=error.message.replace(f"{server} ", "", 1).rstrip("."))


def addresses(name: str, timeout: float) -> tuple[str, ...]:
    """The addresses of ``name`` as this machine resolves it; empty when it has none or cannot be resolved."""
    dns = library()
    found = []
    for rtype in ("A", "AAAA"):
        try:
            found += [rdata.address for rdata in resolver().resolve(name, rtype, lifetime=timeout)]
        except dns.exception.DNSException:
            continue
    return tuple(found)


def resolver(server: Server | None = None) -> t.Any:
    """A resolver that asks ``server``; without one, the servers of this machine."""
    dns = library()
    if server is None:
        return dns.resolver.get_default_resolver()
    chosen = dns.resolver.Resolver(configure=False)
    chosen.nameservers, chosen.port = [server.address], server.port
    return chosen


def _unreachable(server: Server, why: str) -> FleetError:
    return FleetError(
        "unreachable",
        f"{server} could not be asked: {why}.",
        remedy="Check that the server runs, that address and port are right, and that no packet filter is in between.",
        details={"server": server.name, "address": server.address, "port": server.port},
    )


def _tsig_error(server: Server, key: TsigKey | None, why: str) -> FleetError:
    name = key.name if key else "none"
    return FleetError(
        "tsig_error",
        f"{server} did not accept TSIG key {name}: {why}. Nothing was changed.",
        remedy="Compare name, algorithm and secret of the key with those of the server, and both clocks (BADTIME: more than 300 s apart).",
        details={"server": str(server), "key": name, "error": why},
    )
