# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starting, stopping and asking a real server by pg_ctl, behind a prefix, as the owner of its data directory."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Endpoint
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.process import Control

sys.path.insert(0, str(Path(__file__).parent))
from drive import runner  # noqa: E402


def test_a_server_is_stopped_cleanly_started_with_its_old_words_and_crashed(clusters):
    cluster = clusters.legacy
    endpoint = Endpoint(
        "legacy", "127.0.0.1", cluster.port, server_bindir="/usr/lib/postgresql/15/bin",
        data_directory=str(cluster.home / "data"), command_prefix=("env", "BOWLINE_HERE=1"))
    control = Control(endpoint, runner)
    assert control.running() and control.controldata()["Database cluster state"] == "in production"
    idle = cluster.connect("postgres")
    try:
        control.stop("fast", 20)
        assert not control.running() and control.controldata()["Database cluster state"] == "shut down"
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
        control.stop()
        control.start(20)
        control.start(20)
        assert cluster.value("SELECT 1", dbname="postgres") == 1
        control.stop("fast", 20)
        control.start(20)
        assert cluster.value("SELECT 1", dbname="postgres") == 1
        assert (cluster.home / "data" / "postmaster.opts").read_text().count('"-D"') == 1
        control.stop("immediate", 20)
        assert control.controldata()["Database cluster state"] == "in production"
        with pytest.raises(FleetError) as failure:
            Control(replace(endpoint, data_directory=str(cluster.home)), runner).controldata()
        assert failure.value.code == "control_failed"
        with pytest.raises(FleetError) as failure:
            Control(replace(endpoint, data_directory="/nowhere"), runner).running()
        assert (failure.value.code, "legacy.data_directory: /nowhere" in failure.value.message) == ("invalid_value", True)
        with pytest.raises(FleetError) as failure:
            Control(replace(endpoint, data_directory=""), runner).running()
        assert "legacy.data_directory for pg_ctl" in failure.value.remedy
        with pytest.raises(FleetError) as failure:
            Control(replace(endpoint, data_directory="", service="none"), runner).script("true")
        assert failure.value.remedy.startswith("Set legacy.data_directory")
        # The remedies: the right directory.
        assert Control(endpoint, runner).running() is False and Control(endpoint, runner).controldata()
    finally:
        idle.close()
        control.stop()
        cluster.process.wait(10)
        cluster.start()
