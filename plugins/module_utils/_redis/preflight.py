# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in the way of a move, judged before the first write. Pure: facts in, findings out, all at once."""

from __future__ import annotations

import typing as t

from .._core.finding import Finding
from .model import OLDEST, Options, Server, other

# Version of the format of RDB files by version of the server, src/rdb.h (RDB_VERSION) of each; a server reads its own and older ones.
# Valkey 7.2 to 8.1 kept 11; Valkey 9.0 began with 80 and refuses what lies between, which is Redis's alone (RDB_FOREIGN_VERSION_MIN, _MAX).
_RDB = {
    "redis": (((6, 0), 9), ((7, 0), 10), ((7, 2), 11), ((7, 4), 12), ((8, 0), 12)),
    "valkey": (((7, 2), 11), ((9, 0), 80)),
}
_COMMON = 11
_LOOPBACK = ("127.", "::1", "localhost")


def rdb_version(server: Server) -> int:
    """The newest format that the server reads; 0 when its version says nothing."""
    known = [number for since, number in _RDB.get(server.flavor, ()) if server.numbers >= since]
    return known[-1] if known else 0


def reads(reader: Server, writer: Server) -> bool:
    """Whether ``reader`` can follow ``writer``: it reads the format, and knows the commands."""
    if reader.flavor == writer.flavor:
        return reader.numbers[:2] >= writer.numbers[:2] and rdb_version(writer) > 0
    return min(rdb_version(reader), _COMMON) >= rdb_version(writer) > 0


def judge(options: Options, legacy: Server, new: Server, serves: str) -> t.List[Finding]:
    """Findings about both. ``serves`` is the side that is followed now; the judgement is the same on the way back."""
    source, target = (legacy, new) if serves != "new" else (new, legacy)
    found = [*_servers(source, target), *_clear(options)]
    if options.mode == "replicate":
        found += [*_versions(source, target), *_capacity(source, target), *_disk(source, target), *_accounts(source, target)]
        found += [*_others(source, target), *_roles(options, source, target), *_speech(options, source, target)]
    return found


def _fail(code: str, server: Server, message: str, remedy: str, field: str = "") -> Finding:
    return Finding(code, "fail", f"redis {server.side}", message, remedy, field)


def _warn(code: str, server: Server, message: str, remedy: str) -> Finding:
    return Finding(code, "warn", f"redis {server.side}", message, remedy)


def _servers(source: Server, target: Server) -> t.Iterator[Finding]:
    if source.run_id and source.run_id == target.run_id:
        yield _fail("same_server", target, "Both addresses lead to one server.", "Correct legacy or new.", "new.host")
    for server in (source, target):
        if server.cluster:
            remedy = "Move its slots with redis-cli --cluster; this moves a single server."
            yield _fail("cluster_mode", server, "The server is part of a Redis Cluster.", remedy)
        if server.sentinel:
            remedy = "Take it out of Sentinel for the move (SENTINEL REMOVE <name> on each Sentinel), and put the new master in afterwards."
            yield _fail("sentinel", server, "A Sentinel watches the server and would change roles by itself.", remedy)
        if server.settings.get("replica-read-only") == "no":
            message = "replica-read-only is no: as a follower it would take writes, which are lost."
            yield _fail("replica_writable", server, message, "CONFIG SET replica-read-only yes, and in redis.conf.")


def _clear(options: Options) -> t.Iterator[Finding]:
    for end in (options.legacy, options.new):
        if not end.tls and not end.host.startswith(("/", *_LOOPBACK)):
            message = f"{end.side}.tls is false: password and data go to {end.where} in clear."
            remedy = "Use TLS, or a path that is encrypted otherwise (WireGuard, ssh)."
            yield Finding("link_clear", "warn", f"redis {end.side}", message, remedy, f"{end.side}.tls")


def _versions(source: Server, target: Server) -> t.Iterator[Finding]:
    unsupported = [server for server in (source, target) if server.numbers and server.numbers < OLDEST]
    if unsupported:
        for server in unsupported:
            remedy = "Update it to 6.2 or newer first, or use mode: drain."
            yield _fail("version_unsupported", server, f"{server.flavor} {server.version} cannot pause writes without an error.", remedy)
    elif not reads(target, source):
        message = f"{target.flavor} {target.version} may not be able to read what {source.flavor} {source.version} writes."
        yield _fail("version_older", target, message, f"Install {source.flavor} {source.version} or newer there, or use mode: drain.")
    elif not reads(source, target):
        message = f"{source.flavor} {source.version} cannot read what {target.flavor} {target.version} writes, so it cannot follow after the switch."
        yield _warn("way_back_drain", source, message, "Update it to the same version first; without that the way back is mode: drain, with emptied queues.")


