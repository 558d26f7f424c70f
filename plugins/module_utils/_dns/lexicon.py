# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Provider lexicon: the library dns-lexicon, which speaks to the interfaces of some eighty providers.

It lists, makes, changes and deletes single records, so nothing is compared and written in one step. The window is kept small: read again
right before the write, and again after it; whoever else wrote in between is a conflict.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import typing as t
from pathlib import Path
from urllib.parse import quote, quote_plus

from .._core.errors import FleetError
from .._core.redact import redact
from . import authority
from .authority import Authority
from .model import Answer, Key, Ownership, Record, RRset, Server, normal_values, txt_bytes
from .plan import conflict

OPTIONS = ("provider", "auth_file", "parameters", *authority.OPTIONS)

# Most providers refuse a TTL below some minutes; the ownership record is read by us only, at the provider.
OWNER_TTL = 3600

# Seconds for one answer of the provider: the library itself would wait for ever.
PATIENCE = 30.0

Api = t.Any
Entry = t.Mapping[str, t.Any]


class Lexicon:
    """One zone at one provider. Types are those whose values the library carries unchanged to all of them: of a name outside the zone,
    for one, it makes a name inside (PowerDNS, 3.25)."""

    has_ttl = can_write = can_own = True
    types = frozenset(("A", "AAAA"))

    def __init__(self, provider: str, zone: str, settings: t.Mapping[str, t.Any], secrets: t.Sequence[str], asked: Authority) -> None:
        self._provider, self._zone, self._settings, self._secrets, self._authority = provider, zone, settings, secrets, asked

    def dress(self, rrset: RRset) -> RRset:
        return rrset

    def read(self, key: Key) -> Record:
        with self._speaking() as api:
            return self._read(api, key)

    def servers(self, key: Key) -> tuple[Server, ...]:
        return self._authority.servers()

    def ask(self, server: Server, key: Key) -> Answer:
        return self._authority.ask(server, key)

    def view(self, key: Key) -> str:
        return ""

    def apply(self, key: Key, before: Record, after: Record) -> None:
        """Read, compare, write, read: the provider has no step that does two of them at once."""
        ttl = after.rrset.ttl if after.rrset else OWNER_TTL
        with self._speaking(ttl) as api:
            now = self._read(api, key)
            if (now.rrset, now.ownership) != (before.rrset, before.ownership):
                raise _changed(key, before, now, "It was changed meanwhile. ")
            if after.rrset != before.rrset:
                self._replace(api, key, before.rrset, after.rrset)
        if after.ownership != before.ownership:
            with self._speaking(OWNER_TTL) as api:
                self._record_owner(api, key, after.ownership)
        done = self.read(key)
        values = done.rrset.values if done.rrset else ()
        if values != (after.rrset.values if after.rrset else ()) or done.ownership != after.ownership:
            raise _written_over(key, after, done)
        if done.rrset and after.rrset and done.rrset.ttl != after.rrset.ttl:
            raise FleetError(
                "ttl_out_of_range",
                f"{self._provider} keeps {key.name} {key.type} with ttl {done.rrset.ttl} where {after.rrset.ttl} was asked for. "
                "The values are as asked for.",
                remedy=f"Ask for a ttl that {self._provider} takes.",
                details={"ttl": done.rrset.ttl},
            )

    def _read(self, api: Api, key: Key) -> Record:
        owners = self._owners(api, key)
        return Record(
            self._rrset(key, self._list(api, key.name, key.type)),
            owners[0][0] if owners else None,
            ("CNAME",) if self._list(api, key.name, "CNAME") else (),
        )

    def _owners(self, api: Api, key: Key) -> list[tuple[Ownership, str]]:
        """Ownership records of ``key`` with their texts as the provider has them."""
        texts = [str(entry["content"]) for entry in self._list(api, key.owner_name, "TXT")]
        found = [(Ownership.parse(txt_bytes(text).decode("utf-8", "replace")), text) for text in texts]
        return [(ownership, text) for ownership, text in found if ownership is not None]

    def _rrset(self, key: Key, found: t.Sequence[Entry]) -> RRset | None:
        if not found:
            return None
        ttls = {str(entry.get("ttl", "")) for entry in found}
        if not all(ttl.isdigit() for ttl in ttls):
            raise FleetError(
                "refused",
                f"{self._provider} lists {key.name} {key.type} without its TTL, so it cannot be compared. Nothing was changed.",
                remedy="Use provider none, and change the name by hand.",
            )
        # Providers that keep a TTL for each record can hold different ones; a cache may go by the longest.
        return RRset(key.name, key.type, max(map(int, ttls)), normal_values(key.type, [str(entry["content"]) for entry in found]))

    def _list(self, api: Api, name: str, rtype: str) -> list[Entry]:
        """Records of exactly this name: some providers filter by part of a name, or not at all."""
        entries = api.list_records(rtype, name.rstrip("."))
        return [entry for entry in entries if entry.get("type") == rtype and str(entry.get("name", "")).rstrip(".").lower() + "." == name]

    def _replace(self, api: Api, key: Key, old: RRset | None, new: RRset | None) -> None:
        """With the same TTL, new records come before old ones go: the name is never without one. Another TTL is an update of one record, with
        the others away: where one TTL counts for all records of a name (PowerDNS), a further one gets the TTL of the first."""
        name, spare, missing = key.name.rstrip("."), [], list(new.values if new else ())
        another_ttl = old is not None and new is not None and old.ttl != new.ttl
        for entry in self._list(api, key.name, key.type):
            value = normal_values(key.type, [str(entry["content"])])[0]
            if value in missing and not another_ttl:
                missing.remove(value)
            else:
                spare.append(entry)
        if another_ttl:
            for entry in spare[1:]:
                api.delete_record(None, key.type, name, str(entry["content"]))
            for entry in spare[:1]:
                api.update_record(entry["id"], key.type, name, missing.pop(0))
            spare = []
        for value in missing:
            api.create_record(key.type, name, value)
        for entry in spare:
            api.delete_record(None, key.type, name, str(entry["content"]))

    def _record_owner(self, api: Api, key: Key, ownership: Ownership | None) -> None:
        """The new text before the old one goes. By text, not by id: ids that the library makes itself do not survive a ``/`` in a text."""
        name, before = key.owner_name.rstrip("."), self._owners(api, key)
        if ownership is not None:
            api.create_record("TXT", name, ownership.text())
        for _ownership, text in before:
            api.delete_record(None, "TXT", name, text)

    @contextlib.contextmanager
    def _speaking(self, ttl: int = OWNER_TTL) -> t.Iterator[Api]:
        """The provider, signed in; all that it raises becomes a FleetError without secrets. ``ttl`` is of the records made with it."""
        lexicon = _library()
        import dns.name
        import dns.resolver
        import requests

        config = {"provider_name": self._provider, "domain": self._zone.rstrip("."), "resolve_zone_name": "1", "ttl": ttl, **self._settings}
        zone = dns.name.from_text(self._zone)
        try:
            with contextlib.ExitStack() as stack:
                # The zone is known. Left alone, the library would ask the public DNS for it, or fetch a list of domains over the network.
                stack.enter_context(_replaced(dns.resolver, "zone_for_name", lambda *_words, **_more: zone))
                stack.enter_context(_replaced(requests.Session, "request", _patient(requests.Session.request)))
                stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
                # Only what stands here counts: a plain mapping would be completed from the environment and from files of the folder.
                yield stack.enter_context(lexicon.client.Client(lexicon.config.ConfigResolver().with_dict(config)))
        except FleetError:
            raise
        except Exception as error:
            raise self._failure(error, lexicon.exceptions, requests) from error

    def _failure(self, error: Exception, errors: t.Any, requests: t.Any) -> FleetError:
        words = redact(f"{type(error).__name__}: {error}", self._secrets)
        status = getattr(getattr(error, "response", None), "status_code", None)
        details = {"provider": self._provider, "error": words, "status": status}
        if isinstance(error, errors.ProviderNotAvailableError):
            return FleetError("invalid_value", f"provider_options.provider: {words}", "Give the name of a provider of dns-lexicon.", details)
        if isinstance(error, errors.AuthenticationError) or status in (401, 403):
            return FleetError("auth", f"{self._provider} did not accept the credentials: {words}.", "Correct provider_auth or auth_file.", details)
        if isinstance(error, (requests.ConnectionError, requests.Timeout)):
            return FleetError("unreachable", f"{self._provider} could not be asked: {words}.", "Look whether it answers from here.", details)
        if status in (404, 422):
            return FleetError("zone_not_found", f"{self._provider} does not hold zone {self._zone}: {words}.", "Correct zone.", details)
        return FleetError(
            "refused", f"{self._provider} failed: {words}.", "Look up what the provider says; then run again: what is there then decides.", details
        )


