# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes as hosts of an inventory: their names, groups, variables, and the way to them. Pure.

What a machine or its provider says is the word of a stranger. It becomes the value of a variable, never a name of one; a group gets a name of letters,
digits and underscores; an address is one, and not one of the controller itself.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
import typing as t
from dataclasses import dataclass, field

from .._core.finding import Finding
from .._core.redact import redact
from .._core.result import plain
from .._core.visible import visible
from .._store.model import utc
from .health import silence
from .hostkeys import Pin, pins
from .model import PHASES, Instance, Json
from .reading import Read
from .run import NAME
from .wanted import PLACED

# Phases in which there is a machine that somebody may want to talk to or about.
PRESENT = tuple(phase for phase in PHASES if phase not in ("no_instance", "terminated"))
PREFERENCES = ("ipv4", "ipv6", "private", "public", "name")
# Names that mean something else in every inventory.
_TAKEN = ("all", "ungrouped", "localhost", "nodes", "cordoned", "drifted", "stalled")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_PINNED = re.compile(r"\[(?P<host>[^\]]+)\]:(?P<port>\d{1,5})")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


@dataclass(frozen=True)
class Wanted:
    """Which nodes, under which names. ``preference`` are words of `PREFERENCES` and networks; ``known_hosts`` is the path of the fleet's file."""

    phases: t.Tuple[str, ...] = PRESENT
    preference: t.Tuple[str, ...] = ("ipv4", "ipv6", "name")
    host_id: str = "name"
    fresh_within: t.Optional[float] = None
    known_hosts: str = ""


@dataclass(frozen=True)
class Host:
    name: str
    groups: t.Tuple[str, ...] = ()
    variables: t.Mapping[str, t.Any] = field(default_factory=dict)


def wrong(wanted: Wanted) -> t.List[Finding]:
    """What of the options cannot be worked with."""
    found = []
    for phase in wanted.phases:
        if phase not in PHASES:
            found.append(_invalid("phases", f"phases has {phase!r}; known are {', '.join(PHASES)}."))
    for word in wanted.preference:
        if word not in PREFERENCES and _network(word) is None:
            found.append(_invalid("address_preference", f"address_preference has {word!r}; it takes {', '.join(PREFERENCES)} and networks like 10.0.0.0/8."))
    return found


def hosts(reads: t.Iterable[Read], known_hosts: str, wanted: Wanted) -> t.Tuple[t.List[Host], t.List[str]]:
    """Hosts by name, and a warning for each node that cannot be one. ``known_hosts`` is the text of the fleet's file."""
    pinned = {pin.instance: pin for pin in pins(known_hosts) if pin.instance and pin.names}
    found, warnings = [], []
    for one in reads:
        instance = one.facts.instance
        if one.verdict.phase not in wanted.phases or not _fresh(one, wanted):
            continue
        name = one.node.name if wanted.host_id == "name" else instance.id if instance is not None else ""
        refused = _refused(name, wanted)
        if refused:
            warnings.append(f"{visible(one.node.name)} is left out: {refused}")
            continue
        pin = pinned.get(instance.id) if instance is not None else None
        found.append(Host(name, groups(one), {"node_name": one.node.name, "bowline": facts_of(one, pin), **_way(instance, pin, wanted)}))
    return found, warnings


def _invalid(name: str, message: str) -> Finding:
    return Finding("option_invalid", "fail", field=name, message=message, remedy="Correct the option.")


def _fresh(one: Read, wanted: Wanted) -> bool:
    said = one.facts.contacted_at()
    return wanted.fresh_within is None or (said is not None and one.facts.now - said <= wanted.fresh_within)


def _refused(name: str, wanted: Wanted) -> str:
    if not name:
        return "it has no machine, so there is no id to name it by."
    if name in _TAKEN:
        other = "instance" if wanted.host_id == "name" else "name"
        return f"a host called {name} would be taken for something else. With host_id: {other} it is called otherwise."
    return "" if (NAME if wanted.host_id == "name" else _ID).fullmatch(name) else f"its {wanted.host_id} is no name of a host."


def groups(one: Read) -> t.Tuple[str, ...]:
    """Groups of a node, in order. What has no word for a group of a kind is in none."""
    instance = one.facts.instance
    pairs = [("phase", one.verdict.phase), ("health", one.health), ("provider", instance.provider if instance else ""), ("template", one.node.template)]
    pairs += [("module", str(module["name"])) for module in one.node.modules]
    words = [f"{kind}_{word}" for kind, word in pairs if word]
    words += ["cordoned"] if instance is not None and instance.cordoned_by else []
    words += ["drifted"] if one.facts.drifted else []
    words += ["stalled"] if one.health == "stalled" else []
    return tuple(dict.fromkeys(["nodes", *(re.sub(r"[^A-Za-z0-9_]", "_", word)[:120] for word in words)]))


