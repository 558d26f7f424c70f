# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What exists: two servers, how each is reached, what each says of itself, and every failure of this room."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, field

SIDES = ("legacy", "new")
STATES = ("replicating", "promoted", "empty", "standalone", "absent")
MODES = ("replicate", "drain", "none")
LAYOUTS = ("sidekiq", "celery", "rq", "keys")

# The one account that a move makes: good for replication alone, on the side that is followed.
# https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/ ("ACL rules for Sentinel and Replicas")
LINK_USER = "bowline-link"
LINK_RULES = ("reset", "on", "+psync", "+replconf", "+ping")
# A pattern of keys that this account can do nothing with: it says that the account stands in the configuration file too.
LINK_KEPT = "~bowline:kept"

# CLIENT PAUSE … WRITE and CLIENT UNPAUSE are of 6.2 (https://redis.io/docs/latest/commands/client-pause/, History).
OLDEST = (6, 2)

FAILURES: dict[str, str] = {
    "auth_failed": "Redis: the server wants another user or password.",
    "cluster_mode": "Finding: the server is part of a Redis Cluster, whose slots are moved by its own means.",
    "databases_fewer": "Finding: legacy keeps keys in a database whose number new does not have.",
    "eviction": "Finding: new may throw away keys of queues when its memory is full, and legacy may not.",
    "file_missing": "A file that an option names is not there.",
    "follows_other": "Finding: a server follows a master that is none of the two.",
    "layout_missing": "Nothing says which keys are queues, so nothing can be proven idle or empty.",
    "link_auth": "Finding: the credentials for replication that a server has already are refused by the other one.",
    "link_clear": "Finding of level warn: what Redis holds goes over a network without TLS.",
    "link_down": "The side that follows has no link to the side that serves.",
    "link_tls": "Finding: a server would speak TLS to a port that does not, or the other way round.",
    "locked": "Another run of ours works on this pair; its address and age are named.",
    "loss_not_accepted": "Both servers take writes and hold keys; one of them would lose its own.",
    "memory_too_small": "Finding: new may use less memory than legacy's data takes.",
    "mode_unsupported": "The state cannot be reached in this mode.",
    "module_missing": "Finding: legacy has loaded a module that new lacks.",
    "not_redis": "What listens at the address does not speak as Redis does.",
    "option_invalid": "Redis: an option has a value that cannot work; nothing was changed.",
    "outcome_unknown": "Whether the side that was to be opened is open could not be read; the other side stays closed.",
    "persistence_missing": "Finding: new keeps nothing on disk, and legacy does.",
    "persistence_weaker": "Finding of level warn: new may lose more in a crash than legacy.",
    "privileges": "Redis: the user lacks a command.",
    "protected_mode": "The server serves only its own host.",
    "queue_not_empty": "Queues, schedules or jobs in progress were not empty in time; each is named with its size.",
    "redis_error": "A server refused a command; its own words are in the message.",
    "replica_writable": "Finding: the server takes writes although it follows, so it could not be closed.",
    "replicas_other": "Finding of level warn: servers that are none of the two follow legacy.",
    "role_volatile": "Finding of level warn: the server has no configuration file, so it forgets its role when it is restarted.",
    "same_server": "Finding: both addresses lead to one server.",
    "scripts_cached": "Finding of level warn: scripts that legacy keeps in memory are not on new.",
    "sentinel": "Finding: a Sentinel watches the server and would change roles by itself.",
    "server_busy": "The server runs a script that does not end.",
    "server_closed": "The server follows another one and takes no writes.",
    "server_loading": "The server still loads its data set.",
    "snapshot_failing": "Finding: legacy's last background save failed, and a copy needs one.",
    "tls": "Redis: the TLS handshake failed.",
    "users_missing": "Finding: applications log in to legacy as users that new does not have.",
    "version_older": "Finding: new is older than legacy and may not be able to read its data.",
    "version_unsupported": "Finding: the server is older than Redis 6.2, so writes cannot be paused without an error.",
    "way_back_closed": "The side that serves does not reach the other one, so it could not follow after a switch.",
    "way_back_drain": "Finding of level warn: legacy cannot read what new writes, so the way back is by emptied queues only.",
    "window_aborted": "The write pause ended without a switch; the side that served goes on.",
    "worker_failed": "The command that quiets or resumes the worker failed.",
    "worker_missing": "No worker process is registered, so nobody can tell that it is idle.",
}


