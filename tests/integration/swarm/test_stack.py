# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""swarm_stack on three managers: nothing twice, nothing half, nothing called good that is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
sys.path.insert(0, str(Path(__file__).parent))

from stacks import CRASH, SECRET, Stack  # noqa: E402

PARTS = """\
configs: {page: {file: PAGE}}
secrets: {key: {file: KEY}}
"""
PLAY = """\
---
- name: Deploy twice
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Deploy
      bowline.fleet.swarm_stack: &deploy PARAMS
      register: first
    - name: Deploy again
      bowline.fleet.swarm_stack: *deploy
      register: again
    - name: Keep
      ansible.builtin.copy:
        content: "{{ {'first': first, 'again': again} | to_json }}"
        dest: RESULTS
        mode: "0600"
      check_mode: false
"""


@pytest.fixture(scope="module")
def shop(swarm_lab, tmp_path_factory):
    """Three services in three waves, with a config and a secret; deployed by the first test and left as version 1 by each."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "page").write_text("hello\n", encoding="utf-8")
    (folder / "key").write_text(f"{SECRET}\n", encoding="utf-8")
    swarm_lab.remove("d-shop")
    shop = Stack(swarm_lab, folder, "d-shop", more=PARTS.replace("PAGE", str(folder / "page")).replace("KEY", str(folder / "key")))
    text = shop.file.read_text(encoding="utf-8").replace("  two:\n", "  two:\n    configs: [page]\n    secrets: [key]\n")
    shop.file.write_text(text, encoding="utf-8")
    yield shop
    swarm_lab.remove("d-shop")


def play(shop: Stack, folder: Path, *words: str):
    book, results = folder / "play.yml", folder / "results.json"
    book.write_text(PLAY.replace("PARAMS", json.dumps(shop.params())).replace("RESULTS", str(results)), encoding="utf-8")
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", "--diff", "-vvv", *words]
    done = subprocess.run(
        [*command, "-e", f"ansible_python_interpreter={sys.executable}", str(book)], capture_output=True, text=True, check=False,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert SECRET not in done.stdout + done.stderr
    return json.loads(results.read_text(encoding="utf-8"))


def words(plan):
    """What of a plan can be foreseen: a secret's name comes of a key that is made in the first real run."""
    return [(step["action"], step.get("service"), step.get("wave"), step.get("restarts")) for step in plan]


def test_check_then_real_then_again(shop, tmp_path):
    predicted = play(shop, tmp_path, "--check")
    assert shop.services() == {} and shop.ours("revision") == [] and shop.ours("lock") == []
    found = play(shop, tmp_path)
    assert words(found["first"]["plan"]) == words(predicted["first"]["plan"])
    ends = [(found[name]["outcome"], found[name]["changed"]) for name in ("first", "again")]
    assert ends == [("converged", True), ("unchanged", False)]
    assert [step["service"] for step in found["first"]["plan"] if "service" in step] == ["d-shop_one", "d-shop_two", "d-shop_three"]
    assert all(node["nodes"] == ["m1", "m2", "m3"] for node in found["first"]["evidence"]["prepull"])
    assert found["again"]["plan"] == [] and len(shop.tasks()) == 3 and shop.statuses() == {1: "succeeded"}
    assert shop.ours("lock") == []


def test_a_second_run_moves_no_version(shop):
    before = shop.versions(), shop.tasks(), shop.ours("revision")
    assert shop.ok()["changed"] is False
    assert (shop.versions(), shop.tasks(), shop.ours("revision")) == before


def contents(shop: Stack) -> list[str]:
    """Names of the stack's configs and secrets."""
    mine = {"label": f"com.docker.stack.namespace={shop.name}"}
    return sorted(one["Spec"]["Name"] for one in (*shop.api.configs(filters=mine), *shop.api.secrets(filters=mine)))


