# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Operation, role, report and timeline together, as ansible-playbook runs them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[3]
ROLE = """\
---
- name: Work of {name}
  ansible.builtin.lineinfile: {{path: "{{{{ world }}}}/{name}-{{{{ inventory_hostname }}}}", line: done, create: true, mode: "0600"}}
  register: {name}_done
  when: {name}_fails is not defined

- name: Refuse
  bowline.fleet.operation:
    state: refused
    code: no_space
    findings: [{{code: no_space, field: disk, message: "full, password=canary-in-message", remedy: free some}}]
  when: {name}_fails is defined

- name: Wait to be told
  ansible.builtin.wait_for: {{path: "{{{{ world }}}}/go", timeout: 60, sleep: 1}}
  when: {name}_waits is defined and not ansible_check_mode

- name: Say what was done
  ansible.builtin.set_fact:
    {name}_step:
      changed: "{{{{ {name}_done is changed }}}}"
      evidence: {{host: "{{{{ inventory_hostname }}}}", line: "token=canary-in-evidence"}}
      bookmark: {{before: nothing}}
  when: {name}_silent is not defined
"""

PLAY = """\
---
- name: Move the toy
  hosts: "{{ on | default('one') }}"
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - name: Open
      ansible.builtin.include_role: {name: bowline.fleet.operation}
      vars:
        operation_kind: "{{ kind | default('toy') }}"
        operation_subjects: [toy/1]
        operation_steps_planned: [{id: T1, name: First}, {id: T2, name: Second}, {id: T3, name: Not asked for, wanted: "{{ third | default(false) }}"}]
    - name: Steps
      block:
        - name: T1 | First
          ansible.builtin.include_role: {name: bowline.fleet.operation, tasks_from: step}
          vars:
            operation_step: {id: T1, role: alpha}
        - name: T2 | Second
          ansible.builtin.include_role: {name: bowline.fleet.operation, tasks_from: step}
          vars:
            operation_step: {id: T2, roles: [{name: alpha, host: two}, {name: there_is_none, wanted: false}, {name: beta}]}
      rescue:
        - name: End as failed
          ansible.builtin.fail: {msg: "Not moved: {{ operation_failure.message }}"}
      always:
        - name: Report
          ansible.builtin.include_role: {name: bowline.fleet.report}
"""


