# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A compose service as a unit: each key changes what comes out, or the service is refused by name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._native.compose import keys
from ansible_collections.bowline.fleet.plugins.module_utils._native.compose.model import Image
from ansible_collections.bowline.fleet.plugins.module_utils._native.compose.plan import convert

IMAGE = Image(
    "sha256:" + "ab" * 32,
    {"Entrypoint": ["/docker-entrypoint.sh"], "Cmd": ["serve"], "Env": ["PATH=/opt/bin:/bin", "LANG=C.UTF-8"], "User": "app", "WorkingDir": "/srv",
     "ExposedPorts": {"8000/tcp": {}}, "StopSignal": "SIGQUIT"},
    "amd64",
    "linux",
    {"root": (0, 0, "/root"), "app": (1000, 1001, "/home/app"), "other": (7, 7, "/")},
    {"root": 0, "app": 1001, "audio": 29},
    {"serve": "/opt/bin/serve", "other": "/bin/other", "work": "/bin/work", "true": "/bin/true", "sh": "/bin/sh"},
)  # fmt: skip
PROJECT = {
    "name": "shop",
    "networks": {"default": {"name": "shop_default"}, "closed": {"internal": True}, "lan": {"driver": "macvlan"}},
    "volumes": {"data": {"name": "shop_data"}, "share": {"driver_opts": {"type": "nfs"}}, "cloud": {"driver": "rexray"}},
    "configs": {"conf": {"file": "/srv/app/conf"}, "inline": {"content": "x"}, "kept": {"external": True}},
    "secrets": {"password": {"file": "/srv/app/secrets/password"}, "kept": {"external": True}},
}

# One value of each key of a service, as `docker compose config --format json` writes it.
SAMPLES = {
    "annotations": {"a": "b"}, "attach": False, "blkio_config": {"weight": 300}, "build": {"context": "/x"}, "cap_add": ["SYS_NICE"], "cap_drop": ["MKNOD"],
    "cgroup": "host", "cgroup_parent": "x", "command": ["other"], "configs": [{"source": "conf", "target": "/etc/conf"}], "container_name": "shop-web",
    "cpu_count": 1, "cpu_percent": 10.0, "cpu_period": 50000, "cpu_quota": 50000, "cpu_rt_period": 1, "cpu_rt_runtime": 1, "cpu_shares": 512, "cpus": 0.5,
    "cpuset": "0", "credential_spec": {"file": "x"}, "depends_on": {"db": {"condition": "service_started"}}, "deploy": {"replicas": 2},
    "develop": {"watch": []}, "device_cgroup_rules": ["c 1:3 mr"], "devices": [{"source": "/dev/fuse"}], "dns": ["192.0.2.1"], "dns_opt": ["ndots:1"],
    "dns_search": ["example.org"], "domainname": "example.org", "driver_opts": {"a": "b"}, "entrypoint": ["/other"], "env_file": [{"path": "/x"}],
    "environment": {"A": "1"}, "expose": ["9000"], "extends": {"service": "x"}, "external_links": ["x"], "extra_hosts": ["mail=192.0.2.5"],
    "gpus": [{"count": -1}], "group_add": ["audio"], "healthcheck": {"test": ["CMD", "true"]}, "hostname": "web", "image": None, "init": True,
    "ipc": "host", "isolation": "hyperv", "label_file": ["/x"], "labels": {"a": "b"}, "links": ["db:database"], "logging": {"driver": "none"},
    "mac_address": "02:00:00:00:00:01", "mem_limit": "536870912", "mem_reservation": "1048576", "mem_swappiness": 10, "memswap_limit": "1073741824",
    "models": {"a": {}}, "network_mode": "none", "networks": {"default": {"aliases": ["shop"]}}, "oom_kill_disable": True, "oom_score_adj": 100, "pid": "host",
    "pids_limit": 50, "platform": "linux/arm64", "ports": [{"target": 80, "published": "8080", "protocol": "tcp", "mode": "ingress"}],
    "post_start": [{"command": ["x"]}], "pre_stop": [{"command": ["x"]}], "privileged": True, "profiles": ["x"], "provider": {"type": "x"},
    "pull_policy": "never", "read_only": True, "restart": "always", "runtime": "wasm", "scale": 2, "secrets": [{"source": "password"}],
    "security_opt": ["no-new-privileges:true"], "shm_size": "67108864", "stdin_open": True, "stop_grace_period": "1m30s", "stop_signal": "SIGINT",
    "storage_opt": {"size": "1G"}, "sysctls": {"net.core.somaxconn": "1024"}, "tmpfs": ["/run"], "tty": True, "ulimits": {"nofile": 5},
    "use_api_socket": True, "user": "other", "userns_mode": "host", "uts": "host", "volumes": [{"type": "volume", "source": "data", "target": "/data"}],
    "volumes_from": ["x"], "working_dir": "/other",
}  # fmt: skip
# Means something beside another key only.
WITH = {"cpu_period": {"cpu_quota": 50000}, "memswap_limit": {"mem_limit": "536870912"}, "attach": {}, "image": {}}


