# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What user nobody gets out of our programs on the old host, the new host and the controller: nothing.

A row is an attack: it plants, lets a module do its work, and returns how that ended. It is judged by what the enemy got (`Ground.harm`) and
by the failure that the user sees. "before" says what came of it before the attack was known.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time
import typing as t
from dataclasses import dataclass

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._dns.run import connect as dns_connect
from ansible_collections.bowline.fleet.plugins.module_utils._dns.run import run as dns_run
from ansible_collections.bowline.fleet.plugins.module_utils._native.systemd import SystemdClient
from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import open_copy, open_for_writing
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.control import Edge
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.probe import Probe, run_probe, run_probe_info
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.run import run_edge, start_argv

SECRET = "canary-host-7d1"

# Longer than anything here takes when nobody is in the way, shorter than the enemy stays.
PATIENCE = 8.0

Act = t.Callable[[], t.Any]


@dataclass(frozen=True)
class Attack:
    """``plant`` prepares and returns what the module is asked to do; ``code`` is the failure that the user sees, empty for none."""

    place: str
    plant: t.Callable[[t.Any], Act]
    code: str
    before: str


ATTACKS: dict[str, Attack] = {}


def attack(place: str, code: str, before: str):
    def note(plant):
        ATTACKS[plant.__name__] = Attack(place, plant, code, before)
        return plant

    return note


def runner(argv, *, env=None, stdin=None, timeout=None):
    completed = subprocess.run(list(argv), capture_output=True, text=True, input=stdin, timeout=timeout, check=False)
    return Completed(completed.returncode, completed.stdout, completed.stderr)


def attempt(act: Act) -> t.Any:
    """The result, or the failure; a call that does not return while the enemy is there ends the test."""
    ended: list[t.Any] = []

    def work() -> None:
        try:
            ended.append(act())
        except Exception as error:
            ended.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE + 4)
    assert ended, "it waits for the enemy"
    if isinstance(ended[0], Exception) and not isinstance(ended[0], FleetError):
        raise ended[0]
    return ended[0]


# --- what the modules are asked for -----------------------------------------------------------------------------------------------------


def probe_params(directory, **changes):
    worker = {"name": "w", "address": "127.0.0.1", "method": "GET", "path": "/", "body": None, "headers": {"Authorization": SECRET},
              "expect_status": [200], "rate": 5.0, "concurrency": 1}  # fmt: skip
    return {"state": "started", "directory": str(directory), "url": "http://127.0.0.1:9", "ca_file": None, "resolvers": [], "side_header": "X",
            "timeout": 1.0, "max_seconds": 20.0, "workers": [worker], **changes}  # fmt: skip


def start_probe(directory):
    return lambda: run_probe(probe_params(directory), runner, False)


def edge_params(ground, directory, **changes):
    return {
        "state": "present", "side": "legacy", "directory": str(directory),
        "services": [{"name": "app", "listen": "127.0.0.1:18089", "local": "127.0.0.1:9", "clients": None, "group": None}],
        "peer": {"address": "127.0.0.1", "port": 9, "hostname": "hub.example.test", "ca_file": None},
        "route": "local", "hold": None, "hold_max": 30.0, "warmup": {"timeout": 1.0}, "proxy": None, "check_config": None, "reload": None,
        "token": "a-token-of-the-pair-0123456789",
        "user": None, "group": None, "command": str(ground.kept / "bowline-edge.pyz"), "wait": True, "wait_timeout": 5.0, **changes,
    }  # fmt: skip


def write_hosts(path):
    params = {
        "provider": "hosts", "provider_options": {"path": str(path)}, "zone": None, "name": "hub.example.test", "type": "A", "resolvers": None,
        "state": "present", "values": ["192.0.2.1"], "ttl": 300, "ttl_during": 60, "previous": None, "expect_current": None, "owner": None,
        "max_changes": 5, "verify": "authoritative", "on_timeout": "fail", "wait_old_ttl": False, "wait": True, "wait_timeout": 0,
    }  # fmt: skip
    return lambda: dns_run(params, lambda: dns_connect(params, []), False)


