# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a move that is given up must leave on the old host byte for byte: files, containers, the name, and the old database but its rows."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import typing as t
from pathlib import Path

import judge

# Where a move writes on its hosts, and everything beside it. The folder of the dumps is not among them: those are the operator's.
ROOTS = ("/etc", "/usr/local", "/usr/libexec", "/opt", "/srv", "/var/lib/bowline", "/run/systemd/system")
# Of programs that work on this machine beside the lab; no move knows them.
OTHERS = ("/etc/libvirt",)
CATALOGS = {
    "settings": "SELECT name, setting, source, sourcefile, pending_restart FROM pg_settings WHERE source NOT IN ('default', 'client', 'session') ORDER BY 1",
    "postgresql.auto.conf": "SELECT pg_read_file('postgresql.auto.conf')",
    "slots": "SELECT slot_name, plugin, database FROM pg_replication_slots ORDER BY 1",
    "publications": "SELECT pubname, puballtables FROM pg_publication ORDER BY 1",
    "subscriptions": "SELECT subname FROM pg_subscription ORDER BY 1",
    "event triggers": "SELECT evtname FROM pg_event_trigger ORDER BY 1",
    "origins": "SELECT roname FROM pg_replication_origin ORDER BY 1",
    "identities": "SELECT oid::regclass::text, relreplident FROM pg_class WHERE relkind IN ('r', 'p') ORDER BY 1",
    "accounts": "SELECT rolname, rolpassword, shobj_description(oid, 'pg_authid') FROM pg_authid ORDER BY 1",
    "databases": "SELECT datname, datconnlimit, datacl::text, shobj_description(oid, 'pg_database') FROM pg_database ORDER BY 1",
    "settings of databases": "SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting ORDER BY 1, 2",
}


def look(world) -> dict[str, str]:
    """Everything by its name. One print each, so that a difference is named."""
    return {**_files(world), **_containers(world), **_name(world), **_database(world)}


def differing(before: t.Mapping[str, str], after: t.Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Names of what is not the same, with how it was and how it is."""
    return {name: (before.get(name, "absent"), after.get(name, "absent")) for name in {*before, *after} if before.get(name) != after.get(name)}


def bytes_that_differ(before: t.Mapping[str, str], after: t.Mapping[str, str]) -> int:
    """The figure: 0 when nothing differs. A file counts with the length of its print, whatever its own length."""
    return sum(max(len(was), len(now)) for was, now in differing(before, after).values())


def _files(world) -> dict[str, str]:
    found = {}
    for root in (*ROOTS, world.lab["compose"]["directory"]):
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if f"{folder}/{name}" not in OTHERS]
            for name in [*folders, *names]:
                path = Path(folder, name)
                status = path.lstat()
                what = stat.S_IFMT(status.st_mode)
                said = os.readlink(path) if stat.S_ISLNK(what) else hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(what) else ""
                found[str(path)] = f"{what:o} {status.st_mode & 0o7777:o} {status.st_uid}:{status.st_gid} {said}"
    return found


def _containers(world) -> dict[str, str]:
    names = _out(["docker", "ps", "-a", "--format", "{{.Names}}", "--filter", f"name={world.lab['compose']['project']}"]).split()
    found = {}
    for name in names:
        known = json.loads(_out(["docker", "inspect", name]))[0]
        same = {key: known[key] for key in ("Id", "Created", "Image", "Config", "HostConfig", "Path", "Args", "RestartCount")}
        # The engine keeps both in no order.
        same["Mounts"] = sorted(json.dumps(mount, sort_keys=True) for mount in known["Mounts"])
        networks = known["NetworkSettings"]["Networks"].items()
        same["Networks"] = {network: [sorted(entry["Aliases"] or []), entry["IPAddress"]] for network, entry in networks}
        same["State"] = [known["State"][key] for key in ("Status", "StartedAt")]
        found |= {f"container {name}: {key}": json.dumps(value, sort_keys=True) for key, value in same.items()}
        found[f"files of container {name}"] = "\n".join(sorted(_out(["docker", "diff", name]).splitlines()))
    return found


def _name(world) -> dict[str, str]:
    name = world.lab["dns"]["name"]
    return {
        f"{name} on {server['address']}": _out(["kdig", f"@{server['address']}", "+noall", "+answer", name, "A", f"_bowline-a.{name}", "TXT"])
        for server in world.lab["dns"]["servers"]
    }


def _database(world) -> dict[str, str]:
    known = world.lab["databases"]["legacy"]
    enter = ["docker", "exec", "-u", "postgres", known["container"]]
    folder = known["bindir"]
    dumps = {
        "globals": [*enter, f"{folder}/pg_dumpall", "--globals-only"],
        "schema": [*enter, f"{folder}/pg_dump", "--schema-only", "--create", known["dbname"]],
    }
    # A word that is drawn anew for each dump.
    found = {f"dump of {name}": re.sub(r"(?m)^\\(un)?restrict .*$", "", _out(words)) for name, words in dumps.items()}
    with judge.connect(known) as session:
        found |= {name: repr(session.execute(text).fetchall()) for name, text in CATALOGS.items()}
    return found


def _out(words: list[str]) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout
