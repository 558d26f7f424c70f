# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Provider rfc2136: a server that takes signed dynamic updates (knot, BIND, PowerDNS …)."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

from .._core.errors import FleetError
from .authority import select
from .model import TYPES, Answer, Key, Ownership, Record, RRset, Server, parse_server, txt_bytes
from .nameserver import TsigKey, addresses, ask_authority, exchange, library, normal_rrset, query, refused, rrset_of
from .plan import conflict

OPTIONS = ("server", "port", "key_file", "timeout", "authority_port", "ipv6")

# The ownership record is read by us only, from the server itself; a short life keeps it out of caches.
OWNER_TTL = 60

# RFC 8945, table 3, without the truncated forms. dnspython compares them by name.
ALGORITHMS = {f"hmac-{name}": f"hmac-{name}." for name in ("sha1", "sha224", "sha256", "sha384", "sha512")}
ALGORITHMS["hmac-md5"] = "hmac-md5.sig-alg.reg.int."


class Rfc2136:
    """One zone on one server. Every question to it is signed too, so that a wrong key is found without writing."""

    has_ttl = can_write = can_own = True
    types = frozenset(TYPES)

    def __init__(
        self,
        server: Server,
        zone: str,
        key: TsigKey | None,
        *,
        timeout: float = 2.0,
        authority_port: int = 53,
        ipv6: bool = True,
        ignored: t.Sequence[str] = (),
    ) -> None:
        self._server = server
        self._zone = zone
        self._key = key
        self._timeout = timeout
        self._authority_port = authority_port
        self._ipv6 = ipv6
        self._ignored = ignored
        # What `read` saw on the wire: the prerequisites compare the server's own bytes, not our normal form of them.
        self._wire: dict[tuple[str, str], t.Any] = {}
        # Texts of somebody else at the ownership name; they stay.
        self._foreign: tuple[str, ...] = ()

    def dress(self, rrset: RRset) -> RRset:
        return rrset

    def read(self, key: Key) -> Record:
        self._refuse_foreign_zone(key)
        raw, shown = self._held(key.name, key.type)
        other_types = {rtype: self._held(key.name, rtype) for rtype in self._excluding(key.type)}
        others = tuple(rtype for rtype, (held, _shown) in other_types.items() if held is not None)
        hides = tuple(rtype for rtype, (_held, wild) in other_types.items() if wild is not None)
        owner, _shown = self._held(key.owner_name, "TXT")
        self._wire = {(key.name, key.type): raw, (key.owner_name, "TXT"): owner}
        ownership, self._foreign = _owner(owner)
        if shown is not None and raw is None:
            hides += tuple(rtype for rtype in TYPES if rtype not in (*hides, key.type) and self._held(key.name, rtype)[1] is not None)
        return Record(
            normal_rrset(raw, key.name, key.type), ownership, others, normal_rrset(shown, key.name, key.type), hides if raw is None else ()
        )

    def servers(self, key: Key) -> tuple[Server, ...]:
        raw, _answer = self._rrset(self._zone, "NS")
        names = sorted(str(rdata.target).lower() for rdata in raw) if raw else []
        return select(self._zone, names, self._addresses, self._authority_port, self._ignored)

    def view(self, key: Key) -> str:
        """BIND chooses a view by the key of a question, too (match-clients); the same server then tells others something else."""
        if self._key is None:
            return ""
        mine, theirs = (
            ask_authority(self._server, Key(key.name, key.type, self._zone), self._timeout, tsig) for tsig in (self._key, None)
        )
        if mine.error or theirs.error or not mine.signed or mine.rrset == theirs.rrset:
            return ""
        return f"{self._server} shows {mine.rrset or 'no such RRset'} with the key, and {theirs.rrset or 'no such RRset'} without the key (a view)"

    def ask(self, server: Server, key: Key) -> Answer:
        return ask_authority(server, key, self._timeout, self._key)

    def apply(self, key: Key, before: Record, after: Record) -> None:
        """One update message: prerequisites for all that was read, then the changes (RFC 2136, 2.4 and 2.5). Over TCP, sent once."""
        dns = library()
        update = dns.update.UpdateMessage(self._zone)
        self._require(update, key.name, key.type)
        self._require(update, key.owner_name, "TXT")
        if after.rrset is not None and key.type != "CNAME":
            update.absent(dns.name.from_text(key.name), "CNAME")
        if after.rrset != before.rrset:
            _put(update, key.name, key.type, after.rrset)
        if after.ownership != before.ownership:
            texts = (*self._foreign, *((f'"{after.ownership.text()}"',) if after.ownership else ()))
            _put(update, key.owner_name, "TXT", RRset(key.owner_name, "TXT", OWNER_TTL, texts) if texts else None)
        try:
            answer = exchange(
                self._server, update, self._key, lambda: dns.query.tcp(update, self._server.address, self._timeout, self._server.port)
            )
        except FleetError as error:
            # The connection may have broken after the server had written: what is there now decides.
            if error.code == "unreachable" and self._arrived(key, after):
                return
            raise
        self._judge(answer, key, before, after)

    def _arrived(self, key: Key, after: Record) -> bool:
        try:
            return _same(self.read(key), after)
        except FleetError as error:
            raise FleetError(
                "unreachable",
                f"The update of {key.name} {key.type} was sent, then the server was lost; it is not known whether it was written: "
                f"{error.message}",
                remedy="Make the server reachable and run again; what is there then decides.",
                details=error.details,
            ) from error

    def _judge(self, answer: t.Any, key: Key, before: Record, after: Record) -> None:
        rcode = library().rcode
        if answer.rcode() == rcode.NOERROR:
            return
        if answer.rcode() in (rcode.NXRRSET, rcode.YXRRSET, rcode.NXDOMAIN, rcode.YXDOMAIN):
            now = self.read(key)
            if _same(now, after):
                return
            raise conflict(
                key.name,
                key.type,
                before.rrset.values if before.rrset else (),
                now.rrset.values if now.rrset else (),
                _why(before, now),
            )
        if answer.rcode() in (rcode.NOTAUTH, rcode.NOTZONE):
            raise self._zone_not_found(rcode.to_text(answer.rcode()))
        raise refused(self._server, f"the update of {key.name} {key.type}", answer)

    def _require(self, update: t.Any, name: str, rtype: str) -> None:
        raw, owner = self._wire.get((name, rtype)), library().name.from_text(name)
        if raw is None:
            update.absent(owner, rtype)
        else:
            update.present(owner, *raw)

    def _rrset(self, name: str, rtype: str) -> tuple[t.Any, t.Any]:
        answer = query(self._server, name, rtype, timeout=self._timeout, key=self._key)
        if not answer.flags & library().flags.AA:
            raise self._zone_not_found(f"an answer for {name} without authority; the name may lie below a delegation")
        return rrset_of(answer, name, rtype), answer

    def _held(self, name: str, rtype: str) -> tuple[t.Any, t.Any]:
        """The RRset that ``name`` itself holds, and the one that a wildcard shows for it (RFC 4592); at most one of them is there."""
        raw, _answer = self._rrset(name, rtype)
        if raw is None or not self._like_wildcard(raw, name, rtype) or self._exists(name, rtype):
            return raw, None
        return None, raw

    def _like_wildcard(self, raw: t.Any, name: str, rtype: str) -> bool:
        """True when a wildcard above ``name`` holds the same, so that the answer may be made from it."""
        parent = name.partition(".")[2]
        while not name.startswith("*.") and (parent == self._zone or parent.endswith("." + self._zone)):
            wildcard, _answer = self._rrset(f"*.{parent}", rtype)
            if wildcard is not None and set(wildcard) == set(raw):
                return True
            parent = parent.partition(".")[2]
        return False

    def _exists(self, name: str, rtype: str) -> bool:
        """Whether ``name`` itself holds ``rtype``: a message of one prerequisite and no update, which no wildcard answers (RFC 2136, 2.4.1).

        It changes nothing. Who may not send it is taken to see the wildcard.
        """
        dns = library()
        update = dns.update.UpdateMessage(self._zone)
        update.present(dns.name.from_text(name), rtype)
        answer = exchange(
            self._server, update, self._key, lambda: dns.query.tcp(update, self._server.address, self._timeout, self._server.port)
        )
        return bool(answer.rcode() == dns.rcode.NOERROR)

    def _refuse_foreign_zone(self, key: Key) -> None:
        if key.name != self._zone and not key.name.endswith("." + self._zone):
            raise self._zone_not_found(f"{key.name} does not lie in it")
        try:
            soa, _answer = self._rrset(self._zone, "SOA")
        except FleetError as error:
            if error.details.get("rcode") in ("REFUSED", "NOTAUTH", "SERVFAIL"):
                raise self._zone_not_found(error.details["rcode"]) from error
            raise
        if soa is None:
            raise self._zone_not_found("no SOA record at this name")

    def _zone_not_found(self, why: str) -> FleetError:
        return FleetError(
            "zone_not_found",
            f"{self._server} does not hold zone {self._zone}: {why}. Nothing was changed.",
            remedy="Correct zone, name or server.",
            details={"server": str(self._server), "zone": self._zone},
        )

    def _excluding(self, rtype: str) -> tuple[str, ...]:
        return tuple(other for other in (*TYPES, "NS") if other != "CNAME") if rtype == "CNAME" else ("CNAME",)

    def _addresses(self, name: str) -> tuple[str, ...]:
        if name != self._zone and not name.endswith("." + self._zone):
            found: tuple[str, ...] = addresses(name, self._timeout)
        else:
            found = tuple(rdata.address for rtype in ("A", "AAAA") for rdata in self._rrset(name, rtype)[0] or ())
        return tuple(sorted(address for address in set(found) if self._ipv6 or ":" not in address))


