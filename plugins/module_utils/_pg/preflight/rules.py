# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What would stop a cutover, and what an operator should know before it: rules over what was seen. Pure; all findings at once."""

from __future__ import annotations

import typing as t

from ..._core.finding import Finding
from ..model import Options
from ..plan import serving
from ..server.catalog import Keyless
from ..server.link_account import unfit, unfit_text
from ..server.postgres import ident, literal
from . import contents, fit, objects
from .survey import Observed

# REPLICA IDENTITY FULL without an index makes every UPDATE on the follower read the whole table.
_FULL_BYTES = 10 * 1024 * 1024
_NEED_FREE = 4
_WRITTEN = "Nothing has to be done."


def one_server() -> Finding:
    return Finding("preflight_failed", "fail", "new.host", "Both endpoints are one and the same server.", "Name the other server in new.host and new.port.")


def judge(
    options: Options, found: str, legacy: Observed, new: Observed | None, drifted: t.Sequence[str] = (), *, publishes: bool = True
) -> list[Finding]:
    """All findings for a cutover in phase ``found``. ``new`` is None only when it is planned and does not answer yet.

    ``publishes`` is false when new never follows legacy (engine dump); whether a side can publish at all is judged by `engine`.
    Once rows have been copied, what was judged before the copy is not judged again: only what can still change.
    """
    findings = [*_server("legacy", legacy, publishes), *_objects(legacy, options, _jobs(options, found, legacy, new))]
    before = found in ("empty", "prepared")
    if new is None:
        return [*findings, *_legacy_only(options, legacy), *_link_account(options, "legacy", legacy, True), *contents.findings(legacy.objects, legacy.version)]
    findings += [*_server("new", new), *_versions(legacy, new)]
    finished = found in ("new_only", "finished")
    if not finished:
        findings += [*_link_account(options, "legacy", legacy, before), *_link_account(options, "new", new, before)]
    if before:
        findings += [*_legacy_only(options, legacy), *fit.both(options, legacy, new), *_empty(options, found, new), *fit.room(legacy, new)]
        findings += [*fit.sorting(legacy, new), *contents.findings(legacy.objects, max(legacy.version, new.version))]
    findings += [_schema(name) for name in drifted]
    findings += fit.locks(legacy, new)
    return sorted(findings, key=lambda finding: finding.level)


def fatal(findings: t.Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level == "fail"]


def _server(side: str, observed: Observed, publishes: bool = True) -> list[Finding]:
    findings = []
    if observed.recovery:
        findings.append(
            Finding(
                "preflight_failed",
                "fail",
                side,
                f"{side} is a standby, which takes no writes.",
                f"Name the primary that it follows in {side}.host and {side}.port.",
            )
        )
    if not 120000 <= observed.version < 190000:
        findings.append(
            Finding(
                "no_engine",
                "fail",
                side,
                f"{side} is PostgreSQL {_major(observed.version)}; 12 to 18 are supported.",
                "Upgrade it to one of 12 to 18 with pg_upgrade, or move by pg_dump and pg_restore.",
            )
        )
    findings += _replication(side, observed, publishes)
    findings += [
        Finding(
            "preflight_failed",
            "fail",
            f"{side}.{name}",
            f"Slot {name} on {side} belongs to a cutover of another database.",
            f"Finish that one first, or give it up. If nothing is left of it, on {side}: SELECT pg_drop_replication_slot({literal(name)});",
        )
        for name in observed.foreign_slots
    ]
    return findings


