# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Timelines of services on three real managers (engine 20.10), look by look: the verdict comes at the last look, and no other one before it.

A file has ``expect``, ``applied`` (number of a spec), ``nodes``, ``specs``, and ``looks``: which tasks are there and how those that changed are now.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.verdict.converge import Limits, Snapshot, judge

FILES = sorted((Path(__file__).parent / "timelines").glob("*.json"))
LIMITS = Limits(pending_timeout=4)


def timeline(found):
    known, specs, lines = {}, found["specs"], []
    for look in found["looks"]:
        known.update({task["ID"]: {**task, "Spec": specs[task["Spec"]]} for task in look["changed"]})
        of = look["service"] and {**look["service"], "Spec": specs[look["service"]["Spec"]]}
        lines.append(Snapshot(look["at"], of, tuple(known[name] for name in look["there"]), tuple(found["nodes"])))
    return lines


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_verdict_comes_when_it_came(path):
    found = json.loads(path.read_text(encoding="utf-8"))
    lines, applied = timeline(found), found["specs"][found["applied"]]
    codes = [judge(lines[: end + 1], applied, LIMITS).code for end in range(1, len(lines))]
    assert (codes[-1], set(codes[:-1]) - {"waiting"}) == (found["expect"], set())


def test_all_of_them_are_here():
    assert {path.stem for path in FILES} == {"good_update", "bad_image", "crash_paused", "crash_continued", "no_node"}
