# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every key that a service of a compose file can have, and what becomes of it.

Keys of https://github.com/compose-spec/compose-spec/blob/main/spec.md (``services``). One that is in no table here is refused: a key that
nobody has thought of is not dropped.
"""

from __future__ import annotations

import typing as t

# Has no meaning for a unit, or says the same there without being written.
LEFT_OUT: t.Mapping[str, str] = {
    "annotations": "notes for an engine",
    "attach": "decides what `docker compose up` shows",
    "build": "the image that runs is carried; nothing is built again",
    "cgroup": "a unit has a group of its own anyway",
    "container_name": "the stack's hosts file has it as a name of the service",
    "develop": "is for `docker compose watch`",
    "env_file": "its variables stand in environment already",
    "init": "systemd collects ended processes",
    "label_file": "its labels stand in labels already",
    "logging": "the journal keeps what the service says",
    "mac_address": "the service uses the network cards of the host",
    "oom_kill_disable": "a unit that takes too much memory is ended; with restart it starts again",
    "profiles": "decides what `docker compose up` starts; this service runs",
    "pull_policy": "the image that runs is carried",
    "stdin_open": "a unit has no terminal; what it reads from is empty",
    "tty": "a unit has no terminal; its output goes to the journal",
    "uts": "the service has the name of the host",
    "userns_mode": "the service has the users of the host",
}
# What needs an engine, or would give the service the host.
REFUSED: t.Mapping[str, str] = {
    "blkio_config": "limits of block devices by path are not carried over",
    "cgroup_parent": "names a control group of the old host",
    "credential_spec": "is for Windows",
    "device_cgroup_rules": "gives it devices of the host",
    "devices": "gives it devices of the host",
    "driver_opts": "is for a driver of an engine",
    "extends": "was not resolved; give the output of `docker compose config`",
    "external_links": "names a container of another project",
    "gpus": "gives it devices of the host",
    "isolation": "is for Windows",
    "models": "needs an engine that runs models",
    "post_start": "runs a command inside of a container",
    "pre_stop": "runs a command inside of a container",
    "provider": "needs a program of the engine's",
    "use_api_socket": "gives it the engine's socket",
    "volumes_from": "takes the file systems of another container",
}
# Read by the functions of the other files, each in the one named here.
CONVERTED: t.Mapping[str, tuple[str, ...]] = {
    "process": ("image", "command", "entrypoint", "working_dir", "user", "group_add", "environment", "stop_signal", "stop_grace_period", "restart",
                "healthcheck", "depends_on", "links"),
    "mounts": ("volumes", "configs", "secrets", "tmpfs", "shm_size", "read_only"),
    "confine": ("cap_add", "cap_drop", "privileged", "security_opt", "ulimits", "sysctls", "pid", "ipc", "runtime", "platform", "deploy", "scale",
                "mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit", "cpus", "cpu_count", "cpu_percent", "cpu_period", "cpu_quota",
                "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpuset", "pids_limit", "oom_score_adj", "storage_opt"),
    "network": ("ports", "expose", "networks", "network_mode", "hostname", "domainname", "extra_hosts", "dns", "dns_opt", "dns_search", "labels"),
}  # fmt: skip
KNOWN = frozenset((*LEFT_OUT, *REFUSED, *(key for keys in CONVERTED.values() for key in keys)))
