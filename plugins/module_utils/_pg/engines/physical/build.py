# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether files that one server wrote can be read by another one: how both were built, and by what both sort text. Deciding is pure."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ...server import collations
from ...server.collations import Collation
from ...server.postgres import Session

# What pg_control records of the build; the rest of pg_control_init is chosen by initdb and comes with the copy.
_CONTROL = (
    "max_data_alignment",
    "database_block_size",
    "blocks_per_segment",
    "wal_block_size",
    "max_identifier_length",
    "max_index_columns",
    "max_toast_chunk_size",
    "large_object_chunk_size",
    "float8_pass_by_value",
    "pg_control_version",
    "catalog_version_no",
)
# A value, or a page in the log, that one build has compressed has to be read by the other one; a build offers what it can.
_COMPRESSED = ("default_toast_compression", "wal_compression")
_READ = """
SELECT version() AS version, to_jsonb(i) || jsonb_build_object('pg_control_version', s.pg_control_version, 'catalog_version_no', s.catalog_version_no)
  AS control, (SELECT coalesce(jsonb_object_agg(name, enumvals), '{}') FROM pg_settings WHERE name = ANY (%s)) AS offers
FROM pg_control_init() i, pg_control_system() s
"""
_TARGET = re.compile(r"^\S+ \S+(?: \([^)]*\))? on (\S+?),")


@dataclass(frozen=True)
class Build:
    """One server. ``version`` is what version() says, ``control`` are columns of pg_control_init and pg_control_system, ``offers`` the values that
    settings of `_COMPRESSED` may have; ``sorts`` is `collations.known`, ``locales`` are those that initdb found."""

    version: str
    control: t.Mapping[str, t.Any] = field(default_factory=dict)
    offers: t.Mapping[str, t.Sequence[str]] = field(default_factory=dict)
    sorts: t.Mapping[t.Tuple[str, str], str] = field(default_factory=dict)
    locales: t.Tuple[str, ...] = ()

    @property
    def target(self) -> tuple[str, str]:
        """Processor, and system with its C library, of the triplet that the server was built for: x86_64-pc-linux-musl is x86_64, linux-musl.

        The vendor between them means nothing for files. A build by meson names no library (PG_VERSION_STR in meson.build); that a C library has
        versions tells that it is glibc there.
        """
        found = _TARGET.match(self.version)
        words = (found[1] if found else self.version).split("-")
        system = words[words.index("linux") :] if "linux" in words else words[-1:] if len(words) < 3 else words[2:]
        if system == ["linux"] and ("c", "") in self.sorts:
            system = ["linux", "gnu"]
        return words[0], "-".join(system)


def read(session: Session) -> Build:
    row = session.rows(_READ, list(_COMPRESSED))[0]
    names = session.rows("SELECT DISTINCT collcollate AS name FROM pg_collation WHERE collprovider = 'c' AND collcollate IS NOT NULL")
    return Build(row["version"], row["control"], row["offers"], collations.known(session), tuple(each["name"] for each in names))


def unlike(legacy: Build, new: Build) -> list[str]:
    """Why files cannot go from one to the other, in either direction."""
    pairs = [(f"{name} (pg_controldata)", legacy.control.get(name), new.control.get(name)) for name in _CONTROL]
    pairs += zip(("processor (version())", "system and C library (version())"), legacy.target, new.target)
    reasons = [f"{name}: {here} on legacy and {there} on new; files are not portable between them" for name, here, there in pairs if here != there]
    for name in _COMPRESSED:
        here, there = set(legacy.offers.get(name) or ()), set(new.offers.get(name) or ())
        if here != there:
            without = "new" if here - there else "legacy"
            reasons.append(f"{', '.join(sorted(here ^ there))} of {name} is not built into {without}, which could not read what it compressed")
    return reasons


def unsorted(used: t.Iterable[Collation], new: Build) -> list[str]:
    """Why indexes on text would be wrong on new without any message: an index is ordered by the library that wrote it."""
    reasons = [reason for each in used if not each.by_bytes for reason in _unsorted(each, new)]
    return [f"{reason}; indexes on text would be read in another order" for reason in dict.fromkeys(reasons)]


def _unsorted(each: Collation, new: Build) -> list[str]:
    if each.provider == "c" and new.locales and not any(collations.base(name) == collations.base(each.locale) for name in new.locales):
        return [f"locale {each.locale} ({each.name}) does not exist on new"]
    if each.by_code_points:
        return []
    if each.now is None:
        return [f"{each.name} sorts by locale {each.locale}, of which the library on legacy tells no version, as musl does"]
    if each.made != each.now:
        return [f"{each.name} was made with version {each.made or 'none'} of locale {each.locale}, and legacy has {each.now} now"]
    there = collations.version_in(new.sorts, each.provider, each.locale)
    # A server knows no version of a locale with keywords before it has one.
    keywords = "-u-" in each.locale or "@" in each.locale
    here = collations.of_library(each.provider, each.now) if keywords else each.now
    if (collations.of_library(each.provider, there or "") if keywords else there) != here:
        return [f"{each.name} sorts by version {each.now} of locale {each.locale} on legacy and {there or 'none'} on new"]
    return []