class Toy:
    def __init__(self, base: Path) -> None:
        self.base, self.world, self.store = base, base / "world", base / "state" / "store.db"
        self.processes: list[subprocess.Popen[str]] = []
        self.world.mkdir()
        for name in ("alpha", "beta"):
            tasks = base / "roles" / name / "tasks"
            tasks.mkdir(parents=True)
            (tasks / "main.yml").write_text(ROLE.format(name=name))
        (base / "play.yml").write_text(PLAY)
        host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        (base / "inventory.json").write_text(json.dumps({"all": {"hosts": {"one": host, "two": host}}}))

    def start(self, *words: str, **extra: str) -> subprocess.Popen[str]:
        callback, before = extra.pop("callback", "bowline.fleet.timeline"), extra.pop("before", "").split()
        variables = {
            "world": str(self.world),
            "operation_store": f"sqlite://{self.store}?ephemeral=true",
            "report_directory": str(self.base / "report"),
            "report_log_directory": str(self.base / "docs"),
            **extra,
        }
        environment = {
            **os.environ,
            "ANSIBLE_STDOUT_CALLBACK": callback,
            "ANSIBLE_INJECT_FACT_VARS": "false",
            # The parameters of modules are shown with -vvv as ansible-core did on its own before 2.21.
            "ANSIBLE_INJECT_INVOCATION": "true",
            "ANSIBLE_LOCAL_TEMP": str(self.base / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
            "BOWLINE_RESULT_FILE": str(self.base / "result.json"),
            "BOWLINE_HEARTBEAT": "0.4",
        }
        program = str(Path(sys.executable).parent / "ansible-playbook")
        argv = [*before, program, "-i", "inventory.json", "play.yml", "-e", json.dumps(variables), *words]
        process = subprocess.Popen(
            argv, cwd=self.base, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.processes.append(process)
        return process

    def run(self, *words: str, **extra: str) -> tuple[int, str]:
        process = self.start(*words, **extra)
        out, _err = process.communicate(timeout=120)
        return process.returncode, out

    @property
    def result(self) -> dict:
        value = json.loads((self.base / "result.json").read_text())
        jsonschema.validate(value, json.loads((ROOT / "docs" / "result.schema.json").read_text()))
        return value

    def started(self, step: str) -> bool:
        if not self.store.exists():
            return False
        with sqlite3.connect(f"file:{self.store}?mode=ro", uri=True) as connection:
            try:
                return bool(connection.execute("SELECT 1 FROM step_host WHERE step_id = ? AND status = 'started'", (step,)).fetchone())
            except sqlite3.OperationalError:
                return False


@pytest.fixture
def toy(tmp_path):
    toy = Toy(tmp_path)
    yield toy
    (toy.world / "go").touch()
    for process in toy.processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


def files(folder: Path) -> dict[str, bytes]:
    """What stands below ``folder``, without Ansible's own temporary files."""
    found = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {str(name): path.read_bytes() for name, path in found.items() if name.parts[0] != "tmp"}


def test_check_then_real_then_again(toy):
    before = files(toy.base)
    code, out = toy.run("--check", "--diff")
    assert code == 0, out
    after = files(toy.base)
    check = json.loads(after.pop("result.json"))
    assert after == before, "check mode wrote something beside the result that it was asked for"

    code, out = toy.run()
    assert code == 0, out
    real = toy.result
    assert check["planned_steps"] == [step["id"] for step in real["steps"]] == ["T1", "T2"]
    assert [step["changed"] for step in check["steps"]] == [step["changed"] for step in real["steps"]] == [True, True]
    assert (check["check_mode"], check["operation"], real["check_mode"]) == (True, "check", False)
    assert "[ 1/2] T1   First" in out and "changed · host one" in out
    assert json.loads((toy.base / "report" / "result.json").read_text())["operation"] == real["operation"]
    assert "Succeeded" in (toy.base / "report" / "report.html").read_text()

    code, out = toy.run()
    assert code == 0 and "changed=0 " in out, out
    assert [step["changed"] for step in toy.result["steps"]] == [False, False]


def test_a_failure_keeps_its_code_through_the_step_to_the_result(toy):
    code, out = toy.run(beta_fails="yes")
    assert code != 0
    assert (toy.result["outcome"], toy.result["failure"]["code"]) == ("failed", "no_space")
    assert "        no_space\n" in out and "remedy: free some" in out and "FAILED" in out
    assert out.count("remedy: free some") <= 2, "the failure is shown at its step and in the summary, no more"
    assert "no_space" in (toy.base / "report" / "report.html").read_text()


def test_a_role_that_says_nothing_fails_even_when_it_spoke_in_an_earlier_step(toy):
    code, _out = toy.run(beta_silent="yes")
    assert (code != 0, toy.result["failure"]["code"]) == (True, "evidence_missing")


def test_several_hosts_make_one_step(toy):
    code, out = toy.run(on="all")
    assert code == 0, out
    assert out.count("T1   First …") == 1
    connection = sqlite3.connect(toy.store)
    assert connection.execute("SELECT COUNT(*) FROM operation").fetchone() == (1,)
    assert connection.execute("SELECT host FROM step_host WHERE step_id = 'T1' ORDER BY host").fetchall() == [("one",), ("two",)]


# What servers and programs say, with secrets and verifiers in it.
CANARIES = [
    "CREATE ROLE app PASSWORD 'canary-in''s statement' LOGIN",
    "CREATE ROLE app PASSWORD 'SCRAM-SHA-256$4096:canary-in==$canary-in=:canary-in=",
    "redis://:canary-in/url@cache, postgres://hub:canary@in@db/hub",
    "Authorization: Bearer canary-in-7",
    "Cookie: sid=canary-in; other=canary-in",
    "tool --api-key canary-in --password='canary-in words' now",
    "key hub { secret \"canary-in==\"; };",
    '{"Env": ["POSTGRES_PASSWORD=canary-in", "TZ=UTC"], "token": "canary-in"}',
    "-----BEGIN PRIVATE KEY-----\ncanary-in\n-----END PRIVATE KEY-----",
]


def test_secrets_are_nowhere(toy):
    """In no line of the most talkative run, in no file that it left, and in the journal neither."""
    tasks = toy.base / "roles" / "alpha" / "tasks" / "main.yml"
    tasks.write_text(tasks.read_text().replace('line: "token=canary-in-evidence"', f"lines: {json.dumps(CANARIES)}"))
    _code, out = toy.run("-vvv", beta_fails="yes")
    assert "canary-in" not in toy.result.__repr__()
    written = {name: content for name, content in files(toy.base).items() if not name.startswith("roles/")}
    assert {"result.json", "report/report.html", "state/store.db"} <= set(written)
    assert [name for name, content in written.items() if b"canary" in content.replace(b"canary-in-message", b"")] == []
    assert "TZ=UTC" in out and "canary" not in out
    with sqlite3.connect(toy.store) as connection:
        assert "canary" not in "\n".join(connection.iterdump())


CHECKS = """\
---
- hosts: one
  gather_facts: false
  tasks:
    - name: Ask nobody
      bowline.fleet.gate:
        checks:
          - name: refused
            type: http
            url: http://hub:canary/in@127.0.0.1:1/?token=canary-in
            method: POST
            request_headers: {Authorization: Bearer canary-in, X-Api-Key: canary-in, Cookie: sid=canary-in}
            body: {user: hub, password: canary-in}
            timeout: 1
          - {name: command, type: command, argv: [echo, "PASSWORD 'canary''in'", --token, canary-in], rc: 1, read_only: true}
      ignore_errors: true

    - name: Say it
      bowline.fleet.gate:
        checks:
          - {name: command, type: command, argv: [echo, "PASSWORD 'canary''in'", --token, canary-in], read_only: true}
"""


@pytest.mark.parametrize("callback", ["ansible.builtin.default", "bowline.fleet.timeline"])
def test_parameters_and_results_of_a_module_hold_no_secret_however_talkative(toy, callback):
    """With -vvv Ansible shows the parameters of a module; its own callback shows them as the module gave them back."""
    (toy.base / "play.yml").write_text(CHECKS)
    _code, out = toy.run("-vvv", callback=callback)
    # The timeline shows nothing of a failure that is ignored but its name; the other one shows all there is.
    assert "Ask nobody" in out and "PASSWORD" in out and ("request_headers" in out or callback != "ansible.builtin.default")
    assert [line for line in out.splitlines() if "canary" in line] == []


def test_what_a_run_leaves_is_for_its_owner_alone(toy):
    old = toy.base / "docs"
    old.mkdir(mode=0o755)
    code, out = toy.run(kind="cutover")
    assert code == 0, out
    left = [toy.base / "result.json", *(path for folder in ("report", "docs", "state") for path in [toy.base / folder, *(toy.base / folder).rglob("*")])]
    assert toy.base / "report" / "report.html" in left and any(path.suffix == ".md" for path in left)
    open_to_others = {str(path.relative_to(toy.base)) for path in left if path.stat().st_mode & 0o077}
    assert open_to_others == {"docs"}, "a folder that somebody made stays as it is"


def test_a_second_run_is_locked_out_and_a_killed_one_taken_over_at_once(toy):
    first = toy.start(alpha_waits="yes")
    try:
        until(lambda: toy.started("T1"))
        for words in ((), ("--check",)):
            code, out = toy.run(*words)
            assert code != 0
            assert (toy.result["failure"]["code"], toy.result["failure"]["details"]["subject"]) == ("locked", "toy/1")
            assert f"pid {first.pid} " in out
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    (toy.world / "go").touch()
    code, out = toy.run()
    assert code == 0, out
    outcomes = sqlite3.connect(toy.store).execute("SELECT outcome FROM operation ORDER BY started_at").fetchall()
    assert outcomes == [("abandoned",), ("succeeded",)]


@pytest.mark.parametrize("words", [(), ("--check",)], ids=["run", "check"])
def test_a_journal_that_would_vanish_with_its_container_is_refused_by_the_check_too(toy, monkeypatch, words):
    """As in a pod: the variable is Kubernetes' own, the tmpfs is that of every Linux."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    code, out = toy.run(*words, operation_store="sqlite:///dev/shm/bowline-nowhere/store.db")
    assert code != 0
    assert "store_ephemeral This is a container and /dev/shm/bowline-nowhere/store.db is on its tmpfs" in " ".join(out.split()), out
    assert not Path("/dev/shm/bowline-nowhere").exists()


def refused(toy) -> str:
    """The remedy of the second run, which finds the first one in its step."""
    code, out = toy.run()
    assert (code != 0, toy.result["failure"]["code"]) == (True, "locked"), out
    assert "Nothing was changed." in toy.result["failure"]["message"]
    return toy.result["failure"]["remedy"]


def test_what_locked_says_of_a_run_that_hangs_is_enough(toy):
    first = toy.start(alpha_waits="yes")
    until(lambda: toy.started("T1"))
    remedy = re.search(r"if it hangs, type `kill (\d+)` on (\S+), then run the same command again", refused(toy))
    assert remedy and remedy.group(2) == socket.gethostname()
    subprocess.run(["kill", remedy.group(1)], check=True)
    first.communicate(timeout=30)
    (toy.world / "go").touch()
    code, out = toy.run(alpha_waits="yes")
    assert code == 0, out


def test_what_locked_says_of_a_dead_run_of_another_machine_is_enough(toy):
    """Its name is what makes it another machine: a process that cannot be seen from here keeps its lease until somebody says that it is dead."""
    (toy.base / "elsewhere").write_text('hostname elsewhere && exec "$@"\n')
    first = toy.start(alpha_waits="yes", before=f"unshare --uts {'' if os.geteuid() == 0 else '--map-root-user'} sh {toy.base}/elsewhere")
    until(lambda: toy.started("T1"))
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    (toy.world / "go").touch()
    said = refused(toy)
    remedy = re.search(r"`(ps -p \d+)` on elsewhere .* run the same command again with `(\S+ operation_take_over=\S+)`", said)
    assert remedy, said
    assert subprocess.run(remedy.group(1).split(), check=False, capture_output=True).returncode == 1, "it is dead, as ps tells there"
    code, out = toy.run(*remedy.group(2).split())
    assert code == 0, out
    outcomes = sqlite3.connect(toy.store).execute("SELECT outcome FROM operation ORDER BY started_at").fetchall()
    assert outcomes == [("abandoned",), ("succeeded",)]


def test_a_long_step_gives_signs_of_life(toy):
    process = toy.start(alpha_waits="yes")
    until(lambda: toy.started("T1"))
    seen = ""
    # The first sign may still be about the task before it.
    while "alpha : Wait to be told" not in seen:
        line = process.stdout.readline()
        assert line, seen
        seen += line
    (toy.world / "go").touch()
    rest, _err = process.communicate(timeout=60)
    assert process.returncode == 0, seen + rest
    assert "T1 runs for" in seen
