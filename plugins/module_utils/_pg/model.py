# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What exists in a cutover: the two servers, the link between them, the facts of both catalogs, findings. Options are read here."""

from __future__ import annotations

import re
import typing as t
from dataclasses import asdict, dataclass, field

from .._core import libpq
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
    "tls": "The certificate of a server could not be verified, or it speaks no TLS; it was sent no password.",
    "tls_weak": "Finding of level warn: sslmode is weaker than verify-full; what an attacker in the path gets is named.",
    "role_unsafe": "A role would get more rights on new than it has on legacy, or its name or a setting of it cannot be copied; nothing was changed.",
    "privileges": "The control user may not do what the cutover needs; it has to be a superuser.",
    "tool_missing": "A program or library is not installed; the package is named.",
    "job_lost": "A detached switch has no result and no process works on the pair; the catalogs say what it left.",
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
    "router_failed": "What holds, routes or releases the clients failed: a command, or PgBouncer.",
    "rows_differ": "The comparison after the switch found a difference; the new side serves.",
    "verify_incomplete": "The comparison after the switch could not be finished in time; the new side serves.",
    "window_too_long": "The copy inside the window would take longer than max_window; nothing was changed.",
    "split_brain": "Both databases take writes.",
    "inconsistent": "The facts of the two servers fit no phase of a cutover.",
    "loss_possible": "There is no lossless way back any more.",
    "keyless_table": "A table has no key that replication can use; level warn names what stands in for it, keyless: fail refuses it.",
    "type_unsupported": "A table without key has a column whose type has no equality; table, column and type are named.",
    "no_space": "The file system of the new server has less than 1.2 times the size of the database free.",
    "collation_version": "Finding of level warn: the order of text differs between the servers, or from what indexes were built with.",
    "extension_version": "Finding of level warn: new installs a later version of an extension.",
    "large_objects": "Finding of level warn: large objects are compared and carried inside the window.",
    "link_password": "Finding of level warn: the link's role is made without a password.",
    "long_transaction": "Finding of level warn: a transaction has been writing for more than a minute.",
    "materialized_view": "Finding of level warn: a materialized view is refreshed after each switch.",
    "publication": "Finding of level warn: a publication is not moved.",
    "server_timeout": "Finding of level warn: the database sets a timeout, which link and control sessions switch off for themselves.",
    "slot_limit": "Finding of level warn: a setting of the server can make a replication slot lose its log.",
    "unlogged_table": "Finding of level warn: rows of an unlogged table are compared and carried inside the window.",
    "owner_code": "Code of an owner who is no superuser would run with the rights of one; the functions are named, and accept_owner_code accepts them.",
    "name_taken": "What stands under a name of the cutover (schema pgcut, pgcut_fwd, pgcut_rev) was made by somebody else; nothing was changed.",
    "link_role": "The role of the link exists already and lacks rights, or others are its members; it was given nothing.",
    "object_changed": "A table or sequence was replaced, or got a rule or trigger that fires always, while it was used; it was not touched.",
    "target_not_fenced": "It is not proven that the new side takes no writes, so legacy was not opened.",
    "sync_unavailable": "guarantee: sync cannot be given; the side that serves goes on without it.",
    "conflict": "The state that was asked for contradicts the side that serves.",
    "timeout": "Something was not seen in time; what was last seen is named.",
    "evidence_missing": "The snapshot that a step relies on does not exist on this host.",
    "disk_space": "A file system has too little room for a dump or a restore, or ran full; nothing is left of the attempt.",
    "dump_failed": "pg_dump failed; no snapshot was kept.",
    "unsafe_path": "Others could read or exchange the directory of the snapshots, or one above it; nothing was changed.",
    "snapshot_format": "The snapshot was taken by an earlier version and keeps its roles as SQL, which is not run; nothing was changed.",
    "checksum": "A file of a snapshot is missing or not what was written.",
    "restore_failed": "A dump could not be restored; the scratch database is gone, a target stays closed for writes.",
    "manifest_differs": "What was restored is not what the manifest of the snapshot says.",
    "retained": "The snapshot is younger than its retention.",
    "only_copy": "No other good copy of the snapshot was proven.",
}

