# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long nobody can write: the runbook's way against the engines logical, physical and dump, on the same data, load and machine.

``make bench-pg`` (or ``python tests/bench/pg.py [--scales 164M 789M 1600M] [--samples 5] [--ways runbook logical physical dump]``) writes
build/bench/pg.md and build/bench/pg.json. It ends with 0, with 1 when a target was missed, with 2 when it was given up: a switch that
failed or a row that was lost leaves nothing to measure.

Every way has two servers of its own. The ways take turns, one round each, so that a machine that slows down slows all of them. Seconds
are those of this machine; only the ratios mean something on another one.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import typing as t
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from pg_verify import ROOT, load, rig

OUT = ROOT / "build" / "bench"
RUNBOOK = ROOT / "tests" / "bench" / "runbook_way"
SCALES = ("164M", "789M", "1600M")
ENOUGH = 5
THERE, BACK = "cutover", "rollback"

# --- figures: nothing here knows a server ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """One switch. ``pause`` is the longest time between two acknowledged commits of any client, ``wait`` the longest of one client for one
    commit, both in seconds and across the switch; the rest is what the module says of itself, or when the runbook's steps were done."""

    way: str
    direction: str
    scale: str
    pause: float
    wait: float | None = None
    window_ms: float | None = None
    database_ms: float | None = None
    steps: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Ratio:
    """One that the table shows. Without a ``limit`` it is only reported."""

    what: str
    way: str
    direction: str
    scale: str
    value: float
    limit: float | None = None

    @property
    def met(self) -> bool | None:
        return None if self.limit is None else self.value <= self.limit


def megabytes(scale: str) -> int:
    """Raises ValueError for anything but a number of megabytes such as 164M; a database without documents has 9 of them."""
    found = re.fullmatch(r"([0-9]+)M", scale)
    if not found or int(found[1]) < 10:
        raise ValueError(f"{scale!r} is no size of at least 10M, such as 164M")
    return int(found[1])


def documents(scale: str) -> int:
    """Rows of 1.22 kB each, indexes included, beside 9 MB: what the lab has at its scales."""
    return (megabytes(scale) - 9) * 817


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def of(samples: list[Sample], way: str, direction: str, scale: str) -> list[Sample]:
    return [sample for sample in samples if (sample.way, sample.direction, sample.scale) == (way, direction, scale)]


def kinds(samples: list[Sample]) -> list[tuple[str, str]]:
    """Each way and direction, in the order in which they came."""
    return list(dict.fromkeys((sample.way, sample.direction) for sample in samples))


def scales_of(samples: list[Sample]) -> list[str]:
    return sorted({sample.scale for sample in samples}, key=megabytes)


def pause_limit(way: str, scale: str) -> float | None:
    """What the pause may be of the runbook's. A dump grows with the data as the runbook does, so it is only reported."""
    size = megabytes(scale)
    if way not in ("logical", "physical") or size < 164:
        return None
    return 1 / 100 if size >= 789 else 1 / 20


def ratios(samples: list[Sample]) -> list[Ratio]:
    """All that can be formed of what was measured."""
    found: list[Ratio] = []
    scales = scales_of(samples)

    def pause(way: str, direction: str, scale: str) -> float | None:
        pauses = [sample.pause for sample in of(samples, way, direction, scale)]
        return statistics.median(pauses) if pauses else None

    for way, direction in kinds(samples):
        if way == "runbook":
            continue
        for scale in scales:
            ours, runbooks = pause(way, direction, scale), pause("runbook", THERE, scale)
            if ours and runbooks:
                found.append(Ratio("pause / runbook's", way, direction, scale, ours / runbooks, pause_limit(way, scale)))
    if len(scales) > 1:
        first, last = scales[0], scales[-1]
        for way, direction in kinds(samples):
            small, large = pause(way, direction, first), pause(way, direction, last)
            if small and large:
                judged = way in ("logical", "physical") and (first, last) == (SCALES[0], SCALES[-1])
                found.append(Ratio(f"pause / pause at {first}", way, direction, last, large / small, 1.5 if judged else None))
    for way, direction in kinds(samples):
        for scale in scales:
            each = [sample.wait * 1000 / sample.database_ms for sample in of(samples, way, direction, scale)
                    if sample.wait is not None and sample.database_ms]
            if each:
                found.append(Ratio("longest wait of a client / database pause", way, direction, scale, statistics.median(each), 3.0))
    return found


