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
from . import hosts, lexicon, none, rfc2136
from .inputs import read_key, read_wanted
from .model import Answer, Key, Provider, Record, RRset, Server, Wanted, absolute, parse_server
from .nameserver import ask_resolver
from .plan import Change, plan

# A zone transfer takes seconds; the servers asked may be other people's.
POLL = 0.5

# Cloudflare's word for a TTL that it chooses itself; its servers then show another one.
TTL_AUTOMATIC = 1

OPTIONS = {"hosts": hosts.OPTIONS, "lexicon": lexicon.OPTIONS, "none": none.OPTIONS, "rfc2136": rfc2136.OPTIONS}

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
    options, provider = params.get("provider_options") or {}, params["provider"]
    refuse_unknown_keys("provider_options", options, OPTIONS[provider])
    if params.get("provider_auth") and provider != "lexicon":
        raise FleetError("invalid_value", f"provider_auth is given; provider {provider} takes none.", remedy="Leave it out; nothing was changed.")
    if provider == "hosts":
        return hosts.connect(options)
    if not params.get("zone"):
        raise FleetError("invalid_value", f"zone is missing; provider {provider} needs it.", remedy="Give the zone that holds the name.")
    zone, ignored = absolute(params["zone"]), [str(text) for text in params.get("ignore_servers") or ()]
    if provider == "none":
        return none.connect(options, zone, ignored)
    if provider == "lexicon":
        return lexicon.connect(options, params.get("provider_auth"), zone, secrets, ignored)
    return rfc2136.connect(options, zone, secrets, ignored)


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
        return _survey(provider, wanted, goal, before.wildcard, servers, resolvers if params["verify"] == "resolvers" else (), resolve)

    if wanted.state == "verified":
        seen = _agreed(survey, wanted.rrset, wanted, params["wait_timeout"] if params["wait"] else 0, clock)
        return _outcome(_unchanged(before, clock), before, seen, wanted)
    change = plan(before, wanted, clock.now())
    first = survey(change.after.rrset)
    if wanted.state == "prepared":
        _refuse_silent(first)
    if not provider.can_write:
        return _by_hand(survey, change, first, wanted, params, check_mode, clock)
    notes = _views(provider, change, first, wanted, params) if change.steps and params["verify"] != "none" else []
    if check_mode:
        return _outcome(change, change.after, first, wanted, notes)
    if change.steps:
        provider.apply(wanted.key, before, change.after)
    seen = Survey((), (), asked=False) if params["verify"] == "none" else _settled(survey, change, wanted, params, clock, provider, servers)
    done = _not_before(change, seen, clock)
    if params["wait_old_ttl"]:
        _let_caches_forget(done, clock)
    return _outcome(done, provider.read(wanted.key) if change.steps else before, seen, wanted, notes)


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
    key = read_key(params, provider)
    record = provider.read(key)
    answers = [provider.ask(server, key) for server in provider.servers(key)]
    resolved = [resolve(parse_server(text), key) for text in params["resolvers"] or ()]
    differences = [str(answer) for answer in answers if answer.error or answer.rrset != _plain(record.shown)]
    differences += [str(answer) for answer in resolved if answer.error or _values(answer.rrset) != _values(record.shown)]
    until = record.ownership.stale_until if record.ownership else None
    return {
        "changed": False,
        "record": record.bookmark(),
        "servers": [_as_data(answer) for answer in answers],
        "resolvers": [_as_data(answer) for answer in resolved],
        "serials": sorted({answer.serial for answer in answers if answer.serial is not None}),
        "differences": differences,
        "consistent": not differences,
        "max_stale_until": until,
        "stale_seconds": None if until is None else max(0, until - clock.now()),
    }


def _survey(
    provider: Provider,
    wanted: Wanted,
    goal: RRset | None,
    wildcard: RRset | None,
    servers: t.Sequence[Server],
    resolvers: t.Sequence[Server],
    resolve: Resolve,
) -> Survey:
    answers = tuple(provider.ask(server, wanted.key) for server in servers)
    resolved = tuple(resolve(server, wanted.key) for server in resolvers)
    by_value = wanted.state == "verified"

    def shows(answer: Answer, values_only: bool) -> bool:
        # A name that is to hold nothing may be answered from a wildcard.
        goals = (goal, wildcard) if goal is None else (goal,)
        if values_only or (goal is not None and goal.ttl == TTL_AUTOMATIC):
            return _values(answer.rrset) in [_values(each) for each in goals]
        return _plain(answer.rrset) in [_plain(each) for each in goals]

    lagging = [answer for answer in answers if answer.error or not shows(answer, by_value)]
    # A resolver counts its copy's TTL down, so only the values can be compared.
    lagging += [answer for answer in resolved if answer.error or not shows(answer, True)]
    return Survey(answers + resolved, tuple(lagging))


