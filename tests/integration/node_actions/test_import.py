# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store is deleted under machines in every phase, and made again: each column that can be known is as it was."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node.argspec import IMPORT, NODE, TEMPLATE
from ansible_collections.bowline.fleet.plugins.module_utils._node.importing import World, run_import
from ansible_collections.bowline.fleet.plugins.module_utils._node.run import run_node, run_template
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import NodeStore
from ansible_collections.bowline.fleet.plugins.module_utils._store import process
from asking import read, unequal
from controller import STORE, Controller
from fleet import Fleet, typed

KINDS = ("local_nspawn", "local_qemu")
PHASES = ("running", "cordoned", "drained", "stopped", "terminating", "replaced", "present")


def template(fleet: Fleet, kind: str) -> dict:
    return {"name": kind.replace("_", "-"), "platform": "debian-13", "hooks": [], "modules": [{"name": "web", "ref": "r@sha256:1"}],
            "defaults": {"provider": kind, "image": "/images/debian", "folder": str(fleet.folder / "host")}}  # fmt: skip


def node(number: int, kind: str, **given) -> dict:
    return {"name": f"n-{number}", "template": kind.replace("_", "-"), "lifecycle_class": ("persistent", "ephemeral", "spot")[number % 3],
            "labels": {"rack": str(number)}, "guards": [{"kind": "no_remediation", "reason": "soak"}] if number % 5 == 0 else [], **given}  # fmt: skip


def filled(fleet: Fleet) -> tuple[list[dict], list[dict]]:
    """Two templates and 28 nodes with machines in mixed phases."""
    templates = [template(fleet, kind) for kind in KINDS]
    for one in templates:
        fleet.row(TEMPLATE, run_template, **one)
    nodes = []
    for number in range(28):
        kind, want = KINDS[number % 2], PHASES[number % 7]
        given = node(number, kind, **({"labels": {"dns_name": "x.example.org"}} if want == "terminating" else {}))
        nodes.append(given)
        fleet.row(NODE, run_node, **given)
        name, confirm = given["name"], {"confirm": given["name"]}
        fleet.run("present" if want == "present" else "running", name=name)
        if want in ("cordoned", "drained", "stopped"):
            fleet.run(want, name=name)
        elif want == "terminating":
            fleet.refused("finalizers_pending", "absent", name=name, **confirm)
        elif want == "replaced":
            fleet.run("absent", name=name, **confirm)
            fleet.run("running", name=name)
            fleet.run("running", name=name, image="/images/new", on_immutable_change="replace", **confirm)
    return templates, nodes


def machines(fleet: Fleet, host="hv-1", kinds=KINDS) -> list[dict]:
    """What the host answers, asked as the playbook does."""
    place = {"folder": str(fleet.folder / "host")}
    return [{"host": host, "kind": kind, **place, "answer": fleet.call("node_machine_info", {"kind": kind, "mode": "recorder", **place})} for kind in kinds]


def imported(home: Fleet, check=False, ca="", **given) -> dict:
    world = World(home.opened, process.owner_of(os.getpid()), lambda _fleet: ca, home.clock)
    return run_import(typed(IMPORT, {"machines": machines(home), **given}), world, check)


def lose(fleet: Fleet) -> None:
    shutil.rmtree(fleet.path.parent)


def refused(home: Fleet, code: str, **given) -> FleetError:
    with pytest.raises(FleetError) as error:
        imported(home, **given)
    assert error.value.code == code, error.value.message
    return error.value


def test_rows_are_what_they_were(fleet, record_property):
    """The figure of the store that was lost: rows equal / rows."""
    templates, nodes = filled(fleet)
    # The template that every fleet of these tests has is declared as well.
    templates.append({"name": "small", "defaults": {"provider": "local_nspawn", "image": "/images/debian", "folder": str(fleet.folder / "host")}})
    before = read(fleet)
    phases = {one["phase"] for key, one in before.items() if key[0] == "instance"}
    assert len([key for key in before if key[0] == "instance"]) == 28 and {"running", "stopped", "drained", "terminating"} <= phases
    lose(fleet)
    shown = imported(fleet, check=True, templates=templates, nodes=nodes)
    assert not fleet.path.exists(), "check mode wrote a store"
    done = imported(fleet, ca="f" * 64, templates=templates, nodes=nodes)
    assert [step for step in done["plan"] if step["action"] != "know_authority"] == shown["plan"] and done["findings"] == []
    after = read(fleet)
    differs = unequal(before, after)
    record_property("rows_equal", f"{len(before) - len(differs)}/{len(before)}")
    assert differs == {} and set(after) == set(before)
    assert {after["instance", f"n-{number}"]["generation"] for number in (5, 12)} == {3}
    with fleet.opened(True) as database:
        assert NodeStore(database).ca_fingerprint() == "f" * 64
        assert [event.type for event in NodeStore(database).events("n-1")] == ["imported"]


