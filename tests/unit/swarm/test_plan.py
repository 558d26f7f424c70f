# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one run does to a stack, why, and what it restarts: tables over specs as the CLI sends them and as the engine gives them back."""

from __future__ import annotations

import base64
import copy
import json

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.spec.canonical import HASH_LABEL, canonical, digest, labelled
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.spec.difference import shown
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.model import STACK_LABEL, Desired, World
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.spec.names import CONTENT_LABEL, named
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.spec.pin import pin
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.plan import plan

SHA = "sha256:" + "a" * 64
OTHER_SHA = "sha256:" + "b" * 64


def sent(name="v_web", **container):
    """A spec as the CLI sends it."""
    return {
        "Name": name,
        "Labels": {STACK_LABEL: "v", "com.docker.stack.image": "nginx:1"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "nginx:1", "Labels": {STACK_LABEL: "v"}, "Env": ["A=1", "DB_PASSWORD=hunter2", "LEVEL=info"],
                "Privileges": {"CredentialSpec": None, "SELinuxContext": None, "NoNewPrivileges": False}, **container,
            },
            "Resources": {}, "Placement": {}, "Networks": [{"Target": "v_default", "Aliases": ["web"]}], "ForceUpdate": 0,
        },
        "Mode": {"Replicated": {"Replicas": 2}},
        "EndpointSpec": {"Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"}]},
    }  # fmt: skip


def kept(spec):
    """The same as moby 28 gives it back (daemon/cluster/convert)."""
    live = copy.deepcopy(spec)
    container = live["TaskTemplate"]["ContainerSpec"]
    container["Isolation"] = "default"
    container["Privileges"] = {"CredentialSpec": None, "SELinuxContext": None, "NoNewPrivileges": False}
    live["TaskTemplate"].update(Runtime="container")
    for network in live["TaskTemplate"]["Networks"]:
        network["Target"] = {"v_default": "id-default"}.get(network["Target"], network["Target"])
    live["EndpointSpec"] = {"Mode": "vip", **live.get("EndpointSpec", {})}
    return live


def world(*specs, networks=(), configs=(), secrets=()):
    default = {"Id": "id-default", "Name": "v_default", "Scope": "swarm", "Driver": "overlay", "Labels": {STACK_LABEL: "v"}}
    services = tuple({"ID": f"id-{spec['Name']}", "Version": {"Index": 7}, "Spec": spec} for spec in specs)
    return World("c", {}, services=services, networks=(default, *networks), configs=tuple(configs), secrets=tuple(secrets))


def desired(*specs, **more):
    network = {"Name": "v_default", "Driver": "overlay", "Labels": {STACK_LABEL: "v"}, "IPAM": None, "Internal": False, "Options": None}
    return Desired("v", {spec["Name"]: spec for spec in specs}, **{"networks": {"v_default": network}, **more})


def change_of(live, wanted, **options):
    return plan(world(live), desired(wanted), options).changes[0]


def with_path(spec, path, value):
    changed = copy.deepcopy(spec)
    place = changed
    for key in path[:-1]:
        place = place.setdefault(key, {})
    place[path[-1]] = value
    return changed


def test_an_unchanged_stack_of_the_clis_is_left_alone():
    decided = plan(world(kept(sent())), desired(sent()), {})
    assert not decided.writes() and decided.changes[0].action == "none" and decided.changes[0].reasons == ()


def test_a_new_service_is_created_with_its_hash_and_nothing_restarts():
    change = plan(world(), desired(sent()), {}).changes[0]
    assert (change.action, change.restarts, change.before) == ("create", "none", None)
    assert change.after == labelled(sent(), digest(sent()))