# --- old host ---------------------------------------------------------------------------------------------------------------------------


@attack("old host", "unsafe_path", "code of nobody ran as root")
def probe_code_swapped(ground):
    """The folder of the probe is the enemy's, who swaps the program as soon as it is there."""
    ground.siege(
        "folder, payload = sys.argv[1:]\nos.mkdir(folder, 0o755)\nready()\n"
        "for number in turns():\n"
        "    with open(folder + '/x', 'w') as file:\n        file.write(payload)\n"
        "    os.replace(folder + '/x', folder + '/probe.py')\n",
        ground.open / "probe", ground.payload,
    )  # fmt: skip
    return start_probe(ground.open / "probe")


@attack("old host", "unsafe_path", "code of nobody ran as root")
def probe_modules_planted(ground):
    """Python looks beside a program for what it imports."""
    ground.enemy(
        "folder, payload = sys.argv[1:]\nos.mkdir(folder, 0o755)\n"
        "for name in ('http', 'random', 'ssl', 'struct'):\n"
        "    with open(f'{folder}/{name}.py', 'w') as file:\n        file.write(payload)\n",
        ground.open / "probe", ground.payload,
    )  # fmt: skip
    return start_probe(ground.open / "probe")


@attack("old host", "", "safe: the program was a file; a program on standard input looks into the working directory, but for -I")
def probe_started_in_a_folder_of_everybody(ground):
    ground.enemy(
        "folder, payload = sys.argv[1:]\n"
        "for name in ('http', 'random', 'ssl', 'struct'):\n"
        "    with open(f'{folder}/{name}.py', 'w') as file:\n        file.write(payload)\n",
        ground.open, ground.payload,
    )  # fmt: skip

    def act():
        here = os.getcwd()
        os.chdir(ground.open)
        try:
            return start_probe(ground.kept / "probe")()
        finally:
            os.chdir(here)

    return act


@attack("old host", "unsafe_path", "root wrote the probe's configuration, with its secrets, through the link")
def probe_temporary_name_linked(ground):
    ground.enemy(
        "folder, pid, victim = sys.argv[1:]\nos.mkdir(folder, 0o755)\nos.symlink(victim, f'{folder}/probe.json.{pid}.tmp')\n",
        ground.open / "probe", os.getpid(), ground.victim,
    )  # fmt: skip
    return start_probe(ground.open / "probe")


@attack("old host", "unsafe_path", "root made a file outside, through the link")
def probe_lock_linked(ground):
    ground.enemy(
        "folder, outside = sys.argv[1:]\nos.mkdir(folder, 0o755)\nos.symlink(outside, folder + '/probe.lock')\n",
        ground.open / "probe", ground.safe / "made",
    )  # fmt: skip
    return start_probe(ground.open / "probe")


@attack("old host", "unsafe_path", "the invented lines were the evidence of the run")
def probe_lines_invented(ground):
    ground.enemy(
        "folder, line = sys.argv[1:]\nos.mkdir(folder, 0o755)\n"
        "with open(folder + '/requests.jsonl', 'w') as file:\n    file.write(line + '\\n')\n",
        ground.open / "probe", json.dumps({"t": time.time(), "worker": "w", "ok": True, "status": 200, "side": "new", "ms": 1.0}),
    )  # fmt: skip
    options = {"directory": str(ground.open / "probe"), "since": None, "old_side": None, "released_at": None, "series": False}
    return lambda: run_probe_info(options)


@attack("old host", "unsafe_path", "root wrote its error over a file of root's, through the link")
def probe_error_linked(ground):
    """The enemy holds the lock, so that the probe fails and wants to say why."""
    ground.siege(
        "folder, secret = sys.argv[1:]\nos.mkdir(folder, 0o755)\n"
        "lock = open(folder + '/probe.lock', 'w')\nready()\n"
        "for number in turns():\n"
        "    with contextlib.suppress(OSError):\n        os.symlink(secret, folder + '/error')\n"
        "    if os.path.exists(folder + '/probe.json'):\n        fcntl.flock(lock, fcntl.LOCK_EX)\n",
        ground.open / "probe", ground.secret,
    )  # fmt: skip
    return start_probe(ground.open / "probe")


