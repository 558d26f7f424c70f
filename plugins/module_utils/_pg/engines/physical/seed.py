# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making a standby of the whole cluster: its slot, its base backup, the exchange of the data directory, the way back.

The base backup is taken beside the empty cluster that runs on new (``pgcut.seed`` in its data directory), so new answers until the copy is
complete. Configuration stays each server's own: files ending in .conf in the data directory, postgresql.auto.conf among them.
"""

from __future__ import annotations

from functools import partial

from ...._core.errors import FleetError
from ...._core.faults import hit
from ...._core.wait import Deadline, wait_for
from ...model import FORWARD, OTHER, REVERSE, Link
from ...replication import pair
from ...server import link_account
from ...server.postgres import Server, ident, literal
from .facts import SLOT, Site, Sites, ask, unpromoted

# What pg_rewind reads through its connection (PostgreSQL documentation, pg_rewind, notes).
_REWIND = (
    "pg_catalog.pg_ls_dir(text, boolean, boolean)",
    "pg_catalog.pg_stat_file(text, boolean)",
    "pg_catalog.pg_read_binary_file(text)",
    "pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)",
)
_SEED = "pgcut.seed"
_BACKUP = "pgcut_backup"

# Everything old goes to pgcut.old first and is forgotten last; .done in it says that the old part is complete, so each part may be
# repeated after a kill; the script of a killed run goes on by itself, so the next one waits for it. Configuration and the words of the last start stay.
_REPLACE = """
set -eu
cd "$1"
exec 9> pgcut.lock
flock 9
if [ -e standby.signal ] && [ ! -e pgcut.seed ] && [ ! -e pgcut.old ]; then rm -f pgcut.lock; exit 0; fi
if [ ! -e pgcut.old/.done ]; then
  test -e pgcut.seed/pgcut.done
  mkdir -p -m 0700 pgcut.old
  for f in * .[!.]*; do
    case $f in pgcut.*|'*'|'.[!.]*') ;; *) mv -- "$f" pgcut.old/ ;; esac
  done
  : > pgcut.old/.done
fi
if [ -e pgcut.seed ]; then
  for f in pgcut.old/*.conf pgcut.old/postmaster.opts; do if [ -e "$f" ]; then cp -p -- "$f" pgcut.seed/; fi; done
  : > pgcut.seed/standby.signal
  for f in pgcut.seed/* pgcut.seed/.[!.]*; do
    case $f in *'*'|*'.[!.]*'|*/pgcut.done) ;; *) if [ -e "$f" ]; then mv -f -- "$f" .; fi ;; esac
  done
  rm -rf pgcut.seed