SIDES = ("legacy", "new")
OTHER = {"legacy": "new", "new": "legacy"}
FORWARD, REVERSE = "pgcut_fwd", "pgcut_rev"
# CREATE DATABASE, locks and settings are done from here: the database itself may not exist yet, and advisory locks live per database.
MAINTENANCE = "postgres"
# How far a copy of engine dump is (pgcut.stage of the database on new): schema without rows, which come inside the window, and rows that
# are only partly there until that window has opened new.
OUTLINE, COPYING = "outline", "copying"


@dataclass(frozen=True)
class Endpoint:
    """How the module reaches one server. ``host`` may be a socket directory; ``passfile`` and ``sslrootcert`` are paths on this host.

    ``sslmode`` is what the user said; `tls` is what is used.
    """

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

    @property
    def tls(self) -> str:
        return libpq.sslmode(self.host, self.sslmode)


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
    """What holds, routes and releases the clients. ``{side}`` in a word of a command is the side that shall serve.

    ``check`` is only timed. From ``host`` on it is about PgBouncer: its console, its file on this host, the entries of ``databases`` in it,
    and how it reaches each side.
    """

    type: str = "none"
    pause: tuple[tuple[str, ...], ...] = ()
    route: tuple[tuple[str, ...], ...] = ()
    warmup: tuple[tuple[str, ...], ...] = ()
    resume: tuple[tuple[str, ...], ...] = ()
    timeout: float = 30
    check: tuple[tuple[str, ...], ...] = ()
    host: str = "/var/run/postgresql"
    port: int = 6432
    user: str = "pgbouncer"
    passfile: str = ""
    config: str = "/etc/pgbouncer/pgbouncer.ini"
    databases: tuple[str, ...] = ()
    addresses: t.Mapping[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """A snapshot to take: what it is called, where it is kept, how it is compressed. ``directory`` is a path on the module's host."""

    directory: str
    subject: str
    kind: str = "before"
    compress: str = "auto"


@dataclass(frozen=True)
class Options:
    """All that a run was asked for."""

    state: str
    legacy: Endpoint
    new: Endpoint
    link: Link | None = None
    router: Router = Router()
    engine: str = "auto"
    allow_legacy_restart: bool = False
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
    guarantee: str = "async"
    trial_window: bool = False
    accept_loss: bool = False
    snapshot: Order | None = None
    accept_owner_code: tuple[str, ...] = ()

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
    """One side: ``epoch`` is ``<id>:open``, ``:commit`` or ``:abort`` of its last switch; ``stage`` how far a seeded copy is (new only).

    ``publishes`` is whether its wal_level is logical, so that the other side can follow it.
    """

    exists: bool = True
    fenced: bool = False
    epoch: str = ""
    stage: str = ""
    helper: bool = False
    publishes: bool = True


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


def weak_tls(endpoints: t.Iterable[Endpoint], link: Link | None = None) -> list[Finding]:
    """A finding of level warn for each connection whose server, or the name in its certificate, is not verified."""
    found = [(endpoint.side, endpoint.host, endpoint.sslmode, "The session is a superuser's.") for endpoint in endpoints]
    if link is not None:
        host = ",".join(reach.host for reach in link.reach.values())
        found.append(("link", host, link.sslmode, "The link's role reads every row."))
    return [
        Finding(
            "tls_weak",
            "warn",
            f"{name}.sslmode",
            f"{libpq.weakness(name, host, given)} {what}",
            f"Leave {name}.sslmode out (verify-full) and name the CA with sslrootcert, or use a socket directory.",
        )
        for name, host, given, what in found
        if libpq.weakness(name, host, given)
    ]


_ENDPOINT = tuple(name for name in Endpoint.__dataclass_fields__ if name != "side")
_REACH = tuple(Reach.__dataclass_fields__)
_COMMANDS = ("pause", "route", "warmup", "resume", "check")
_PGBOUNCER = ("host", "port", "user", "passfile", "config", "databases", "to_legacy", "to_new")
# Beside type and timeout.
_ROUTERS: dict[str, tuple[str, ...]] = {"none": (), "libpq": (), "pgbouncer": _PGBOUNCER, "command": _COMMANDS}
_ROUTER = ("type", "timeout", *_COMMANDS, *_PGBOUNCER)
_ADDRESS = ("host", "port")
_LINK = ("user", "password", "sslmode", "to_legacy", "to_new")
_ORDER = ("directory", "subject", "compress")
# Every option that names a server, of all modules of the room.
_SERVERS = (*SIDES, "source", "target")


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
        known[side] = endpoint(side, params[side])
    known["link"] = _link(params["link"]) if params.get("link") else None
    known["router"] = _router(params.get("router") or {}, known)
    known["snapshot"] = _order(params["snapshot"], params["legacy"]["dbname"]) if params.get("snapshot") else None
    known["ignore_databases"] = tuple(params.get("ignore_databases") or ())
    known["accept_owner_code"] = tuple(params.get("accept_owner_code") or ())
    known.setdefault("state", "info")
    return Options(**known)


def secrets(params: t.Mapping[str, t.Any]) -> list[str]:
    """What never leaves a module: every password among its parameters."""
    groups = [params.get(name) for name in (*_SERVERS, "link")]
    return [str(group["password"]) for group in groups if isinstance(group, t.Mapping) and group.get("password")]


def misspelt(params: t.Mapping[str, t.Any]) -> list[str]:
    """One sentence for each nested key that does not exist, with the near miss."""
    groups: list[tuple[str, t.Any, t.Iterable[str]]] = [(side, params.get(side), _ENDPOINT) for side in _SERVERS]
    link = params.get("link")
    router = params.get("router")
    groups += [("link", link, _LINK), ("router", router, _ROUTER), ("snapshot", params.get("snapshot"), _ORDER)]
    for field_, given, keys in (("link", link, _REACH), ("router", router, _ADDRESS)):
        if isinstance(given, t.Mapping):
            groups += [(f"{field_}.{name}", given.get(name), keys) for name in ("to_legacy", "to_new")]
    return [sentence for field_, given, known in groups if isinstance(given, t.Mapping) for sentence in unknown_keys(field_, given, known)]


def _invalid(params: t.Mapping[str, t.Any]) -> list[str]:
    wrong = [f"{side}.{name}: missing." for side in SIDES for name in ("host", "dbname") if not params[side].get(name)]
    for name in ("max_window", "drain_grace", "window_attempts"):
        if params.get(name) is not None and float(params[name]) <= 0:
            wrong.append(f"{name}: {params[name]} is not above 0.")
    if params.get("max_window") and params.get("drain_grace") and float(params["drain_grace"]) >= float(params["max_window"]):
        wrong.append(f"drain_grace: {params['drain_grace']} s leaves nothing of max_window {params['max_window']} s.")
    wrong += _invalid_router(params.get("router") or {})
    if params.get("trial_window") and params.get("state") != "armed":
        wrong.append(f"trial_window: it is for state armed, not {params.get('state')}.")
    if params.get("accept_loss") and params.get("state") != "legacy":
        wrong.append(f"accept_loss: it is for state legacy, not {params.get('state')}.")
    wrong += _invalid_order(params.get("snapshot") or {}, params["legacy"].get("dbname") or "")
    link = params.get("link") or {}
    if link:
        wrong += [f"link.{name}.host: missing." for name in ("to_legacy", "to_new") if not (link.get(name) or {}).get("host")]
    return wrong


def _invalid_router(router: t.Mapping[str, t.Any]) -> list[str]:
    type_ = router.get("type") or "none"
    if type_ not in _ROUTERS:
        return [f"router.type: {type_} does not exist; use {', '.join(_ROUTERS)}."]
    given = [name for name in (*_COMMANDS, *_PGBOUNCER) if router.get(name) not in (None, [], {}, "")]
    wrong = [
        f"router.{name}: belongs to router type {'command' if name in _COMMANDS else 'pgbouncer'}, not to {type_}."
        for name in given
        if name not in _ROUTERS[type_]
    ]
    if router.get("timeout") is not None and float(router["timeout"]) <= 0:
        wrong.append(f"router.timeout: {router['timeout']} is not above 0.")
    for name in _COMMANDS:
        lists = router.get(name) or []
        if not isinstance(lists, list) or any(not isinstance(argv, list) or not argv for argv in lists):
            wrong.append(f"router.{name}: not a list of commands, each a list of words.")
    if type_ == "pgbouncer":
        wrong += [f"router.{name}.host: missing." for name in ("to_legacy", "to_new") if router.get(name) and not router[name].get("host")]
        wrong += [f"router.databases: {name!r} is no name of an entry." for name in router.get("databases") or () if name in ("", "*")]
    return wrong


def _invalid_order(order: t.Mapping[str, t.Any], dbname: str) -> list[str]:
    if not order:
        return []
    wrong = [] if order.get("directory") else ["snapshot.directory: missing."]
    problem = subject_problem(order.get("subject") or dbname)
    return [*wrong, f"snapshot.{problem}"] if problem else wrong


# A subject is part of file names and, behind "bowline ", of an application_name of at most 63 bytes.
_SUBJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,29}")