@attack("old host", "unsafe_path", "Lua of nobody ran as root in the check of the configuration")
def edge_lua_swapped(ground):
    ground.siege(
        "folder, ran = sys.argv[1:]\nos.mkdir(folder, 0o755)\nready()\n"
        "for number in turns():\n"
        "    with open(folder + '/x', 'w') as file:\n        file.write(f'os.execute(\"id -u >> {ran}\")')\n"
        "    os.replace(folder + '/x', folder + '/edge.lua')\n",
        ground.open / "edge", ground.ran,
    )  # fmt: skip
    return lambda: run_edge(edge_params(ground, ground.open / "edge"), runner, False)


@attack("old host", "unsafe_path", "code of nobody ran as root, as bowline-edge")
def edge_command_swapped(ground):
    command = ground.open / "libexec" / "bowline-edge.pyz"
    ground.enemy("os.mkdir(sys.argv[1], 0o755)\n", command.parent)

    def act():
        done = run_edge(edge_params(ground, ground.kept / "edge", command=str(command)), runner, False)
        swap = "import os, sys\nopen(sys.argv[1] + '.x', 'w').write(sys.argv[2])\nos.replace(sys.argv[1] + '.x', sys.argv[1])\n"
        ground.enemy(swap, command, ground.payload)
        subprocess.run(["/usr/bin/python3", str(command), "--directory", str(ground.kept / "edge"), "status"], capture_output=True, check=False)
        return done

    return act


@attack("old host", "unsafe_path", "a command of nobody ran as root")
def edge_record_invented(ground):
    """What is to be run when the edge goes, from the folder of the edge."""
    record = {"driver": "nginx", "config": str(ground.open / "site.conf"), "upstreams": {}, "digest": "", "reload": ["true"],
              "check": ["sh", "-c", f"id -u >> {ground.ran}"]}  # fmt: skip
    ground.enemy(
        "folder, site, record = sys.argv[1:]\nos.mkdir(folder, 0o755)\nopen(site, 'w').write('# nothing\\n')\n"
        "open(folder + '/insertion.json', 'w').write(record)\n",
        ground.open / "edge", ground.open / "site.conf", json.dumps(record),
    )  # fmt: skip
    return lambda: run_edge(edge_params(ground, ground.open / "edge", state="absent"), runner, False)


# Everything that can be opened below the given places, the places themselves included, is locked.
LOCK_ALL = """\
held = []
for top in sys.argv[1:]:
    for folder, folders, files in os.walk(top):
        for path in [folder, *(os.path.join(folder, name) for name in files)]:
            with contextlib.suppress(OSError):
                held.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
                fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
assert held
ready()
wait()
"""


@attack("old host", "", "the hosts file was not written as long as the enemy wished")
def hosts_locked(ground):
    hosts = ground.kept / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    hosts.chmod(0o644)
    # Locks that earlier runs have left are there to be opened, if they can be.
    write_hosts(hosts)()
    hosts.write_text("127.0.0.1 localhost\n")
    ground.siege(LOCK_ALL, ground.kept, "/run/bowline")
    return write_hosts(hosts)


@attack("old host", "unsafe_path", "root wrote into a file outside, through the link")
def hosts_linked(ground):
    ground.enemy(
        "folder, victim = sys.argv[1:]\nos.mkdir(folder, 0o755)\nos.symlink(victim, folder + '/hosts')\n", ground.open / "etc", ground.victim
    )
    return write_hosts(ground.open / "etc" / "hosts")


@attack("old host", "unsafe_path", "the module waited for the pipe")
def hosts_piped(ground):
    ground.enemy("folder = sys.argv[1]\nos.mkdir(folder, 0o755)\nos.mkfifo(folder + '/hosts')\n", ground.open / "etc")
    return write_hosts(ground.open / "etc" / "hosts")


