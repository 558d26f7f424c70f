# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is no row, made equal on the side that follows: accounts, memberships, settings, and the database as an object of its server.

Always from the side that serves. Nothing is dropped: an account that only the other side has is named. Verifiers pass through quiet sessions
only, and what is told of a change names the account and what it is about, never a value of a password.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..._core.errors import FleetError
from ..._core.finding import Finding
from ..model import MAINTENANCE, Link
from . import account_settings, accounts, database, link_account
from .postgres import Server, Session, ident, literal

# A change may take others with it: a new owner changes the rights, a membership that is revoked those that were granted by it.
_PASSES = 3
# Of accounts on new: made before the database and not used in it. Such a one that legacy has not belongs to new, and not to this move.
_OWN = """
SELECT a.rolname FROM pg_authid a JOIN pg_database d ON d.datname = %s WHERE (a.oid < d.oid OR a.oid = 10) AND a.oid <> d.datdba
  AND NOT EXISTS (SELECT FROM pg_shdepend s WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = a.oid
    AND (s.dbid = d.oid OR (s.dbid = 0 AND s.classid = 'pg_database'::regclass AND s.objid = d.oid)))
"""
_DEFAULT_GRANTS = ((None, "CONNECT"), (None, "TEMPORARY"))
# A library that is missing would refuse every login; session_preload_libraries: PostgreSQL documentation, client connection defaults.
_LIBRARIES = {"session_preload_libraries": "", "local_preload_libraries": "$libdir/plugins/"}


@dataclass(frozen=True)
class Change:
    """``what`` is for people. ``text`` is empty for what is not changed by a program: the account that it logs in with."""

    what: str
    text: str
    why: str = ""


@dataclass(frozen=True)
class State:
    """One side. ``kept`` are its first superuser and the account that we log in with; ``own`` those that belong to the server alone."""

    version: int
    dbname: str
    known: t.Mapping[str, t.Any]
    database: t.Optional[t.Mapping[str, t.Any]]
    kept: t.FrozenSet[str]
    own: t.FrozenSet[str]

    @property
    def accounts(self) -> dict[str, dict[str, t.Any]]:
        return {str(account["rolname"]): account for account in self.known["roles"]}


def read(session: Session, dbname: str, user: str) -> State:
    """In a quiet session. ``user`` is the link's, which is no part of it."""
    known = accounts.everything(session, user)
    there = session.rows("SELECT 1 FROM pg_database WHERE datname = %s", dbname)
    described = database.describe(session, dbname, user) if there else None
    own = [row["rolname"] for row in session.rows(_OWN, dbname)] if session.endpoint.side == "new" else []
    return State(session.version, dbname, known, described, frozenset((known["first"], session.endpoint.user)), frozenset(own))


# --- comparing --------------------------------------------------------------------------------------------------------------------


def changes(source: State, target: State) -> list[Change]:
    """What makes ``target`` equal, in an order in which it can be done. Pure."""
    carried = _carried(source, target)
    found = [*_accounts(source, target, carried), *_memberships(source, target, carried), *_settings(source, target, carried)]
    if source.database is not None and target.database is not None:
        found += _database(target.dbname, source.database, target.database, carried)
    return found


def left(source: State, target: State) -> list[str]:
    """Accounts with LOGIN that only ``target`` has. Pure."""
    return sorted(name for name, account in target.accounts.items() if account["rolcanlogin"] and name not in source.accounts and name not in target.kept)


def _carried(source: State, target: State) -> set[str]:
    return {name for name in source.accounts if name in target.accounts or name not in source.own}


def _accounts(source: State, target: State, carried: t.Collection[str]) -> t.Iterator[Change]:
    for name, account in source.accounts.items():
        other = target.accounts.get(name)
        if name not in carried or (name in source.kept and name in target.kept):
            continue
        if other is None:
            yield Change(f"account {name!r} is missing", accounts.create_text(account))
            continue
        words = [word for column, word in accounts.COLUMNS.items() if accounts.meaning(account, column) != accounts.meaning(other, column)]
        if words and name in target.kept:
            yield Change(f"account {name!r} differs in {', '.join(words)}", "", "the module logs in with it there, or it is that server's first one")
        elif words:
            yield Change(f"account {name!r} differs in {', '.join(words)}", accounts.alter_text(account))


def _memberships(source: State, target: State, carried: t.Collection[str]) -> t.Iterator[Change]:
    known = carried if min(source.version, target.version) >= accounts.GRANTORS else None
    wanted, observed = (
        accounts.merged((each for each in side.known["memberships"] if each["child"] in carried), known) for side in (source, target)
    )
    for key, each in observed.items():
        if key not in wanted:
            yield Change(f"{_membership(key)} is there only", accounts.revoke_text(each, target.version))
    for key, each in wanted.items():
        if key[0] not in carried and not key[0].startswith("pg_"):
            continue
        there = observed.get(key)
        if there is not None and accounts.options_of(there) == accounts.options_of(each):
            continue
        before = f"{accounts.revoke_text(there, target.version)}; " if there else ""
        try:
            yield Change(_membership(key), before + accounts.member_text(each, target.version))
        except FleetError as error:
            yield Change(_membership(key), "", error.message)


