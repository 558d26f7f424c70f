# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A service of a compose project runs on another machine as a unit, in the files of its own image, without an engine there."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._native.artifact import Builder
from ansible_collections.bowline.fleet.plugins.plugin_utils.runner import run
from ansible_collections.bowline.fleet.tests.loading import load

HERE = Path(__file__).resolve().parent
rig = load(HERE.parent / "node_agent" / "conftest.py", "bowline_machine")

pytestmark = [pytest.mark.slow, pytest.mark.lab]

PROJECT = f"bowline-shop-{os.getpid()}"
CANARY = "hunter2-canary-of-the-shop"
UNIT, FILES = "shop-web-web.service", "var-lib-bowline-shop-roots-web\\x2dweb.mount"
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
DISCOVER = [
    {"bowline.fleet.compose_info": {"folder": "{{ folder }}"}, "register": "read", "delegate_to": "localhost", "vars": LOCAL},
    {"ansible.builtin.set_fact": {"native": "{{ read.project | bowline.fleet.native_from_compose('shop') }}"}},
]
BUILD = [
    {"bowline.fleet.native_artifact": {"image": "{{ read.project.services.web.image.id }}", "path": "{{ folder }}/out/web.tar"}, "register": "made",
     "delegate_to": "localhost", "vars": LOCAL},
]  # fmt: skip
CARRY = [
    {"ansible.builtin.file": {"path": "{{ item.path }}", "state": "directory", "mode": "{{ item.mode }}", "owner": "{{ item.owner | default('root') }}"},
     "loop": [{"path": "/var/lib/bowline", "mode": "0755"}, {"path": "/var/lib/bowline/in", "mode": "0700"},
              {"path": "/var/lib/bowline/shop", "mode": "0755"}, {"path": "/var/lib/bowline/shop/volumes", "mode": "0755"},
              {"path": "/var/lib/bowline/shop/volumes/data", "mode": "0755", "owner": "1234"}, {"path": "/etc/bowline", "mode": "0755"},
              {"path": "/etc/bowline/shop", "mode": "0755"}, {"path": "/etc/bowline/shop/environment", "mode": "0700"},
              {"path": "/etc/bowline/shop/secrets", "mode": "0755"}]},
    {"ansible.builtin.copy": {"src": "{{ folder }}/out/web.tar", "dest": "/var/lib/bowline/in/web.tar", "mode": "0600"}},
    {"ansible.builtin.copy": {"content": f"SHOP_TOKEN={CANARY}\n", "dest": "/etc/bowline/shop/environment/web-web", "mode": "0600"}, "no_log": True},
    {"ansible.builtin.copy": {"src": "{{ folder }}/key", "dest": "/etc/bowline/shop/secrets/key", "mode": "0644"}},
]  # fmt: skip
CHOSEN = "{{ native.services | selectattr('name', 'equalto', 'web') | map(attribute='manifest') | first }}"


def activate(digest="{{ made.artifact.digest }}", state="active"):
    modules = [{"manifest": CHOSEN, "artifact": {"path": "/var/lib/bowline/in/web.tar", "digest": digest}}]
    return {"bowline.fleet.native_module": {"stack": "shop", "modules": modules, "state": state, "purge": True, "accept_open_ports": [80]}, "register": "done"}


