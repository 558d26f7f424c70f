# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles that the database uses, with their verifiers: made on the new server before the schema that names them.

Verifiers pass through sessions whose statements reach no log (`Session.quiet`), and never through a result.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import typing as t

from .._core.errors import FleetError
from .model import Link
from .postgres import Row, Server, Session, ident, literal

# GUCs whose value is a list of quoted names: pg_db_role_setting stores them ready for use, quoting them again would make one name of it.
_LISTS = {
    "search_path",
    "temp_tablespaces",
    "session_preload_libraries",
    "shared_preload_libraries",
    "local_preload_libraries",
    "unix_socket_directories",
}
_ATTRIBUTES = (
    ("rolsuper", "SUPERUSER"),
    ("rolinherit", "INHERIT"),
    ("rolcreaterole", "CREATEROLE"),
    ("rolcreatedb", "CREATEDB"),
    ("rolcanlogin", "LOGIN"),
    ("rolreplication", "REPLICATION"),
    ("rolbypassrls", "BYPASSRLS"),
)
# Roles that own something, are granted something, or have a setting in the database; then everyone above and below them.
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


def used_names(session: Session, dbname: str) -> list[str]:
    """Roles that ``dbname`` cannot do without, and the server's first superuser, which may own objects like any other."""
    used = [str(row["role"]["rolname"]) for row in session.rows(_USED, dbname, "")]
    return sorted({*used, str(session.value("SELECT rolname FROM pg_roles WHERE oid = 10"))})


def create_text(role: t.Mapping[str, t.Any]) -> str:
    """CREATE ROLE with the attributes and the verifier of a row of pg_authid."""
    words = [word if role[column] else f"NO{word}" for column, word in _ATTRIBUTES]
    if role["rolconnlimit"] != -1:
        words.append(f"CONNECTION LIMIT {role['rolconnlimit']}")
    if role["rolpassword"]:
        words.append(f"PASSWORD {literal(role['rolpassword'])}")
    if role["rolvaliduntil"]:
        words.append(f"VALID UNTIL {literal(role['rolvaliduntil'])}")
    return f"CREATE ROLE {ident(role['rolname'])} WITH {' '.join(words)}"


def setting_text(target: str, entry: str) -> str:
    """ALTER … SET for one ``name=value`` of pg_db_role_setting; ``target`` is what follows ALTER."""
    name, value = entry.split("=", 1)
    shown = value if name.lower() in _LISTS and value else literal(value)
    return f"ALTER {target} SET {'.'.join(ident(part) for part in name.split('.'))} TO {shown}"


def copy_roles(legacy: Server, new: Server, link: Link) -> list[str]:
    """Make the roles that are missing on new, and their memberships and settings. A role that exists keeps its attributes and password."""
    source, target = legacy.fresh("postgres"), new.fresh("postgres")
    source.quiet()
    target.quiet()
    try:
        return _copy(source, target, legacy.dbname, new.dbname, link)
    finally:
        source.close()
        target.close()


def _copy(source: Session, target: Session, legacy_name: str, new_name: str, link: Link) -> list[str]:
    # As JSON, because rolvaliduntil may be infinity, which no Python type holds.
    roles = [row["role"] for row in source.rows(_USED, legacy_name, link.user)]
    present = {row["rolname"]: row["rolpassword"] for row in target.rows("SELECT rolname, rolpassword FROM pg_authid")}
    made = []
    for role in roles:
        if role["rolname"] not in present:
            target.run(create_text(role))
            made.append(str(role["rolname"]))
        elif not present[role["rolname"]] and role["rolpassword"]:
            target.run(f"ALTER ROLE {ident(role['rolname'])} PASSWORD {literal(role['rolpassword'])}")
    names = [role["rolname"] for role in roles]
    for text in _memberships(source, names):
        target.run(text)
    for row in source.rows(
        "SELECT a.rolname, s.setdatabase <> 0 AS here, s.setconfig FROM pg_db_role_setting s JOIN pg_authid a ON a.oid = s.setrole"
        " WHERE a.rolname = ANY (%s) AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = %s)) ORDER BY 1, 2",
        names,
        legacy_name,
    ):
        # Settings in the database need the database: they are made by `copy_settings` once it exists.
        if not row["here"]:
            for entry in row["setconfig"]:
                target.run(setting_text(f"ROLE {ident(row['rolname'])}", entry))
    return made


