# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Debian of its own with systemd, sshd and Python, from the image of the lab's target: beside the lab, and sharing no name or address with it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
import yaml

IMAGE = "bowline-lab/target"
_UNNEEDED = ("usr/lib/postgresql", "usr/share/postgresql", "usr/share/doc", "usr/share/locale", "usr/lib/x86_64-linux-gnu/libLLVM*", ".dockerenv")


class Machine:
    """Booted by systemd-nspawn from a folder that goes away with it; the host reaches it over a pair of links of its own."""

    def __init__(self, folder: Path, shift: int = 0) -> None:
        """``shift`` tells machines of one worker apart: names and addresses come from its process."""
        number = (os.getpid() + shift) % 250
        self.name, self.address, self.gateway = f"bne{number}", f"10.79.{number}.2", f"10.79.{number}.1"
        self.folder, self.root = folder, folder / "root"
        self.output = ""
        self._nspawn: subprocess.Popen[bytes] | None = None

    # --- its life -----------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.root.mkdir()
        container = _run("docker", "create", IMAGE, "true").stdout.strip()
        try:
            unneeded = [f"--exclude={path}" for path in _UNNEEDED]
            with subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as export:
                subprocess.run(["tar", "-x", "--numeric-owner", "-p", *unneeded, "-C", self.root], stdin=export.stdout, check=True)
        finally:
            _run("docker", "rm", "-f", container)
        network = self.root / "etc/systemd/network/10-host0.network"
        network.write_text(f"[Match]\nName=host0\n\n[Network]\nAddress={self.address}/30\nLinkLocalAddressing=no\n")
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "id"))
        (self.root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
        shutil.copy(self.folder / "id.pub", self.root / "root/.ssh/authorized_keys")
        self.new_host_key()
        with (self.folder / "console").open("wb") as console:
            self._nspawn = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe", "--link-journal=no", "--resolv-conf=off",
                 "--timezone=off", f"--machine={self.name}", "--network-veth", "--boot", "-D", str(self.root)],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
            )  # fmt: skip
        link = f"ve-{self.name}"
        wait(lambda: _run("ip", "address", "add", f"{self.gateway}/30", "dev", link, check=False).returncode == 0, "its link")
        _run("ip", "link", "set", link, "up")
        wait(lambda: self._ssh("systemctl is-system-running").stdout.strip() in ("running", "degraded"), "its boot", 60)

    def new_host_key(self) -> None:
        for path in (self.root / "etc/ssh").glob("ssh_host_*"):
            path.unlink()
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(self.root / "etc/ssh/ssh_host_ed25519_key"))

    def stop(self) -> None:
        if self._nspawn is not None:
            self._nspawn.send_signal(signal.SIGTERM)
            try:
                self._nspawn.wait(20)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait(5)
        shutil.rmtree(self.root, ignore_errors=True)

    # --- hands on it --------------------------------------------------------------------------------------------------------------

    @property
    def options(self) -> list[str]:
        return ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes",
                "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=15"]

    def shell(self, command: str) -> str:
        """What ``command`` prints there, past all roles, however it ends."""
        done = self._ssh(command)
        assert done.returncode != 255, f"ssh itself failed: {done.stderr}"
        return done.stdout.strip()

    def _ssh(self, command: str) -> subprocess.CompletedProcess[str]:
        return _run("ssh", "-i", str(self.folder / "id"), *self.options, f"root@{self.address}", command, check=False)

    def status(self) -> dict[str, t.Any]:
        return json.loads(self.shell("cat /run/bowline/status.json"))

    def play(self, tasks: list[dict[str, t.Any]], *options: str, facts: str = "", fails: bool = False, **variables: t.Any) -> tuple[int, t.Any]:
        """Number of changed tasks and the fact ``facts`` of one run of ``tasks`` on the machine."""
        said = self.folder / "fact.json"
        said.unlink(missing_ok=True)
        tell = {
            "ansible.builtin.copy": {"content": f"{{{{ {facts} | to_json }}}}", "dest": str(said)}, "delegate_to": "localhost", "check_mode": False,
            "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}, "changed_when": False,
        }  # fmt: skip
        host = {"ansible_host": self.address, "ansible_user": "root", "ansible_ssh_private_key_file": str(self.folder / "id"),
                "ansible_ssh_extra_args": " ".join(self.options), "ansible_python_interpreter": "/usr/bin/python3"}
        (self.folder / "inventory.yml").write_text(yaml.safe_dump({"all": {"children": {"nodes": {"hosts": {"edge-1": host}}}}}))
        play = {"hosts": "edge-1", "gather_facts": False, "vars": variables, "tasks": [*tasks, *([tell] if facts else [])]}
        (self.folder / "play.yml").write_text(yaml.safe_dump([play]))
        return self.playbook(str(self.folder / "play.yml"), *options, fails=fails), json.loads(said.read_text()) if said.exists() else None

    def playbook(self, path: str, *options: str, fails: bool = False) -> int:
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(self.folder / "inventory.yml"), path, *options]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False,
                              env={**os.environ, "XDG_STATE_HOME": str(self.folder / "state"), "ANSIBLE_PIPELINING": "1"})
        self.output += done.stdout + done.stderr
        assert (done.returncode != 0) is fails, done.stdout[-6000:] + done.stderr[-2000:]
        return sum(map(int, re.findall(r"changed=(\d+)", done.stdout)))


def _run(*argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=check)


def wait(condition: t.Callable[[], t.Any], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Machine]:
    if _run("docker", "image", "inspect", IMAGE, check=False).returncode:
        pytest.fail(f"no image {IMAGE}; next: make lab")
    made = Machine(tmp_path_factory.mktemp("machine"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def waited() -> t.Callable[..., None]:
    return wait