HEALTHY = {"bowline.fleet.gate": {"checks": "{{ [" + CHOSEN[3:-3] + "] | bowline.fleet.native_health_gates('shop') }}"}}


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """The new home; another one than that of the agent's tests, which may live in the same worker."""
    made = rig.Machine(tmp_path_factory.mktemp("home"), shift=125)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The folder of the project, up and healthy; gone afterwards."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copytree(HERE / "shop", folder, dirs_exist_ok=True)
    (folder / "key").write_text("key-of-the-shop")
    (folder / "out").mkdir(mode=0o700)
    (folder / ".env").write_text(f"SHOP_TOKEN={CANARY}\n")
    compose = ["docker", "compose", "--project-name", PROJECT, "--project-directory", str(folder)]
    try:
        subprocess.run([*compose, "up", "--detach", "--build", "--wait", "--wait-timeout", "60"], check=True, capture_output=True, timeout=180)
        yield folder
    finally:
        subprocess.run([*compose, "down", "--volumes", "--rmi", "local", "--timeout", "5"], check=False, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def moved(machine, old):
    """What one run of everything said: discovery, build, activation, health."""
    before = containers()
    changed, facts = machine.play([*DISCOVER, *BUILD, *CARRY, activate(), HEALTHY], folder=str(old), facts="{'native': native, 'made': made, 'done': done}")
    assert changed > 0
    return {**facts, "containers": (before, containers())}


def containers():
    """Those of the project, and one of ours that was left."""
    labels = (f"com.docker.compose.project={PROJECT}", "bowline.artifact")
    return [run(["docker", "ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.State}}", "--filter", f"label={label}"]).out.splitlines() for label in labels]


def visit(machine, port=80):
    with socket.create_connection((machine.address, port), 5) as door:
        return dict(line.split(" ", 1) for line in door.makefile().read().splitlines())


def test_the_service_runs_in_its_own_files_as_its_own_user(machine, moved):
    seen = visit(machine)
    assert {**seen, "visits": "1"} == {
        "user": "1234", "group": "1234", "name": "compose", "secret": str(len(CANARY)), "key": "15", "mail": "192.0.2.25", "self": "127.0.0.1",
        "home": "/shop", "folder": "/shop", "pid": "1", "root": "0", "visits": "1",
    }  # fmt: skip
    assert int(visit(machine)["visits"]) == int(seen["visits"]) + 1
    assert machine.shell("command -v docker") == ""


def test_nothing_of_the_old_host_was_changed(moved):
    assert moved["containers"][0] == moved["containers"][1]
    assert [len(each) for each in moved["containers"][0]] == [2, 0]


def test_the_service_with_the_engines_socket_stays_behind(moved):
    engine = next(service for service in moved["native"]["services"] if service["name"] == "engine")
    assert engine["manifest"] is None
    assert "the socket of an engine" in engine["refused"][0]["message"]


def test_no_secret_is_where_it_is_not_needed(machine, moved):
    assert CANARY not in json.dumps(moved)
    assert CANARY not in machine.output
    assert CANARY not in machine.shell(f"systemctl show {UNIT}; cat /usr/local/lib/systemd/system/*shop*; journalctl --no-pager -u {UNIT}; ps axww -o args")


def test_only_root_reaches_the_programs_of_an_image(machine, moved):
    for path in ("/var/lib/bowline/modules", "/var/lib/bowline/shop/roots", "/var/lib/bowline/shop/writable"):
        assert machine.shell(f"stat -c '%U %a' {path}") == "root 700"


def test_it_has_the_rights_of_its_container_and_no_more(machine, moved):
    shown = machine.shell(f"grep -E 'CapBnd|CapEff|CapAmb' /proc/$(systemctl show -P MainPID {UNIT})/status")
    # CAP_NET_BIND_SERVICE is number 10.
    assert shown.split() == ["CapEff:", "0000000000000400", "CapBnd:", "0000000000000400", "CapAmb:", "0000000000000400"]
    assert machine.shell(f"systemctl show -P MemoryMax {UNIT}") == str(256 << 20)


def test_what_it_writes_lies_over_its_files_and_not_in_them(machine, moved):
    tree = f"/var/lib/bowline/modules/{moved['made']['artifact']['digest'].partition(':')[2]}/root"
    assert machine.shell(f"ls -A {tree}/run/shop") == ""
    assert machine.shell("ls -A /var/lib/bowline/shop/roots/web-web/run/shop") == "pid"


def test_a_second_run_changes_nothing(machine, moved, old):
    since = machine.shell(f"systemctl show -P ActiveEnterTimestamp {UNIT}")
    assert machine.play([*DISCOVER, *BUILD, activate(), HEALTHY], folder=str(old))[0] == 0
    assert machine.shell(f"systemctl show -P ActiveEnterTimestamp {UNIT}") == since


def test_check_mode_says_what_would_be_done_and_does_nothing(machine, moved, old):
    web = next(service for service in moved["native"]["services"] if service["name"] == "web")
    other = {**web["manifest"], "hosts": {"other": "192.0.2.9"}}
    before = machine.shell("cat /etc/bowline/shop/hosts")
    step = activate()
    step["bowline.fleet.native_module"]["modules"][0]["manifest"] = other
    _changed, facts = machine.play([step], "--check", folder=str(old), facts="done.plan | map(attribute='action')", made=moved["made"])
    assert facts == ["write /etc/bowline/shop/hosts", f"write {UNIT}", "daemon_reload", f"restart {UNIT}"]
    assert machine.shell("cat /etc/bowline/shop/hosts") == before


def test_an_archive_that_was_changed_is_refused_and_what_runs_goes_on(machine, moved, old):
    machine.shell("cp /var/lib/bowline/in/web.tar /var/lib/bowline/in/good.tar && printf x >> /var/lib/bowline/in/web.tar")
    try:
        # The digest of the changed one is not what was pinned: it is pinned anew here, as if the next version had been changed on its way.
        machine.play([*DISCOVER, activate("sha256:" + "0" * 64)], folder=str(old), fails=True)
        assert "artifact_invalid" in machine.output
        assert visit(machine)["user"] == "1234"
        assert "0000" not in machine.shell("ls /var/lib/bowline/modules")
    finally:
        machine.shell("mv /var/lib/bowline/in/good.tar /var/lib/bowline/in/web.tar")


def test_it_starts_with_the_machine_and_takes_its_signal(machine, moved):
    assert machine.shell(f"systemctl is-enabled {UNIT} '{FILES}'").split() == ["enabled", "enabled"]
    machine.shell(f"systemctl stop {UNIT}; systemctl stop '{FILES}'; systemctl start {UNIT}")
    rig.wait(lambda: machine.shell(f"systemctl is-active {UNIT} '{FILES}'").split() == ["active", "active"], "the unit and its files")
    assert machine.shell(f"systemctl show -P Result {UNIT}") == "success"


def test_the_same_image_gives_the_same_bytes(old, tmp_path):
    """Also from another container and after the engine has laid its own files into it; owners, modes, links and odd names stay."""
    content = tmp_path / "content"
    (content / "usr/bin").mkdir(parents=True)
    (content / "usr/bin/su").write_text("x")
    (content / "usr/bin/su").chmod(0o4755)
    (content / "usr/bin/ödd name").hardlink_to(content / "usr/bin/su")
    (content / "link").symlink_to("usr/bin/su")
    with tarfile.open(tmp_path / "in.tar", "w") as archive:
        archive.add(content, "/", filter=lambda item: item.replace(uid=7, gid=8, uname="", gname="", deep=False))
    image = run(["docker", "import", str(tmp_path / "in.tar")]).out.strip()
    try:
        builder, folder = Builder(run), tmp_path / "out"
        name, created = builder.look(image)
        folder.mkdir(mode=0o700)
        digests = {builder.build(name, created, str(folder / file)) for file in ("one.tar", "two.tar")}
        assert len(digests) == 1
        with tarfile.open(folder / "one.tar") as archive:
            found = {member.name: member for member in archive.getmembers()}
        assert found["./usr/bin/su"].mode == 0o4755
        assert (found["./usr/bin/su"].uid, found["./usr/bin/su"].gid) == (7, 8)
        assert found["./link"].linkname == "usr/bin/su"
        assert {found["./usr/bin/su"].type, found["./usr/bin/ödd name"].type} == {tarfile.REGTYPE, tarfile.LNKTYPE}
        assert "./.dockerenv" not in found
        assert containers()[1] == []
    finally:
        run(["docker", "image", "rm", image])


def test_absent_leaves_no_unit_of_it(machine, moved, old):
    """The last test: what it takes away, the others need."""
    machine.play([*DISCOVER, activate(state="absent")], folder=str(old), made=moved["made"])
    assert machine.shell("ls /usr/local/lib/systemd/system/ | grep shop") == ""
    assert machine.shell("findmnt -n -t overlay") == ""
    assert machine.shell("cat /var/lib/bowline/shop/volumes/data/visits") != ""
