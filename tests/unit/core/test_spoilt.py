# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inventories with one thing wrong that the controller alone can see: each is a finding with its field, and the whole one has none.

What only hosts can tell is in tests/cutover/test_0_spoilt.py.
"""

from __future__ import annotations

import copy
import datetime
import re
import types

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
from ansible_collections.bowline.fleet.plugins.action.preflight_info import ActionModule
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROLES = ["cutover_preflight", "native_stack", "edge", "dns", "snapshot", "pg_link", "pg_move", "smoke", "rollback", "traffic_probe", "operation", "report"]

INVENTORY = """
cutover_subject: shop
cutover_legacy_host: "{{ groups['legacy'] | first }}"
cutover_target_host: "{{ groups['target'] | first }}"
cutover_app_services: [app/web]
cutover_preflight_hosts: [old, new]
cutover_preflight_containers: [shop-db-1]
cutover_preflight_ports: [{address: 192.0.2.20, port: 5432, unit: shop-store-postgres.service}]
cutover_preflight_data_directory: /var/lib/postgresql/15/shop
cutover_snapshot: true
cutover_smoke_checks:
  new: [{name: up, type: http, url: "http://127.0.0.1:3000/up"}]
  legacy: [{name: up, type: http, url: "https://shop.example/up", connect_to: 192.0.2.10}]
dns_provider: none
dns_zone: example
dns_name: shop.example
dns_values: {legacy: [192.0.2.10], new: [192.0.2.20]}
edge_path: /up
edge_sides:
  legacy:
    host: old
    directory: /var/lib/edge-shop
    container: {name: shop-edge, image: "haproxy:2.6", networks: [{name: shop_default}]}
    services: [{name: app, listen: "0.0.0.0:18080", local: "app:3000", clients: [172.18.0.0/16]}]
    peer: {address: 192.0.2.20, hostname: shop.example, ca_file: /etc/ssl/ca.pem}
    proxy: {config: /srv/shop/nginx.conf, upstreams: [{name: app, service: app, via: "edge:18080"}], check: [nginx, -t], reload: [nginx, -s, reload]}
  new:
    host: new
    directory: /var/lib/edge-shop
    unit: shop-edge
    services: [{name: app, listen: "127.0.0.1:18080", local: "127.0.0.1:3000"}]
    peer: {address: 192.0.2.10, hostname: shop.example, ca_file: "{{ native_stack_directory }}/ca.pem"}
    proxy:
      config: "{{ native_stack_directory }}/upstream.conf"
      upstreams: [{name: app, service: app, via: "127.0.0.1:18080"}]
      check: [nginx, -t]
      reload: [nginx, -s, reload]
pg_link_password: "{{ lookup('ansible.builtin.file', secrets ~ '/link') }}"
pg_link_servers:
  legacy: {host: old, container: shop-db-1, passfile: /data/pass, owner: 999, group: 999}
  new: {host: new, passfile: /var/lib/postgresql/pass, user: postgres}
pg_move_hosts: {legacy: old, new: new}
pg_move_legacy: {host: 192.0.2.10, dbname: shop, password: "{{ lookup('ansible.builtin.file', secrets ~ '/old') }}"}
pg_move_new: {host: 192.0.2.20, port: 5432, dbname: shop, password: "{{ lookup('ansible.builtin.file', secrets ~ '/new') }}"}
pg_move_link:
  user: pgcut_repl
  password: "{{ pg_link_password }}"
  to_legacy: {host: 192.0.2.10, port: 5432}
  to_new: {host: 192.0.2.20, port: 5432}
snapshot_subject: "{{ cutover_subject }}"
snapshot_hosts: {legacy: "{{ cutover_legacy_host }}", new: "{{ cutover_target_host }}"}
snapshot_source: "{{ pg_move_legacy }}"
snapshot_target: "{{ pg_move_new }}"
traffic_probe_directory: "{{ secrets }}/probe"
traffic_probe_url: https://shop.example
traffic_probe_side_names: {legacy: legacy, new: new}
traffic_probe_workers: [{name: name}]
smoke_units: {store: store/postgres}
native_stack_name: shop
native_stack_directory: /etc/shop
native_stack_packages: [postgresql-15, haproxy, python3-psycopg]
native_stack_users: [{name: shop}]
native_stack_secrets: {database: "{{ secrets }}/database"}
native_stack_postgres:
  bindir: /usr/lib/postgresql/15/bin
  data_directory: /var/lib/postgresql/15/shop
  superuser_password_file: "{{ secrets }}/new"
  port: 5432
  hba: ["hostssl all all 192.0.2.0/24 scram-sha-256"]
