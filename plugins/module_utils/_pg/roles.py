# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role of the link: made or repaired on both servers, and judged.

Its verifier passes through sessions whose statements reach no log (`Session.quiet`), and never through a result.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from .model import Link
from .postgres import Row, Server, Session, ident, literal


def link_role(session: Session) -> str:
    """The query for the link's role: its attributes and whether it may read every table."""
    reads = "pg_has_role(a.oid, 'pg_read_all_data', 'USAGE')" if session.version >= 140000 else "a.rolsuper"
    return (
        f"SELECT a.rolcanlogin AND a.rolreplication AND a.rolbypassrls OR a.rolsuper AS able, {reads} OR a.rolsuper AS reads, a.rolpassword"
        " FROM pg_authid a WHERE a.rolname = %s"
    )


def keep_link_role(server: Server, link: Link) -> bool:
    """Make or repair the link's role: login, replication, reads everything. Whether anything was written.

    Without ``link.password`` an existing password is kept.
    """
    session = server.fresh("postgres")
    session.quiet()
    try:
        return _keep_link_role(session, link)
    finally:
        session.close()


def _keep_link_role(session: Session, link: Link) -> bool:
    name, before = ident(link.user), session.rows(link_role(session), link.user)
    wrote = False
    if not before:
        session.run(f"CREATE ROLE {name} LOGIN REPLICATION BYPASSRLS")
        wrote = True
    elif not before[0]["able"]:
        session.run(f"ALTER ROLE {name} LOGIN REPLICATION BYPASSRLS")
        wrote = True
    if not before or not before[0]["reads"]:
        # pg_read_all_data came with PostgreSQL 14; before it only a superuser reads tables that do not exist yet.
        session.run(f"GRANT pg_read_all_data TO {name}" if session.version >= 140000 else f"ALTER ROLE {name} SUPERUSER")
        wrote = True
    if link.password and not verifies(link.user, link.password, before[0]["rolpassword"] if before else None):
        verifier = session.raw.pgconn.encrypt_password(link.password.encode(), link.user.encode(), b"scram-sha-256").decode()
        session.run(f"ALTER ROLE {name} PASSWORD {literal(verifier)}")
        wrote = True
    return wrote


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
