# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines of systemd-nspawn that run: one boot through the module, and kills of whoever works on them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core import faults
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine import process

pytestmark = pytest.mark.slow

SECRET = "canary-5d1f09ac"
PLAY = """\
---
- name: A machine and back
  hosts: localhost
  gather_facts: false
  module_defaults:
    group/bowline.fleet.node_machine: {{kind: local_nspawn, folder: {folder}}}
  tasks:
    - name: Foresee
      bowline.fleet.node_machine: &machine
        launcher: plain
        identity: &identity {{fleet: lab, instance_id: {instance}, node: web-1}}
        spec: {{image: {image}, credentials: {{token: {secret}}}}}
      check_mode: true
      register: foreseen
    - name: Make
      bowline.fleet.node_machine: *machine
      register: made
    - name: Make again
      bowline.fleet.node_machine: *machine
      register: again
    - name: Look
      bowline.fleet.node_machine_info: {{identity: *identity, console_lines: 3}}
      register: seen
    - name: Keep
      ansible.builtin.copy:
        content: "{{{{ {{'foreseen': foreseen, 'made': made, 'again': again, 'seen': seen}} | to_json }}}}"
        dest: {results}
        mode: "0600"
"""


def inside(pid: int, *argv: str) -> str:
    return subprocess.run(["nsenter", "--target", str(pid), "--all", *argv], capture_output=True, text=True, check=False).stdout.strip()


def until(condition, seconds: float = 120):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)
    return found


def shown_to_others() -> str:
    """Every argument and environment of the host that another user could read in ps(1), without ours."""
    texts = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            texts.append(path.read_bytes().decode("utf-8", "replace"))
        except OSError:
            continue
    return "\n".join(texts)


