# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What would stop a cutover, and what an operator should know before it: rules over what was seen. Pure; all findings at once."""

from __future__ import annotations

import typing as t

from .catalog import Keyless
from .model import Finding, Options
from .roles import unable
from .survey import Seen

# REPLICA IDENTITY FULL without an index makes every UPDATE on the follower read the whole table.
_FULL_BYTES = 10 * 1024 * 1024
_NEED_FREE = 4


def judge(
    options: Options, found: str, legacy: Seen, new: Seen | None, drifted: t.Sequence[str] = (), *, publishes: bool = True
) -> list[Finding]:
    """All findings for a cutover in phase ``found``. ``new`` is None only when it is planned and does not answer yet.

    ``publishes`` is false when new never follows legacy (engine dump); whether a side can publish at all is judged by `engine`.
    Once rows have been copied, what was judged before the copy is not judged again: only what can still change.
    """
    findings = [*_server("legacy", legacy, publishes), *_objects(legacy, options)]
    before = found in ("empty", "prepared")
    if new is None:
        return [*findings, *_alone(options, legacy)]
    findings += [*_server("new", new), *_versions(legacy, new)]
    if before:
        findings += [*_alone(options, legacy), *_fit(options, legacy, new), *_empty(options, found, new)]
    elif found in ("seeded", "armed", "new", "new_armed"):
        findings += [_schema(name) for name in drifted]
    return sorted(findings, key=lambda finding: finding.level)


def fatal(findings: t.Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level == "fail"]


def _server(side: str, seen: Seen, publishes: bool = True) -> list[Finding]:
    findings = []
    if not seen.superuser:
        findings.append(
            Finding("privileges", "fail", f"{side}.user", f"The control user of {side} is no superuser.", "Connect as a superuser.")
        )
    if not 120000 <= seen.version < 190000:
        findings.append(Finding("no_engine", "fail", side, f"{side} is PostgreSQL {_major(seen.version)}; 12 to 18 are supported."))
    for free, name in ((seen.slots_free, "max_replication_slots"), (seen.senders_free, "max_wal_senders")):
        # A side that only follows sends nothing, but each subscription takes an origin, of which there are max_replication_slots.
        if free < _NEED_FREE and (publishes or name != "max_wal_senders"):
            findings.append(
                Finding(
                    "preflight_failed",
                    "fail",
                    f"{side}.{name}",
                    f"{free} of {name} {seen.settings[name]} are free on {side}; {_NEED_FREE} are needed.",
                    f"Raise {name}; this needs a restart.",
                )
            )
    if int(seen.settings["max_logical_replication_workers"]) < _NEED_FREE:
        findings.append(
            Finding(
                "preflight_failed",
                "fail",
                f"{side}.max_logical_replication_workers",
                f"It is {seen.settings['max_logical_replication_workers']} on {side}; {_NEED_FREE} are needed.",
                "Raise it; this needs a restart.",
            )
        )
    if int(seen.settings.get("max_slot_wal_keep_size", "-1")) > 0:
        findings.append(
            Finding(
                "slot_lost",
                "warn",
                f"{side}.max_slot_wal_keep_size",
                f"A slot that falls back by more than {seen.settings['max_slot_wal_keep_size']} MB loses its log.",
                "Set it to -1 until the pair is finished.",
            )
        )
    findings += [
        Finding(
            "preflight_failed",
            "fail",
            f"{side}.{name}",
            f"Slot {name} on {side} belongs to a cutover of another database.",
            "Finish that one first.",
        )
        for name in seen.foreign_slots
    ]
    return findings


# Kind of object, level, code, message, remedy. The name of the object is put in for {}.
_RULES = (
    ("invalid_indexes", "fail", "preflight_failed", "Index {} is invalid.", "REINDEX or drop it."),
    (
        "foreign_tables",
        "fail",
        "preflight_failed",
        "{} is a foreign table; its rows are elsewhere.",
        "Drop it, or move what it points to first.",
    ),
    (
        "firing_triggers",
        "fail",
        "preflight_failed",
        "Trigger {} fires for replicated rows too.",
        "ALTER TABLE … ENABLE TRIGGER it, without ALWAYS or REPLICA.",
    ),
    ("full_sequences", "fail", "preflight_failed", "Sequence {} is beyond 95 % of its range.", "Widen its type and that of its column."),
    ("prepared", "fail", "prepared_transactions", "Transaction {} is prepared.", "COMMIT PREPARED or ROLLBACK PREPARED it."),
    ("jobs", "fail", "preflight_failed", "Extension {} writes by itself, past every fence.", "Stop its jobs and drop it for the cutover."),
    ("subscriptions", "fail", "preflight_failed", "Subscription {} writes into the database, past every fence.", "Disable and drop it."),
    (
        "unfencing",
        "fail",
        "preflight_failed",
        "Role {} has default_transaction_read_only of its own, which beats the fence.",
        "ALTER ROLE … RESET default_transaction_read_only.",
    ),
    (
        "unlogged",
        "warn",
        "preflight_failed",
        "{} is unlogged: its structure is moved, its rows are not.",
        "ALTER TABLE … SET LOGGED if its rows matter.",
    ),
    ("views", "warn", "preflight_failed", "Materialized view {} is filled on new by a refresh of its own.", ""),
    ("publications", "warn", "preflight_failed", "Publication {} is not moved.", "Create it on new, and let its subscribers start anew."),
    ("timeouts", "warn", "preflight_failed", "The database sets {}; the link switches it off for itself.", ""),
    (
        "old_transactions",
        "warn",
        "active_transactions",
        "{} has been writing for more than a minute; slots and the window wait for it.",
        "Let it end.",
    ),
)


