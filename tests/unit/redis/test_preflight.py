# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in the way: every finding by name, and none for a pair that fits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._redis import facts
from ansible_collections.bowline.fleet.plugins.module_utils._redis.model import Endpoint, Options, Server
from ansible_collections.bowline.fleet.plugins.module_utils._redis.preflight import judge, reads

SETTINGS = {"databases": "16", "maxmemory": "0", "maxmemory-policy": "noeviction", "replica-read-only": "yes"}
LEGACY = Server("legacy", run_id="a", version="7.0.15", keys={0: 10, 3: 1}, settings=SETTINGS, used_memory=1000, persists="aof", users=("app", "default"))
NEW = replace(LEGACY, side="new", run_id="b", keys={})
OPTIONS = Options("replicating", "new", "replicate", Endpoint("legacy", "127.0.0.1", peer_host="l"), Endpoint("new", "/run/redis.sock", peer_host="n"))


def codes(legacy, new, level, options=OPTIONS, serves="legacy"):
    return [finding.code for finding in judge(options, legacy, new, serves) if finding.level == level]


@pytest.mark.parametrize(("legacy", "new", "level", "code"), [
    pytest.param({}, {"run_id": "a"}, "fail", "same_server", id="one server twice"),
    pytest.param({"cluster": True}, {}, "fail", "cluster_mode", id="cluster"),
    pytest.param({"sentinel": True}, {}, "fail", "sentinel", id="sentinel"),
    pytest.param({}, {"settings": {**SETTINGS, "replica-read-only": "no"}}, "fail", "replica_writable", id="writable replica"),
    pytest.param({"settings": {**SETTINGS, "replica-read-only": "no"}}, {}, "fail", "replica_writable", id="the old side could not be closed"),
    pytest.param({"version": "6.0.16"}, {}, "fail", "version_unsupported", id="before 6.2"),
    pytest.param({}, {"version": "6.2.14"}, "fail", "version_older", id="new is older"),
    pytest.param({"version": "7.4.1"}, {"flavor": "valkey", "version": "8.1.1"}, "fail", "version_older", id="another family, older format"),
    pytest.param({}, {"settings": {**SETTINGS, "databases": "3"}}, "fail", "databases_fewer", id="fewer databases"),
    pytest.param({}, {"settings": {**SETTINGS, "maxmemory": "999"}}, "fail", "memory_too_small", id="too little memory"),
    pytest.param({}, {"settings": {**SETTINGS, "maxmemory-policy": "allkeys-lru"}}, "fail", "eviction", id="evicts"),
    pytest.param({"modules": ("ReJSON",)}, {}, "fail", "module_missing", id="module"),
    pytest.param({"persists": "rdb"}, {"persists": "none"}, "fail", "persistence_missing", id="no persistence"),
    pytest.param({}, {"persists": "rdb"}, "warn", "persistence_weaker", id="weaker persistence"),
    pytest.param({"saves": False}, {}, "fail", "snapshot_failing", id="bgsave fails"),
    pytest.param({"has_file": False}, {}, "warn", "role_volatile", id="no file"),
    pytest.param({}, {"users": ("default",)}, "fail", "users_missing", id="an account"),
    pytest.param({"scripts": 3}, {}, "warn", "scripts_cached", id="scripts"),
    pytest.param({"replicas": (("10.0.0.9", 6379),)}, {}, "warn", "replicas_other", id="another replica"),
    pytest.param({"master": ("10.0.0.9", 6379)}, {}, "fail", "follows_other", id="legacy follows a stranger"),
    pytest.param({"version": "6.2.14"}, {}, "warn", "way_back_drain", id="legacy is older"),
    pytest.param({"version": "7.2.4"}, {"flavor": "valkey", "version": "9.1.2"}, "warn", "way_back_drain", id="to valkey 9"),
])  # fmt: skip
def test_each_finding(legacy, new, level, code):
    seen = (replace(LEGACY, **legacy), replace(NEW, **new))
    assert codes(*seen, level) == [code]
    assert codes(*seen, "warn" if level == "fail" else "fail") == []
    found = judge(OPTIONS, *seen, "legacy")[0]
    assert found.message.endswith((".", "again.")) and found.remedy and found.object in ("redis legacy", "redis new")


def test_a_pair_that_fits_has_none_in_either_direction():
    assert judge(OPTIONS, LEGACY, NEW, "legacy") == []
    assert judge(OPTIONS, replace(LEGACY, master=("n", 6379)), replace(NEW, keys=LEGACY.keys, replicas=(("l", 6379),)), "new") == []


def test_all_come_at_once():
    new = replace(NEW, users=(), settings={**SETTINGS, "databases": "1", "maxmemory": "1", "maxmemory-policy": "allkeys-lru"}, persists="none")
    assert codes(LEGACY, new, "fail") == ["databases_fewer", "memory_too_small", "eviction", "persistence_missing", "users_missing"]


def test_a_network_without_tls_is_said():
    options = replace(OPTIONS, legacy=Endpoint("legacy", "192.0.2.10", peer_host="l"), new=Endpoint("new", "192.0.2.20", 6380, tls=True, peer_host="n"))
    found = judge(options, LEGACY, NEW, "legacy")
    assert [(finding.code, finding.level, finding.field) for finding in found] == [("link_clear", "warn", "legacy.tls")]


