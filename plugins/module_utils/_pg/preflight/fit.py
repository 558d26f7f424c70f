# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules over both servers: whether new can hold what legacy has. Pure."""

from __future__ import annotations

import re

from ..._core.finding import Finding
from ..model import Options
from ..server import collations
from ..server.collations import Collation
from ..server.postgres import ident, literal
from .survey import Observed

# Room that a copy with its indexes, the log of the copy and sorting need, against what the database takes now.
_ROOM = 1.2
_WRITTEN = "Nothing has to be done."
_COMPARED = (
    ("encoding", "encoding"),
    ("datlocprovider", "locale provider"),
    ("datcollate", "collation"),
    ("datctype", "character type"),
    ("datlocale", "locale"),
    ("daticurules", "rules of ICU"),
)


def both(options: Options, legacy: Observed, new: Observed) -> list[Finding]:
    findings = []
    for name, version in sorted(legacy.extensions.items()):
        findings += _extension(name, version, new.available.get(name))
    findings += [
        Finding(
            "preflight_failed",
            "fail",
            f"tablespace {name}",
            f"Tablespace {name} does not exist on new.",
            f"On new: CREATE TABLESPACE {ident(name)} LOCATION '<directory>'; the directory is empty and belongs to the account of the server. Or move what is"
            f" in it, on legacy: ALTER TABLE ALL IN TABLESPACE {ident(name)} SET TABLESPACE pg_default; and the same of INDEX.",
        )
        for name in legacy.objects.get("used_tablespaces", ())
        if name not in new.tablespaces
    ]
    if legacy.database is not None and new.database is None:
        wanted = legacy.database["datcollate"]
        if wanted not in ("C", "POSIX") and not any(_locale(wanted) == _locale(name) for name in new.locales):
            findings.append(
                Finding(
                    "preflight_failed",
                    "fail",
                    f"locale {wanted}",
                    f"Locale {wanted} does not exist on new.",
                    _generate(wanted),
                )
            )
    if legacy.database is not None:
        findings += _collations(legacy, new)
    if legacy.database is not None and new.database is not None:
        for column, name in _COMPARED:
            wanted, found = legacy.database.get(column) or "", new.database.get(column) or ""
            if _plain(wanted) != _plain(found):
                findings.append(
                    Finding(
                        "preflight_failed",
                        "fail",
                        f"new.{column}",
                        f"The {name} of {options.new.dbname} is {found or 'none'} on new and {wanted or 'none'} on legacy.",
                        f"On new, where it is empty: DROP DATABASE {ident(options.new.dbname)}; it is made with the right one.",
                    )
                )
    return findings


def _collations(legacy: Observed, new: Observed) -> list[Finding]:
    """Collations by name and the provider of the database: what new's build or its operating system has not."""
    missing = []
    if legacy.database is not None and legacy.database.get("datlocprovider") == "i" and new.database is None and not _has_icu(new):
        missing.append((f"database {legacy.database['datlocale']}", "The order of the database is one of ICU", _ICU))
    for used in legacy.named_collations:
        if used.provider == "i" and not _has_icu(new):
            missing.append((used.name, f"Collation {used.name} is one of ICU", f"{_ICU} Or drop the collation on legacy, where nothing uses it."))
        elif used.of_system and new.own_collations and used.plain not in new.own_collations:
            anew = _generate(used.locale, "make its cluster anew with initdb, which takes in every collation of the system.")
            missing.append((used.name, f"Collation {used.name} is one of the operating system of legacy", anew))
        elif used.provider == "c" and not used.of_system and used.locale not in ("C", "POSIX"):
            if not any(_locale(used.locale) == _locale(name) for name in new.locales):
                missing.append((used.name, f"Collation {used.name} has the locale {used.locale}", _generate(used.locale)))
    return [Finding("preflight_failed", "fail", name, f"{why}, which new does not have.", remedy) for name, why, remedy in missing]


_ICU = "Install a PostgreSQL on new that was built with ICU, as the packages of PostgreSQL and of Debian are."


def _has_icu(new: Observed) -> bool:
    """initdb of a build with ICU imports its collations, with their versions (pg_import_system_collations)."""
    return any(provider == "i" for provider, _locale_name in new.sorted_by)


def _generate(locale: str, then: str = "") -> str:
    """pg_collation is filled by initdb, so what comes later has to be taken in."""
    then = then or "run in its database postgres, on new: SELECT pg_import_system_collations('pg_catalog');"
    return f"Generate it on the new host (locale-gen {locale}), restart the server, and {then}"


def _plain(value: str) -> str:
    """de_DE of PostgreSQL 15 is de-DE in 16, which writes a locale of ICU as a language tag."""
    return value.replace("_", "-").lower()