def _objects(legacy: Seen, options: Options) -> list[Finding]:
    findings = []
    for kind, level, code, message, remedy in _RULES:
        findings += [Finding(code, level, name, message.format(name), remedy) for name in legacy.objects.get(kind, ())]
    for table in legacy.keyless:
        findings += _keyless(table, options)
    if legacy.large_objects:
        findings.append(
            Finding(
                "preflight_failed",
                "warn",
                "pg_largeobject",
                f"{legacy.large_objects} large objects are compared and carried inside the window.",
                "",
            )
        )
    return findings


def _keyless(table: Keyless, options: Options) -> list[Finding]:
    name = str(table)
    if options.keyless == "fail":
        return [Finding("keyless_table", "fail", name, f"{name} has no key.", "Add a primary key, or allow keyless: index_or_full.")]
    if table.index:
        return [Finding("keyless_table", "warn", name, f"{name} has no key; its unique index {table.index} becomes its replica identity.")]
    if table.without:
        columns = ", ".join(table.without)
        return [
            Finding(
                "type_unsupported",
                "fail",
                name,
                f"{name} has no key, and column {columns} has no equality, so its rows cannot be found again.",
                "Add a key, or change json to jsonb.",
            )
        ]
    size = f" It has {table.bytes // 1048576} MB, and each UPDATE reads all of it." if table.bytes > _FULL_BYTES else ""
    return [
        Finding("keyless_table", "warn", name, f"{name} has no key; whole rows become its replica identity.{size}", "Add a primary key.")
    ]


def _alone(options: Options, legacy: Seen) -> list[Finding]:
    findings = []
    if legacy.database is None:
        findings.append(
            Finding(
                "preflight_failed",
                "fail",
                "legacy.dbname",
                f"Database {options.legacy.dbname} does not exist on legacy.",
                "Correct legacy.dbname.",
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
    if options.link is not None and not options.link.password and unable(legacy.link_role):
        findings.append(
            Finding(
                "link_auth",
                "warn",
                options.link.user,
                f"The link's role {options.link.user} {unable(legacy.link_role)} on legacy; it is made, without password.",
                "Give link.password, or create the role with its password on both servers.",
            )
        )
    return findings


def _versions(legacy: Seen, new: Seen) -> list[Finding]:
    findings = []
    if new.version // 10000 < legacy.version // 10000:
        findings.append(
            Finding(
                "no_engine",
                "fail",
                "new",
                f"new is PostgreSQL {_major(new.version)}, older than legacy with {_major(legacy.version)}.",
                "Install the same or a newer one.",
            )
        )
    if legacy.system == new.system:
        findings.append(
            Finding("preflight_failed", "fail", "new.host", "Both endpoints are one and the same server.", "Correct new.host and new.port.")
        )
    return findings


def _fit(options: Options, legacy: Seen, new: Seen) -> list[Finding]:
    findings = []
    for name, version in sorted(legacy.extensions.items()):
        there = new.available.get(name)
        if there is None:
            findings.append(
                Finding(
                    "preflight_failed",
                    "fail",
                    f"extension {name}",
                    f"Extension {name} cannot be installed on new.",
                    "Install its package on the new host.",
                )
            )
        elif version not in there:
            findings.append(
                Finding(
                    "preflight_failed",
                    "warn",
                    f"extension {name}",
                    f"Extension {name} is {version} on legacy; new has {', '.join(there)} and takes its default.",
                    "Update the extension on legacy, or install this version on new.",
                )
            )
    if legacy.database is not None and new.database is None:
        wanted = legacy.database["datcollate"]
        if wanted not in ("C", "POSIX") and not any(_locale(wanted) == _locale(name) for name in new.locales):
            findings.append(
                Finding(
                    "preflight_failed",
                    "fail",
                    f"locale {wanted}",
                    f"Locale {wanted} does not exist on new.",
                    f"Generate it: locale-gen {wanted}, then restart.",
                )
            )
    if legacy.database is not None and new.database is not None:
        for column, name in (("encoding", "encoding"), ("datcollate", "collation"), ("datctype", "character type")):
            if legacy.database[column] != new.database[column]:
                findings.append(
                    Finding(
                        "preflight_failed",
                        "fail",
                        f"new.{column}",
                        f"The {name} of {options.new.dbname} is {new.database[column]} on new and {legacy.database[column]} on legacy.",
                        f"Drop the empty database {options.new.dbname} on new; it is made with the right one.",
                    )
                )
    return findings


def _empty(options: Options, found: str, new: Seen) -> list[Finding]:
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
            "Drop or rename it after looking at what it holds.",
        )
    ]


def _schema(name: str) -> Finding:
    return Finding(
        "schema_drift",
        "fail",
        name,
        f"The schema differs: {name}.",
        "Run the same DDL on the other side (with SET pgcut.bypass = on), then run again.",
    )


def _locale(name: str) -> str:
    """en_US.utf8 and en_US.UTF-8 are one locale."""
    return name.lower().replace("-", "")


def _major(version: int) -> str:
    return str(version // 10000)