def facts_of(one: Read, pin: t.Optional[Pin]) -> Json:
    """The variable ``bowline`` of a host."""
    node, facts, instance = one.node, one.facts, one.facts.instance
    quiet = silence(facts)
    found = {
        "phase": one.verdict.phase,
        "reason": one.verdict.reason,
        "health": one.health,
        "silent_for": None if quiet is None else round(quiet, 1),
        "contacted_at": utc(facts.contacted_at()),
        "read_at": utc(facts.now),
        "drifted": facts.drifted,
        "host_key_pinned": pin is not None,
        "guards": [guard.kind for guard in node.guards if guard.holds(facts.now)],
        **{name: getattr(node, name) for name in ("name", "template", "platform", "architecture", "lifecycle_class", "labels", "quorum_group")},
        "modules": [str(module["name"]) for module in node.modules],
        "failed_units": list(facts.heartbeat.failed_units) if facts.heartbeat is not None else [],
        "instance": _machine(instance) if instance is not None else None,
    }
    return t.cast(Json, visible(redact(plain(found))))


def _machine(instance: Instance) -> Json:
    names = ("id", "generation", "provider", "provider_id", "power", "scheduling", "addresses", "desired")
    placed = instance.spec.get(PLACED)
    host = placed.get("host") if isinstance(placed, t.Mapping) else None
    return {**{name: getattr(instance, name) for name in names}, "host": host, "created_at": utc(instance.created_at)}


# --- the way to a machine ---------------------------------------------------------------------------------------------------------


def _way(instance: t.Optional[Instance], pin: t.Optional[Pin], wanted: Wanted) -> Json:
    """Address, port, and the words for ssh. Nothing of a machine is trusted the first time: without a pin, ssh asks as it always does."""
    found: Json = {}
    at_pin, port = _of_pin(pin)
    address = chosen([*usable(instance.addresses if instance is not None else ()), *at_pin], wanted.preference)
    if address:
        found["ansible_host"] = address
    if pin is not None and wanted.known_hosts:
        found.update({"ansible_port": port} if port != 22 else {})
        found["ansible_ssh_common_args"] = ssh_words(wanted.known_hosts, pin.names[0])
        # ssh takes the first of two words of one kind, and host_key_checking: false would come before ours.
        found["ansible_ssh_host_key_checking"] = True
    return found


def ssh_words(known_hosts: str, alias: str) -> str:
    """Words for ssh that hold it to the pin, whatever address the machine has now.

    Source: ssh_config(5), HostKeyAlias, UserKnownHostsFile (a list of files in which blanks part and quotes hold together; % begins a token),
    StrictHostKeyChecking, UpdateHostKeys (which would write into the file).
    """
    file = known_hosts.replace("%", "%%")
    options = (f'UserKnownHostsFile="{file}"', "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes", "UpdateHostKeys=no", "CheckHostIP=no",
               f"HostKeyAlias={alias}")  # fmt: skip
    return " ".join(f"-o {shlex.quote(option)}" for option in options)


def _of_pin(pin: t.Optional[Pin]) -> t.Tuple[t.List[str], int]:
    """Names and addresses at which the key was seen when it was pinned, and the port."""
    found, port = [], 22
    for name in pin.names if pin is not None else ():
        match = _PINNED.fullmatch(name)
        found.append(match["host"] if match else name)
        port = int(match["port"]) if match else port
    return [name for name in found if _address(name) is not None or (_HOST.fullmatch(name) and pin is not None and name != pin.node)], port


def usable(addresses: t.Iterable[str]) -> t.List[str]:
    """Addresses at which a machine can be, those of one link last. One that leads back to the controller, or to many, is none."""
    found = []
    for text in addresses:
        address = _address(text)
        if address is None or address.is_loopback or address.is_unspecified or address.is_multicast:
            continue
        if not address.is_link_local or "%" in text:
            found.append((address.is_link_local, text))
    return [text for _link, text in sorted(found, key=lambda pair: pair[0])]


def chosen(candidates: t.Sequence[str], preference: t.Sequence[str]) -> str:
    """The first candidate that fits the first word that any fits; empty when none does."""
    return next((candidate for word in preference for candidate in candidates if _fits(candidate, word)), "")


def _fits(candidate: str, word: str) -> bool:
    address, network = _address(candidate), _network(word)
    if address is None:
        return word == "name"
    if network is not None:
        return address in network
    kinds = {"ipv4": address.version == 4, "ipv6": address.version == 6, "private": address.is_private, "public": address.is_global}
    return kinds.get(word, False)


def _address(text: str) -> t.Union[ipaddress.IPv4Address, ipaddress.IPv6Address, None]:
    try:
        # Python 3.9 and newer know a zone behind an address of a link; what else may stand there is not for a command line.
        return ipaddress.ip_address(text) if re.fullmatch(r"[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?", text) else None
    except ValueError:
        return None


def _network(word: str) -> t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network, None]:
    try:
        return ipaddress.ip_network(word, strict=False) if "/" in word else None
    except ValueError:
        return None