fi
sync .
rm -rf pgcut.old pgcut.lock
"""
_TIDY = 'cd "$1" && rm -rf pgcut.seed'
_DONE = 'cd "$1" && : > pgcut.seed/pgcut.done'
_COMPLETE = 'test -e "$1/pgcut.seed/pgcut.done"'


class Seed:
    """The steps that make new a standby of legacy, each of which finds out what is missing."""

    def __init__(self, sites: Sites, link: Link, timeout: float) -> None:
        self._legacy, self._new = sites.legacy, sites.new
        self._link = link
        self._timeout = timeout

    def do(self, action: str) -> None:
        {"link_account": self._link_account, "slot": self._slot, "backup": self._backup, "replace": self._replace, "copy": self._copy}[action]()

    def _link_account(self) -> None:
        """A way that cannot be gone is found before anything is written; the login is tried once the account is there."""
        ways = ((self._new, self._legacy), (self._legacy, self._new))
        for follower, source in ways:
            pair.before_the_account(partial(try_stream, follower, source, self._link))
        for site in (self._legacy, self._new):
            link_account.keep(site.server, self._link)
        for follower, source in ways:
            try_stream(follower, source, self._link)

    def _slot(self) -> None:
        keep_slot(self._legacy.server, FORWARD)
        if self._new.control.running():
            follow(self._new.server, self._legacy, self._link)

    def _backup(self) -> None:
        new, legacy = self._new, self._legacy.server
        # A base backup whose module was killed goes on by itself; it would hold the slot.
        legacy.admin.run("SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE application_name = %s", _BACKUP)
        if new.control.script(_COMPLETE, new.control.data_directory).rc == 0 and ask(self._legacy)["slot"]["restart_lsn"]:
            return
        wait_for(
            lambda: legacy.admin.value("SELECT count(*) FROM pg_stat_replication WHERE application_name = %s", _BACKUP),
            lambda value: value == 0,
            Deadline(20),
            what="an interrupted base backup to end",
        )
        self._script(_TIDY)
        words = [
            f"--pgdata={new.control.data_directory}/{_SEED}",
            f"--dbname={pair.conninfo(self._link, legacy, _BACKUP)}",
            f"--slot={FORWARD}",
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-password",
            # A killed run's backup must not remove the directory of the one that followed it.
            "--no-clean",
        ]
        done = new.control.program("pg_basebackup", words, timeout=self._timeout)
        if done.rc != 0:
            raise FleetError(
                "seed_error",
                f"pg_basebackup of {legacy.endpoint} on the new side ended with {done.rc}: {done.err.strip()[-400:]}.",
                remedy="Check the room on new and link.to_legacy, then run again; new still has its own cluster.",
            )
        self._script(_DONE)

    def _replace(self) -> None:
        new = self._new
        if new.control.running() and ask(new)["recovery"]:
            return
        new.server.close()
        new.control.stop("fast", 60)
        self._script(_REPLACE)

    def _copy(self) -> None:
        new = self._new
        start_standby(new)
        new.server.close()
        wait_following(new, self._legacy, self._timeout)
        level = self._legacy.server.admin.value("SELECT pg_current_wal_flush_lsn()::text")
        wait_replayed(new, level, self._timeout)

    def _script(self, text: str) -> None:
        done = self._new.control.script(text, self._new.control.data_directory, timeout=600)
        if done.rc != 0:
            raise FleetError(
                "seed_error",
                f"The data directory of {self._new.server.endpoint} could not be exchanged: {(done.err or done.out).strip()[-300:]}.",
                remedy="Look at the directory, take away what stands in the way (pgcut.old holds what was there), and run again.",
            )


def try_stream(follower: Site, source: Site, link: Link) -> None:
    """Prove that the follower's host may stream from ``source``, as the owner of its data directory. Raises link_auth, link_unreachable."""
    words = ["--no-psqlrc", "--no-password", "--tuples-only", "--command=IDENTIFY_SYSTEM"]
    words.append(f"{pair.conninfo(link, source.server, 'pgcut_try')} replication=true")
    done = follower.control.program("psql", words)
    if done.rc != 0:
        needs = f"Streaming needs: {pair.hba_line(link, 'replication', follower.side)}"
        failure = FleetError("sql_error", done.err.strip()[-300:] or "psql gave no reason", remedy=needs)
        failed = pair.link_failure(follower.server, source.server, link, failure)
        raise FleetError(failed.code, failed.message, remedy=f"{failed.remedy} {needs}", details=failed.details)


def has_signal(site: Site) -> bool:
    """Whether a start makes a standby of it."""
    done = site.control.script('test -d "$1" && if test -e "$1/standby.signal"; then echo there; fi', site.control.data_directory)
    if done.rc != 0:
        raise FleetError(
            "control_failed",
            f"The data directory of {site.server.endpoint} cannot be read: {(done.err or done.out).strip()[-200:] or 'it is not there'}.",
            remedy=f"Check that {site.side}.data_directory is there, and the rights on the folders above it; then run again.",
        )
    return done.out.strip() == "there"


def put_signal(site: Site) -> None:
    """Make the next start one of a standby, durably."""
    done = site.control.script('umask 077; : > "$1/standby.signal" && sync "$1/standby.signal" "$1"', site.control.data_directory)
    if done.rc != 0:
        raise FleetError(
            "control_failed",
            f"standby.signal cannot be written in the data directory of {site.server.endpoint}: {(done.err or done.out).strip()[-200:]}.",
            remedy=f"Check the room and the rights there ({site.side}.data_directory), then run again.",
        )


def stopped_in_recovery(site: Site) -> bool:
    """Not running, never promoted, and standby.signal is there (again), so that a start makes a standby of it. Raises when unreadable.

    A standby that crosses to a newer timeline of its primary looks like one that was promoted until its next checkpoint, but for the file.
    """
    if site.control.running():
        return False
    if not (has_signal(site) or unpromoted(site.control.controldata())):
        return False
    put_signal(site)
    return True


def start_standby(site: Site) -> None:
    """Start it unless it runs, and never as anything else than a standby: without standby.signal it would open."""
    if site.control.running():
        return
    if not stopped_in_recovery(site):
        raise FleetError(
            "inconsistent",
            f"{site.server.endpoint} does not run and is no standby, so it is not started. Nothing was changed.",
            remedy="Run again; the facts decide.",
        )
    site.control.start(60)


def keep_slot(server: Server, name: str) -> None:
    """The physical slot ``name``, holding the log from now on. Works on a standby, too."""
    found = server.admin.rows("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = %s", name)
    if found and found[0]["restart_lsn"] is None:
        server.admin.run("SELECT pg_drop_replication_slot(%s)", name)
    if not found or found[0]["restart_lsn"] is None:
        server.admin.run("SELECT pg_create_physical_replication_slot(%s, true)", name)


