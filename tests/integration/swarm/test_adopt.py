# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stack on the real engine: what it gives back means what was sent, and a stack of the CLI's is taken over without a write."""

from __future__ import annotations

import shutil
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.spec.canonical import canonical
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.convert import convert, externals_of
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client.engine import Engine
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.spec.names import named, new_salt, with_ids
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.spec.pin import image_of, pin
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.plan import plan
from ansible_collections.bowline.fleet.plugins.plugin_utils.runner import run

COMPOSE = Path(__file__).parent / "compose"
FILES = sorted(path for path in COMPOSE.glob("*.compose") if not path.name.startswith(("refused_", "override")))
NOWHERE = "node.labels.v == nowhere"


@pytest.fixture(scope="module")
def engine(swarm_lab):
    one = Engine.connect(swarm_lab.connection())
    yield one
    one.close()


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(COMPOSE, tmp_path / "c")
    return tmp_path / "c"


@pytest.fixture
def made(engine):
    """Objects without a stack, by kind; each is taken away after the test."""
    done = []

    def make(kind, body):
        identity = getattr(engine, f"{kind}_create")(body)
        done.append((kind, identity))
        return identity

    yield make
    for kind, identity in reversed(done):
        getattr(engine, f"{kind}_remove")(identity)


def wanted(engine, name, files, env=None, **more):
    world = engine.world()
    return convert(name, [str(file) for file in files], env or {}, [], more.get("strict_env", False), engine.api_version, externals_of(world), run)


def ids(world):
    return {"configs": {item["Spec"]["Name"]: item["ID"] for item in world.configs}, "secrets": {item["Spec"]["Name"]: item["ID"] for item in world.secrets}}


def without_place(spec):
    """The same service where no task of it runs, and with its ingress ports as ports of hosts, which others may have, too."""
    template = spec["TaskTemplate"]
    placement = {**template["Placement"], "Constraints": [*template["Placement"].get("Constraints", []), NOWHERE]}
    ports = [{**port, "PublishMode": "host"} for port in spec["EndpointSpec"].get("Ports", [])]
    endpoint = {**spec["EndpointSpec"], **({"Ports": ports} if ports else {})}
    # Tasks of a job that never found a node outlive its service (seen with 28.2), so there are none.
    mode = {"ReplicatedJob": {"MaxConcurrent": 0, "TotalCompletions": 0}} if "ReplicatedJob" in spec["Mode"] else spec["Mode"]
    return {**spec, "TaskTemplate": {**template, "Placement": placement}, "EndpointSpec": endpoint, "Mode": mode}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_the_engine_gives_back_means_what_was_sent(engine, made, stack, folder, path):
    """Every kind of field: the plan over the live specs is empty, and says so with the hash of what was wanted."""
    name = stack("v-spec")

    def desired():
        given = wanted(engine, name, [folder / path.name], {"TAG": "v1", "DOMAIN": "example.org"})
        return replace(given, services={key: without_place(spec) for key, spec in given.services.items()})

    world = engine.world()
    given, known = desired(), externals_of(world)
    for kind in ("networks", "configs", "secrets"):
        for missing in (external for external in given.externals[kind] if external not in known[kind] and external not in ("host", "bridge", "none")):
            body = {"Name": missing, "Labels": {}}
            made(kind[:-1], {**body, "Driver": "overlay"} if kind == "networks" else {**body, "Data": "eA=="})
    given = named(given, world, "salt").desired
    for kind in ("network", "config", "secret"):
        for body in getattr(given, f"{kind}s").values():
            getattr(engine, f"{kind}_create")(body)
    world = engine.world()
    first = plan(world, given, {})
    assert {change.action for change in first.changes} == {"create"} and not any(first.create.values())
    for change in first.changes:
        engine.service_create(with_ids(change.after, ids(world)))
    world = engine.world()
    again = named(desired(), world, "salt")
    second = plan(world, again.desired, {})
    assert again.unproven == {}
    assert [change.reasons for change in second.changes if change.action != "none"] == []
    assert not second.writes() and second.drift == ()


