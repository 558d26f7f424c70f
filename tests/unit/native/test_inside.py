# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units of services that run in the files of an image: what stands in them, and what is refused."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._native import stage
from ansible_collections.bowline.fleet.plugins.module_utils._native.gates import health_gates
from ansible_collections.bowline.fleet.plugins.module_utils._native.manifest import parse_manifests
from ansible_collections.bowline.fleet.plugins.module_utils._native.render import render_stack
from ansible_collections.bowline.fleet.plugins.module_utils._native.render_image import mount_name
from ansible_collections.bowline.fleet.plugins.module_utils._native.systemd import checkable
from ansible_collections.bowline.fleet.tests.unit.native.hosts import manifest, service

IMAGE, DIGEST = {"id": "sha256:" + "ab" * 32}, "sha256:" + "cd" * 32


def units(**keys):
    document = manifest("web", service("web", **keys), image=IMAGE)
    return render_stack([document], "shop", artifacts={"web": DIGEST})


def lines(**keys):
    return units(**keys)[1].text.splitlines()


def test_a_service_runs_in_its_own_tree_under_an_overlay():
    files, unit = units(user="1000:1001", groups=[29])
    assert files.name == "var-lib-bowline-shop-roots-web\\x2dweb.mount"
    lower, upper = f"/var/lib/bowline/modules/{'cd' * 32}/root", f"/var/lib/bowline/shop/writable/web-web/{'cd' * 8}"
    assert f"Options=lowerdir={lower},upperdir={upper}/upper,workdir={upper}/work" in files.text
    assert "Where=/var/lib/bowline/shop/roots/web-web" in files.text
    assert {"RootDirectory=/var/lib/bowline/shop/roots/web-web", "User=1000", "Group=1001", "SupplementaryGroups=29"} <= set(unit.text.splitlines())
    assert (files.order, unit.order) == (0, 1)


@pytest.mark.parametrize(("keys", "line"), [
    ({"network": "none"}, "PrivateNetwork=yes"),
    ({"one_shot": True}, "Type=oneshot"),
    ({"one_shot": True}, "RemainAfterExit=yes"),
    ({"tmpfs": ["/cache:size=64m"]}, "TemporaryFileSystem=/cache:size=64m"),
    ({"shared_memory": 4096}, "TemporaryFileSystem=/dev/shm:mode=1777,size=4096"),
    ({}, "TemporaryFileSystem=/dev/shm:mode=1777"),
    ({}, "BindPaths=/var/lib/bowline/shop/roots/web-web/run:/run"),
    ({"read_only": True, "binds": ["/var/x:/data", "/var/y:/conf:ro"]}, "ReadOnlyPaths=/"),
    ({"read_only": True, "binds": ["/var/x:/data", "/var/y:/conf:ro"]}, "ReadWritePaths=/data"),
    ({"no_new_privileges": True}, "NoNewPrivileges=yes"),
    ({"resources": {"memory": 1048576}}, "MemoryMax=1048576"),
    ({"resources": {"cpus": 0.5}}, "CPUQuota=50%"),
    ({"resources": {"cpuset": "0-1"}}, "AllowedCPUs=0-1"),
    ({"resources": {"oom_score_adjust": -5}}, "OOMScoreAdjust=-5"),
    ({"secret_environment": ["TOKEN"]}, "EnvironmentFile=/etc/bowline/shop/environment/web-web"),
    ({"user": "1:1", "ports": [80], "capabilities": ["CAP_NET_BIND_SERVICE"]}, "AmbientCapabilities=CAP_NET_BIND_SERVICE"),
    ({"capabilities": []}, "CapabilityBoundingSet="),
])  # fmt: skip
def test_what_an_engine_gives_a_unit_gives(keys, line):
    assert line in lines(**keys)


def test_root_and_high_ports_need_no_capability():
    assert not [line for line in lines(user="1:1", ports=[8080], capabilities=["CAP_NET_BIND_SERVICE"]) if line.startswith("Ambient")]
    assert not [line for line in lines(ports=[80], capabilities=["CAP_NET_BIND_SERVICE"]) if line.startswith("Ambient")]


