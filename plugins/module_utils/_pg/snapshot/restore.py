# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proving a snapshot by restoring it into a scratch database, and restoring one, or a foreign dump, for good."""

from __future__ import annotations

import hashlib
import os
import time
import typing as t
from pathlib import Path

from ..._core.errors import FleetError
from ..._core.result import Step
from ..._core.runner import Runner
from ..model import MAINTENANCE
from ..server import accounts, database, fence, owner_code, scan, target_database
from ..server.postgres import Server, Session, ident, literal
from ..server.programs import Programs, evaluated, programs, without
from . import content as snapshot_content, files as snapshot_files, plan as snapshot_plan
from .dump import ROOM, need
from .files import Kept

_SHOWN = 20
# What names an account inside its definition; pg_restore can pass over owners and grants, not over these.
_NAMES_ACCOUNTS = ("POLICY", "USER MAPPING")


class Restorer:
    """Restores into ``server``. Nothing of a scratch database is left, whatever happens; a killed run's is dropped by the next one."""

    def __init__(self, server: Server, runner: Runner, accepted: t.Collection[str] = ()) -> None:
        self._server = server
        self._runner = runner
        self._accepted = accepted
        self.owner_code: list[str] = []

    # --- the test -----------------------------------------------------------------------------------------------------------------

    def test(self, kept: Kept) -> dict[str, t.Any]:
        """Restore ``kept`` into a scratch database and compare; returns the record that is kept beside it.

        Raises FleetError "locked", "disk_space", "owner_code", "restore_failed", "manifest_differs".
        """
        manifest = snapshot_files.manifest_of(kept)
        self._room(int(manifest["database"]["bytes"]))
        scratch = self.scratch(kept.subject)
        self._lock(scratch)
        missing = self._missing(manifest["roles"])
        self._refuse_evaluated(manifest, owned=not missing)
        started = time.monotonic()
        try:
            self._make(scratch, manifest["database"], owned=not missing)
            trusted = manifest.get("trusted", ())
            passed_over = self._fill(scratch, kept.file("dump"), owned=not missing, jobs=os.cpu_count() or 1, trusted=trusted)
            restored = time.monotonic() - started
            self._compare(scratch, manifest, kept.name)
        finally:
            target_database.drop(self._server, scratch)
        return {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "server": f"{self._server.endpoint.host}:{self._server.endpoint.port}",
            "version": self._server.admin.version,
            "restore_seconds": round(restored, 2),
            "seconds": round(time.monotonic() - started, 2),
            "tables": len(manifest["tables"]),
            "rows": sum(table["rows"] for table in manifest["tables"]),
            "roles_missing": missing,
            "passed_over": passed_over,
        }

    @staticmethod
    def scratch(subject: str) -> str:
        """The name of the scratch database, of which a server needs one per subject."""
        return f"bowline_scratch_{hashlib.sha256(subject.encode()).hexdigest()[:12]}"

    def _lock(self, name: str) -> None:
        if not self._server.admin.value("SELECT pg_try_advisory_lock(%s)", fence.key(name, "snapshot")):
            raise FleetError(
                "locked",
                f"Another run restores into database {name} on {self._server.endpoint}. Nothing was changed.",
                remedy="Wait for it.",
            )

    def _room(self, size: int) -> None:
        """Only where the data directory is on this host and named; elsewhere a full disk shows as restore_failed."""
        path = Path(self._server.endpoint.data_directory)
        if self._server.endpoint.data_directory and path.is_dir():
            need(path, snapshot_files.free_bytes(path), size, ROOM, "the restored database")

    def _missing(self, names: t.Sequence[str]) -> list[str]:
        present = {row["rolname"] for row in self._server.admin.rows("SELECT rolname FROM pg_roles")}
        return [name for name in names if name not in present]

    def _make(self, name: str, described: t.Mapping[str, t.Any] | None, *, owned: bool) -> None:
        target_database.drop(self._server, name)
        text = f"CREATE DATABASE {ident(name)} WITH TEMPLATE template0"
        if described:
            text = database.create_text(name, described, self._server.admin.version, owned=owned)
        try:
            self._server.admin.run(text)
        except FleetError as error:
            raise self._failed(name, error.message) from error
        # Rows of the application: nobody but superusers gets in before its own grants are there.
        self._server.admin.run(f"REVOKE ALL ON DATABASE {ident(name)} FROM PUBLIC")

    def _fill(self, name: str, archive: Path, *, owned: bool, jobs: int, trusted: t.Collection[str] = ()) -> list[str]:
        """Restore all of ``archive``; the entries that were passed over because their accounts do not exist here. ``trusted`` are functions of
        superusers, which nothing else tells where the owners are left out."""
        with programs(self._runner, self._server.endpoint.bindir, major=self._server.admin.version // 10000) as tools:
            lines = without(tools.listing(archive, "restore_failed"), ())
            over = [] if owned else [line for line in lines if line.split(" ", 3)[-1].startswith(_NAMES_ACCOUNTS)]
            listing = tools.folder / "restore.list"
            listing.write_text("".join(f"{line}\n" for line in lines if line not in over), encoding="utf-8")
            words = ["--exit-on-error", f"--jobs={jobs}", f"--dbname={name}", f"--use-list={listing}"]
            words += [] if owned else ["--no-owner", "--no-privileges"]
            self._run(tools, name, [*words, "--section=pre-data", str(archive)])
            self._refuse_owner_code(name, tools.text(archive, evaluated(lines, self._superusers() if owned else None)), owned, trusted)
            self._run(tools, name, [*words, "--section=data", "--section=post-data", str(archive)])
        return [line.split(" ", 3)[-1] for line in over]

    def _superusers(self) -> list[str]:
        return [str(row["rolname"]) for row in self._server.admin.rows("SELECT rolname FROM pg_roles WHERE rolsuper")]

    def _refuse_evaluated(self, manifest: t.Mapping[str, t.Any], *, owned: bool) -> None:
        """Before the schema is restored: functions that this would run already. Raises FleetError "owner_code"."""
        superusers, trusted = (self._superusers(), ()) if owned else ([], manifest.get("trusted", ()))
        uses = [owner_code.Use(**entry) for entry in manifest.get("evaluated", ())]
        found = [use for use in uses if use.owner not in superusers and use.function not in trusted]
        owner_code.refuse_uses(self._server.admin, found, self._accepted)

    def _refuse_owner_code(self, name: str, later: str, owned: bool, trusted: t.Collection[str]) -> None:
        """Between the schema and the rows: whose functions rows, and ``later`` the entries behind them, would run. Raises "owner_code".

        Without the owners everything is the control account's, so every function that the dump has brought counts as somebody else's, but for
        those that were a superuser's.
        """
        server = self._server.in_database(name)
        try:
            found = [*owner_code.uses(server.db, brought=not owned), *owner_code.written(server.db, later, brought=not owned)]
            found = [use for use in found if owned or use.function not in trusted]
            owner_code.refuse_uses(server.db, found, self._accepted)
        finally:
            server.close()
        self.owner_code = owner_code.accepted(found, self._accepted)

    def _run(self, tools: Programs, name: str, words: t.Sequence[str]) -> None:
        done = tools.run("pg_restore", self._server.endpoint, words, application=f"bowline {name}")
        if done.rc != 0:
            raise self._failed(name, done.err.strip()[-600:])

    def _failed(self, name: str, output: str) -> FleetError:
        return FleetError(
            "restore_failed",
            f"The restore into database {name} on {self._server.endpoint} failed: {output}.",
            remedy="Remove the reason (an extension, a locale or an account that this server lacks, an older pg_restore, a full disk); run again.",
        )

    def _compare(self, name: str, manifest: t.Mapping[str, t.Any], snapshot: str) -> None:
        server = self._server.in_database(name)
        try:
            frozen = snapshot_content.Frozen(server)
            copied = {(entry["schema"], entry["name"]) for entry in manifest["tables"] if scan.Total(0, entry["hash"]).copied}
            content = snapshot_content.Reading(server, frozen.name, copied).content()
        finally:
            server.close()
        wrong = snapshot_content.differences(manifest, content)
        if wrong:
            raise FleetError(
                "manifest_differs",
                f"What was restored from {snapshot} is not what its manifest says: {', '.join(entry['object'] for entry in wrong[:_SHOWN])}.",
                remedy="Do not rely on this snapshot; take a new one.",
                details={"differences": wrong[:_SHOWN], "count": len(wrong)},
            )

    # --- for good -----------------------------------------------------------------------------------------------------------------

    def plan(self, wanted: str, fenced: bool, kept: Kept | None) -> tuple[Step, ...]:
        """The steps of `restore`; reads only. Raises FleetError "conflict" or "account_unsafe"."""
        settings = fence.settings_of(self._server.admin, self._server.dbname)
        empty = settings is not None and not self._server.db.value(
            "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')"
        )
        steps = snapshot_plan.restored(wanted, settings is not None, empty, settings or {}, fenced)
        if kept is not None and any(step.action == "restore" for step in steps):
            self._judge(kept, snapshot_files.manifest_of(kept), self._server.admin)
        return steps

    def restore(self, steps: t.Sequence[Step], archive: Path, wanted: str, kept: Kept | None) -> None:
        """Bring the target database to ``steps``: closed for writes from its first second, open only when that is asked for."""
        manifest = snapshot_files.manifest_of(kept) if kept else None
        self._lock(self._server.dbname)
        for step in steps:
            if step.action == "open":
                self._open()
            else:
                self._restore(archive, wanted, manifest, kept)

    def _restore(self, archive: Path, wanted: str, manifest: t.Mapping[str, t.Any] | None, kept: Kept | None) -> None:
        admin, name = self._server.admin, self._server.dbname
        if manifest and kept:
            self._room(int(manifest["database"]["bytes"]))
            self._refuse_evaluated(manifest, owned=True)
            self._accounts(kept, manifest)
        self._server.forget()
        self._make(name, manifest["database"] if manifest else None, owned=True)
        admin.run(f"ALTER DATABASE {ident(name)} SET pgcut.stage = 'restoring'")
        fence.turn(admin, name, f"{fence.new_epoch()}:restore", True)
        # One job: indexes that two jobs attach to a partitioned one at once can leave it invalid for ever.
        self._fill(name, archive, owned=True, jobs=1)
        if manifest and kept:
            self._compare(name, manifest, kept.name)
            self._settings(manifest["database"])
        else:
            admin.run(f"GRANT CONNECT, TEMPORARY ON DATABASE {ident(name)} TO PUBLIC")
        self._server.forget()
        with self._server.db.views():
            self._server.db.run("ANALYZE")
        admin.run(
            f"ALTER DATABASE {ident(name)} SET pgcut.restored = {literal(wanted)}; ALTER DATABASE {ident(name)} RESET pgcut.stage"
        )

    def _open(self) -> None:
        fence.turn(self._server.admin, self._server.dbname, f"{fence.new_epoch()}:restored", False)

    def _accounts(self, kept: Kept, manifest: t.Mapping[str, t.Any]) -> None:
        """Make the accounts that are missing, with their verifiers. One that exists keeps its password, attributes and settings."""
        session = self._server.fresh(MAINTENANCE)
        session.quiet()
        try:
            self._judge(kept, manifest, session)
            accounts.make(session, snapshot_files.accounts_of(kept), "restore_failed")
        finally:
            session.close()

    def _judge(self, kept: Kept, manifest: t.Mapping[str, t.Any], session: Session) -> None:
        """Raises FleetError "account_unsafe" before anything is written."""
        accounts.refuse(accounts.judge(snapshot_files.accounts_of(kept), manifest["database"]["settings"], session))

    def _settings(self, described: t.Mapping[str, t.Any]) -> None:
        admin, name = self._server.admin, self._server.dbname
        database.give(admin, name, described, "restore_failed")
        if not described["grants"]:
            admin.run(f"GRANT CONNECT, TEMPORARY ON DATABASE {ident(name)} TO PUBLIC")


def foreign(path: Path) -> None:
    """Raises FleetError "invalid_value" unless ``path`` is an archive of pg_dump (custom or tar format, or a directory with one)."""
    try:
        head = b"" if path.is_dir() else path.open("rb").read(512)
    except OSError as error:
        raise FleetError("invalid_value", f"file: {path} cannot be read: {error.strerror}.", remedy="Name an archive of pg_dump.") from error
    if head.startswith(b"PGDMP") or head.startswith(b"toc.dat") or (path.is_dir() and (path / "toc.dat").is_file()):
        return
    raise FleetError(
        "invalid_value",
        f"file: {path} is no archive of pg_dump; plain SQL cannot be restored in part or judged. Nothing was changed.",
        remedy="Dump with --format=custom.",
    )