def shop(folder, lab, **services):
    """Two small services with everything that an adoption could stumble over."""
    (folder / "page.txt").write_text("page", encoding="utf-8")
    (folder / "token.txt").write_text("hunter2", encoding="utf-8")
    more = {"replicas": 1, "label": "one", **services}
    file = folder / "shop.yml"
    file.write_text(
        f"""
services:
  web:
    image: {lab.image("1")}
    environment: {{ROLE: front, TEXT: "a$$b"}}
    configs: [page]
    secrets: [token]
    deploy:
      replicas: {more["replicas"]}
      endpoint_mode: dnsrr
      labels: {{note: {more["label"]}}}
      update_config: {{parallelism: 1, order: stop-first}}
      restart_policy: {{condition: any, delay: 1s}}
    networks: [inside]
configs: {{page: {{file: ./page.txt}}}}
secrets: {{token: {{file: ./token.txt}}}}
networks: {{inside: {{driver: overlay, attachable: true}}}}
""",
        encoding="utf-8",
    )
    return file


def decide(engine, name, file, salt, other=()):
    world = engine.world()
    live = {item["Spec"]["Name"]: item["Spec"] for item in world.services}
    given = named(wanted(engine, name, [file], strict_env=True), world, salt, other)
    return given, plan(world, pin(given.desired, "missing", engine.distribution, live), {})


def versions(engine, name):
    by_label = {"label": [f"com.docker.stack.namespace={name}"]}
    services = {item["Spec"]["Name"]: (item["ID"], item["Version"]["Index"]) for item in engine.services(by_label)}
    return services, sorted(task["ID"] for task in engine.tasks({"label": [f"com.docker.stack.namespace={name}"]}))


def test_a_stack_of_the_clis_is_taken_over_without_a_write_and_changes_restart_what_they_must(engine, swarm_lab, stack, tmp_path):
    name, salt = stack("v-adopt"), new_salt()
    file = shop(tmp_path, swarm_lab)
    swarm_lab.docker("stack", "deploy", "--detach=true", "-c", file, name)
    swarm_lab.wait("the task to run", lambda: [t for t in engine.tasks({"label": [f"com.docker.stack.namespace={name}"]}) if t["Status"]["State"] == "running"])
    before = versions(engine, name)
    given, decided = decide(engine, name, file, salt)
    # 0 writes, as far as anybody can tell without writing; the secret's content is proven by the engine itself.
    assert not decided.writes(), [change.reasons for change in decided.changes]
    assert list(given.unproven) == [f"{name}_token"]
    there = engine.secret(f"{name}_token")
    engine.secret_update(there["ID"], there["Version"]["Index"], given.unproven[f"{name}_token"])
    given, decided = decide(engine, name, file, salt)
    assert not decided.writes() and given.unproven == {} and versions(engine, name) == before

    # Labels and replicas restart nothing: the task of before is still there.
    file = shop(tmp_path, swarm_lab, replicas=2, label="two")
    _given, decided = decide(engine, name, file, salt)
    change = decided.changes[0]
    assert (change.action, change.restarts) == ("update", "none") and change.reasons == ("labels of the service: note changed", "replicas 1 becomes 2")
    engine.service_update(change.before["ID"], change.before["Version"]["Index"], change.after)

    def settled():
        tasks = [task for task in engine.tasks({"label": [f"com.docker.stack.namespace={name}"]}) if task["DesiredState"] == "running"]
        return tasks if len(tasks) == 2 and all(task["Status"]["State"] == "running" for task in tasks) else None

    tasks = swarm_lab.wait("two tasks", settled)
    assert set(before[1]) <= {task["ID"] for task in tasks}, "the task of before was replaced"
    assert not decide(engine, name, file, salt)[1].writes()

    # Another content of config and secret is another object, and the old ones are named for removal.
    (tmp_path / "token.txt").write_text("hunter3", encoding="utf-8")
    (tmp_path / "page.txt").write_text("new page", encoding="utf-8")
    given, decided = decide(engine, name, file, salt)
    assert decided.changes[0].restarts == "all" and [len(decided.create[kind]) for kind in ("networks", "configs", "secrets")] == [0, 1, 1]
    assert decided.remove == {"networks": (), "configs": (f"{name}_page",), "secrets": (f"{name}_token",)}
    assert not any("hunter" in reason for reason in decided.changes[0].reasons)