def connect(options: t.Mapping[str, t.Any], zone: str, secrets: list[str], ignored: t.Sequence[str] = ()) -> Rfc2136:
    """The provider for the documented ``options``; the secret of the key is added to ``secrets`` before anything is sent."""
    if not options.get("server"):
        raise FleetError(
            "invalid_value", "provider_options.server is missing.", remedy="Give the address of the server that takes updates."
        )
    key = read_key(Path(str(options["key_file"])), secrets) if options.get("key_file") else None
    address = parse_server(str(options["server"]))
    server = Server("server", address.address, int(options.get("port") or address.port))
    return Rfc2136(
        server,
        zone,
        key,
        timeout=float(options.get("timeout") or 2.0),
        authority_port=int(options.get("authority_port") or 53),
        ipv6=str(options.get("ipv6", True)).lower() not in ("false", "no", "0"),
        ignored=ignored,
    )


def read_key(path: Path, secrets: list[str]) -> TsigKey:
    """The key in ``path``: JSON with name, algorithm and secret, or BIND's ``key "name" { algorithm …; secret "…"; };``."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not a text file"
        raise FleetError(
            "auth", f"TSIG key file {path} cannot be read: {why}.", remedy="Correct provider_options.key_file, or its mode."
        ) from error
    fields = _json_key(text) if text.lstrip().startswith("{") else _bind_key(text)
    secret, algorithm = fields.get("secret", ""), fields.get("algorithm", "hmac-sha256").lower().rstrip(".")
    secrets.append(secret)
    if not fields.get("name") or not re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", secret) or len(secret) % 4 or algorithm not in ALGORITHMS:
        raise FleetError(
            "auth",
            f"TSIG key file {path} holds no usable key (name, secret in base64, algorithm one of {', '.join(ALGORITHMS)}).",
            remedy='Write JSON {"name", "algorithm", "secret"}, or the key clause that tsig-keygen or keymgr prints.',
        )
    return TsigKey(fields["name"], ALGORITHMS[algorithm], secret)


def _json_key(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {name: str(found[name]) for name in ("name", "algorithm", "secret") if name in found} if isinstance(found, dict) else {}


def _bind_key(text: str) -> dict[str, str]:
    match = re.search(r'\bkey\s+"?([^"\s{]+)"?\s*\{([^}]*)\}', text)
    if not match:
        return {}
    return {"name": match[1], **dict(re.findall(r'\b(algorithm|secret)\s+"?([^";\s]+)"?\s*;', match[2]))}


def _owner(texts: t.Any) -> tuple[Ownership | None, tuple[str, ...]]:
    """The ownership among ``texts`` on the wire, and the texts of somebody else as they are."""
    found: Ownership | None = None
    foreign = []
    for rdata in texts or ():
        ownership = Ownership.parse(txt_bytes(rdata.to_text()).decode("utf-8", "replace"))
        if ownership is None:
            foreign.append(rdata.to_text())
        else:
            found = ownership
    return found, tuple(foreign)


def _put(update: t.Any, name: str, rtype: str, rrset: RRset | None) -> None:
    owner = library().name.from_text(name)
    if rrset is None:
        update.delete(owner, rtype)
    else:
        update.replace(owner, rrset.ttl, rtype, *rrset.values)


def _same(seen: Record, wanted: Record) -> bool:
    """True when RRset and owner agree; the times in the ownership record are no part of the state that is asked for."""
    return seen.rrset == wanted.rrset and (seen.ownership and seen.ownership.owner) == (wanted.ownership and wanted.ownership.owner)


def _why(before: Record, now: Record) -> str:
    if now.rrset != before.rrset:
        return "It was changed meanwhile. "
    if now.ownership != before.ownership:
        return "Its ownership record was changed meanwhile. "
    # A wildcard answers for names that do not exist; a prerequisite looks at the name itself.
    return "The server answers from a wildcard: the name itself holds no such records. "
