# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server says of itself, read in one visit. Nothing is written."""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from .model import LINK_KEPT, LINK_USER, SIDES, Server
from .redis import Redis, Refused

SETTINGS = ("databases", "maxmemory", "maxmemory-policy", "replica-read-only", "masteruser", "masterauth", "appendonly", "save", "tls-replication")


def read(server: Redis) -> Server:
    """All facts of one server. Its password for replication is read and stays here: only whether there is one is told."""
    info = server.info("server", "replication", "persistence", "memory", "keyspace", "cluster")
    settings = server.config(*SETTINGS)
    users = _users(server)
    follows = info.get("role") == "slave"
    user, has_auth = settings.pop("masteruser", ""), bool(settings.pop("masterauth", ""))
    valkey = info.get("valkey_version", "")
    return Server(
        side=server.side,
        run_id=info.get("run_id", ""),
        flavor="valkey" if valkey else "redis",
        version=valkey or info.get("redis_version", ""),
        master=(info.get("master_host", ""), _whole(info, "master_port")) if follows else None,
        link_up=info.get("master_link_status") == "up",
        copying=info.get("master_sync_in_progress") == "1",
        offset=_whole(info, "slave_repl_offset" if follows else "master_repl_offset"),
        replid=info.get("master_replid", ""),
        keys=keyspace(info),
        settings=settings,
        used_memory=_whole(info, "used_memory_dataset") or _whole(info, "used_memory"),
        persists="aof" if settings.get("appendonly") == "yes" else "rdb" if settings.get("save") else "none",
        saves=info.get("rdb_last_bgsave_status", "ok") == "ok",
        cluster=info.get("cluster_enabled") == "1",
        loading=info.get("loading") == "1",
        has_file=bool(info.get("config_file")),
        replicas=replicas(info),
        modules=tuple(sorted(dict(zip(found[::2], found[1::2])).get("name", "?") for found in _may(server, "MODULE", "LIST") or [])),
        users=tuple(sorted(name for name in users if name != LINK_USER)),
        scripts=_whole(info, "number_of_cached_scripts"),
        sentinel=_watched(server),
        link_user=LINK_USER in users,
        link_kept=LINK_KEPT in users.get(LINK_USER, ()),
        link_ours=user == LINK_USER,
        link_own=has_auth and user != LINK_USER,
    )


def both(servers: t.Mapping[str, Redis]) -> t.Tuple[Server, Server]:
    """Legacy and new; raises FleetError for the first that cannot be read."""
    found = [read(servers[side]) for side in SIDES]
    for server in found:
        if server.loading:
            message = f"{server.side} still loads its data set. Nothing was changed."
            raise FleetError("server_loading", message, remedy="Wait for the end of it, then run again.")
    return found[0], found[1]


def keyspace(info: t.Mapping[str, str]) -> t.Dict[int, int]:
    """``db0:keys=3,expires=1,avg_ttl=0`` of INFO keyspace, as keys by database."""
    found = {}
    for name, text in info.items():
        if name.startswith("db") and name[2:].isdigit() and text.startswith("keys="):
            found[int(name[2:])] = int(text[5:].partition(",")[0])
    return found


def replicas(info: t.Mapping[str, str]) -> t.Tuple[t.Tuple[str, int], ...]:
    """``slave0:ip=…,port=…,state=online,…`` of INFO replication."""
    found = []
    for number in range(_whole(info, "connected_slaves")):
        words = dict(pair.partition("=")[::2] for pair in info.get(f"slave{number}", "").split(","))
        found.append((words.get("ip", ""), _whole(words, "port")))
    return tuple(found)


def _users(server: Redis) -> t.Dict[str, t.List[str]]:
    """Accounts that can log in, with their rules: ``user <name> on …`` of ACL LIST, which shows passwords as SHA-256 only."""
    lines = [line.split(" ") for line in server.ask("ACL", "LIST")]
    return {words[1]: words[2:] for words in lines if len(words) > 2 and "on" in words[2:4]}


def _watched(server: Redis) -> bool:
    """Sentinels meet on a channel of each server that they watch (https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/)."""
    found = _may(server, "PUBSUB", "NUMSUB", "__sentinel__:hello")
    return bool(found) and int(found[1]) > 0


def _may(server: Redis, *words: str) -> t.Any:
    """The answer, or None where the server does not have that command: what it could say is then not there either."""
    try:
        return server.ask(*words)
    except Refused as error:
        if "unknown command" in error.said.lower():
            return None
        raise


def _whole(words: t.Mapping[str, str], name: str) -> int:
    text = words.get(name, "0")
    return int(text) if text.lstrip("-").isdigit() else 0
