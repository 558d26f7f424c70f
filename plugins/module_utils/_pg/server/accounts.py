# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts that a database uses, with their verifiers: read as plain data, judged, and made on another server before the schema names them.

Verifiers pass through sessions whose statements reach no log (`Session.quiet`), and never through a result.
"""

from __future__ import annotations

import re
import typing as t

from ..._core.errors import FleetError
from ..._core.finding import Finding
from ..model import MAINTENANCE, Link
from . import account_settings, database
from .postgres import Server, Session, ident, literal

# GRANT … WITH INHERIT, SET came with PostgreSQL 16, and so did grantors that mean something.
_LIMITED_MEMBERS = GRANTORS = 160000
# Parent, child and grantor of a membership.
_Key = t.Tuple[str, str, str]
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ATTRIBUTES = (
    ("rolsuper", "SUPERUSER"),
    ("rolinherit", "INHERIT"),
    ("rolcreaterole", "CREATEROLE"),
    ("rolcreatedb", "CREATEDB"),
    ("rolcanlogin", "LOGIN"),
    ("rolreplication", "REPLICATION"),
    ("rolbypassrls", "BYPASSRLS"),
)
COLUMNS = {**dict(_ATTRIBUTES), "rolconnlimit": "CONNECTION LIMIT", "rolpassword": "PASSWORD", "rolvaliduntil": "VALID UNTIL"}
# Accounts that own something, are granted something, or have a setting in the database; then everyone above and below them.
_USED = """
WITH RECURSIVE here AS (SELECT oid FROM pg_database WHERE datname = %s), direct AS (
  SELECT refobjid AS oid FROM pg_shdepend, here WHERE refclassid = 'pg_authid'::regclass AND dbid IN (0, here.oid)
    AND (dbid <> 0 OR (classid = 'pg_database'::regclass AND objid = here.oid))
  UNION SELECT setrole FROM pg_db_role_setting s, here WHERE s.setdatabase = here.oid AND setrole <> 0
  UNION SELECT datdba FROM pg_database d, here WHERE d.oid = here.oid
), used AS (
  SELECT oid FROM direct
  UNION SELECT CASE WHEN m.roleid = u.oid THEN m.member ELSE m.roleid END FROM used u
    JOIN pg_auth_members m ON u.oid IN (m.roleid, m.member)
    WHERE (SELECT rolname !~ '^pg_' FROM pg_authid a WHERE a.oid = u.oid)
)
SELECT to_jsonb(a) AS role FROM pg_authid a JOIN used USING (oid) WHERE a.rolname !~ '^pg_' AND a.oid <> 10 AND a.rolname <> %s ORDER BY a.rolname
"""


# Rights that are not asked for by name: whoever becomes a member of an account, or runs its functions, has them as well.
_RIGHTS = ("SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS")
# As far as accounts of the system, which have the same ones above them on every server.
_ABOVE = """
WITH RECURSIVE above(name, parent) AS (
  SELECT a.rolname, m.roleid FROM pg_authid a JOIN pg_auth_members m ON m.member = a.oid WHERE a.rolname = ANY (%s)
  UNION SELECT u.name, m.roleid FROM above u JOIN pg_authid p ON p.oid = u.parent AND p.rolname !~ '^pg_'
    JOIN pg_auth_members m ON m.member = u.parent
)
SELECT to_jsonb(a) AS role, ARRAY(SELECT p.rolname::text FROM above b JOIN pg_authid p ON p.oid = b.parent WHERE b.name = a.rolname) AS above
FROM pg_authid a WHERE a.rolname = ANY (%s)
"""


def accounts(session: Session, dbname: str, without: str = "") -> dict[str, t.Any]:
    """Accounts that ``dbname`` cannot do without, but ``without``: rows of pg_authid, memberships, settings in every database. Plain data.

    The verifiers are in it, so the session has to be a quiet one, and nothing of it is shown.
    """
    # As JSON, because rolvaliduntil may be infinity, which no Python type holds.
    listed = [row["role"] for row in session.rows(_USED, dbname, without)]
    return {**_around(session, [str(account["rolname"]) for account in listed]), "roles": [_kept(account) for account in listed]}


def everything(session: Session, without: str) -> dict[str, t.Any]:
    """The same of all accounts of the server but ``without``; with settings of everybody, and the name of the first superuser."""
    listed = session.rows(
        "SELECT to_jsonb(a) AS role, a.oid = 10 AS first FROM pg_authid a WHERE rolname !~ '^pg_' AND rolname <> %s ORDER BY rolname", without
    )
    everybody = session.rows("SELECT unnest(setconfig) AS entry FROM pg_db_role_setting WHERE setrole = 0 AND setdatabase = 0")
    known = _around(session, [str(row["role"]["rolname"]) for row in listed])
    known["settings"] += [{"role": None, "entry": row["entry"]} for row in everybody]
    return {**known, "roles": [_kept(row["role"]) for row in listed], "first": next((row["role"]["rolname"] for row in listed if row["first"]), "")}


def _around(session: Session, names: t.Sequence[str]) -> dict[str, t.Any]:
    # Since PostgreSQL 16 each grantor has given a membership of its own, which says who may inherit and SET ROLE; before, there is one, and the
    # member says it. "" is the first superuser, in whose name every superuser grants (check_role_grantor in src/backend/commands/user.c).
    memberships = session.rows(
        "SELECT p.rolname AS parent, c.rolname AS child, CASE WHEN %s AND g.oid <> 10 THEN g.rolname::text ELSE '' END AS grantor,"
        " bool_or(m.admin_option) AS admin, bool_or(c.rolinherit) AS inherits,"
        " bool_or((to_jsonb(m)->>'inherit_option')::boolean) AS inherit, bool_or((to_jsonb(m)->>'set_option')::boolean) AS set"
        " FROM pg_auth_members m JOIN pg_authid p ON p.oid = m.roleid JOIN pg_authid c ON c.oid = m.member LEFT JOIN pg_authid g ON g.oid = m.grantor"
        " WHERE c.rolname = ANY (%s) AND (p.rolname = ANY (%s) OR p.rolname ~ '^pg_' OR p.oid = 10) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        session.version >= GRANTORS,
        list(names),
        list(names),
    )
    settings = [
        {"role": row["rolname"], "entry": entry}
        for row in session.rows(
            "SELECT a.rolname, s.setconfig FROM pg_db_role_setting s JOIN pg_authid a ON a.oid = s.setrole"
            " WHERE a.rolname = ANY (%s) AND s.setdatabase = 0 ORDER BY 1",
            list(names),
        )
        for entry in row["setconfig"]
    ]
    return {"memberships": memberships, "settings": settings}


def first(session: Session) -> dict[str, t.Any]:
    """The server's first superuser, which may own objects like any other; a server with another name for it needs this one as well."""
    return _kept(session.value("SELECT to_jsonb(a) FROM pg_authid a WHERE oid = 10"))