native_stack_files:
  - {path: /etc/shop/ca.pem, source: "{{ secrets }}/ca.pem"}
  - {path: /etc/shop/shop.crt, source: "{{ secrets }}/shop.crt"}
  - {path: /etc/shop/shop.key, source: "{{ secrets }}/shop.key", mode: "0600", secret: true}
  - {path: /etc/shop/upstream.conf, content: "upstream app { server 127.0.0.1:3000; }", replace: false}
native_stack_manifests:
  - schema_version: 1
    name: shop-store
    version: "15"
    services: [{name: postgres, start_command: [/usr/lib/postgresql/15/bin/postgres], user: postgres, health: {type: notify}}]
  - schema_version: 1
    name: shop-app
    version: "1"
    services: [{name: web, start_command: [/usr/bin/shop], user: shop, ports: [3000]}]
"""
GONE = object()
# The specs of the roles are read once.
LOADER = DataLoader()


def certificate(folder, name, *, days=90, authority=False, key=None):
    """A certificate of its own signature below ``folder``, with its key unless there is one."""
    made = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    begins = now - datetime.timedelta(days=1000)
    text = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(made.public_key()).serial_number(1)
        .not_valid_before(begins).not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True).sign(made, hashes.SHA256())
    )  # fmt: skip
    (folder / f"{name}.{'pem' if authority else 'crt'}").write_bytes(text.public_bytes(serialization.Encoding.PEM))
    if not authority and key is None:
        private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / f"{name}.key").write_bytes(made.private_bytes(*private))


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secrets")
    for name in ("link", "old", "new", "database"):
        (folder / name).write_text("word\n")
    certificate(folder, "ca", authority=True)
    certificate(folder, "shop")
    certificate(folder, "over", days=-1)
    certificate(folder, "soon", days=3)
    init_plugin_loader()
    return folder


def told(secrets, spoil=None, groups=None, parts=("databases", "edges", "names", "probe", "snapshot"), sources=("hosts.yml",)):
    """What the module says of the inventory, with the variables of ``spoil`` set; a dotted path leads into one."""
    loader = LOADER
    file = secrets / "inventory.yml"
    values = yaml.safe_load(INVENTORY)
    for path, value in (spoil or {}).items():
        *way, last = [int(word) if word.isdigit() else word for word in path.split(".")]
        place = values
        for word in way:
            place = place[word]
        if value is GONE:
            del place[last]
        else:
            place[last] = copy.deepcopy(value)
    file.write_text(yaml.safe_dump(values, sort_keys=False))
    known = loader.load_from_file(str(file), cache="none", trusted_as_template=True)
    found = {"legacy": ["old"], "target": ["new"]} if groups is None else groups
    about = {"groups": found, "hostvars": {"old": {}, "new": {}}, "inventory_dir": str(secrets), "inventory_hostname": "localhost"}
    about["ansible_inventory_sources"] = list(sources)
    task_vars = {**known, **about, "secrets": str(secrets)}
    task = types.SimpleNamespace(args={"roles": ROLES}, async_val=0, check_mode=True, get_search_path=lambda: [str(secrets)], environment=None, diff=False)
    action = ActionModule(task, None, None, loader, Templar(loader=loader, variables=task_vars), None)
    return action.work({"roles": ROLES, "parts": parts}, task_vars)


def test_a_whole_inventory_has_no_finding(secrets):
    whole = told(secrets)
    assert whole["findings"] == []
    assert whole["ready"] == dict.fromkeys(("databases", "edges", "names", "probe", "snapshot"), True)
    assert whole["hosts"] == ["old", "new", "localhost"]
    assert all(whole["checks"][host] for host in whole["hosts"])


SPOILT = [
    ("misspelt variable", {"edge_sidse": {}}, "unknown_variable", "edge_sidse"),
    ("secret of a lookup is missing", {"pg_move_legacy.password": "{{ lookup('ansible.builtin.file', secrets ~ '/nowhere') }}"}, "file_missing",
     "pg_move_legacy.password"),
    ("secret of C2 is missing", {"native_stack_secrets.database": "{{ secrets }}/nowhere"}, "file_missing", "native_stack_secrets.database"),
    ("file of C2 is missing", {"native_stack_files.0.source": "{{ secrets }}/nowhere"}, "file_missing", "native_stack_files[/etc/shop/ca.pem].source"),
    ("first password is missing", {"native_stack_postgres.superuser_password_file": "/nowhere"}, "file_missing",
     "native_stack_postgres.superuser_password_file"),
    ("secret inside of a file is missing", {"native_stack_files.3.content": "{{ lookup('ansible.builtin.file', secrets ~ '/nowhere') }}"}, "file_missing",
     "native_stack_files[/etc/shop/upstream.conf].content"),
    ("variable of a variable is missing", {"edge_sides.legacy.peer.address": "{{ nowhere }}"}, "variable_invalid", "edge_sides.legacy.peer.address"),
    ("template that is none", {"dns_zone": "{{ [1, 2 }}"}, "variable_invalid", "dns_zone"),
    ("variable is missing", {"dns_zone": GONE}, "variable_invalid", "dns_zone"),
    ("link is missing", {"pg_move_link": GONE}, "variable_invalid", "pg_move_link"),
    ("word that is no choice", {"cutover_until": "tomorrow"}, "variable_invalid", "cutover_until"),
    ("text instead of a list", {"edge_sides.new.services": "app"}, "variable_invalid", "edge_sides"),
    ("key that no option has", {"edge_sides.legacy.dirctory": "/x"}, "variable_invalid", "edge_sides"),
    ("key that is needed", {"edge_sides.new.peer": GONE}, "variable_invalid", "edge_sides"),
    ("host that the inventory has not", {"edge_sides.legacy.host": "odl"}, "variable_invalid", "edge_sides.legacy.host"),
    ("host of the database that the inventory has not", {"pg_move_hosts.new": "neu"}, "variable_invalid", "pg_move_hosts.new"),
    ("empty stack", {"native_stack_manifests": []}, "target_incomplete", "native_stack_manifests"),
    ("manifest with an unknown key", {"native_stack_manifests.1.services.0.comand": "x"}, "manifest_invalid", "native_stack_manifests"),
    ("application that no manifest has", {"cutover_app_services": ["app/wbe"]}, "target_incomplete", "cutover_app_services"),
    ("smoke of a service that no manifest has", {"smoke_units.store": "store/pg"}, "target_incomplete", "smoke_units.store"),
    ("server that no manifest has", {"native_stack_postgres.service": "cluster"}, "target_incomplete", "native_stack_postgres.service"),
    ("server at another port", {"native_stack_postgres.port": 5433}, "target_incomplete", "pg_move_new.port"),
    ("no smoke of the new side", {"cutover_smoke_checks.new": []}, "variable_invalid", "cutover_smoke_checks.new"),
    ("smoke with an unknown key", {"cutover_smoke_checks.legacy.0.conect_to": "x"}, "unknown_key", "cutover_smoke_checks.legacy"),
    ("certificate that is over", {"native_stack_files.1.source": "{{ secrets }}/over.crt", "native_stack_files.2.source": "{{ secrets }}/over.key"},
     "certificate_invalid", "native_stack_files[/etc/shop/shop.crt]"),
    ("certificate of another key", {"native_stack_files.2.source": "{{ secrets }}/soon.key"}, "certificate_invalid", "native_stack_files[/etc/shop/shop.crt]"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "code", "field"), [pytest.param(*case[1:], id=case[0]) for case in SPOILT])
def test_one_thing_wrong_is_one_finding(secrets, spoil, code, field):
    (finding,) = told(secrets, spoil)["findings"]
    assert (finding["code"], finding["field"], finding["level"]) == (code, field, "fail"), finding
    assert finding["remedy"] and finding["message"]
    if code == "file_missing":
        assert "nowhere" in finding["message"]


def test_a_certificate_that_ends_soon_is_a_warning(secrets):
    soon = {"native_stack_files.1.source": "{{ secrets }}/soon.crt", "native_stack_files.2.source": "{{ secrets }}/soon.key"}
    (finding,) = told(secrets, soon)["findings"]
    assert (finding["code"], finding["level"]) == ("certificate_invalid", "warn")


@pytest.mark.parametrize("groups", [{"legacy": ["old"]}, {"legacy": ["old"], "target": []}, {"legacy": ["old"], "target": ["new", "old"]}])
def test_a_group_without_its_one_host(secrets, groups):
    fields = [finding["field"] for finding in told(secrets, groups=groups)["findings"]]
    assert "group target" in fields


def test_five_things_wrong_are_five_findings(secrets):
    spoil = {
        "pg_link_password": "{{ lookup('ansible.builtin.file', secrets ~ '/nowhere') }}",
        "native_stack_secrets.database": "/nowhere",
        "edge_sidse": {},
        "pg_move_hosts.new": "neu",
        "cutover_app_services": ["app/wbe"],
    }
    assert sorted(finding["field"] for finding in told(secrets, spoil)["findings"]) == [
        "cutover_app_services", "edge_sidse", "native_stack_secrets.database", "pg_link_password", "pg_move_hosts.new",
    ]  # fmt: skip


def test_one_cause_is_one_finding_that_names_whom_it_stops(secrets):
    """The link's password is used in two variables; the file is missing once."""
    (finding,) = told(secrets, {"pg_link_password": "{{ lookup('ansible.builtin.file', secrets ~ '/nowhere') }}"})["findings"]
    assert "pg_move_link.password" in finding["message"]


