# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator gets wrong is found before anything is changed, with code, field, what was seen and the remedy. One thing wrong at a time is in
test_0_spoilt.py."""

from __future__ import annotations

import base64
import json
import re

import judge
import pytest
from prints import unchanged


@pytest.fixture
def refused(world):
    """Run the cutover with extra variables; it must fail in C1 with ``code`` and ``words``, and leave everything as it was."""

    def run(variables: dict, code: str, *words: str) -> str:
        # The journal is history: it keeps that somebody tried.
        with unchanged(world, "journal"):
            done = world.run("cutover", "-e", json.dumps(variables))
        text = " ".join(done.text().split())
        assert done.process.returncode != 0, text[-3000:]
        assert f" {code}:" in text, text[-3000:]
        assert [word for word in words if word not in text] == [], text[-3000:]
        failure = done.figures()["failure"]
        assert failure["code"] in (code, "preflight_failed")
        assert failure["remedy"]
        return text

    return run


def endpoint(world, side: str, **changes) -> dict:
    database = world.lab["databases"]["legacy" if side == "legacy" else "target"]
    with open(database["superuser_password_file"], encoding="utf-8") as file:
        password = file.read().strip()
    known = {"host": database["host"], "port": database["port"], "dbname": database["dbname"], "user": database["superuser"]}
    return {**known, "password": password, "sslmode": "verify-full", **changes}


def test_all_findings_come_at_once(refused):
    text = refused(
        {"edge_sidse": {}, "cutover_preflight_containers": ["hub-nowhere-1"]},
        "container_missing",
        "unknown_variable: edge_sidse: edge_sidse: unknown key. Did you mean edge_sides?",
        "container_missing: cutover_preflight_containers: Container hub-nowhere-1 does not exist.",
        "remedy: Start the legacy stack, or correct the name.",
    )
    assert "2 findings" in text


def test_misspelt_key_inside_a_connection(refused, world):
    refused({"pg_move_legacy": endpoint(world, "legacy", prot=5432)}, "unknown_key", "legacy.prot: unknown key. Did you mean port?")


def test_key_that_the_name_server_refuses(refused, world, tmp_path):
    with open(world.lab["dns"]["tsig_file"], encoding="utf-8") as file:
        key = {**json.load(file), "secret": base64.b64encode(b"another key, as long as it needs").decode()}
    path = tmp_path / "tsig.json"
    path.write_text(json.dumps(key), encoding="utf-8")
    path.chmod(0o600)
    server = world.lab["dns"]["servers"][0]["address"]
    refused({"dns_provider_options": {"server": server, "key_file": str(path)}}, "tsig_error", "dns_provider_options")


def test_target_that_cannot_be_reached(refused):
    text = refused(
        {"ansible_host": "10.78.0.99", "ansible_ssh_timeout": 2},
        "unreachable",
        "unreachable: inventory: hub-new could not be reached:",
        "remedy: Check ansible_host, ansible_user and the key of this host, then run again.",
    )
    assert "hub-old could not be reached" not in text


def test_second_run_while_one_is_active(world):
    first = world.start("cutover")
    try:
        world.until("the first run to begin its first step", lambda: "Preflight" in first.text())
        second = world.run("cutover")
        text = " ".join(second.text().split())
        assert second.process.returncode != 0, text[-3000:]
        assert " locked " in text, text[-3000:]
        assert re.search(rf"is held by \S+ \(pid {first.process.pid} on \S+\) since [0-9.]+ s", text), text[-3000:]
        # It goes on until the new server is there, which the test below needs.
        world.wait("target", first)
    finally:
        first.kill()


def test_target_database_that_is_not_empty(refused, world):
    """After the run that was ended above: its new server answers, and somebody fills the database before it does."""
    world.settle()
    database = world.lab["databases"]["target"]
    with judge.connect({**database, "dbname": "postgres"}) as session:
        session.execute(f'CREATE DATABASE "{database["dbname"]}"')
    with judge.connect(database) as session:
        session.execute("CREATE TABLE strangers (id int)")
    refused({}, "preflight_failed", "is not empty and not ours: public.strangers", f'ALTER DATABASE "{database["dbname"]}" RENAME TO')