def _membership(key: tuple[str, str, str]) -> str:
    parent, child, grantor = key
    return f"the membership of {child!r} in {parent!r}{f', granted by {grantor!r},' if grantor else ''}"


def _settings(source: State, target: State, carried: t.Collection[str]) -> t.Iterator[Change]:
    """Of accounts in every database, and of everybody. What an account that belongs to both servers has of its own there stays."""
    both = source.kept & target.kept
    for account in (None, *sorted(carried)):
        shown = "ROLE ALL" if account is None else f"ROLE {ident(account)}"
        wanted, observed = _entries(source.known["settings"], account), _entries(target.known["settings"], account)
        # Only what a superuser has set is tried: anybody may name a library in a setting of his own.
        careful = account is None or (account in target.kept and source.accounts[account]["rolsuper"])
        whose = "everybody" if account is None else f"account {account!r}"
        yield from _entry_changes(whose, shown, wanted, observed, reset=account not in both, careful=careful)


def _entries(settings: t.Iterable[t.Mapping[str, t.Any]], account: t.Optional[str]) -> list[str]:
    return [each["entry"] for each in settings if each["role"] == account]


def _entry_changes(
    whose: str, target: str, wanted: t.Sequence[str], observed: t.Sequence[str], *, reset: bool = True, careful: bool = False
) -> t.Iterator[Change]:
    for entry in wanted:
        name = entry.partition("=")[0]
        problem = account_settings.problem(entry)
        if problem:
            yield Change(f"setting {name} of {whose}", "", problem)
        elif _lacks(observed, entry):
            load = _load(entry) if careful else ""
            yield Change(f"setting {name} of {whose}", load + account_settings.text(target, entry))
    names = {entry.partition("=")[0].lower() for entry in wanted}
    for name in (entry.partition("=")[0] for entry in observed):
        if reset and name.lower() not in names:
            yield Change(f"setting {name} of {whose} is there only", f"ALTER {target} RESET {ident(*name.split('.'))}")


def _lacks(observed: t.Sequence[str], entry: str) -> bool:
    try:
        return bool(account_settings.missing([entry], observed))
    except ValueError:
        # What stands there under this name is no list.
        return True


def _load(entry: str) -> str:
    """Statements that fail where a login with this setting would."""
    name, _equals, value = entry.partition("=")
    folder = _LIBRARIES.get(name.lower())
    if folder is None:
        return ""
    return "".join(f"LOAD {literal(each if '/' in each else folder + each)}; " for each in account_settings.split(name, value))


def _database(dbname: str, source: t.Mapping[str, t.Any], target: t.Mapping[str, t.Any], carried: t.Collection[str]) -> t.Iterator[Change]:
    shown = f"DATABASE {ident(dbname)}"
    if source["owner"] != target["owner"] and source["owner"] in carried:
        yield Change("the owner of the database", f"ALTER {shown} OWNER TO {ident(source['owner'])}")
    if source["connections"] != target["connections"]:
        yield Change("the connection limit of the database", f"ALTER {shown} CONNECTION LIMIT {int(source['connections'])}")
    if source["template"] != target["template"]:
        yield Change("whether the database is a template", f"ALTER {shown} IS_TEMPLATE {'true' if source['template'] else 'false'}")
    if source["comment"] != target["comment"]:
        comment = "NULL" if source["comment"] is None else literal(source["comment"])
        yield Change("the comment of the database", f"COMMENT ON {shown} IS {comment}")
    for account in (None, *sorted(carried)):
        where = shown if account is None else f"ROLE {ident(account)} IN {shown}"
        whose = "the database" if account is None else f"account {account!r} in the database"
        yield from _entry_changes(whose, where, _entries(source["settings"], account), _entries(target["settings"], account))
    wanted, observed = _grants(source), _grants(target)
    for account, privilege in sorted({*wanted, *observed}, key=str):
        have, want = observed.get((account, privilege)), wanted.get((account, privilege))
        if have == want or (account is not None and account not in carried):
            continue
        grant = {"role": account, "privilege": privilege, "grantable": bool(want)}
        what = f"{privilege} on the database for {'everybody' if account is None else repr(account)}"
        to = "PUBLIC" if account is None else ident(account)
        revoke = f"REVOKE {database.privilege(privilege)} ON {shown} FROM {to} CASCADE" if have is not None else ""
        give = database.grant_text(ident(dbname), grant) if want is not None else ""
        yield Change(what, "; ".join(text for text in (revoke, give) if text))


