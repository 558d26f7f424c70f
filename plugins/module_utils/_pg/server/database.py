# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database as an object of its server: what it is made with, and the settings, comment, limit and grants that a dump leaves out.

`describe` reads them as plain data, for another server or for a manifest; every value of them is quoted when it becomes SQL.
"""

from __future__ import annotations

import json
import typing as t

from ..._core.errors import FleetError
from . import account_settings
from .postgres import Session, ident, literal

# What aclexplode calls the rights on a database (src/include/utils/acl.h, ACL_ALL_RIGHTS_DATABASE).
PRIVILEGES = ("CREATE", "CONNECT", "TEMPORARY")
# pg_database.datlocprovider (PostgreSQL documentation, pg_database); before 15 there is only the C library.
_PROVIDERS = {"c": ("libc", ""), "i": ("icu", "ICU_LOCALE"), "b": ("builtin", "BUILTIN_LOCALE")}
# A server that is older knows the C library only, and not the word (CREATE DATABASE of the documentation, 15).
_HAS_PROVIDERS = 150000
# Our own fence and epoch are no settings of the application; an account that only reads is.
_OURS = ("pgcut.", "default_transaction_read_only=")
# CONNECT that the link's account was given by name, and by nobody else: taken back at the end, and no right of the application.
LINK_CONNECT = "pgcut.link_connect="
# What the account that subscribes had of its own in the database, before workers of it needed something else.
READING = "pgcut.reading="


def describe(session: Session, dbname: str, without: str = "") -> dict[str, t.Any]:
    """What `create_text` and `give` need, but for the account ``without``. No grants at all mean the server's default.

    Raises FleetError "invalid_value" for a missing database.
    """
    rows = session.rows(
        "SELECT to_jsonb(d) AS d, pg_encoding_to_char(d.encoding) AS encoding, pg_get_userbyid(d.datdba) AS owner,"
        " shobj_description(d.oid, 'pg_database') AS comment FROM pg_database d WHERE d.datname = %s",
        dbname,
    )
    if not rows:
        side = session.endpoint.side
        raise FleetError(
            "invalid_value",
            f"{side}.dbname: there is no database {dbname!r} on {session.endpoint}. Nothing was changed.",
            remedy=f"Correct {side}.dbname.",
        )
    row, database = rows[0], rows[0]["d"]
    settings = [
        {"role": found["rolname"], "entry": entry}
        for found in session.rows(
            "SELECT a.rolname, s.setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase"
            " LEFT JOIN pg_authid a ON a.oid = s.setrole WHERE d.datname = %s ORDER BY 1",
            dbname,
        )
        for entry in as_before(found["setconfig"])
        if not entry.startswith(_OURS if found["rolname"] is None else _OURS[0]) and (not without or found["rolname"] != without)
    ]
    grants = session.rows(
        "SELECT CASE a.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END AS role, a.privilege_type AS privilege,"
        " a.is_grantable AS grantable FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = %s",
        dbname,
    )
    given = (link_connect(session, dbname), "CONNECT")
    grants = [grant for grant in grants if (grant["role"], grant["privilege"]) != given and (not without or grant["role"] != without)]
    return {
        "owner": row["owner"],
        "encoding": row["encoding"],
        "collate": database["datcollate"],
        "ctype": database["datctype"],
        "provider": database.get("datlocprovider") or "c",
        # The column was daticulocale in PostgreSQL 15 and 16 and is datlocale since 17.
        "locale": database.get("datlocale") or database.get("daticulocale"),
        "rules": database.get("daticurules"),
        "connections": database["datconnlimit"],
        "template": database["datistemplate"],
        "comment": row["comment"],
        "settings": settings,
        "grants": grants,
    }


def noted(entries: t.Sequence[str]) -> dict[str, t.Optional[str]]:
    """What was there before, by setting; None where there was nothing. Whoever may write this note for an account may change its settings."""
    text = next((entry[len(READING) :] for entry in entries if entry.startswith(READING)), "{}")
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {str(name): None if value is None else str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def as_before(entries: t.Sequence[str]) -> list[str]:
    """Settings of one account, as they were before the move."""
    was = noted(entries)
    return [entry for entry in entries if entry.partition("=")[0] not in was] + [f"{name}={value}" for name, value in was.items() if value is not None]


def link_connect(session: Session, dbname: str) -> str:
    """Whom the link's CONNECT was given to; empty when PUBLIC has it, or a grant of somebody else."""
    entries = session.rows(
        "SELECT unnest(s.setconfig) AS entry FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE s.setrole = 0 AND d.datname = %s",
        dbname,
    )
    return next((row["entry"][len(LINK_CONNECT) :] for row in entries if row["entry"].startswith(LINK_CONNECT)), "")


