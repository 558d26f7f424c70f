# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines: Debian's dockerd, each with namespaces of its own for network, host name, mounts and processes.

With the first process of such a namespace everything in it ends, as when a machine loses its power.
"""
from __future__ import annotations

import contextlib
import os
import shutil
import signal
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..shell import Daemon, LabError, run, wait, write
from .instance import Instance, Member

# The first process of the namespace: it hands SIGTERM on and reaps what loses its parent, which dockerd would not.
# An engine of this machine may have a containerd that every dockerd would take; hidden, each starts its own.
_FIRST = """\
hostname "$0"
if [ -d /run/containerd ]; then mount -t tmpfs none /run/containerd; fi
dockerd "$@" &
trap 'kill -TERM $!' TERM
while kill -0 $! 2>/dev/null; do wait $!; done
"""

# The caller's own engine is another one: with these the CLI would ask the socket for TLS.
OWN_SOCKET = {"DOCKER_TLS_VERIFY": "", "DOCKER_TLS": "", "DOCKER_CERT_PATH": "", "DOCKER_API_VERSION": ""}


def daemon(member: Member) -> Daemon:
    return Daemon("dockerd", member.home)


def docker(member: Member, *words: str | Path, check: bool = True, text: str | None = None, timeout: float = 120) -> str:
    """What the docker CLI says when it speaks to this engine."""
    return run(["docker", "-H", member.socket, *words], check=check, text=text, timeout=timeout, env=OWN_SOCKET).stdout.strip()


def answers(member: Member) -> bool:
    try:
        return run(["docker", "-H", member.socket, "version"], check=False, timeout=20, env=OWN_SOCKET).returncode == 0
    except LabError:
        return False


def each(work: t.Callable[[Member], t.Any], members: t.Iterable[Member]) -> list[t.Any]:
    """The same for all at once; the first failure in their order is raised when all have ended."""
    with ThreadPoolExecutor() as pool:
        return [future.result() for future in [pool.submit(work, member) for member in members]]


def ensure(instance: Instance) -> str:
    stopped = [member for member in instance.members if daemon(member).pid() is None]
    for member in stopped:
        start(instance, member)
    each(ready, instance.members)
    version = docker(instance.members[0], "version", "--format", "{{.Server.Version}}")
    names = ", ".join(member.name for member in stopped)
    return f"{version}, {f'started {names}' if names else 'all run'}"


def start(instance: Instance, member: Member) -> None:
    """Start the engine of a member unless it runs; returns before it answers."""
    if daemon(member).pid() is not None:
        return
    # What a killed engine leaves there names processes by numbers that are given out again.
    shutil.rmtree(member.run, ignore_errors=True)
    member.run.mkdir(parents=True, mode=0o700)
    member.home.mkdir(parents=True, exist_ok=True)
    write(member.home / "daemon.json", "{}\n")
    pair = instance.tls / member.home.name
    daemon(member).start([
        "nsenter", f"--net=/run/netns/{member.namespace}",
        "unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
        "sh", "-c", _FIRST, member.name,
        "--config-file", member.home / "daemon.json", "--data-root", member.home / "data", "--exec-root", member.run,
        "--pidfile", member.run / "docker.pid", "--log-level=warn", "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", f"/{member.cgroup}",
        "-H", member.socket, "-H", member.docker_host, "--tlsverify",
        "--tlscacert", instance.authority.certificate, "--tlscert", f"{pair}.crt", "--tlskey", f"{pair}.key",
        "--insecure-registry", instance.registry, "--shutdown-timeout", "3",
    ])


def ready(member: Member) -> None:
    """Wait until an engine that was started answers."""
    runs = daemon(member)
    try:
        wait(f"the engine of {member.name} to answer", lambda: answers(member) or runs.pid() is None, 60, 0.2)
    except LabError as problem:
        raise LabError(f"{problem}\n{runs.tail()}") from None
    if runs.pid() is None:
        raise LabError(f"The engine of {member.name} ended at once:\n{runs.tail()}")


def first(member: Member) -> int | None:
    """PID of the first process of its namespace; None when it does not run."""
    pid = daemon(member).pid()
    if pid is None:
        return None
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()[0])
    return None


def stop(member: Member) -> None:
    """End it in order; its containers stop with it."""
    _end(member, signal.SIGTERM, 25)


def kill(member: Member) -> None:
    """As when the machine loses its power."""
    _end(member, signal.SIGKILL, 10)


def _end(member: Member, number: int, seconds: float) -> None:
    runs, pid = daemon(member), first(member)
    if pid:
        # unshare(1) waits for its child and does not hand the signal on.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        with contextlib.suppress(LabError):
            wait(f"the engine of {member.name} to end", lambda: runs.pid() is None, seconds)
    runs.stop(1, signal.SIGKILL)


def remove(member: Member) -> None:
    """The folders and control groups of an engine that has ended."""
    for folder in (member.home, member.run):
        shutil.rmtree(folder, ignore_errors=True)
    for top in (Path("/sys/fs/cgroup"), *(path for path in Path("/sys/fs/cgroup").glob("*") if path.is_dir())):
        # From the innermost: a control group is removed with rmdir(2) when it has no child.
        groups = [Path(folder) for folder, _names, _files in os.walk(top / member.cgroup, topdown=False)]
        for group in groups:
            with contextlib.suppress(OSError):
                group.rmdir()