def locks(legacy: Observed, new: Observed) -> list[Finding]:
    """pg_dump locks every table in one transaction, and the window every sequence: the table of locks of a server has to hold them."""
    findings = []
    for side, observed in (("legacy", legacy), ("new", new)):
        per = int(observed.settings.get("max_locks_per_transaction", "0"))
        sessions = int(observed.settings.get("max_connections", "0")) + int(observed.settings.get("max_prepared_transactions", "0"))
        if per and sessions and legacy.locked > per * sessions:
            findings.append(
                Finding(
                    "preflight_failed",
                    "fail",
                    f"{side}.max_locks_per_transaction",
                    f"{legacy.locked} tables or sequences are locked at once; {side} has room for {per * sessions} locks"
                    f" (max_locks_per_transaction {per} for each of {sessions} sessions).",
                    f"On {side}: ALTER SYSTEM SET max_locks_per_transaction = {-(-legacy.locked // sessions) + per}; and restart its server.",
                )
            )
    return findings


def _extension(name: str, version: str, there: str | None) -> list[Finding]:
    """``there`` is the version that new would install, which is always its default: a dump of a schema names none."""
    if there is None:
        return [
            Finding(
                "preflight_failed",
                "fail",
                f"extension {name}",
                f"Extension {name} cannot be installed on new.",
                f"Install its package on the new host (apt install postgresql-<major>-<name>), until it is listed there:"
                f" SELECT * FROM pg_available_extensions WHERE name = {literal(name)};",
            )
        ]
    if there == version:
        return []
    if _numbers(there) < _numbers(version):
        return [
            Finding(
                "preflight_failed",
                "fail",
                f"extension {name}",
                f"Extension {name} is {version} on legacy, and new would install {there}, which is older.",
                f"Install a package on the new host that has {version} or later, until it is listed there:"
                f" SELECT default_version FROM pg_available_extensions WHERE name = {literal(name)};",
            )
        ]
    return [
        Finding(
            "extension_version",
            "warn",
            f"extension {name}",
            f"Extension {name} is {version} on legacy; new installs {there}.",
            f"Nothing has to be done. To make them equal before, on legacy: ALTER EXTENSION {ident(name)} UPDATE;",
        )
    ]


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def room(legacy: Observed, new: Observed) -> list[Finding]:
    """Only where the new server's own file system can be seen; elsewhere ``evidence.size_bytes`` is for the caller to compare."""
    if new.room is None or new.room >= _ROOM * legacy.size:
        return []
    return [
        Finding(
            "no_space",
            "fail",
            "new.data_directory",
            f"The file system of new has {new.room // 1048576} MB free; the database has {legacy.size // 1048576} MB, and {_ROOM:g} times that is"
            " needed.",
            f"Make room on the new host for {int(_ROOM * legacy.size - new.room) // 1048576 + 1} MB more, or give it a larger volume.",
        )
    ]


def sorting(legacy: Observed, new: Observed) -> list[Finding]:
    """Order of text differs between versions of a library, and one that tells no version may differ from any. Indexes are built anew on new, so
    only bounds of partitions can be wrong there."""
    findings = []
    ranges = legacy.objects.get("text_ranges", ())
    for used in legacy.collations:
        if used.by_bytes or used.by_code_points:
            continue
        if used.made != used.now:
            findings.append(
                Finding(
                    "collation_version",
                    "warn",
                    used.name,
                    f"{used.name} was made with version {used.made or 'none'} on legacy, which now has {used.now or 'none'}: its indexes there may be out of"
                    " order.",
                    _refreshed(used),
                )
            )
        if collations.differs(used, new.sorted_by):
            there = collations.version_in(new.sorted_by, used.provider, used.locale)
            listed = f" Range partitions over text: {', '.join(ranges)}." if ranges else " No range partition is over text."
            findings.append(
                Finding(
                    "collation_version",
                    "warn",
                    used.name,
                    f"{used.name} sorts by version {used.now or 'none'} on legacy and {there or 'none'} on new; indexes are built anew there.{listed}",
                    "Nothing has to be done: state seeded sends rows of these partitions to new and looks, before anything is written on legacy."
                    if ranges
                    else _WRITTEN,
                )
            )
    return findings


def _refreshed(used: Collation) -> str:
    """https://www.postgresql.org/docs/15/sql-altercollation.html, Notes; of the database itself since 15. A version is never noted where none was
    (AlterCollation and AlterDatabaseRefreshColl: invalid collation version change)."""
    then = f"ALTER COLLATION {used.name} REFRESH VERSION"
    if not used.made or not used.now:
        then = "nothing: such a version cannot be noted, and the move builds all of them anew"
    elif used.name.startswith("database "):
        then = f"ALTER {used.name.replace('database', 'DATABASE', 1)} REFRESH COLLATION VERSION"
    return f"On legacy, for each index that uses it, in place of its table: REINDEX TABLE <table>; then {then};"


def _locale(name: str) -> str:
    """en_US.utf8 and en_US.UTF-8 are one locale."""
    return name.lower().replace("-", "")