def connect(
    options: t.Mapping[str, t.Any], auth: t.Mapping[str, t.Any] | None, zone: str, secrets: list[str], ignored: t.Sequence[str]
) -> Lexicon:
    """The provider for the documented ``options``; what ``auth`` or the file of credentials hold is added to ``secrets``."""
    name = str(options.get("provider") or "")
    if not name:
        raise FleetError("invalid_value", "provider_options.provider is missing.", remedy="Give its name in dns-lexicon, like cloudflare.")
    parameters = options.get("parameters") or {}
    if not isinstance(parameters, t.Mapping):
        raise FleetError("invalid_value", "provider_options.parameters is no mapping.", remedy="Give options of the provider by name.")
    credentials = dict(auth or {})
    if options.get("auth_file"):
        credentials = {**_credentials(Path(str(options["auth_file"]))), **credentials}
    for value in credentials.values():
        # As they are, and as they stand in an address or a header of an error's text.
        text = str(value)
        secrets += [text, quote(text, safe=""), quote_plus(text), base64.b64encode(text.encode()).decode()] if text else []
    settings = {name: {str(word).replace("-", "_"): value for word, value in {**parameters, **credentials}.items()}}
    return Lexicon(name, zone, settings, secrets, Authority(options, zone, ignored))


def _credentials(path: Path) -> dict[str, t.Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no JSON"
        raise FleetError("auth", f"File {path} cannot be read: {why}.", remedy="Correct provider_options.auth_file, or its mode.") from error
    if not isinstance(found, dict):
        raise FleetError("auth", f"File {path} holds no object.", remedy='Write JSON like {"auth_token": "…"}.')
    return found


def _library() -> t.Any:
    try:
        import lexicon.client
        import lexicon.config
        import lexicon.exceptions
    except ImportError as error:
        raise FleetError(
            "tool_missing",
            "dns-lexicon is not installed for this Python; nothing was read or changed.",
            remedy="pip install 'dns-lexicon>=3.21' (Python 3.10 or newer).",
        ) from error
    return lexicon


@contextlib.contextmanager
def _replaced(place: t.Any, name: str, other: t.Any) -> t.Iterator[None]:
    before = getattr(place, name)
    setattr(place, name, other)
    try:
        yield
    finally:
        setattr(place, name, before)


def _patient(request: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    def bounded(self: t.Any, *words: t.Any, **more: t.Any) -> t.Any:
        more["timeout"] = more.get("timeout") or PATIENCE
        return request(self, *words, **more)

    return bounded


def _changed(key: Key, before: Record, now: Record, why: str) -> FleetError:
    return conflict(key.name, key.type, before.rrset.values if before.rrset else (), now.rrset.values if now.rrset else (), why)


def _written_over(key: Key, after: Record, done: Record) -> FleetError:
    sides = (after.rrset or "absent", done.rrset or "absent")
    return FleetError(
        "conflict",
        f"{key.name} {key.type} was written as {sides[0]} and is {sides[1]} a moment later: somebody else wrote at the same time.",
        remedy="Find out who else changes it, then run again: what is there then decides.",
        details={"written": str(sides[0]), "seen": str(sides[1])},
    )
