# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was added to an extension or granted on it by hand: a dump has of an extension its name only, and rights that differ from its own."""

from __future__ import annotations

import re
import typing as t

from ..._core.finding import Finding
from ..server.postgres import Server, Session, ident, literal

# Scripts of PostGIS since its first version are larger; then nothing is said.
_BYTES = 32 * 1024 * 1024
_DYNAMIC = re.compile(r"\bEXECUTE\s+(?!FUNCTION\b|PROCEDURE\b|ON\b)[^;]*\bCREATE\b", re.I)
_KINDS = r"(?:FUNCTION|PROCEDURE|AGGREGATE|TABLE|VIEW|SEQUENCE|TYPE|DOMAIN)"

# Whatever one transaction made stands in pg_depend with one xmin: CREATE EXTENSION with its script, and what went with it. ``later`` came by an
# update, by pg_upgrade, or by hand. Types of rows, of arrays and of several ranges have no statement of their own.
_MEMBERS = """
WITH members AS (
  SELECT d.refobjid AS extension, d.xmin::text AS made, d.classid, d.objid, coalesce(p.proname, c.relname, y.typname) AS plain,
    i.type, i.identity
  FROM pg_depend d LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
  LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
  LEFT JOIN pg_type y ON d.classid = 'pg_type'::regclass AND y.oid = d.objid
  CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) i
  WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
), counted AS (SELECT extension, made, count(*) AS many FROM members GROUP BY 1, 2),
most AS (SELECT DISTINCT ON (extension) extension, made FROM counted ORDER BY extension, many DESC)
SELECT e.extname AS extension, m.plain, m.type, m.identity, o.made <> m.made AS later
FROM members m JOIN most o ON o.extension = m.extension
JOIN pg_extension e ON e.oid = m.extension WHERE m.plain IS NOT NULL AND NOT EXISTS
  (SELECT FROM pg_depend d WHERE d.classid = m.classid AND d.objid = m.objid
    AND d.refclassid IN ('pg_class'::regclass, 'pg_type'::regclass) AND d.deptype IN ('a', 'i'))
ORDER BY 1, 4
"""
# pg_dump writes down rights that differ from those that the script gave (pg_init_privs).
_GRANTED = """
SELECT e.extname AS extension, p.proname AS plain, p.oid::regprocedure::text AS identity FROM pg_depend d
JOIN pg_extension e ON e.oid = d.refobjid JOIN pg_proc p ON p.oid = d.objid
LEFT JOIN pg_init_privs i ON i.classoid = d.classid AND i.objoid = d.objid AND i.objsubid = 0
WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
AND p.proacl IS DISTINCT FROM i.initprivs AND p.proacl IS NOT NULL ORDER BY 1, 3
"""
_SCRIPTS = """
SELECT f.name, (pg_stat_file(f.path)).size, f.path FROM (SELECT l.name, c.setting || '/extension/' || l.name AS path FROM pg_config c
CROSS JOIN LATERAL pg_ls_dir(c.setting || '/extension') l(name) WHERE c.name = 'SHAREDIR') f
WHERE left(f.name, length(%s) + 2) = %s || '--' AND right(f.name, 4) = '.sql'
"""


def findings(legacy: Server, new: Server, available: t.Mapping[str, str], versions: t.Mapping[str, str]) -> list[Finding]:
    """``available`` is what new would install, ``versions`` what legacy has. Only a superuser may read the scripts of extensions."""
    if not all(side.admin.value("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") for side in (legacy, new)):
        return []
    return [*_added(legacy.db), *_granted(legacy.db, new.admin, available, versions)]


def _added(session: Session) -> list[Finding]:
    found: list[Finding] = []
    texts: dict[str, str] = {}
    for row in session.rows(_MEMBERS):
        name = row["extension"]
        if name not in texts:
            texts[name] = "\n".join(_scripts(session, name).values())
        # A script that puts names together makes what it does not name.
        if not texts[name] or _made(row["plain"], texts[name]) or (not row["later"] and _DYNAMIC.search(texts[name])):
            continue
        found.append(
            Finding(
                "preflight_failed",
                "fail",
                row["identity"],
                f"The {row['type']} {row['identity']} was added to extension {name} by hand: no script of it makes it, and no dump has it.",
                f"On legacy, so that it is moved: ALTER EXTENSION {ident(name)} DROP {row['type'].upper()} {row['identity']};",
            )
        )
    return found


def _made(plain: str, text: str) -> bool:
    """Whether a script makes something of this name."""
    return re.search(rf"\b{_KINDS}\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:[\w@]+\.)?\"?{re.escape(plain)}\"?(?!\w)", text, re.I) is not None


def _granted(legacy: Session, new: Session, available: t.Mapping[str, str], versions: t.Mapping[str, str]) -> list[Finding]:
    """Rights to a function that an update between both versions drops, to make it anew with other arguments, mostly."""
    found = []
    for row in legacy.rows(_GRANTED):
        name = row["extension"]
        if available.get(name, versions.get(name)) == versions.get(name):
            continue
        later = [text for script, text in _scripts(new, name).items() if script.count("--") == 2 and _number(script) > _number(versions[name])]
        if any(re.search(rf"\bDROP\s+FUNCTION\s+(?:IF\s+EXISTS\s+)?(?:[\w@]+\.)?\"?{re.escape(row['plain'])}\"?\s*[(;]", text, re.I) for text in later):
            found.append(
                Finding(
                    "preflight_failed",
                    "fail",
                    row["identity"],
                    f"Rights to {row['identity']} of extension {name} were granted, and version {available[name]} of new does not have it like that.",
                    f"On legacy, for each account that SELECT proacl FROM pg_proc WHERE oid = {literal(row['identity'])}::regprocedure; shows:"
                    f" REVOKE EXECUTE ON FUNCTION {row['identity']} FROM <account>; and grant it on new after the switch.",
                )
            )
    return found


def _number(script: str) -> list[int]:
    """Of a version, or of the version that an update leads to."""
    return [int(part) for part in re.findall(r"\d+", script.rpartition("--")[2])]


def _scripts(session: Session, name: str) -> dict[str, str]:
    """Scripts of an extension by file name; none where they are elsewhere, or too large."""
    rows = session.rows(_SCRIPTS, name, name)
    if sum(int(row["size"]) for row in rows) > _BYTES:
        return {}
    names = {row["path"]: row["name"] for row in rows}
    read = session.rows("SELECT p AS path, pg_read_binary_file(p) AS text FROM unnest(%s::text[]) p", list(names))
    return {names[row["path"]]: bytes(row["text"]).decode("utf-8", "replace") for row in read}