@pytest.mark.parametrize(
    ("path", "value", "restarts", "reason"),
    [
        (("TaskTemplate", "ContainerSpec", "Image"), "nginx:2", "all", "image nginx:1 becomes nginx:2"),
        (("TaskTemplate", "ContainerSpec", "Env"), ["B=1", "DB_PASSWORD=other", "LEVEL=info"], "all", "environment: B added, A removed, DB_PASSWORD changed"),
        (("TaskTemplate", "ContainerSpec", "Labels"), {STACK_LABEL: "v", "x": "y"}, "all", "labels of the containers: x added"),
        (("TaskTemplate", "ContainerSpec", "Args"), ["--token", "t"], "all", "Args added"),
        (("TaskTemplate", "ContainerSpec", "Init"), False, "all", "Init unset becomes False"),
        (("TaskTemplate", "ContainerSpec", "StopGracePeriod"), 45_000_000_000, "all", "StopGracePeriod unset becomes 45s"),
        (("TaskTemplate", "Networks"), [{"Target": "other", "Aliases": ["web"]}], "all", "network other added"),
        (("TaskTemplate", "Resources"), {"Limits": {"MemoryBytes": 52428800}}, "all", "Resources.Limits.MemoryBytes unset becomes 52428800"),
        (("TaskTemplate", "RestartPolicy"), {"Condition": "on-failure"}, "all", "RestartPolicy.Condition added"),
        (("TaskTemplate", "Placement"), {"Constraints": ["node.role==worker"]}, "some", "constraint node.role==worker added"),
        (("TaskTemplate", "Placement"), {"MaxReplicas": 2}, "some", "Placement.MaxReplicas unset becomes 2"),
        (("EndpointSpec", "Ports"), [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 81, "PublishMode": "host"}], "all",
         "port 81 to 80/tcp, on each node added"),
        (("EndpointSpec", "Mode"), "dnsrr", "all", "EndpointSpec.Mode added"),
        (("Mode",), {"Replicated": {"Replicas": 5}}, "none", "replicas 2 becomes 5"),
        (("Mode",), {"Replicated": {}}, "none", "replicas 2 becomes 1"),
        (("Labels", "traefik.enable"), "true", "none", "labels of the service: traefik.enable added"),
        (("UpdateConfig",), {"Parallelism": 0, "Delay": 10_000_000_000}, "none", "UpdateConfig.Delay unset becomes 10s"),
        (("RollbackConfig",), {"Parallelism": 1, "Order": "start-first"}, "none", "RollbackConfig.Order added"),
    ],
)  # fmt: skip
def test_each_difference_has_its_reason_and_its_restarts(path, value, restarts, reason):
    wanted = with_path(sent(), path, value)
    change = change_of(kept(sent()), wanted)
    assert (change.action, change.restarts) == ("update", restarts)
    assert reason in change.reasons and not any("hunter2" in text or "other=" in text for text in change.reasons)
    assert change.after["Labels"][HASH_LABEL] == digest(wanted)
    # What swarmkit compares task by task stays as it stands, letter for letter, when nothing is to restart.
    live = kept(sent())
    if restarts == "none":
        assert (change.after["TaskTemplate"], change.after["EndpointSpec"]) == (live["TaskTemplate"], live["EndpointSpec"])
    if restarts == "some":
        assert {**change.after["TaskTemplate"], "Placement": 0} == {**live["TaskTemplate"], "Placement": 0}
        assert change.after["EndpointSpec"] == live["EndpointSpec"]
    # A second plan over what was posted does nothing.
    assert change_of(kept(change.after), wanted).action == "none"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("Mode",), {}),
        (("TaskTemplate", "RestartPolicy"), {"Condition": "any", "MaxAttempts": 0}),
        (("UpdateConfig",), None),
        (("EndpointSpec", "Mode"), "vip"),
        (("TaskTemplate", "ContainerSpec", "DNSConfig"), {}),
        (("TaskTemplate", "ContainerSpec", "Mounts"), [{"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {"ReadOnlyNonRecursive": True}}]),
        (("TaskTemplate", "ContainerSpec", "Healthcheck"), {"Test": ["CMD", "x"], "Interval": 0, "StartInterval": 0}),
        (("Labels", "com.docker.stack.image"), ""),
    ],
)
def test_what_says_nothing_to_the_engine_is_no_difference(path, value):
    def without(spec):
        bare = copy.deepcopy(spec)
        bare.pop("UpdateConfig", None)
        return bare

    live = with_path(sent(), ("Mode",), {"Replicated": {"Replicas": 1}})
    plain = {"Mounts": [{"Source": "/a", "Target": "/b"}], "Healthcheck": {"Test": ["CMD", "x"]}}.get(path[-1])
    live = with_path(live, path, plain) if plain else live
    if path[-1] == "com.docker.stack.image":
        live["Labels"].pop(path[-1])
    wanted = with_path(live, path, value)
    assert canonical(without(live)) == canonical(wanted) and digest(without(live)) == digest(wanted)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"Mode": {"Replicated": {"Replicas": 0}}}, {"Mode": {"Replicated": {}}}),
        ({"Mode": {"Global": {}}}, {"Mode": {}}),
        ({"UpdateConfig": {}}, {}),
        ({"TaskTemplate": {"RestartPolicy": {"Delay": 0}}}, {"TaskTemplate": {"RestartPolicy": {}}}),
        ({"TaskTemplate": {"ContainerSpec": {"Init": False}}}, {"TaskTemplate": {"ContainerSpec": {}}}),
        ({"TaskTemplate": {"ContainerSpec": {"Env": ["A="]}}}, {"TaskTemplate": {"ContainerSpec": {"Env": ["A"]}}}),
    ],
)
def test_what_says_something_is_a_difference(one, two):
    assert canonical(one) != canonical(two) and digest(one) != digest(two)


