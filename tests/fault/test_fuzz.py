# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases that a generator makes move there and back, equal, or are refused before anything is written on legacy.

`make test` has a sample of seeds, `make faults` 300 a pair. ``BOWLINE_FUZZ_SEEDS`` names others (``7``, ``1-40``, ``3,9,12-20``),
``BOWLINE_FUZZ_ONLY`` and ``BOWLINE_FUZZ_WITHOUT`` features, ``BOWLINE_FUZZ_ENGINE`` the engine of all of them. A finding is made as small as
it can be and stands in build/fuzz/, with what was seen.
"""

from __future__ import annotations

import json
import os
import random
import re
import time
from pathlib import Path

import bench
import fuzz.features
import fuzz.move
import pytest
from fuzz.draw import FEATURES, Schema, generate
from fuzz.minimise import minimise

HERE = Path(__file__).resolve().parent
RECORD = HERE.parents[1] / "build" / "fuzz"
CASES = sorted((HERE / "fuzz" / "cases").glob("*.sql"))
# These found nothing when they were chosen, so the sample says whether something broke.
SAMPLE = (2, 18, 40, 54, 344)


def _numbers(text: str) -> list[int]:
    spans = [part.partition("-") for part in text.split(",") if part]
    return [number for first, _dash, last in spans for number in range(int(first), int(last or first) + 1)]


def _listed(variable: str) -> list[str]:
    return [name for name in os.environ.get(variable, "").split(",") if name]


SEEDS = _numbers(os.environ.get("BOWLINE_FUZZ_SEEDS", "")) or (list(range(1, 301)) if bench.ALL else list(SAMPLE))
ONLY, WITHOUT = _listed("BOWLINE_FUZZ_ONLY"), _listed("BOWLINE_FUZZ_WITHOUT")


def engine_of(seed: int) -> str:
    """Now and then rows are brought inside the window."""
    return os.environ.get("BOWLINE_FUZZ_ENGINE") or random.Random(f"{seed} engine").choice(("auto", "auto", "auto", "auto", "auto", "dump"))


def record(world, schema, engine, verdict, seconds) -> None:
    RECORD.mkdir(parents=True, exist_ok=True)
    entry = {"pair": world.pair, "seed": schema.seed, "engine": engine, "features": list(schema.parts), "kind": verdict.kind, "stage": verdict.stage,
             "code": verdict.code, "text": verdict.text, "seconds": round(seconds, 1)}
    with (RECORD / "runs.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def judged(world, schema, engine, smaller=True):
    """The verdict; a finding is made smaller first, and written down."""
    started = time.monotonic()
    verdict = fuzz.move.move(world, schema, engine)
    record(world, schema, engine, verdict, time.monotonic() - started)
    if verdict.right or verdict.kind == fuzz.move.UNMADE:
        return verdict
    small = schema
    if smaller and os.environ.get("BOWLINE_FUZZ_MINIMISE", "1") == "1":
        small = minimise(schema, lambda some: fuzz.move.move(world, some, engine).signature == verdict.signature)
    path = RECORD / f"{world.pair}-{schema.seed}-{engine}-{'-'.join(small.parts)[:80]}.sql"
    seen = "".join(f"-- {line}\n" for line in str(verdict).splitlines())
    path.write_text(f"-- {world.pair}, engine {engine}\n{seen}{small.text()}", encoding="utf-8")
    return verdict


@pytest.fixture(scope="module")
def pair_of_servers(worlds, request):
    """Two servers of their own, without fsync, since none of them crashes."""
    worlds.stop()
    quick = ("fsync = off", "synchronous_commit = on", "full_page_writes = off")
    world = bench.Bench(*request.param, settings={"legacy": quick, "new": quick})
    try:
        world.start()
        yield world
    finally:
        world.stop()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("pair_of_servers", bench.pairs(), ids=bench.label, indirect=True)
def test_a_database_from_a_seed_is_moved_equal_or_refused_first(pair_of_servers, seed):
    engine = engine_of(seed)
    verdict = judged(pair_of_servers, generate(seed, ONLY, WITHOUT), engine)
    assert verdict.right, str(verdict)


@pytest.mark.whole
@pytest.mark.parametrize("name", list(FEATURES))
@pytest.mark.parametrize("pair_of_servers", bench.pairs(), ids=bench.label, indirect=True)
def test_a_feature_alone_is_moved_equal_or_refused_first(pair_of_servers, name):
    """What several of them hide in one schema, since the first finding ends a move."""
    wrong = {}
    for seed in SEEDS[:3]:
        verdict = judged(pair_of_servers, generate(seed, [name]), engine_of(seed))
        if not verdict.right:
            wrong[seed] = str(verdict)
    assert wrong == {}


@pytest.mark.whole
@pytest.mark.parametrize("name", [path.stem for path in CASES])
@pytest.mark.parametrize("pair_of_servers", bench.pairs(), ids=bench.label, indirect=True)
def test_a_case_is_moved_equal_or_refused_first(pair_of_servers, name):
    """What was found once, by the generator or by somebody, as small as it can be."""
    text = (HERE / "fuzz" / "cases" / f"{name}.sql").read_text(encoding="utf-8")
    create = re.search(r"^-- CREATE DATABASE \.\.\. (.+)$", text, re.M)
    equal = re.search(r"^-- Right: equal(?: with (\w+))?$", text, re.M)
    schema = Schema(0, create[1] if create else "", {name: (text,)})
    for engine in _listed("BOWLINE_FUZZ_ENGINE") or ("auto", "dump"):
        verdict = judged(pair_of_servers, schema, engine, smaller=False)
        assert verdict.kind == fuzz.move.EQUAL if equal and equal[1] in (None, engine) else verdict.right, str(verdict)


def test_the_same_seed_is_the_same_schema():
    for seed in range(20):
        assert generate(seed) == generate(seed)
    assert {name for seed in range(200) for name in generate(seed).parts} == set(FEATURES)
