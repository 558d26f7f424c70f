# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From an empty server to a follower that is in step: the steps of `plan.SEED`, each one safe to repeat."""

from __future__ import annotations

import os
import select
import typing as t
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ...._core.errors import FleetError
from ...._core.runner import Runner
from ...._core.wait import Deadline, wait_for
from ...model import COMPLETE, COPY_FAILED, FORWARD, REST_FAILED, REVERSE, Link, Options
from ...replication import identities, pair, reasons
from ...server import (
    account_sync,
    barrier,
    catalog,
    database,
    fence,
    freeze,
    helper,
    large_objects,
    link_account,
    materialized_views,
    owner_code,
    relations,
    restore_errors,
    scan,
    schema,
    target_database,
)
from ...server.postgres import Server, ident
from ...server.programs import Programs, keys, passes, programs, without
from ...window import carry
from . import small_tables

# What says that a step fails for good, and what the next run finds then.
_FAILURES = ("seed_error", "apply_error")
_FAILED = {"copy": COPY_FAILED, "rest": REST_FAILED}


@contextmanager
def thawing(legacy: Server) -> t.Iterator[None]:
    """A copy that fails is made anew from legacy, so its schema may change again, and what a remedy asks for passes."""
    try:
        yield
    except FleetError as error:
        if error.code in _FAILURES:
            freeze.off(legacy)
        raise


