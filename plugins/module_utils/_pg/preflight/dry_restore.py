# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schema of legacy, restored empty on new and compared there, before anything is written on legacy.

Whatever PostgreSQL refuses is a finding with its own reason. In the real name where it is free, since an extension may ask for it; else in a
database beside it. Both are gone afterwards; what a killed run leaves is taken away by the next one and by state absent.
"""

from __future__ import annotations

import os
import re
import typing as t

from ..._core.errors import FleetError
from ..._core.faults import hit
from ..._core.finding import Finding
from ..._core.runner import Runner
from ..model import Options
from ..server import catalog, database, fence, freeze, helper, materialized_views, owner_code, restore_errors, schema, target_database
from ..server.postgres import Server, Session, ident
from ..server.programs import Programs, keys, passes, programs, without
from . import rows, trial_copy

# From so many entries on, processes side by side are worth their start.
_MANY = 300
_SHOWN = 40
_REMEDY = "Change or drop it on legacy, or install on new what it needs, and run again."
_OBJECT = re.compile(
    r'(?:CREATE (?:OR REPLACE )?(?:(?:UNIQUE|CONSTRAINT|TRUSTED|UNLOGGED|RECURSIVE|DEFAULT) )*|ALTER |COMMENT ON |(?:GRANT|REVOKE) .*? ON )'
    r'(?P<kind>(?:(?!IF |ONLY )[A-Z]+ )+)(?:IF NOT EXISTS |ONLY )?(?P<name>(?:"(?:[^"]|"")+"|[^\s(;"])+)'
)


def findings(legacy: Server, new: Server, options: Options, runner: Runner, link_user: str, *, dumped: bool) -> list[Finding]:
    """All that new refuses, or makes otherwise than legacy has it; ``dumped``: and what a restore of the rows would refuse for their order."""
    target_database.tidy(new)
    there = fence.settings_of(new.admin, new.dbname) is not None
    target = new.in_database(target_database.spare(new.dbname) if there else new.dbname)
    new.forget()
    described = database.describe(legacy.admin, legacy.dbname, link_user)
    try:
        target_database.create(new, target.dbname, described)
        # Nobody but a superuser comes in.
        database.give(new.admin, target.dbname, {**described, "connections": 0, "template": False}, "schema_unfit")
        helper.make(target, rows=False)
        freeze.on(target)
        return _schema(legacy, target, options, runner, dumped)
    except FleetError as error:
        # A database that lets nobody in, by a library that its settings name, is no server that is away.
        if error.code not in ("sql_error", "schema_unfit", "unreachable") or new.admin.closed or error.details.get("side") == "legacy":
            raise
        return [Finding("schema_unfit", "fail", f"database {new.dbname}", error.message, _REMEDY)]
    finally:
        target.close()
        target_database.drop(new, target.dbname)


def _schema(legacy: Server, target: Server, options: Options, runner: Runner, dumped: bool) -> list[Finding]:
    """What is judged, what is dumped and what is compared are one and the same: legacy is not frozen yet."""
    holder = legacy.fresh(legacy.dbname)
    try:
        holder.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        snapshot = str(holder.value("SELECT pg_export_snapshot()"))
        owner_code.refuse(holder, options.accept_owner_code, everything=False)
        bindirs = (options.new.bindir, options.legacy.bindir)
        with programs(runner, *bindirs, major=target.admin.version // 10000) as tools:
            hit("D1")
            schema.without_public(holder, target.db)
            output = _restore(tools, holder, legacy, target, snapshot, options.seed_jobs)
        refused = restore_errors.errors(output, there=True)
        found = [_refused(statement, reason) for statement, reason in restore_errors.roots(refused)]
        same = holder.version // 10000 == target.db.version // 10000
        here, there = (catalog.fingerprint(session, expressions=same) for session in (holder, target.db))
        found += [_differs(name, here.get(name), there.get(name)) for name in _different(here, there, found)]
        found += [] if found else _unfilled(holder, target)
        if found:
            return found
        found = trial_copy.findings(holder, target.db)
        return found + (rows.without_other_rows(holder, target.db, owner_code.uses(holder)) if dumped else [])
    finally:
        holder.close()


def _unfilled(holder: Session, target: Server) -> list[Finding]:
    """Views that cannot be filled whatever the rows are: a name that is not found, a right that the owner has not (class 42 of the server's errors)."""
    return [
        Finding(
            "schema_unfit",
            "fail",
            f"materialized view {'.'.join(name)}",
            f"New cannot fill materialized view {'.'.join(name)}: {error.message}",
            f"On legacy, where it fails alike: grant its owner what it reads, or REFRESH MATERIALIZED VIEW {ident(*name)} WITH NO DATA;",
        )
        for name, error in materialized_views.fill(holder, target).items()
        if str(error.details.get("sqlstate", "")).startswith("42")
    ]


def _restore(tools: Programs, holder: Session, legacy: Server, target: Server, snapshot: str, wanted: int) -> str:
    """What pg_restore said. Keys before indexes, because the query that validates a foreign key is planned with what indexes call."""
    archive, listed = schema.dump(tools, legacy, snapshot)
    lines = without(listed, [])
    behind = set(tools.listing(archive, section="post-data"))
    first = keys(lines, catalog.identity_indexes(holder), catalog.valid_checks(holder))
    parts: list[tuple[list[str], bool]] = [([*(line for line in lines if line not in behind), *first], False)]
    rest = without([line for line in lines if line in behind], first)
    if len(rest) > _MANY:
        parts += [(some, parallel) for some, parallel in passes(rest) if some]
    else:
        parts[0][0].extend(rest)
    jobs = f"--jobs={wanted or os.cpu_count() or 1}"
    restored = [schema.restore(tools, target.endpoint, target.dbname, archive, some, [jobs] if parallel else []) for some, parallel in parts if some]
    return "\n".join(done.err.strip() for done in restored)


def _refused(statement: str, reason: str) -> Finding:
    named = _OBJECT.match(statement)
    name = named["kind"] + named["name"] if named else statement[:60] or "an entry of the schema"
    return Finding("schema_unfit", "fail", name, f"New cannot make {name}: {reason} ({statement}).", _REMEDY)


def _different(legacy: t.Mapping[str, str], new: t.Mapping[str, str], refused: t.Sequence[Finding]) -> list[str]:
    """What is missing because something was refused is told by that."""
    names = sorted({*legacy, *new})
    return [name for name in names if legacy.get(name) != new.get(name) and not (refused and (name not in legacy or name not in new))]


def _differs(name: str, here: t.Optional[str], there: t.Optional[str]) -> Finding:
    if there is None or here is None:
        message = f"{name} is on {'new' if here is None else 'legacy'} only, after the schema was restored without an error."
    else:
        message = f"{name} is another one on new: {here[:200]} became {there[:200]}."
    return Finding("schema_unfit", "fail", name, message, _REMEDY)


def as_one(findings_: t.Sequence[Finding]) -> list[Finding]:
    """The first of very many: one cause may have hundreds of consequences."""
    return list(findings_[:_SHOWN])


def untried(extensions: t.Iterable[str]) -> Finding:
    """What check mode and state preflight cannot know, because they write nothing."""
    listed = ", ".join(sorted(set(extensions) - {"plpgsql"}))
    return Finding(
        "not_tried",
        "warn",
        "schema",
        "Nothing is written on new here, so it was not tried whether new can make the accounts, the database and the schema of legacy"
        f"{f', and its extensions {listed}' if listed else ''}.",
        "Nothing has to be done: state seeded tries it on new, in a database that is gone afterwards, before anything is written on legacy.",
    )