def number(value: float) -> str:
    return f"1/{1 / value:.0f}" if 0 < value < 0.4 else f"{value:.2f}"


def verdict(ratio: Ratio) -> str:
    if ratio.limit is None:
        return number(ratio.value)
    return f"{number(ratio.value)} (≤ {number(ratio.limit) if ratio.limit < 1 else f'{ratio.limit:g}'}: {'met' if ratio.met else '**missed**'})"


def seconds(values: list[float]) -> str:
    if not values:
        return "–"
    found = spread(values)
    digits = 1 if found["median"] >= 2 else 2
    return f"{found['median']:.{digits}f} ({found['min']:.{digits}f}–{found['max']:.{digits}f})"


def table(samples: list[Sample], sizes: dict[str, int]) -> list[str]:
    """Markdown: pauses, what the module says of them, ratios."""
    scales = scales_of(samples)
    lines = ["| way | | " + " | ".join(f"{scale} ({sizes[scale] / 1e6:.0f} MB)" for scale in scales) + " |", "|---|---|" + "---|" * len(scales)]

    def row(head: str, what: str, cells: list[str]) -> None:
        if any(cell not in ("", "–") for cell in cells):
            lines.append(f"| {head} | {what} | {' | '.join(cells)} |")

    for way, direction in kinds(samples):
        groups = [of(samples, way, direction, scale) for scale in scales]
        head = f"{way}, {direction}"
        row(f"**{head}**", "pause, s", [f"**{seconds([sample.pause for sample in group])}**" if group else "–" for group in groups])
        for what, name in (("the module's window, s", "window_ms"), ("the module's database pause, s", "database_ms")):
            told = [[getattr(sample, name) for sample in group] for group in groups]
            row(head, what, [seconds([value / 1000 for value in values if value is not None]) for values in told])
        row(head, "longest wait of a client, s", [seconds([sample.wait for sample in group if sample.wait is not None]) for group in groups])
    shown: dict[tuple[str, str, str], dict[str, str]] = {}
    for ratio in ratios(samples):
        shown.setdefault((ratio.what, ratio.way, ratio.direction), {})[ratio.scale] = verdict(ratio)
    for (what, way, direction), cells in shown.items():
        row(f"{way}, {direction}", what, [cells.get(scale, "") for scale in scales])
    return lines


def notes(samples: list[Sample]) -> list[str]:
    """What has to be known to read the table."""
    said = [
        "Seconds are median (least–most) of this machine; only ratios mean something on another one. Pause: the longest time between two"
        " acknowledged commits of four clients across the switch, the same measure for all ways.",
        "The runbook's figures are without its 30 s wait for the worker's queues, without ssh and with cp on one host instead of scp:"
        " all of this favours the runbook.",
        "Engines ran with verify: none, to save time; the comparison comes after the clients were released, and what it adds to the pause is"
        " measured by tests/bench/pg_verify.py. After every switch the rows that clients had acknowledged were looked up on the side that"
        " serves, and none was lost.",
        "Engine dump: out by dump, back by logical replication. It is only reported, since it grows by design; its clients go on knocking while"
        " rows are copied, which the runbook's, being stopped, do not.",
        "Documents become three times smaller under zlib, as prose does, which decides how long the runbook's pg_dump -Fc takes.",
        "Autovacuum is off, so that pairs that wait for their turn stand still; a checkpoint comes before every switch.",
    ]
    counts = {(way, direction, scale): len(of(samples, way, direction, scale)) for way, direction in kinds(samples) for scale in scales_of(samples)}
    usual = max(counts.values())
    fewer = "".join(f"; {' '.join(kind)}: {count}" for kind, count in counts.items() if count < usual)
    said.append(f"Switches of each figure: {usual}{fewer}.")
    if any(count < ENOUGH for (way, _direction, _scale), count in counts.items() if way != "dump"):
        said.append(f"Fewer than {ENOUGH} samples: too few for a judgement.")
    return said


