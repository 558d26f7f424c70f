# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The life of a node by the playbooks as a user calls them: provision, running, drain, terminate, with how long each took.

    tests/lab/node.py recorder [--count N]
    tests/lab/node.py nspawn [--count N] [--image FOLDER]

``recorder`` needs nobody and no right; its machines are entries of a file. ``nspawn`` boots Debian in containers on this host, reaches them by SSH, and
needs root. What stands on the host is looked at past the playbooks. Everything that is made here is removed at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from rig.shell import LabError, run

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PLACE = ROOT / "build" / "node"
IMAGES = ROOT / "build" / "cache" / "node"
BRIDGE, NETWORK = "bowline-node", "10.213.77"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["recorder", "nspawn"])
    parser.add_argument("--count", type=int, default=1, help="how many nodes")
    parser.add_argument("--image", help="a root file system that is there already, in place of one that is built")
    options = parser.parse_args()
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    try:
        with bridge() if options.kind == "nspawn" else contextlib.nullcontext():
            return life(options.kind, options.count, options.image)
    except LabError as problem:
        print(problem, file=sys.stderr)
        return 1


def life(kind: str, count: int, root: str | None) -> int:
    """Each playbook, what it took and what stood on the host after it."""
    names = [f"web-{number}" for number in range(1, count + 1)]
    variables = given(kind, names, root)
    ways = [
        ("provision", {}, "on"), ("provision", {}, "on"), ("drain", {}, "on"), ("drain", {"node_drain_state": "stopped"}, "off"),
        ("provision", {}, "on"), ("terminate", {}, ""),
    ]  # fmt: skip
    rows, good = [], True
    try:
        for name, more, power in ways:
            code, seconds = play(name, {**variables, **more})
            seen = machines(kind)
            fits = not code and seen == ({node: power for node in names} if power else {})
            good = good and fits
            rows.append((f"{name} {more.get('node_drain_state', '')}".strip(), f"{seconds:5.1f} s  {said(seen)}{'' if fits else '  NOT as asked for'}"))
            if not fits:
                break
    finally:
        if not good:
            play("terminate", {**variables, "node_terminate_machine": {**variables["node_terminate_machine"], "force": True}})
    print()
    for name, text in rows:
        print(f"  {name:<14}{text}")
    return int(not good)


def given(kind: str, names: list[str], root: str | None) -> dict[str, t.Any]:
    """Variables of the playbooks."""
    store = f"sqlite://{PLACE}/state/store.db?ephemeral=true"
    defaults: dict[str, t.Any] = {"provider": "local_nspawn", "folder": str(PLACE / "machines"), "image": "/images/none"}
    each: dict[str, t.Any] = {}
    connection: dict[str, str] = {}
    if kind == "nspawn":
        key = PLACE / "key"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
        key.with_suffix(".pub").chmod(0o600)
        credentials = {"ssh.authorized_keys.root": f"{key}.pub"}
        defaults |= {"image": root or image(), "launcher": "plain", "network": BRIDGE, "credentials": credentials}
        each = {name: {"provider_options": {"address": f"{NETWORK}.{10 + number}/24"}} for number, name in enumerate(names)}
        known = f"-o UserKnownHostsFile={PLACE}/known_hosts -o StrictHostKeyChecking=accept-new"
        connection = {"user": "root", "private_key_file": str(key), "ssh_common_args": known}
    machine = {"mode": "recorder" if kind == "recorder" else "real"}
    stores = {f"node_{role}_store": store for role in ("provision", "drain", "terminate")}
    options = {f"node_{role}_machine": machine for role in ("provision", "drain", "terminate")}
    return {
        **stores, **options, "node_provision_names": names, "node_drain_names": names, "node_terminate_names": names, "node_provision_template": "lab",
        "node_provision_template_options": {"defaults": defaults}, "node_provision_node": {"lifecycle_class": "ephemeral"},
        "node_provision_each": each, "node_provision_connection": connection, "node_hooks_connection": connection,
    }  # fmt: skip


def image() -> str:
    """A root file system of Debian; it is built once."""
    print("--- The image; the first build takes a minute.", flush=True)
    arguments = json.dumps({"name": "lab", "kind": "local_nspawn", "image_base": str(IMAGES), "machines_folder": str(PLACE / "machines")})
    env = {**environment(), "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    done = run([BIN / "ansible", "localhost", *words(), "-m", "bowline.fleet.node_image", "-a", arguments], timeout=900, env=env, cwd=ROOT)
    return str(json.loads(done.stdout.partition("=>")[2])["image"]["image"])


def play(name: str, variables: t.Mapping[str, t.Any]) -> tuple[int, float]:
    """Run a playbook, after printing the very command; its exit code and its seconds."""
    file = PLACE / "variables.json"
    file.write_text(json.dumps(variables, indent=2))
    file.chmod(0o600)
    argv = ["ansible-playbook", *words(), "-e", f"@{file.relative_to(ROOT)}", f"bowline.fleet.{name}"]
    print(f"\n$ {shlex.join(argv)}\n", flush=True)
    started = time.monotonic()
    code = subprocess.run([str(BIN / argv[0]), *argv[1:]], cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, check=False).returncode
    return code, time.monotonic() - started


def words() -> list[str]:
    """This host is the one that makes the machines. An extra variable would be taken for the machines as well."""
    file = PLACE / "hosts.json"
    file.write_text(json.dumps({"all": {"hosts": {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}}}))
    return ["-i", str(file.relative_to(ROOT))]


def environment() -> dict[str, str]:
    return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PATH": f"{BIN}:{os.environ['PATH']}"}


def machines(kind: str) -> dict[str, str]:
    """Power of each machine by its node, as the host has it: the file of the recorder, or processes with the folders of the machines."""
    if kind == "recorder":
        file = PLACE / "machines" / "recorder" / "recorder-local_nspawn.json"
        return {one["identity"]["node"]: one["power"] for one in json.loads(file.read_text())["machines"]} if file.exists() else {}
    folder = PLACE / "machines" / "nspawn"
    running = {path for path in Path("/proc").glob("[0-9]*/cmdline") if b"systemd-nspawn" in text(path)}
    found = {}
    for path in sorted(folder.glob("[!.]*")) if folder.exists() else []:
        found[path.name] = "on" if any(f"{path}/".encode() in text(process) for process in running) else "off"
    return found


def text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def said(seen: t.Mapping[str, str]) -> str:
    return ", ".join(f"{name} is {power}" for name, power in seen.items()) or "no machine is left"


@contextlib.contextmanager
def bridge() -> t.Iterator[None]:
    """A network of its own on this host, without a way out."""
    if os.geteuid():
        raise LabError("Machines of systemd-nspawn need root. make node-smoke needs no right.")
    run(["ip", "link", "delete", BRIDGE], check=False)
    run(["ip", "link", "add", BRIDGE, "type", "bridge"])
    try:
        run(["ip", "address", "add", f"{NETWORK}.1/24", "dev", BRIDGE])
        run(["ip", "link", "set", BRIDGE, "up"])
        yield
    finally:
        run(["ip", "link", "delete", BRIDGE], check=False)


if __name__ == "__main__":
    sys.exit(main())
