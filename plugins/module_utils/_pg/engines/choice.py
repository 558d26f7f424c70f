# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which engine moves the rows: what was asked for, what both servers allow, and why. The decision is pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..._core.errors import FleetError
from ..._core.finding import Finding
from .. import plan
from ..model import OUTLINE, Facts, Options
from ..server.postgres import Server
from ..server.process import Control

_COMMAND_LINE = "command line"
_SET = "ALTER SYSTEM SET wal_level = 'logical'; and restart the server. In a compose file: command: postgres -c wal_level=logical."

# What has no meaning while rows come by that engine, or was never seen working beside it.
_UNSUPPORTED = {
    "dump": ("guarantee: sync", "trial_window"),
    "physical": ("guarantee: sync", "trial_window", "snapshot", "accept_loss"),
}


@dataclass(frozen=True)
class Ability:
    """What one server allows. ``source`` is where its wal_level is set (pg_settings.source); ``control`` says whether it can be restarted
    from here, because the options name a container, a unit, or a data directory."""

    wal_level: str = "logical"
    source: str = "configuration file"
    control: bool = False

    @property
    def publishes(self) -> bool:
        return self.wal_level == "logical"


@dataclass(frozen=True)
class Choice:
    """``engine`` is "" when none fits. ``restart``: legacy needs one. ``findings`` stop the run; they are empty when it can go on."""

    engine: str
    reason: str
    restart: bool = False
    findings: tuple[Finding, ...] = ()

    @property
    def seed(self) -> tuple[tuple[str, str], ...]:
        """The steps that lead from nothing to the state seeded."""
        if self.engine == "dump":
            return plan.SEED_DUMP
        if not self.restart:
            return plan.SEED
        # As late as it can be: whatever else may fail has failed before a client notices anything.
        late = [action for action, _reason in plan.SEED].index("follow")
        return (*plan.SEED[:late], plan.RESTART, *plan.SEED[late:])


def ability(server: Server, control: Control) -> Ability:
    """Read from the server and from the options that say how it is started."""
    row = server.admin.rows("SELECT setting, source FROM pg_settings WHERE name = 'wal_level'")[0]
    return Ability(row["setting"], row["source"], control.kind != "")


def choose(asked: str, allow_restart: bool, legacy: Ability, new: Ability, physical: t.Sequence[str]) -> Choice:
    """The engine for a move that has not begun.

    ``physical`` are the reasons against that engine. auto takes logical if it can, else physical if it can; dump is never taken unasked,
    because its pause grows with the data.
    """
    against = _against_logical(allow_restart, legacy, new)
    if asked == "dump":
        return Choice("dump", "engine: dump was asked for", findings=() if new.publishes else (_unpublished("new", new),))
    if asked == "logical" or not against:
        how = "was asked for" if asked == "logical" else "was chosen"
        reason = "wal_level is logical on both servers" if legacy.publishes else "wal_level of legacy becomes logical by one restart"
        return Choice("logical", f"engine: logical {how}; {reason}" if not against else f"engine: logical {how}", not legacy.publishes, against)
    if not physical:
        return Choice("physical", f"not logical: {_sentence(against)} Every condition of engine physical holds.")
    return Choice("", f"not logical: {_sentence(against)} Not physical: {'; '.join(physical)}.", findings=(_none(against, physical, legacy),))


def _against_logical(allow_restart: bool, legacy: Ability, new: Ability) -> tuple[Finding, ...]:
    findings = []
    if not legacy.publishes:
        if legacy.source == _COMMAND_LINE:
            findings.append(
                Finding(
                    "restart_required",
                    "fail",
                    "legacy.wal_level",
                    f"wal_level of legacy is {legacy.wal_level}, given on the command line of the server, which overrides ALTER SYSTEM.",
                    "Correct the key of the compose file, command: postgres -c wal_level=logical, and recreate the container;"
                    " without a container, the command of the unit.",
                )
            )
        elif not allow_restart:
            findings.append(_unpublished("legacy", legacy))
        elif not legacy.control:
            findings.append(
                Finding(
                    "restart_required",
                    "fail",
                    "legacy.wal_level",
                    f"wal_level of legacy is {legacy.wal_level}; the restart is allowed, but the options do not say how it is done.",
                    "Give legacy.container, legacy.service, or legacy.data_directory.",
                )
            )
    if not new.publishes:
        findings.append(_unpublished("new", new))
    return tuple(findings)


def _unpublished(side: str, observed: Ability) -> Finding:
    allow = " Or set allow_legacy_restart: true." if side == "legacy" else ""
    return Finding(
        "restart_required",
        "fail",
        f"{side}.wal_level",
        f"wal_level of {side} is {observed.wal_level}; replication of one database needs logical.",
        _SET + allow,
    )


def _none(against: t.Sequence[Finding], physical: t.Sequence[str], legacy: Ability) -> Finding:
    """The three ways on, each by its option."""
    restart = next((finding.remedy for finding in against if finding.object == "legacy.wal_level"), against[0].remedy)
    if not legacy.publishes and legacy.source != _COMMAND_LINE:
        restart = "allow_legacy_restart: true, with legacy.container, legacy.service, or legacy.data_directory."
    return Finding(
        "no_engine",
        "fail",
        "engine",
        f"No engine fits: {_sentence(against)} Not physical: {'; '.join(physical)}.",
        f"1. Logical, with one restart: {restart} 2. Physical: remove what stands against it. "
        "3. engine: dump with a max_window that it fits into; its pause grows with the data.",
    )


def _sentence(findings: t.Sequence[Finding]) -> str:
    return " ".join(finding.message for finding in findings)


def running(asked: str, state: str, found: str, facts: Facts) -> Choice:
    """The engine of a move that has begun: the facts know it, whatever is asked for.

    A copy of engine dump is still to come when legacy serves and new holds a schema without rows. It goes on only if that engine is asked
    for again, since its pause grows with the data. Raises FleetError "conflict" otherwise, but never where it would keep legacy closed.
    """
    if facts.new.stage != OUTLINE or facts.forward.subscription:
        return Choice("logical", "the pair that exists replicates")
    if asked != "dump" and found in ("seeded", "armed", "window_forward") and state not in ("preflight", "legacy"):
        raise FleetError(
            "conflict",
            f"The database on new was prepared for engine dump, and engine: {asked} is asked for. Nothing was changed.",
            remedy="Run with engine: dump, or drop the database on new and run again.",
        )
    return Choice("dump", "the move was begun with engine dump")


def refuse_unsupported(options: Options, engine: str) -> None:
    """Refuse what an engine other than logical does not do. Raises FleetError "invalid_value"."""
    asked = {
        "guarantee: sync": options.guarantee == "sync" and options.state != "legacy",
        "trial_window": options.trial_window,
        "snapshot": options.snapshot is not None,
        "accept_loss": options.accept_loss,
    }
    wrong = [name for name, given in asked.items() if given and name in _UNSUPPORTED.get(engine, ())]
    if wrong:
        raise FleetError(
            "invalid_value",
            f"{', '.join(wrong)}: does not go together with engine {engine}. Nothing was changed.",
            remedy="Leave it away, or use engine: logical.",
            details={"options": wrong},
        )


def undecided(found: str, situation: plan.Situation) -> bool:
    """Whether rows are still to be brought to new from the beginning, so that an engine has to be chosen."""
    abandoned = found == "window_forward" and situation.spoiled
    return found in ("empty", "prepared") or abandoned or (found == "rolled_back_cleanup" and not situation.follows)
