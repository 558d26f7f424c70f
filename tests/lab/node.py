# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The life of a node by the playbooks as a user calls them: provision, enrol, running, drain, terminate, with how long each took.

    tests/lab/node.py recorder [--count N]
    tests/lab/node.py nspawn [--count N] [--image FOLDER]
    tests/lab/node.py qemu

``recorder`` needs nobody and no right; its machines are entries of a file. ``nspawn`` boots Debian in containers on this host, reaches them by SSH, and
needs root. ``qemu`` boots one guest by libvirt and looks for its secret in every place where it must not be. What stands on the host is looked at past
the playbooks. Everything that is made here is removed at the end; images are kept.
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

from rig import guests
from rig.shell import LabError, run

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PLACE = ROOT / "build" / "node"
IMAGES = ROOT / "build" / "cache" / "node"
BRIDGE, NETWORK = "bowline-node", "10.213.77"
SECRET = "canary-7d3f51aa90c2"
PYTHON = "/usr/bin/python3"
Way = tuple[str, dict[str, t.Any], str]
WAYS: list[Way] = [
    ("provision", {}, "on"), ("provision", {}, "on"), ("drain", {}, "on"), ("drain", {"node_drain_state": "stopped"}, "off"), ("provision", {}, "on"),
    ("terminate", {}, ""),
]  # fmt: skip
# A boot without KVM takes more than a minute, so there is one.
GUEST_WAYS: list[Way] = [("provision", {}, "on"), ("provision", {}, "on"), ("drain", {}, "on"), ("terminate", {}, "")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["recorder", "nspawn", "qemu"])
    parser.add_argument("--count", type=int, default=1, help="how many nodes")
    parser.add_argument("--image", help="a root file system that is there already, in place of one that is built")
    options = parser.parse_args()
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    try:
        if options.kind == "qemu":
            with guests.hypervisor(PLACE), guests.Watch(SECRET, "web-1", PLACE, [PLACE / "token"]) as watch:
                return life("qemu", 1, None, watch)
        with bridge() if options.kind == "nspawn" else contextlib.nullcontext():
            return life(options.kind, options.count, options.image)
    except LabError as problem:
        print(problem, file=sys.stderr)
        return 1


def life(kind: str, count: int, root: str | None, watch: guests.Watch | None = None) -> int:
    """Each playbook, what it took and what stood on the host after it."""
    names = [f"web-{number}" for number in range(1, count + 1)]
    variables = given(kind, names, root)
    rows, good, whole = [], True, False
    try:
        for name, more, power in GUEST_WAYS if watch else WAYS:
            if name == "terminate" and kind != "recorder":
                forget(names, variables)
            code, seconds = play(name, {**variables, **more}, watch)
            seen = machines(kind)
            if watch:
                inspect(watch, power)
            fits = not code and seen == ({node: power for node in names} if power else {})
            good = good and fits
            rows.append((f"{name} {more.get('node_drain_state', '')}".strip(), f"{seconds:5.1f} s  {said(seen)}{'' if fits else '  NOT as asked for'}"))
            if not fits:
                break
        whole = good
    finally:
        # An interrupted life ends here as well.
        if not whole:
            play("terminate", {**variables, "node_terminate_machine": {**variables["node_terminate_machine"], "force": True}})
    print()
    for name, text in rows:
        print(f"  {name:<14}{text}")
    if watch:
        good = good and not watch.found
        print(f"  {'secret':<14}in {len(watch.found)} places of {watch.looks} that were read{''.join(f'; {place}' for place in sorted(watch.found))}")
    return int(not good)


