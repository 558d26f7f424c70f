# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real pg_cron on both servers, in the database that moves: its jobs are named, there and back, and each minute is run once."""

from __future__ import annotations

import sys

import pytest

rig = sys.modules["bowline_pg_rig"]
JOB = "pg_cron 1 (* * * * *) in hub"
SETTINGS = ("shared_preload_libraries = 'pg_cron'", "cron.database_name = 'hub'", "cron.use_background_workers = on")
RAN = "SELECT port, at FROM ran ORDER BY at"


@pytest.fixture
def world():
    made = rig.World(rig.versions.DEFAULT, rig.versions.DEFAULT, settings={"legacy": SETTINGS, "new": SETTINGS})
    for cluster in made.clusters:
        cluster.bin = rig.versions.with_package("postgresql-15-cron")
    try:
        made.start()
        made.reset()
        yield made
    finally:
        made.stop()


def job(cluster, active: bool) -> None:
    """The statement of the remedy."""
    cluster.rows(f"SELECT cron.alter_job(1, active => {str(active).lower()})")


def scheduled(cluster) -> bool:
    return cluster.value("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'pg_cron launcher')", dbname="postgres")


def test_a_job_is_named_and_runs_on_the_side_that_serves_only(world):
    legacy, new = world.clusters
    legacy.rows("CREATE EXTENSION pg_cron; CREATE TABLE ran (id bigserial PRIMARY KEY, at timestamptz DEFAULT date_trunc('minute', now()),"
                " port text DEFAULT current_setting('port')); SELECT cron.schedule('each', '* * * * *', 'INSERT INTO public.ran DEFAULT VALUES')")
    for state in ("seeded", "new"):
        failure = world.run(state)["failure"]
        assert [each["object"] for each in failure["details"]["findings"] if each["level"] == "fail"] == [JOB], failure
    job(legacy, False)
    armed = world.ok("armed")
    # The trial of the schema has the name that pg_cron asks for, and its scheduler ends with it.
    assert not scheduled(new) and any("pg_cron of" in warning and "restart that server" in warning for warning in armed["warnings"]), armed["warnings"]
    new.stop()
    new.start()
    rig.until(lambda: scheduled(new), 30, "the scheduler of new")
    assert world.ok("new")["serving"] == "new"
    assert new.value("SELECT active FROM cron.job") is False
    job(new, True)
    told = world.ok("armed")
    assert JOB + " on new" in [each["object"] for each in told["findings"] if each["code"] == "scheduled_job"], told["findings"]
    rig.until(lambda: legacy.value("SELECT active FROM cron.job"), 30, "the row of the job on legacy")
    # Whatever makes legacy read the table of jobs anew.
    legacy.rows("ANALYZE cron.job")
    before = len(new.rows(RAN))
    rig.until(lambda: len(new.rows(RAN)) >= before + 2, 200, "two runs on new")
    failure = world.run("legacy")["failure"]
    assert [each["object"] for each in failure["details"]["findings"] if each["level"] == "fail"] == [JOB + " on new"], failure
    job(new, False)
    assert world.ok("legacy")["serving"] == "legacy"
    assert legacy.value("SELECT active FROM cron.job") is False
    since = len(legacy.rows(RAN))
    job(legacy, True)
    rig.until(lambda: len(legacy.rows(RAN)) > since, 130, "a run on legacy")
    runs = legacy.rows(RAN)
    assert len({row["at"] for row in runs}) == len(runs) and {row["port"] for row in runs} == {str(legacy.port), str(new.port)}, runs