@dataclass(frozen=True)
class Endpoint:
    """How this host reaches a server, and, as ``peer``, how the other server does. ``password`` is in no text and no result."""

    side: str
    host: str
    port: int = 6379
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    ca_file: t.Optional[str] = None
    certificate: t.Optional[str] = None
    key: t.Optional[str] = None
    peer_host: str = ""
    peer_port: int = 6379

    @property
    def where(self) -> str:
        return self.host if self.host.startswith("/") else f"{self.host}:{self.port}"

    @property
    def peer(self) -> t.Tuple[str, int]:
        """The words of REPLICAOF on the other server."""
        return self.peer_host, self.peer_port


@dataclass(frozen=True)
class Server:
    """What one server says of itself. ``master`` is None for a master, else the address that it follows; ``keys`` maps a database to its keys.

    ``offset`` is how far its stream has been written (master) or applied (replica). ``link_user`` is whether the account of a move is on it and
    ``link_kept`` whether in its file too, ``link_ours`` whether it follows with that account, ``link_own`` whether it had credentials before.
    """

    side: str
    run_id: str = ""
    flavor: str = "redis"
    version: str = ""
    master: t.Optional[t.Tuple[str, int]] = None
    link_up: bool = False
    copying: bool = False
    offset: int = 0
    replid: str = ""
    keys: t.Mapping[int, int] = field(default_factory=dict)
    settings: t.Mapping[str, str] = field(default_factory=dict)
    used_memory: int = 0
    persists: str = "none"
    saves: bool = True
    cluster: bool = False
    loading: bool = False
    has_file: bool = True
    replicas: t.Tuple[t.Tuple[str, int], ...] = ()
    modules: t.Tuple[str, ...] = ()
    users: t.Tuple[str, ...] = ()
    scripts: int = 0
    sentinel: bool = False
    link_user: bool = False
    link_kept: bool = False
    link_ours: bool = False
    link_own: bool = False

    @property
    def numbers(self) -> t.Tuple[int, ...]:
        return tuple(int(word) for word in self.version.split(".") if word.isdigit())

    @property
    def total(self) -> int:
        return sum(self.keys.values())

    def as_dict(self) -> t.Dict[str, t.Any]:
        """For a result: role and address in words."""
        shown = asdict(self)
        shown["role"] = "master" if self.master is None else "replica"
        shown["master"] = "" if self.master is None else f"{self.master[0]}:{self.master[1]}"
        shown["replicas"] = [f"{host}:{port}" for host, port in self.replicas]
        shown["keys"] = {str(number): count for number, count in sorted(self.keys.items())}
        return shown


@dataclass(frozen=True)
class Layout:
    """Which keys hold jobs. ``keys`` are patterns of one's own, of layout ``keys``: {pattern, kind}, kind queue, busy or scheduled."""

    kind: str
    db: int = 0
    prefix: str = ""
    queues: t.Tuple[str, ...] = ()
    keys: t.Tuple[t.Mapping[str, str], ...] = ()


@dataclass(frozen=True)
class Jobs:
    """What one layout holds now. ``processes`` maps a worker process to its last beat; None where the layout registers none."""

    layout: str
    queues: t.Mapping[str, int] = field(default_factory=dict)
    busy: t.Mapping[str, int] = field(default_factory=dict)
    scheduled: t.Mapping[str, int] = field(default_factory=dict)
    processes: t.Optional[t.Mapping[str, str]] = None
    quiet: bool = True

    @property
    def idle(self) -> bool:
        """Nobody works, and nobody takes a next job."""
        return self.quiet and not any(self.busy.values())

    def left(self, accepted: t.Collection[str] = ()) -> t.Dict[str, int]:
        """What is not empty, by name; a schedule that may be lost is named in ``accepted``."""
        scheduled = {name: size for name, size in self.scheduled.items() if name not in accepted}
        return {name: size for name, size in {**self.queues, **self.busy, **scheduled}.items() if size}


@dataclass(frozen=True)
class Options:
    """What a run is asked for."""

    state: str
    side: str
    mode: str
    legacy: Endpoint
    new: Endpoint
    layouts: t.Tuple[Layout, ...] = ()
    quiet: t.Tuple[str, ...] = ()
    resume: t.Tuple[str, ...] = ()
    drain_timeout: float = 300.0
    max_window: float = 5.0
    window_attempts: int = 3
    wait_timeout: float = 300.0
    persist: bool = True
    accept_loss: t.Tuple[str, ...] = ()
    accept_scheduled_loss: t.Tuple[str, ...] = ()

    def endpoint(self, side: str) -> Endpoint:
        return self.legacy if side == "legacy" else self.new


def other(side: str) -> str:
    return SIDES[1 - SIDES.index(side)]
