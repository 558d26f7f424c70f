# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator gets wrong is found before anything is changed, with code, field, what was seen and the remedy. One thing wrong at a time is in
test_0_spoilt.py, what a run before has left in test_1_main_job.py."""

from __future__ import annotations

import base64
import json


def endpoint(world, side: str, **changes) -> dict:
    database = world.lab["databases"]["legacy" if side == "legacy" else "target"]
    with open(database["superuser_password_file"], encoding="utf-8") as file:
        password = file.read().strip()
    known = {"host": database["host"], "port": database["port"], "dbname": database["dbname"], "user": database["superuser"]}
    return {**known, "password": password, "sslmode": "verify-full", **changes}


def another_key(world, folder) -> str:
    """A key that the name server refuses."""
    with open(world.lab["dns"]["tsig_file"], encoding="utf-8") as file:
        key = {**json.load(file), "secret": base64.b64encode(b"another key, as long as it needs").decode()}
    path = folder / "tsig.json"
    path.write_text(json.dumps(key), encoding="utf-8")
    path.chmod(0o600)
    return str(path)


def test_everything_that_is_wrong_comes_at_once(refused, world, tmp_path):
    """A variable and a key that are misspelt, a container that is not there, a key that the name server refuses, and a target out of reach."""
    spoilt = {
        "edge_sidse": {},
        "cutover_preflight_containers": ["hub-nowhere-1"],
        "pg_move_legacy": endpoint(world, "legacy", prot=5432),
        "dns_provider_options": {"server": world.lab["dns"]["servers"][0]["address"], "key_file": another_key(world, tmp_path)},
        "ansible_host": "10.78.0.99",
        "ansible_ssh_timeout": 2,
    }
    text = refused(
        spoilt,
        ("container_missing", "unknown_variable", "unknown_key", "tsig_error", "unreachable"),
        "unknown_variable: edge_sidse: edge_sidse: unknown key. Did you mean edge_sides?",
        "container_missing: cutover_preflight_containers: Container hub-nowhere-1 does not exist.",
        "remedy: Start the legacy stack, or correct the name.",
        "legacy.prot: unknown key. Did you mean port?",
        "dns_provider_options",
        "unreachable: inventory: hub-new could not be reached:",
        "remedy: Check ansible_host, ansible_user and the key of this host, then run again.",
    )
    # Five, and what could therefore not be asked of the edge there.
    assert "7 findings" in text and text.count(" not_run: edge_sides.new") == 2
    assert "hub-old could not be reached" not in text