def _replication(side: str, observed: Observed, publishes: bool) -> list[Finding]:
    """Room for slots, senders and workers, and limits that would cost a slot its log."""
    findings = []
    for free, name in ((observed.slots_free, "max_replication_slots"), (observed.senders_free, "max_wal_senders")):
        # A side that only follows sends nothing, but each subscription takes an origin, of which there are max_replication_slots.
        if free < _NEED_FREE and (publishes or name != "max_wal_senders"):
            findings.append(
                Finding(
                    "preflight_failed",
                    "fail",
                    f"{side}.{name}",
                    f"{free} of {name} {observed.settings[name]} are free on {side}; {_NEED_FREE} are needed.",
                    _raised(side, name, int(observed.settings[name]) + _NEED_FREE - free),
                )
            )
    if int(observed.settings["max_logical_replication_workers"]) < _NEED_FREE:
        findings.append(
            Finding(
                "preflight_failed",
                "fail",
                f"{side}.max_logical_replication_workers",
                f"It is {observed.settings['max_logical_replication_workers']} on {side}; {_NEED_FREE} are needed.",
                _raised(side, "max_logical_replication_workers", _NEED_FREE),
            )
        )
    if int(observed.settings.get("max_slot_wal_keep_size", "-1")) > 0:
        findings.append(
            Finding(
                "slot_limit",
                "warn",
                f"{side}.max_slot_wal_keep_size",
                f"A slot that falls back by more than {observed.settings['max_slot_wal_keep_size']} MB loses its log.",
                f"On {side}, until the pair is finished: ALTER SYSTEM SET max_slot_wal_keep_size = -1; SELECT pg_reload_conf();",
            )
        )
    if int(observed.settings.get("idle_replication_slot_timeout", "0")) > 0:
        findings.append(
            Finding(
                "slot_limit",
                "warn",
                f"{side}.idle_replication_slot_timeout",
                f"A slot that is not used for {observed.settings['idle_replication_slot_timeout']} s is lost; the one for the way back waits unused.",
                f"On {side}, until the pair is finished: ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();",
            )
        )
    return findings


def _raised(side: str, name: str, value: int) -> str:
    """The remedy for a setting that is read at the start of a server only (pg_settings.context: postmaster)."""
    return f"On {side}: ALTER SYSTEM SET {name} = {value}; and restart its server, which reads it at its start only."


def _jobs(options: Options, found: str, legacy: Observed, new: Observed | None) -> dict[str, tuple[str, ...]]:
    """Where new serves, its own are meant: a job that was started there again has a row on legacy, too, if its database is the one that moves."""
    if new is None or serving(found) != "new":
        return {"jobs": legacy.objects.get("jobs", ())}
    here = tuple(f"{name} on new" for name in new.objects.get("jobs", ()))
    return {"jobs": here} if options.state == "legacy" else {"jobs_beside": here}


def _objects(legacy: Observed, options: Options, jobs: t.Mapping[str, tuple[str, ...]]) -> list[Finding]:
    findings = objects.findings({**legacy.objects, "jobs": (), **jobs})
    for table in legacy.keyless:
        findings += _keyless(table, options)
    if legacy.large_objects:
        findings.append(
            Finding(
                "large_objects",
                "warn",
                "pg_largeobject",
                f"{legacy.large_objects} large objects ({legacy.large_bytes // 1048576} MB) are compared inside the window, and what changed"
                " since the copy is carried there.",
                "Nothing has to be done for a few; raise max_window for many. If their content stands in bytea columns by now, on legacy:"
                " SELECT lo_unlink(oid) FROM pg_largeobject_metadata;",
            )
        )
    return findings


def _keyless(table: Keyless, options: Options) -> list[Finding]:
    name = str(table)
    if options.keyless == "fail":
        return [
            Finding(
                "keyless_table",
                "fail",
                name,
                f"{name} has no key that replication can use, and keyless is fail.",
                f"On legacy: ALTER TABLE {name} ADD PRIMARY KEY (<columns>); or allow keyless: index_or_full.",
            )
        ]
    if table.index:
        return [
            Finding(
                "keyless_table",
                "warn",
                name,
                f"{name} has no primary key; its unique index {table.index} is its replica identity until the pair is finished.",
                _WRITTEN,
            )
        ]
    if table.without:
        columns = ", ".join(table.without)
        return [
            Finding(
                "type_unsupported",
                "fail",
                name,
                f"{name} has no key that replication can use, and no equality for {columns}, so its rows cannot be found again.",
                f"On legacy: ALTER TABLE {name} ADD PRIMARY KEY (<columns>); or change the type (json to jsonb, xml to text):"
                f" ALTER TABLE {name} ALTER COLUMN <column> TYPE <type>;",
            )
        ]
    size = f" It has {table.bytes // 1048576} MB, and each UPDATE or DELETE reads all of it." if table.bytes > _FULL_BYTES else ""
    return [
        Finding(
            "keyless_table",
            "warn",
            name,
            f"{name} has no key that replication can use; whole rows are its replica identity until the pair is finished.{size}",
            f"Nothing has to be done for a table that is seldom updated. Else, on legacy: ALTER TABLE {name} ADD PRIMARY KEY (<columns>);",
        )
    ]