def service(given, **project):
    """The service ``web`` of a project with a database beside it."""
    both = {"name": "shop", **PROJECT, **project, "services": {"web": given, "db": {"image": "db"}}}
    return convert(both, {"web": IMAGE, "db": IMAGE}, "shop").services[0]


def body(given, **project):
    found = service(given, **project)
    assert not found.refused, found.refused
    return found.manifest["services"][0]


def refusal(given, **project):
    found = service(given, **project)
    assert found.manifest is None
    return " ".join(finding.message for finding in found.refused)


def test_the_samples_are_all_keys_that_are_known():
    assert set(SAMPLES) == keys.KNOWN


@pytest.mark.parametrize("key", sorted(set(SAMPLES) - {"image"}))
def test_no_key_is_dropped_silently(key):
    beside = {"image": "web", **WITH.get(key, {})}
    assert service({**beside, key: SAMPLES[key]}) != service(beside)


@pytest.mark.parametrize("spec", [
    {"new_key": 1},
    {"volumes": [{"type": "bind", "source": "/srv/x", "target": "/x", "new": 1}]},
    {"ports": [{"target": 80, "new": 1}]},
    {"healthcheck": {"test": ["CMD", "true"], "new": 1}},
    {"deploy": {"new": 1}},
    {"deploy": {"resources": {"limits": {"new": 1}}}},
    {"networks": {"default": {"new": 1}}},
    {"depends_on": {"db": {"new": 1}}},
    {"configs": [{"source": "conf", "new": 1}]},
], ids=lambda spec: next(iter(spec)))  # fmt: skip
def test_a_key_that_nobody_thought_of_is_refused(spec):
    assert "is not known here, and nothing is dropped silently" in refusal(spec)


def test_an_image_and_a_service_become_one_command():
    assert body({})["start_command"] == ["/docker-entrypoint.sh", "serve"]
    assert body({"command": ["work"]})["start_command"] == ["/docker-entrypoint.sh", "work"]
    assert body({"entrypoint": ["/bin/other"]})["start_command"] == ["/bin/other"]
    assert body({"entrypoint": ["/bin/other"], "command": ["x"]})["start_command"] == ["/bin/other", "x"]
    # An empty one takes the image's away.
    assert body({"entrypoint": [], "command": ["bin/x"]})["start_command"] == ["/srv/bin/x"]
    assert "neither the image nor the service says what to run" in refusal({"entrypoint": []})


def test_programs_are_named_by_where_they_lie_in_the_image():
    assert body({"entrypoint": ["other", "x"]})["start_command"] == ["/bin/other", "x"]
    assert body({"healthcheck": {"test": ["CMD", "true", "x"]}})["health"]["command"] == ["/bin/true", "x"]
    assert "begins with gone, which is nowhere in the PATH of the image" in refusal({"entrypoint": ["gone"]})
    unseen = convert({"services": {"web": {"entrypoint": ["other"]}}}, {"web": replace(IMAGE, programs=None)}, "shop").services[0]
    assert "nobody sees where that lies" in unseen.refused[0].message
    assert "Start web" in unseen.refused[0].remedy


def test_a_masked_value_is_never_taken_for_the_value():
    assert "masked here" in refusal({"command": ["/x", "--password=********"]})
    assert "masked here" in refusal({"command": ["/x", "--password=hunter2"]})
    found = service({"healthcheck": {"test": ["CMD-SHELL", "ping --password=********"]}})
    assert "health" not in found.manifest["services"][0]
    assert "the check is not carried over" in found.warned[0].message
    assert "masked because it looks like a secret" in refusal({"extra_hosts": ["a=********"]})


def test_dollars_are_what_the_program_gets():
    assert body({"command": ["/bin/sh", "-c", "echo $$HOME $${X} $$$$"]})["start_command"][-1] == "echo $HOME ${X} $$"


def test_users_are_numbers_of_the_image():
    assert (body({})["user"], body({})["environment"]["HOME"]) == ("1000:1001", "/home/app")
    assert body({"user": "other"})["user"] == "7:7"
    assert body({"user": "other:audio"})["user"] == "7:29"
    assert body({"user": "0"})["user"] == "0:0"
    assert "ghost is in no /etc/passwd of the image" in refusal({"user": "ghost"})
    assert "ghosts is in no /etc/group of the image" in refusal({"user": "app:ghosts"})


def test_a_number_without_an_entry_has_the_group_of_root_as_in_a_container():
    assert body({"user": "5000"})["user"] == "5000:0"