def test_one_that_boots(tmp_path, rig, image, machines):
    """Through the module: foreseen, made, nothing left to do. It outlives the module, the secret is inside, and gone after the next start."""
    secret, results = tmp_path / "token", tmp_path / "results.json"
    secret.write_text(SECRET, encoding="utf-8")
    secret.chmod(0o600)
    book = tmp_path / "play.yml"
    book.write_text(PLAY.format(folder=machines, instance=rig.IDS[0], image=image, secret=secret, results=results), encoding="utf-8")
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", "--diff", "-vvv"]
    done = subprocess.run([*command, "-e", f"ansible_python_interpreter={sys.executable}", str(book)], capture_output=True, text=True, check=False,
                          env={**os.environ, "ANSIBLE_NOCOLOR": "1"})  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    seen = json.loads(results.read_text(encoding="utf-8"))
    assert seen["foreseen"]["plan"] == seen["made"]["plan"] and [step["action"] for step in seen["made"]["plan"]] == ["prepare", "define", "start"]
    assert seen["again"]["changed"] is False and seen["seen"]["machines"][0]["identity"]["instance_id"] == rig.IDS[0]
    first = process.container(rig.IDS[0])
    until(lambda: inside(first, "systemctl", "is-system-running") in ("running", "degraded"))
    assert inside(first, "hostname") == "web-1" and inside(first, "cat", "/run/host/credentials/token") == SECRET
    assert inside(first, "systemctl", "--failed", "--plain", "--no-legend") == ""
    keys = inside(first, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")
    assert keys.startswith("ssh-ed25519 ") and not (Path(image) / "etc/ssh/ssh_host_ed25519_key").exists()
    assert SECRET not in shown_to_others() and SECRET not in done.stdout + done.stderr
    written = "".join(path.read_text(encoding="utf-8", errors="replace") for path in (machines / "nspawn" / "web-1").glob("*.*"))
    assert SECRET not in written and "web-1" in written
    bare = {"image": image, "credentials": "absent"}
    inside(first, "touch", "/root/kept")
    outcome = rig.drive([rig.params("local_nspawn", machines, state, spec=bare) for state in ("running", "stopped", "running")])
    assert [[step["action"] for step in one["plan"]] for one in outcome["results"]] == [["forget"], ["stop"], ["start"]]
    second = process.container(rig.IDS[0])
    until(lambda: inside(second, "systemctl", "is-system-running") in ("running", "degraded"))
    assert inside(second, "ls", "/root/kept") == "/root/kept" and inside(second, "cat", "/etc/ssh/ssh_host_ed25519_key.pub") == keys
    assert inside(second, "ls", "/run/host/credentials") == ""
    kept = subprocess.run(["grep", "-rl", SECRET, str(machines)], capture_output=True, text=True, check=False).stdout
    assert kept == ""
    assert rig.drive([rig.params("local_nspawn", machines, "absent")])["results"][0]["changed"]
    assert process.container(rig.IDS[0]) is None and os.listdir(machines / "nspawn") == []


def killed(rig, point: str, turn: int, given) -> bool:
    """A run in a process of its own that is killed at this point; false when it ended before."""
    pid = os.fork()
    if pid == 0:
        faults.arm(f"{point}.{turn}")
        try:
            rig.drive([given])
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def containers() -> list[str]:
    """Ids of all containers on this host that carry an id of these tests."""
    return [instance for instance in (f"0f0e0d0c-1111-4222-8333-00000000000{number}" for number in range(1, 5)) if process.container(instance)]


@pytest.mark.parametrize("point", ["M1", "M2"])
def test_a_kill_before_and_after_every_call(rig, image, machines, point):
    """Machines made / wanted is 1.00 at each of them: one folder, one process, nothing beside them."""
    spec, kills = {"image": image, "volatile": True}, 0
    for state in ("running", "absent"):
        for turn in itertools.count(1):
            given = rig.params("local_nspawn", machines, state, spec=spec)
            if state == "absent":
                rig.drive([rig.params("local_nspawn", machines, "running", spec=spec)])
            died = killed(rig, point, turn, given)
            kills += died
            again, third = rig.drive([given, given])["results"]
            assert "failure" not in again and third["changed"] is False, again
            assert sorted(os.listdir(machines / "nspawn")) == (["web-1"] if state == "running" else [])
            assert containers() == ([rig.IDS[0]] if state == "running" else [])
            rig.drive([rig.params("local_nspawn", machines, "absent")])
            if not died:
                break
    assert kills == 6


def test_a_process_that_dies_before_its_program_is_told_and_made_good(rig, image, machines):
    """Between the record and systemd-nspawn: the run says so, the next one starts the machine."""
    given = rig.params("local_nspawn", machines, spec={"image": image, "volatile": True})
    faults.arm("M3")
    try:
        assert rig.drive([given])["results"][0]["failure"] == "machine_ended"
    finally:
        faults.arm("")
    assert [step["action"] for step in rig.drive([given])["results"][0]["plan"]] == ["start"]


def test_a_machine_whose_nspawn_was_killed_is_still_known(rig, image, machines):
    """The record of its process is of no use then; it is found by the id that its first process carries, and ended."""
    given = rig.params("local_nspawn", machines, spec={"image": image, "volatile": True})
    rig.drive([given])
    os.kill(process.recorded(str(machines / "nspawn" / "web-1" / "run.json")), signal.SIGKILL)
    until(lambda: process.recorded(str(machines / "nspawn" / "web-1" / "run.json")) is None)
    assert process.container(rig.IDS[0])
    again, gone = rig.drive([given, rig.params("local_nspawn", machines, "absent")])["results"]
    assert again["changed"] is False and [step["action"] for step in gone["plan"]] == ["destroy", "undefine", "clear"]
    assert process.container(rig.IDS[0]) is None


def test_the_same_id_in_another_folder_is_no_second_machine(rig, image, machines, tmp_path):
    """One id, one process: what runs from another folder is seen by its first process, and left alone."""
    spec = {"image": image, "volatile": True}
    rig.drive([rig.params("local_nspawn", machines, spec=spec)])
    first = process.container(rig.IDS[0])
    for state in ("running", "absent"):
        assert rig.drive([rig.params("local_nspawn", tmp_path / "other", state, spec=spec)])["results"][0]["failure"] == "identity_mismatch"
    assert process.container(rig.IDS[0]) == first and not (tmp_path / "other" / "nspawn").exists()


def test_a_root_that_does_not_boot_is_told_with_its_last_words(rig, tmp_path, machines):
    empty = tmp_path / "empty"
    (empty / "usr").mkdir(parents=True)
    (empty / "etc").mkdir()
    result = rig.drive([rig.params("local_nspawn", machines, spec={"image": str(empty), "accept_unpublished": True})])["results"][0]
    assert result["failure"] == "machine_ended" and "os-release" in result["message"], result
