# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the room _swarm is built on, F1 to F7, F11 to F13 and F15 of docs/swarm-facts.md: seen on the real engine and the real CLI.

Each experiment is a service or stack of its own. They begin together, since most of their time is waiting, and each test reads one of them.
Where the version of engine or CLI matters, the test says which it found. F8 to F10 need the cluster alone and stand in test_facts_nodes.py.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
import typing as t
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

SECOND = 10**9
EXPERIMENTS: dict[str, t.Callable[[t.Any, Path], t.Any]] = {}
# Of the Engine API: states in which an update has ended.
ENDED = ("completed", "rollback_completed", "paused", "rollback_paused")


def experiment(work: t.Callable[[t.Any, Path], t.Any]) -> t.Callable[[t.Any, Path], t.Any]:
    EXPERIMENTS[work.__name__] = work
    return work


@pytest.fixture(scope="module")
def seen(swarm_lab, tmp_path_factory) -> t.Iterator[t.Callable[[str], t.Any]]:
    """What an experiment observed, by its name; all of them run from the first question on."""
    running: dict[str, Future] = {}
    with ThreadPoolExecutor(len(EXPERIMENTS)) as pool:
        for name, work in EXPERIMENTS.items():
            swarm_lab.remove(f"l-{name}")
            running[name] = pool.submit(work, swarm_lab, tmp_path_factory.mktemp(name))
        yield lambda name: running[name].result(timeout=120)
    for name in EXPERIMENTS:
        swarm_lab.remove(f"l-{name}")