FAILURES = {
    "bad image": ({"pin": "never", "prepull": "none", "compose_more": "  two: {image: REPOSITORY:nobody-has-this}\n"}, ("update_paused",), "No such image"),
    # Which of both comes first is a matter of how long the program takes to crash.
    "crash loop": ({"env": {"VERSION": "2", **CRASH}}, ("update_paused", "crash_loop"), "non-zero exit (3)"),
    "impossible constraint": (
        {"preflight": {"placement": "warn"}, "pending_timeout": 3, "compose_more": "  two: {deploy: {placement: {constraints: [node.labels.d==x]}}}\n"},
        ("unschedulable",), "scheduling constraints not satisfied on 3 nodes"),
    "failing gate": ({"gates": [{"name": "closed", "type": "tcp", "host": "127.0.0.1", "port": 9, "when": "wave", "wave": 1, "count": 1}]}, ("gate_failed",),
                     "Connection refused"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAILURES)
def test_whatever_fails_in_the_second_wave_both_waves_come_back_as_they_were(shop, kind):
    asked, code, said = FAILURES[kind]
    asked = {"env": {"VERSION": "2"}, **asked}
    more = asked.pop("compose_more", "")
    text = 'version: "3.8"\nservices:\n' + more.replace("REPOSITORY", shop.lab.registry["repository"])
    files = [str(shop.file)] + ([str(shop.write("more.yml", text))] if more else [])
    before, configs = shop.specs(), contents(shop)
    failure = shop.fails(compose=files, **asked)
    assert failure["code"] in code and failure["details"]["outcome"] == "rolled_back", failure
    assert said in failure["message"] and "The whole stack is as it was before" in failure["message"]
    assert shop.specs() == before and len(shop.tasks()) == 3
    assert json.dumps(shop.specs()) == json.dumps(before), "not byte for byte"
    written = [step["subject"] for step in failure["details"]["steps"] if step["action"] == "update"]
    assert {"d-shop_one", "d-shop_two"} == set(written) and written[-1] == "d-shop_one"
    assert contents(shop) == configs
    statuses = shop.statuses()
    assert statuses[max(statuses)] == "rolled_back" and list(statuses.values()).count("succeeded") == 1


@pytest.mark.parametrize("asked", [{"on_failure": "stop"}, {"reversible": False}], ids=["stop", "irreversible"])
def test_what_shall_not_go_back_by_itself_is_left_and_taken_back_when_asked(shop, asked):
    before = shop.specs()
    failure = shop.fails(env={"VERSION": "2"}, gates=FAILURES["failing gate"][0]["gates"], **asked)
    assert failure["code"] == "gate_failed" and failure["details"]["outcome"] == "left", failure
    assert sorted(name for name, spec in shop.specs().items() if spec != before[name]) == ["d-shop_one", "d-shop_two"]
    assert shop.ok(revision="stable")["outcome"] == "converged"
    assert shop.specs() == before and len(shop.tasks()) == 3


def test_after_all_of_that_the_stack_needs_nothing(shop):
    assert shop.ok()["outcome"] == "unchanged"


def test_an_image_that_nobody_has_is_found_before_any_service_is_touched(shop):
    nobody = f"{shop.lab.registry['repository']}@sha256:{'0' * 64}"
    before = shop.versions()
    failure = shop.fails(env={"IMAGE": nobody})
    assert failure["code"] == "image_pull" and all(f"on {node}" in failure["message"] for node in ("m1", "m2", "m3")), failure
    assert shop.versions() == before and failure["details"]["outcome"] == "rolled_back"
    assert shop.api.services(filters={"label": f"bowline.prepull={shop.name}"}) == []


def test_bad_input_is_found_at_once_and_before_the_first_write(shop):
    more = """\
  one: {networks: [edge], deploy: {placement: {constraints: [node.labels.d==x]}}}
  two: {image: REPOSITORY:nobody-has-this, ports: [{target: 80, published: 18499, mode: ingress}], deploy: {endpoint_mode: vip}}
  three: {deploy: {placement: {constraints: [node.labels.d=x]}}}
  four: {image: REPOSITORY:plain, ports: [{target: 80, published: 18499, mode: ingress}]}
networks: {edge: {external: true, name: d-nowhere}}
"""
    file = shop.write("bad.yml", 'version: "3.8"\nservices:\n' + more.replace("REPOSITORY", shop.lab.registry["repository"]))
    before = shop.versions(), shop.ours("revision")
    failure = shop.fails(compose=[str(shop.file), str(file)], gates=[{"name": "a", "type": "tcp", "hots": "x", "port": 1}])
    found = {(one["code"], one["field"]) for one in failure["details"]["findings"]}
    wanted = {("unknown_key", "gates"), ("external_missing", "networks.d-nowhere"), ("unschedulable", "services.d-shop_one.placement"),
              ("unschedulable", "services.d-shop_three.placement.constraints"), ("port_taken", "services.d-shop_two.ports"),
              ("pin_failed", "services.d-shop_two.image")}  # fmt: skip
    assert failure["code"] == "preflight_failed" and wanted <= found, sorted(found)
    assert all(one["remedy"] for one in failure["details"]["findings"])
    assert (shop.versions(), shop.ours("revision"), shop.ours("lock")) == (*before, [])


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"docker_host": ["tcp://10.77.0.11:2375"], "ca_path": None, "client_cert": None, "client_key": None}, "insecure_endpoint"),
        ({"name": "-x"}, "invalid_value"),
        ({"revision": "99"}, "revision_unavailable"),
        ({"preflight": {"plasement": "skip"}}, "unknown_key"),
    ],
)
def test_bad_options_are_refused(shop, asked, code):
    before = shop.versions()
    failure = shop.fails(**asked)
    assert failure["code"] == code and failure["remedy"], failure
    assert shop.versions() == before