def _capacity(source: Server, target: Server) -> t.Iterator[Finding]:
    most = max(source.keys, default=0)
    have = _number(target, "databases")
    if have and most >= have:
        message = f"{source.side} keeps keys in database {most}, {target.side} has databases 0 to {have - 1} and would end itself while it reads them."
        yield _fail("databases_fewer", target, message, f"Set databases {most + 1} or more in its redis.conf and restart it.")
    limit = _number(target, "maxmemory")
    if limit and limit < source.used_memory:
        message = f"maxmemory is {limit} bytes, the data of {source.side} takes {source.used_memory}."
        yield _fail("memory_too_small", target, message, f"CONFIG SET maxmemory {source.used_memory * 2}, and in redis.conf.")
    policies = [server.settings.get("maxmemory-policy", "noeviction") for server in (source, target)]
    if policies[1].startswith("allkeys") and not policies[0].startswith("allkeys"):
        message = f"maxmemory-policy is {policies[1]}, on {source.side} {policies[0]}: queues could be thrown away."
        yield _fail("eviction", target, message, f"CONFIG SET maxmemory-policy {policies[0]}, and in redis.conf.")
    missing = sorted(set(source.modules) - set(target.modules))
    if missing:
        message = f"{', '.join(missing)} is loaded on {source.side} and not here; its keys could not be read."
        yield _fail("module_missing", target, message, "Load the module on it (loadmodule in redis.conf), in the same version.")


def _disk(source: Server, target: Server) -> t.Iterator[Finding]:
    order = ("none", "rdb", "aof")
    if target.persists == "none" and source.persists != "none":
        message = f"It keeps nothing on disk, {source.side} does ({source.persists}): a restart after the switch would begin empty."
        yield _fail("persistence_missing", target, message, "CONFIG SET appendonly yes, and in redis.conf.")
    elif order.index(target.persists) < order.index(source.persists):
        message = f"It saves by {target.persists}, {source.side} by {source.persists}: a crash loses what came since the last save."
        yield _warn("persistence_weaker", target, message, "CONFIG SET appendonly yes, and in redis.conf.")
    if not source.saves:
        remedy = "Read its log (disk full, no memory for fork), mend it, and try BGSAVE."
        yield _fail("snapshot_failing", source, "The last background save failed, and a copy needs one.", remedy)
    for server in (source, target):
        if not server.has_file:
            message = "It has no configuration file, so after a restart it would take writes whatever its role was."
            remedy = "Start it with a configuration file that it may write, or see that nobody restarts the side that follows."
            yield _warn("role_volatile", server, message, remedy)


def _accounts(source: Server, target: Server) -> t.Iterator[Finding]:
    missing = sorted(set(source.users) - set(target.users))
    if missing:
        message = f"{', '.join(missing)} can log in to {source.side} and not here; accounts do not come with the data."
        yield _fail("users_missing", target, message, "Make them there with ACL SETUSER, or in its configuration; ACL LIST on the other side shows them.")
    if source.scripts:
        message = f"{source.scripts} scripts in its memory do not come along; a client that uses EVALSHA gets NOSCRIPT once and sends it again."
        yield _warn("scripts_cached", source, message, "Nothing, if the client does so (Sidekiq, redis-py, ioredis do); functions come with the data.")


def _others(source: Server, target: Server) -> t.Iterator[Finding]:
    others = [f"{host}:{port}" for host, port in source.replicas]
    if len(others) > (1 if target.master is not None else 0):
        message = f"{', '.join(others)} follow it, which is more than the pair; after the switch they follow a follower."
        yield _warn("replicas_other", source, message, f"Let them follow {target.side} after the switch, or end them.")


def _roles(options: Options, source: Server, target: Server) -> t.Iterator[Finding]:
    for server in (source, target):
        if server.master is not None and server.master != options.endpoint(other(server.side)).peer:
            message = f"It follows {server.master[0]}:{server.master[1]}."
            remedy = f"Name its master instead, take it out (REPLICAOF NO ONE), or, if that is {other(server.side)}, correct peer_host there."
            yield _fail("follows_other", server, message, remedy)


def _speech(options: Options, source: Server, target: Server) -> t.Iterator[Finding]:
    """Both would follow the other one in turn. Of a port that this host does not use nobody knows what it speaks."""
    for server in (source, target):
        master = options.endpoint(other(server.side))
        speaks = server.settings.get("tls-replication") == "yes"
        if master.peer_port == master.port and not master.host.startswith("/") and speaks != master.tls:
            message = f"tls-replication is {'yes' if speaks else 'no'}, and the port of {master.side} {'speaks' if master.tls else 'does not speak'} TLS."
            remedy = f"CONFIG SET tls-replication {'no' if speaks else 'yes'}, and in redis.conf; or say {master.side}.peer_port."
            yield _fail("link_tls", server, message, remedy, f"{master.side}.peer_port")


def _number(server: Server, name: str) -> int:
    text = server.settings.get(name, "0")
    return int(text) if text.isdigit() else 0