def test_a_forced_update_is_no_difference_and_its_count_goes_on():
    live = with_path(kept(sent()), ("TaskTemplate", "ForceUpdate"), 3)
    assert change_of(live, sent()).action == "none"
    assert change_of(live, with_path(sent(), ("TaskTemplate", "ContainerSpec", "Image"), "nginx:2")).after["TaskTemplate"]["ForceUpdate"] == 3


@pytest.mark.parametrize(("drift", "action", "drifted", "warned"), [("repair", "update", 1, 0), ("report", "none", 1, 1), ("ignore", "none", 0, 0)])
def test_drift_is_repaired_reported_or_left(drift, action, drifted, warned):
    """F3: the CLI never sees it."""
    live = kept(labelled(sent(), digest(sent())))
    live["TaskTemplate"]["ContainerSpec"]["Image"] = "nginx:by-hand"
    decided = plan(world(live), desired(sent()), {"drift": drift})
    assert (decided.changes[0].action, len(decided.drift), len(decided.warnings)) == (action, drifted, warned)
    if action == "update":
        assert decided.changes[0].reasons == ("drift: image nginx:by-hand becomes nginx:1",)
        assert decided.changes[0].after["TaskTemplate"]["ContainerSpec"]["Image"] == "nginx:1"


def test_a_stack_that_was_adopted_has_drift_by_its_last_revision():
    live = with_path(kept(sent()), ("TaskTemplate", "ContainerSpec", "Image"), "nginx:by-hand")
    assert change_of(live, sent(), drift="ignore").action == "update"
    assert change_of(live, sent(), drift="ignore", recorded={"v_web": sent()}).action == "none"


def test_replicas_are_enforced_or_kept():
    live = with_path(kept(labelled(sent(), digest(sent()))), ("Mode",), {"Replicated": {"Replicas": 9}})
    assert change_of(live, sent()).reasons == ("drift: replicas 9 becomes 2",)
    assert change_of(live, sent(), replicas="keep").action == "none"
    changed = with_path(sent(), ("TaskTemplate", "ContainerSpec", "Image"), "nginx:2")
    change = change_of(live, changed, replicas="keep")
    assert change.after["Mode"] == {"Replicated": {"Replicas": 9}} and change.after["Labels"][HASH_LABEL] == digest(changed)


