# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observe, plan, apply, verify: the one order for every provider."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from .._core.argspec import refuse_unknown_keys
from .._core.errors import FleetError
from .._core.result import result
from .._core.wait import Deadline, wait_for
from . import hosts, rfc2136
from .model import (
    TTL_MAX,
    TTL_MIN,
    Answer,
    Key,
    Provider,
    Record,
    RRset,
    Server,
    Wanted,
    absolute,
    normal_values,
    parse_server,
)
from .nameserver import ask_resolver
from .plan import Change, plan

# A zone transfer takes seconds; the servers asked may be other people's.
POLL = 0.5

PREVIOUS = ("present", "records", "ttl", "proxied", "owner")

Resolve = t.Callable[[Server, Key], Answer]


class Clock:
    """Wall clock for moments that are told to others, monotonic deadlines for waiting."""

    def now(self) -> int:
        return int(time.time())

    def deadline(self, seconds: float) -> Deadline:
        return Deadline(seconds)


@dataclass(frozen=True)
class Survey:
    """The answers of all servers, and of which of them the wanted RRset is not one. As text: what is wrong, server by server."""

    answers: tuple[Answer, ...]
    lagging: tuple[Answer, ...]
    asked: bool = True

    @property
    def agree(self) -> bool:
        return self.asked and not self.lagging

    def __str__(self) -> str:
        return "; ".join(str(answer) for answer in self.lagging) or "all servers agree"


def connect(params: t.Mapping[str, t.Any], secrets: list[str]) -> Provider:
    """The provider that ``params`` name. Raises FleetError ``unknown_key`` for an option that it does not have."""
    options = params.get("provider_options") or {}
    if params["provider"] == "hosts":
        refuse_unknown_keys("provider_options", options, hosts.OPTIONS)
        return hosts.connect(options)
    refuse_unknown_keys("provider_options", options, rfc2136.OPTIONS)
    if not params.get("zone"):
        raise FleetError("invalid_value", "zone is missing; provider rfc2136 needs it.", remedy="Give the zone that holds the name.")
    return rfc2136.connect(options, absolute(params["zone"]), secrets)


def run(
    params: t.Mapping[str, t.Any],
    connected: t.Callable[[], Provider],
    check_mode: bool,
    *,
    clock: Clock | None = None,
    resolve: Resolve = ask_resolver,
) -> dict[str, t.Any]:
    """Bring one RRset to its wanted state and see it on every server. In check mode nothing is sent that could write."""
    clock = clock or Clock()
    provider = connected()
    wanted = read_wanted(params, provider)
    resolvers = [parse_server(text) for text in params["resolvers"] or ()]
    before = provider.read(wanted.key)
    servers = provider.servers(wanted.key)

    def survey(goal: RRset | None) -> Survey:
        return _survey(provider, wanted, goal, servers, resolvers if params["verify"] == "resolvers" else (), resolve)

    if wanted.state == "verified":
        seen = _agreed(survey, wanted.rrset, wanted, params["wait_timeout"] if params["wait"] else 0, clock)
        return _outcome(_unchanged(before, clock), before, seen, wanted)
    change = plan(before, wanted, clock.now())
    first = survey(change.after.rrset)
    if wanted.state == "prepared":
        _refuse_silent(first)
    if check_mode:
        return _outcome(change, change.after, first, wanted)
    if change.steps:
        provider.apply(wanted.key, before, change.after)
    seen = Survey((), (), asked=False) if params["verify"] == "none" else _settled(survey, change, wanted, params, clock, provider)
    done = _not_before(change, seen, clock)
    if params["wait_old_ttl"]:
        _let_caches_forget(done, clock)
    return _outcome(done, provider.read(wanted.key) if change.steps else before, seen, wanted)


def info(
    params: t.Mapping[str, t.Any],
    connected: t.Callable[[], Provider],
    *,
    clock: Clock | None = None,
    resolve: Resolve = ask_resolver,
) -> dict[str, t.Any]:
    """The RRset at its provider and on every server; differences are sentences, and none means that all agree."""
    clock = clock or Clock()
    provider = connected()
    key = _key(params, provider)
    record = provider.read(key)
    answers = [provider.ask(server, key) for server in provider.servers(key)]
    told = [resolve(parse_server(text), key) for text in params["resolvers"] or ()]
    differences = [str(answer) for answer in answers if answer.error or answer.rrset != record.rrset]
    differences += [str(answer) for answer in told if answer.error or _values(answer.rrset) != _values(record.rrset)]
    until = record.ownership.stale_until if record.ownership else None
    return {
        "changed": False,
        "record": record.bookmark(),
        "servers": [_as_data(answer) for answer in answers],
        "resolvers": [_as_data(answer) for answer in told],
        "serials": sorted({answer.serial for answer in answers if answer.serial is not None}),
        "differences": differences,
        "consistent": not differences,
        "max_stale_until": until,
        "stale_seconds": None if until is None else max(0, until - clock.now()),
    }


def read_wanted(params: t.Mapping[str, t.Any], provider: Provider) -> Wanted:
    """``params`` of the module in normal form. Raises FleetError invalid_value, ttl_out_of_range or unknown_key."""
    key, state, back = _key(params, provider), params["state"], params.get("previous")
    ttl, ttl_during = (_ttl(params, "ttl"), _ttl(params, "ttl_during")) if provider.has_ttl else (0, 0)
    rrset = None
    if state in ("present", "verified"):
        if back is not None:
            rrset = _previous(key, back, provider)
        else:
            rrset = provider.dress(RRset(key.name, key.type, ttl, normal_values(key.type, params["values"] or ())))
        if rrset is not None and not rrset.values:
            raise FleetError("invalid_value", f"{key.name} {key.type}: no values are given.", remedy="Give values, or state: absent.")
    return Wanted(
        state=state,
        key=key,
        rrset=rrset,
        ttl=ttl,
        ttl_during=ttl_during,
        expect=_expected(key, params.get("expect_current")),
        owner=params.get("owner") or None,
        disown=back is not None and back.get("owner") is None,
        max_changes=params["max_changes"],
    )


def _key(params: t.Mapping[str, t.Any], provider: Provider) -> Key:
    if params["type"] not in provider.types:
        known = ", ".join(sorted(provider.types))
        raise FleetError(
            "invalid_value", f"type {params['type']} is not held by provider {params['provider']}.", remedy=f"Use one of {known}."
        )
    zone = absolute(params["zone"]) if params.get("zone") else ""
    return Key(absolute(params["name"], zone), params["type"], zone)


def _ttl(params: t.Mapping[str, t.Any], option: str) -> int:
    ttl = int(params[option])
    if not TTL_MIN <= ttl <= TTL_MAX:
        raise FleetError(
            "ttl_out_of_range", f"{option} is {ttl}; DNS holds {TTL_MIN} to {TTL_MAX}.", remedy=f"Correct {option}; nothing was changed."
        )
    return ttl


def _previous(key: Key, back: t.Mapping[str, t.Any], provider: Provider) -> RRset | None:
    refuse_unknown_keys("previous", back, PREVIOUS)
    if not isinstance(back.get("present"), bool):
        raise FleetError(
            "invalid_value", "previous.present is neither true nor false.", remedy="Feed back `previous` of an earlier result, whole."
        )
    if not back["present"]:
        return None
    ttl = _ttl({"previous.ttl": back.get("ttl") or 0}, "previous.ttl") if provider.has_ttl else 0
    values = normal_values(key.type, back.get("records") or ())
    return provider.dress(RRset(key.name, key.type, ttl, values, bool(back.get("proxied"))))