def _memberships(source: Session, names: t.Sequence[str]) -> list[str]:
    return [
        f"GRANT {ident(row['parent'])} TO {ident(row['child'])}{' WITH ADMIN OPTION' if row['admin_option'] else ''}"
        for row in source.rows(
            "SELECT p.rolname AS parent, c.rolname AS child, bool_or(m.admin_option) AS admin_option FROM pg_auth_members m"
            " JOIN pg_authid p ON p.oid = m.roleid JOIN pg_authid c ON c.oid = m.member"
            " WHERE c.rolname = ANY (%s) AND (p.rolname = ANY (%s) OR p.rolname ~ '^pg_') GROUP BY 1, 2 ORDER BY 1, 2",
            list(names),
            list(names),
        )
    ]


def copy_settings(legacy: Server, new: Server) -> None:
    """Settings, comment, connection limit and grants of the database itself, and settings of roles in it; not our own fence and epoch."""
    own = legacy.admin.rows(
        "SELECT pg_get_userbyid(datdba) AS owner, datconnlimit AS connections, shobj_description(oid, 'pg_database') AS comment"
        " FROM pg_database WHERE datname = %s",
        legacy.dbname,
    )[0]
    new.admin.run(f"ALTER DATABASE {ident(new.dbname)} CONNECTION LIMIT {own['connections']}")
    if own["comment"] is not None:
        new.admin.run(f"COMMENT ON DATABASE {ident(new.dbname)} IS {literal(own['comment'])}")
    for row in legacy.admin.rows(
        "SELECT a.rolname, s.setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase"
        " LEFT JOIN pg_authid a ON a.oid = s.setrole WHERE d.datname = %s",
        legacy.dbname,
    ):
        name = ident(new.dbname)
        target = f"DATABASE {name}" if row["rolname"] is None else f"ROLE {ident(row['rolname'])} IN DATABASE {name}"
        for entry in row["setconfig"]:
            if not entry.startswith(("pgcut.", "default_transaction_read_only=")):
                new.admin.run(setting_text(target, entry))
    acl = legacy.admin.rows(
        "SELECT a.grantee <> 0 AS named, pg_get_userbyid(a.grantee) AS grantee, a.privilege_type, a.is_grantable"
        " FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = %s",
        legacy.dbname,
    )
    if acl:
        new.admin.run(f"REVOKE ALL ON DATABASE {ident(new.dbname)} FROM PUBLIC, {ident(own['owner'])}")
        for row in acl:
            grantee = ident(row["grantee"]) if row["named"] else "PUBLIC"
            option = " WITH GRANT OPTION" if row["is_grantable"] else ""
            new.admin.run(f"GRANT {row['privilege_type']} ON DATABASE {ident(new.dbname)} TO {grantee}{option}")


# --- the role of the link ---------------------------------------------------------------------------------------------------------


def link_role(session: Session) -> str:
    """The query for the link's role: its attributes, whether it may read every table, and who may act as it without being a superuser.

    A member that may only pass it on can make itself more (PostgreSQL 16 notes so who created a role), so it counts as well.
    """
    reads = "pg_has_role(a.oid, 'pg_read_all_data', 'USAGE')" if session.version >= 140000 else "a.rolsuper"
    return (
        "WITH RECURSIVE below AS (SELECT m.roleid AS top, m.member FROM pg_auth_members m UNION"
        " SELECT b.top, m.member FROM below b JOIN pg_auth_members m ON m.roleid = b.member)"
        f" SELECT a.rolcanlogin AND a.rolreplication AND a.rolbypassrls OR a.rolsuper AS able, {reads} OR a.rolsuper AS reads, a.rolpassword,"
        " ARRAY(SELECT m.rolname::text FROM below b JOIN pg_authid m ON m.oid = b.member WHERE b.top = a.oid AND NOT m.rolsuper ORDER BY 1)"
        " AS members FROM pg_authid a WHERE a.rolname = %s"
    )


def keep_link_role(server: Server, link: Link) -> bool:
    """Make the link's role: login, replication, reads everything. Whether anything was written.

    One that exists is given no right, whoever made it: FleetError "link_role". Without ``link.password`` its password is kept.
    """
    session = server.fresh("postgres")
    session.quiet()
    try:
        return _keep_link_role(session, link)
    finally:
        session.close()