def drop_slot(server: Server, name: str) -> None:
    """Drop it; its user, if any, has to be gone in a moment."""
    deadline = Deadline(10)
    while server.admin.rows("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", name):
        try:
            server.admin.run("SELECT pg_drop_replication_slot(%s)", name)
        except FleetError:
            if deadline.expired():
                raise
            server.admin.run("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", name)
            deadline.pause(0.1)


def follow(server: Server, source: Site, link: Link) -> None:
    """Settings that a primary does not look at: what it follows once it is a standby. Both are in postgresql.auto.conf of this server."""
    wanted = {
        "primary_conninfo": pair.conninfo(link, source.server, SLOT[source.side]),
        "primary_slot_name": SLOT[source.side],
    }
    for name, value in wanted.items():
        if server.admin.value("SELECT current_setting(%s)", name) != value:
            server.admin.run(f"ALTER SYSTEM SET {name} = {literal(value)}")
    server.admin.run("SELECT pg_reload_conf()")


def unfollow(server: Server) -> None:
    for name in ("primary_conninfo", "primary_slot_name"):
        server.admin.run(f"ALTER SYSTEM RESET {name}")
    server.admin.run("SELECT pg_reload_conf()")


def arm(sites: Sites, serves: str, link: Link) -> None:
    """The side that serves will know what to follow, and pg_rewind may read the other one."""
    site = sites.side(serves)
    names = ", ".join(_REWIND)
    site.server.admin.run(f"GRANT EXECUTE ON FUNCTION {names} TO {ident(link.user)}")
    hit("A1")
    follow(site.server, sites.side(OTHER[serves]), link)
    hit("A2")
    for each in sites.both():
        pair.quick_start(each.server)
    hit("A3")
    wait_for(
        lambda: ask(site)["follows_by"],
        lambda value: value == SLOT[OTHER[serves]],
        Deadline(10),
        what=f"{site.server.endpoint} to read its settings anew",
    )


def anew(site: Site) -> str:
    """What a hand does with a standby that cannot go on: the end of a remedy."""
    data = site.control.data_directory
    return (
        f"make the standby anew: stop it, put its *.conf files aside, empty {data}, run pg_basebackup there as its owner (--pgdata={data},"
        " --dbname with the primary_conninfo of its postgresql.auto.conf), put the *.conf files back, touch standby.signal in it, and run again."
    )


def resume(site: Site) -> str:
    """A replay that somebody has paused is not started again by itself, and as long as it is paused nothing is received."""
    return f"If its replay is paused, on {site.side}: SELECT pg_wal_replay_resume();"


def wait_following(site: Site, source: Site, seconds: float) -> None:
    """Until it is in recovery and streams from ``source`` through its slot. Raises "apply_error" with what the server says."""

    def look() -> str:
        try:
            row = ask(site)
        except FleetError as error:
            site.server.close()
            if not site.control.running():
                raise FleetError(
                    "apply_error",
                    f"{site.server.endpoint} ended while it was to follow.",
                    remedy=f"Look at its log ({site.control.data_directory}), remove the reason, start it, and run again.",
                ) from error
            return error.message
        if not row["recovery"]:
            raise FleetError("inconsistent", f"{site.server.endpoint} is no standby.", remedy="Run again; the facts decide.")
        return "streaming" if row["streams"] and ask(source)["sends"] else "in recovery, not streaming"

    wait_for(
        look,
        lambda value: value == "streaming",
        Deadline(seconds),
        what=f"{site.server.endpoint} to stream from the other side",
        code="apply_error",
        interval=0.05,
        remedy=f"Look at the log of {site.side}. If what it asks the other side for is gone there, {anew(site)}",
    )


def wait_replayed(site: Site, level: str, seconds: float, code: str = "apply_lagging") -> float:
    """Seconds until the standby has replayed up to ``level``."""
    deadline = Deadline(seconds)
    wait_for(
        lambda: site.server.admin.rows(
            "SELECT pg_last_wal_replay_lsn()::text AS at, coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, false) AS there", level
        )[0],
        lambda value: bool(value["there"]),
        deadline,
        what=f"{site.server.endpoint} to replay up to {level}",
        interval=0.005,
        code=code,
        remedy=f"{resume(site)} Then run again when the source writes less.",
    )
    return deadline.elapsed()


def withdraw(legacy: Server) -> None:
    """Take from legacy, which is open, what a pair has made there."""
    for name in (FORWARD, REVERSE):
        drop_slot(legacy, name)
    if legacy.admin.value("SELECT current_setting('primary_slot_name')") in (FORWARD, REVERSE):
        unfollow(legacy)
    pair.usual_start(legacy)


def finish(sites: Sites) -> None:
    """Take the pair away: legacy is stopped as the standby that it is, and new forgets it."""
    legacy, new = sites.both()
    legacy.server.close()
    legacy.control.stop("fast", 60)
    drop_slot(new.server, REVERSE)
    drop_slot(new.server, FORWARD)
    unfollow(new.server)
    pair.usual_start(new.server)
