# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real name servers on loopback, of three makers: a primary that takes signed updates, a secondary that follows only when told to."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import dns.flags
import dns.message
import dns.opcode
import dns.query
from ansible_collections.bowline.fleet.plugins.module_utils._dns.run import connect, info, run

ZONE = "bowline.test."
# Addresses of primary and secondary. BIND listens only on addresses that an interface has, and the loopback of any machine has these two.
ELSEWHERE = ("127.0.53.1", "127.0.53.2")
LOOPBACK = ("127.0.0.1", "::1")
DEADLINE = 20
API_KEY = "the/key of+the=API"

# Refresh in an hour and no notify: the secondary lags until it is told to look, so no test depends on timing.
ZONE_FILE = """\
$ORIGIN {zone}
@ 60 SOA ns1 admin 1 3600 600 86400 60
@ 60 NS ns1
@ 60 NS ns2
ns1 60 {first}
ns2 60 {second}
hub 300 A 10.0.0.1
*.wild 300 A 10.9.9.9
*.text 300 TXT "v=spf1 -all"
*.alias 300 CNAME hub
Alias 300 CNAME Hub
text 300 TXT "one" "two"
sub 300 NS ns.sub
ns.sub 300 A 10.0.0.53
"""

# What tests make or change; everything else stands as in the file.
TOUCHED = (
    *("hub", "new", "_bowline-a.hub", "_bowline-a.new", "_bowline-a.a.wild", "_bowline-a._wildcard.wild", "a.wild", "a.text"),
    *("_bowline-a.a.text", "a.alias", "_bowline-a.a.alias", "alias", "text", "other"),
)


def secret(byte: bytes = b"k") -> str:
    return base64.b64encode(byte * 32).decode()


def family(address: str) -> tuple[str, int]:
    """Type of the record that holds ``address``, and its kind of socket."""
    return ("AAAA", socket.AF_INET6) if ":" in address else ("A", socket.AF_INET)


def free_port(addresses: tuple[str, ...]) -> int:
    """A port that is free on all ``addresses``, for datagrams and streams."""
    while True:
        with socket.socket() as stream:
            stream.bind((addresses[0], 0))
            port = stream.getsockname()[1]
        try:
            for address in addresses:
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    with socket.socket(family(address)[1], kind) as probe:
                        probe.bind((address, port))
        except OSError:
            continue
        return port


class Server:
    """One name server with its own directory. Stopped by its own process id."""

    def __init__(self, folder: Path, address: str, port: int, argv: list[str]) -> None:
        self.folder, self.address, self.port, self.argv = folder, address, port, argv
        # Words that are added when the serial is asked for: a view may want its key.
        self.words: tuple[str, ...] = ()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def where(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.argv, stdout=log, stderr=log, cwd=self.folder)
        self.until(lambda: self.serial() is not None, f"{self.argv[0]} to serve its zone")

    def stop(self, how: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=DEADLINE)
            self.process = None

    def refresh(self, source: str | None) -> None:
        """Say to a secondary that there is something new: a NOTIFY as the primary would send it (RFC 1996)."""
        message = dns.message.make_query(ZONE, "SOA")
        message.set_opcode(dns.opcode.NOTIFY)
        message.flags = (message.flags | dns.flags.AA) & ~dns.flags.RD
        dns.query.udp(message, self.address, DEADLINE, self.port, source=source)

    def dig(self, name: str, rtype: str, *words: str) -> list[str]:
        """What the server says, past the code under test: ``ttl type value`` per record."""
        argv = ["kdig", f"@{self.address}", "-p", str(self.port), "+norec", "+noall", "+answer", "+timeout=2", "+retry=0", *words, name, rtype]
        lines = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
        return sorted(" ".join(line.split()[1:2] + line.split()[3:]) for line in lines if line and not line.startswith(";"))

    def serial(self) -> int | None:
        # Over TCP: a datagram to a server that is just starting is lost, and costs two seconds.
        answer = self.dig(ZONE, "SOA", "+tcp", *self.words)
        return int(answer[0].split()[4]) if answer else None

    def until(self, satisfied, what: str, pause: float = 0.02) -> None:
        deadline = time.monotonic() + DEADLINE
        while not satisfied():
            assert time.monotonic() < deadline, f"waited for {what}: {(self.folder / 'log').read_text(encoding='utf-8')[-2000:]}"
            time.sleep(pause)