def _legacy_only(options: Options, legacy: Observed) -> list[Finding]:
    findings = []
    if legacy.database is None:
        findings.append(
            Finding(
                "preflight_failed",
                "fail",
                "legacy.dbname",
                f"Database {options.legacy.dbname} does not exist on legacy.",
                "Name in legacy.dbname one of those that are there: SELECT datname FROM pg_database;",
            )
        )
    for name in legacy.databases:
        if name not in options.ignore_databases:
            findings.append(
                Finding(
                    "preflight_failed",
                    "fail",
                    f"database {name}",
                    f"Database {name} on legacy would not be moved.",
                    "Move it by a run of its own, or name it in ignore_databases.",
                )
            )
    if options.link is not None and not options.link.password and legacy.link_account is None:
        findings.append(
            Finding(
                "link_password",
                "warn",
                options.link.user,
                f"The link's account {options.link.user} does not exist on legacy; it is made, without password.",
                "Give link.password; or make the account with its password on both servers:"
                f" CREATE ROLE {ident(options.link.user)} LOGIN REPLICATION BYPASSRLS PASSWORD <password>;"
                f" GRANT pg_read_all_data TO {ident(options.link.user)};",
            )
        )
    return findings


def _versions(legacy: Observed, new: Observed) -> list[Finding]:
    findings = []
    if new.version // 10000 < legacy.version // 10000:
        findings.append(
            Finding(
                "no_engine",
                "fail",
                "new",
                f"new is PostgreSQL {_major(new.version)}, older than legacy with {_major(legacy.version)}.",
                f"Install PostgreSQL {_major(legacy.version)} or newer on new, and name that one in new.host and new.port.",
            )
        )
    if legacy.system == new.system:
        findings.append(one_server())
    return findings


def _link_account(options: Options, side: str, observed: Observed, before: bool) -> list[Finding]:
    """The account is made with the copy; one that exists is given nothing, and from then on nothing repairs it."""
    if options.link is None:
        return []
    user = options.link.user
    problem = unfit(observed.link_account, observed.version)
    if problem:
        code = "link_account" if before or (observed.link_account or {}).get("members") else "link_auth"
        return [Finding(code, "fail", f"{side}.{user}", *unfit_text(user, side, problem, observed.version))]
    if before or observed.link_account is not None:
        return []
    name = ident(user)
    remedy = f"On {side}: CREATE ROLE {name} LOGIN REPLICATION BYPASSRLS PASSWORD <password>; GRANT pg_read_all_data TO {name};"
    return [Finding("link_auth", "fail", f"{side}.{user}", f"The link's account {user} does not exist on {side}.", remedy)]


def _empty(options: Options, found: str, new: Observed) -> list[Finding]:
    """A database that stands on new already must be empty, unless an earlier run of ours has left it (phase prepared)."""
    if found == "prepared" or not new.objects.get("user_tables"):
        return []
    names = new.objects["user_tables"]
    return [
        Finding(
            "preflight_failed",
            "fail",
            "new.dbname",
            f"Database {options.new.dbname} on new is not empty and not ours: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}.",
            f"After looking at what it holds, on new: ALTER DATABASE {ident(options.new.dbname)} RENAME TO {ident(options.new.dbname + '_before')};"
            f" or DROP DATABASE {ident(options.new.dbname)};",
        )
    ]


def _schema(name: str) -> Finding:
    return Finding(
        "schema_drift",
        "fail",
        name,
        f"The schema differs: {name}.",
        "Run the same DDL on the other side, as a superuser in a session with SET pgcut.bypass = on (and SET default_transaction_read_only = off on the side"
        " that follows), then run again.",
    )


def _major(version: int) -> str:
    return str(version // 10000)