def test_what_left_the_files_is_pruned_or_kept():
    gone = kept(sent("v_gone"))
    config = {"ID": "x", "Spec": {"Name": "v_old-1234567890", "Labels": {STACK_LABEL: "v"}}}
    foreign = {"ID": "y", "Spec": {"Name": "w_old-1234567890", "Labels": {STACK_LABEL: "w"}}}
    there = world(kept(sent()), gone, configs=[config, foreign], networks=[{"Id": "n", "Name": "v_old", "Labels": {STACK_LABEL: "v"}}])
    decided = plan(there, desired(sent()), {})
    assert [(change.service, change.action) for change in decided.changes] == [("v_web", "none"), ("v_gone", "remove")]
    assert decided.remove == {"networks": ("v_old",), "configs": ("v_old-1234567890",), "secrets": ()}
    spared = plan(there, desired(sent()), {"prune": False})
    assert not spared.writes() and spared.changes[1].reasons == ("is not in the compose files, and prune is false",)
    # A stored revision has no bodies; what its services name stays.
    uses = sent(Configs=[{"File": {"Name": "c"}, "ConfigName": "v_old-1234567890", "ConfigID": "x"}])
    assert plan(there, desired(uses), {}).remove["configs"] == ()


def test_mode_and_network_can_only_be_made_anew_and_all_are_named_at_once():
    glob = with_path(sent(), ("Mode",), {"Global": {}})
    job = with_path(sent("v_job"), ("Mode",), {"ReplicatedJob": {}})
    body = {"Name": "v_default", "Driver": "overlay", "Attachable": True, "Options": {"encrypted": "true"}, "IPAM": {"Config": [{"Subnet": "10.9.0.0/24"}]}}
    net = {"v_default": body}
    with pytest.raises(FleetError) as caught:
        plan(world(kept(sent()), kept(sent("v_job"))), desired(glob, job, networks=net), {"allow_recreate": ["v_web"]})
    assert caught.value.code == "recreate_needed"
    messages = [finding["message"] for finding in caught.value.details["findings"]]
    assert len(messages) == 2 and "Attachable False becomes True, option encrypted changed, subnet of Swarm becomes 10.9.0.0/24" in messages[0]
    assert "v_job can only be made anew: mode Replicated becomes ReplicatedJob" in messages[1]
    change = plan(world(kept(sent())), desired(glob), {"allow_recreate": ["v_web"]}).changes[0]
    assert (change.action, change.restarts) == ("recreate", "all")


def test_a_network_of_one_host_is_refused_before_it_is_made():
    """Published files have it: the engine makes such a network and then refuses every service on it."""
    with pytest.raises(FleetError) as caught:
        plan(world(), desired(sent(), networks={"v_default": {"Name": "v_default", "Driver": "bridge"}}), {})
    assert caught.value.code == "compose_invalid" and "driver: overlay" in caught.value.remedy


def test_names_of_others_are_not_taken():
    foreign = with_path(kept(sent()), ("Labels",), {STACK_LABEL: "w"})
    stray = {"Id": "n", "Name": "v_back", "Scope": "swarm", "Labels": {}}
    with pytest.raises(FleetError) as caught:
        plan(world(foreign, networks=[stray]), desired(sent(), networks={"v_back": {"Name": "v_back", "Driver": "overlay"}}), {})
    assert caught.value.code == "conflict" and "belongs to the stack w" in caught.value.message and "belongs to no stack" in caught.value.message


def test_each_write_to_a_job_runs_it_again():
    job = with_path(sent(), ("Mode",), {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}})
    change = change_of(kept(job), with_path(job, ("Labels", "x"), "y"))
    assert (change.action, change.restarts) == ("update", "all")