def _expected(key: Key, given: t.Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    if given == "absent":
        return ()
    if isinstance(given, (list, tuple)) and given:
        return normal_values(key.type, given)
    raise FleetError("invalid_value", "expect_current is neither a list of values nor the word absent.", remedy="Correct expect_current.")


def _survey(
    provider: Provider,
    wanted: Wanted,
    goal: RRset | None,
    servers: t.Sequence[Server],
    resolvers: t.Sequence[Server],
    resolve: Resolve,
) -> Survey:
    answers = tuple(provider.ask(server, wanted.key) for server in servers)
    told = tuple(resolve(server, wanted.key) for server in resolvers)
    if wanted.state == "verified":
        lagging = [answer for answer in answers if answer.error or _values(answer.rrset) != _values(goal)]
    else:
        lagging = [answer for answer in answers if answer.error or _plain(answer.rrset) != _plain(goal)]
    # A resolver counts its copy's TTL down, so only the values can be compared.
    lagging += [answer for answer in told if answer.error or _values(answer.rrset) != _values(goal)]
    return Survey(answers + told, tuple(lagging))


def _refuse_silent(seen: Survey) -> None:
    silent = [answer for answer in seen.answers if answer.error]
    if silent:
        raise FleetError(
            "no_authority",
            f"Not every authoritative server answers: {'; '.join(map(str, silent))}. Nothing was changed.",
            remedy="Repair the server, or take it out of the zone's NS records.",
            details={"servers": [_as_data(answer) for answer in silent]},
        )


def _unchanged(record: Record, clock: Clock) -> Change:
    known = record.ownership.stale_until if record.ownership else None
    return Change(record, record, (), clock.now() + (record.rrset.ttl if record.rrset else 0) if known is None else known)


def _agreed(
    survey: t.Callable[[RRset | None], Survey], goal: RRset | None, wanted: Wanted, seconds: float, clock: Clock
) -> Survey:
    last: list[Survey] = []

    def read() -> Survey:
        last[:] = [survey(goal)]
        return last[0]

    try:
        return wait_for(
            read,
            lambda seen: seen.agree,
            clock.deadline(seconds),
            what=f"every server to answer {goal or 'that there is no such RRset'} for {wanted.key.name} {wanted.key.type}",
            interval=POLL,
            code="verify_timeout",
            remedy="Look at the zone transfers to the servers that are named, or raise wait_timeout.",
        )
    except FleetError as error:
        raise FleetError(
            error.code, error.message, error.remedy, {**error.details, "lagging": [_as_data(answer) for answer in last[0].lagging]}
        ) from error


def _settled(
    survey: t.Callable[[RRset | None], Survey],
    change: Change,
    wanted: Wanted,
    params: t.Mapping[str, t.Any],
    clock: Clock,
    provider: Provider,
) -> Survey:
    if not params["wait"]:
        return survey(change.after.rrset)
    try:
        return _agreed(survey, change.after.rrset, wanted, params["wait_timeout"], clock)
    except FleetError as error:
        if params["on_timeout"] != "revert" or not change.steps or error.code != "verify_timeout":
            raise
        _revert(change, wanted, provider, error)
        raise FleetError(
            error.code,
            f"{error.message} The RRset is as before: {change.before.rrset or 'absent'}.",
            error.remedy,
            {**error.details, "reverted": True},
        ) from error


def _revert(change: Change, wanted: Wanted, provider: Provider, cause: FleetError) -> None:
    try:
        now = provider.read(wanted.key)
        if now.rrset != change.after.rrset:
            raise FleetError("conflict", f"it is {now.rrset or 'absent'} now, changed by someone else")
        provider.apply(wanted.key, now, change.before)
    except FleetError as error:
        raise FleetError(
            cause.code,
            f"{cause.message} It could not be taken back: {error.message}",
            "Set the RRset by hand, or run again with previous from the details.",
            {**cause.details, "reverted": False, "previous": change.before.bookmark()},
        ) from error


def _not_before(change: Change, seen: Survey, clock: Clock) -> Change:
    """``change`` with its end of staleness counted from the moment at which the last server had stopped telling the old RRset."""
    if not change.steps or not seen.agree or change.before.rrset is None:
        return change
    return replace(change, stale_until=max(change.stale_until, clock.now() + change.before.rrset.ttl))


def _let_caches_forget(change: Change, clock: Clock) -> None:
    deadline = clock.deadline(max(0, change.stale_until - clock.now()))
    while not deadline.expired():
        deadline.pause(deadline.remaining())


def _outcome(change: Change, now: Record, seen: Survey, wanted: Wanted) -> dict[str, t.Any]:
    silent = [answer for answer in seen.answers if answer.error]
    until = change.stale_until
    return result(
        change.steps,
        before=change.before.lines(),
        after=change.after.lines(),
        evidence={
            "servers": [_as_data(answer) for answer in seen.answers],
            "lagging": [str(answer) for answer in seen.lagging],
            "stale_until": datetime.fromtimestamp(until, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        warnings=[f"No usable answer from {answer}" for answer in silent],
        record=now.bookmark(),
        previous=change.before.bookmark(),
        verified=seen.agree,
        **{"ready_at" if wanted.state == "prepared" else "max_stale_until": until},
    )


def _as_data(answer: Answer) -> dict[str, t.Any]:
    return {
        "name": answer.server.name,
        "address": answer.server.address,
        "port": answer.server.port,
        "records": list(answer.rrset.values) if answer.rrset else [],
        "ttl": answer.rrset.ttl if answer.rrset else None,
        "serial": answer.serial,
        "error": answer.error,
    }


def _values(rrset: RRset | None) -> tuple[str, ...]:
    return rrset.values if rrset else ()


def _plain(rrset: RRset | None) -> RRset | None:
    """What any server can show of ``rrset``: whether it is proxied is the provider's own affair."""
    return replace(rrset, proxied=False) if rrset else None
