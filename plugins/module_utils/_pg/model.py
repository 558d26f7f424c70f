# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What exists in a cutover: the two servers, the link between them, the facts of both catalogs, findings. Options are read here."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._core import libpq
from .._core.finding import Finding

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
    "account_unsafe": "An account would get more rights on new than it has on legacy, or its name or a setting of it cannot be copied; nothing was changed.",
    "accounts_differ": "An account, membership, setting or right on the database differs and cannot be made equal; each is named, and no window was opened.",
    "account_superuser": "Finding of level warn: a superuser of legacy is made on new as one.",
    "account_taken": "Finding of level warn: an account that exists on new gets password, attributes, memberships and settings of its namesake on legacy.",
    "privileges": "The control user may not do what the cutover needs; it has to be a superuser.",
    "tool_missing": "A program or library is not installed, or its version does not fit the servers; the package is named.",
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
    "schema_unfit": "New cannot make something of legacy's schema, or makes it otherwise: found in an empty restore on new; nothing was written on legacy.",
    "rows_unfit": "Rows of legacy break a constraint or an index of theirs, so new would refuse them: their keys are named; nothing was changed.",
    "not_tried": "Finding of level warn: what could not be tried without writing on new; state seeded tries it before it writes on legacy.",
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
    "link_password": "Finding of level warn: the link's account is made without a password.",
    "long_transaction": "Finding of level warn: a transaction has been writing for more than a minute.",
    "materialized_view": "Finding of level warn: a materialized view is refreshed after each switch.",
    "replication_slot": "Finding of level warn: a logical replication slot of somebody else stays on legacy.",
    "scheduled_job": "Finding of level warn: a job of new has its row on legacy as well, whose scheduler may start it, too.",
    "publication": "Finding of level warn: a publication is not moved.",
    "server_timeout": "Finding of level warn: the database sets a timeout, which link and control sessions switch off for themselves.",
    "slot_limit": "Finding of level warn: a setting of the server can make a replication slot lose its log.",
    "unlogged_table": "Finding of level warn: rows of an unlogged table are compared and carried inside the window.",
    "owner_code": "Code of an owner who is no superuser would run with the rights of one; the functions are named, and accept_owner_code accepts them.",
    "name_taken": "What stands under a name of the cutover (schema pgcut, pgcut_fwd, pgcut_rev) was made by somebody else; nothing was changed.",
    "link_account": "The account of the link exists already and lacks rights, or others are its members; it was given nothing.",
    "object_changed": "A table or sequence was replaced, or got a rule or trigger that fires always, while it was used; it was not touched.",
    "target_not_fenced": "It is not proven that the new side takes no writes, so legacy was not opened.",
    "sync_unavailable": "guarantee: sync cannot be given; the side that serves goes on without it.",
    "conflict": "The state that was asked for contradicts the side that serves.",
    "timeout": "Something was not seen in time; what was last seen is named.",
    "evidence_missing": "The snapshot that a step relies on does not exist on this host.",
    "disk_space": "A file system has too little room for a dump or a restore, or ran full; nothing is left of the attempt.",
    "dump_failed": "pg_dump failed; no snapshot was kept.",
    "unsafe_path": "Others could read or exchange the directory of the snapshots, or one above it; nothing was changed.",
    "snapshot_format": "The snapshot was taken by an earlier version and keeps its accounts as SQL, which is not run; nothing was changed.",
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
# A copy that failed for good: of rows, or of what follows them.
COPY_FAILED, REST_FAILED = "copy_failed", "rest_failed"
# A copy that was finished once.
COMPLETE = "complete"


@dataclass(frozen=True)
class Endpoint:
    """How the module reaches one server. ``host`` may be a socket directory; ``passfile``, ``sslrootcert`` and ``bindir`` are paths on this host,
    ``data_directory`` and ``server_bindir`` where the server lives.

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
    server_bindir: str = ""
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
class SnapshotSpec:
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
    snapshot: SnapshotSpec | None = None
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
    def complete(self) -> bool:
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


def weak_tls(endpoints: t.Iterable[Endpoint], link: Link | None = None) -> list[Finding]:
    """A finding of level warn for each connection whose server, or the name in its certificate, is not verified."""
    found = [(endpoint.side, endpoint.host, endpoint.sslmode, "The session is a superuser's.") for endpoint in endpoints]
    if link is not None:
        host = ",".join(reach.host for reach in link.reach.values())
        found.append(("link", host, link.sslmode, "The link's account reads every row."))
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
