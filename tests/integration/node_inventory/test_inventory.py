# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin as ansible-inventory and ansible-playbook use it."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
from pathlib import Path

import pytest
import yaml
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node.migrations import MIGRATIONS
from ansible_collections.bowline.fleet.plugins.plugin_utils import reading

ROOT = Path(__file__).resolve().parents[3]


def test_hosts_and_groups(fleet, canary):
    hosts, groups = fleet.listed()
    assert groups == {
        "nodes": ["db-1", "web-1"], "phase_running": ["db-1", "web-1"], "health_ok": ["db-1", "web-1"], "provider_local_nspawn": ["db-1", "web-1"],
        "template_edge_a": ["db-1", "web-1"], "module_web": ["db-1", "web-1"], "cordoned": ["db-1"], "drifted": ["db-1"]}  # fmt: skip
    assert hosts["web-1"]["ansible_host"] == "10.0.0.7" and hosts["web-1"]["node_name"] == "web-1"
    assert (hosts["web-1"]["bowline"]["health"], hosts["web-1"]["bowline"]["instance"]["id"]) == ("ok", "i-web-1")
    one = fleet.run("ansible-inventory", "--host", "db-1", "-vvv")
    assert "i-db-1" in one[0] and "localhost is left out" in one[1]
    graph = fleet.run("ansible-inventory", "--graph", "--vars")
    assert "@cordoned:" in graph[0]
    assert canary not in one[1] + graph[1] + json.dumps(hosts)


def test_no_word_of_a_machine_is_a_template(fleet):
    """Neither in a task, nor behind an expression of the operator, nor out of the cache; nor does it name a group as it likes."""
    fleet.configure(keyed_groups=[{"key": "bowline.labels.rack", "prefix": "rack"}], compose={"composed": "bowline.labels.rack"}, cache=True,
                    cache_plugin="ansible.builtin.jsonfile", cache_connection=str(fleet.folder / "cache"))  # fmt: skip
    say = "{{ [composed, bowline.labels.rack, bowline.failed_units[0], hostvars['db-1'].composed] | to_json }}"
    told = {"ansible.builtin.copy": {"content": say, "dest": str(fleet.folder / "said.json"), "mode": "0600"}, "delegate_to": "localhost"}
    for _turn in range(2):
        fleet.play([told], hosts="web-1")
        assert json.loads((fleet.folder / "said.json").read_text()) == [fleet.hostile] * 4
    assert not (fleet.folder / "owned").exists()
    group = next(name for name in fleet.listed()[1] if name.startswith("rack_"))
    assert group.replace("_", "").isalnum() and group.isascii()
    assert len(os.listdir(fleet.folder / "cache")) == 1


def test_constructed(fleet):
    fleet.configure(keyed_groups=[{"key": "bowline.labels.room", "prefix": "room"}], groups={"behind": "bowline.drifted"},
                    compose={"ansible_user": "'ops'", "ansible_ssh_common_args": "ansible_ssh_common_args ~ ' -o ProxyJump=gate'"})  # fmt: skip
    fleet.pin("web-1")
    hosts, groups = fleet.listed()
    assert groups["room_a_1"] == ["db-1", "web-1"] and groups["behind"] == ["db-1"] and hosts["db-1"]["ansible_user"] == "ops"
    assert hosts["web-1"]["ansible_ssh_common_args"].endswith("-o ProxyJump=gate") and "ansible_ssh_common_args" not in hosts["db-1"]
    fleet.configure(strict=True, compose={"x": "nobody.knows"})
    assert "nobody" in fleet.run("ansible-inventory", "--list")[1]


def test_ssh_is_held_to_the_pin(fleet):
    """The very words that Ansible gives to ssh, with host keys switched off by the operator; then what ssh makes of them."""
    file = fleet.pin("web-1")
    words = fleet.run("ansible", "web-1", "-m", "ping", "-vvv", fails=True, ANSIBLE_HOST_KEY_CHECKING="false", ANSIBLE_TIMEOUT="1",
                      ANSIBLE_SSH_COMMON_ARGS="", ANSIBLE_SSH_ARGS="-o ProxyCommand=false")[1]  # fmt: skip
    line = shlex.split(next(line for line in words.splitlines() if "SSH: EXEC ssh" in line).partition("EXEC ")[2])
    assert "StrictHostKeyChecking=no" not in line
    config = fleet.folder / "empty"
    config.touch()
    given = [word for pair in zip(line, line[1:]) if pair[0] == "-o" for word in pair]
    understood = os.popen(shlex.join(["ssh", "-F", str(config), "-G", *given, "10.0.0.7"])).read().splitlines()
    wanted = {f"userknownhostsfile {file}", "globalknownhostsfile /dev/null", "stricthostkeychecking true", "hostkeyalias 10.0.0.9", "updatehostkeys false"}
    assert wanted <= set(understood)