# --- new host ---------------------------------------------------------------------------------------------------------------------------


@attack("new host", "unsafe_path", "the unit that root runs was what nobody wrote")
def unit_swapped(ground):
    units = ground.open / "units"
    ground.enemy("os.mkdir(sys.argv[1], 0o755)\n", units)

    def act():
        SystemdClient(runner, str(units)).write("hub-web.service", "[Service]\nExecStart=/bin/true\n")
        ground.enemy("path = sys.argv[1]\nopen(path + '.x', 'w').write('[Service]')\nos.replace(path + '.x', path)\n", units / "hub-web.service")
        with ground.ran.open("a") as file:
            file.write(f"{os.geteuid()}\n" if (units / "hub-web.service").read_text() == "[Service]" else "")

    return act


@attack("new host", "unsafe_path", "units of nobody were taken for ours")
def units_invented(ground):
    ground.enemy(
        "folder = sys.argv[1]\nos.mkdir(folder, 0o755)\nopen(folder + '/hub-web.service', 'w').write('X-Bowline-Stack=hub')\n", ground.open / "units"
    )
    return lambda: SystemdClient(runner, str(ground.open / "units")).texts("hub", [])


# --- controller -------------------------------------------------------------------------------------------------------------------------


@attack("controller", "unsafe_path", "the journal was a file of nobody, who could write what he liked")
def store_planted(ground):
    ground.enemy(
        "import sqlite3\nfolder = sys.argv[1]\nos.mkdir(folder, 0o755)\n"
        "sqlite3.connect(folder + '/store.db').execute('PRAGMA user_version = 0')\n"
        "open(folder + '/store.db', 'a').close()\nos.chmod(folder + '/store.db', 0o666)\n",
        ground.open / "state",
    )  # fmt: skip
    return lambda: open_for_writing(ground.open / "state" / "store.db").close()


@attack("controller", "unsafe_path", "root made a file outside, through the link")
def store_linked(ground):
    ground.enemy(
        "folder, outside = sys.argv[1:]\nos.mkdir(folder, 0o755)\nos.symlink(outside, folder + '/store.db')\n",
        ground.open / "state", ground.safe / "made.db",
    )  # fmt: skip
    return lambda: open_for_writing(ground.open / "state" / "store.db").close()


@attack("controller", "unsafe_path", "root read a store that it was led to")
def store_linked_for_reading(ground):
    elsewhere = ground.safe / "other.db"
    open_for_writing(elsewhere).close()
    ground._before = ground._safe()
    ground.enemy(
        "folder, outside = sys.argv[1:]\nos.mkdir(folder, 0o755)\nos.symlink(outside, folder + '/store.db')\n", ground.open / "state", elsewhere
    )
    return lambda: open_copy(ground.open / "state" / "store.db").close()


@attack("controller", "unsafe_path", "nothing could be written into the journal as long as the enemy wished")
def store_locked(ground):
    """A store that others may read can be locked by them: the bytes that writers lock are beside it (sqlite.org/walformat.html)."""
    path = ground.kept / "store.db"
    open_for_writing(path).close()
    path.chmod(0o644)
    beside = sqlite3.connect(path)
    beside.execute("PRAGMA user_version").fetchone()
    ground.siege(
        "shared = open(sys.argv[1] + '-shm', 'rb')\nfcntl.lockf(shared, fcntl.LOCK_SH | fcntl.LOCK_NB, 8, 120)\nready()\nwait()\n", path
    )

    def act():
        database = open_for_writing(path)
        with database.transaction() as transaction:
            transaction.execute("SELECT 1")
        beside.close()

    return act