def subject_problem(subject: str) -> str:
    """Why ``subject`` cannot be one; empty when it can."""
    if _SUBJECT.fullmatch(subject):
        return ""
    return f"subject: {subject!r} is not 1 to 30 letters, digits, dots, dashes or underscores that begin with a letter or digit."


def _order(values: t.Mapping[str, t.Any], dbname: str) -> Order:
    return Order(values["directory"], values.get("subject") or dbname, "switch", values.get("compress") or "auto")


def _given(values: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {name: int(value) if name == "port" else value for name, value in values.items() if value is not None}


def endpoint(side: str, values: t.Mapping[str, t.Any]) -> Endpoint:
    """``side`` is also the name of the option, which messages show."""
    known = _given(values)
    known["command_prefix"] = tuple(str(word) for word in known.get("command_prefix") or ())
    return Endpoint(side=side, **known)


def _link(values: t.Mapping[str, t.Any]) -> Link:
    reach = {side: Reach(**_given(values[f"to_{side}"])) for side in SIDES}
    return Link(values.get("user") or "pgcut_repl", values.get("sslmode") or "verify-full", reach, values.get("password") or "")


def _router(values: t.Mapping[str, t.Any], endpoints: t.Mapping[str, Endpoint]) -> Router:
    """Where PgBouncer is not told how it reaches a side, it is as this module does; without ``databases`` the entry has the database's name."""
    type_ = values.get("type") or "none"
    known: dict[str, t.Any] = _given({name: values.get(name) for name in ("timeout", "host", "port", "user", "passfile", "config")})
    known |= {name: tuple(tuple(str(word) for word in argv) for argv in values.get(name) or ()) for name in _COMMANDS}
    if type_ == "pgbouncer":
        known["databases"] = tuple(values.get("databases") or (endpoints["legacy"].dbname,))
        known["addresses"] = {}
        for side in SIDES:
            there = values.get(f"to_{side}") or {"host": endpoints[side].host, "port": endpoints[side].port}
            known["addresses"][side] = (str(there["host"]), int(there.get("port") or 5432))
    return Router(type=type_, **known)
