# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of bench-swarm: samples, lines, targets. Nothing here knows a cluster."""

from __future__ import annotations

import statistics
import typing as t
from dataclasses import dataclass, field

WAYS = ("ours", "cli", "community")
MONITOR = 3
# Seconds; its default is 60. What a module needs to start, 2 s, is measured with it and would be a fifth of a shorter one.
PENDING_TIMEOUT = 30
# What goes wrong: tag of the new image, and a constraint.
FAULTS: dict[str, tuple[str, str | None]] = {
    "image that nobody has": ("nothing", None),
    "crash loop": ("crash", None),
    "never healthy": ("unhealthy", None),
    "constraint that no node meets": ("2", "node.labels.bench == nowhere"),
}


@dataclass(frozen=True)
class Sample:
    """One call. ``code`` is None when it had to be ended; ``good`` is what the engine says: every task as it was wanted."""

    way: str
    what: str
    seconds: float
    code: int | None
    good: bool
    moved: int = 0
    restarted: int = 0
    # Of a failed update: whether every spec is what it was before, seconds until the fault was known (to Swarm, for a way that leaves it to
    # Swarm), and seconds of the way back.
    restored: bool | None = None
    detected: float | None = None
    back: float | None = None
    said: str = ""

    @property
    def reported_as_success(self) -> bool:
        return self.code == 0 and not self.good


@dataclass(frozen=True)
class Row:
    """One line of the table; without a limit it is only shown."""

    what: str
    values: dict[str, t.Any]
    ratio: float | None = None
    limit: float | None = None

    @property
    def met(self) -> bool | None:
        return None if self.limit is None else self.ratio is not None and self.ratio <= self.limit


@dataclass
class Samples:
    """All samples of a run."""

    all: list[Sample] = field(default_factory=list)

    def of(self, way: str, what: str | None = None) -> list[Sample]:
        return [one for one in self.all if one.way == way and (what is None or one.what == what)]

    def median(self, way: str, what: str, figure: str = "seconds") -> float | None:
        found = [getattr(one, figure) for one in self.of(way, what) if getattr(one, figure) is not None]
        return statistics.median(found) if found else None


def divided(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def rows(samples: Samples, ways: t.Sequence[str]) -> list[Row]:
    """The table of what these modules promise."""
    def injected(way: str) -> list[Sample]:
        return [one for one in samples.of(way) if one.what in FAULTS]

    def counted(what: str, wrong: t.Callable[[Sample], bool], of: t.Callable[[str], list[Sample]] = injected, shown: t.Sequence[str] = ways) -> Row:
        """How many of the samples are wrong; ours may have none."""
        values = {way: f"{sum(wrong(one) for one in of(way))} of {len(of(way))}" for way in shown}
        return Row(what, values, float(sum(wrong(one) for one in of("ours"))) if of("ours") else None, 0)

    def timed(what: str, name: str, over: float | None, limit: float, figure: str = "seconds", shown: t.Sequence[str] = ways) -> Row:
        """Medians of a figure, and ours over something else."""
        return Row(what, {way: samples.median(way, name, figure) for way in shown}, divided(samples.median("ours", name, figure), over), limit)

    first, *_others, last = FAULTS
    converged = samples.median("cli", "good deploy")
    return [
        counted("failed updates reported as success", lambda one: one.reported_as_success),
        counted("failed updates that never ended", lambda one: one.code is None),
        counted("failed updates that left other specs than before", lambda one: not one.restored),
        counted("second runs that moved a service's version", lambda one: one.moved > 0, lambda way: samples.of(way, "no-op")),
        counted("adoptions of an unchanged CLI stack that restarted a task", lambda one: one.restarted > 0, lambda way: samples.of(way, "adoption"), ["ours"]),
        timed("no-op run, s; ours / community", "no-op", samples.median("community", "no-op"), 1.5),
        timed("good deploy to converged without pre-pull, s; ours / (CLI + monitor)", "good deploy", None if converged is None else converged + MONITOR, 1.2),
        timed(f"{first}: known after, s; ours / Swarm", first, samples.median("cli", first, "detected"), 1.0, "detected"),
        timed(f"{last}: known after, s; ours / pending_timeout", last, PENDING_TIMEOUT, 1.2, "detected"),
        timed("crash loop: way back, s; ours / good deploy", "crash loop", samples.median("ours", "good deploy"), 1.2, "back", ["ours"]),
    ]


def markdown(found: t.Sequence[Row], ways: t.Sequence[str], machine: str) -> str:
    """The table for people."""
    def cell(value: t.Any) -> str:
        return "–" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)

    lines = ["# Deployments of a Swarm stack, side by side", "", machine, "", f"| measure | {' | '.join(ways)} | ratio or count | target | met |",
             "|---|" + "---|" * (len(ways) + 3)]
    for row in found:
        met = {None: "", True: "yes", False: "NO"}[row.met]
        target = "" if row.limit is None else f"≤ {row.limit:g}" if row.limit else "0"
        ratio = "–" if row.ratio is None else f"{row.ratio:.2f}" if row.limit else f"{row.ratio:.0f}"
        lines.append(f"| {row.what} | {' | '.join(cell(row.values.get(way)) for way in ways)} | {ratio} | {target} | {met} |")
    return "\n".join([*lines, ""])
