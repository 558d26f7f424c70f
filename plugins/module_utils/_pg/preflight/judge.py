# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All findings for a run, from every part that has some; and the engine that it takes."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ..._core.errors import FleetError
from ..._core.finding import Finding
from .. import plan
from ..engines import choice as engine
from ..engines.dump import copy_window
from ..engines.logical import seed
from ..engines.physical import conditions as physical
from ..model import SIDES, Facts, weak_tls
from ..replication import sync
from ..server import account_sync, accounts, catalog, link_account, owner_code, programs
from ..server.process import Control
from ..window import restart
from ..work import Work
from . import dry_restore, extensions, rows, rules, survey


def situation(work: Work, observed: Facts, found: str) -> plan.Situation:
    """Choose the engine, or learn which one the move has; what follows from it for the steps."""
    situation = plan.situation(observed)
    if not engine.undecided(found, situation):
        work.choice = engine.running(work.options.engine, work.options.state, found, observed)
        return situation
    choose_engine(work, *(engine.ability(server, Control(server.endpoint, work.runner)) for server in (work.legacy, work.new)))
    return replace(situation, seed=work.choice.seed, publishes=situation.publishes or work.choice.restart)


def choose_engine(work: Work, legacy: engine.Ability, new: engine.Ability, *, planned: bool = False) -> None:
    # What stands against the engine physical is only looked for where auto cannot take logical.
    reasons = ["new is planned and does not answer yet"] if planned else []
    if work.options.engine == "auto" and not planned and not (legacy.publishes and new.publishes):
        reasons = physical.conditions(work.legacy, work.new, work.options, work.runner)
    work.choice = engine.choose(work.options.engine, work.options.allow_legacy_restart, legacy, new, reasons)