@pytest.mark.parametrize("name", ATTACKS)
def test_the_enemy_gets_nothing(ground, name):
    row = ATTACKS[name]
    outcome = attempt(row.plant(ground))
    assert ground.harm() == [], f"{row.place}: {outcome!r}"
    assert (outcome.code if isinstance(outcome, FleetError) else "") == row.code, outcome
    if isinstance(outcome, FleetError):
        # The user is told where, whose, and what to do; and no secret.
        failure = outcome.as_failure()
        assert str(ground.base) in failure["message"] and failure["remedy"] and SECRET not in json.dumps(failure)


def test_a_switch_does_not_wait_for_whoever_locks_what_he_can_open(ground, traffic_rig):
    """A real edge: the enemy holds every file and folder of it, and of our locks, that he can open."""
    directory = ground.kept / "edge"
    params = edge_params(ground, directory)
    params["services"][0]["listen"] = f"127.0.0.1:{traffic_rig.free_port()}"
    run_edge(params, runner, False)
    process = traffic_rig.Process(start_argv(str(directory)), ground.base / "haproxy.log")
    process.start()
    try:
        edge = Edge(str(directory))
        traffic_rig.wait_until("the edge", edge.haproxy.running)
        edge.route("new")
        ground.siege(LOCK_ALL, ground.kept, "/run/bowline")
        outcome = attempt(lambda: edge.route("legacy"))
        assert not isinstance(outcome, FleetError) and outcome["serves"] == "legacy", outcome
        assert ground.harm() == []
    finally:
        process.stop()


def test_a_folder_that_is_swapped_while_it_is_judged_leads_nowhere(ground):
    """It is a folder of the enemy's, then a link to one that only root can use, then nothing; whoever looks twice sees both."""
    (ground.safe / "roots").mkdir(mode=0o700)
    ground._before = ground._safe()
    place = ground.open / "probe"
    ground.siege(
        "place, target = sys.argv[1:]\nready()\n"
        "for number in turns():\n"
        "    with contextlib.suppress(OSError):\n        os.mkdir(place, 0o700)\n        os.rmdir(place)\n        os.symlink(target, place)\n"
        "    with contextlib.suppress(OSError):\n        os.unlink(place)\n",
        place, ground.safe / "roots",
    )  # fmt: skip
    seen = set()
    for dummy in range(200):
        outcome = attempt(lambda: Probe(str(place)).start({"workers": []}, lambda *words, **more: Completed(1, "", "")))
        seen.add(outcome.code)
        if outcome.code == "probe_failed":
            # We were faster: the folder is ours, and in a sticky one nobody can rename it.
            assert not place.is_symlink() and place.stat().st_uid == os.geteuid()
            shutil.rmtree(place)
    assert ground.harm() == []
    assert "unsafe_path" in seen and seen <= {"unsafe_path", "privileges", "probe_failed"}, seen


KINDS = {
    "link": lambda place, ground: place.symlink_to(ground.secret),
    "dangling link": lambda place, ground: place.symlink_to(ground.safe / "made"),
    "pipe": lambda place, ground: os.mkfifo(place, 0o666),
    "hard link": lambda place, ground: os.link(ground.secret, place),
    "folder": lambda place, ground: place.mkdir(),
}
NAMES = ("probe.json", "probe.lock", "requests.jsonl", "requests.previous.jsonl", "stop", "error")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_what_was_planted_before_the_folder_was_ours_is_not_followed(ground, name, kind):
    """Whoever follows the remedy (chmod, chown) has a folder of his own with what somebody planted. protected_hardlinks does not help: root planted."""
    directory = ground.kept / "probe"
    directory.mkdir(mode=0o700)
    KINDS[kind](directory / name, ground)
    outcome = attempt(start_probe(directory))
    assert ground.harm() == [] and SECRET not in repr(outcome), outcome
    if isinstance(outcome, FleetError):
        assert outcome.code in ("unsafe_path", "probe_failed", "privileges") and str(directory) in outcome.message
    else:
        assert {path.name: path.stat().st_mode & 0o077 for path in directory.iterdir() if path.name in ("probe.json", "probe.lock", "requests.jsonl")} == {
            "probe.json": 0, "probe.lock": 0, "requests.jsonl": 0,
        }  # fmt: skip
