# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook node_smoke: a whole life over a recorder, without a store, a host or a right; and one that cannot be, of which nothing is left."""

from __future__ import annotations

import json

from controller import Controller


def played(folder, **variables) -> tuple[int, str]:
    process = Controller(folder).ansible("bowline.fleet.node_smoke", "-e", json.dumps(variables))
    said = process.communicate(timeout=300)[0]
    return process.returncode, " ".join(said.split())


def places(folder) -> list:
    return [path for path in folder.rglob("*bowline") if path.is_dir()]


def test_a_life_over_a_recorder(folder, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(folder))
    code, said = played(folder)
    assert code == 0, said
    for word in ("smoke-1: made, running", "smoke-1: kept, running", "stopped", "provisioning"):
        assert word in said, said
    assert places(folder) == []


def test_a_life_that_cannot_be(folder, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(folder))
    code, said = played(folder, node_smoke_defaults={"image": "not/absolute"})
    assert code != 0 and "[option_invalid]" in said and places(folder) == [], said
