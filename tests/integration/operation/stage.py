# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks with the roles operation, pg_move, rollback, traffic_probe and report as they are, on a stage.

Everything that would need a server is a double: it notes that it was called, with what, and answers by what the test wrote into the world.
Two hosts of one machine keep their jobs in folders of their own, so that a job is found only on the host that runs it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

MODULE = """\
#!/usr/bin/python
# WANT_JSON
import json, os, sys, time
world = os.environ["STAGE_WORLD"]
asked = json.load(open(sys.argv[1]))
facts = json.load(open(world + "/facts.json"))
name = "{name}"
with open(world + "/calls", "a") as file:
    file.write(json.dumps([name, {{key: value for key, value in asked.items() if not key.startswith("_ansible")}}]) + "\\n")
def end(**answer):
    print(json.dumps(answer))
    sys.exit(0)
key = name + " " + str(asked.get("state", ""))
if key.strip() in facts.get("fails", []):
    end(failed=True, msg="[staged] " + key, failure={{"code": "staged", "message": key, "remedy": "none", "details": {{}}}})
now = time.time()
{body}
"""
SWITCH = """\
state, before = asked["state"], facts["serving"]
switches = state in ("new", "legacy") and before != state
if state in ("new", "legacy") and not asked.get("_ansible_check_mode"):
    facts["serving"] = state
    json.dump(facts, open(world + "/facts.json", "w"))
end(changed=switches, phase_before="x", phase_after=state, serving=facts["serving"], findings=[], predicted_window_ms=200.0, restart_ms=None,
    window_ms=312.4 if switches else None, hold={"from": now - 1, "until": now} if switches else {}, engine="logical", steps=[], drained={},
    sequences=3, plan=[], verify={"equal": True, "rows": 7} if switches else None, snapshot=None, loss=None, rollback={"armed": state == "armed"})
"""
BODIES = {
    "pg_cutover": SWITCH,
    "pg_cutover_info": """
end(changed=False, phase="p", serving=facts["serving"], epoch=facts.get("epoch", {}), holder=None, rollback={"armed": facts["serving"] == "new"},
    failures={"legacy": {"message": "refused"}, "new": {"message": "refused"}} if facts["serving"] == "unknown" else {})
""",
    "traffic_edge_info": """
end(changed=False, edge=facts.get("edge"))
""",
    "traffic_probe": """
end(changed=True, probe={"alive": True})
""",
    "traffic_probe_info": """
end(changed=False, probe={"alive": True, "failed": 0, "requests": 9, "lines": "x", "seconds_to_side": {}, "sides": {}})
""",
}
ROLE = """\
---
# A pipe takes a twentieth of the time of a module.
- name: Note the call
  ansible.builtin.set_fact:
    stage_noted: "{{{{ lookup('ansible.builtin.pipe', 'echo ' ~ (noted | to_json | quote) ~ ' >> ' ~ world ~ '/calls') }}}}"
  vars:
    world: "{{{{ lookup('ansible.builtin.env', 'STAGE_WORLD') }}}}"
    noted:
      - "{role}/{entry}"
      - {{serving: "{{{{ edge_serving | default('') }}}}", keep: "{{{{ edge_keep | default('') }}}}", absent: "{{{{ edge_absent | default('') }}}}"}}
  when: not ansible_check_mode

- name: Refuse
  bowline.fleet.operation:
    state: refused
    code: staged
    findings: [{{code: staged, field: x, message: "{role}/{entry} was told to", remedy: none}}]
  vars:
    world: "{{{{ lookup('ansible.builtin.env', 'STAGE_WORLD') }}}}"
    fails: "{{{{ (lookup('ansible.builtin.file', world ~ '/facts.json') | from_json).fails }}}}"
    times: "{{{{ lookup('ansible.builtin.file', world ~ '/calls', errors='ignore') | default('', true) | regex_findall('{role}/{entry}\\"') | length }}}}"
  when: "'{role}/{entry}' in fails or '{role}/{entry} ' ~ times in fails"

- name: Say what was done
  ansible.builtin.set_fact:
    {role}_step: {{changed: false, evidence: {{}}}}
"""
ROLES = {
    "cutover_preflight": ("findings",), "native_stack": ("main", "services", "absent"), "dns": ("main", "prepared", "settled", "released"),
    "edge": ("main", "absent"), "pg_link": ("main", "absent"),
    "snapshot": ("main",), "smoke": ("main", "dark", "legacy"),
}  # fmt: skip
REAL_ROLES = ("operation", "pg_move", "rollback", "cancel", "traffic_probe", "report")


