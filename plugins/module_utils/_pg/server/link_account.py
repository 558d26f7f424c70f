# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The account of the link: made or repaired on both servers, and judged.

Its verifier passes through sessions whose statements reach no log (`Session.quiet`), and never through a result.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import typing as t

from ..._core.errors import FleetError
from ..model import Link
from . import account_settings, database, helper
from .postgres import Row, Server, Session, ident, literal


def query(session: Session) -> str:
    """The query for the link's account: its attributes, whether it may read every table, and who may act as it without being a superuser.

    A member that may only pass it on can make itself more (PostgreSQL 16 notes so who created an account), so it counts as well.
    """
    reads = "pg_has_role(a.oid, 'pg_read_all_data', 'USAGE')" if session.version >= 140000 else "a.rolsuper"
    return (
        "WITH RECURSIVE below AS (SELECT m.roleid AS top, m.member FROM pg_auth_members m UNION"
        " SELECT b.top, m.member FROM below b JOIN pg_auth_members m ON m.roleid = b.member)"
        f" SELECT a.rolcanlogin AND a.rolreplication AND a.rolbypassrls OR a.rolsuper AS able, {reads} OR a.rolsuper AS reads, a.rolpassword,"
        " ARRAY(SELECT m.rolname::text FROM below b JOIN pg_authid m ON m.oid = b.member WHERE b.top = a.oid AND NOT m.rolsuper ORDER BY 1)"
        " AS members FROM pg_authid a WHERE a.rolname = %s"
    )


# Whoever may comment on an account may drop it as well (PostgreSQL documentation, COMMENT, DROP ROLE), so this says nothing that others could gain by.
_MARK = "made by bowline.fleet for a move"
Note = t.Callable[[str, str], None]


def keep(server: Server, link: Link, note: Note = lambda _what, _was: None) -> bool:
    """Make the link's account: login, replication, reads everything. Whether anything was written.

    One that exists is given no right, whoever made it: FleetError "link_account". Without ``link.password`` its password is kept. ``note``
    is told what such an account had, before that is changed.
    """
    session = server.fresh("postgres")
    session.quiet()
    try:
        made = _keep(session, link, note)
        keep_connect(session, server.dbname, link.user)
        return made
    finally:
        session.close()


# What a database's owner sets for everybody would stop the link: a time to be ended after, an account to become. What an account has of its own
# wins over it. Options of a subscription's connection do not do everywhere: earlier minors of 15 and later put their own in place of them
# (libpqrcv_connect in libpqwalreceiver.c).
_LINK_SETTINGS = {
    "role": "none",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    # As the workers of the other side read it (`reading`).
    "lc_monetary": "C",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    # Since PostgreSQL 15 the other side asks for this by itself (libpqrcv_connect).
    "extra_float_digits": "3",
}


def _keep_settings(session: Session, user: str, note: Note) -> bool:
    """Give the link's account its own settings, of those that this server knows. Whether anything was written."""
    known = "SELECT name FROM pg_settings WHERE name = ANY (%s)"
    entries = "SELECT unnest(s.setconfig) AS entry FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE setdatabase = 0 AND rolname = %s"
    names = ["role", *(row["name"] for row in session.rows(known, list(_LINK_SETTINGS)))]
    has = {row["entry"] for row in session.rows(entries, user)}
    missing = [name for name in names if f"{name}={_LINK_SETTINGS[name]}" not in has]
    for name in missing:
        note(f"{helper.LINK}{user}/{name}", next((entry for entry in has if entry.startswith(f"{name}=")), ""))
        session.run(f"ALTER ROLE {ident(user)} SET {ident(name)} = {literal(_LINK_SETTINGS[name])}")
    return bool(missing)


def keep_connect(session: Session, dbname: str, user: str) -> None:
    """CONNECT by name where PUBLIC has none. It is remembered as a setting of the database, so that only ours is taken back."""
    text = "SELECT has_database_privilege(a.oid, d.oid, 'CONNECT') AS able FROM pg_database d, pg_roles a WHERE datname = %s AND rolname = %s"
    able = session.rows(text, dbname, user)
    if able and not able[0]["able"]:
        shown = ident(dbname)
        session.run(f"ALTER DATABASE {shown} SET {database.LINK_CONNECT[:-1]} = {literal(user)}; GRANT CONNECT ON DATABASE {shown} TO {ident(user)}")