def judge_both(work: Work, found: str, *, strict: bool) -> None:
    """All findings; raises "preflight_failed" with them when one of them is fatal and ``strict``."""
    user = work.options.link.user if work.options.link else ""
    observed = [survey.look(server, link_account.query, user) for server in (work.legacy, work.new)]
    dumped = work.choice.engine == "dump"
    copied = found in ("new", "new_armed") or (
        not dumped and (found in ("seeded", "armed") or (found == "seeding" and seed.is_complete(work.new)))
    )
    drifted = catalog.drift(work.legacy, work.new) if copied else []
    publishes = not dumped and (observed[0].settings["wal_level"] == "logical" or work.choice.restart)
    work.findings = [*work.choice.findings, *rules.judge(work.options, found, observed[0], observed[1], drifted, publishes=publishes)]
    work.findings += owner_code_findings(work, observed, dumped)
    if dumped and plan.serving(found) == "legacy":
        work.findings += copy_window.findings(work.options, observed[0].size, copy_window.free_bytes())
    if work.options.state in ("preflight", *SIDES):
        work.findings += work.clients.findings()
    work.findings += sync.judge(work.options, work.legacy, work.new, sync.read(work.legacy, work.new))
    work.findings += weak_tls((work.options.legacy, work.options.new), work.options.link)
    if found in ("empty", "prepared", "seeding"):
        bindirs = (work.options.new.bindir, work.options.legacy.bindir)
        work.findings += programs.unfit(work.runner, bindirs, *(side.version // 10000 for side in observed))
    if found in ("empty", "prepared"):
        work.findings += restart_findings(work)
        if observed[0].database is not None:
            work.findings += extensions.findings(work.legacy, work.new, observed[1].available, observed[0].extensions)
            work.findings += row_findings(work, observed[0], dumped)
        work.findings += accounts.findings(work.legacy, work.new, work.options.link)
        work.findings += account_sync.findings(work.legacy, work.new, user)
        if work.check or work.options.state == "preflight":
            work.findings.append(dry_restore.untried(observed[0].extensions))
    work.findings.sort(key=lambda finding: finding.level)
    if strict:
        refuse(work.findings)


def refuse_one_server(work: Work) -> None:
    """Before the run lock, which one server cannot give twice."""
    text = "SELECT system_identifier::text || ' ' || pg_postmaster_start_time()::text FROM pg_control_system()"
    if work.legacy.admin.value(text) == work.new.admin.value(text):
        refuse([rules.one_server()])


def judge_planned(work: Work) -> None:
    """What can be known while new does not answer yet."""
    user = work.options.link.user if work.options.link else ""
    choose_engine(work, engine.ability(work.legacy, Control(work.options.legacy, work.runner)), engine.Ability(), planned=True)
    observed = survey.look(work.legacy, link_account.query, user)
    work.findings = [*work.choice.findings, *rules.judge(work.options, "empty", observed, None)]
    work.findings += owner_code_findings(work, [observed], work.choice.engine == "dump")
    if observed.database is not None:
        work.findings += row_findings(work, observed, work.choice.engine == "dump")
    work.findings += weak_tls((work.options.legacy, work.options.new), work.options.link)
    work.findings += accounts.findings(work.legacy, None, work.options.link)
    if work.options.state != "preflight":
        refuse(work.findings)


def restart_findings(work: Work) -> list[Finding]:
    """Of the one restart, which comes behind everything else: whether it would be that server's."""
    if not work.choice.restart or work.choice.findings:
        return []
    try:
        restart.same_server(work.legacy, Control(work.options.legacy, work.runner))
    except FleetError as error:
        return [Finding(error.code, "fail", "legacy", error.message, error.remedy)]
    return []


def owner_code_findings(work: Work, observed: t.Sequence[survey.Observed], dumped: bool) -> list[Finding]:
    """Rows are written with the rights of a superuser where a side that follows is older than 16, and by engine dump."""
    everything = dumped or observed[0].version < owner_code.AS_OWNER
    used = owner_code.concerned([use for side in observed for use in side.owner_code], everything)
    work.owner_code = owner_code.accepted(used, work.options.accept_owner_code)
    return owner_code.findings(used, work.options.accept_owner_code)


def row_findings(work: Work, legacy: survey.Observed, dumped: bool) -> list[Finding]:
    """What of the rows would be refused, and what could not be looked at."""
    found = rows.look(work.legacy, legacy.owner_code, dumped=dumped)
    return [*found.findings, *([rows.untried(found.untried)] if found.untried else [])]


def size(work: Work) -> dict[str, t.Any]:
    """Bytes and locale of the database that is to be moved, which the role's preflight compares with room and locales of the target.

    A database of another provider than libc needs no locale of the system to sort; what it needs of libc is its ctype.
    """
    if work.options.state != "preflight":
        return {}
    text = "SELECT coalesce(sum(pg_database_size(oid)), 0) FROM pg_database WHERE datname = %s"
    known = work.legacy.admin.rows("SELECT datcollate AS collate, datctype AS ctype FROM pg_database WHERE datname = %s", work.legacy.dbname)
    return {"size_bytes": int(work.legacy.admin.value(text, work.legacy.dbname)), "locale": dict(known[0]) if known else {}}


def try_schema(work: Work) -> None:
    """The last look before the first write on legacy, and the first that writes on new. Raises FleetError "schema_unfit"."""
    dumped = work.choice.engine == "dump"
    found = dry_restore.findings(work.legacy, work.new, work.options, work.runner, work.link.user, dumped=dumped)
    if found:
        work.findings = [*dry_restore.as_one(found), *work.findings]
        refuse(work.findings, "Nothing was written on legacy.")


def refuse(findings: t.Sequence[Finding], unchanged: str = "Nothing was changed.") -> None:
    """Raise with all findings when one of them is fatal. A single one gives its own code, several share "preflight_failed"."""
    wrong = rules.fatal(findings)
    if not wrong:
        return
    codes = {finding.code for finding in wrong}
    details = {"findings": [finding.as_dict() for finding in findings]}
    message = " ".join(finding.message for finding in wrong) + f" {unchanged}"
    remedy = " ".join(dict.fromkeys(finding.remedy for finding in wrong if finding.remedy))
    raise FleetError(codes.pop() if len(codes) == 1 else "preflight_failed", message, remedy=remedy, details=details)