@dataclass
class Forecast:
    """How long the rest will take: guesses of each step in seconds, corrected by how the steps so far compare with theirs."""

    ahead: list[float]
    guessed: float = 0.0
    actual: float = 0.0

    def did(self, took: float) -> None:
        self.guessed += self.ahead.pop(0)
        self.actual += took

    @property
    def left(self) -> float:
        return sum(self.ahead) * (self.actual / self.guessed if self.guessed else 1.0)


def rounds(way: str, scale: str, samples: int) -> int:
    """A dump of a gigabyte or more takes minutes and is only reported, so a few are enough for half an hour."""
    return min(samples, 3) if way == "dump" and megabytes(scale) >= 1000 else samples


# Of two cores: preparing a pair and one round of its switches, as seconds and as seconds for each megabyte.
PREPARING = {"runbook": (4.0, 0.025), "logical": (7.0, 0.04), "physical": (8.0, 0.03), "dump": (4.0, 0.03)}
ROUND = {"runbook": (2.0, 0.02), "logical": (6.0, 0.0), "physical": (6.0, 0.0), "dump": (6.0, 0.07)}


def turns(ways: list[str], scale: str, samples: int) -> list[str]:
    """The ways in the order of their rounds."""
    return [way for number in range(samples) for way in ways if number < rounds(way, scale, samples)]


def guesses(ways: list[str], scales: list[str], samples: int) -> list[float]:
    """One for each step, in the order in which they are done."""
    found = []
    for scale in scales:
        steps = [PREPARING[way] for way in ways] + [ROUND[way] for way in turns(ways, scale, samples)]
        found += [base + slope * megabytes(scale) for base, slope in steps]
    return found


def clock(value: float) -> str:
    return f"{int(value) // 60}:{int(value) % 60:02}"


# --- the ways ----------------------------------------------------------------------------------------------------------------------

# The documents of the lab's application (tests/lab/app/schema.sql) beside what the integration tests have. How well their text compresses
# decides how long pg_dump -Fc takes, and nothing else here: the lab's repeats one digest thirty times, which zlib makes 35 times smaller;
# here each of fifteen stands twice, which becomes three times smaller, as English prose does (Canterbury corpus, alice29.txt: 2.8).
# Keys come last, since building an index over rows that are there is quicker; in a transaction of its own, so that it finds them committed
# and marks them so.
TABLE = """
SET ROLE hub;
CREATE TABLE documents (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY, title text NOT NULL, state mood NOT NULL DEFAULT 'calm', meta jsonb NOT NULL DEFAULT '{}',
    body text NOT NULL, length integer GENERATED ALWAYS AS (length(body)) STORED
)
"""
ROWS = """
INSERT INTO documents (title, state, meta, body)
SELECT 'document ' || n, (enum_range(NULL::mood))[1 + n %% 2], jsonb_build_object('n', n, 'even', n %% 2 = 0),
    (SELECT string_agg(md5(n || '.' || k / 2), '') FROM generate_series(0, 29) k)
FROM generate_series(1, %s::int) n
"""
KEYS = "SET ROLE hub; ALTER TABLE documents ADD PRIMARY KEY (id); CREATE INDEX ON documents (title); ANALYZE documents"
QUIET = ("log_statement = none", "autovacuum = off")