class Stage:
    def __init__(self, base: Path) -> None:
        self.base, self.world = base, base / "world"
        self.world.mkdir()
        fleet = base / "collections" / "ansible_collections" / "bowline" / "fleet"
        for folder in ("plugins/modules", "roles"):
            (fleet / folder).mkdir(parents=True)
        links = [ROOT / name for name in ("playbooks", "meta", "galaxy.yml")]
        links += [path for path in (ROOT / "plugins").iterdir() if path.name not in ("modules", "__pycache__")]
        links += [path for path in (ROOT / "plugins" / "modules").glob("*.py") if path.stem not in BODIES]
        links += [ROOT / "roles" / name for name in REAL_ROLES]
        for path in links:
            (fleet / path.relative_to(ROOT)).symlink_to(path)
        for name, body in BODIES.items():
            (fleet / "plugins" / "modules" / f"{name}.py").write_text(MODULE.format(name=name, body=body))
        for role, entries in ROLES.items():
            (fleet / "roles" / role / "tasks").mkdir(parents=True)
            for entry in entries:
                (fleet / "roles" / role / "tasks" / f"{entry}.yml").write_text(ROLE.format(role=role, entry=entry))
        self._inventory()
        self.facts()

    def _inventory(self) -> None:
        def host(name: str) -> dict[str, t.Any]:
            return {name: {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_async_dir": f"{self.base}/jobs-{name}"}}

        pair = {side: {"host": "127.0.0.1", "dbname": "hub"} for side in ("legacy", "new")}
        variables = {
            "cutover_subject": "hub",
            "cutover_app_services": ["web"],
            "cutover_smoke_checks": {"new": [], "legacy": []},
            "pg_move_legacy": pair["legacy"],
            "pg_move_new": pair["new"],
            "pg_move_hosts": {"legacy": "old", "new": "fresh"},
            "pg_move_link": {},
            "edge_sides": {side: {"host": host_name, "directory": "/nowhere"} for side, host_name in (("legacy", "old"), ("new", "fresh"))},
            "traffic_probe_directory": "/nowhere",
            "traffic_probe_url": "https://hub.example",
            "traffic_probe_workers": [{"name": "one"}],
            "traffic_probe_side_names": {"legacy": "legacy", "new": "new"},
            "operation_store": f"sqlite://{self.base}/store.db?ephemeral=true",
        }
        groups = {"legacy": {"hosts": host("old")}, "target": {"hosts": host("fresh")}}
        local = {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}
        (self.base / "hosts.json").write_text(json.dumps({"all": {"hosts": local, "children": groups, "vars": variables}}))

    def facts(self, **facts: t.Any) -> None:
        """The world from now on; ``fails`` names what fails: ``role/entry``, with a number only at that call, or ``module state``."""
        (self.world / "calls").unlink(missing_ok=True)
        edge = {"inserted": True, "running": True, "hold": 0}
        (self.world / "facts.json").write_text(json.dumps({"serving": "legacy", "fails": [], "edge": edge, **facts}))

    def run(self, kind: str, *words: str, callback: str = "bowline.fleet.timeline", **variables: t.Any) -> tuple[int, str]:
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": f"{self.base}/collections:{os.environ.get('ANSIBLE_COLLECTIONS_PATH', '')}",
            "ANSIBLE_STDOUT_CALLBACK": callback,
            "ANSIBLE_INJECT_FACT_VARS": "false",
            "ANSIBLE_LOCAL_TEMP": str(self.base / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
            "STAGE_WORLD": str(self.world),
        }
        program = str(Path(sys.executable).parent / "ansible-playbook")
        argv = [program, "-i", "hosts.json", f"bowline.fleet.{kind}", "-e", json.dumps(variables), *words]
        done = subprocess.run(argv, cwd=self.base, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
        return done.returncode, done.stdout

    def calls(self, name: str) -> list[dict[str, t.Any]]:
        lines = (self.world / "calls").read_text().splitlines() if (self.world / "calls").exists() else []
        return [asked for known, asked in map(json.loads, lines) if known == name]

    def order(self) -> list[str]:
        """Names of everything that was called, in its order."""
        lines = (self.world / "calls").read_text().splitlines() if (self.world / "calls").exists() else []
        return [json.loads(line)[0] for line in lines]

    def unreachable(self, host: str) -> None:
        """From now on no connection to this host is made."""
        known = json.loads((self.base / "hosts.json").read_text())
        for group in known["all"]["children"].values():
            if host in group["hosts"]:
                group["hosts"][host] |= {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9, "ansible_ssh_timeout": 1}
        (self.base / "hosts.json").write_text(json.dumps(known))

    def said(self, step: str) -> dict[str, dict[str, t.Any]]:
        """What the roles of a step said in the last operation, by role."""
        with sqlite3.connect(self.base / "store.db") as connection:
            query = (
                "SELECT h.evidence FROM step_host h JOIN operation o ON o.id = h.operation_id WHERE h.step_id = ? ORDER BY o.started_at DESC LIMIT 1"
            )
            return json.loads(connection.execute(query, (step,)).fetchone()[0])
