# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two knots: a primary that takes signed updates, and a secondary that lags behind because nobody notifies it."""
from __future__ import annotations

import json
import os
import signal

from . import settings
from .shell import Daemon, LabError, run, wait, write

# The secondary asks for the SOA every 3 s: a change is visibly on one server and not on the other.
REFRESH = 3


def daemon(server: settings.Nameserver) -> Daemon:
    return Daemon(f"knot-{server.name}")


def ensure() -> str:
    started = []
    for server in settings.SERVERS:
        if daemon(server).pid() and lookup(server):
            continue
        home = settings.NAMESERVERS / server.name
        for folder in (home, home / "run", home / "db"):
            folder.mkdir(parents=True, exist_ok=True)
        if server.address == settings.PRIMARY and not (home / "zone").exists():
            write(home / "zone", _zone())
        write(home / "knot.conf", _configuration(server), 0o600)
        _clear(server)
        daemon(server).start(["ip", "netns", "exec", server.namespace, "knotd", "-c", home / "knot.conf"])
        started.append(server.name)
        # Before the next one starts: a secondary that finds no primary tries again after 9 s only.
        try:
            wait(f"{server.name} to answer for {settings.HOSTNAME}", lambda: bool(lookup(server)), 20)
        except LabError as problem:
            raise LabError(f"{problem}\n{daemon(server).tail()}") from None
    return f"started {', '.join(started)}" if started else "both answer"


def _clear(server: settings.Nameserver) -> None:
    """End whatever a clone that is gone left running in the namespace: it holds the address."""
    for pid in run(["ip", "netns", "pids", server.namespace], check=False).stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    wait(f"{server.namespace} to be empty", lambda: not run(["ip", "netns", "pids", server.namespace], check=False).stdout.strip(), 10)


def lookup(server: settings.Nameserver, hostname: str = settings.HOSTNAME) -> list[str]:
    """Addresses of a service according to ``server``; empty when it does not answer."""
    question = ["kdig", f"@{server.address}", "+short", "+norecurse", "+time=1", "+retry=0", hostname, "A"]
    done = run(question, check=False)
    return [line for line in done.stdout.split() if line[0].isdigit()] if done.returncode == 0 else []


def stop() -> None:
    for server in settings.SERVERS:
        daemon(server).stop(10)
        _clear(server)


def kill() -> None:
    daemon(settings.SERVERS[0]).send(signal.SIGKILL)


def _zone() -> str:
    return f"""$ORIGIN {settings.ZONE}.
$TTL {settings.RECORD_TTL}
@ 60 SOA ns1 hostmaster 1 {REFRESH} 2 3600 60
@ NS ns1
@ NS ns2
ns1 A {settings.PRIMARY}
ns2 A {settings.SECONDARY}
hub A {settings.LEGACY}
notes 120 A {settings.LEGACY}
"""


def _configuration(server: settings.Nameserver) -> str:
    home = settings.NAMESERVERS / server.name
    head = f"""server:
    rundir: "{home}/run"
    listen: {server.address}@53
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: "{home}/db"
"""
    if server.address == settings.PRIMARY:
        key = json.loads(settings.TSIG.read_text(encoding="utf-8"))
        body = f"""key:
  - id: {key["name"]}
    algorithm: {key["algorithm"]}
    secret: {key["secret"]}
acl:
  - id: update
    key: {key["name"]}
    action: update
  - id: transfer
    address: {settings.SECONDARY}
    action: transfer
zone:
  - domain: {settings.ZONE}
    acl: [update, transfer]
"""
    else:
        body = f"""remote:
  - id: primary
    address: {settings.PRIMARY}@53
zone:
  - domain: {settings.ZONE}
    master: primary
"""
    # zonefile-sync 0: the file has every update at once, so that a kill forgets none.
    return f'{head}{body}    storage: "{home}"\n    file: "{home}/zone"\n    zonefile-sync: 0\n'
