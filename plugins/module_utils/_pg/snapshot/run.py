# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of a run of pg_snapshot: look, decide, and do exactly the steps that check mode shows."""

from __future__ import annotations

import socket
import time
import typing as t
from pathlib import Path

from ..._core.errors import FleetError
from ..._core.result import Step, result
from ..._core.runner import Runner
from ..model import SnapshotSpec, weak_tls
from ..options import endpoint, misspelt, subject_problem
from ..server.postgres import Server, load
from . import files as snapshot_files, foresee, plan as snapshot_plan
from .dump import Maker
from .files import PARTIAL, Folder, Kept
from .restore import Restorer, foreign


def run(params: t.Mapping[str, t.Any], runner: Runner, check_mode: bool) -> dict[str, t.Any]:
    """One run of pg_snapshot."""
    _refuse(params)
    load()
    servers = {side: Server(endpoint(side, params[side]), "pg_snapshot") for side in ("source", "target") if params.get(side)}
    try:
        work = Run(params, servers, runner, check_mode)
        states = {"preflight": work.preflight, "present": work.present, "tested": work.tested, "restored": work.restored, "absent": work.absent}
        return states[params["state"]]()
    finally:
        for server in servers.values():
            server.close()


class Run:
    """One run; a method for each state."""

    def __init__(self, params: t.Mapping[str, t.Any], servers: t.Mapping[str, Server], runner: Runner, check_mode: bool) -> None:
        self._params = params
        self._runner = runner
        self._check = check_mode
        self._source, self._target = servers.get("source"), servers.get("target")
        self._folder = Folder(Path(params["directory"]))
        self._subject, self._kind, self._name = params["subject"], params["kind"], params.get("name") or ""
        self._evidence: dict[str, t.Any] = {}

    # --- states -------------------------------------------------------------------------------------------------------------------

    def preflight(self) -> dict[str, t.Any]:
        """What would refuse present and tested. A snapshot that is recent, and proven if so, needs no other one."""
        found = self._folder.kept(self._subject, self._kind)
        limit = self._params["max_age"]
        record = snapshot_files.tested(found[0]) if found else None
        if found and record and time.time() - max(found[0].taken_at, record["unix"]) <= limit:
            return {**self._outcome((), "recent", "recent", found[0]), "findings": []}
        source = self._needed(self._source, "source")
        maker = Maker(source, SnapshotSpec(self._params["directory"], self._subject, self._kind, self._params["compress"]), self._runner)
        observed = foresee.findings(source, maker, self._runner, self._params.get("accept_owner_code") or ())
        self._evidence = maker.facts
        return {**self._outcome((), "missing", "missing", None), "findings": [finding.as_dict() for finding in observed]}

    def present(self) -> dict[str, t.Any]:
        self._folder.judge()
        if self._name:
            return self._adopted()
        found = self._folder.kept(self._subject, self._kind)
        kept = found[0] if found else None
        if kept is not None:
            snapshot_files.check(kept)
        age = None if kept is None else time.time() - kept.taken_at
        partials = [path.name for path in self._folder.partials(self._subject)]
        steps = snapshot_plan.present(age, self._params["max_age"], partials, self._source is not None)
        dumping = any(step.action == "dump" for step in steps)
        if dumping and self._source is not None:
            maker = Maker(self._source, SnapshotSpec(self._params["directory"], self._subject, self._kind, self._params["compress"]), self._runner)
            self._evidence = maker.judge()
            kept = None if self._check else maker.make()
        elif steps and not self._check:
            with self._folder.locked():
                self._folder.sweep(self._subject)
        before = "missing" if age is None else "old" if dumping else "recent"
        return self._outcome(steps, before, "recent", kept)

    def _adopted(self) -> dict[str, t.Any]:
        """The snapshot of this name. One that was copied here as ``<name>.partial``, and is whole, is put in place."""
        partial = self._folder.path / f"{self._name}{PARTIAL}"
        kept = self._folder.named(self._name)
        if kept is None and partial.is_dir():
            kept = snapshot_files.arrived(partial)
            snapshot_files.check(kept)
            if not self._check:
                with self._folder.locked():
                    kept = self._folder.place(partial)
            return self._outcome((Step("adopt", f"{partial.name} is whole"),), "missing", "recent", kept)
        if kept is None:
            raise self._missing()
        snapshot_files.check(kept)
        return self._outcome((), "recent", "recent", kept)

    def tested(self) -> dict[str, t.Any]:
        kept = self._existing()
        snapshot_files.check(kept)
        snapshot_files.restorable(kept)
        record = snapshot_files.tested(kept)
        age = None if record is None else time.time() - record["unix"]
        steps = snapshot_plan.tested(age, self._params["max_age"])
        target = self._needed(self._target, "target")
        if steps:
            target.admin.run("SELECT 1")
        if steps and not self._check:
            restorer = Restorer(target, self._runner, self._params.get("accept_owner_code") or ())
            proof = restorer.test(kept)
            self._evidence["accepted_owner_code"] = restorer.owner_code
            snapshot_files.write_tested(kept, {**proof, "unix": time.time()})
        return self._outcome(steps, "untested" if steps else "tested", "tested", kept)

    def restored(self) -> dict[str, t.Any]:
        target = self._needed(self._target, "target")
        kept: Kept | None = None
        if self._params.get("file"):
            archive = Path(self._params["file"])
            foreign(archive)
            wanted = f"{archive.name} {_sum_of(archive)}"
        else:
            kept = self._existing()
            archive = kept.file("dump")
            wanted = f"{kept.name} {snapshot_files.check(kept)[archive.name]}"
            snapshot_files.restorable(kept)
        restorer = Restorer(target, self._runner, self._params.get("accept_owner_code") or ())
        steps = restorer.plan(wanted, bool(self._params["fenced"]), kept)
        if steps and not self._check:
            restorer.restore(steps, archive, wanted, kept)
            self._evidence["accepted_owner_code"] = restorer.owner_code
        warnings = [] if kept or not steps else ["A foreign dump has no manifest, so what was restored is compared with nothing."]
        return self._outcome(steps, "other" if steps else wanted, wanted, kept, warnings)

    def absent(self) -> dict[str, t.Any]:
        if not self._name:
            raise FleetError("invalid_value", "name: missing, and state absent removes one snapshot.", remedy="Name it. Nothing was changed.")
        self._folder.judge()
        kept = self._folder.named(self._name)
        sums: dict[str, str] = {}
        if kept is not None:
            try:
                sums = snapshot_files.check(kept)
            except FleetError as error:
                self._evidence = {"damaged": error.message}
        here = (socket.gethostname(), str(self._folder.path))
        others = snapshot_plan.copies(sums, here, self._params.get("elsewhere") or (), time.time())
        age = time.time() - kept.taken_at if kept else 0.0
        steps = snapshot_plan.absent(kept.name if kept else None, age, self._params["retention"], bool(sums), others)
        if steps and kept and not self._check:
            with self._folder.locked():
                self._folder.remove(kept)
        return self._outcome(steps, self._name if steps else "", "", None)

    # --- looking ------------------------------------------------------------------------------------------------------------------

    def _existing(self) -> Kept:
        self._folder.judge()
        found = self._folder.kept(self._subject, self._kind)
        kept = self._folder.named(self._name) if self._name else found[0] if found else None
        if kept is None:
            raise self._missing()
        return kept

    def _missing(self) -> FleetError:
        return FleetError(
            "evidence_missing",
            f"{self._folder.path} has no snapshot {self._name or f'of {self._subject}, kind {self._kind}'}. Nothing was changed.",
            remedy="Take one with state present, or correct directory, subject and kind.",
        )

    def _needed(self, server: Server | None, name: str) -> Server:
        if server is None:
            raise FleetError("invalid_value", f"{name}: missing, and state {self._params['state']} needs it. Nothing was changed.", remedy=f"Give {name}.")
        return server

    # --- telling ------------------------------------------------------------------------------------------------------------------

    def _outcome(
        self, steps: t.Sequence[Step], before: str, after: str, kept: Kept | None, warnings: t.Sequence[str] = ()
    ) -> dict[str, t.Any]:
        """Names and times are the world's, so the diff has none of them and check mode's is the real one's."""
        about = {"subject": self._subject, "kind": self._kind}
        servers = [server.endpoint for server in (self._source, self._target) if server is not None]
        return result(
            steps,
            before={**about, "snapshot": before},
            after={**about, "snapshot": after},
            evidence=self._evidence,
            warnings=[*warnings, *(f"{finding.message} {finding.remedy}" for finding in weak_tls(servers))],
            snapshot=described(kept) if kept else None,
        )


