# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan and a refused run must leave as it is."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import typing as t
from pathlib import Path

import judge

from world import ROOT


@contextlib.contextmanager
def unchanged(world, *excepted: str) -> t.Iterator[None]:
    """Nothing but the ``excepted`` prints may differ afterwards. Autovacuum rests meanwhile: it takes numbers of transactions, too."""
    settle(world, "off")
    try:
        before = prints(world)
        yield
        after = prints(world)
    finally:
        settle(world, "on")
    changed = {name: (before[name], text) for name, text in after.items() if text != before[name] and name not in excepted}
    assert not changed, f"changed: {changed}"


def settle(world, autovacuum: str) -> None:
    """Set ``autovacuum`` of the old server; off returns when no worker of it is left."""
    with judge.connect({**world.lab["databases"]["legacy"], "dbname": "postgres"}) as session:
        session.execute(f"ALTER SYSTEM SET autovacuum = {autovacuum}")
        session.execute("SELECT pg_reload_conf()")
        world.until("autovacuum to follow", lambda: session.execute("SHOW autovacuum").fetchone()[0] == autovacuum)
        if autovacuum == "off":
            busy = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'"
            world.until("autovacuum to rest", lambda: session.execute(busy).fetchone()[0] == 0)


def prints(world) -> dict[str, str]:
    """What a plan must leave as it is: transactions and objects of the old server, files of both hosts, the zone, the journal."""
    ssh = ["ssh", *world.lab["target"]["ssh"]["options"], f"root@{world.lab['target']['address']}"]
    # Not below /root/.ansible, /run and /tmp, where Ansible and sshd themselves come and go.
    # Nor below the data of a server that runs: it writes its own log and statistics.
    data = world.lab["databases"]["target"]["data_directory"]
    roots = "/etc /usr/local /usr/libexec /var/lib /var/backups /opt"
    walk = f"find {roots} -xdev -type f -not -path '*/systemd/*' -not -path '{data}/*' -printf '%p %s %m %T@\\n' | sort"
    # The records, not the serial: another stack has names in this zone too.
    name, ask = world.lab["dns"]["name"], ["kdig", f"@{world.lab['dns']['servers'][0]['address']}", "+noall", "+answer"]
    here = [path for path in ("/etc/bowline", "/var/lib/bowline", "/usr/libexec/bowline", world.lab["snapshots"]) if Path(path).exists()]
    nginx = Path(world.lab["legacy"]["nginx_directory"])
    # Of the images that the inventory names; containers of others come and go on this machine.
    containers = subprocess.run(["docker", "ps", "-a", "--format", "{{.ID}} {{.Image}}"], check=True, capture_output=True, text=True).stdout.splitlines()
    return {
        "next transaction": str(world.ask("legacy", "select pg_snapshot_xmax(pg_current_snapshot())")),
        "objects": str(world.ask("legacy", "select array_agg(oid order by oid) from pg_class")),
        "target": hashlib.sha256(subprocess.run([*ssh, walk], check=True, capture_output=True).stdout).hexdigest(),
        "legacy": "\n".join(f"{root} {sorted(files)}" for path in here for root, _dirs, files in os.walk(path)),
        "proxy": "".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(nginx.iterdir()) if path.is_file()),
        "containers": str([line for line in containers if line.split()[1].startswith(f"{world.lab['compose']['project']}/")]),
        "zone": subprocess.run([*ask, name, "A", f"_bowline-a.{name}", "TXT"], check=True, capture_output=True, text=True).stdout,
        "journal": str(sorted((path.name, path.stat().st_size) for path in (ROOT / "build" / "state").glob("*"))),
    }
