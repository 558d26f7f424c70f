# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What exists in a cutover: the two servers, the link between them, the facts of both catalogs, findings. Options are read here."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, field

from .._core.argspec import unknown_keys
from .._core.errors import FleetError

FAILURES = {
    "unknown_key": "A nested option is misspelt; the nearest one is named and nothing was changed.",
    "invalid_value": "An option has a value that cannot work; nothing was changed.",
    "preflight_failed": "The preflight found what would stop the cutover; all findings are listed and nothing was changed.",
    "no_engine": "The engine that was asked for is not available in this version, or no engine fits these servers.",
    "restart_required": "wal_level is not logical on a server; changing it needs one restart.",
    "control_failed": "A server could not be started, stopped or asked for its control file; the command and its output are named.",
    "unreachable": "A server did not answer at the address and port that are named.",
    "auth": "A server refused the login of the control connection.",
    "privileges": "The control user may not do what the cutover needs; it has to be a superuser.",
    "tool_missing": "A program or library is not installed; the package is named.",
    "connection_lost": "A server closed the control connection; the next run reads the facts and continues.",
    "sql_error": "A server refused a statement; its message and SQLSTATE are in the details.",
    "locked": "Another run works on this pair of databases; its process and age are named.",
    "link_unreachable": "One server cannot reach the other one over the link.",
    "link_auth": "One server is refused by the other one over the link.",
    "seed_error": "The copy of schema or rows to the new side failed.",
    "slot_lost": "A replication slot lost its log, so the follower cannot catch up any more.",
    "apply_lagging": "The follower does not keep up, so no switch was tried or its window was given up.",
    "apply_error": "The follower cannot apply a change.",
    "schema_drift": "The two databases have different schemas; the objects are listed.",
    "active_transactions": "Sessions were still inside a transaction at the end of drain_grace; the window was given up.",
    "prepared_transactions": "Prepared transactions exist, which no fence can end; the window was given up.",
    "window_aborted": "The write pause was given up and writes are back where they were.",
    "outcome_unknown": "It could not be read whether the new side was opened; the old side stays closed.",
    "router_failed": "A command that holds, routes or releases the clients failed.",
    "rows_differ": "The comparison after the switch found a difference; the new side serves.",
    "verify_incomplete": "The comparison after the switch could not be finished in time; the new side serves.",
    "split_brain": "Both databases take writes.",
    "inconsistent": "The facts of the two servers fit no phase of a cutover.",
    "loss_possible": "There is no lossless way back any more.",
    "conflict": "The state that was asked for contradicts the side that serves.",
    "timeout": "Something was not seen in time; what was last seen is named.",
}

SIDES = ("legacy", "new")
FORWARD, REVERSE = "pgcut_fwd", "pgcut_rev"
# CREATE DATABASE, locks and settings are done from here: the database itself may not exist yet, and advisory locks live per database.
MAINTENANCE = "postgres"


@dataclass(frozen=True)
class Endpoint:
    """How the module reaches one server. ``host`` may be a socket directory; ``passfile`` and ``sslrootcert`` are paths on this host."""

    side: str
    host: str
    port: int = 5432
    dbname: str = ""
    user: str = "postgres"
    password: str = field(default="", repr=False)
    passfile: str = ""
    sslmode: str = ""
    sslrootcert: str = ""
    container: str = ""
    data_directory: str = ""
    bindir: str = ""
    service: str = ""
    command_prefix: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"the {self.side} server {self.host}:{self.port}"


@dataclass(frozen=True)
class Reach:
    """How one server's own process reaches the other one; paths are as that process sees them."""

    host: str
    port: int = 5432
    passfile: str = ""
    sslrootcert: str = ""


@dataclass(frozen=True)
class Link:
    """The replication path. ``reach["legacy"]`` is how the new server gets to legacy."""

    user: str
    sslmode: str
    reach: t.Mapping[str, Reach]
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Router:
    """Commands that hold, route and release the clients; ``{side}`` in a word is the side that shall serve."""

    type: str = "none"
    pause: tuple[tuple[str, ...], ...] = ()
    route: tuple[tuple[str, ...], ...] = ()
    warmup: tuple[tuple[str, ...], ...] = ()
    resume: tuple[tuple[str, ...], ...] = ()
    timeout: float = 30


@dataclass(frozen=True)
class Options:
    """All that a run was asked for."""

    state: str
    legacy: Endpoint
    new: Endpoint
    link: Link | None = None
    router: Router = Router()
    engine: str = "auto"
    max_window: float = 10
    drain_grace: float = 2
    on_active: str = "abort"
    window_attempts: int = 3
    verify: str = "hash"
    verify_timeout: float = 3600
    keyless: str = "index_or_full"
    ddl_freeze: bool = True
    seed_jobs: int = 0
    wait_timeout: float = 86400
    ignore_databases: tuple[str, ...] = ()
    new_planned: bool = False

    def endpoint(self, side: str) -> Endpoint:
        return self.legacy if side == "legacy" else self.new


@dataclass(frozen=True)
class Pair:
    """One direction: publication and slot on the source, subscription on the follower. Empty text means: does not exist.

    ``slot`` is inactive, active or lost; ``subscription`` is disabled or enabled; ``pending`` counts tables that are not in step yet.
    """

    publication: bool = False
    slot: str = ""
    subscription: str = ""
    pending: int = 0

    @property
    def whole(self) -> bool:
        """Nothing is missing that enabling the subscription needs."""
        return self.publication and self.slot in ("inactive", "active") and self.subscription != "" and self.pending == 0