def test_life_goes_on_and_a_second_import_does_nothing(fleet):
    templates, nodes = filled(fleet)
    lose(fleet)
    imported(fleet, templates=templates, nodes=nodes)
    again = imported(fleet, templates=templates, nodes=nodes)
    assert (again["changed"], again["plan"], {one["outcome"] for one in again["instances"]}) == (False, [], {"kept"})
    boxes = {machine["identity"]["node"]: machine for kind in KINDS for machine in fleet.machines(kind)}
    for number in range(28):
        new = {"image": "/images/new"} if PHASES[number % 7] == "replaced" else {}
        assert fleet.run("running", name=f"n-{number}", **new)["instance"]["phase"] == "running"
    for kind in KINDS:
        for machine in fleet.machines(kind):
            assert machine["identity"] == boxes[machine["identity"]["node"]]["identity"], "a machine was made anew"
    fleet.run("absent", name="n-5", confirm="n-5")
    assert fleet.run("running", name="n-5")["instance"]["generation"] == 4, "counted on above what the machine carried"


def edit(fleet: Fleet, change, kind="local_nspawn") -> None:
    file = fleet.folder / "host" / "recorder" / f"recorder-{kind}.json"
    state = json.loads(file.read_text())
    change(state["machines"])
    file.write_text(json.dumps(state))


def codes(done: dict) -> list[tuple[str, str, str]]:
    return sorted((one["code"], one["level"], one["object"]) for one in done["findings"])


@pytest.fixture
def few(fleet):
    """Four nodes of nspawn that run; what is declared of them."""
    templates = [template(fleet, "local_nspawn")]
    fleet.row(TEMPLATE, run_template, **templates[0])
    nodes = [node(number, "local_nspawn", name=f"web-{number}") for number in range(4)]
    for one in nodes:
        fleet.row(NODE, run_node, **one)
        fleet.run("running", name=one["name"])
    return {"templates": templates, "nodes": nodes, "machines": machines(fleet, kinds=["local_nspawn"])}


def test_what_cannot_be_imported_is_named_and_the_rest_is(fleet, few):
    other = "99999999-9999-4999-8999-999999999999"

    def change(boxes):
        boxes[0]["identity"]["fleet"] = "elsewhere"
        boxes.append({**boxes[1], "name": "copy", "identity": {**boxes[1]["identity"], "instance_id": other, "name": "copy"}})
        boxes[2]["identity"]["node"] = "unheard-of"
        boxes[2]["identity"]["name"] = boxes[2]["name"] = "unheard-of"

    with fleet.opened(True) as database:
        name = NodeStore(database).named()
    edit(fleet, change)
    lose(fleet)
    given = {**few, "machines": machines(fleet, kinds=["local_nspawn"])}
    assert "elsewhere (1)" in refused(fleet, "option_invalid", **given).message
    done = imported(fleet, **given, fleet=name)
    assert codes(done) == [("duplicate_machine", "fail", "web-1"), ("identity_mismatch", "warn", "web-0"), ("node_unknown", "fail", "unheard-of")]
    assert [one["node"] for one in done["instances"]] == ["web-3"]
    assert {key[1] for key in read(fleet) if key[0] == "node"} == {"web-0", "web-2", "web-3"}, "a node with two machines is not declared"
    edit(fleet, lambda boxes: boxes.pop())
    assert [one["node"] for one in imported(fleet, **{**few, "machines": machines(fleet)})["instances"] if one["outcome"] == "imported"] == ["web-1"]


def test_one_instance_on_two_hosts(fleet, few):
    lose(fleet)
    twice = [*few["machines"], {**few["machines"][0], "host": "hv-2"}]
    done = imported(fleet, **{**few, "machines": twice})
    assert {code for code, _level, _object in codes(done)} == {"duplicate_machine"} and done["instances"] == []


def test_a_host_that_does_not_answer(fleet, few):
    """Its machines are not taken for gone: a node without a machine that was seen is declared when everybody has answered."""
    lose(fleet)
    silent = {"host": "hv-2", "kind": "local_nspawn", "answer": {"unreachable": True, "msg": "no route"}}
    more = [*few["nodes"], node(9, "local_nspawn", name="far-1")]
    done = imported(fleet, **{**few, "nodes": more, "machines": [*few["machines"], silent]})
    assert codes(done) == [("provider_unavailable", "fail", "far-1"), ("provider_unavailable", "fail", "hv-2, local_nspawn")]
    assert len(done["instances"]) == 4 and "far-1" not in {key[1] for key in read(fleet)}
    assert "no route" in done["findings"][0]["message"]
    assert imported(fleet, **{**few, "nodes": more})["findings"] == [] and ("node", "far-1") in read(fleet)


