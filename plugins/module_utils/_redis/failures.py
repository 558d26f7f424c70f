# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about failures of this room; see _core/failures.py."""

from __future__ import annotations

from .._core.failures import NOTHING_WRITTEN, Advice

SERVES = "The side that serves goes on with every write; no side is open that was not."
WARNS = "Everything; a finding of level warn stops nothing."

ADVICE = {
    "auth_failed": Advice(
        "The server refuses the user or the password, or wants one and none is named.",
        "Correct `user` and the file that `password_file` names. Without a user the password is that of the account `default` (`requirepass`).",
        SERVES,
    ),
    "cluster_mode": Advice(
        "The server is one of a Redis Cluster: its keys are spread by slots, and roles are the cluster's.",
        "Move its slots with `redis-cli --cluster`, or leave Redis out of the move (`mode: none`) where it only caches.",
        NOTHING_WRITTEN,
    ),
    "databases_fewer": Advice(
        "Legacy keeps keys in a database whose number new does not have; new would end itself while it reads them.",
        "Set `databases` in the configuration of new to at least the number that is named, and restart it.",
        NOTHING_WRITTEN,
    ),
    "eviction": Advice(
        "`maxmemory-policy` of new may throw any key away when its memory is full, and that of legacy may not: jobs would vanish without a word.",
        "Set the policy of legacy on new (`CONFIG SET maxmemory-policy noeviction`, and in its configuration file).",
        NOTHING_WRITTEN,
    ),
    "file_missing": Advice(
        "The file that `password_file`, `ca_file`, `certificate` or `key` names is not on the host on which the module runs.",
        "Put it there. The file of a password holds nothing else and has mode 0600.",
        NOTHING_WRITTEN,
    ),
    "follows_other": Advice(
        "A server follows a master that is none of the two, or is one of the two under another name than `peer_host` has.",
        "Name the master itself; or correct `peer_host` and `peer_port`; or end that replication there (`REPLICAOF NO ONE`).",
        NOTHING_WRITTEN,
    ),
    "layout_missing": Advice(
        "The state is a proof about queues, and no option says which keys are queues.",
        "Name the layout of the worker: `layouts: [{kind: sidekiq}]`, celery, rq, or keys with patterns of your own.",
        NOTHING_WRITTEN,
    ),
    "link_auth": Advice(
        "The follower has `masterauth` of its own, from its configuration, and the other side refuses it.",
        "Correct it there, or empty `masteruser` and `masterauth`; then the move makes an account of its own.",
        NOTHING_WRITTEN,
    ),
    "link_clear": Advice(
        "The port is reached over a network and without TLS, so passwords and jobs can be read in the path.",
        "Switch TLS on (`tls-port`, and `tls-replication yes` on both), or put the path into WireGuard or ssh.",
        WARNS,
    ),
    "link_down": Advice(
        "The follower did not get its link: a closed port between the servers, another address seen from there, TLS on one side only, a full disk.",
        "Read the log of the follower, correct `peer_host` and `peer_port` or the path, and run the same task again.",
        SERVES,
    ),
    "link_tls": Advice(
        "A server speaks TLS to its master or does not, for all masters alike (`tls-replication`), and the port of the other side is of the other kind.",
        "`CONFIG SET tls-replication yes` (or `no`) there, and in its configuration file; or name a port of that kind in `peer_port`.",
        NOTHING_WRITTEN,
    ),
    "locked": Advice(
        "Another run, or the watchdog of one, works on this pair. Its connection is named; it may run on another host.",
        "Wait for its end. If its host is gone, end its connection with the command that is named.",
        NOTHING_WRITTEN,
    ),
    "loss_not_accepted": Advice(
        "Both servers take writes and hold keys of their own; to follow, one of them would lose its keys. It is new before a first copy, or an old side "
        "that was restarted without its role.",
        "Look at both. Name the side whose keys may go: `accept_loss: [new]`, or `[legacy]`.",
        NOTHING_WRITTEN,
    ),
    "memory_too_small": Advice(
        "`maxmemory` of new is less than what the data of legacy takes: it could not hold it, or would evict.",
        "Raise it with the command that is named, and in its configuration file.",
        NOTHING_WRITTEN,
    ),
    "mode_unsupported": Advice(
        "The state cannot be reached from here in this mode; the message says from where it can.",
        "Follow the message: another mode, or the step that comes first.",
        NOTHING_WRITTEN,
    ),
    "module_missing": Advice(
        "Legacy has loaded a module that new lacks; new would refuse the copy.",
        "Load it on new (`loadmodule`), in the same version, or unload it on legacy when no key needs it.",
        NOTHING_WRITTEN,
    ),
    "not_redis": Advice(
        "Something else listens at the address, or the port speaks TLS and the option says it does not.",
        "Correct `host` and `port`, or say `tls: true`.",
        SERVES,
    ),
    "option_invalid": Advice(
        "An option has a value that cannot work; every one that is wrong is named.",
        "Correct the options that are named.",
        NOTHING_WRITTEN,
    ),
    "outcome_unknown": Advice(
        "The connection to the side that was to be opened broke at the very moment of the opening, and it does not answer.",
        "Make it answer, then run the same task again: it reads both roles and goes on from there.",
        "The old side stays closed, so two sides are never open.",
    ),
    "persistence_missing": Advice(
        "Legacy keeps its keys on disk and new does not: after a restart new would begin empty.",
        "`CONFIG SET appendonly yes` on new, and in its configuration file.",
        NOTHING_WRITTEN,
    ),
    "persistence_weaker": Advice(
        "Legacy appends each write to a file and new saves now and then: a crash of new loses more.",
        "`CONFIG SET appendonly yes` on new, and in its configuration file, unless that is meant.",
        WARNS,
    ),
    "privileges": Advice(
        "The account of the module lacks a command. It needs INFO, CONFIG, ACL, CLIENT, REPLICAOF, MULTI and, for queues, reading.",
        "Grant the command that is named with `ACL SETUSER`, or name an account that has it.",
        SERVES,
    ),
    "protected_mode": Advice(
        "The server has no password and no bind address, so it answers nobody but its own host.",
        "Give it a password (`requirepass`) or a bind address.",
        NOTHING_WRITTEN,
    ),
    "queue_not_empty": Advice(
        "Jobs were still in progress, or queues and schedules still held something, when the time was up; each is named with its size.",
        "Let the worker finish, raise `drain_timeout`, or name schedules that may be lost in `accept_scheduled_loss`.",
        SERVES + " A worker that was quieted is resumed by `worker.resume`.",
    ),
    "redis_error": Advice(
        "The server refused a command; its own words stand in the message. Often it was renamed or switched off in its configuration.",
        "Allow the command for the time of the move, then run again.",
        SERVES,
    ),
    "replica_writable": Advice(
        "`replica-read-only` is no: the side that follows would take writes, which nobody else ever sees.",
        "`CONFIG SET replica-read-only yes` there, and in its configuration file.",
        NOTHING_WRITTEN,
    ),
    "replicas_other": Advice(
        "Servers that are none of the two follow legacy. After the switch they follow a follower, which works and adds delay.",
        "Let them follow the new side after the switch, or end them.",
        WARNS,
    ),
    "role_volatile": Advice(
        "The server was started without a configuration file, so its role is in its memory only: restarted, it takes writes.",
        "Start it with a file that it may write, or see that nobody restarts the side that is closed.",
        WARNS,
    ),
    "same_server": Advice("Both addresses lead to one server.", "Correct `legacy` or `new`.", NOTHING_WRITTEN),
    "scripts_cached": Advice(
        "Scripts that clients have loaded with SCRIPT LOAD are no data and stay behind; EVALSHA answers NOSCRIPT once.",
        "Nothing, where the client sends a script again, as Sidekiq, redis-py and ioredis do.",
        WARNS,
    ),
    "sentinel": Advice(
        "A Sentinel watches the server: it would take the pause for a failure, and undo a change of roles.",
        "`SENTINEL REMOVE <name>` on each Sentinel for the move; let them watch the new master afterwards.",
        NOTHING_WRITTEN,
    ),
    "server_busy": Advice(
        "A script or function has run for longer than `busy-reply-threshold`, and the server answers nothing else.",
        "`SCRIPT KILL` or `FUNCTION KILL` ends one that has not written; then run again.",
        SERVES,
    ),
    "server_closed": Advice(
        "The server follows the other one and takes no writes.",
        "Send writes to the side that serves; `redis_sync_info` says which.",
        SERVES,
    ),
    "server_loading": Advice(
        "The server was started and still reads its data from disk.",
        "Wait until it has (`INFO persistence`, loading), then run again.",
        SERVES,
    ),
    "snapshot_failing": Advice(
        "The last background save of legacy failed, and a first copy needs one: a full disk, or no memory for the fork.",
        "Read its log, mend that, try `BGSAVE`, then run again.",
        NOTHING_WRITTEN,
    ),
    "tls": Advice(
        "The handshake failed: the certificate is of another CA or name, the server wants a certificate of the client, or the port speaks no TLS.",
        "Correct `ca_file`, `host`, `certificate` and `key`, or `tls`.",
        NOTHING_WRITTEN + " The server was sent no password.",
    ),
    "users_missing": Advice(
        "Accounts are no data: an application that logs in to legacy as one that new lacks could not log in after the switch.",
        "Make them on new with the same passwords and rights; `ACL LIST` on legacy shows them with the SHA-256 of their passwords, which ACL SETUSER takes.",
        NOTHING_WRITTEN,
    ),
    "version_older": Advice(
        "New is older than legacy, or of another family: it may not read the format or know the commands.",
        "Install at least the version that is named, or use `mode: drain`.",
        NOTHING_WRITTEN,
    ),
    "version_unsupported": Advice(
        "Before 6.2 a server cannot pause writes alone, so a switch would break connections.",
        "Update it within its own host first, or use `mode: drain`.",
        NOTHING_WRITTEN,
    ),
    "way_back_closed": Advice(
        "The link works in one direction only: a firewall, or another address seen from the side that serves. After a switch it could not follow, and "
        "what is written then would not come back. It was tried by the server itself.",
        "Open the port that is named, or correct `peer_host` and `peer_port` of the side that is to be reached; then run again.",
        SERVES,
    ),
    "way_back_drain": Advice(
        "Legacy is older than new and could not follow it after the switch.",
        "Update legacy to the version of new before the move. Otherwise the way back is `mode: drain`, with emptied queues.",
        WARNS,
    ),
    "window_aborted": Advice(
        "The target did not become equal within `max_window`, or something failed in the pause; the reason stands in the message.",
        "Mend the reason (load, a slow link), or raise `max_window`; then run again.",
        "The side that served takes the writes again; no write was lost.",
    ),
    "worker_failed": Advice(
        "The command of `worker` did not end with 0.",
        "Try it by hand on the host on which the module runs, correct it, then run again.",
        SERVES,
    ),
    "worker_missing": Advice(
        "No process of the worker is registered in Redis. It is down, or works on another database or prefix; nobody can tell that it is idle.",
        "Start it, or correct `db` and `prefix` of its layout; for a worker that is down for good leave its layout out.",
        NOTHING_WRITTEN,
    ),
}
