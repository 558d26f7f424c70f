# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inventories with one thing wrong that only the hosts can tell: each is red in the check, with field and remedy.

One run asks for all of them at once: each host is asked every check that a case makes of it, in one call, and each role for the cases of its part.
What comes back is judged case by case, as C1 judges it. What the controller alone can see is in tests/unit/core/test_spoilt.py.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import subprocess
import types
from pathlib import Path

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
from ansible_collections.bowline.fleet.plugins.action.preflight_info import ActionModule
from ansible_collections.bowline.fleet.plugins.module_utils._core import preflight
from prints import unchanged
from world import BIN, ROOT

INVENTORY = ROOT / "inventories" / "lab" / "group_vars" / "all"
NOWHERE = "10.78.0.99"
SPECS = ["cutover_preflight", "native_stack", "edge", "dns", "snapshot", "pg_link", "pg_move", "smoke", "rollback", "traffic_probe", "operation", "report"]

# Name, what is spoilt, code and field of the finding, and the part whose role has to be asked for it. A dotted path leads into a
# variable; None takes it away.
CASES = [
    ("container", {"cutover_preflight_containers": ["hub-nowhere-1"]}, "container_missing", "cutover_preflight_containers"),
    ("image", {"edge_sides.legacy.container.image": "bowline-nowhere:1"}, "image_missing", "edge_sides.legacy.container.image"),
    ("network", {"edge_sides.legacy.container.networks": [{"name": "nowhere"}]}, "network_missing", "edge_sides.legacy.container.networks"),
    ("proxy-file", {"edge_sides.legacy.proxy.config": "/nowhere/site.conf"}, "option_invalid", "edge_sides.legacy.proxy", "edges"),
    ("proxy-upstream", {"edge_sides.legacy.proxy.upstreams.0.name": "nowhere"}, "proxy_upstream_missing", "edge_sides.legacy.proxy", "edges"),
    ("proxy-program", {"edge_sides.legacy.proxy.check": ["docker", "exec", "nowhere", "nginx", "-t"]}, "proxy_check_failed",
     "edge_sides.legacy.proxy", "edges"),
    ("edge-ca", {"edge_sides.legacy.peer.ca_file": "/nowhere/ca.pem"}, "file_missing", "edge_sides.legacy.peer.ca_file"),
    ("edge-name", {"edge_sides.legacy.peer.hostname": "other.bowline.test"}, "certificate_invalid", "edge_sides.legacy.peer"),
    ("edge-folder", {"edge_sides.legacy.directory": f"/var/lib/{'x' * 60}"}, "option_invalid", "edge_sides.legacy", "edges"),
    ("door-name", {"edge_sides.new.peer.hostname": "other.bowline.test"}, "certificate_invalid", "edge_sides.new.peer"),
    ("door-ca", {"native_stack_files.0.source": "{{ lab.tls.postgres_legacy.certificate }}"}, "certificate_invalid", "edge_sides.new.peer"),
    ("door-port", {"edge_sides.new.peer.port": 4433}, "path_closed", "edge_sides.new.peer"),
    ("door-path", {"edge_path": "/nowhere"}, "check_failed", "edge_path"),
    ("probe-path", {"traffic_probe_workers.1.path": "/nowhere"}, "check_failed", "traffic_probe_workers.name", "probe"),
    ("probe-resolver", {"traffic_probe_resolvers": ["127.0.0.9:5353"]}, "unreachable", "traffic_probe_url, traffic_probe_resolvers", "probe"),
    ("probe-ca", {"traffic_probe_ca_file": "{{ lab.tls.postgres_legacy.certificate }}"}, "certificate_invalid",
     "traffic_probe_ca_file, traffic_probe_url", "probe"),
    ("probe-address", {"traffic_probe_workers.0.address": "127.0.0.9"}, "unreachable", "traffic_probe_workers.old-address", "probe"),
    ("password", {"pg_move_legacy.password": "canary-wrong"}, "auth", "pg_move_legacy, pg_move_new, pg_move_link", "databases"),
    ("connection-key", {"pg_move_legacy.prot": 5432}, "unknown_key", "pg_move_legacy, pg_move_new, pg_move_link", "databases"),
    ("port-not-published", {"pg_move_legacy.port": 5999}, "unreachable", "pg_move_legacy, pg_move_new, pg_move_link", "databases"),
    ("link-port", {"pg_move_link.to_legacy.port": 5999}, "path_closed", "pg_move_link.to_legacy"),
    ("link-stranger", {"pg_move_link.to_legacy.port": 443}, "path_closed", "pg_move_link.to_legacy"),
    ("link-way", {"pg_move_link.to_new.host": NOWHERE}, "path_closed", "pg_move_link.to_new"),
    ("link-name", {"pg_move_link.to_new.host": "nowhere.invalid"}, "path_closed", "pg_move_link.to_new"),
    ("edge-way", {"edge_sides.legacy.peer.address": NOWHERE}, "path_closed", "edge_sides.legacy.peer"),
    ("port-taken", {"cutover_preflight_ports.0.port": 22}, "port_taken", "cutover_preflight_ports[0]"),
    ("room", {"cutover_preflight_data_directory": "/proc/data"}, "no_space", "cutover_preflight_data_directory"),
    ("snapshot-room", {"cutover_snapshot": True, "snapshot_directory": "/proc/dumps"}, "no_space", "snapshot_directory"),
    ("package", {"native_stack_packages": ["bowline-nowhere"]}, "package_missing", "native_stack_packages"),
    ("locale", {"native_stack_postgres.locale": "xx_XX.UTF-8"}, "locale_missing", "native_stack_postgres.locale"),
    ("programs", {"native_stack_postgres.bindir": "/usr/lib/postgresql/99/bin"}, "tool_missing", "native_stack_postgres.bindir"),
    ("account", {"native_stack_files.3.owner": "nowhere"}, "account_missing", "native_stack_users"),
    ("command", {"native_stack_manifests.0.services.0.start_command": ["/usr/bin/nowhere"]}, "tool_missing", "native_stack_manifests"),
    ("folder", {"native_stack_files.1.path": "/nowhere/smoke.pgpass"}, "file_missing", "native_stack_files"),
    ("server-nobody-makes", {"native_stack_postgres": None}, "target_incomplete", "pg_move_new"),
    ("dns-server", {"dns_provider_options": {"server": "10.78.0.1", "key_file": "{{ lab.dns.tsig_file }}", "timeout": 1}}, "unreachable",
     "dns_provider_options, dns_zone, dns_name", "names"),
    ("dns-key", {"dns_provider_options.key_file": "{{ spoilt_directory }}/another-key.json"}, "tsig_error", "dns_provider_options, dns_zone, dns_name",
     "names"),
    ("dns-values", {"dns_values.legacy": ["10.78.0.77"]}, "conflict", "dns_name, dns_values, dns_owner", "names"),
    ("no-root", {"cutover_legacy_host": "no-root"}, "privileges", "ansible_become of no-root"),
    ("no-python", {"cutover_target_host": "no-python"}, "tool_missing", "ansible_python_interpreter of no-python"),
    ("lost-host", {"cutover_target_host": "lost"}, "unreachable", "inventory"),
]  # fmt: skip
# Hosts that only a case names.
HOSTS = {
    "no-root": {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3", "ansible_become": True, "ansible_become_user": "nobody",
                "ansible_become_method": "ansible.builtin.su", "ansible_become_flags": "-s /bin/sh"},
    "no-python": {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python-nowhere"},
    "lost": {"ansible_host": NOWHERE, "ansible_ssh_timeout": 2},
}  # fmt: skip
# The first play asks each host what all cases want to know of it, in one call; the second one asks for single cases as their roles do.
PLAYS = """
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Forget former answers
      ansible.builtin.set_fact: {cutover_preflight_answers: []}
    - name: Ask the hosts as C1 does
      ansible.builtin.include_role: {name: bowline.fleet.cutover_preflight, tasks_from: host}
      loop: "{{ cutover_preflight_inputs.hosts }}"
      loop_control: {loop_var: cutover_preflight_host}
    - name: Ask the engine as C1 does
      community.docker.docker_host_info: {containers: true, containers_all: true, verbose_output: true}
      register: spoilt_engine
    - name: Keep the answers
      ansible.builtin.copy:
        dest: "{{ spoilt_directory }}/answers.json"
        content: "{{ {'hosts': cutover_preflight_answers, 'engine': spoilt_engine} | to_json }}"
        mode: "0600"
      check_mode: false
- hosts: cases
  gather_facts: false
  tasks:
    - name: Ask as the role of the part does
      ansible.builtin.include_role: {name: "bowline.fleet.{{ spoilt_role }}", tasks_from: ask}
      loop: "{{ spoilt_roles }}"
      loop_control: {loop_var: spoilt_role}
    - name: Keep the answers
      ansible.builtin.copy:
        dest: "{{ spoilt_directory }}/{{ inventory_hostname }}.json"
        content: "{{ dict(spoilt_roles | zip(query('ansible.builtin.vars', *(spoilt_roles | map('regex_replace', '$', '_asked'))))) | to_json }}"
        mode: "0600"
      check_mode: false
"""
ROLES = {"databases": "pg_move", "edges": "edge", "names": "dns", "probe": "traffic_probe"}


def spoilt(variables: dict, changes: dict) -> dict:
    """The variables of the lab's inventory that ``changes`` lead to, spoilt, as they stand in its files."""
    found: dict = {}
    for path, value in changes.items():
        name, *way = [int(word) if word.isdigit() else word for word in path.split(".")]
        if not way:
            found[name] = value
            continue
        place = found.setdefault(name, copy.deepcopy(variables[name]))
        for word in way[:-1]:
            place = place[word]
        place[way[-1]] = value
    return found


def inventory() -> dict:
    """The variables of the lab's inventory, as they stand in its files; the folder of a host of another inventory is another one."""
    found: dict = {}
    for file in INVENTORY.glob("*.yml"):
        found.update(yaml.safe_load(file.read_text(encoding="utf-8").replace("inventory_dir", f"'{INVENTORY.parents[1]}'")))
    return found


class Asked:
    """All cases in ``folder``: what the controller says of each, and what the hosts and the roles answered, in one run of ansible-playbook."""

    def __init__(self, folder: Path, lab: dict) -> None:
        self._folder, self._loader = folder, DataLoader()
        variables = {**inventory(), "lab": lab}
        (play,) = yaml.safe_load((ROOT / "playbooks" / "cutover.yml").read_text(encoding="utf-8"))
        given = {name: value for name, value in play["vars"].items() if not name.startswith(("__", "pg_move_new_planned", "traffic_probe_since"))}
        local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        # As variables of hosts, which come after those of the folder group_vars.
        whole = {**variables, **given, **local, "spoilt_directory": str(folder)}
        self._hosts = {"whole": {**whole, "spoilt_roles": list(ROLES.values())}}
        self._hosts.update({name: {**whole, **spoilt(variables, changes), "spoilt_roles": [ROLES[part] for part in parts]}
                            for name, changes, _code, _field, *parts in CASES})  # fmt: skip
        key = json.loads(Path(lab["dns"]["tsig_file"]).read_text(encoding="utf-8"))
        secret = base64.b64encode(b"another key, as long as it needs").decode()
        (folder / "another-key.json").write_text(json.dumps({**key, "secret": secret}), encoding="utf-8")
        (folder / "another-key.json").chmod(0o600)
        (folder / "others.yml").write_text(yaml.safe_dump({"others": {"hosts": HOSTS}}), encoding="utf-8")
        init_plugin_loader()
        sources = InventoryManager(self._loader, sources=[str(ROOT / "inventories" / "lab"), str(folder / "others.yml")])
        self._about = {"groups": sources.get_groups_dict(), "hostvars": dict.fromkeys(sources.hosts), "inventory_hostname": "localhost"}
        self.inputs = {name: self._inputs(name, values) for name, values in self._hosts.items()}

    def _inputs(self, name: str, values: dict) -> dict:
        """What preflight_info says of the case, called as Ansible calls it."""
        file = self._folder / f"{name}.yml"
        file.write_text(yaml.safe_dump({key: value for key, value in values.items() if value is not None}), encoding="utf-8")
        known = self._loader.load_from_file(str(file), cache="none", trusted_as_template=True)
        task_vars = {**known, **self._about}
        task = types.SimpleNamespace(args={}, async_val=0, check_mode=True, get_search_path=lambda: [str(ROOT)], environment=None, diff=False)
        action = ActionModule(task, None, None, self._loader, Templar(loader=self._loader, variables=task_vars), None)
        return action.work({"roles": SPECS, "parts": [*ROLES, "snapshot"]}, task_vars)

    def run(self) -> tuple[list[str], dict[str, str]]:
        """The words of the run, and its environment. Each check is asked once, whoever wants to know it."""
        checks: dict[str, dict[str, dict]] = {}
        for told in self.inputs.values():
            for host, wanted in told["checks"].items():
                for check in wanted:
                    checks.setdefault(host, {}).setdefault(plain(check), {**check, "name": plain(check)})
        union = {"hosts": list(checks), "checks": {host: list(wanted.values()) for host, wanted in checks.items()}}
        (self._folder / "inputs.json").write_text(json.dumps({"cutover_preflight_inputs": union, "spoilt_directory": str(self._folder)}))
        cases = {"cases": {"hosts": {f"case-{name}": values for name, values in self._hosts.items() if values["spoilt_roles"]}}}
        (self._folder / "cases.yml").write_text(yaml.safe_dump(cases, sort_keys=False), encoding="utf-8")
        (self._folder / "plays.yml").write_text(PLAYS, encoding="utf-8")
        words = ["-i", str(ROOT / "inventories" / "lab"), "-i", str(self._folder / "others.yml"), "-i", str(self._folder / "cases.yml")]
        words += ["-e", f"@{self._folder}/inputs.json", str(self._folder / "plays.yml"), "--check", "--forks", "6"]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal"}
        return [str(BIN / "ansible-playbook"), *words], environment

    def findings(self, name: str) -> list[dict]:
        """What C1 says of the case: its inputs, the answers to its own checks, and what the roles of its parts saw."""
        answers = json.loads((self._folder / "answers.json").read_text(encoding="utf-8"))
        told, parts = self.inputs[name], [part for part, role in ROLES.items() if role in self._hosts[name]["spoilt_roles"]]
        observed = {part: self._seen(name)[ROLES[part]] for part in parts}
        # Size and locale of the database that moves are the same in every case that does not spoil its variables.
        parts = list(dict.fromkeys([*parts, "databases"]))
        observed.setdefault("databases", self._seen("whole")[ROLES["databases"]])
        hosts = [self._own(answer, told["checks"].get(answer["host"], [])) for answer in answers["hosts"] if answer["host"] in told["hosts"]]
        ready = {part: told["ready"][part] for part in parts}
        found = preflight.findings({"inputs": {**told, "ready": ready}, "hosts": hosts, "engine": answers["engine"], "observed": observed})
        return [finding for finding in found if finding["level"] == "fail"]

    def _seen(self, name: str) -> dict:
        return json.loads((self._folder / f"case-{name}.json").read_text(encoding="utf-8"))

    @staticmethod
    def _own(answer: dict, wanted: list[dict]) -> dict:
        gate = answer["gate"]
        listed = gate.get("checks") or ((gate.get("failure") or {}).get("details") or {}).get("checks") or []
        seen = {check["name"]: check for check in listed}
        return {**answer, "gate": {"checks": [{**seen[plain(check)], "name": check["name"]} for check in wanted if plain(check) in seen]}}


def plain(check: dict) -> str:
    """A check without the name that one case gave it."""
    return json.dumps({key: value for key, value in check.items() if key != "name"}, sort_keys=True)


@pytest.fixture(scope="module")
def asked(world, tmp_path_factory):
    cases = Asked(tmp_path_factory.mktemp("spoilt"), world.lab)
    words, environment = cases.run()
    log = world.logs / "spoilt.log"
    with unchanged(world), log.open("w", encoding="utf-8") as out:
        done = subprocess.run(words, cwd=ROOT, env=environment, stdout=out, stderr=out, timeout=600, check=False)
    assert done.returncode == 0, log.read_text(encoding="utf-8")[-3000:]
    return cases


def test_the_whole_inventory_has_no_finding(asked):
    assert asked.findings("whole") == []


@pytest.mark.parametrize(("name", "code", "field"), [pytest.param(name, code, field, id=name) for name, _changes, code, field, *_parts in CASES])
def test_one_thing_wrong_is_red(asked, name, code, field):
    findings = asked.findings(name)
    assert (code, field) in [(finding["code"], finding["field"]) for finding in findings], findings
    assert all(finding["remedy"] and finding["message"] for finding in findings), findings
    assert "canary-wrong" not in str(findings)


def test_five_things_wrong_on_both_hosts_are_five_findings_of_one_check(world):
    """By the playbook itself, with Ansible's own callback: on the old host, on the new one, in the name, and on this machine."""
    variables = inventory()
    changes = {
        "edge_sides.legacy.container.image": "bowline-nowhere:1",
        "native_stack_postgres.locale": "xx_XX.UTF-8",
        "native_stack_secrets.database_password": "/nowhere/password",
        "traffic_probe_workers.1.path": "/nowhere",
        "native_stack_packages": ["bowline-nowhere"],
    }
    own = {"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    done = world.run("cutover", "--check", "-e", json.dumps(spoilt(variables, changes)), **own)
    text = done.text()
    assert done.process.returncode != 0, text[-3000:]
    wanted = [
        "fail: image_missing: edge_sides.legacy.container.image:",
        "fail: locale_missing: native_stack_postgres.locale:",
        "fail: file_missing: (native_stack_secrets.database_password): /nowhere/password",
        "fail: check_failed: traffic_probe_workers.name:",
        "fail: package_missing: native_stack_packages:",
    ]
    # Each is a line of its own, with its remedy; the result, which Ansible shows below as JSON, is one line.
    lines = [line.strip() for line in text.splitlines() if line.lstrip().startswith("fail: ")]
    assert sorted(line[:len(words)] for line in lines for words in wanted if line.startswith(words)) == sorted(wanted), text[-6000:]
    assert len(lines) == 5 and all(" Remedy: " in line for line in lines), lines