def test_what_waits_for_a_variable_is_not_asked_and_the_rest_is(secrets):
    ready = told(secrets, {"pg_move_legacy.password": "{{ nowhere }}"})["ready"]
    assert ready == {"databases": False, "edges": True, "names": True, "probe": True, "snapshot": False}


def test_what_c2_makes_is_not_asked_for(secrets):
    asked = {check.get("path") or check.get("program") for check in told(secrets)["checks"]["new"]}
    assert asked.isdisjoint({"/etc/shop/ca.pem", "/etc/shop/upstream.conf", "/usr/lib/postgresql/15/bin/initdb", "haproxy"})
    without = told(secrets, {"native_stack_packages": [], "native_stack_files.3.path": "/etc/shop/other.conf"})["checks"]["new"]
    assert {check.get("path") or check.get("program") for check in without} >= {
        "/etc/shop/upstream.conf", "/usr/lib/postgresql/15/bin/initdb", "/usr/bin/shop", "haproxy",
    }  # fmt: skip


def test_a_run_without_a_snapshot_needs_nothing_of_it(secrets):
    """The way back takes none, and its playbook says nothing of one."""
    without = dict.fromkeys(("snapshot_subject", "snapshot_hosts", "snapshot_source", "snapshot_target"), GONE)
    assert {finding["field"] for finding in told(secrets, without)["findings"]} == {"snapshot_subject", "snapshot_hosts"}
    back = told(secrets, without, parts=("databases", "edges", "names", "probe"))
    assert back["findings"] == [] and "snapshot" not in back["ready"]