def _views(provider: Provider, change: Change, first: Survey, wanted: Wanted, params: t.Mapping[str, t.Any]) -> list[str]:
    """A warning when a view hides the change from those without the key; a refusal when it hides it from the question that verifies."""
    view = provider.view(wanted.key)
    if not view:
        return []
    blind = [answer for answer in first.answers if not answer.error and not answer.signed]
    if blind:
        raise FleetError(
            "view_mismatch",
            f"{view}, and {', '.join(str(answer.server) for answer in blind)} does not take the key, so no answer of it could prove the change. "
            "Nothing was changed.",
            remedy="Let these servers take the key, leave them out with ignore_servers, or give the key of the view that they show.",
            details={"servers": [_as_data(answer) for answer in blind], "view": view},
        )
    return [f"{view}: clients without the key do not see {change.after.rrset or 'the removal'}."]


def _by_hand(
    survey: t.Callable[[RRset | None], Survey],
    change: Change,
    first: Survey,
    wanted: Wanted,
    params: t.Mapping[str, t.Any],
    check_mode: bool,
    clock: Clock,
) -> dict[str, t.Any]:
    """Nothing is written here: what a person has to do is said, and waited for when that is asked for."""
    asks = "Run again with wait: true to wait until every name server shows it."
    by_hand = none.instructions(wanted.key, change.before, change.after, first.answers, asks) if change.steps or not first.agree else []
    seen = first
    if by_hand and params["wait"] and not check_mode:
        try:
            seen = _agreed(survey, change.after.rrset, wanted, params["wait_timeout"], clock)
        except FleetError as error:
            raise FleetError(
                error.code, f"{by_hand[0]} {error.message}", "Change the name where it is kept, then run again.", {**error.details, "instructions": by_hand}
            ) from error
        by_hand = []
    done = _not_before(change, seen, clock)
    if params["wait_old_ttl"] and seen.agree:
        _let_caches_forget(done, clock)
    outcome = _outcome(replace(done, steps=(), after=change.before), change.after if seen.agree else change.before, seen, wanted, by_hand[:2])
    return {**outcome, "instructions": by_hand}


def _refuse_silent(seen: Survey) -> None:
    silent = [answer for answer in seen.answers if answer.error]
    if silent:
        raise FleetError(
            "no_authority",
            f"Not every authoritative server answers: {'; '.join(map(str, silent))}. Nothing was changed.",
            remedy="Repair the server, take it out of the zone's NS records, or leave it out with ignore_servers.",
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
    servers: t.Sequence[Server],
) -> Survey:
    if not params["wait"]:
        return survey(change.after.rrset)
    try:
        return _agreed(survey, change.after.rrset, wanted, params["wait_timeout"], clock)
    except FleetError as error:
        if params["on_timeout"] != "revert" or not change.steps or error.code != "verify_timeout":
            raise
        good = _reason_to_keep(survey(change.after.rrset), servers, provider, wanted)
        if good:
            details = {**error.details, "reverted": False, "previous": change.before.bookmark()}
            raise FleetError(error.code, f"{error.message} It was not taken back: {good}.", error.remedy, details) from error
        _revert(change, wanted, provider, error)
        raise FleetError(
            error.code,
            f"{error.message} The RRset is as before: {change.before.rrset or 'absent'}.",
            error.remedy,
            {**error.details, "reverted": True},
        ) from error


def _reason_to_keep(seen: Survey, servers: t.Sequence[Server], provider: Provider, wanted: Wanted) -> str:
    """Why the change is good although it could not be seen everywhere; empty when a name server does show something else."""
    others = [answer for answer in seen.lagging if answer.server in servers and not answer.error]
    if not others:
        return "no name server shows anything else"
    if all(not answer.signed for answer in others):
        return provider.view(wanted.key)
    return ""


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


def _outcome(change: Change, now: Record, seen: Survey, wanted: Wanted, notes: t.Sequence[str] = ()) -> dict[str, t.Any]:
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
        warnings=[*notes, *(f"No usable answer from {answer}" for answer in silent)],
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