def test_an_external_config_that_was_made_anew_is_a_difference():
    one = sent(Configs=[{"File": {"Name": "c", "UID": "0"}, "ConfigName": "ext", "ConfigID": "old"}])
    two = sent(Configs=[{"File": {"Name": "c", "UID": "0"}, "ConfigName": "ext", "ConfigID": "new"}])
    assert change_of(kept(one), two).reasons == ("config ext was made anew",)
    assert digest(one) == digest(two)


def test_the_order_is_that_of_the_waves():
    specs = [sent("v_a"), sent("v_b"), sent("v_c")]
    decided = plan(world(), desired(*specs, waves={"v_a": 2, "v_b": 0, "v_c": 1}), {})
    assert [(change.service, change.wave) for change in decided.changes] == [("v_b", 0), ("v_c", 1), ("v_a", 2)]


def test_a_diff_shows_every_field_and_no_secret():
    spec = sent(Args=["--url", "postgres://u:hunter2@db/x"], Labels={"basicauth": "admin:$apr1$F17gh$oZcj4FgdSFEYNCH0EH", "plain": "x"})
    one, two = shown(spec), shown(with_path(spec, ("TaskTemplate", "ContainerSpec", "Env"), ["A=1", "DB_PASSWORD=hunter3", "LEVEL=info"]))
    text = json.dumps([one, two])
    assert "hunter" not in text and "oZcj4" not in text and "LEVEL=info" in text and '"plain": "x"' in text
    marks = [next(item for item in form["TaskTemplate"]["ContainerSpec"]["Env"] if item.startswith("DB_PASSWORD")) for form in (one, two)]
    assert marks[0] != marks[1] and marks == [mark for mark in marks if mark.startswith("DB_PASSWORD (secret ")]
    assert shown(spec) == one and shown(None) is None


# Names


def config_body(text, name="v_c", **more):
    return {"Name": name, "Labels": {STACK_LABEL: "v"}, "Data": base64.b64encode(text.encode()).decode(), **more}


def referring(config="v_c", secret="v_s"):
    return sent(
        Configs=[{"File": {"Name": "c"}, "ConfigID": "recorded", "ConfigName": config}, {"File": {"Name": "e"}, "ConfigID": "recorded", "ConfigName": "ext"}],
        Secrets=[{"File": {"Name": "s"}, "SecretID": "recorded", "SecretName": secret}],
    )


def stack(config="a", secret="b", **more):
    return desired(referring(), configs={"v_c": config_body(config)}, secrets={"v_s": config_body(secret, "v_s")}, **more)


def refs(given):
    container = given.desired.services["v_web"]["TaskTemplate"]["ContainerSpec"]
    items = container["Configs"] + container["Secrets"]
    return [(item.get("ConfigName") or item.get("SecretName"), item.get("ConfigID", item.get("SecretID"))) for item in items]


def test_content_is_in_the_name_and_ids_are_known_or_empty():
    there = world(configs=[{"ID": "id-ext", "Spec": {"Name": "ext"}}])
    one, again, other = (named(stack(secret=secret), there, salt) for secret, salt in (("b", "salt"), ("b", "salt"), ("c", "salt")))
    assert refs(one) == refs(again) and refs(one)[1] == ("ext", "id-ext")
    assert refs(one)[0][0].startswith("v_c-") and len(refs(one)[0][0]) == len("v_c-") + 10 and refs(one)[0][1] == ""
    assert refs(one)[2] != refs(other)[2] and refs(one)[0] == refs(other)[0]
    assert set(one.desired.configs) == {refs(one)[0][0]} and one.desired.configs[refs(one)[0][0]]["Name"] == refs(one)[0][0]


def test_the_name_of_a_secret_needs_the_salt():
    assert refs(named(stack(), world(), "one"))[2] != refs(named(stack(), world(), "two"))[2]


def test_a_long_name_is_cut_and_stays_within_the_limit():
    long = "v_" + "c" * 80
    body = config_body("a", long)
    given = named(desired(referring(config=long), configs={long: body}), world(), "salt")
    assert [len(name) for name in given.desired.configs] == [64]