class Seed:
    """Runs the steps by name. ``legacy`` stays open for its clients all the time."""

    def __init__(self, legacy: Server, new: Server, options: Options, link: Link, runner: Runner) -> None:
        self._legacy = legacy
        self._new = new
        self._options = options
        self._link = link
        self._runner = runner

    def do(self, step: str) -> None:
        with thawing(self._legacy):
            try:
                getattr(self, f"_{step}")()
            except FleetError as error:
                if error.code in _FAILURES and step in _FAILED:
                    target_database.stage(self._new, _FAILED[step])
                raise

    def _link_account(self) -> None:
        """A server that does not reach the other one is found before anything is written; the login is tried once the account is there."""
        ways = ((self._new, self._legacy), (self._legacy, self._new))
        for follower, source in ways:
            pair.before_the_account(partial(pair.try_link, follower, source, self._link))
        # What legacy has is noted before it is changed, so that state absent can give it back.
        self._note()
        link_account.keep(self._legacy, self._link, lambda what, was: helper.note(self._legacy, what, was))
        link_account.keep(self._new, self._link)
        for follower, source in ways:
            pair.try_link(follower, source, self._link)

    def _note(self) -> None:
        legacy = self._legacy
        known = helper.RETRY in helper.notes(legacy.db)
        helper.make(legacy, rows=True)
        with legacy.db.block():
            for name, value in (fence.settings_of(legacy.admin, legacy.dbname) or {}).items():
                if name in helper.SETTINGS and not known:
                    helper.note(legacy, helper.SETTING + name, value)
            helper.note(legacy, helper.FOLLOWER + str(self._new.admin.value("SELECT system_identifier FROM pg_control_system()")), "")
            helper.note(legacy, helper.RETRY, helper.THEIRS if pair.starts_quickly(legacy) else helper.OURS)

    def _helper(self) -> None:
        helper.make(self._legacy, rows=True)
        for server in (self._legacy, self._new):
            pair.quick_start(server)

    def _identities(self) -> None:
        for table in catalog.keyless(self._legacy.db):
            identities.give_identity(self._legacy, table)

    def _freeze(self) -> None:
        if self._options.ddl_freeze:
            freeze.on(self._legacy)

    def _globals(self) -> None:
        account_sync.copy(self._legacy, self._new, self._link)

    def _database(self) -> None:
        """A database of ours that was left half made is made again; one that stands empty is taken over."""
        name = self._new.dbname
        settings = fence.settings_of(self._new.admin, name)
        if settings is not None and "pgcut.stage" in settings:
            # A copy that failed; a database with a subscription cannot be dropped.
            pair.unsubscribe(self._new, FORWARD)
        pair.drop_slot(self._legacy, FORWARD)
        # An armed pair whose copy is made again: its slot goes with the database.
        pair.unsubscribe(self._legacy, REVERSE)
        self._new.forget()
        if settings is not None and "pgcut.stage" in settings:
            target_database.drop(self._new, name)
            settings = None
        if settings is None:
            target_database.create(self._new, name, database.describe(self._legacy.admin, self._legacy.dbname))
        else:
            target_database.close(self._new, name)
        described = database.describe(self._legacy.admin, self._legacy.dbname, self._link.user)
        database.give(self._new.admin, name, described, "seed_error")
        link_account.keep_connect(self._new.admin, name, self._link.user)

    def _schema(self) -> None:
        schema.prepare(self._legacy, self._new, self._options, everything=False)
        with self._programs() as tools:
            archive, lines = schema.dump(tools, self._legacy)
            self._restore(tools, archive, ["--exit-on-error", "--section=pre-data"], lines)
            self._restore(tools, archive, ["--exit-on-error"], self._keys(lines))
        # Rows that an extension's script has put into its own tables arrive with the copy as well.
        for table in catalog.extension_tables(self._new.db):
            with self._new.db.block():
                relations.write(self._new.db, [table])
                self._new.db.run(f"TRUNCATE {ident(*table)} CASCADE")

    def _follow(self) -> None:
        owner_code.refuse_replicated(self._new.db, self._options.accept_owner_code)
        pair.publish(self._legacy, FORWARD)
        # Only behind the freeze nobody gives a table on new code that this session would run while it writes rows.
        tables = small_tables.candidates(self._legacy, self._new) if self._options.ddl_freeze else []
        if tables:
            small_tables.follow(self._legacy, self._new, self._link, tables)
            return
        pair.keep_slot(self._legacy, FORWARD)
        pair.subscribe(self._new, self._legacy, self._link, FORWARD, copy=True)

    def _copy(self) -> None:
        """Wait until every table is in step. The servers copy by themselves, so a killed run loses nothing."""
        take_in(pair.direction(self._legacy, self._new, "new"), self._options.accept_owner_code)
        deadline = Deadline(self._options.wait_timeout)
        stalled = reasons.Stalled(self._new)
        while True:
            pending = self._new.db.rows(
                "SELECT c.oid::regclass::text AS name, r.srsubstate::text AS state FROM pg_subscription_rel r"
                " JOIN pg_subscription s ON s.oid = r.srsubid JOIN pg_class c ON c.oid = r.srrelid"
                " WHERE s.subname = %s AND r.srsubstate <> 'r' ORDER BY 1",
                FORWARD,
            )
            if not pending:
                return
            names = ", ".join(row["name"] for row in pending[:10])
            if stalled.look(pending):
                raise FleetError(
                    "seed_error",
                    f"The copy to {self._new.endpoint} fails again and again; tables not in step: {names}. {reasons.reason(self._new, FORWARD)}",
                    remedy="Remove the reason on legacy, where the schema is not frozen any more, and run again: the"
                    " database on new is made anew, unless all tables have come into step by then. Or give the move up with state: absent.",
                    details={"tables": [dict(row) for row in pending]},
                )
            if nobody_listens():
                raise FleetError(
                    "timeout",
                    "The caller is gone. The servers go on copying, the next run waits for them.",
                    remedy="Run the same state again.",
                )
            if deadline.expired():
                raise FleetError(
                    "timeout",
                    f"Waited {deadline.seconds:g} s for the copy; tables not in step: {names}.",
                    remedy="Raise wait_timeout and run again; the servers go on copying meanwhile.",
                    details={"tables": [dict(row) for row in pending]},
                )
            deadline.pause(0.1 if deadline.elapsed() < 10 else 1.0)

    def _rest(self) -> None:
        with self._programs() as tools:
            archive, lines = schema.dump(tools, self._legacy)
            # Not by --section: pg_restore takes a comment for a part of the section of the entry before it in the list that it is given
            # (ProcessArchiveRestoreOptions in pg_backup_archiver.c), and keys and indexes, which it may belong to, are not in this one.
            behind = set(tools.listing(archive, section="post-data"))
            jobs = self._options.seed_jobs or os.cpu_count() or 1
            # A killed run may have made some of them, so "already exists" is no error here.
            output = ""
            for some, parallel in passes(without([line for line in lines if line in behind], self._keys(lines))):
                output += self._restore(tools, archive, [f"--jobs={jobs}"] if parallel else [], some, strict=False) + "\n"
        self._refuse(restore_errors.errors(output))
        if self._options.ddl_freeze:
            freeze.on(self._new)
        different = catalog.drift(self._legacy, self._new)
        if different:
            raise FleetError(
                "seed_error",
                f"The schema of {self._new.endpoint} differs after the restore: {', '.join(different[:10])}. {output[-600:]}",
                remedy="Remove the reason on legacy, where the schema is not frozen any more, and run again: the database on new is made anew."
                " Or give the move up with state: absent.",
                details={"objects": different},
            )
        large_objects.carry(self._legacy.db, self._new.db)
        schema.initial_rights(self._legacy.db, self._new.db)
        carry.carry_unlogged(self._legacy.db, self._new.db, catalog.unlogged(self._legacy.db), self._options.accept_owner_code)
        materialized_views.refresh_views(self._legacy, self._new)
        schema.analyze(self._new)
        target_database.stage(self._new, COMPLETE)

    def _refuse(self, failed: t.Sequence[tuple[str, str]]) -> None:
        """Whatever could not be made on new is missing there, whether the comparison of both schemas sees it or not."""
        if failed:
            raise FleetError(
                "seed_error",
                f"What cannot be made on {self._new.endpoint}: {restore_errors.sentence(failed)}.",
                remedy="Change or drop each of them on legacy, as a superuser after SET pgcut.bypass = on, and run again.",
                details={"objects": [{"statement": statement, "reason": reason} for statement, reason in failed]},
            )

    def _keys(self, lines: t.Sequence[str]) -> list[str]:
        return keys(lines, catalog.identity_indexes(self._legacy.db), catalog.valid_checks(self._legacy.db))

    def _programs(self) -> t.ContextManager[Programs]:
        return programs(self._runner, self._options.new.bindir, self._options.legacy.bindir, major=self._new.admin.version // 10000)

    def _restore(self, tools: Programs, archive: Path, words: t.Sequence[str], lines: t.Sequence[str], *, strict: bool = True) -> str:
        if not lines:
            return ""
        done = schema.restore(tools, self._options.new, self._new.dbname, archive, lines, words)
        if done.rc != 0 and strict:
            raise FleetError(
                "seed_error",
                f"pg_restore into {self._new.endpoint} ended with {done.rc}: {done.err.strip()[-600:]}.",
                remedy="Remove the reason and run again; the database on the new side is made anew.",
            )
        return done.err.strip()


def is_complete(new: Server) -> bool:
    """Whether a copy was finished once, so that both schemas were equal then."""
    return (fence.settings_of(new.admin, new.dbname) or {}).get("pgcut.stage") == COMPLETE


def nobody_listens() -> bool:
    """Whether standard output is a pipe that nobody reads any more. A run whose caller was killed must not keep the lock for hours."""
    poll = select.poll()
    poll.register(1, select.POLLERR)
    return any(event & (select.POLLERR | select.POLLHUP) for _descriptor, event in poll.poll(0))


def take_in(direction: pair.Direction, accepted: t.Collection[str]) -> None:
    """Tables that were made on both sides after the copy: let the target's subscription follow them, from an empty table on."""
    tables = catalog.unfollowed(direction.target.db, direction.ahead)
    if not tables:
        return
    for server in (direction.source, direction.target):
        for table in catalog.keyless(server.db):
            identities.give_identity(server, table, keep=server is direction.source)
    apart = scan.unplannable(direction.target.db)
    for name in tables:
        with direction.target.db.block():
            relations.write(direction.target.db, [name])
            # TRUNCATE plans nothing; where it need not be, a table that others refer to can be emptied, too.
            empty = "TRUNCATE ONLY" if name in apart else "DELETE FROM ONLY"
            direction.target.db.run(f"{empty} {ident(*name)}")
    owner_code.refuse_replicated(direction.target.db, accepted)
    direction.target.db.run(f"ALTER SUBSCRIPTION {ident(direction.ahead)} REFRESH PUBLICATION WITH (copy_data = true)")


def complete(direction: pair.Direction, seconds: float, accepted: t.Collection[str]) -> None:
    """`take_in`, and wait until everything is in step."""
    take_in(direction, accepted)
    wait_for(
        lambda: direction.target.db.value(
            "SELECT count(*) FROM pg_subscription_rel r JOIN pg_subscription s ON s.oid = r.srsubid"
            " WHERE s.subname = %s AND r.srsubstate <> 'r'",
            direction.ahead,
        ),
        lambda pending: pending == 0,
        Deadline(seconds),
        what=f"every table of {direction.target.side} to be in step",
        interval=0.1,
        remedy="Read the log of the server that follows, remove the reason, and run again.",
    )


def remove_helper(server: Server) -> None:
    """Freeze and helper schema; the epoch stays, it tells that the fence of legacy is one of ours."""
    barrier.remove(server)
    freeze.off(server)
    server.db.run("DROP SCHEMA IF EXISTS pgcut CASCADE")
    pair.usual_start(server)
