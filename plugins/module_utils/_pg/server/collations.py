# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What text is sorted by: the locales that a database uses, each with the version that was noted with it and the one that its library has now.

A version is noted for collations since PostgreSQL 10 (of the C library since 13) and for a database since 15. musl, the C library of Alpine,
tells none, and sorts every locale by code points (docker-library/postgres, issues 327 and 1047).
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .postgres import Session

# The locale of a collation has had four names: collcollate before PostgreSQL 15, colliculocale in 15 and 16, colllocale since 17.
_LOCALE = "coalesce(to_jsonb({0})->>'{1}locale', to_jsonb({0})->>'{1}iculocale', to_jsonb({0})->>'{1}collate')"
# default, C and POSIX are noted nowhere; what is noted as used (pg_depend) are columns, indexes, partition keys, range types and expressions.
_NAMED = f"""
SELECT quote_ident(n.nspname) || '.' || quote_ident(l.collname) AS name, l.collprovider::text AS provider, {_LOCALE.format('l', 'coll')} AS locale,
  l.collversion AS made, pg_collation_actual_version(l.oid) AS now
FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace WHERE l.collprovider IN ('c', 'i') AND EXISTS
  (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_collation'::regclass AND d.refobjid = l.oid AND d.deptype <> 'p') ORDER BY 1
"""
_LIBRARY = "(SELECT max(pg_collation_actual_version(oid)) FROM pg_collation WHERE collprovider = 'c')"
_OF_DATABASES = ", (SELECT max(pg_database_collation_actual_version(oid)) FROM pg_database WHERE datlocprovider = 'c')"
_DATABASE = f"""
SELECT 'database ' || quote_ident(datname) AS name, datlocprovider::text AS provider, {_LOCALE.format('d', 'dat')} AS locale, datcollversion AS made,
  pg_database_collation_actual_version(oid) AS now FROM pg_database d WHERE datname = current_database() AND datlocprovider IN ('c', 'i')
"""
_KNOWN = f"SELECT collprovider::text AS provider, {_LOCALE.format('l', 'coll')} AS locale, {{}} AS version FROM pg_collation l WHERE collprovider = %s"


@dataclass(frozen=True)
class Collation:
    """One that a database uses. ``made`` is the version that was noted when it was made, ``now`` that of its library; None where there is none."""

    name: str
    provider: str
    locale: str
    made: str | None
    now: str | None

    @property
    def by_bytes(self) -> bool:
        """Sorted by PostgreSQL itself, alike everywhere."""
        return self.provider not in ("c", "i") or (self.provider == "c" and self.locale.upper() in ("C", "POSIX"))

    @property
    def by_code_points(self) -> bool:
        """C.UTF-8: PostgreSQL names no version for it (get_collation_actual_version in src/backend/utils/adt/pg_locale.c), and every library sorts
        it by code points (glibc NEWS for 2.35)."""
        return self.provider == "c" and self.locale.upper().startswith("C.")


def base(locale: str) -> str:
    """The locale without its keywords, which every server knows, in one spelling: de for de-u-co-phonebk, en_us.utf8 for en_US.UTF-8."""
    return re.split("-u-|@", locale)[0].lower().replace("-", "").replace("_", "")


def used(session: Session) -> tuple[Collation, ...]:
    """Those of the session's database: its own, and each that columns, indexes, partition keys or types have."""
    return (*_of_database(session), *(Collation(**{**row, "locale": row["locale"] or ""}) for row in session.rows(_NAMED)))


def _of_database(session: Session) -> list[Collation]:
    library, found = version_of_libc(session), []
    row = session.rows("SELECT quote_ident(datname) AS name, datcollate, datctype FROM pg_database WHERE datname = current_database()")[0]
    if session.version >= 150000:
        found = [Collation(**{**each, "locale": each["locale"] or ""}) for each in session.rows(_DATABASE)]
    else:
        # Nothing was noted, so nothing can be said about when it was made.
        found = [Collation(f"database {row['name']}", "c", row["datcollate"], library, library)]
    if found and found[0].provider == "c" and base(row["datctype"]) != base(row["datcollate"]):
        # Upper and lower case, in expressions of indexes.
        found.append(Collation(f"character type of database {row['name']}", "c", row["datctype"], library, library))
    return found


def version_of_libc(session: Session) -> str | None:
    """All locales of one C library share its version; None for a library that tells none, and where nothing but C is known."""
    of_databases = _OF_DATABASES if session.version >= 150000 else ""
    value = session.value(f"SELECT coalesce({_LIBRARY}{of_databases})")
    return str(value) if value else None


def known(session: Session) -> dict[tuple[str, str], str]:
    """Versions of what this server can sort by, by provider and `base` of the locale; that of the C library under an empty locale."""
    rows = session.rows(_KNOWN.format("pg_collation_actual_version(oid)"), "i")
    found = {(row["provider"], base(row["locale"])): row["version"] for row in rows if row["locale"] and row["version"]}
    library = version_of_libc(session)
    return {**found, **({("c", ""): library} if library else {})}


def version_in(versions: t.Mapping[tuple[str, str], str], provider: str, locale: str) -> str | None:
    """What `known` has for a locale."""
    return versions.get((provider, "" if provider == "c" else base(locale)))


def of_library(provider: str, version: str) -> str:
    """ICU's third number is the locale's own data, which differs by keywords; the first two are the library's."""
    return ".".join(version.split(".")[:2]) if provider == "i" else version


def differs(used_: Collation, versions: t.Mapping[tuple[str, str], str]) -> bool:
    """Whether a server with these versions (`known`) may sort otherwise: one that tells no version may."""
    if used_.by_bytes or used_.by_code_points:
        return False
    there = version_in(versions, used_.provider, used_.locale)
    return not used_.now or not there or of_library(used_.provider, used_.now) != of_library(used_.provider, there)