def test_the_cache_is_read_until_it_is_flushed(fleet):
    kept = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(fleet.folder / "cache")}
    before = fleet.configure(**kept).listed()[0]
    os.rename(fleet.store, fleet.folder / "away")
    assert fleet.listed()[0] == before
    assert "There is no store" in fleet.configure(**kept, host_id="instance").run("ansible-inventory", "--list")[1], "other options are another question"


# --- a store that is none -----------------------------------------------------------------------------------------------------------


def raw(fleet, statement):
    connection = sqlite3.connect(fleet.store)
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(("spoil", "said"), [
    pytest.param(lambda fleet: fleet.store.unlink(), "There is no store at", id="missing"),
    pytest.param(lambda fleet: raw(fleet, "UPDATE room SET number = 1"), f"version 1; this collection knows {len(MIGRATIONS)}", id="older"),
    pytest.param(lambda fleet: raw(fleet, "DELETE FROM room"), "has no tables of _node", id="no nodes"),
    pytest.param(lambda fleet: raw(fleet, "UPDATE room SET number = 99"), "Use the newer collection", id="newer"),
    pytest.param(lambda fleet: raw(fleet, "PRAGMA user_version = 99"), "Use the newer collection", id="newer store"),
    pytest.param(lambda fleet: fleet.store.chmod(0o666), "unsafe_path", id="open to others"),
    pytest.param(lambda fleet: fleet.store.write_bytes(b"no database, but long enough to be one" * 99), "could not be used", id="no store"),
])  # fmt: skip
def test_a_store_that_is_none_is_no_empty_one(fleet, spoil, said):
    spoil(fleet)
    before = {path: path.read_bytes() for path in fleet.store.parent.iterdir()}
    with pytest.raises(FleetError) as failure, reading.fleet(f"sqlite://{fleet.store}", []):
        pass
    assert said in reading.said(failure.value)
    assert {path: path.read_bytes() for path in fleet.store.parent.iterdir()} == before, "nothing is written, whatever is there"


def test_it_is_a_failure_and_no_empty_inventory(fleet):
    fleet.store.unlink()
    assert "There is no store at" in fleet.run("ansible-inventory", "--list", fails=True, ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="true")[1]
    assert not fleet.store.exists()
    assert "address_preference has 'nmae'" in fleet.configure(address_preference=["nmae"]).run("ansible-inventory", "--list")[1]


def test_the_remedy_for_an_older_store(fleet):
    # What every later version has added is taken away again.
    for words in [sentence.split() for step in reversed(MIGRATIONS[1:]) for sentence in reversed(step)]:
        raw(fleet, f"DROP INDEX {words[3]}" if words[0] == "CREATE" else f"ALTER TABLE {words[2]} DROP COLUMN {words[5]}")
    raw(fleet, "UPDATE room SET number = 1")
    said = fleet.run("ansible-inventory", "--list")[1]
    command = said.partition("Remedy: ")[2].partition("ansible localhost ")[2].splitlines()[0].rstrip(".")
    fleet.run("ansible", "localhost", *shlex.split(command), BOWLINE_STATE_DSN=f"sqlite://{fleet.store}?ephemeral=true")
    assert set(fleet.listed()[0]) == {"web-1", "db-1"}


def test_the_store_beside_the_inventory(fleet):
    """As a task of the same run finds it. What each option means is in the unit tests; here that they come to be read."""
    options = {"host_id": "instance", "phases": ["running", "no_instance"], "fresh_within": 3600, "address_preference": ["name"]}
    fleet.source.write_text(yaml.safe_dump({"plugin": "bowline.fleet.fleet", **options}))
    beside = fleet.source.parent / ".bowline"
    beside.mkdir(mode=0o700)
    os.rename(fleet.store, beside / "state.db")
    hosts = fleet.listed(BOWLINE_STATE_DSN="")[0]
    assert set(hosts) == {"i-web-1", "i-db-1", "i-localhost"} and "ansible_host" not in hosts["i-web-1"]


def test_a_file_of_another_name_is_not_ours(fleet):
    other = fleet.source.with_name("hub.yml")
    os.rename(fleet.source, other)
    fleet.source = other
    assert "could not be verified" in fleet.run("ansible-inventory", "--list")[1]


def test_a_play_over_its_groups(fleet):
    """By the connection of the operator; over ssh it is tried with a machine that has enrolled, in the tests of the agent."""
    said = fleet.play([{"ansible.builtin.ping": {}}], hosts="phase_running:!drifted")[0]
    assert "ok: [web-1]" in said and "db-1" not in said


def test_the_example_of_the_guide(fleet):
    """What docs/guides/nodes.md prints is read by Ansible as it stands there."""
    text = (ROOT / "docs" / "guides" / "nodes.md").read_text()
    example = text.partition("# inventories/live/hub.fleet.yml\n")[2].partition("```")[0]
    given = yaml.safe_load(example)
    assert given.pop("plugin") == "bowline.fleet.fleet"
    hosts, groups = fleet.configure(**given).listed()
    assert set(hosts) == {"web-1", "db-1"} and "room_a_1" in groups
