# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Docker engine of its own, in namespaces and a folder of its own: whatever else runs on this host is not seen by it and not touched."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import tarfile
import time
import typing as t
from pathlib import Path

# As the lab of Swarm has it: the first process reaps and hands SIGTERM on; hidden, a containerd of this host is nobody's, so the engine starts its own.
_FIRST = """\
ip link set lo up
if [ -d /run/containerd ]; then mount -t tmpfs none /run/containerd; fi
dockerd "$@" &
trap 'kill -TERM $!' TERM
while kill -0 $! 2>/dev/null; do wait $!; done
"""
IMAGE = "bowline-hooks/sleep"


class Engine:
    """``folder`` holds everything of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.socket = folder, str(folder / "docker.sock")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again with the containers that it had; one that runs is left alone."""
        if self.runs():
            return
        run, data = self.folder / "run", self.folder / "data"
        subprocess.run(["rm", "-rf", str(run)], check=True)
        run.mkdir(mode=0o700)
        (self.folder / "daemon.json").write_text("{}\n")
        # It ends with these tests, however they end.
        argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc", "sh", "-c", _FIRST, "sh",
                "--config-file", self.folder / "daemon.json", "--data-root", data, "--exec-root", run, "--pidfile", run / "docker.pid",
                "--log-level=warn", "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", f"/bowline-hooks-{os.getpid()}",
                "--storage-driver", "vfs", "--bridge=none", "--iptables=false", "-H", f"unix://{self.socket}", "--shutdown-timeout", "3"]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        until(lambda: self._docker("version").returncode == 0, "the engine to answer", 60)

    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def daemon(self) -> int:
        """PID of dockerd itself."""
        assert self._process is not None
        first = _children(self._process.pid)[0]
        return next(pid for pid in _children(first) if Path(f"/proc/{pid}/comm").read_text().strip() == "dockerd")

    def stop(self) -> None:
        """In order, as a host that goes down does it."""
        if self._process is None or not self.runs():
            return
        for child in _children(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        try:
            self._process.wait(25)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)

    def image(self) -> None:
        """One that can sleep, made of what this host has: no registry is asked."""
        shell = Path("/bin/sleep").resolve()
        linked = subprocess.run(["ldd", str(shell)], check=True, capture_output=True, text=True).stdout
        with io.BytesIO() as buffer:
            with tarfile.open(fileobj=buffer, mode="w", dereference=True) as tar:
                for path in (str(shell), *re.findall(r"(/\S+) \(0x", linked)):
                    tar.add(path, "bin/sleep" if path == str(shell) else path.lstrip("/"))
            self.docker("import", "-", IMAGE, stdin=buffer.getvalue())

    def docker(self, *words: str, stdin: bytes | None = None) -> str:
        done = self._docker(*words, stdin=stdin)
        assert done.returncode == 0, f"docker {' '.join(words)}: {done.stderr.decode()}"
        return done.stdout.decode().strip()

    def _docker(self, *words: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        return subprocess.run(["docker", "-H", f"unix://{self.socket}", *words], env=clean, input=stdin, capture_output=True, timeout=60, check=False)

    def make(self, name: str, *options: str, stop: int = 0) -> None:
        """A container that ends when it is asked to; with ``stop`` it is killed so many seconds later: sleep as PID 1 hears no SIGTERM."""
        how = ["--stop-timeout", str(stop)] if stop else ["--stop-signal", "KILL"]
        self.docker("run", "-d", "--name", name, "--network", "none", *how, *options, IMAGE, "/bin/sleep", "100000")

    def states(self) -> dict[str, tuple[bool, str]]:
        """By name: whether it runs, and its restart policy."""
        names = self.docker("ps", "-aq").split()
        found = json.loads(self.docker("inspect", *names)) if names else []
        return {one["Name"][1:]: (one["State"]["Running"], one["HostConfig"]["RestartPolicy"]["Name"]) for one in found}

    def clear(self) -> None:
        names = self.docker("ps", "-aq").split()
        if names:
            self.docker("rm", "-f", *names)


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def until(condition: t.Callable[[], t.Any], what: str, seconds: float = 30) -> t.Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.05)
    return found
