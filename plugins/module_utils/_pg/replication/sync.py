# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``guarantee: sync``: while the new side serves, no commit is acknowledged before legacy has applied it.

Three settings on new make it: the database commits with ``remote_apply``, ``synchronous_standby_names`` names the subscription on legacy,
and the server's own ``synchronous_commit`` is ``local``, so that other databases of that server never wait for it. What they were before
stands in the setting ``pgcut.sync`` of the database and is put back from there. Legacy carries the note ``pgcut.guarantee``: when new is
dead, it alone can tell what may be missing. (https://www.postgresql.org/docs/15/runtime-config-replication.html; the source of the
behaviour on logical subscribers is the walsender's view pg_stat_replication, where the subscription shows as sync_state "sync".)

In the window and until the old direction is taken down sync stays as it is, so there is no moment without it.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass

from ..._core.errors import FleetError
from ..._core.finding import Finding
from ..._core.result import Step
from ..._core.wait import Deadline, wait_for
from ..model import REVERSE, Options
from ..plan import serving
from ..server import fence, sessions, system_settings
from ..server.postgres import Server, ident, literal
from . import pair

NAMES = f"FIRST 1 ({REVERSE})"
_KEPT, _NOTE = "pgcut.sync", "pgcut.guarantee"
_WAITS = ("on", "true", "yes", "1", "remote_apply", "remote_write")
# Commits that must have been applied when they were acknowledged before the guarantee is believed.
_PROBES = 5
# Seconds: for legacy to connect, for it to catch up until a commit of new is seen in less than the last one, and for the proof.
_CONNECTS, _CATCHES_UP, _PROVES, _IN_STEP = 15.0, 30.0, 10.0, 0.5


@dataclass(frozen=True)
class Standing:
    """What both sides carry of it: ``kept`` and ``commits`` of the database on new, ``names`` of that server, ``noted`` on legacy."""

    kept: str = ""
    commits: bool = False
    names: str = ""
    noted: bool = False

    @property
    def holds(self) -> bool:
        return bool(self.kept) and self.commits and self.names == NAMES and self.noted

    @property
    def waits(self) -> bool:
        """Commits on new wait for legacy."""
        return self.names == NAMES

    @property
    def none(self) -> bool:
        return not (self.kept or self.waits or self.noted)


def read(legacy: Server | None, new: Server) -> Standing:
    """How it stands. ``legacy`` is None when it cannot be read: what it carries then counts as if it were there."""
    settings = fence.settings_of(new.admin, new.dbname) or {}
    noted = legacy is None or _NOTE in (fence.settings_of(legacy.admin, legacy.dbname) or {})
    return Standing(
        settings.get(_KEPT, ""), settings.get("synchronous_commit") == "remote_apply", _shown(new, "synchronous_standby_names"), noted
    )


def noted(legacy: Server) -> bool:
    """Whether legacy knows that every acknowledged commit of new had been applied here."""
    return _NOTE in (fence.settings_of(legacy.admin, legacy.dbname) or {})


def forget(legacy: Server) -> None:
    """Take the note away."""
    if noted(legacy):
        legacy.admin.run(f"ALTER DATABASE {ident(legacy.dbname)} RESET {_NOTE}")


def steps(options: Options, found: str, standing: Standing) -> tuple[Step, ...]:
    """What is to be done for it beside the steps of the state, to be merged by `merge`. Pure."""
    if options.state == "preflight":
        return ()
    serves = {"window_reverse": "new", "window_forward": "legacy"}.get(found, serving(found))
    ends_on_new = options.state == "new" or (options.state == "armed" and serves == "new")
    if ends_on_new and options.guarantee == "sync":
        if standing.holds and serves == "new":
            return ()
        return (Step("sync", "commits on new wait until legacy has applied them, also while legacy is unreachable"),)
    if standing.none or (options.state == "seeded" and serves == "new"):
        return ()
    return (Step("async", "commits do not wait for the other side"),)


def merge(plan: tuple[Step, ...], extra: tuple[Step, ...]) -> tuple[Step, ...]:
    """Waiting ends before the pair is taken away, and after everything else: a switch keeps the guarantee until its writes have moved."""
    if extra and extra[0].action == "async":
        cut = next((number for number, step in enumerate(plan) if step.action == "finish"), len(plan))
        return (*plan[:cut], *extra, *plan[cut:])
    return (*plan, *extra)


def judge(options: Options, legacy: Server, new: Server, standing: Standing) -> list[Finding]:
    """What stands against it, by name; and the warning that goes with it."""
    if options.guarantee != "sync" or options.state not in ("preflight", "armed", "new"):
        return []
    findings = []
    names, source = _shown(new, "synchronous_standby_names"), _source(new, "synchronous_standby_names")
    if names and not standing.waits:
        findings.append(
            Finding(
                "sync_unavailable",
                "fail",
                "new.synchronous_standby_names",
                f"synchronous_standby_names on new is {names}; guarantee: sync would replace it.",
                "Use guarantee: async, or reset it on new for the time of the cutover.",
            )
        )
    elif source in ("command line", "environment variable"):
        findings.append(
            Finding(
                "sync_unavailable",
                "fail",
                "new.synchronous_standby_names",
                f"synchronous_standby_names on new is set by its {source}, which ALTER SYSTEM cannot change.",
                "Remove it there, or use guarantee: async.",
            )
        )
    for account in sorted({account for server in (legacy, new) for account in _own_way(server)}):
        findings.append(
            Finding(
                "sync_unavailable",
                "fail",
                f"account {account}",
                f"Account {account} has a synchronous_commit of its own, which beats that of the database, so its commits would not wait.",
                f"ALTER ROLE {ident(account)} [IN DATABASE {ident(new.dbname)}] RESET synchronous_commit on both servers, or guarantee: async.",
            )
        )
    findings.append(
        Finding(
            "sync_unavailable",
            "warn",
            "guarantee",
            "With guarantee: sync, commits on new wait while legacy is unreachable.",
            "Run state new with guarantee: async to let them go on; new alone has to answer for that.",
        )
    )
    return findings


def prepare(new: Server) -> None:
    """Keep what was, and let sessions that begin from now on ask for it. Without a standby name no commit waits yet."""
    settings = fence.settings_of(new.admin, new.dbname) or {}
    kept = json.loads(settings.get(_KEPT) or "{}")
    if kept.get("at"):
        return
    if not kept:
        kept = {
            "names": system_settings.written(new, "synchronous_standby_names"),
            "server": system_settings.written(new, "synchronous_commit"),
            "database": settings.get("synchronous_commit"),
        }
    _alter(new, f"SET {_KEPT} = {literal(json.dumps(kept))}", "SET synchronous_commit = 'remote_apply'")
    # A session that began before this moment may still have the old value.
    _alter(new, f"SET {_KEPT} = {literal(json.dumps({**kept, 'at': str(sessions.now_on(new))}))}")


def on(options: Options, legacy: Server, new: Server) -> None:
    """Make it hold, or leave everything as it was and raise FleetError "sync_unavailable": new serves on without it."""
    prepare(new)
    kept = json.loads((fence.settings_of(new.admin, new.dbname) or {})[_KEPT])
    try:
        # Only when new served before it was asked for are there such sessions; a switch has ended them itself.
        sessions.end(new, kept["at"], options.drain_grace, options.on_active, options.drain_grace + 10)
        _in_step(pair.direction(legacy, new, "legacy"))
        if _confined(new):
            _system(new, "SET synchronous_commit = 'local'")
        _system(new, f"SET synchronous_standby_names = {literal(NAMES)}")
        for session in (new.admin, new.db):
            session.settings({"synchronous_commit": "local"})
        wait_for(
            lambda: _state(new),
            lambda value: value == "sync",
            Deadline(10),
            what=f"{REVERSE} to become the synchronous standby of new",
            interval=0.02,
        )
        _proven(new)
        legacy.admin.run(f"ALTER DATABASE {ident(legacy.dbname)} SET {_NOTE} = 'sync'")
    except FleetError as error:
        if not new.admin.closed:
            off(legacy, new)
        raise FleetError(
            "sync_unavailable",
            f"Commits on new could not be made to wait for legacy: {error.message} New serves with guarantee: async.",
            remedy=f"{error.remedy} Then run the same again.".strip(),
            details={"cause": error.as_failure()},
        ) from error


def off(legacy: Server | None, new: Server) -> None:
    """Put back what was. Legacy's note goes first, so that it never promises too much; commits that wait are released."""
    if legacy is not None:
        forget(legacy)
    settings = fence.settings_of(new.admin, new.dbname) or {}
    kept = json.loads(settings.get(_KEPT) or "{}")
    if _shown(new, "synchronous_standby_names") == NAMES:
        _system(new, system_settings.back("synchronous_standby_names", kept.get("names")))
    if system_settings.written(new, "synchronous_commit") == "local" and kept:
        _system(new, system_settings.back("synchronous_commit", kept.get("server")))
    if kept:
        _alter(new, f"RESET {_KEPT}", system_settings.back("synchronous_commit", kept.get("database")))
    for session in (new.admin, new.db):
        session.settings({"synchronous_commit": "on"})


# --- parts ------------------------------------------------------------------------------------------------------------------------


def _in_step(direction: pair.Direction) -> None:
    """Legacy is connected, and shows a commit of new at once."""
    wait_for(
        lambda: pair.lag(direction.source, direction.ahead),
        lambda value: value is not None,
        Deadline(_CONNECTS),
        what="legacy to connect to new",
        interval=0.05,
        remedy="Read the log of legacy for the reason, and remove it.",
    )
    deadline = Deadline(_CATCHES_UP)
    while pair.ping(direction, f"{fence.new_epoch()}:ping", 30) > _IN_STEP:
        if deadline.expired():
            raise FleetError("apply_lagging", "Legacy does not keep up with new.", remedy="Let it catch up, when new is written to less.")


def _proven(new: Server) -> None:
    """Commits as a client would make them: each one acknowledged must have been applied already.

    That the standby is named is seen by the view before the server's checkpointer, which decides whether commits wait, has seen it.
    """
    session = new.fresh(new.dbname)
    session.settings({"synchronous_commit": "remote_apply"})
    deadline, good = Deadline(_PROVES), 0
    try:
        while good < _PROBES:
            # A commit that waits in vain is released after a while; it counts as not applied.
            timer = threading.Timer(5, session.raw.cancel)
            timer.start()
            position = session.value(
                "UPDATE pgcut.marker SET at = clock_timestamp() WHERE id = %s RETURNING pg_current_wal_insert_lsn()::text", pair.PING_REVERSE
            )
            timer.cancel()
            applied = session.value(
                "SELECT coalesce(bool_or(replay_lsn > %s::pg_lsn), false) FROM pg_stat_replication WHERE application_name = %s",
                position,
                REVERSE,
            )
            good = good + 1 if applied else 0
            if deadline.expired():
                raise FleetError("apply_lagging", "Commits were acknowledged before legacy had applied them.", remedy="Run again.")
    finally:
        session.close()


def _state(new: Server) -> str:
    found = new.admin.rows("SELECT sync_state FROM pg_stat_replication WHERE application_name = %s", REVERSE)
    return str(found[0]["sync_state"]) if found else "not connected"


def _own_way(server: Server) -> list[str]:
    """Accounts with a synchronous_commit of their own, in this database or in all."""
    return [
        str(row["rolname"])
        for row in server.admin.rows(
            "SELECT DISTINCT a.rolname FROM pg_db_role_setting s JOIN pg_roles a ON a.oid = s.setrole, unnest(s.setconfig) c"
            " WHERE c LIKE 'synchronous_commit=%%' AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = %s))",
            server.dbname,
        )
    ]


def _shown(server: Server, name: str) -> str:
    return str(server.admin.value("SELECT current_setting(%s)", name))


def _source(server: Server, name: str) -> str:
    return str(server.admin.value("SELECT source FROM pg_settings WHERE name = %s", name))


def _confined(server: Server) -> bool:
    """Whether commits of other databases would wait, too."""
    found = server.admin.rows("SELECT setting FROM pg_file_settings WHERE name = 'synchronous_commit' ORDER BY seqno DESC LIMIT 1")
    return not found or str(found[0]["setting"]).lower() in _WAITS


def _system(server: Server, change: str) -> None:
    server.admin.run(f"ALTER SYSTEM {change}")
    server.admin.run("SELECT pg_reload_conf()")
    name = change.split()[1]
    if change.startswith("SET") and name == "synchronous_standby_names":
        wait_for(lambda: _shown(server, name), lambda value: value == NAMES, Deadline(10), what=f"{name} to be read", interval=0.02)
    elif name == "synchronous_standby_names":
        wait_for(lambda: _shown(server, name), lambda value: value != NAMES, Deadline(10), what=f"{name} to be read", interval=0.02)


def _alter(server: Server, *changes: str) -> None:
    """One transaction."""
    server.admin.run("; ".join(f"ALTER DATABASE {ident(server.dbname)} {change}" for change in changes))