def test_a_stack_of_the_cli_is_taken_over_without_a_restart(swarm_lab, stack, tmp_path):
    name = stack("d-cli")
    cli = Stack(swarm_lab, tmp_path, name, waves=2, port=18411)
    swarm_lab.docker("stack", "deploy", "-c", cli.file, "--detach=true", name)
    swarm_lab.wait("two tasks", lambda: len(cli.tasks()) == 2)
    before = cli.versions(), cli.tasks()
    assert cli.ok()["outcome"] == "unchanged"
    assert (cli.versions(), cli.tasks()) == before
    done = cli.ok(env={"VERSION": "2"})
    assert (done["outcome"], cli.statuses()) == ("converged", {1: "succeeded", 2: "succeeded"})
    # Somebody takes the CLI once more. What runs then is seen, stored beside what was known, and gone back to.
    swarm_lab.docker("stack", "deploy", "-c", cli.file, "--detach=true", name, env={"VERSION": "3"})
    foreseen, done = cli.run(check=True, env={"VERSION": "4"}), cli.ok(env={"VERSION": "4"})
    assert foreseen["warnings"] == done["warnings"] and f"since revision 2: {name}_one, {name}_two" in done["warnings"][0]
    assert sorted(cli.statuses()) == [1, 2, 3, 4]
    back = cli.ok(revision="previous")
    assert (back["outcome"], back["revision"]["action"]) == ("converged", "rollback")
    env = {name: spec["TaskTemplate"]["ContainerSpec"]["Env"] for name, spec in cli.specs().items()}
    assert all("VERSION=3" in values for values in env.values()), env
    gone = cli.ok(state="absent")
    assert (gone["changed"], cli.services(), cli.ok(state="absent")["changed"]) == (True, {}, False)
    assert len(cli.ours("revision")) == 6


def moved(lab, tag: str, to: str) -> None:
    """Let ``tag`` of the lab's registry name the manifest of ``to``."""
    import http.client

    host = lab.registry["address"]
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("GET", f"/v2/app/manifests/{to}", headers={"Accept": kind})
    manifest = connection.getresponse().read()
    connection.request("PUT", f"/v2/app/manifests/{tag}", manifest, {"Content-Type": kind})
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()


def test_a_revision_comes_back_with_its_digests_after_the_tag_has_moved(swarm_lab, stack, tmp_path):
    # The health check of version 1 asks at 8080.
    tagged = Stack(swarm_lab, tmp_path, stack("d-tag"), waves=1, port=8080)
    env = {"IMAGE": f"{swarm_lab.registry['repository']}:d-moves"}
    moved(swarm_lab, "d-moves", "plain")
    first = tagged.ok(env=env)["revision"]["services"]
    moved(swarm_lab, "d-moves", "1")
    assert tagged.ok(env=env)["changed"] is False, "a tag that is recorded keeps its digest"
    second = tagged.ok(env=env, pin="always")["revision"]["services"]
    assert first != second and all("@sha256:" in image for image in (*first.values(), *second.values()))
    back = tagged.ok(revision="1")
    assert back["revision"]["services"] == first
    assert {name: spec["TaskTemplate"]["ContainerSpec"]["Image"] for name, spec in tagged.specs().items()} == first
