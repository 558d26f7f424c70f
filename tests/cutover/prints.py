# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan and a refused run must leave as it is."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from world import ROOT


def prints(world) -> dict[str, str]:
    """What a plan must leave as it is: transactions and objects of the old server, files of both hosts, the zone, the journal."""
    ssh = ["ssh", *world.lab["target"]["ssh"]["options"], f"root@{world.lab['target']['address']}"]
    # Not below /root/.ansible, /run and /tmp, where Ansible and sshd themselves come and go.
    walk = "find /etc /usr/local /usr/libexec /var/lib /opt -xdev -type f -not -path '*/systemd/*' -printf '%p %s %m %T@\\n' | sort"
    # The records, not the serial: another stack has names in this zone too.
    name, ask = world.lab["dns"]["name"], ["kdig", f"@{world.lab['dns']['servers'][0]['address']}", "+noall", "+answer"]
    here = [path for path in ("/etc/bowline", "/var/lib/bowline", "/usr/libexec/bowline") if Path(path).exists()]
    nginx = Path(world.lab["legacy"]["nginx_directory"])
    return {
        "next transaction": str(world.ask("legacy", "select pg_snapshot_xmax(pg_current_snapshot())")),
        "objects": str(world.ask("legacy", "select array_agg(oid order by oid) from pg_class")),
        "target": hashlib.sha256(subprocess.run([*ssh, walk], check=True, capture_output=True).stdout).hexdigest(),
        "legacy": "\n".join(f"{root} {sorted(files)}" for path in here for root, _dirs, files in os.walk(path)),
        "proxy": "".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(nginx.iterdir()) if path.is_file()),
        "containers": subprocess.run(["docker", "ps", "-aq"], check=True, capture_output=True, text=True).stdout,
        "zone": subprocess.run([*ask, name, "A", f"_bowline-a.{name}", "TXT"], check=True, capture_output=True, text=True).stdout,
        "journal": str(sorted((path.name, path.stat().st_size) for path in (ROOT / "build" / "state").glob("*"))),
    }
