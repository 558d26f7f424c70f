# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What would stop a snapshot, or the restore that proves it, found on the source before any of it is taken."""

from __future__ import annotations

import typing as t

from ..._core.errors import FleetError
from ..._core.finding import Finding
from ..._core.runner import Runner
from ..server import owner_code
from ..server.postgres import Server
from ..server.programs import Programs, evaluated, programs, without
from .dump import Maker


def findings(source: Server, maker: Maker, runner: Runner, accepted: t.Collection[str]) -> list[Finding]:
    """All of it at once. The proof is judged as on a server that has none of the accounts yet: `Restorer.test` then restores everything as its own,
    so every function that belongs to no extension would run with its rights. Those of superusers have such rights where they come from.
    """
    found: list[Finding] = []
    try:
        maker.judge()
    except FleetError as error:
        inner = error.details.get("findings") or []
        listed = [Finding.of_dict(entry) for entry in inner]
        found += listed or [Finding.of_error(error)]
    try:
        with programs(runner, source.endpoint.bindir, major=source.admin.version // 10000) as tools:
            later = _behind_the_rows(source, tools)
        used = [*owner_code.uses(source.db, brought=True), *owner_code.written(source.db, later, brought=True)]
        known = owner_code.trusted(source.db)
        found += owner_code.findings([use for use in used if use.function not in known], accepted)
    except FleetError as error:
        found.append(Finding.of_error(error))
    return list({(entry.code, entry.message): entry for entry in found}.values())


def _behind_the_rows(source: Server, tools: Programs) -> str:
    """The statements that a restore runs behind the rows, from a dump of the schema alone. Raises FleetError "dump_failed"."""
    archive = tools.folder / "schema.dump"
    words = [f"--dbname={source.dbname}", "--format=custom", "--schema-only", "--exclude-schema=pgcut", f"--file={archive}"]
    done = tools.run("pg_dump", source.endpoint, words, application="bowline pg_snapshot preflight")
    if done.rc != 0:
        output = done.err.strip()[-400:]
        raise FleetError("dump_failed", f"pg_dump of the schema ended with {done.rc}: {output}. Nothing was changed.", remedy="Remove the reason.")
    return tools.text(archive, evaluated(without(tools.listing(archive, "dump_failed"), ()), None))