def _grants(described: t.Mapping[str, t.Any]) -> dict[tuple[t.Optional[str], str], bool]:
    """Whether each may be granted on, by account and privilege. No grants at all mean the server's default."""
    if not described["grants"]:
        return dict.fromkeys([*_DEFAULT_GRANTS, *((described["owner"], privilege) for privilege in database.PRIVILEGES)], False)
    found: dict[tuple[t.Optional[str], str], bool] = {}
    for grant in described["grants"]:
        key = (grant["role"], grant["privilege"])
        found[key] = found.get(key, False) or bool(grant["grantable"])
    return found


# --- carrying ---------------------------------------------------------------------------------------------------------------------


def copy(legacy: Server, new: Server, link: Link) -> None:
    """For the first time: refused before anything is written, FleetError "account_unsafe", when somebody would become more on new."""
    accounts.refuse(accounts.findings(legacy, new, link))
    follow(legacy, new, link, quietly=True)


def follow(source: Server, target: Server, link: Link, *, quietly: bool = False) -> tuple[list[str], list[str]]:
    """Make ``target`` equal; what was changed, and which accounts only it has. Raises FleetError "accounts_differ" with what remains.

    ``quietly``: ``source`` is only read, and the link's account is left for later.
    """
    here, there = _quiet(source), _quiet(target)
    try:
        wanted = read(here, source.dbname, link.user)
        observed = read(there, target.dbname, link.user)
        done: list[str] = []
        for _pass in range(_PASSES):
            found = changes(wanted, observed)
            if not found:
                break
            refuse(target.side, [change for change in found if not change.text])
            for change in found:
                _do(there, change)
                done.append(change.what)
            observed = read(there, target.dbname, link.user)
        else:
            refuse(target.side, changes(wanted, observed))
        for session, dbname in () if quietly else ((here, source.dbname), (there, target.dbname)):
            link_account.keep_connect(session, dbname, link.user)
        return list(dict.fromkeys(done)), left(wanted, observed)
    finally:
        here.close()
        there.close()


def pending(legacy: Server, new: Server, user: str, serves: str) -> list[str]:
    """What `follow` would change on the side that does not serve. Reads only."""
    states = both(legacy, new, user)
    return [change.what for change in changes(*(states if serves == "legacy" else states[::-1]))]


def both(legacy: Server, new: Server, user: str) -> tuple[State, State]:
    here, there = _quiet(legacy), _quiet(new)
    try:
        return read(here, legacy.dbname, user), read(there, new.dbname, user)
    finally:
        here.close()
        there.close()


def findings(legacy: Server, new: Server, user: str) -> list[Finding]:
    """Before the first write: what cannot be carried, and what the operator should know of what will be."""
    source, target = both(legacy, new, user)
    found = [Finding("accounts_differ", "fail", change.what, *_text("new", [change])) for change in changes(source, target) if not change.text]
    for name in sorted(_carried(source, target) - target.kept):
        account, other = source.accounts[name], target.accounts.get(name)
        if other is None and account["rolsuper"]:
            message = f"Account {name!r} is a superuser of legacy, so it is made as one on new, with its password."
            remedy = f"Leave it so, or take it from it before, on legacy: ALTER ROLE {ident(name)} NOSUPERUSER;"
            found.append(Finding("account_superuser", "warn", name, message, remedy))
        elif other is not None and any(accounts.meaning(account, column) != accounts.meaning(other, column) for column in accounts.COLUMNS):
            message = f"Account {name!r} exists on new and gets the attributes, password, memberships and settings that it has on legacy."
            found.append(Finding("account_taken", "warn", name, message, f"If it is another one, on new: ALTER ROLE {ident(name)} RENAME TO <name>;"))
    return found


def refuse(side: str, found: t.Sequence[Change]) -> None:
    """Raises FleetError "accounts_differ" with all of them."""
    if found:
        message, remedy = _text(side, found)
        raise FleetError("accounts_differ", message, remedy=remedy, details={"side": side, "differences": [change.what for change in found]})


def _text(side: str, found: t.Sequence[Change]) -> tuple[str, str]:
    shown = "; ".join(change.what + (f" ({change.why})" if change.why else "") for change in found[:10])
    return (
        f"What is no row cannot be made equal on {side}: {shown}{' …' if len(found) > 10 else ''}.",
        f"Make it equal by hand on {side}, or change it on the side that serves, and run again.",
    )


def _do(session: Session, change: Change) -> None:
    try:
        session.run(change.text)
    except FleetError as error:
        if error.code != "sql_error":
            raise
        failed = Change(change.what, "", error.message)
    else:
        return
    # Outside of the handler, so that no traceback shows the statement.
    refuse(session.endpoint.side, [failed])


def _quiet(server: Server) -> Session:
    session = server.fresh(MAINTENANCE)
    session.quiet()
    return session