def spec(lab: t.Any, name: str, tag: str = "plain", replicas: int = 1, **more: t.Any) -> dict:
    """A service without virtual address (no IPVS is needed), with what ``more`` says of the task's ``container`` and the spec's own keys."""
    container = {"Image": lab.image(tag), "Labels": {"com.docker.stack.namespace": f"l-{name}"}, **more.pop("container", {})}
    task = {"ContainerSpec": container, "RestartPolicy": {"Condition": "any", "Delay": SECOND // 5}, **more.pop("task", {})}
    return {
        "Name": f"l-{name}", "Labels": {"com.docker.stack.namespace": f"l-{name}"}, "TaskTemplate": task, "Mode": {"Replicated": {"Replicas": replicas}},
        "EndpointSpec": {"Mode": "dnsrr"}, **more,
    }


def compose(folder: Path, services: dict, name: str = "stack.yml") -> Path:
    """A compose file; JSON is YAML."""
    path = folder / name
    path.write_text(json.dumps({"version": "3.8", "services": services}), encoding="utf-8")
    return path


def deploy(lab: t.Any, stack: str, path: Path, *words: str, **more: t.Any) -> subprocess.CompletedProcess:
    return lab.docker("stack", "deploy", "--resolve-image", "never", *words, "-c", path, stack, **more)


def services_of(lab: t.Any, stack: str) -> dict[str, dict]:
    found = lab.api().services(filters={"label": [f"com.docker.stack.namespace={stack}"]})
    return {one["Spec"]["Name"].removeprefix(f"{stack}_"): one for one in found}


def update_state(lab: t.Any, service: str) -> str | None:
    return lab.api().inspect_service(service).get("UpdateStatus", {}).get("State")


def ended(lab: t.Any, service: str) -> str | None:
    state = update_state(lab, service)
    return state if state in ENDED else None


def hold(seconds: float, condition: t.Callable[[], bool]) -> None:
    """Look again and again for that time, and end early when the condition does not hold."""
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        time.sleep(0.3)


def cli_version(lab: t.Any, cli: str) -> tuple[int, ...]:
    return tuple(int(word) for word in re.findall(r"\d+", lab.docker("version", "--format", "{{.Client.Version}}", cli=cli).stdout)[:2])


def engine_version(lab: t.Any) -> tuple[int, ...]:
    return tuple(int(word) for word in re.findall(r"\d+", lab.api().version()["Version"])[:3])


# --- experiments ------------------------------------------------------------------------------------------------------------------


@experiment
def f1(lab, folder):
    """A stack whose second version ends at once, deployed with the CLI."""
    web = {
        "image": lab.image("plain"),
        "deploy": {"endpoint_mode": "dnsrr", "update_config": {"failure_action": "rollback", "monitor": "2s"}, "restart_policy": {"delay": "200ms"}},
    }
    # A CLI before 26 has no --detach here and returns at once.
    waits = ["--detach=false"] if cli_version(lab, "docker") >= (26, 0) else []
    deploy(lab, "l-f1", compose(folder, {"web": web}), *waits)
    done = deploy(lab, "l-f1", compose(folder, {"web": {**web, "image": lab.image("crash")}}), *waits)
    service = services_of(lab, "l-f1")["web"]["ID"]
    lab.wait("Swarm to roll back", lambda: update_state(lab, service) == "rollback_completed")
    return {"code": done.returncode, "service": lab.api().inspect_service(service)}


@experiment
def f2(lab, _folder):
    service = lab.create(spec(lab, "f2", container={"Env": ["REVISION=1"]}, UpdateConfig={"Monitor": SECOND}))
    lab.wait("the service to run", lambda: lab.running(service))
    lab.update(service, spec(lab, "f2", container={"Env": ["REVISION=2"]}, UpdateConfig={"Monitor": SECOND}))
    lab.wait("the update to end", lambda: update_state(lab, service) in ENDED)
    after = lab.api().inspect_service(service)
    lab.update(service, after["Spec"])
    return {"updated": after, "again": lab.api().inspect_service(service)}


@experiment
def f3(lab, folder):
    path = compose(folder, {"web": {"image": lab.image("1"), "deploy": {"replicas": 0, "endpoint_mode": "dnsrr"}}})
    images = {}
    deploy(lab, "l-f3", path)
    for mode in ("never", "changed", "always"):
        service = services_of(lab, "l-f3")["web"]
        drifted = service["Spec"]
        drifted["TaskTemplate"]["ContainerSpec"]["Image"] = lab.image("2")
        lab.update(service["ID"], drifted)
        lab.docker("stack", "deploy", "--resolve-image", mode, "-c", path, "l-f3")
        images[mode] = services_of(lab, "l-f3")["web"]["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    return images


@experiment
def f4(lab, folder):
    path = compose(folder, {"web": {
        "image": lab.image("1"), "environment": {"PASSWORD": "pa$$word", "UNSET": "a${BOWLINE_UNSET}z"}, "deploy": {"replicas": 0, "endpoint_mode": "dnsrr"},
    }})

    def environment() -> dict[str, str]:
        return dict(word.split("=", 1) for word in services_of(lab, "l-f4")["web"]["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"])

    found: dict[str, t.Any] = {"said": deploy(lab, "l-f4", path).stderr, "once": environment()}
    if cli_version(lab, "docker") >= (25, 0):
        (folder / "config.yml").write_text(lab.docker("stack", "config", "-c", path).stdout, encoding="utf-8")
        deploy(lab, "l-f4", folder / "config.yml")
        found["twice"] = environment()
    return found


@experiment
def f5(lab, folder):
    def deployed(count: int, *words: str, extra: str = "") -> list[tuple[str, str]]:
        """Deploy services a, b, c, …; what the engine saw of this stack in its order: (action, service)."""
        names = [chr(ord("a") + number) for number in range(count)] + ([extra] if extra else [])
        before = time.time()
        services = {name: {"image": lab.image("1"), "deploy": {"replicas": 0, "endpoint_mode": "dnsrr"}} for name in names}
        deploy(lab, "l-f5", compose(folder, services), *words)
        events = lab.api().events(since=before, until=time.time(), filters={"type": "service"}, decode=True)
        found = [(one["Action"], one["Actor"]["Attributes"]["name"]) for one in events]
        return [(action, name.removeprefix("l-f5_")) for action, name in found if name.startswith("l-f5_") and action in ("create", "update", "remove")]

    deployed(6)
    versions = {name: one["Version"]["Index"] for name, one in services_of(lab, "l-f5").items()}
    orders = [[name for action, name in deployed(6) if action == "update"]]
    moved = {name for name, one in services_of(lab, "l-f5").items() if one["Version"]["Index"] != versions[name]}
    # A map in Go is walked from a random place: two equal orders in ten runs of six would be less likely than one in a million.
    while len(orders) < 10 and orders.count(orders[0]) == len(orders):
        orders.append([name for action, name in deployed(6) if action == "update"])
    return {"moved": moved, "orders": orders, "pruned": deployed(5, "--prune", extra="new")}


@experiment
def f6(lab, _folder):
    nowhere = {"Placement": {"Constraints": ["node.labels.l-nowhere == yes"]}}
    patient = {"Parallelism": 1, "Monitor": SECOND, "FailureAction": "rollback"}
    first = lab.create(spec(lab, "f6", Name="l-f6_first", task=nowhere))
    updated = lab.create(spec(lab, "f6", Name="l-f6_updated", UpdateConfig=patient))
    lab.wait("the service to run", lambda: lab.running(updated))
    lab.update(updated, spec(lab, "f6", Name="l-f6_updated", UpdateConfig=patient, task=nowhere))

    def pending(service: str) -> list[dict]:
        return [task for task in lab.api().tasks(filters={"service": service}) if task["Status"]["State"] == "pending" and task["Status"].get("Err")]

    lab.wait("both to have a task that no node takes", lambda: pending(first) and pending(updated))
    states = set()
    # Eight times the time in which Swarm is told to look for failures.
    hold(8, lambda: states.add((update_state(lab, first), update_state(lab, updated))) or True)
    waits = ["--detach=false"] if cli_version(lab, "docker") >= (26, 0) else None
    hangs = None
    if waits:
        try:
            lab.docker("service", "update", "--detach=false", "--label-add", "touched=yes", updated, timeout=5)
            hangs = False
        except subprocess.TimeoutExpired:
            hangs = True
    return {"states": states, "hangs": hangs}


@experiment
def f7(lab, _folder):
    names = [one["Description"]["Hostname"] for one in lab.api().nodes()]
    placed = {"Placement": {"Constraints": [f"node.hostname != {names[2]}"], "MaxReplicas": 1}}
    one = spec(lab, "f7", replicas=2, task=placed)
    service = lab.create(one)
    kept: dict[str, t.Any] = {}

    def ids() -> dict[str, str]:
        return {task["NodeID"]: task["ID"] for task in lab.running(service)}

    lab.wait("two tasks", lambda: len(ids()) == 2)

    def changed(what: str, replaces: bool = True, **more: t.Any) -> None:
        """Post the spec with a change; which of the tasks are still the same when it is through."""
        before = ids()
        one.update(more)
        lab.update(service, one)
        if replaces:
            lab.wait(f"{what} to be through", lambda: update_state(lab, service) == "completed" and len(ids()) == 2)
        else:
            # There is no status of an update that replaces nothing.
            hold(3, lambda: ids() == before)
        kept[what] = sorted(set(before.values()) & set(ids().values())), sorted(before.values())

    changed("labels", replaces=False, Labels={**one["Labels"], "new": "yes"})
    changed("update_config", replaces=False, UpdateConfig={"Parallelism": 2, "Monitor": SECOND}, RollbackConfig={"Parallelism": 2})
    changed("template", TaskTemplate={**one["TaskTemplate"], "ContainerSpec": {**one["TaskTemplate"]["ContainerSpec"], "Env": ["A=1"]}})
    changed("endpoint", EndpointSpec={"Mode": "dnsrr", "Ports": [{"TargetPort": 8080, "PublishedPort": 18190, "PublishMode": "host", "Protocol": "tcp"}]})
    # Both tasks may stand on the first two managers; now the second is forbidden, and the third allowed.
    here = {node["ID"]: node["Description"]["Hostname"] for node in lab.api().nodes()}
    leaving = next(task for node, task in ids().items() if here[node] == names[1])
    moved = {**one["TaskTemplate"], "Placement": {"Constraints": [f"node.hostname != {names[1]}"], "MaxReplicas": 1}}
    changed("constraint", TaskTemplate=moved)
    return {"kept": kept, "leaving": leaving}


@experiment
def f11(lab, _folder):
    def create(name: str, size: int) -> tuple[int, dict]:
        body = {"Name": f"l-f11-{name}", "Data": base64.b64encode(b"x" * size).decode(), "Labels": {"com.docker.stack.namespace": "l-f11", "step": "1"}}
        return lab.post("/configs/create", body)

    found: dict[str, t.Any] = {"largest": create("largest", 1_023_999)[0], "larger": create("larger", 1_024_000)}
    with ThreadPoolExecutor(8) as pool:
        found["race"] = sorted(status for status, _body in pool.map(lambda number: create("lock", number + 1), range(8)))
    one = next(config for config in lab.api().configs() if config["Spec"]["Name"] == "l-f11-lock")
    labels = {**one["Spec"], "Labels": {**one["Spec"]["Labels"], "step": "2"}}
    path = f"/configs/{one['ID']}/update"
    found["labels"] = lab.post(path, labels, version=one["Version"]["Index"])[0]
    found["stale"] = lab.post(path, labels, version=one["Version"]["Index"])
    now = lab.api().inspect_config(one["ID"])
    found["data"] = lab.post(path, {**labels, "Data": base64.b64encode(b"other").decode()}, version=now["Version"]["Index"])
    return found


@experiment
def f13(lab, folder):
    """A task of an Ansible module that shall join a cluster which does not exist, on an engine that is a member of the lab's."""
    one = lab.managers[1]
    arguments = {
        "state": "join", "advertise_addr": one["address"], "join_token": "SWMTKN-1-foreign", "remote_addrs": ["192.0.2.1:2377"],
        "docker_host": one["docker_host"], "ca_path": one["ca_path"], "client_cert": one["client_cert"], "client_key": one["client_key"],
        "validate_certs": True,
    }
    argv = [str(Path(sys.executable).with_name("ansible")), "localhost", "-i", "localhost,", "-c", "local",
            "-e", f"ansible_python_interpreter={sys.executable}", "-m", "community.docker.docker_swarm", "-a", json.dumps(arguments)]
    # The SDK takes these in place of ca_path.
    env = {name: value for name, value in lab.environment().items() if name not in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")}
    done = subprocess.run(argv, env=env, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, check=False)
    return done.returncode, done.stdout + done.stderr, [node["ID"] for node in lab.api(1).nodes()]


@experiment
def f15(lab, _folder):
    """The new version ends 1.5 s after its start: later than ``Monitor``, earlier than ``Delay``."""
    config = {"Parallelism": 1, "Delay": 3 * SECOND, "Monitor": SECOND, "FailureAction": "rollback"}
    service = lab.create(spec(lab, "f15", replicas=2, UpdateConfig=config))
    lab.wait("two tasks", lambda: len(lab.running(service)) == 2)
    lab.update(service, spec(lab, "f15", "crash", replicas=2, UpdateConfig=config, container={"Env": ["FAULT=crash=1.5"]}))
    return lab.wait("the update to end in one way or the other", lambda: ended(lab, service))


# --- facts ------------------------------------------------------------------------------------------------------------------------


def test_f1_the_cli_calls_an_update_that_was_rolled_back_a_success(seen):
    found = seen("f1")
    assert found["service"]["UpdateStatus"]["State"] == "rollback_completed"
    assert found["code"] == 0


def test_f2_every_update_overwrites_the_previous_spec_and_the_status(seen):
    found = seen("f2")
    assert found["updated"]["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]["Env"] == ["REVISION=1"]
    assert found["updated"]["UpdateStatus"]["State"] == "completed"
    # The second update changed nothing.
    assert found["again"]["PreviousSpec"] == found["again"]["Spec"] == found["updated"]["Spec"]
    assert not found["again"].get("UpdateStatus")


def test_f2_an_automatic_rollback_leaves_no_previous_spec(seen):
    assert not seen("f1")["service"].get("PreviousSpec")


def test_f3_an_image_that_drifted_is_not_repaired_unless_it_is_always_resolved(seen, swarm_lab):
    found = seen("f3")
    assert found["never"] == found["changed"] == swarm_lab.image("2")
    assert found["always"].startswith(swarm_lab.image("1"))


def test_f4_what_stack_config_says_is_interpolated_once_more(seen, swarm_lab):
    found = seen("f4")
    assert found["once"]["PASSWORD"] == "pa$word"
    version = cli_version(swarm_lab, "docker")
    if version < (25, 0):
        pytest.skip(f"the docker CLI {version} has no `stack config`")
    assert found["twice"]["PASSWORD"] == "pa"


def test_f4_an_unset_variable_is_empty_without_a_word(seen):
    found = seen("f4")
    assert found["once"]["UNSET"] == "az"
    assert "BOWLINE_UNSET" not in found["said"]


def test_f5_the_cli_writes_services_that_did_not_change(seen):
    assert seen("f5")["moved"] == set("abcdef")


def test_f5_the_cli_writes_in_random_order(seen):
    orders = seen("f5")["orders"]
    assert all(sorted(order) == list("abcdef") for order in orders), orders
    assert any(order != orders[0] for order in orders), orders


def test_f5_the_cli_prunes_first(seen):
    found = seen("f5")["pruned"]
    assert found[0] == ("remove", "f"), found
    assert ("create", "new") in found[1:], found


def test_f6_what_no_node_takes_stays_updating_whatever_the_failure_action_says(seen):
    assert {updated for _first, updated in seen("f6")["states"]} == {"updating"}


def test_f6_a_first_deploy_has_no_status_that_could_fail(seen):
    assert {first for first, _updated in seen("f6")["states"]} == {None}


def test_f1_the_cli_waits_without_end(seen, swarm_lab):
    if seen("f6")["hangs"] is None:
        pytest.skip(f"the docker CLI {cli_version(swarm_lab, 'docker')} does not wait")
    assert seen("f6")["hangs"]


@pytest.mark.parametrize("what", ["labels", "update_config"])
def test_f7_no_task_is_replaced_by(seen, what):
    kept, before = seen("f7")["kept"][what]
    assert kept == before


@pytest.mark.parametrize("what", ["template", "endpoint"])
def test_f7_every_task_is_replaced_by(seen, what):
    kept, _before = seen("f7")["kept"][what]
    assert kept == []


def test_f7_a_constraint_replaces_only_what_it_forbids(seen):
    kept, before = seen("f7")["kept"]["constraint"]
    assert kept == sorted(set(before) - {seen("f7")["leaving"]})


def test_f11_one_of_many_creates_a_config(seen):
    assert seen("f11")["race"] == [201] + [409] * 7


def test_f11_labels_change_under_a_version_check_and_data_never(seen):
    found = seen("f11")
    assert found["labels"] == 200
    assert found["stale"][0] == 500 and "update out of sequence" in found["stale"][1]["message"]
    assert found["data"][0] == 400 and "only updates to Labels are allowed" in found["data"][1]["message"]


def test_f11_data_has_at_most_1023999_bytes(seen):
    found = seen("f11")
    assert found["largest"] == 201
    assert found["larger"][0] == 400 and "less than 1024000 bytes" in found["larger"][1]["message"]


def test_f12_an_engine_keeps_its_last_256_events(seen, swarm_lab):
    for name in EXPERIMENTS:
        seen(name)
    client, begin = swarm_lab.api(), time.time()
    repository = swarm_lab.image("plain").rpartition(":")[0]
    for _number in range(300):
        client.tag(swarm_lab.image("plain"), repository, "l-f12")
    client.remove_image(f"{repository}:l-f12")
    found = list(client.events(since=begin, until=time.time(), decode=True))
    assert len(found) == 256, f"{len(found)} of 301"


def test_f13_a_join_is_content_with_any_swarm(seen):
    code, said, nodes = seen("f13")
    assert code == 0 and "SUCCESS" in said and '"changed": false' in said, said
    assert len(nodes) == 3


def test_f15_a_late_failure_is_missed_by_engines_before_20_10_10(seen, swarm_lab):
    # moby #37972; mended by https://github.com/moby/moby/pull/42875, which takes the larger of the two times.
    expected = "rollback_completed" if engine_version(swarm_lab) >= (20, 10, 10) else "completed"
    assert seen("f15") == expected
