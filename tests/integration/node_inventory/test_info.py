# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""node_instance_info and the inventory beside a real recorder, as ansible runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


def test_an_inventory_of_what_stands_on_the_controller(tmp_path):
    fleet = fleets.Fleet(tmp_path)
    for name, host in (("web-1", "localhost"), ("web-2", "localhost"), ("far-1", "hv-2")):
        fleet.host = host
        fleet.node(name)
        fleet.run("running", name)
    fleet.change(power="off")

    def groups(source, mode="recorder"):
        file = tmp_path / "hub.fleet.yml"
        file.write_text(json.dumps({"plugin": "bowline.fleet.fleet", "dsn": f"sqlite://{fleet.path}", "source": source}))
        given = {**os.environ, "BOWLINE_LIBVIRT_MODE": mode, "COLUMNS": "999", "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run([str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(file), "--list"], env=given, cwd=tmp_path, text=True,
                              capture_output=True, timeout=60, check=True)  # fmt: skip
        return {name: group["hosts"] for name, group in json.loads(done.stdout).items() if name.startswith("phase_")}, done.stderr

    assert groups("store")[0] == {"phase_running": ["far-1", "web-1", "web-2"]}
    both = groups("both")
    assert both[0] == {"phase_running": ["far-1", "web-2"], "phase_stopped": ["web-1"]} and "1 of the nodes stand at hv-2" in both[1]
    assert groups("provider")[0] == {"phase_running": ["web-2"], "phase_stopped": ["web-1"]}
    refused = groups("both", "disabled")
    assert refused[0] == {} and "[provider_unavailable]" in refused[1]