def test_variables_of_the_service_stand_over_those_of_the_image_and_secrets_in_no_manifest():
    found = service({"environment": {"LANG": "de", "DB_PASSWORD": "hunter2", "URL": "postgres://a:hunter2@db/x", "B": None}})
    runs = found.manifest["services"][0]
    assert runs["environment"] == {"HOME": "/home/app", "LANG": "de", "PATH": "/opt/bin:/bin"}
    assert found.secret_environment == ("DB_PASSWORD", "URL")
    assert "hunter2" not in str(found)
    assert [finding.field for finding in found.warned] == ["services.web.environment.B"]


def test_health_checks_run_as_the_engine_runs_them():
    shell = {"test": ["CMD-SHELL", "curl -f localhost || exit 1"], "interval": "1m30s", "timeout": "5s", "retries": 3}
    assert body({"healthcheck": shell})["health"] == {
        "type": "exec", "command": ["/bin/sh", "-c", "curl -f localhost || exit 1"], "interval": 90.0, "timeout": 5.0,
    }  # fmt: skip
    assert service({"healthcheck": shell}).left_out["healthcheck.retries"]
    assert "health" not in body({"healthcheck": {"test": ["NONE"]}})
    assert "health" not in body({"healthcheck": {"disable": True}})


@pytest.mark.parametrize(("restart", "policy"), [
    (None, "never"), ("no", "never"), ("always", "always"), ("unless-stopped", "always"), ("on-failure:3", "on_failure"),
])  # fmt: skip
def test_restarts(restart, policy):
    assert body({"restart": restart})["restart_policy"] == policy


def test_a_service_whose_end_others_wait_for_runs_once():
    services = {
        "web": {"depends_on": {"migrate": {"condition": "service_completed_successfully"}, "db": {"condition": "service_healthy"}}}, "migrate": {}, "db": {},
    }  # fmt: skip
    found = convert({"name": "shop", "services": services}, dict.fromkeys(services, IMAGE), "shop")
    once = {item.name: item.manifest["services"][0].get("one_shot", False) for item in found.services}
    assert once == {"web": False, "migrate": True, "db": False}
    assert found.services[0].manifest["services"][0]["depends_on"] == ["migrate/migrate", "db/db"]


def test_nobody_waits_for_a_service_that_stays_behind():
    services = {"web": {"depends_on": {"db": {}}}, "db": {"privileged": True}}
    found = convert({"name": "shop", "services": services}, dict.fromkeys(services, IMAGE), "shop")
    assert "depends_on" not in found.services[0].manifest["services"][0]
    assert "depends_on names db, which stays behind" in found.services[0].warned[0].message


@pytest.mark.parametrize(("mount", "why"), [
    ({"type": "bind", "source": "/var/run/docker.sock", "target": "/var/run/docker.sock"}, "the socket of an engine"),
    ({"type": "bind", "source": "/", "target": "/host"}, "cannot be carried"),
    ({"type": "bind", "source": "/proc", "target": "/host/proc"}, "cannot be carried"),
    ({"type": "bind", "source": "/sys/fs", "target": "/x"}, "cannot be carried"),
    ({"type": "bind", "source": "/srv/a:b", "target": "/x"}, "a colon"),
    ({"type": "bind", "source": "/srv/a", "target": "/"}, "absolute path below /"),
    ({"type": "bind", "source": "/srv/a", "target": "/x", "bind": {"propagation": "rshared"}}, "shares mounts"),
    ({"type": "volume", "source": "share", "target": "/x"}, "mount something from elsewhere"),
    ({"type": "volume", "source": "cloud", "target": "/x"}, "the driver rexray"),
    ({"type": "volume", "source": "data", "target": "/x", "volume": {"subpath": "../.."}}, "lead out of the volume"),
    ({"type": "npipe", "source": "x", "target": "/x"}, "a mount of type npipe"),
])  # fmt: skip
def test_mounts_that_no_unit_can_have(mount, why):
    assert why in refusal({"volumes": [mount]})