def test_a_machine_that_answers_and_no_host_has(fleet, few):
    lose(fleet)
    text = json.dumps({"version": 1, "instance": "i-9", "node": "far-1", "boot_id": "b", "seq": 1, "agent": "", "uptime": 1.0, "sent_at": 1.0, "phase": "ready",
                       "unmet_conditions": [], "modules": {}, "failed_units": [], "runtimes": [], "certificate_not_after": None, "full_disks": [],
                       "load": [], "memory": {}, "problems": []})  # fmt: skip
    done = imported(fleet, **{**few, "nodes": [*few["nodes"], node(9, "local_nspawn", name="far-1")]}, statuses=[{"node": "far-1", "text": text}])
    assert codes(done) == [("provider_unavailable", "fail", "far-1")] and "i-9" in done["findings"][0]["message"]
    assert done["not_heard"][0]["outcome"] == "unknown_node"


def test_a_store_that_says_something_else(fleet, few):
    before = read(fleet)
    changed = {**few, "nodes": [{**few["nodes"][0], "labels": {}}, *few["nodes"][1:]], "templates": [{**few["templates"][0], "platform": "x"}]}
    error = refused(fleet, "conflict", **changed)
    assert {one["object"] for one in error.details["findings"]} == {"web-0", "local-nspawn"} and "labels" in error.message
    assert refused(fleet, "conflict", **few, fleet="another").message.startswith("The store is that of fleet")
    bad = {**few, "nodes": [*few["nodes"], {"name": "B_d", "template": "nn"}, few["nodes"][0]]}
    assert {one["code"] for one in refused(fleet, "preflight_failed", **bad).details["findings"]} == {"option_invalid", "template_unknown"}
    edit(fleet, lambda boxes: boxes[0]["identity"].update(generation=7))
    done = imported(fleet, **{**few, "machines": machines(fleet)})
    assert codes(done) == [("conflict", "fail", "web-0")] and "generation" in done["findings"][0]["message"]
    assert read(fleet) == before and not done["changed"]


def test_what_is_missing_is_merged(fleet, few):
    gone = ("node_condition", "node_heartbeat", "node_heartbeat_hour", "node_action", "node_action_step")
    before = read(fleet)
    with fleet.opened(False) as database, database.transaction() as transaction:
        (row,) = transaction.execute("SELECT id FROM node_instance WHERE node = 'web-2'")
        for table in gone:
            transaction.execute(f"DELETE FROM {table} WHERE instance = ?", (row["id"],))
        transaction.execute("DELETE FROM node_instance WHERE node = 'web-2'")
        transaction.execute("DELETE FROM node WHERE name = 'web-3' AND 1 = 0")
    done = imported(fleet, **few)
    assert {one["node"]: one["outcome"] for one in done["instances"]} == {"web-0": "kept", "web-1": "kept", "web-2": "imported", "web-3": "kept"}
    assert {key: row for key, row in read(fleet).items() if key[1] != "web-2"} == {key: row for key, row in before.items() if key[1] != "web-2"}


def test_a_tag_that_would_leave_its_folder(fleet, few):
    lose(fleet)
    edit(fleet, lambda boxes: boxes[0]["identity"].update(fleet="../../etc/x"))
    done = imported(fleet, **{**few, "machines": machines(fleet)})
    assert codes(done) == [("identity_mismatch", "fail", "hv-1, local_nspawn")] and len(done["instances"]) == 3


def test_the_playbook(folder, fleet, few):
    before = {key: row["id"] for key, row in read(fleet).items() if key[0] == "instance"}
    lose(fleet)
    given = {"import_templates": few["templates"], "import_nodes": few["nodes"], "import_mode": "recorder", "import_store": STORE % {"folder": folder}}
    edit(fleet, lambda boxes: boxes.append({**boxes[0], "name": "x", "identity": {**boxes[0]["identity"], "node": "x", "name": "x",
                                            "instance_id": "99999999-9999-4999-8999-999999999999"}}))  # fmt: skip
    process_ = Controller(folder).playbook("state_import", **given)
    said = process_.communicate(timeout=120)[0]
    assert process_.returncode != 0 and "[node_unknown] 1 left out" in said, said
    assert {key: row["id"] for key, row in read(fleet).items() if key[0] == "instance"} == before