def test_a_secret_with_another_content_than_the_file_is_not_taken_over(engine, swarm_lab, stack, tmp_path):
    """The engine refuses an update with other data, which is how it is known (swarmkit manager/controlapi/secret.go)."""
    name, salt = stack("v-secret"), new_salt()
    file = shop(tmp_path, swarm_lab, replicas=0)
    swarm_lab.docker("stack", "deploy", "--detach=true", "--resolve-image", "never", "-c", file, name)
    (tmp_path / "token.txt").write_text("rotated", encoding="utf-8")
    given, _decided = decide(engine, name, file, salt)
    there = engine.secret(f"{name}_token")
    with pytest.raises(FleetError, match="only updates to Labels are allowed"):
        engine.secret_update(there["ID"], there["Version"]["Index"], given.unproven[f"{name}_token"])
    given, decided = decide(engine, name, file, salt, other=list(given.unproven))
    assert len(decided.create["secrets"]) == 1 and any("secret" in reason for reason in decided.changes[0].reasons)
    assert canonical(decided.changes[0].after)["TaskTemplate"]["ContainerSpec"]["Secrets"][0]["SecretName"] in decided.create["secrets"]


MANIFESTS = ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json")


def point(lab, tag, to):
    """Let ``tag`` of the lab's registry mean what ``to`` means, as a push does. The digest of it."""
    base = f"http://{lab.registry['repository'].replace('/', '/v2/', 1)}/manifests/"
    with urllib.request.urlopen(urllib.request.Request(base + to, headers={"Accept": ", ".join(MANIFESTS)}), timeout=10) as reply:
        body, kind, digest = reply.read(), reply.headers["Content-Type"], reply.headers["Docker-Content-Digest"]
    urllib.request.urlopen(urllib.request.Request(base + tag, data=body, headers={"Content-Type": kind}, method="PUT"), timeout=10).close()
    return digest


def test_a_tag_that_moved_in_the_registry_keeps_its_digest(engine, swarm_lab, stack, tmp_path):
    name = stack("v-pins")
    image = f"{swarm_lab.registry['repository']}:v-moves"
    file = tmp_path / "stack.yml"
    file.write_text(f"services: {{web: {{image: '{image}'}}, api: {{image: '{image}'}}}}\n", encoding="utf-8")
    digests = [point(swarm_lab, "v-moves", "1")]
    first = pin(wanted(engine, name, [file]), "missing", engine.distribution, {})
    digests.append(point(swarm_lab, "v-moves", "2"))
    assert digests[0] != digests[1]
    again, asked = (pin(wanted(engine, name, [file]), mode, engine.distribution, first.services) for mode in ("missing", "always"))
    assert [image_of(spec) for spec in first.services.values()] == [f"{image}@{digests[0]}"] * 2
    assert again.services == first.services and [image_of(spec) for spec in asked.services.values()] == [f"{image}@{digests[1]}"] * 2
    # The same as the CLI makes of it.
    swarm_lab.docker("stack", "deploy", "--detach=true", "-c", file, name)
    live, ours = engine.service(f"{name}_web")["Spec"], asked.services[f"{name}_web"]
    assert image_of(live) == image_of(ours) and canonical(live)["TaskTemplate"]["Placement"] == canonical(ours)["TaskTemplate"]["Placement"]


def test_an_image_that_nobody_has_is_refused_in_the_registrys_words(engine, swarm_lab, tmp_path):
    file = tmp_path / "stack.yml"
    gone, closed = f"{swarm_lab.registry['repository']}:v-none", "127.0.0.1:1/none:1"
    file.write_text(f"services: {{a: {{image: '{gone}'}}, b: {{image: '{closed}'}}}}\n", encoding="utf-8")
    with pytest.raises(FleetError) as caught:
        pin(wanted(engine, "v-none", [file]), "missing", engine.distribution, {})
    assert caught.value.code == "pin_failed" and "manifest unknown" in caught.value.message and "connection refused" in caught.value.message
    assert [finding["field"] for finding in caught.value.details["findings"]] == ["services.v-none_a.image", "services.v-none_b.image"]
