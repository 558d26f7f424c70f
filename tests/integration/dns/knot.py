# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real knot servers on loopback: a primary that takes signed updates, and a secondary that follows only when it is told to."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ZONE = "bowline.test."
PRIMARY, SECONDARY = "127.0.53.1", "127.0.53.2"
DEADLINE = 15

# Refresh in an hour and no notify: the secondary lags until `knotc zone-refresh`, so no test depends on timing.
ZONE_FILE = f"""\
$ORIGIN {ZONE}
@ 60 SOA ns1 admin 1 3600 600 86400 60
@ 60 NS ns1
@ 60 NS ns2
ns1 60 A {PRIMARY}
ns2 60 A {SECONDARY}
hub 300 A 10.0.0.1
*.wild 300 A 10.9.9.9
Alias 300 CNAME Hub
text 300 TXT "one" "two"
sub 300 NS ns.sub
ns.sub 300 A 10.0.0.53
"""


def secret(byte: bytes = b"k") -> str:
    return base64.b64encode(byte * 32).decode()


def free_port() -> int:
    """A port that is free on both addresses, for datagrams and streams."""
    while True:
        with socket.socket() as stream:
            stream.bind((PRIMARY, 0))
            port = stream.getsockname()[1]
        try:
            for address in (PRIMARY, SECONDARY):
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    with socket.socket(socket.AF_INET, kind) as probe:
                        probe.bind((address, port))
        except OSError:
            continue
        return port


class Knot:
    """One knotd with its own directory. Stopped by its own process id."""

    def __init__(self, folder: Path, address: str, port: int, rest: str) -> None:
        self.folder, self.address, self.port = folder, address, port
        folder.mkdir(parents=True)
        (folder / "knot.conf").write_text(
            f"""\
server:
    rundir: "{folder}"
    listen: {address}@{port}
    background-workers: 1
    udp-workers: 1
    tcp-workers: 1
control:
    listen: "{folder}/knot.sock"
database:
    storage: "{folder}"
key:
  - id: cutover
    algorithm: hmac-sha256
    secret: {secret()}
  - id: reader
    algorithm: hmac-sha256
    secret: {secret(b"r")}
{rest}
""",
            encoding="utf-8",
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(["knotd", "-c", str(self.folder / "knot.conf")], stdout=log, stderr=log)
        self.until(lambda: self.control("zone-status").returncode == 0 and self.serial() is not None, "knotd to serve its zone")

    def stop(self, how: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=DEADLINE)
            self.process = None

    def control(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["knotc", "-s", f"{self.folder}/knot.sock", *words], capture_output=True, text=True, check=False)

    def dig(self, name: str, rtype: str) -> list[str]:
        """What the server says, past the code under test: ``ttl type value`` per record."""
        argv = ["kdig", f"@{self.address}", "-p", str(self.port), "+norec", "+noall", "+answer", "+timeout=2", "+retry=0", name, rtype]
        lines = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
        return sorted(" ".join(line.split()[1:2] + line.split()[3:]) for line in lines if line and not line.startswith(";"))

    def serial(self) -> int | None:
        answer = self.dig(ZONE, "SOA")
        return int(answer[0].split()[4]) if answer else None

    def until(self, satisfied, what: str) -> None:
        deadline = time.monotonic() + DEADLINE
        while not satisfied():
            assert time.monotonic() < deadline, f"waited for {what}: {(self.folder / 'log').read_text(encoding='utf-8')[-2000:]}"
            time.sleep(0.02)


class Pair:
    """Primary and secondary, the files with their keys, and what tests do behind the module's back."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        zone_file = folder / "bowline.test.zone"
        folder.mkdir(parents=True, exist_ok=True)
        zone_file.write_text(ZONE_FILE, encoding="utf-8")
        self.primary = Knot(
            folder / "primary",
            PRIMARY,
            self.port,
            f"""\
acl:
  - id: update
    key: cutover
    action: [update, transfer]
  - id: transfer
    address: 127.0.0.0/8
    action: transfer
zone:
  - domain: {ZONE}
    file: "{zone_file}"
    zonefile-sync: -1
    journal-content: changes
    acl: [update, transfer]
""",
        )
        self.secondary = Knot(
            folder / "secondary",
            SECONDARY,
            self.port,
            f"""\
remote:
  - id: primary
    address: {PRIMARY}@{self.port}
    via: {SECONDARY}
zone:
  - domain: {ZONE}
    storage: "{folder}/secondary"
    master: primary
""",
        )
        self.key_file = folder / "tsig.json"
        self.key_file.write_text(json.dumps({"name": "cutover", "algorithm": "hmac-sha256", "secret": secret()}), encoding="utf-8")
        self.key_file.chmod(0o600)

    def start(self) -> None:
        self.primary.start()
        self.secondary.start()

    def stop(self) -> None:
        self.secondary.stop(signal.SIGTERM)
        self.primary.stop(signal.SIGTERM)

    def transfer(self) -> None:
        """Let the secondary catch up, and wait until it has."""
        self.secondary.control("zone-refresh", ZONE)
        self.secondary.until(lambda: self.secondary.serial() == self.primary.serial(), "the secondary to follow")

    def edit(self, *commands: str) -> None:
        """A change by somebody else: knsupdate, with the same key."""
        lines = [f"server {PRIMARY} {self.port}", f"zone {ZONE}", f"key hmac-sha256:cutover:{secret()}", *commands, "send"]
        done = subprocess.run(["knsupdate", "-v"], input="\n".join(lines) + "\n", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout

    def reset(self) -> None:
        """The zone as in the file, on both servers."""
        names = (
            "hub",
            "new",
            "_bowline-a.hub",
            "_bowline-a.new",
            "_bowline-a.wild",
            "a.wild",
            "_bowline-a.a.wild",
            "alias",
            "text",
            "other",
        )
        self.edit(
            *(f"del {name}.{ZONE}" for name in names),
            f"add hub.{ZONE} 300 A 10.0.0.1",
            f"add alias.{ZONE} 300 CNAME hub.{ZONE}",
            f'add text.{ZONE} 300 TXT "one" "two"',
        )
        self.transfer()


def available() -> bool:
    return all(shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin") for name in ("knotd", "knotc", "knsupdate", "kdig"))