def described(kept: Kept) -> dict[str, t.Any]:
    """A snapshot as results show it; ``checked_at`` is when its sums were last seen to hold, which is now."""
    manifest = snapshot_files.manifest_of(kept)
    record = snapshot_files.tested(kept) or {}
    return {
        "name": kept.name,
        "host": socket.gethostname(),
        "directory": str(kept.path.parent),
        "path": str(kept.file("dump")),
        "kind": kept.kind,
        "taken_at": manifest["taken_at"],
        "frozen_at_switch": manifest["frozen_at_switch"],
        "bytes": kept.bytes(),
        "database_bytes": manifest["database"]["bytes"],
        "tables": len(manifest["tables"]),
        "rows": sum(table["rows"] for table in manifest["tables"]),
        "compress": manifest["compress"],
        "seconds": manifest["seconds"],
        "left_out": manifest["left_out"],
        "sums": kept.sums(),
        "checked_at": time.time(),
        "tested": {key: value for key, value in record.items() if key not in ("sums", "unix")} or None,
    }


def _sum_of(path: Path) -> str:
    return snapshot_files.sha256(path / "toc.dat" if path.is_dir() else path)


def _refuse(params: t.Mapping[str, t.Any]) -> None:
    """Raises FleetError "unknown_key" or "invalid_value" with everything that is wrong, at once."""
    wrong = misspelt(params)
    if wrong:
        raise FleetError("unknown_key", " ".join(wrong), remedy="Correct the keys; nothing was changed.", details={"keys": wrong})
    problem = subject_problem(params["subject"])
    wrong = [problem] if problem else []
    for side, state in (("source", "present"), ("target", "restored")):
        server = params.get(side)
        if server is not None and not server.get("host"):
            wrong.append(f"{side}.host: missing.")
        needing = (state, "preflight") if side == "source" else (state,)
        if server is not None and params["state"] in needing and not server.get("dbname"):
            wrong.append(f"{side}.dbname: missing, and state {params['state']} needs it.")
    if params["max_age"] <= 0:
        wrong.append(f"max_age: {params['max_age']:g} is not above 0.")
    if params["retention"] < snapshot_plan.FLOOR:
        wrong.append(f"retention: {params['retention']:g} s is below the floor of {snapshot_plan.FLOOR:.0f} s (30 days).")
    named = snapshot_files.parse_name(Path(params["name"])) if params.get("name") else None
    if params.get("name") and (named is None or (named.subject, named.kind) != (params["subject"], params["kind"])):
        wrong.append(f"name: {params['name']!r} is no snapshot of subject {params['subject']} and kind {params['kind']}.")
    if params["kind"] == "switch" and params.get("source") and params["state"] == "present":
        wrong.append("source: a snapshot of kind switch is taken by pg_cutover at the switch; pg_snapshot can only check it.")
    if wrong:
        raise FleetError("invalid_value", " ".join(wrong), remedy="Correct the values; nothing was changed.", details={"values": wrong})
