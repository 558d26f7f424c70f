# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the options of the module to what is wanted, in normal form."""

from __future__ import annotations

import typing as t

from .._core.argspec import refuse_unknown_keys
from .._core.errors import FleetError
from .model import TTL_MAX, TTL_MIN, TTL_USUAL, Key, Provider, RRset, Wanted, absolute, normal_values

PREVIOUS = ("present", "records", "ttl", "proxied", "owner")


def read_wanted(params: t.Mapping[str, t.Any], provider: Provider) -> Wanted:
    """``params`` of the module in normal form. Raises FleetError invalid_value, ttl_out_of_range or unknown_key."""
    key, state, back = read_key(params, provider), params["state"], params.get("previous")
    keep_ttl = params["ttl"] is None
    ttl, ttl_during = (TTL_USUAL if keep_ttl else _ttl(params, "ttl"), _ttl(params, "ttl_during")) if provider.has_ttl else (0, 0)
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
        owner=(params.get("owner") or None) if provider.can_own else None,
        disown=state == "released" or (back is not None and back.get("owner") is None),
        max_changes=params["max_changes"],
        keep_ttl=keep_ttl and back is None,
        goal=normal_values(key.type, params["values"] or ()) if state == "prepared" else (),
    )


def read_key(params: t.Mapping[str, t.Any], provider: Provider) -> Key:
    """The RRset that ``params`` name. Raises FleetError invalid_value."""
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