class Pair:
    """Primary and secondary, the file with their key, and what tests do behind the module's back."""

    name = ""
    programs: tuple[str, ...] = ()
    addresses = ELSEWHERE

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port(self.addresses)
        self.zone_file = folder / "bowline.test.zone"
        first, second = (f"{family(address)[0]} {address}" for address in self.addresses)
        self.zone_file.write_text(ZONE_FILE.format(zone=ZONE, first=first, second=second), encoding="utf-8")
        self.key_file = folder / "tsig.json"
        self.key_file.write_text(json.dumps({"name": "cutover", "algorithm": "hmac-sha256", "secret": secret()}), encoding="utf-8")
        self.key_file.chmod(0o600)
        for part in ("primary", "secondary"):
            (folder / part).mkdir()
        self.primary, self.secondary = self.make(folder / "primary", folder / "secondary")

    def make(self, primary: Path, secondary: Path) -> tuple[Server, Server]:
        raise NotImplementedError

    def start(self) -> None:
        self.primary.start()
        self.secondary.start()

    def stop(self) -> None:
        self.secondary.stop(signal.SIGTERM)
        self.primary.stop(signal.SIGTERM)

    def transfer(self) -> None:
        """Let the secondary catch up, and wait until it has."""
        source = None if ":" in self.secondary.address else self.primary.address

        def followed() -> bool:
            if self.secondary.serial() == self.primary.serial():
                return True
            # Again and again: a server that is just transferring forgets what it is told meanwhile.
            self.secondary.refresh(source)
            return False

        self.secondary.until(followed, "the secondary to follow", 0.1)

    def edit(self, *commands: str) -> None:
        """A change by somebody else: knsupdate, with the same key."""
        lines = [f"server {self.primary.address} {self.port}", f"zone {ZONE}", f"key hmac-sha256:cutover:{secret()}", *commands, "send"]
        done = subprocess.run(["knsupdate", "-v"], input="\n".join(lines) + "\n", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout

    def reset(self) -> None:
        """The zone as in the file, on both servers."""
        self.edit(
            *(f"del {name}.{ZONE}" for name in TOUCHED),
            f"add hub.{ZONE} 300 A 10.0.0.1",
            f"add alias.{ZONE} 300 CNAME hub.{ZONE}",
            f'add text.{ZONE} 300 TXT "one" "two"',
        )
        self.transfer()


class Knot(Pair):
    name = "knot"
    programs = ("knotd", "knotc")

    def make(self, primary: Path, secondary: Path) -> tuple[Server, Server]:
        self._write(
            primary,
            self.addresses[0],
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
    file: "{self.zone_file}"
    zonefile-sync: -1
    journal-content: changes
    acl: [update, transfer]
""",
        )
        self._write(
            secondary,
            self.addresses[1],
            f"""\
remote:
  - id: primary
    address: {self.addresses[0]}@{self.port}
    via: {self.addresses[1]}
acl:
  - id: notify
    address: 127.0.0.0/8
    action: notify
zone:
  - domain: {ZONE}
    storage: "{secondary}"
    master: primary
    acl: notify
""",
        )
        return tuple(
            Server(folder, address, self.port, ["knotd", "-c", f"{folder}/knot.conf"])
            for folder, address in zip((primary, secondary), self.addresses)
        )

    def _write(self, folder: Path, address: str, rest: str) -> None:
        keys = "".join(
            f"  - id: {name}\n    algorithm: hmac-sha256\n    secret: {secret(byte)}\n" for name, byte in (("cutover", b"k"), ("reader", b"r"))
        )
        (folder / "knot.conf").write_text(
            f"""\
server:
    rundir: "{folder}"
    listen: {address}@{self.port}
    background-workers: 1
    udp-workers: 1
    tcp-workers: 1
database:
    storage: "{folder}"
key:
{keys}{rest}
""",
            encoding="utf-8",
        )


class Bind(Pair):
    name = "bind"
    programs = ("named",)
    addresses = LOOPBACK

    def make(self, primary: Path, secondary: Path) -> tuple[Server, Server]:
        zone = f'zone "{ZONE}" {{ type primary; file "{self.zone_file}"; allow-update {{ key cutover; }}; }};'
        follows = f'zone "{ZONE}" {{ type secondary; file "{secondary}/zone"; primaries port {self.port} {{ {self.addresses[0]}; }}; }};'
        return self.server(primary, self.addresses[0], zone), self.server(secondary, self.addresses[1], follows)

    def server(self, folder: Path, address: str, rest: str, keys: tuple[tuple[str, bytes], ...] = (("cutover", b"k"), ("reader", b"r"))) -> Server:
        known = "".join(f'key "{name}" {{ algorithm hmac-sha256; secret "{secret(byte)}"; }};\n' for name, byte in keys)
        (folder / "named.conf").write_text(
            f"""\
options {{
    directory "{folder}";
    listen-on port {self.port} {{ {"none" if ":" in address else address}; }};
    listen-on-v6 port {self.port} {{ {address if ":" in address else "none"}; }};
    pid-file none;
    session-keyfile none;
    recursion no;
    dnssec-validation no;
    notify no;
    allow-notify {{ localhost; }};
    allow-transfer {{ localhost; }};
}};
controls {{ }};
{known}{rest}
""",
            encoding="utf-8",
        )
        return Server(folder, address, self.port, ["named", "-g", "-n", "1", "-c", f"{folder}/named.conf"])


class Powerdns(Pair):
    name = "powerdns"
    programs = ("pdns_server", "pdnsutil", "sqlite3")

    def make(self, primary: Path, secondary: Path) -> tuple[Server, Server]:
        self.api = f"http://{self.addresses[0]}:{free_port(self.addresses[:1])}"
        web = f"api=yes\napi-key={API_KEY}\nwebserver-address={self.addresses[0]}\nwebserver-port={self.api.rpartition(':')[2]}\n"
        update = "dnsupdate=yes\nallow-dnsupdate-from=127.0.0.0/8\n"
        follow = "secondary=yes\nxfr-cycle-interval=3600\n"
        servers = (self._server(primary, self.addresses[0], web + update), self._server(secondary, self.addresses[1], follow))
        self._util(primary, "load-zone", ZONE, str(self.zone_file))
        self._util(primary, "import-tsig-key", "cutover", "hmac-sha256", secret())
        self._util(primary, "import-tsig-key", "reader", "hmac-sha256", secret(b"r"))
        self._util(primary, "set-meta", ZONE, "TSIG-ALLOW-DNSUPDATE", "cutover")
        self._util(primary, "set-meta", ZONE, "SOA-EDIT-DNSUPDATE", "INCREASE")
        self._util(primary, "set-meta", ZONE, "SOA-EDIT-API", "INCREASE")
        self._util(primary, "rectify-zone", ZONE)
        self._util(secondary, "create-slave-zone", ZONE, f"{self.addresses[0]}:{self.port}")
        return servers

    def _server(self, folder: Path, address: str, rest: str) -> Server:
        schema = Path("/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql").read_text(encoding="utf-8")
        subprocess.run(["sqlite3", str(folder / "pdns.sqlite3")], input=schema, text=True, check=True)
        (folder / "pdns.conf").write_text(
            f"""\
launch=gsqlite3
gsqlite3-database={folder}/pdns.sqlite3
socket-dir={folder}
local-address={address}
local-port={self.port}
query-local-address={address}
allow-axfr-ips=127.0.0.0/8
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
domain-metadata-cache-ttl=0
zone-cache-refresh-interval=0
security-poll-suffix=
distributor-threads=1
receiver-threads=1
{rest}
""",
            encoding="utf-8",
        )
        argv = ["pdns_server", f"--config-dir={folder}", "--daemon=no", "--guardian=no", "--disable-syslog=yes"]
        return Server(folder, address, self.port, argv)

    def _util(self, folder: Path, *words: str) -> None:
        done = subprocess.run(["pdnsutil", f"--config-dir={folder}", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"pdnsutil {' '.join(words)}: {done.stdout}{done.stderr}"


def params(pair, **options):
    """All options of the module, for the zone of ``pair``."""
    provider = {
        "server": pair.primary.address,
        "port": pair.port,
        "authority_port": pair.port,
        "key_file": str(pair.key_file),
        "timeout": 1,
    }
    provider.update(options.pop("provider_options", {}))
    provider = options.pop("all_options", provider)
    return {
        "provider": "rfc2136",
        "provider_options": provider,
        "zone": "bowline.test",
        "name": "hub",
        "type": "A",
        "provider_auth": None,
        "resolvers": None,
        "ignore_servers": None,
        "state": "present",
        "values": None,
        "ttl": None,
        "ttl_during": 60,
        "previous": None,
        "expect_current": None,
        "owner": None,
        "max_changes": 5,
        "verify": "authoritative",
        "on_timeout": "fail",
        "wait_old_ttl": False,
        "wait": True,
        "wait_timeout": 10,
        **options,
    }


def do(pair, check_mode=False, **options):
    given = params(pair, **options)
    return run(given, lambda: connect(given, []), check_mode)


def look(pair, **options):
    given = params(pair, **options)
    return info(given, lambda: connect(given, []))


def do_while_transferring(pair, **options):
    """The module waits for the secondary, which follows each write of the primary meanwhile."""
    done = threading.Event()

    def follow():
        while not done.wait(0.05):
            if pair.secondary.serial() != pair.primary.serial():
                pair.transfer()

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        return do(pair, **options)
    finally:
        done.set()
        follower.join()


PAIRS = {kind.name: kind for kind in (Knot, Bind, Powerdns)}


def missing(kind: type[Pair]) -> list[str]:
    path = os.environ.get("PATH", "") + ":/usr/sbin"
    return [name for name in (*kind.programs, "knsupdate", "kdig") if shutil.which(name, path=path) is None]