class Way:
    """A pair of servers and how a database moves between them. ``pg`` is rig.py of the integration tests."""

    name = ""
    directions: tuple[str, ...] = (THERE, BACK)

    def __init__(self, pg: t.Any, scale: str) -> None:
        self.pg = pg
        self.scale = scale
        self.world = self.make()
        self.world.patience = 1800.0

    def make(self) -> t.Any:
        return self.pg.World(settings={"legacy": QUIET, "new": QUIET})

    def prepare(self) -> int:
        """Fill legacy; bring the pair to where a switch can begin. Returns the size of the database in bytes."""
        self.world.start()
        self.world.reset()
        return self.fill()

    def fill(self) -> int:
        legacy = self.world.legacy
        legacy.rows(TABLE)
        legacy.rows(ROWS, documents(self.scale))
        legacy.rows(KEYS)
        self.checkpoint()
        return legacy.value("SELECT pg_database_size(current_database())")

    def checkpoint(self) -> None:
        for cluster in self.world.clusters:
            cluster.rows("CHECKPOINT", dbname="postgres")

    @staticmethod
    def enough(clients: t.Any, since: float = 0.0) -> bool:
        """Ten commits of every client, so that the wait of each is known and there is something to judge."""
        commits = collections.Counter(client for client, _began, ended in list(clients.waits) if ended > since)
        return len(commits) == clients.count and min(commits.values()) >= 10

    def switch(self, direction: str) -> Sample:
        raise NotImplementedError