def live_of(body, name, **labels):
    return {"ID": f"id-{name}", "Version": {"Index": 3}, "Spec": {**body, "Name": name, "Labels": {**body["Labels"], **labels}}}


def told(item):
    """A secret as the engine gives it: without data."""
    return {**item, "Spec": {key: value for key, value in item["Spec"].items() if key != "Data"}}


def test_what_the_cli_made_stays_when_its_content_is_the_same():
    config, secret = live_of(config_body("a"), "v_c"), told(live_of(config_body("b", "v_s"), "v_s"))
    given = named(stack(), world(configs=[config], secrets=[secret]), "salt")
    assert refs(given)[0] == ("v_c", "id-v_c") and refs(given)[2] == ("v_s", "id-v_s")
    assert list(given.unproven) == ["v_s"] and given.unproven["v_s"]["Labels"][CONTENT_LABEL] and given.unproven["v_s"]["Data"]
    # Proven: the label is there, and counts from then on.
    proven = told(live_of(given.unproven["v_s"], "v_s"))
    after = named(stack(), world(configs=[config], secrets=[proven]), "salt")
    assert refs(after)[2] == ("v_s", "id-v_s") and after.unproven == {}
    assert refs(named(stack(secret="new"), world(secrets=[proven]), "salt"))[2][0] != "v_s"
    # Refused by the engine: another content.
    assert refs(named(stack(), world(secrets=[secret]), "salt", other=["v_s"]))[2][0] != "v_s"


def test_new_content_is_a_new_object_and_what_is_there_by_hash_is_used_again():
    config = live_of(config_body("old"), "v_c")
    first = named(stack(), world(configs=[config]), "salt")
    name = refs(first)[0][0]
    assert name != "v_c"
    both = world(configs=[live_of(config_body("a"), "v_c"), live_of(config_body("a"), name)])
    assert refs(named(stack(), both, "salt"))[0] == (name, f"id-{name}")


def test_a_name_of_its_own_stays_because_others_may_ask_for_it():
    wanted = desired(referring(config="shared", secret="key"), configs={"shared": config_body("a", "shared")}, secrets={"key": config_body("b", "key")})
    fresh = named(wanted, world(), "salt")
    assert [name for name, _id in refs(fresh)] == ["shared", "ext", "key"] and fresh.unproven == {}
    # What was made is known by its label, so nothing has to be proven later.
    there = world(configs=[live_of(config_body("a"), "shared")], secrets=[told(live_of(fresh.desired.secrets["key"], "key"))])
    again = named(wanted, there, "salt")
    assert refs(again)[0] == ("shared", "id-shared") and refs(again)[2] == ("key", "id-key") and again.unproven == {}


def test_a_name_of_its_own_with_another_content_is_refused_and_all_are_named():
    def other(**more):
        bodies = {"configs": {"shared": config_body("new", "shared")}, "secrets": {"key": config_body("new", "key")}}
        wanted = desired(referring(config="shared", secret="key"), **bodies)
        there = world(configs=[live_of(config_body("a"), "shared")], secrets=[told(live_of(config_body("b"), "key", **more.pop("labels", {})))])
        return named(wanted, there, "salt", **more)

    for more in ({"labels": {CONTENT_LABEL: "of another"}}, {"other": ["key"]}):
        with pytest.raises(FleetError) as caught:
            other(**more)
        assert caught.value.code == "conflict" and len(caught.value.details["findings"]) == 2
        assert "The config shared exists with another content" in caught.value.message and "take `name` out" in caught.value.details["findings"][1]["remedy"]
    with pytest.raises(FleetError, match="The config shared"):
        other()


# Pins


