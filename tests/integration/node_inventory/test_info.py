# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""node_instance_info beside a real recorder, as ansible-playbook runs it."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.bowline.fleet.tests.loading import load

FOLDER = Path(__file__).resolve().parents[1] / "node_instance"
fleets = load(FOLDER / "fleet.py", "bowline_node_fleet")
controllers = load(FOLDER / "controller.py", "bowline_node_controller")

ASK = """
    - name: Ask both
      bowline.fleet.node_instance_info: {source: both, mode: recorder, gather: [conditions]}
      register: done
    - name: Ask nobody
      bowline.fleet.node_instance_info: {source: both, mode: disabled}
      register: shown
      ignore_errors: true
"""


def test_what_stands_there_and_what_is_on_record(tmp_path):
    fleet = fleets.Fleet(tmp_path)
    fleet.host = "localhost"
    for name in ("web-1", "web-2"):
        fleet.node(name)
        fleet.run("running", name)
    fleet.change(power="off")
    found = controllers.Controller(tmp_path).run(ASK)
    said = {one["name"]: one for one in found["done"]["instances"]}
    assert {name: (one["machine_seen"], one["phase"]) for name, one in said.items()} == {"web-1": ("observed", "stopped"), "web-2": ("observed", "running")}
    assert found["done"]["orphans"] == [] and found["done"]["changed"] is False
    assert found["shown"]["failure"]["code"] == "provider_unavailable" and "instances" not in found["shown"]
