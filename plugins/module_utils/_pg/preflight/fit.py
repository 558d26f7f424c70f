# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules over both servers: whether new can hold what legacy has. Pure."""

from __future__ import annotations

import re

from ..model import Finding, Options
from .survey import Collation, Seen

# Room that a copy with its indexes, the log of the copy and sorting need, against what the database takes now.
_ROOM = 1.2
_WRITTEN = "Nothing has to be done."


def both(options: Options, legacy: Seen, new: Seen) -> list[Finding]:
    findings = []
    for name, version in sorted(legacy.extensions.items()):
        findings += _extension(name, version, new.available.get(name))
    findings += [
        Finding(
            "preflight_failed",
            "fail",
            f"tablespace {name}",
            f"Tablespace {name} does not exist on new.",
            f"CREATE TABLESPACE {name} on new, or move its tables to pg_default on legacy.",
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


def _extension(name: str, version: str, there: str | None) -> list[Finding]:
    """``there`` is the version that new would install, which is always its default: a dump of a schema names none."""
    if there is None:
        return [
            Finding(
                "preflight_failed",
                "fail",
                f"extension {name}",
                f"Extension {name} cannot be installed on new.",
                "Install its package on the new host.",
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
                f"Install a package on the new host that has {version} or later.",
            )
        ]
    return [
        Finding(
            "extension_version",
            "warn",
            f"extension {name}",
            f"Extension {name} is {version} on legacy; new installs {there}.",
            f"ALTER EXTENSION {name} UPDATE on legacy makes them equal.",
        )
    ]


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def room(legacy: Seen, new: Seen) -> list[Finding]:
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
            "Make room on the new host, or give it a larger volume.",
        )
    ]


def sorting(legacy: Seen, new: Seen) -> list[Finding]:
    """Order of text differs between versions of a library. Indexes are built anew on new, so only bounds of partitions can be wrong there."""
    findings = []
    ranges = legacy.objects.get("text_ranges", ())
    for used in legacy.collations:
        if used.made != used.now and used.now:
            findings.append(
                Finding(
                    "collation_version",
                    "warn",
                    used.name,
                    f"{used.name} was made with version {used.made} on legacy, which now has {used.now}: its indexes there may be out of order.",
                    "REINDEX what uses it on legacy, then ALTER COLLATION (or DATABASE) … REFRESH COLLATION VERSION.",
                )
            )
        there = new.sorted_by.get((used.provider, used.locale))
        if there is not None and used.now and _library(used, used.now) != _library(used, there):
            listed = f" Range partitions over text: {', '.join(ranges)}." if ranges else " No range partition is over text."
            findings.append(
                Finding(
                    "collation_version",
                    "warn",
                    used.name,
                    f"{used.name} sorts by version {used.now} on legacy and {there} on new; indexes are built anew there.{listed}",
                    "Look whether rows near the bounds of these partitions still belong where they are." if ranges else _WRITTEN,
                )
            )
    return findings


def _library(used: Collation, version: str) -> str:
    """ICU's third number is the locale's own data, which differs by keywords; the first two are the library's."""
    return ".".join(version.split(".")[:2]) if used.provider == "i" else version


def _locale(name: str) -> str:
    """en_US.utf8 and en_US.UTF-8 are one locale."""
    return name.lower().replace("-", "")