class Runbook(Way):
    """Dump, stop, copy, restore. There is no way back but without the rows that were written since."""

    name = "runbook"
    directions = (THERE,)

    def prepare(self) -> int:
        size = super().prepare()
        self.world.new.rows(self.pg.SCHEMA, dbname="postgres")
        # Legacy does not answer when the rows are judged, and is not asked.
        self.world.serving = lambda: self.world.new
        return size

    def switch(self, direction: str) -> Sample:
        world, pg = self.world, self.pg
        if world.legacy.process.poll() is not None:
            world.legacy.process = None
            world.legacy.start()
        world.new.rows(f"DROP DATABASE IF EXISTS {pg.DATABASE} WITH (FORCE)", dbname="postgres")
        world.new.rows(f"CREATE DATABASE {pg.DATABASE} OWNER hub", dbname="postgres")
        self.checkpoint()
        with contextlib.ExitStack() as services:
            before = services.enter_context(pg.Writers(world))
            pg.until(lambda: self.enough(before), 30, "writes on legacy")
            marks, after = self._move(before, services)
            pg.until(lambda: self.enough(after), 30, "writes on new")
        world.legacy.process.wait(30)
        for clients in (before, after):
            clients.assert_lossless()
        steps = {name: round(later - at, 3) for (name, at), (_name, later) in zip(marks, marks[1:], strict=False)}
        return Sample(self.name, direction, self.scale, min(after.times) - max(before.times), steps=steps)

    def _move(self, before: t.Any, services: contextlib.ExitStack) -> tuple[list[tuple[str, float]], t.Any]:
        world, pg = self.world, self.pg
        legacy, new = (f"host={cluster.host} port={cluster.port} user=postgres dbname={pg.DATABASE}" for cluster in world.clusters)
        stop = [*pg.AS_POSTGRES, world.legacy.bin / "pg_ctl", "stop", "-D", world.legacy.home / "data", "--mode=fast", "--wait", "--silent"]
        env = {**os.environ, "PGPASSFILE": str(world.passfile), "PATH": f"{world.new.bin}{os.pathsep}{os.environ['PATH']}"}
        marks, after = [], None
        with (world.home / "runbook.log").open("w+") as log:
            argv = [RUNBOOK, legacy, new, world.home / "dumps", *stop]
            process = subprocess.Popen(argv, env=env, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
            try:
                for line in process.stdout:
                    marks.append((line.strip(), time.monotonic()))
                    if line == "services\n":
                        before.__exit__()
                        process.stdin.write("\n")
                        process.stdin.flush()
                    elif line == "clients\n":
                        after = services.enter_context(pg.Writers(world))
                process.wait()
            finally:
                if process.poll() is None:
                    process.terminate()
                process.communicate()
            log.seek(0)
            assert process.returncode == 0 and after is not None, f"{RUNBOOK.name} ended with {process.returncode}: {log.read()[-2000:]}"
        return marks, after


class Engine(Way):
    """``pg_cutover`` with one of its engines."""

    # Limits of time are not what is measured.
    options: dict[str, t.Any] = {"verify": "none", "wait_timeout": 1800}

    def arm(self) -> None:
        self.world.ok("armed", **self.options)

    def switch(self, direction: str) -> Sample:
        world = self.world
        if direction == THERE:
            self.arm()
        self.checkpoint()
        with self.pg.Writers(world) as clients:
            began = time.monotonic()
            outcome = world.ok("new" if direction == THERE else "legacy", **self.options)
            done = time.monotonic()
            self.pg.until(lambda: self.enough(clients, done), 60, "ten commits of every client after the switch")
        clients.assert_lossless()
        return Sample(self.name, direction, self.scale, clients.longest_gap(began), clients.longest_wait(began),
                      outcome["window_ms"], outcome["database_ms"])


class Logical(Engine):
    name = "logical"
    options = {**Engine.options, "engine": "logical"}

    def prepare(self) -> int:
        size = super().prepare()
        self.arm()
        return size


class Physical(Engine):
    name = "physical"
    options = {**Engine.options, "engine": "physical"}

    def make(self) -> t.Any:
        return load("managed").World(legacy=QUIET, new=QUIET)

    def prepare(self) -> int:
        self.world.start()
        size = self.fill()
        self.arm()
        return size


class Dump(Engine):
    """Legacy does not publish, so each way there is a dump; new does, so each way back is a replication."""

    name = "dump"
    options = {**Engine.options, "engine": "dump", "max_window": 1800}

    def make(self) -> t.Any:
        return self.pg.World(settings={"legacy": (*QUIET, "wal_level = replica"), "new": QUIET})


WAYS: dict[str, type[Way]] = {way.name: way for way in (Runbook, Logical, Physical, Dump)}

# --- the run -----------------------------------------------------------------------------------------------------------------------


class Run:
    """All samples, with a line for each on stderr."""

    def __init__(self, ways: list[str], scales: list[str], samples: int) -> None:
        self._ways, self._scales, self._rounds = ways, scales, samples
        self._forecast = Forecast(guesses(ways, scales, samples))
        self._began = time.monotonic()
        self._total = sum(len(WAYS[way].directions) for scale in scales for way in turns(ways, scale, samples))
        self.samples: list[Sample] = []
        self.sizes: dict[str, int] = {}
        self.version = ""

    def measure(self, pg: t.Any) -> None:
        for scale in self._scales:
            with contextlib.ExitStack() as pairs:
                at_scale = {name: self._prepared(WAYS[name](pg, scale), pairs) for name in self._ways}
                for name in turns(self._ways, scale, self._rounds):
                    with self._step():
                        for direction in at_scale[name].directions:
                            self._note(at_scale[name].switch(direction))

    @contextlib.contextmanager
    def _step(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._forecast.did(time.monotonic() - began)

    def _prepared(self, way: Way, pairs: contextlib.ExitStack) -> Way:
        pairs.callback(way.world.stop)
        began = time.monotonic()
        with self._step():
            size = way.prepare()
        self.sizes.setdefault(way.scale, size)
        versions = dict.fromkeys(cluster.value("SHOW server_version", dbname="postgres") for cluster in way.world.clusters)
        self.version = self.version or " to ".join(versions)
        self._say(f"{way.scale} {way.name}: {size / 1e6:.0f} MB, prepared in {time.monotonic() - began:.0f} s")
        return way

    def _note(self, sample: Sample) -> None:
        self.samples.append(sample)
        steps = "".join(f", {name} {took:.2f}" for name, took in sample.steps.items())
        own = "" if sample.database_ms is None else f", module {sample.window_ms / 1000:.3f}/{sample.database_ms / 1000:.3f}"
        self._say(f"{sample.scale} {sample.way} {sample.direction}: pause {sample.pause:.3f} s{own}{steps}")

    def _say(self, text: str) -> None:
        elapsed, left = time.monotonic() - self._began, self._forecast.left
        sys.stderr.write(f"[{len(self.samples):3}/{self._total}] {text} | {clock(elapsed)} elapsed, about {clock(left)} left\n")
        sys.stderr.flush()

    def report(self, command: str) -> dict[str, t.Any]:
        found = ratios(self.samples)
        groups = [(way, direction, scale) for way, direction in kinds(self.samples) for scale in scales_of(self.samples)]
        names = ("way", "direction", "scale")
        return {
            "what": "seconds without an acknowledged commit across a switch, by way, direction and size of the database",
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "command": command,
            "seconds": round(time.monotonic() - self._began),
            "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "postgresql": self.version},
            "database_bytes": self.sizes,
            "pauses": [{**dict(zip(names, group, strict=True)), **spread([sample.pause for sample in of(self.samples, *group)])}
                       for group in groups],
            "ratios": [{**asdict(ratio), "met": ratio.met} for ratio in found],
            "notes": notes(self.samples),
            "samples": [asdict(sample) for sample in self.samples],
            "ok": all(ratio.met is not False for ratio in found),
        }


def page(report: dict[str, t.Any], samples: list[Sample]) -> str:
    machine = report["machine"]
    head = (f"{report['date']}, `{report['command']}`, {report['seconds'] // 60} min on {machine['cores']} cores ({machine['architecture']}),"
            f" PostgreSQL {machine['postgresql']}, loopback, fsync on.")
    return "\n".join([head, "", *table(samples, report["database_bytes"]), "", *(f"- {note}" for note in report["notes"])]) + "\n"


def room(ways: list[str], scales: list[str]) -> None:
    """Raises RuntimeError when the largest pairs and their logs would fill the disk; all of them stand there at the same time."""
    needed = len(ways) * (3 * megabytes(scales[-1]) + 3000) * 1_000_000
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < needed:
        raise RuntimeError(f"{tempfile.gettempdir()} has {free / 1e9:.0f} GB free, {needed / 1e9:.0f} GB are needed. Set TMPDIR, or name fewer ways.")


def tree() -> None:
    """What drive.py imports as ansible_collections.bowline.fleet."""
    subprocess.run([sys.executable, str(ROOT / "scripts" / "project.py")], check=True, stdout=subprocess.DEVNULL)


def interrupted(_number: int, _frame: object) -> t.NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scales", nargs="+", default=list(SCALES), metavar="SIZE", help=f"{' '.join(SCALES)}, or any other NNNM")
    parser.add_argument("--samples", type=int, default=ENOUGH, help=f"rounds of each way at each scale; fewer than {ENOUGH} are for trying it out")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    given = parser.parse_args()
    try:
        scales = sorted(set(given.scales), key=megabytes)
    except ValueError as error:
        parser.error(f"--scales: {error}")
    if given.samples < 1:
        parser.error("--samples: at least 1")
    signal.signal(signal.SIGTERM, interrupted)
    # In the order of WAYS, whatever the order on the command line.
    run = Run([name for name in WAYS if name in given.ways], scales, given.samples)
    try:
        room(given.ways, scales)
        tree()
        run.measure(rig())
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the servers have been stopped, nothing was written\n")
        return 130
    except Exception:  # whatever it was, the exit code must not be that of a missed target
        traceback.print_exc()
        sys.stderr.write("Given up: what is above stands in the way of measuring anything. Nothing was written.\n")
        return 2
    words = " ".join(sys.argv[1:])
    report = run.report(f"make bench-pg ARGS='{words}'" if words else "make bench-pg")
    OUT.mkdir(parents=True, exist_ok=True)
    text = page(report, run.samples)
    (OUT / "pg.md").write_text(text, encoding="utf-8")
    (OUT / "pg.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    judged = [ratio for ratio in ratios(run.samples) if ratio.met is not None]
    missed = [ratio for ratio in judged if not ratio.met]
    sys.stdout.write(text + "\n")
    for ratio in missed:
        sys.stdout.write(f"missed: {ratio.way} {ratio.direction} at {ratio.scale}: {ratio.what} {verdict(ratio)}\n")
    where = (OUT / "pg.json").relative_to(ROOT)
    sys.stdout.write(f"{len(judged) - len(missed)} of {len(judged)} targets met; {where} and pg.md beside it have all figures\n")
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