@pytest.mark.parametrize(("keys", "said"), [
    ({"user": "app"}, "must be uid or uid:gid in numbers"),
    ({"tmpfs": ["/x:mode=1777\nExecStart=/evil"]}, "must be /path or /path:size="),
    ({"tmpfs": ["/x,/y"]}, "must be /path or /path:size="),
    ({"resources": {"cpuset": "0\nExecStart=/evil"}}, "must be a list of processors"),
    ({"resources": {"memory": 1}}, "must be a number from 4096"),
    ({"resources": {"mem": 1}}, "resources"),
    ({"secret_environment": ["A=B"]}, "must be the name of an environment variable"),
    ({"network": "bridge"}, "must be one of host, none"),
])  # fmt: skip
def test_bad_values_are_named(keys, said):
    with pytest.raises(FleetError) as failed:
        units(**keys)
    assert said in failed.value.message


@pytest.mark.parametrize("key", ["groups", "network", "one_shot", "tmpfs", "shared_memory", "read_only", "resources", "secret_environment"])
def test_a_program_of_the_host_has_none_of_these_keys(key):
    with pytest.raises(FleetError) as failed:
        parse_manifests([manifest("web", service("web", **{key: None}))], "shop")
    assert key in failed.value.message


def test_hosts_are_names_and_addresses():
    good = parse_manifests([manifest("web", service("web"), image=IMAGE, hosts={"db": "127.0.0.1", "my_app": "::1"})], "shop")
    assert stage.hosts_text(good).splitlines()[2:] == ["127.0.0.1\tdb", "::1\tmy_app"]
    for bad in ({"a b": "127.0.0.1"}, {"a\n": "127.0.0.1"}, {"a": "127.0.0.1 evil"}, {"a": "name"}, ["x"]):
        with pytest.raises(FleetError):
            parse_manifests([manifest("web", service("web"), image=IMAGE, hosts=bad)], "shop")


def test_health_is_asked_inside():
    document = manifest("web", service("web", user="7:8", health={"type": "exec", "command": ["/bin/ok"]}), image=IMAGE)
    gate = health_gates([document], "shop")[0]
    assert (gate["in_unit"], gate["user"], gate["argv"]) == ("shop-web-web.service", "7:8", ["/bin/ok"])
    host = health_gates([manifest("web", service("web", health={"type": "exec", "command": ["/bin/ok"]}))], "shop")[0]
    assert "in_unit" not in host


def test_ports_that_nobody_published_are_refused_before_anything():
    document = manifest("db", service("db", ports=[5432, 80]), image=IMAGE, published=[80])
    modules = [{"manifest": document, "artifact": {"digest": DIGEST}}]
    with pytest.raises(FleetError) as failed:
        stage.artifacts(modules, "shop")
    assert (failed.value.code, "db/db on 5432" in failed.value.message, "on 80" in failed.value.message) == ("ports_open", True, False)
    assert stage.artifacts(modules, "shop", [5432]) == {"db": DIGEST}


def test_a_module_of_an_image_needs_its_files():
    with pytest.raises(FleetError) as failed:
        stage.artifacts([{"manifest": manifest("web", service("web"), image=IMAGE)}], "shop")
    assert "web runs in an image, and its artifact has no digest" in failed.value.message


def test_systemd_judges_a_unit_with_its_own_root_without_looking_for_its_programs_here():
    text = '[Service]\nExecStart="/odd name \\"x\\"" arg\nExecStop=/bin/stop $MAINPID\nRootDirectory=/x\n'
    assert checkable(text) == '[Service]\nExecStart=/bin/true arg\nExecStop=/bin/true $MAINPID\nRootDirectory=/x\n'
    assert checkable(text.replace("RootDirectory=/x\n", "")) == text.replace("RootDirectory=/x\n", "")


@pytest.mark.parametrize(("path", "name"), [("/a/b", "a-b.mount"), ("/a-b/c_d.e", "a\\x2db-c_d.e.mount"), ("/ü", "\\xc3\\xbc.mount")])
def test_mount_units_are_called_as_systemd_wants(path, name):
    assert mount_name(path) == name