def answers(**digests):
    asked = []

    def resolve(image, auth):
        asked.append((image, auth))
        if image not in digests:
            raise FleetError("pin_failed", f"{image}: manifest unknown")
        platforms = [{"architecture": "amd64", "os": "linux"}, {"architecture": "ARM", "os": "linux", "variant": "v7"}]
        return {"Descriptor": {"digest": digests[image]}, "Platforms": platforms}

    return resolve, asked


def image_of(given, name="v_web"):
    return given.services[name]["TaskTemplate"]["ContainerSpec"]["Image"]


def test_a_tag_becomes_what_the_cli_makes_of_it():
    resolve, asked = answers(**{"nginx:1": SHA})
    given = pin(desired(sent(), sent("v_api"), auth={}), "missing", resolve, {})
    assert image_of(given) == f"nginx:1@{SHA}" and asked == [("nginx:1", None)], "once for both services"
    platforms = [{"Architecture": "amd64", "OS": "linux"}, {"Architecture": "", "OS": "linux"}]
    assert given.services["v_web"]["TaskTemplate"]["Placement"] == {"Platforms": platforms}
    assert given.services["v_web"]["Labels"]["com.docker.stack.image"] == "nginx:1"


@pytest.mark.parametrize(("mode", "expected", "questions"), [("missing", OTHER_SHA, 0), ("always", SHA, 1)])
def test_a_recorded_tag_keeps_its_digest(mode, expected, questions):
    resolve, asked = answers(**{"nginx:1": SHA})
    before = sent(Image=f"nginx:1@{OTHER_SHA}")
    before["TaskTemplate"]["Placement"] = {"Platforms": [{"Architecture": "amd64", "OS": "linux"}]}
    given = pin(desired(sent()), mode, resolve, {"v_web": before, "v_a": sent("v_a", Image=f"nginx:1@{SHA}")})
    assert image_of(given) == f"nginx:1@{expected}" and len(asked) == questions
    if mode == "missing":
        assert given.services["v_web"]["TaskTemplate"]["Placement"] == before["TaskTemplate"]["Placement"]


def test_another_service_of_the_stack_tells_the_digest_of_a_new_one():
    resolve, asked = answers()
    given = pin(desired(sent("v_new")), "missing", resolve, {"v_web": sent(Image=f"nginx:1@{SHA}")})
    assert image_of(given, "v_new") == f"nginx:1@{SHA}" and asked == []


def test_all_that_a_registry_does_not_give_is_named_at_once():
    resolve, _asked = answers()
    with pytest.raises(FleetError) as caught:
        pin(desired(sent(), sent("v_api", Image="api:2")), "missing", resolve, {})
    assert caught.value.code == "pin_failed" and len(caught.value.details["findings"]) == 2 and "api:2: manifest unknown" in caught.value.message


def test_require_takes_digests_only_and_names_the_known_ones():
    resolve, asked = answers()
    digested = sent("v_ok", Image=f"nginx:1@{SHA}")
    with pytest.raises(FleetError) as caught:
        pin(desired(sent(), sent("v_api", Image="api:2"), digested), "require", resolve, {"v_web": sent(Image=f"nginx:1@{SHA}")})
    found = caught.value.details["findings"]
    assert caught.value.code == "unpinned" and [entry["field"] for entry in found] == ["services.v_web.image", "services.v_api.image"] and asked == []
    assert SHA in found[0]["remedy"] and "imagetools" in found[1]["remedy"]
    assert image_of(pin(desired(digested), "require", resolve, {}), "v_ok") == f"nginx:1@{SHA}"


def test_never_asks_nobody_and_several_architectures_ask_for_digests_too():
    resolve, asked = answers(**{f"nginx:1@{SHA}": SHA})
    assert pin(desired(sent()), "never", resolve, {}).services["v_web"] == sent() and asked == []
    given = pin(desired(sent(Image=f"nginx:1@{SHA}")), "missing", resolve, {}, platforms=True)
    assert image_of(given) == f"nginx:1@{SHA}" and len(given.services["v_web"]["TaskTemplate"]["Placement"]["Platforms"]) == 2