def test_volumes_and_files_are_carried_to_folders_of_the_stack():
    image = replace(IMAGE, config={**IMAGE.config, "Volumes": {"/cache": {}, "/data": {}}})
    mounts = [
        {"type": "volume", "source": "data", "target": "/data/"}, {"type": "bind", "source": "/srv/app/etc", "target": "/etc/app", "read_only": True},
        {"type": "bind", "source": "/etc/localtime", "target": "/etc/localtime"}, {"type": "tmpfs", "target": "/scratch", "tmpfs": {"size": "64m"}},
    ]  # fmt: skip
    given = {"volumes": mounts, "configs": [{"source": "conf", "target": "/etc/conf"}], "secrets": [{"source": "password"}]}
    found = convert({**PROJECT, "services": {"web": given}}, {"web": image}, "shop").services[0]
    assert [(item.kind, item.source, item.path, item.target, item.read_only) for item in found.carried] == [
        ("volume", "shop_data", "/var/lib/bowline/shop/volumes/data", "/data", False),
        ("bind", "/srv/app/etc", "/var/lib/bowline/shop/files/srv/app/etc", "/etc/app", True),
        ("host", "/etc/localtime", "/etc/localtime", "/etc/localtime", True),
        ("anonymous", "/cache", "/var/lib/bowline/shop/volumes/web/cache", "/cache", False),
        ("config", "/srv/app/conf", "/etc/bowline/shop/configs/conf", "/etc/conf", True),
        ("secret", "/srv/app/secrets/password", "/etc/bowline/shop/secrets/password", "/run/secrets/password", True),
    ]
    assert found.manifest["services"][0]["tmpfs"] == ["/scratch:size=67108864"]


def test_capabilities_are_those_of_the_engine_and_none_that_would_reach_the_host():
    assert "CAP_CHOWN" in body({})["capabilities"]
    assert body({"cap_drop": ["ALL"], "cap_add": ["CAP_NET_BIND_SERVICE"]})["capabilities"] == ["CAP_NET_BIND_SERVICE"]
    assert body({"cap_drop": ["ALL"]})["capabilities"] == []
    for name in ("NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "ALL"):
        assert name in refusal({"cap_add": [name]})


def test_what_it_may_take():
    assert body({"cpu_quota": 50000, "cpu_period": 200000, "mem_limit": "512m", "memswap_limit": "768m", "pids_limit": 50})["resources"] == {
        "memory": 512 << 20, "swap": 256 << 20, "cpus": 0.25, "tasks": 50,
    }  # fmt: skip
    limits = {"resources": {"limits": {"cpus": 1.5, "memory": "1073741824", "pids": 9}, "reservations": {"memory": "1048576", "cpus": "0.1"}}}
    assert body({"deploy": limits})["resources"] == {"memory": 1 << 30, "memory_reservation": 1 << 20, "cpus": 1.5, "tasks": 9}
    # The default of the engine, 1024 shares, is about 39 of 10000; systemd's own default is 100.
    assert body({"cpu_shares": 1024})["resources"] == {"cpu_weight": 39}
    assert body({"cpu_shares": 2})["resources"] == {"cpu_weight": 1}
    assert body({"cpu_shares": 262144})["resources"] == {"cpu_weight": 10000}


def test_services_on_one_port_are_named_and_an_image_alone_only_warns():
    services = {"a": {"expose": ["8000"]}, "b": {"ports": [{"target": 8000, "published": "80", "protocol": "tcp", "mode": "ingress"}]}, "c": {}}
    found = [finding for finding in convert({"services": services}, dict.fromkeys(services, IMAGE), "shop").findings if finding.code == "port_pair"]
    assert [(finding.level, finding.object) for finding in found] == [("fail", "a and b and c")]
    only = convert({"services": {"a": {}, "c": {}}}, dict.fromkeys("ac", IMAGE), "shop").findings
    assert [(finding.code, finding.level) for finding in only] == [("port_pair", "warn")]


def test_two_names_that_are_one_label_are_told():
    found = convert({"services": {"my_app": {"entrypoint": ["/a"]}, "my.app": {"entrypoint": ["/a"]}}}, {}, "shop").findings
    assert any("my_app and my.app would both be the module 'my-app'" in finding.message for finding in found)


def test_names_of_the_stack_lead_to_this_host():
    found = convert({**PROJECT, "services": {
        "web": {"networks": {"default": {"aliases": ["shop"]}}, "links": ["db:database"], "extra_hosts": ["mail=192.0.2.5", "gw=host-gateway", "db=192.0.2.9"]},
        "db": {"container_name": "shop-db"},
    }}, {"web": IMAGE, "db": IMAGE}, "shop")  # fmt: skip
    assert found.hosts == dict.fromkeys(("web", "shop", "database", "db", "shop-db", "gw"), "127.0.0.1") | {"mail": "192.0.2.5"}


def test_an_image_that_is_gone_is_refused_with_what_to_type():
    found = convert({"services": {"web": {"image": "gone"}}}, {}, "shop").services[0]
    assert found.refused[0].message == "web: image is not on the old host."
    assert "docker compose pull" in found.refused[0].remedy


def test_an_address_in_a_network_of_the_old_host_is_refused():
    assert "192.0.2.7: an address that nothing has" in refusal({"networks": {"default": {"ipv4_address": "192.0.2.7"}}})
    assert "driver macvlan" in refusal({"networks": {"lan": None}})
    assert "is internal" in service({"networks": {"closed": None}}).warned[0].message
