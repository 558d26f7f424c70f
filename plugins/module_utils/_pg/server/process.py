# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starting and stopping one server, and running its own programs where it lives.

A server is a container (docker), a systemd unit, or a data directory (pg_ctl), in this order of the endpoint's options. ``command_prefix``
stands before every command, so the host may be another one. Nothing here needs a connection to the server.
"""

from __future__ import annotations

import os.path
import shlex
import typing as t

from ..._core.errors import FleetError
from ..._core.runner import Completed, Runner
from ..._core.wait import Deadline
from ..model import Endpoint

# Where the official image keeps its cluster.
_IMAGE_DATA = "/var/lib/postgresql/data"
# A program that answers at once, given the time of a slow ssh login or of a container's start.
_SHORT = 30.0
# States of pg_control in which nothing of a primary, or of a standby, is missing on its disk.
CLEAN, CLEAN_STANDBY = "shut down", "shut down in recovery"
# The second one is what a crash leaves.
IN_RECOVERY = (CLEAN_STANDBY, "in archive recovery")

_LOCATE = 'D=$1; test -d "$D" || exit 7; stat -c "%u:%g" "$D"; stat -c %U "$D"; id -u; cat "$D/PG_VERSION" 2>/dev/null || true'
# pg_ctl start forgets how the server was started last; pg_ctl restart reads postmaster.opts, and so does this. The log is a file of its
# own because a server that inherits our pipes would keep the caller waiting for their end.
_START = (
    'D=$1; C=$2; S=$3; O=""; if [ -s "$D/postmaster.opts" ]; then O=$(sed \'1s/^[^ ]* *//; s/"-D" "[^"]*" *//g\' "$D/postmaster.opts"); fi;'
    ' exec "$C" start --pgdata="$D" --wait --timeout="$S" --silent --log="$D/pgcut-start.log" --options="$O"'
)
# pg_ctl looks every 100 ms whether a server has ended, which is felt in a write pause. The lock file is removed as the last act of a shutdown.
_STOP = (
    'D=$1; C=$2; M=$3; N=$4; "$C" stop --pgdata="$D" --mode="$M" --no-wait --silent || exit 1;'
    ' while [ -e "$D/postmaster.pid" ]; do N=$((N - 1)); [ "$N" -gt 0 ] || exit 2; sleep 0.01; done'
)


class Control:
    """One server as a process and a directory. ``data_directory`` is a path where the server lives (inside its container)."""

    def __init__(self, endpoint: Endpoint, runner: Runner) -> None:
        self.endpoint = endpoint
        self.data_directory = endpoint.data_directory or (_IMAGE_DATA if endpoint.container else "")
        self._runner = runner
        self._located: tuple[str, str, str, str] | None = None

    @property
    def kind(self) -> str:
        """container, service, pg_ctl, or "" when the options do not say how the server is started and stopped."""
        if self.endpoint.container:
            return "container"
        if self.endpoint.service:
            return "service"
        return "pg_ctl" if self.endpoint.data_directory else ""

    # --- the server -----------------------------------------------------------------------------------------------------------------

    def running(self) -> bool:
        """Whether the server's process exists, also one that is starting, stopping or replaying. Raises when that cannot be told."""
        kind = self._kind()
        if kind == "container":
            done = self._docker("inspect", "--format", "{{.State.Running}}", self.endpoint.container)
            if done.rc == 0 and done.out.strip() in ("true", "false"):
                return done.out.strip() == "true"
            raise self._failure("could not be asked whether it runs", done)
        # A unit may have been left behind by a server that was started by hand, and a postmaster by a unit that failed: the lock file
        # of the data directory is what PostgreSQL itself goes by.
        if kind == "service" and not self.data_directory:
            done = self.host(["systemctl", "is-active", self.endpoint.service])
            return done.out.strip() in ("active", "activating", "deactivating", "reloading")
        done = self.program("pg_ctl", ["status", f"--pgdata={self.data_directory}"])
        if done.rc in (0, 3):
            return done.rc == 0
        if done.rc == 4:
            return False
        raise self._failure("could not be asked whether it runs", done)

    def start(self, timeout: float = 60) -> None:
        """Start it and return when the command says that it is up; a server that runs is left alone. Raises FleetError "control_failed"."""
        if self.running():
            return
        kind = self._kind()
        if kind == "container":
            done = self._docker("start", self.endpoint.container, timeout=timeout)
        elif kind == "service":
            self.host(["systemctl", "reset-failed", self.endpoint.service])
            done = self.host(["systemctl", "start", self.endpoint.service], timeout=timeout)
        else:
            pg_ctl = self.path("pg_ctl")
            done = self.script(_START, self.data_directory, pg_ctl, f"{max(1, int(timeout))}", timeout=timeout + 5)
        if done.rc != 0 and not self.running():
            raise self._failure("did not start", done)

    def stop(self, mode: str = "fast", timeout: float = 60) -> None:
        """Stop it and return when it has ended; one that does not run is left alone. Raises FleetError "control_failed".

        ``mode`` is fast or immediate. Of a container and a unit only fast is their own (their stop signal); immediate is sent by pg_ctl
        beforehand. Past ``timeout`` a container is killed by docker, so `controldata` alone says whether the end was clean.
        """
        if not self.running():
            return
        kind = self._kind()
        seconds = f"{max(1, int(timeout))}"
        if kind == "pg_ctl" or mode != "fast":
            turns = f"{max(1, int(timeout * 100))}"
            done = self.script(_STOP, self.data_directory, self.path("pg_ctl"), mode, turns, timeout=timeout + 5)
        if kind == "container":
            done = self._docker("stop", f"--time={seconds}", self.endpoint.container, timeout=timeout + 5)
        elif kind == "service":
            done = self.host(["systemctl", "stop", self.endpoint.service], timeout=timeout + 5)
        if done.rc != 0 and self.running():
            raise self._failure(f"did not stop within {timeout:g} s", done)

    def controldata(self) -> dict[str, str]:
        """What pg_controldata prints, by its label in English. Raises FleetError "control_failed" when there is no control file."""
        done = self.program("pg_controldata", [self.data_directory])
        found = dict(line.split(":", 1) for line in done.out.splitlines() if ":" in line)
        if done.rc != 0 or "Database cluster state" not in found:
            raise self._failure("has no readable control file", done)
        return {label: value.strip() for label, value in found.items()}

    # --- commands -------------------------------------------------------------------------------------------------------------------

    def host(self, argv: t.Sequence[str], *, timeout: float = _SHORT) -> Completed:
        """Run ``argv`` on the server's host as the user that ``command_prefix`` gives."""
        prefix = list(self.endpoint.command_prefix)
        words = list(argv)
        if prefix and os.path.basename(prefix[0]) == "ssh":
            # ssh joins its words with blanks for the shell of the other side; every other prefix hands them on as they are.
            words = [shlex.quote(word) for word in words]
        return self._runner([*prefix, *words], env={"LC_ALL": "C"}, timeout=timeout)

    def program(
        self, name: str, words: t.Sequence[str], *, env: t.Mapping[str, str] | None = None, timeout: float = _SHORT
    ) -> Completed:
        """Run one of PostgreSQL's programs where the server lives, as the owner of its data directory."""
        return self._as_owner([self.path(name), *words], env, timeout)

    def script(self, text: str, *words: str, env: t.Mapping[str, str] | None = None, timeout: float = _SHORT) -> Completed:
        """Run a shell text with ``words`` as $1, $2 … as the owner of the data directory."""
        return self._as_owner(["sh", "-c", text, "sh", *words], env, timeout)

    def _as_owner(self, argv: t.Sequence[str], env: t.Mapping[str, str] | None, timeout: float) -> Completed:
        ids, name, caller, _version = self._locate()
        given = [f"{key}={value}" for key, value in {"LC_ALL": "C", **(env or {})}.items()]
        if self.endpoint.container:
            return self._in_container(ids, given, argv, timeout)
        became = [] if caller == ids.split(":", maxsplit=1)[0] else ["runuser", "-u", name, "--"]
        # The server must not inherit a working directory that its user may not enter.
        return self.host([*became, "env", "-C", "/", *given, *argv], timeout=timeout)

    def _in_container(self, ids: str, env: t.Sequence[str], argv: t.Sequence[str], timeout: float) -> Completed:
        """In the container while it runs; else in a short-lived one of its image, with its volumes and network."""
        named = [word for entry in env for word in ("--env", entry)]
        if self.running():
            return self._docker("exec", "--user", ids, *named, self.endpoint.container, *argv, timeout=timeout)
        return self._run_in_image(["--user", ids, *named], argv, timeout)

    def _run_in_image(self, options: t.Sequence[str], argv: t.Sequence[str], timeout: float) -> Completed:
        shown = self._docker("inspect", "--format", "{{.Image}} {{.HostConfig.NetworkMode}}", self.endpoint.container)
        if shown.rc != 0:
            raise self._failure("could not be inspected", shown)
        image, network = shown.out.split()
        words = ["run", "--rm", "--volumes-from", self.endpoint.container, "--network", network, *options, "--entrypoint", argv[0], image]
        return self._docker(*words, *argv[1:], timeout=timeout)

    def _docker(self, *words: str, timeout: float = _SHORT) -> Completed:
        return self.host(["docker", *words], timeout=timeout)

    def path(self, name: str) -> str:
        """The program in ``server_bindir``; without one in Debian's folder of the cluster's version, or by the search path of the container."""
        if self.endpoint.server_bindir:
            return f"{self.endpoint.server_bindir}/{name}"
        if self.endpoint.container:
            return name
        return f"/usr/lib/postgresql/{self._locate()[3]}/bin/{name}" if self._locate()[3] else name

    def _locate(self) -> tuple[str, str, str, str]:
        """Owner of the data directory as uid:gid and as name, uid of the caller, major version of the cluster ("" without one)."""
        if self._located is None:
            if not self.data_directory:
                raise FleetError(
                    "invalid_value",
                    f"{self.endpoint.side}.data_directory: missing; it is needed to run programs of {self.endpoint}. Nothing was changed.",
                    remedy=f"Set {self.endpoint.side}.data_directory, or {self.endpoint.side}.container.",
                )
            argv = ["sh", "-c", _LOCATE, "sh", self.data_directory]
            if not self.endpoint.container:
                done = self.host(argv)
            elif self.running():
                done = self._docker("exec", "--user", "0", self.endpoint.container, *argv)
            else:
                done = self._run_in_image(["--user", "0"], argv, _SHORT)
            lines = done.out.split()
            if done.rc != 0 or len(lines) < 3:
                missing = f"{self.endpoint.side}.data_directory: {self.data_directory} is no directory that can be read there"
                output = (done.err or done.out).strip()[-300:]
                raise FleetError(
                    "invalid_value",
                    f"{missing}{': ' + output if output else ''}. Nothing was changed.",
                    remedy=f"Check {self.endpoint.side}.data_directory and {self.endpoint.side}.command_prefix.",
                )
            self._located = (lines[0], lines[1], lines[2], lines[3] if len(lines) > 3 else "")
        return self._located

    def _kind(self) -> str:
        if not self.kind:
            side = self.endpoint.side
            raise FleetError(
                "invalid_value",
                f"{side}: neither container, service nor data_directory is set, so {self.endpoint} cannot be started or stopped."
                " Nothing was changed.",
                remedy=f"Set {side}.service or {side}.container, or {side}.data_directory for pg_ctl.",
            )
        return self.kind

    def _named(self) -> str:
        return self.endpoint.container or self.endpoint.service or self.data_directory

    def _failure(self, what: str, done: Completed) -> FleetError:
        output = (done.err or done.out).strip()[-400:]
        return FleetError(
            "control_failed",
            f"{self.endpoint} ({self._named()}) {what}: the command ended with {done.rc}: {output or 'no output'}.",
            remedy=f"Look at the log of {self._named()}, check {self.endpoint.side}.command_prefix and the rights of this task, run again.",
            details={"side": self.endpoint.side, "rc": done.rc, "said": output},
        )


def waited(control: Control, wanted: bool, seconds: float) -> bool:
    """Whether the server runs (``wanted``) or has ended within ``seconds``."""
    deadline = Deadline(seconds)
    while control.running() is not wanted:
        if deadline.expired():
            return False
        deadline.pause(0.05)
    return True