def create_text(name: str, described: t.Mapping[str, t.Any], version: int, *, owned: bool = True) -> str:
    """CREATE DATABASE with encoding, locale and owner of the described one, for a server of ``version``; from template0, which alone allows that.

    What is not said is as in template0, so as initdb was told on that server: the provider of the locale is always said.
    """
    if described["provider"] not in _PROVIDERS:
        raise _refused(f"its locale provider {described['provider']!r} is none of {', '.join(_PROVIDERS)}")
    words = [f"OWNER {ident(described['owner'])}"] if owned else []
    words += [
        "TEMPLATE template0",
        f"ENCODING {literal(described['encoding'])}",
        f"LC_COLLATE {literal(described['collate'])}",
        f"LC_CTYPE {literal(described['ctype'])}",
    ]
    provider, locale = _PROVIDERS[described["provider"]]
    words += [f"LOCALE_PROVIDER {provider}"] if version >= _HAS_PROVIDERS else []
    words += [f"{locale} {literal(described['locale'])}"] if locale else []
    # Manifests of snapshots that were taken earlier have no rules.
    words += [f"ICU_RULES {literal(described['rules'])}"] if described.get("rules") else []
    return f"CREATE DATABASE {ident(name)} WITH {' '.join(words)}"


def give(session: Session, name: str, described: t.Mapping[str, t.Any], code: str) -> None:
    """Settings, comment, connection limit, grants, and whether it is a template; settings are read back.

    Raises FleetError ``code`` when they are not what they were.
    """
    database = ident(name)
    # Manifests of snapshots that were taken earlier do not say it.
    template = "true" if described.get("template") else "false"
    session.run(f"ALTER DATABASE {database} CONNECTION LIMIT {int(described['connections'])} IS_TEMPLATE {template}")
    if described["comment"] is not None:
        session.run(f"COMMENT ON DATABASE {database} IS {literal(described['comment'])}")
    for setting in described["settings"]:
        target = f"DATABASE {database}" if setting["role"] is None else f"ROLE {ident(setting['role'])} IN DATABASE {database}"
        session.run(setting_text(target, setting["role"], setting["entry"]))
    read_back(session, name, described["settings"], code)
    if described["grants"]:
        session.run(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC, {ident(described['owner'])}")
    for grant in described["grants"]:
        session.run(grant_text(database, grant))


def privilege(word: str) -> str:
    """``word``, which is one of `PRIVILEGES`."""
    if word not in PRIVILEGES:
        raise _refused(f"{str(word)[:40]!r} is no right on a database ({', '.join(PRIVILEGES)})")
    return word


def grant_text(database: str, grant: t.Mapping[str, t.Any]) -> str:
    """GRANT on ``database``, which is quoted already."""
    to = "PUBLIC" if grant["role"] is None else ident(grant["role"])
    return f"GRANT {privilege(grant['privilege'])} ON DATABASE {database} TO {to}{' WITH GRANT OPTION' if grant['grantable'] else ''}"


def setting_text(target: str, account: t.Optional[str], entry: str) -> str:
    """`account_settings.text`, with a failure that names the account of a setting that cannot be made."""
    problem = account_settings.problem(entry)
    if problem:
        raise FleetError("account_unsafe", f"A setting of {whose(account)} cannot be copied: {problem}.", remedy=reset(account, entry))
    return account_settings.text(target, entry)


def whose(account: t.Optional[str]) -> str:
    return "the database" if account is None else f"account {account!r}"


def reset(account: t.Optional[str], entry: str) -> str:
    """How to be rid of an entry. The server itself takes any name behind RESET that it has stored."""
    name = ident(*entry.partition("=")[0].split("."))
    return f"Where it comes from: ALTER {'DATABASE …' if account is None else 'ROLE … (IN DATABASE …)'} RESET {name}, or set it to a value that can."


def read_back(session: Session, dbname: str, wanted: t.Sequence[t.Mapping[str, t.Any]], code: str) -> None:
    """Believe the catalog. ``dbname`` is "" for settings of accounts in every database."""
    observed: dict[t.Optional[str], list[str]] = {
        row["role"]: row["setconfig"]
        for row in session.rows(
            "SELECT a.rolname AS role, s.setconfig FROM pg_db_role_setting s LEFT JOIN pg_authid a ON a.oid = s.setrole"
            " WHERE s.setdatabase = coalesce((SELECT oid FROM pg_database WHERE datname = %s), 0)",
            dbname,
        )
    }
    for account in dict.fromkeys(setting["role"] for setting in wanted):
        lacks = account_settings.missing([each["entry"] for each in wanted if each["role"] == account], observed.get(account, ()))
        if lacks:
            entry, found = lacks[0]
            raise FleetError(
                code,
                f"A setting of {whose(account)} did not arrive on {session.endpoint}: it was {entry[:200]!r}, and there is {found[:200]!r} now.",
                remedy=reset(account, entry),
            )


def _refused(why: str) -> FleetError:
    return FleetError("invalid_value", f"What is known of the database cannot be made: {why}.", remedy="Take a new snapshot.")