def _kept(account: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {column: account[column] for column in ("rolname", *COLUMNS)}


def meaning(account: t.Mapping[str, t.Any], column: str) -> t.Any:
    """The value of one of `COLUMNS`; for ever is said in two ways."""
    return None if column == "rolvaliduntil" and account[column] == "infinity" else account[column]


def create_text(account: t.Mapping[str, t.Any]) -> str:
    """CREATE ROLE with the attributes and the verifier of a row of pg_authid."""
    words = [word if account[column] else f"NO{word}" for column, word in _ATTRIBUTES]
    if account["rolconnlimit"] != -1:
        words.append(f"CONNECTION LIMIT {int(account['rolconnlimit'])}")
    if account["rolpassword"]:
        words.append(f"PASSWORD {literal(account['rolpassword'])}")
    if account["rolvaliduntil"]:
        words.append(f"VALID UNTIL {literal(account['rolvaliduntil'])}")
    return f"CREATE ROLE {ident(account['rolname'])} WITH {' '.join(words)}"


def alter_text(account: t.Mapping[str, t.Any]) -> str:
    """ALTER ROLE to exactly these attributes and this verifier."""
    words = [word if account[column] else f"NO{word}" for column, word in _ATTRIBUTES]
    words.append(f"CONNECTION LIMIT {int(account['rolconnlimit'])}")
    words.append(f"PASSWORD {literal(account['rolpassword']) if account['rolpassword'] else 'NULL'}")
    words.append(f"VALID UNTIL {literal(account['rolvaliduntil'] or 'infinity')}")
    return f"ALTER ROLE {ident(account['rolname'])} WITH {' '.join(words)}"


def options_of(membership: t.Mapping[str, t.Any]) -> tuple[bool, bool, bool]:
    """ADMIN, INHERIT and SET; before PostgreSQL 16 the member says whether it inherits, and SET ROLE is always allowed."""
    inherit = membership["inherits"] if membership["inherit"] is None else membership["inherit"]
    return bool(membership["admin"]), bool(inherit), membership["set"] is not False


def merged(memberships: t.Iterable[t.Mapping[str, t.Any]], known: t.Optional[t.Collection[str]] = None) -> dict[_Key, dict[str, t.Any]]:
    """By parent, child and grantor, each after those that its grantor may grant by; ``given_by`` are its grantors there. Pure.

    Grantors that are not among ``known`` count as the first superuser; without ``known`` all do, as before PostgreSQL 16.
    """
    found: dict[_Key, dict[str, t.Any]] = {}
    for each in memberships:
        given = str(each.get("grantor", ""))
        grantor = given if known is not None and given in known else ""
        same = found.setdefault((each["parent"], each["child"], grantor), {**each, "grantor": grantor, "given_by": []})
        same["given_by"].append(given)
        for name in ("admin", "inherit", "set"):
            same[name] = same[name] if each[name] is None else bool(same[name] or each[name])
    return dict(sorted(found.items(), key=lambda item: (_depth(item[0], found), item[0])))


def _depth(key: _Key, found: t.Mapping[_Key, t.Mapping[str, t.Any]], held: t.FrozenSet[_Key] = frozenset()) -> int:
    """How many memberships with ADMIN stand between this one and the first superuser; the server has no circles of them."""
    parent, _child, grantor = key
    if not grantor or key in held:
        return 0
    before = [other for other, each in found.items() if other[:2] == (parent, grantor) and each["admin"]]
    return 1 + min((_depth(other, found, held | {key}) for other in before), default=0)


def revoke_text(membership: t.Mapping[str, t.Any], version: int) -> str:
    """REVOKE of a membership that `merged` knows, from each grantor since PostgreSQL 16, where each has granted one of its own."""
    revoke = f"REVOKE {ident(membership['parent'])} FROM {ident(membership['child'])}"
    if version < _LIMITED_MEMBERS:
        return f"{revoke} CASCADE"
    return "; ".join(f"{revoke}{f' GRANTED BY {ident(grantor)}' if grantor else ''} CASCADE" for grantor in membership["given_by"])


def member_text(membership: t.Mapping[str, t.Any], version: int) -> str:
    """GRANT of one account to another one, for a server of ``version``; a membership that this server cannot limit so is refused."""
    grant = f"GRANT {ident(membership['parent'])} TO {ident(membership['child'])}"
    if membership["inherit"] is None or version < _LIMITED_MEMBERS:
        # An older server asks the member, so its own attribute has to say the same.
        if membership["set"] is False or (membership["inherit"] is False and membership.get("inherits", True)):
            raise FleetError(
                "account_unsafe",
                f"Account {membership['child']!r} is a member of {membership['parent']!r} without INHERIT or SET, which this server does not know.",
                remedy="Use PostgreSQL 16 or newer, or revoke that membership.",
            )
        return f"{grant}{' WITH ADMIN OPTION' if membership['admin'] else ''}"
    words = [f"{word} {'TRUE' if membership[name] else 'FALSE'}" for name, word in (("admin", "ADMIN"), ("inherit", "INHERIT"), ("set", "SET"))]
    by = f" GRANTED BY {ident(membership['grantor'])}" if membership.get("grantor") else ""
    return f"{grant} WITH {', '.join(words)}{by}"


# --- judging ----------------------------------------------------------------------------------------------------------------------


def judge(known: t.Mapping[str, t.Any], settings: t.Sequence[t.Mapping[str, t.Any]], target: Session | None) -> list[Finding]:
    """Accounts that cannot be copied, or would have more rights on ``target`` than they have now. ``settings`` are those in the database."""
    found = [
        _unsafe(
            f"The name of account {account['rolname']!r} holds a control character.",
            "Give it another name: ALTER ROLE … RENAME TO …, as a superuser.",
            repr(account["rolname"]),
        )
        for account in known["roles"]
        if _CONTROL.search(account["rolname"])
    ]
    for setting in (*known["settings"], *settings):
        problem = account_settings.problem(setting["entry"])
        if problem:
            sentence = f"A setting of {database.whose(setting['role'])} cannot be copied: {problem}."
            found.append(_unsafe(sentence, database.reset(setting["role"], setting["entry"]), str(setting["role"])))
    if target is not None:
        found += [
            _unsafe(
                f"Account {name!r} has more rights on {target.endpoint.side} than it has now: {', '.join(more)}. Whoever may use it would get them.",
                f"Take them from it on {target.endpoint.side} (ALTER ROLE …, REVOKE …), or give one of the two accounts another name.",
                name,
            )
            for name, more in gains(known, _held(target, [account["rolname"] for account in known["roles"]]))
        ]
    return found


def gains(known: t.Mapping[str, t.Any], held: t.Mapping[str, t.Collection[str]]) -> list[tuple[str, list[str]]]:
    """Each account of ``known`` with the rights that it has in ``seen`` and not in ``known``; rights are attributes and accounts above it. Pure."""
    above: dict[str, set[str]] = {}
    for membership in known["memberships"]:
        above.setdefault(membership["child"], set()).add(membership["parent"])
    found = []
    for account in known["roles"]:
        name, reached, way = account["rolname"], set(_attributes(account)), [account["rolname"]]
        while way:
            fresh = above.get(way.pop(), set()) - reached
            reached |= fresh
            way += fresh
        more = [] if account["rolsuper"] else sorted(set(held.get(name, ())) - reached)
        if more:
            found.append((name, more))
    return found


def refuse(findings: t.Sequence[Finding]) -> None:
    """Raises FleetError "account_unsafe" with all of them."""
    if findings:
        raise FleetError(
            "account_unsafe",
            f"{' '.join(finding.message for finding in findings)} Nothing was changed.",
            remedy=" ".join(dict.fromkeys(finding.remedy for finding in findings)),
            details={"findings": [finding.as_dict() for finding in findings]},
        )


def findings(legacy: Server, new: Server | None, link: Link | None) -> list[Finding]:
    """`judge` for two servers that answer; None for a new one that does not exist yet."""
    source = legacy.fresh(MAINTENANCE)
    source.quiet()
    try:
        if not source.rows("SELECT 1 FROM pg_database WHERE datname = %s", legacy.dbname):
            return []
        known = everything(source, link.user if link else "")
        return judge(known, database.describe(source, legacy.dbname)["settings"], new.admin if new else None)
    finally:
        source.close()


def _unsafe(message: str, remedy: str, name: str) -> Finding:
    return Finding("account_unsafe", "fail", name, message, remedy)


def _attributes(account: t.Mapping[str, t.Any]) -> list[str]:
    return [word for column, word in _ATTRIBUTES if word in _RIGHTS and account[column]]


def _held(session: Session, names: t.Sequence[str]) -> dict[str, list[str]]:
    """Rights by account, for those of ``names`` that exist."""
    rows = session.rows(_ABOVE, list(names), list(names))
    return {row["role"]["rolname"]: [*_attributes(row["role"]), *row["above"]] for row in rows}


# --- making -----------------------------------------------------------------------------------------------------------------------


def make(target: Session, known: t.Mapping[str, t.Any], code: str) -> list[str]:
    """Make the missing ones of ``known`` in a quiet session, with their memberships and settings. Settings are read back."""
    present = {row["rolname"] for row in target.rows("SELECT rolname FROM pg_authid")}
    made = [str(account["rolname"]) for account in known["roles"] if account["rolname"] not in present]
    for account in known["roles"]:
        if account["rolname"] in made:
            target.run(create_text(account))
    for membership in merged(known["memberships"]).values():
        if membership["child"] in made:
            target.run(member_text(membership, target.version))
    settings = [setting for setting in known["settings"] if setting["role"] in made]
    for setting in settings:
        # Settings in the database need the database: they are made by `database.give` once it exists.
        target.run(database.setting_text(f"ROLE {ident(setting['role'])}", setting["role"], setting["entry"]))
    database.read_back(target, "", settings, code)
    return made