def inspect(watch: guests.Watch, power: str) -> None:
    """Look where the secret must not be: on this host, and in the journal of a guest that is on. In the guest it was handed over."""
    watch.look()
    if power != "on":
        return
    options = ["-i", str(PLACE / "key"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    told = run(["ssh", *options, f"root@{guests.address('web-1')}", "cat /run/credentials/@system/token; echo; journalctl --no-pager"], timeout=300).stdout
    first, _line, journal = told.partition("\n")
    if first != SECRET or "systemd" not in journal:
        raise LabError(f"The guest was not given its secret, or has no journal: {told[:200]!r}")
    watch.said("journal of the guest", journal)
    if "fw_cfg" in guests.virsh("dumpxml", "web-1", "--inactive") or list(PLACE.glob("machines/qemu/*/credentials")):
        raise LabError("The host still has the credentials of a machine that has enrolled.")


def forget(names: list[str], variables: t.Mapping[str, t.Any]) -> None:
    """Nobody takes the machines for members any more, which is what node_terminate_evidence says then."""
    for name in names:
        arguments = {"state": "absent", "name": name, "authority": variables["node_enrol_authority"], "store": variables["node_terminate_store"]}
        run([BIN / "ansible", "localhost", *words(), "-m", "bowline.fleet.node_enrolment", "-a", json.dumps(arguments)], env=environment(), cwd=ROOT)


def given(kind: str, names: list[str], root: str | None) -> dict[str, t.Any]:
    """Variables of the playbooks."""
    store = f"sqlite://{PLACE}/state/store.db?ephemeral=true"
    defaults: dict[str, t.Any] = {"provider": "local_nspawn", "folder": str(PLACE / "machines"), "image": "/images/none"}
    each: dict[str, t.Any] = {}
    connection: dict[str, str] = {}
    if kind != "recorder":
        key, token = PLACE / "key", PLACE / "token"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
        token.write_text(SECRET, encoding="utf-8")
        for file in (key.with_suffix(".pub"), token):
            file.chmod(0o600)
        defaults["credentials"] = {"ssh.authorized_keys.root": f"{key}.pub", "token": str(token)}
        known = f"-o UserKnownHostsFile={PLACE}/known_hosts -o StrictHostKeyChecking=accept-new"
        connection = {"user": "root", "private_key_file": str(key), "ssh_common_args": known, "timeout": 900}
    if kind == "nspawn":
        defaults |= {"image": root or image(kind)["image"], "launcher": "plain", "network": BRIDGE, "accept_unpublished": root is not None}
        each = {name: {"provider_options": {"address": f"{NETWORK}.{10 + number}/24"}} for number, name in enumerate(names)}
    elif kind == "qemu":
        made = image(kind)
        defaults |= {
            **{name: made[name] for name in ("image", "kernel", "initrd")}, "provider": "local_qemu", "cmdline": "root=/dev/vda rw console=ttyS0",
            "network": guests.NETWORK, "vcpus": 2, "memory_mib": 1024, "disk_gib": 4,
        }  # fmt: skip
    machine = {"mode": "recorder" if kind == "recorder" else "real", "boot_factor": 5 if kind == "qemu" else 1}
    forgotten = [{"hook": "credentials", "outcome": "released"}]
    stores = {f"node_{role}_store": store for role in ("provision", "drain", "terminate")}
    options = {f"node_{role}_machine": machine for role in ("provision", "drain", "terminate")}
    return {
        **stores, **options, "node_provision_names": names, "node_drain_names": names, "node_terminate_names": names, "node_provision_template": "lab",
        "node_provision_template_options": {"defaults": defaults}, "node_provision_node": {"lifecycle_class": "ephemeral"},
        "node_provision_each": each, "node_provision_connection": connection, "node_hooks_connection": connection,
        "node_provision_enrol": kind != "recorder", "node_enrol_authority": str(PLACE / "authority"),
        "node_terminate_evidence": {name: forgotten for name in names},
    }  # fmt: skip


def image(kind: str) -> dict[str, str]:
    """A root file system or a disk of Debian as node_image returns it; it is built once."""
    print("--- The image; the first build takes a minute or two.", flush=True)
    given = {"name": f"lab-{kind}", "kind": f"local_{kind}", "image_base": str(IMAGES), "machines_folder": str(PLACE / "machines")}
    arguments = json.dumps({**given, "release": "trixie" if kind == "qemu" else "bookworm"})
    env = {**environment(), "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    done = run([BIN / "ansible", "localhost", *words(), "-m", "bowline.fleet.node_image", "-a", arguments], timeout=1800, env=env, cwd=ROOT)
    return dict(json.loads(done.stdout.partition("=>")[2])["image"])


def play(name: str, variables: t.Mapping[str, t.Any], watch: guests.Watch | None = None) -> tuple[int, float]:
    """Run a playbook, after printing the very command; its exit code and its seconds. All that it says passes ``watch``."""
    file = PLACE / "variables.json"
    file.write_text(json.dumps(variables, indent=2))
    file.chmod(0o600)
    argv = ["ansible-playbook", *words(), "-e", f"@{file.relative_to(ROOT)}", f"bowline.fleet.{name}"]
    print(f"\n$ {shlex.join(argv)}\n", flush=True)
    started = time.monotonic()
    words_ = [str(BIN / argv[0]), *argv[1:]]
    if watch is None:
        code = subprocess.run(words_, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, check=False).returncode
        return code, time.monotonic() - started
    words_.insert(1, "-vvv")
    with subprocess.Popen(words_, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as done:
        for line in done.stdout or ():
            watch.said(f"what {name} says", line)
            if line.startswith(("TASK", "PLAY", "fatal", "failed", "ok", "changed")):
                print(line[:300], end="", flush=True)
    return done.returncode, time.monotonic() - started


def words() -> list[str]:
    """This host is the one that makes the machines. An extra variable would be taken for the machines as well."""
    file = PLACE / "hosts.json"
    # The library of libvirt is the system's, and so is the Python that a hypervisor runs modules with.
    file.write_text(json.dumps({"all": {"hosts": {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": PYTHON}}}}))
    return ["-i", str(file.relative_to(ROOT))]


def environment() -> dict[str, str]:
    return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PATH": f"{BIN}:{os.environ['PATH']}"}


def machines(kind: str) -> dict[str, str]:
    """Power of each machine by its node, as the host has it: the file of the recorder, or processes with the folders of the machines."""
    if kind == "recorder":
        file = PLACE / "machines" / "recorder" / "recorder-local_nspawn.json"
        return {one["identity"]["node"]: one["power"] for one in json.loads(file.read_text())["machines"]} if file.exists() else {}
    if kind == "qemu":
        on = guests.virsh("list", "--name").split()
        return {name: "on" if name in on else "off" for name in guests.virsh("list", "--all", "--name").split()}
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