def test_no_value_of_a_secret_is_returned(secrets):
    (secrets / "old").write_text("canary-of-a-password\n")
    assert "canary" not in re.sub(r"\s", "", str(told(secrets)))


def test_secrets_below_the_folder_that_i_names_are_a_finding(secrets):
    """The folder of an inventory that keeps its secrets beside its hosts: Ansible has read them as hosts by now."""
    spoil = {"cutover_preflight_secrets": [str(secrets / "kept")]}
    (secrets / "kept").mkdir(mode=0o700)
    (secrets / "kept" / "link").write_text("canary\n")
    (secrets / "kept" / "link").chmod(0o600)
    (finding,) = told(secrets, spoil, sources=[str(secrets)])["findings"]
    assert (finding["code"], finding["field"], finding["level"]) == ("inventory_swallowed", "cutover_preflight_secrets", "fail")
    assert "canary" not in str(finding)
    assert told(secrets, spoil, sources=[str(secrets / "hosts.yml")])["findings"] == []


def test_each_host_is_asked_for_root_and_for_its_platform_and_the_target_for_selinux(secrets):
    asked = told(secrets)["checks"]
    kinds = {host: {check["type"]: check.get("selinux") for check in asked[host] if check["type"] in ("root", "platform")} for host in ("old", "new")}
    assert kinds == {"old": {"root": None, "platform": False}, "new": {"root": None, "platform": True}}