@dataclass(frozen=True)
class SideFacts:
    """One side: ``epoch`` is ``<id>:open``, ``:commit`` or ``:abort`` of its last switch; ``stage`` how far a seeded copy is (new only)."""

    exists: bool = True
    fenced: bool = False
    epoch: str = ""
    stage: str = ""
    helper: bool = False


@dataclass(frozen=True)
class Facts:
    """What both catalogs say. Nothing else decides the phase."""

    legacy: SideFacts
    new: SideFacts
    forward: Pair = Pair()
    reverse: Pair = Pair()

    def side(self, name: str) -> SideFacts:
        return self.legacy if name == "legacy" else self.new


@dataclass(frozen=True)
class Finding:
    """One thing that the preflight has to say; ``level`` is fail or warn."""

    code: str
    level: str
    object: str
    message: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


_ENDPOINT = tuple(name for name in Endpoint.__dataclass_fields__ if name != "side")
_REACH = tuple(Reach.__dataclass_fields__)
_ROUTER = tuple(Router.__dataclass_fields__)
_LINK = ("user", "password", "sslmode", "to_legacy", "to_new")


def parse(params: t.Mapping[str, t.Any]) -> Options:
    """Module parameters as `Options`. Raises FleetError "unknown_key" or "invalid_value" with everything that is wrong, at once."""
    wrong = misspelt(params)
    if wrong:
        raise FleetError("unknown_key", " ".join(wrong), remedy="Correct the keys; nothing was changed.", details={"keys": wrong})
    wrong = _invalid(params)
    if wrong:
        raise FleetError("invalid_value", " ".join(wrong), remedy="Correct the values; nothing was changed.", details={"values": wrong})
    known = {name: params[name] for name in Options.__dataclass_fields__ if params.get(name) is not None}
    for side in SIDES:
        known[side] = _endpoint(side, params[side])
    known["link"] = _link(params["link"]) if params.get("link") else None
    known["router"] = _router(params.get("router") or {})
    known["ignore_databases"] = tuple(params.get("ignore_databases") or ())
    known.setdefault("state", "info")
    return Options(**known)


def secrets(params: t.Mapping[str, t.Any]) -> list[str]:
    """What never leaves a module: every password among its parameters."""
    groups = [params.get(name) for name in ("legacy", "new", "link")]
    return [str(group["password"]) for group in groups if isinstance(group, t.Mapping) and group.get("password")]


def misspelt(params: t.Mapping[str, t.Any]) -> list[str]:
    """One sentence for each nested key that does not exist, with the near miss."""
    groups: list[tuple[str, t.Any, t.Iterable[str]]] = [(side, params.get(side), _ENDPOINT) for side in SIDES]
    link = params.get("link")
    groups += [("link", link, _LINK), ("router", params.get("router"), _ROUTER)]
    if isinstance(link, t.Mapping):
        groups += [(f"link.{name}", link.get(name), _REACH) for name in ("to_legacy", "to_new")]
    return [sentence for field_, given, known in groups if isinstance(given, t.Mapping) for sentence in unknown_keys(field_, given, known)]


def _invalid(params: t.Mapping[str, t.Any]) -> list[str]:
    wrong = [f"{side}.{name}: missing." for side in SIDES for name in ("host", "dbname") if not params[side].get(name)]
    for name in ("max_window", "drain_grace", "window_attempts"):
        if params.get(name) is not None and float(params[name]) <= 0:
            wrong.append(f"{name}: {params[name]} is not above 0.")
    if params.get("max_window") and params.get("drain_grace") and float(params["drain_grace"]) >= float(params["max_window"]):
        wrong.append(f"drain_grace: {params['drain_grace']} s leaves nothing of max_window {params['max_window']} s.")
    router = params.get("router") or {}
    if router.get("type", "none") not in ("none", "command"):
        wrong.append(f"router.type: {router['type']} is not available in this version; use none or command.")
    for name in ("pause", "route", "warmup", "resume"):
        lists = router.get(name) or []
        if not isinstance(lists, list) or any(not isinstance(argv, list) or not argv for argv in lists):
            wrong.append(f"router.{name}: not a list of commands, each a list of words.")
    link = params.get("link") or {}
    if link:
        wrong += [f"link.{name}.host: missing." for name in ("to_legacy", "to_new") if not (link.get(name) or {}).get("host")]
    return wrong


def _given(values: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {name: int(value) if name == "port" else value for name, value in values.items() if value is not None}


def _endpoint(side: str, values: t.Mapping[str, t.Any]) -> Endpoint:
    known = _given(values)
    known["command_prefix"] = tuple(str(word) for word in known.get("command_prefix") or ())
    return Endpoint(side=side, **known)


def _link(values: t.Mapping[str, t.Any]) -> Link:
    reach = {side: Reach(**_given(values[f"to_{side}"])) for side in SIDES}
    return Link(values.get("user") or "pgcut_repl", values.get("sslmode") or "verify-full", reach, values.get("password") or "")


def _router(values: t.Mapping[str, t.Any]) -> Router:
    lists = {
        name: tuple(tuple(str(word) for word in argv) for argv in values.get(name) or ()) for name in ("pause", "route", "warmup", "resume")
    }
    return Router(type=values.get("type") or "none", timeout=float(values.get("timeout") or 30), **lists)