# What a database's owner sets for everybody would stop the link: a time to be ended after, a role to become. What an account has of its own
# wins over it. Options of a subscription's connection do not do everywhere: earlier minors of 15 and later put their own in place of them
# (libpqrcv_connect in libpqwalreceiver.c).
_LINK_SETTINGS = {
    "role": "none",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
}


def _keep_settings(session: Session, user: str) -> bool:
    """Give the link's account its own settings, of those that this server knows. Whether anything was written."""
    known = "SELECT name FROM pg_settings WHERE name = ANY (%s)"
    entries = "SELECT unnest(s.setconfig) AS entry FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE setdatabase = 0 AND rolname = %s"
    names = ["role", *(row["name"] for row in session.rows(known, list(_LINK_SETTINGS)))]
    has = {row["entry"] for row in session.rows(entries, user)}
    missing = [name for name in names if f"{name}={_LINK_SETTINGS[name]}" not in has]
    for name in missing:
        session.run(f"ALTER ROLE {ident(user)} SET {ident(name)} = {literal(_LINK_SETTINGS[name])}")
    return bool(missing)


def _keep_link_role(session: Session, link: Link) -> bool:
    name, before = ident(link.user), session.rows(link_role(session), link.user)
    side = session.endpoint.side
    problem = unfit(before[0] if before else None, session.version)
    if problem:
        message, remedy = unfit_text(link.user, side, problem, session.version)
        raise FleetError("link_role", f"{message} It was given nothing.", remedy=remedy, details={"side": side, "role": link.user})
    stored = before[0]["rolpassword"] if before else None
    renew = bool(link.password) and not verifies(link.user, link.password, stored)
    if before and not renew:
        return _keep_settings(session, link.user)
    # At once, so that a role which exists is whole: a run that was killed leaves no half made one to be told from somebody else's.
    with session.block():
        if not before:
            session.run(f"CREATE ROLE {name} LOGIN REPLICATION BYPASSRLS; GRANT pg_read_all_data TO {name}")
        if renew:
            verifier = session.raw.pgconn.encrypt_password(link.password.encode(), link.user.encode(), b"scram-sha-256").decode()
            session.run(f"ALTER ROLE {name} PASSWORD {literal(verifier)}")
    _keep_settings(session, link.user)
    return True


def unfit(row: Row | None, version: int) -> str:
    """Why the link's role, which this run would not make, must not be used; empty when it may, or can be made here."""
    if row is None:
        # pg_read_all_data came with PostgreSQL 14; before it only a superuser reads tables that do not exist yet.
        return "" if version >= 140000 else "does not exist, and a role that reads every table is a superuser before PostgreSQL 14"
    if row["members"]:
        return f"has members who are no superusers ({', '.join(row['members'])}), and they would get what it may"
    return f"exists and {unable(row)}" if unable(row) else ""


def unfit_text(user: str, side: str, problem: str, version: int) -> tuple[str, str]:
    """Message and remedy for `unfit`."""
    name = ident(user)
    if version < 140000:
        by_hand = f"If you mean it, by hand: CREATE ROLE {name} LOGIN; ALTER ROLE {name} SUPERUSER;"
    else:
        by_hand = f"If it is meant for this, by hand: ALTER ROLE {name} LOGIN REPLICATION BYPASSRLS; GRANT pg_read_all_data TO {name};"
    return (
        f"The link's role {user} {problem}, on {side}.",
        f"{by_hand} Take its members from it (REVOKE {name} FROM …), or name another role in link.user, which is made.",
    )


def verifies(user: str, password: str, verifier: str | None) -> bool:
    """Whether ``verifier``, as pg_authid stores it, is one of ``password`` (RFC 5802 and RFC 7677, or md5).

    For ASCII passwords, which need no SASLprep; others are simply written again.
    """
    if not verifier:
        return False
    if verifier.startswith("md5"):
        return hmac.compare_digest(verifier, "md5" + hashlib.md5((password + user).encode()).hexdigest())
    try:
        _name, parameters, keys = verifier.split("$")
        rounds, salt = parameters.split(":")
        stored = keys.split(":")[0]
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(rounds))
    except ValueError:
        return False
    client = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
    return hmac.compare_digest(base64.b64encode(hashlib.sha256(client).digest()).decode(), stored)


def unable(row: Row | None) -> str:
    """Why the link's role cannot do its work; empty when it can."""
    if row is None:
        return "does not exist"
    if not row["able"]:
        return "lacks LOGIN, REPLICATION or BYPASSRLS"
    return "" if row["reads"] else "cannot read every table"