@pytest.mark.parametrize(("tls", "legacy", "new", "fails"), [
    pytest.param(False, "no", "no", [], id="no TLS anywhere"),
    pytest.param(True, "yes", "yes", [], id="TLS everywhere"),
    pytest.param(True, "no", "yes", ["legacy"], id="the old side could not follow"),
    pytest.param(False, "yes", "yes", ["legacy", "new"], id="TLS to ports without"),
])  # fmt: skip
def test_a_link_by_tls_fits_the_port(tls, legacy, new, fails):
    ends = {side: Endpoint(side, "127.0.0.1", tls=tls, peer_host="127.0.0.1") for side in ("legacy", "new")}
    seen = [replace(server, settings={**SETTINGS, "tls-replication": word}) for server, word in ((LEGACY, legacy), (NEW, new))]
    found = judge(replace(OPTIONS, **ends), *seen, "legacy")
    assert [(finding.code, finding.object) for finding in found] == [("link_tls", f"redis {side}") for side in fails]
    elsewhere = {side: replace(end, peer_port=7000) for side, end in ends.items()}
    assert judge(replace(OPTIONS, **elsewhere), *seen, "legacy") == []


@pytest.mark.parametrize(("reader", "writer", "can"), [
    (("redis", "7.0.15"), ("redis", "6.2.14"), True), (("redis", "6.2.14"), ("redis", "7.0.15"), False), (("redis", "7.0.15"), ("redis", "7.0.2"), True),
    (("redis", "7.2.4"), ("redis", "7.0.15"), True), (("valkey", "8.1.1"), ("redis", "7.2.4"), True), (("valkey", "9.1.2"), ("redis", "7.0.15"), True),
    (("redis", "7.0.15"), ("valkey", "8.1.1"), False), (("redis", "8.0.2"), ("valkey", "8.1.1"), True), (("redis", "8.0.2"), ("valkey", "9.0.0"), False),
    (("redis", "9.0.0"), ("redis", "8.0.2"), True), (("redis", "7.0.15"), ("dragonfly", "1.0"), False),
])  # fmt: skip
def test_who_can_follow_whom(reader, writer, can):
    seen = [Server(side, flavor=flavor, version=version) for side, (flavor, version) in zip(("new", "legacy"), (reader, writer))]
    assert reads(*seen) is can


# Written after what redis 6.2.14 answers, with one replica, requirepass and appendonly; lines that are not read are left out.
RECORDED = {
    "server": "# Server\r\nredis_version:6.2.14\r\nredis_mode:standalone\r\nrun_id:0f9c\r\nconfig_file:\r\n",
    "replication": "# Replication\r\nrole:master\r\nconnected_slaves:1\r\nslave0:ip=172.18.0.4,port=6379,state=online,offset=1442,lag=0\r\n"
                   "master_failover_state:no-failover\r\nmaster_replid:8b1f\r\nmaster_repl_offset:1442\r\n",
    "persistence": "# Persistence\r\nloading:0\r\nrdb_last_bgsave_status:ok\r\naof_enabled:1\r\n",
    "memory": "# Memory\r\nused_memory:1034096\r\nused_memory_dataset:151152\r\nnumber_of_cached_scripts:2\r\n",
    "keyspace": "# Keyspace\r\ndb0:keys=12,expires=1,avg_ttl=0\r\ndb5:keys=1,expires=0,avg_ttl=0\r\n",
    "cluster": "# Cluster\r\ncluster_enabled:0\r\n",
}  # fmt: skip
SIX = {"databases": "16", "maxmemory": "0", "maxmemory-policy": "noeviction", "replica-read-only": "yes", "masteruser": "", "masterauth": "s3cret",
       "appendonly": "yes", "save": "3600 1 300 100 60 10000", "tls-replication": "no"}  # fmt: skip


class Recorded:
    """Answers of one server, as `Redis` gives them."""

    side = "legacy"

    def info(self, *sections):
        lines = [line for section in sections for line in RECORDED[section].split("\r\n")]
        return dict(line.partition(":")[::2] for line in lines if ":" in line and not line.startswith("#"))

    def config(self, *names):
        return {name: SIX[name] for name in names}

    def ask(self, *words):
        accounts = ["user app on #ab ~* &* +@all", "user default on #cd ~* &* +@all", "user old off ~* +@all"]
        return {"ACL": accounts, "MODULE": [["name", "ReJSON", "ver", 20007]], "PUBSUB": ["__sentinel__:hello", 0]}[words[0]]


def test_what_a_redis_6_says_is_read_and_judged():
    seen = facts.read(Recorded())
    assert (seen.version, seen.master, seen.offset, seen.keys, seen.replicas) == ("6.2.14", None, 1442, {0: 12, 5: 1}, (("172.18.0.4", 6379),))
    assert (seen.users, seen.modules, seen.scripts, seen.persists, seen.has_file) == (("app", "default"), ("ReJSON",), 2, "aof", False)
    assert seen.link_own and "s3cret" not in repr(seen) + str(seen.as_dict())
    assert codes(seen, replace(NEW, modules=("ReJSON",)), "fail") == []
    assert set(codes(seen, replace(NEW, modules=("ReJSON",)), "warn")) == {"way_back_drain", "role_volatile", "scripts_cached", "replicas_other"}
