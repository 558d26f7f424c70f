# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store of a fleet in a file, and ansible's own commands over it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from ansible_collections.bowline.fleet.plugins.module_utils._node.beats import Beats
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import Heartbeat, Instance, Node, Template
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import Held, NodeStore, subject_of
from ansible_collections.bowline.fleet.plugins.module_utils._store.model import Owner
from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import open_for_writing
from ansible_collections.bowline.fleet.plugins.module_utils._store.store import StateStore

CANARY = "canary-inventory-7c1"
HOSTILE = "{{ lookup('ansible.builtin.pipe', 'touch %s/owned') }}"
KEY = "ssh-ed25519 " + "A" * 68


class Fleet:
    """Nodes web-1 and db-1 run, web-2 has no machine; somebody has declared one called localhost. Nothing else of Ansible is configured."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "store" / "store.db"
        self.source = folder / "inventory" / "hub.fleet.yml"
        self.source.parent.mkdir()
        self.hostile = HOSTILE % folder
        with self.opened() as store:
            names = ("web-1", "web-2", "db-1", "localhost")
            state = StateStore(store.database, Owner("ann", "ann", "host", 7, "m", "b", "n", "ann"))
            opened = state.open("node", ["template/edge-a", *map(subject_of, names)], [], lease_ttl=3600)
            held = {subject: Held(subject, number) for subject, number in opened["lease_numbers"].items()}
            store.put_template(held["template/edge-a"], Template("edge-a", modules=({"name": "web", "ref": "r/web@sha256:1"},)))
            for name in names:
                labels = {"rack": self.hostile, "api_token": CANARY, "room": "a-1"}
                store.put_node(held[subject_of(name)], Node(name, "edge-a", labels=labels))
                if name != "web-2":
                    self.machine(store, held[subject_of(name)], name)
            Beats(store.database).listens("r", time.time() - 600)
            state.end(opened["id"], "succeeded")
            self.fleet = store.fleet()

    def machine(self, store, held, name):
        made = store.reserve(held, Instance(f"i-{name}", name, "local_nspawn", 0, 0.0, {"password": CANARY}))
        store.save(held, replace(made, provider_id=f"nspawn:///{name}", power="on", powered_at=time.time() - 60, addresses=("127.0.0.1", "10.0.0.7"),
                                 cordoned_by="operator" if name == "db-1" else ""))  # fmt: skip
        carried = {"web": {"stack": "hub", "digest": "sha256:1" if name == "web-1" else "sha256:2", "units": {"hub-web.service": "active"}}}
        document = {"modules": carried, "problems": [self.hostile], "secret": CANARY}
        Beats(store.database).heard(Heartbeat(made.id, 0.0, "b1", 1, True, True, True, failed_units=(self.hostile,), document=document))

    @contextlib.contextmanager
    def opened(self):
        database = open_for_writing(self.store)
        yield NodeStore(database)
        database.close()

    def pin(self, node):
        folder = self.folder / "xdg" / "bowline" / "authority"
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        file = folder / f"{self.fleet}.known_hosts"
        file.touch(mode=0o600)
        file.write_text(f"10.0.0.9,{node} {KEY} {node} i-{node}\n")
        return file

    def configure(self, **options):
        self.source.write_text(yaml.safe_dump({"plugin": "bowline.fleet.fleet", "dsn": f"sqlite://{self.store}", **options}))
        return self

    def run(self, *argv, fails=False, **environment):
        """Standard output and all that was said."""
        program, *rest = argv
        given = {**os.environ, "ANSIBLE_NOCOLOR": "1", "XDG_STATE_HOME": str(self.folder / "xdg"), "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
                 "COLUMNS": "5000", **environment}  # fmt: skip
        done = subprocess.run([str(Path(sys.executable).parent / program), "-i", str(self.source), *rest], cwd=self.folder, env=given, capture_output=True,
                              text=True, timeout=120, check=False)  # fmt: skip
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout, done.stdout + done.stderr

    def listed(self, **environment):
        """Hosts with their variables, and groups with their hosts."""
        found = _plain(json.loads(self.run("ansible-inventory", "--list", **environment)[0]))
        hosts = found.pop("_meta")["hostvars"]
        return hosts, {name: group["hosts"] for name, group in found.items() if group.get("hosts")}

    def play(self, tasks, hosts="localhost", **more):
        book = self.folder / "play.yml"
        book.write_text(yaml.safe_dump([{"hosts": hosts, "gather_facts": False, "tasks": tasks}]))
        return self.run("ansible-playbook", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}", str(book), **more)


def _plain(value):
    """As ansible-inventory shows what it does not trust, without the mark."""
    if isinstance(value, dict):
        return value["__ansible_unsafe"] if set(value) == {"__ansible_unsafe"} else {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path).configure()


@pytest.fixture
def key():
    return KEY


@pytest.fixture
def canary():
    return CANARY
