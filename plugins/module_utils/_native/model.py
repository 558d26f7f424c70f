# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What exists in a stack of native modules: manifests (schema_version 1), their services, units and the states of units."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

FAILURES: dict[str, str] = {
    "manifest_invalid": "A manifest has keys or values that schema_version 1 does not know; every finding is listed with its path.",
    "unit_cycle": "Services wait for each other in a circle; the circle is named, nothing was written.",
    "capability_conflict": "Two modules provide the same capability, a required one is missing, or two modules exclude each other.",
    "unit_invalid": "systemd refuses the text of a unit that would be written; the old unit is untouched.",
    "locale_unknown": "Debian has no locale of this name, so no cluster can be made with it.",
    "no_space": "The file system of a file of the stack is full; the file that was there is as it was.",
    "unit_failed": "A unit did not reach its condition; its state and last log lines are in the details.",
    "unsafe_path": "Others could write in the folder of the units, which root runs; no unit was written there.",
    "artifact_invalid": "The file of an artifact is not what its digest says, or cannot be unpacked; nothing of it is used.",
    "artifact_failed": "The archive of an image could not be made; the words of the program that failed are in the message.",
    "ports_open": "A service would listen where others reach it, on a port that its compose file did not publish.",
    "account_failed": "A user or group that a service of an image runs as could not be added to the host.",
    "image_missing": "The image is not on this host.",
    "file_missing": "A file that a unit reads at its start is not there.",
    "status_unreadable": "systemd did not answer a question about a unit; an unreadable answer is never taken for 'not running'.",
}

# The line by which a unit file is found again; units are never found by their name alone.
MARK = "X-Bowline-Stack="
STATES = ("active", "present", "inactive", "masked")
PROFILES = ("default", "strict", "trusted")
# Where artifacts are unpacked, by digest; the folders of stacks lie beside them.
BASE = "/var/lib/bowline"
RESTART_POLICIES = ("never", "on_failure", "always")
HEALTH_TYPES = ("http", "tcp", "exec", "notify")
# Names as compose and setrlimit(2) have them; systemd's LimitX of systemd.exec(5) is the same in capitals.
LIMITS = (
    "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending",
    "stack",
)  # fmt: skip
# Seconds: a database writes its last checkpoint in them. Whoever is killed before that is no worse than after a crash, but starts slowly.
STOP_TIMEOUT = 300.0
LONGEST_STOP = 7200.0


@dataclass(frozen=True)
class Health:
    """How to ask a service whether it serves. ``port`` is 0 and ``command`` empty where the type needs none. Durations in seconds."""

    type: str
    host: str = "127.0.0.1"
    port: int = 0
    path: str = "/"
    status: int = 200
    command: tuple[str, ...] = ()
    interval: float = 30
    timeout: float = 5
    initial_delay: float = 0


@dataclass(frozen=True)
class Limit:
    """A resource limit; None is no limit."""

    name: str
    soft: t.Optional[int]
    hard: t.Optional[int]


# What Docker gives every container (its unit sets LimitNOFILE so); systemd's own soft limit of 1,024 is less than such programs are used to.
DEFAULT_LIMITS = (Limit("nofile", 1048576, 1048576),)


@dataclass(frozen=True)
class Inside:
    """What a service that runs in the files of an image has beside the others; see `container`.

    ``groups`` are numbers, ``shared_memory`` bytes (0: as much as the kernel gives), ``resources`` those of `container.RESOURCES`.
    ``secret_environment`` names variables whose values stand in a file of the host.
    """

    groups: tuple[int, ...] = ()
    network: str = "host"
    one_shot: bool = False
    tmpfs: tuple[str, ...] = ()
    shared_memory: int = 0
    read_only: bool = False
    no_new_privileges: bool = False
    resources: tuple[tuple[str, t.Any], ...] = ()
    secret_environment: tuple[str, ...] = ()


@dataclass(frozen=True)
class Service:
    """One process of a module. ``user`` is empty for root, ``depends_on`` holds full names (``module/service``).

    With a ``reload_command`` it reads its configuration again without a restart.
    """

    name: str
    start_command: tuple[str, ...]
    stop_command: tuple[str, ...] = ()
    reload_command: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"
    stop_timeout: float = STOP_TIMEOUT
    limits: tuple[Limit, ...] = DEFAULT_LIMITS
    restart_policy: str = "on_failure"
    user: str = ""
    working_directory: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    capabilities: tuple[str, ...] = ()
    state_directory: tuple[str, ...] = ()
    binds: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    health: t.Optional[Health] = None
    inside: t.Optional[Inside] = None


@dataclass(frozen=True)
class Security:
    """``profile`` chooses the sandbox; ``privileged`` switches it off and needs the approval of the operator."""

    profile: str = "default"
    apparmor: str = ""
    privileged: bool = False


@dataclass(frozen=True)
class Manifest:
    """One module. ``provides`` maps a capability to its version; ``requires`` and ``conflicts`` map it to a range ("" is any).

    ``image`` is the id of the container image whose files its services run in; empty for programs of the host. ``hosts`` are names that its
    services look up, with their addresses; ``published`` are the ports of its services that others may reach.
    """

    name: str
    id: str
    version: str
    digest: str
    provides: tuple[tuple[str, str], ...] = ()
    requires: tuple[tuple[str, str], ...] = ()
    conflicts: tuple[tuple[str, str], ...] = ()
    services: tuple[Service, ...] = ()
    mask: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    security: Security = Security()
    reversible: bool = True
    reboot_required: bool = False
    image: str = ""
    hosts: tuple[tuple[str, str], ...] = ()
    published: tuple[int, ...] = ()


@dataclass(frozen=True)
class Unit:
    """One rendered unit. ``order`` counts from 0 in start order over the whole stack; ``user`` is set for one that runs in files of its own."""

    name: str
    text: str
    module: str
    service: str
    order: int
    reloads: bool = False
    inputs: tuple[str, ...] = ()
    health: t.Optional[Health] = None
    user: str = ""

    @property
    def full_name(self) -> str:
        return f"{self.module}/{self.service}"


@dataclass(frozen=True)
class UnitState:
    """What systemd says of a unit. ``since`` is the time of the last start or reload in epoch seconds, 0.0 when it never ran."""

    load: str = "not-found"
    active: str = "inactive"
    file: str = ""
    result: str = ""
    restarts: int = 0
    since: float = 0.0
    needs_daemon_reload: bool = False

    @property
    def masked(self) -> bool:
        return self.load == "masked" or self.file.startswith("masked")

    @property
    def running(self) -> bool:
        return self.active in ("active", "reloading", "activating", "deactivating")

    @property
    def enabled(self) -> bool:
        return self.file == "enabled"


@dataclass(frozen=True)
class Observed:
    """The host now: unit texts that stand in the unit directory, states of units, and times of change of inputs (epoch seconds).

    An input that does not exist is missing from ``modified``.
    """

    texts: t.Mapping[str, str] = field(default_factory=dict)
    states: t.Mapping[str, UnitState] = field(default_factory=dict)
    modified: t.Mapping[str, float] = field(default_factory=dict)

    def state(self, unit: str) -> UnitState:
        return self.states.get(unit, UnitState())
