# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands beside an inventory is not parsed as one: the example filled in, as Ansible itself reads it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.bowline.fleet.plugins.plugin_utils.inventory import swallowed

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
CANARY = "canary-inventory-5e0"
# Files that the example reads from its folder of secrets.
SECRETS = ("link", "postgres-old", "postgres-new", "tsig.json", "database_password", "rails_master_key", "redis_acl")
# What the playbooks say themselves.
PLAYBOOK = {"cutover_legacy_host": "hub-old", "cutover_target_host": "hub-new", "snapshot_subject": "hub", "snapshot_source": {}, "snapshot_target": {},
            "snapshot_hosts": {"legacy": "hub-old", "new": "hub-new"}}  # fmt: skip
# Which folders the example gives to secrets, reports, log and probe.
PLACES = "cutover_preflight_secrets + [report_directory, report_log_directory, traffic_probe_directory]"


def ansible(program, *words, cwd):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_") or key == "ANSIBLE_COLLECTIONS_PATH"}
    environment["ANSIBLE_NOCOLOR"] = "1"
    return subprocess.run([str(BIN / program), *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


def places(inventory, cwd):
    done = ansible("ansible", "-i", str(inventory), "localhost", "-m", "ansible.builtin.debug", "-a", f"msg={{{{ {PLACES} }}}}", cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return [Path(place) for place in json.loads(done.stdout[done.stdout.index("{"):])["msg"]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A copy of the example, as the guide says, with what a first evening leaves: secrets, a report, a log, figures of the probe."""
    base = tmp_path_factory.mktemp("clone")
    for folder in ("inventories", "moves"):
        shutil.copytree(ROOT / folder / "example_hub", base / folder / "mine")
    found = places(base / "inventories" / "mine", base)
    for number, place in enumerate(found):
        place.mkdir(parents=True, exist_ok=True)
        for name in (*SECRETS, "result.json", "report.html", "kept.yml"):
            text = json.dumps({"schema_version": 1, "password": CANARY}) if name.endswith(".json") else f"{CANARY}-{number}\n"
            (place / name).write_text(text)
            (place / name).chmod(0o600)
    (base / "moves" / "mine" / "tls").mkdir()
    for name in ("hub", "postgres-new"):
        files = ["-keyout", str(found[0] / f"{name}.key"), "-out", str(base / "moves" / "mine" / "tls" / f"{name}.crt")]
        words = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90", "-subj", f"/CN={name}"]
        names = ["-addext", "subjectAltName=DNS:hub.example.com,IP:192.0.2.20"]
        subprocess.run(["openssl", "req", "-x509", *words, *names, *files], check=True, capture_output=True, timeout=60)
    return base, found


def test_a_graph_of_the_example_filled_in_shows_its_two_hosts_and_no_secret(filled):
    base, found = filled
    assert len(found) >= 4
    done = ansible("ansible-inventory", "-i", "inventories/mine", "--graph", cwd=base)
    assert done.returncode == 0, done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert done.stdout.split() == ["@all:", "|--@ungrouped:", "|", "|--localhost", "|--@legacy:", "|", "|--hub-old", "|--@target:", "|", "|--hub-new"]
    assert "WARNING" not in done.stderr, done.stderr


def test_the_example_filled_in_has_nothing_that_the_controller_could_find(filled):
    """Every file, variable, manifest and certificate of it is there and fits: what hosts have to say comes on top of that."""
    base, _found = filled
    roles = yaml.safe_load((ROOT / "roles" / "cutover_preflight" / "defaults" / "main.yml").read_text(encoding="utf-8"))["cutover_preflight_roles"]
    asked = ["-m", "bowline.fleet.preflight_info", "-a", json.dumps({"roles": roles}), "-e", json.dumps(PLAYBOOK)]
    done = ansible("ansible", "-i", "inventories/mine", "localhost", *asked, cwd=base)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout[done.stdout.index("{") :])
    assert told["findings"] == []
    assert all(told["ready"].values()), told["ready"]
    assert CANARY not in done.stdout + done.stderr


def test_folders_that_ansible_swallows_are_named_with_the_variable_that_leads_there(filled, tmp_path):
    """The layout of before: everything below the folder that -i names."""
    base, found = filled
    mine = tmp_path / "inventories" / "mine"
    shutil.copytree(base / "inventories" / "mine", mine)
    for name in ("secrets", "manifests", "probe"):
        shutil.copytree(found[0], mine / name)
    (mine / "secrets" / ".kept").write_text("hidden")
    (mine / "README.md").write_text(CANARY)
    graph = ansible("ansible-inventory", "-i", str(mine), "--graph", cwd=tmp_path).stdout
    assert CANARY in graph, "it is as bad as it was: this is what the finding is about"

    findings = swallowed([str(mine), "hub-old,", str(mine / "hosts.yml")], {"cutover_preflight_secrets": [str(mine / "secrets")], "report_directory": [""]})
    assert [(finding["code"], finding["field"], Path(finding["message"].split()[0]).name) for finding in findings] == [
        ("inventory_swallowed", "inventory", "manifests"),
        ("inventory_swallowed", "inventory", "probe"),
        ("inventory_swallowed", "cutover_preflight_secrets", "secrets"),
    ]
    assert CANARY not in json.dumps(findings)
    # Both remedies, followed.
    assert f"-i {mine}/hosts.yml" in findings[0]["remedy"]
    assert swallowed([str(mine / "hosts.yml")], {"cutover_preflight_secrets": [str(mine / "secrets")]}) == []
    assert CANARY not in ansible("ansible-inventory", "-i", str(mine / "hosts.yml"), "--graph", cwd=tmp_path).stdout
    for name in ("secrets", "manifests", "probe"):
        shutil.rmtree(mine / name)
    assert swallowed([str(mine)], {"cutover_preflight_secrets": [str(mine / "secrets")]}) == []
    assert CANARY not in ansible("ansible-inventory", "-i", str(mine), "--graph", cwd=tmp_path).stdout
