# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Large objects, which logical replication leaves out: compared and carried with content, owner, grants and comment."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .postgres import Session, ident, literal

# Pages of 2 kB in one statement.
_PAGES = 512


@dataclass(frozen=True)
class Held:
    """One large object. ``grants`` are ``grantee privilege[*]`` with quoted names, sorted; ``hash`` is empty for one without pages."""

    owner: str
    grants: tuple[str, ...]
    comment: str | None
    hash: str


def exist(session: Session) -> bool:
    return bool(session.value("SELECT EXISTS (SELECT FROM pg_largeobject_metadata)"))


def held(session: Session) -> dict[int, Held]:
    """Every large object by its OID. The hash is one over its pages, so a hole is not the same as zeros that were written."""
    return {
        int(row["oid"]): Held(row["owner"], tuple(row["grants"]), row["comment"], row["hash"])
        for row in session.rows(
            "SELECT m.oid, pg_get_userbyid(m.lomowner) AS owner, obj_description(m.oid, 'pg_largeobject') AS comment,"
            " ARRAY(SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END || ' '"
            " || a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END COLLATE \"C\" AS entry"
            " FROM aclexplode(coalesce(m.lomacl, acldefault('L', m.lomowner))) a ORDER BY entry) AS grants,"
            " coalesce(d.hash, '') AS hash FROM pg_largeobject_metadata m LEFT JOIN (SELECT loid, md5(string_agg("
            " pageno::text || ':' || md5(data), ',' ORDER BY pageno)) AS hash FROM pg_largeobject GROUP BY loid) d"
            " ON d.loid = m.oid ORDER BY 1"
        )
    }


def carry(source: Session, target: Session) -> int:
    """Make the large objects of ``target`` those of ``source``. How many were touched; a killed run is completed by the next one."""
    wanted, present = held(source), held(target)
    extra = [oid for oid in present if oid not in wanted]
    different = [oid for oid, value in wanted.items() if present.get(oid) != value]
    for oid in extra + [oid for oid in different if oid in present]:
        target.run("SELECT lo_unlink(%s::oid)", oid)
    for oid in different:
        target.run("SELECT lo_create(%s::oid)", oid)
        _pages(source, target, oid)
        for text in described(oid, wanted[oid]):
            target.run(text)
    return len(extra) + len(different)


def _pages(source: Session, target: Session, oid: int) -> None:
    """Page by page: an object can be larger than a value may be, and its holes stay holes."""
    size = int(source.value("SELECT current_setting('block_size')::int / 4"))
    last = -1
    while True:
        found = source.rows(
            "SELECT pageno, data FROM pg_largeobject WHERE loid = %s::oid AND pageno > %s ORDER BY pageno LIMIT %s", oid, last, _PAGES
        )
        if not found:
            return
        target.run(
            "SELECT lo_put(%s::oid, p.at, p.data) FROM ROWS FROM (unnest(%s::bigint[]), unnest(%s::bytea[])) p(at, data)",
            oid,
            [row["pageno"] * size for row in found],
            [bytes(row["data"]) for row in found],
        )
        last = found[-1]["pageno"]


def described(oid: int, value: Held) -> t.Iterator[str]:
    """Statements that give a new large object its owner, grants and comment. Pure."""
    owner = ident(value.owner)
    yield f"ALTER LARGE OBJECT {oid} OWNER TO {owner}"
    yield f"REVOKE ALL ON LARGE OBJECT {oid} FROM PUBLIC, {owner}"
    for entry in value.grants:
        grantee, privilege = entry.rsplit(" ", 1)
        option = " WITH GRANT OPTION" if privilege.endswith("*") else ""
        yield f"GRANT {privilege.rstrip('*')} ON LARGE OBJECT {oid} TO {grantee}{option}"
    if value.comment is not None:
        yield f"COMMENT ON LARGE OBJECT {oid} IS {literal(value.comment)}"