def take_connect(session: Session, dbname: str, user: str) -> None:
    """What `keep_connect` gave. The owner of the database may write the setting, too, so it proves nothing about other accounts."""
    if database.link_connect(session, dbname) == user:
        revoke = f"REVOKE CONNECT ON DATABASE {ident(dbname)} FROM {ident(user)}; " if session.rows("SELECT 1 FROM pg_roles WHERE rolname = %s", user) else ""
        session.run(f"{revoke}ALTER DATABASE {ident(dbname)} RESET {database.LINK_CONNECT[:-1]}")


def _keep(session: Session, link: Link, note: Note = lambda _what, _was: None) -> bool:
    name, before = ident(link.user), session.rows(query(session), link.user)
    side = session.endpoint.side
    problem = unfit(before[0] if before else None, session.version)
    if problem:
        message, remedy = unfit_text(link.user, side, problem, session.version)
        raise FleetError("link_account", f"{message} It was given nothing.", remedy=remedy, details={"side": side, "role": link.user})
    stored = before[0]["rolpassword"] if before else None
    renew = bool(link.password) and not verifies(link.user, link.password, stored)
    if before and not renew:
        return _keep_settings(session, link.user, note)
    # At once, so that an account which exists is whole: a run that was killed leaves no half made one to be told from somebody else's.
    with session.block():
        if not before:
            session.run(f"CREATE ROLE {name} LOGIN REPLICATION BYPASSRLS; GRANT pg_read_all_data TO {name}; COMMENT ON ROLE {name} IS {literal(_MARK)}")
        if renew:
            verifier = session.raw.pgconn.encrypt_password(link.password.encode(), link.user.encode(), b"scram-sha-256").decode()
            if before:
                note(f"{helper.LINK}{link.user}/password", "")
            session.run(f"ALTER ROLE {name} PASSWORD {literal(verifier)}")
    _keep_settings(session, link.user, note)
    return True


def made(session: Session, user: str) -> bool:
    """Whether the link's account is there and was made by `keep`."""
    return bool(session.rows("SELECT 1 FROM pg_roles WHERE rolname = %s AND shobj_description(oid, 'pg_authid') = %s", user, _MARK))


def drop(server: Server, user: str) -> list[str]:
    """Take away the account that `keep` made, and every right that it was granted. What stands against it, as sentences."""
    if not made(server.admin, user):
        return []
    used = server.admin.rows(
        "SELECT coalesce(d.datname, %s) AS dbname, s.deptype = 'o' AS owns FROM pg_shdepend s LEFT JOIN pg_database d ON d.oid = s.dbid"
        " WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = (SELECT oid FROM pg_roles WHERE rolname = %s) ORDER BY 1",
        server.admin.dbname,
        user,
    )
    owns = sorted({row["dbname"] for row in used if row["owns"]})
    if owns:
        return [f"Account {user} on {server.side} owns objects in {', '.join(owns)} and was left; nothing of the move needs it any more."]
    for dbname in dict.fromkeys(row["dbname"] for row in used):
        session = server.fresh(dbname)
        try:
            session.run(f"DROP OWNED BY {ident(user)}")
        finally:
            session.close()
    server.admin.run(f"DROP ROLE {ident(user)}")
    return []


def give_back(session: Session, user: str, notes: t.Mapping[str, str]) -> list[str]:
    """The settings that an account had which was there before. A password that was exchanged is told, since nothing keeps the old one."""
    if not session.rows("SELECT 1 FROM pg_roles WHERE rolname = %s", user):
        return []
    changed: list[str] = []
    for what, was in notes.items():
        name = what.removeprefix(f"{helper.LINK}{user}/")
        if name == "password":
            changed.append(f"Account {user} on {session.endpoint.side} was there before the move; its password stays link.password.")
        elif name in _LINK_SETTINGS:
            reset = f"ALTER ROLE {ident(user)} RESET {ident(name)}"
            session.run(account_settings.text(f"ROLE {ident(user)}", was) if was else reset)
    return changed


def unfit(row: Row | None, version: int) -> str:
    """Why the link's account, which this run would not make, must not be used; empty when it may, or can be made here."""
    if row is None:
        # pg_read_all_data came with PostgreSQL 14; before it only a superuser reads tables that do not exist yet.
        return "" if version >= 140000 else "does not exist, and an account that reads every table is a superuser before PostgreSQL 14"
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
        f"The link's account {user} {problem}, on {side}.",
        f"{by_hand} Take its members from it: REVOKE {name} FROM <member>; or name another account in link.user, which is made.",
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
    """Why the link's account cannot do its work; empty when it can."""
    if row is None:
        return "does not exist"
    if not row["able"]:
        return "lacks LOGIN, REPLICATION or BYPASSRLS"
    return "" if row["reads"] else "cannot read every table"
