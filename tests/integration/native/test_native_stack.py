# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Role native_stack on the lab's target, with a stack of its own: two small HTTP services, a secret, a user.

The lab must be up (``make lab``); what the target shows is read over ssh, past the role.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
LAB = ROOT / "build" / "lab.json"
STACK = "zztest"
WEB, SIDE = f"{STACK}-web-web.service", f"{STACK}-side-side.service"
UNITS = "/usr/local/lib/systemd/system"
PLACES = f"{UNITS}/{STACK}-* /etc/systemd/system/{STACK}-* /etc/systemd/system/*/{STACK}-* /etc/bowline/{STACK} /var/lib/{STACK}"
CANARY = "canary-7c1e5b0a"
WORD = "100% \"quoted\" $HOME 'x' ; | ü"

pytestmark = [pytest.mark.lab, pytest.mark.slow]

APP = """
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        secret = open(os.environ["CREDENTIALS_DIRECTORY"] + "/token").read()
        open(os.environ["STATE_DIRECTORY"] + "/seen", "w").close()
        body = json.dumps({"argv": sys.argv[2:], "greeting": os.environ["GREETING"], "secret": secret, "uid": os.getuid()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


# Says on request what it got from systemd, and writes down which signals reach it.
LIFE = """
import http.server, os, resource, signal, sys, time
def note(number, frame):
    with open(os.environ["STATE_DIRECTORY"] + "/signals", "a") as file:
        file.write(signal.Signals(number).name + " ")
    if number in (signal.SIGINT, signal.SIGTERM):
        sys.exit(0)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP):
    signal.signal(number, note)
print("password=canary-7c1e5b0a cannot be told", file=sys.stderr)
print("I listen to signals only", file=sys.stderr, flush=True)
with open(os.environ["STATE_DIRECTORY"] + "/limits", "w") as file:
    file.write(repr([resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in ("NOFILE", "MEMLOCK", "CORE")]))
with open(os.environ["STATE_DIRECTORY"] + "/seen", "w") as file:
    file.write(repr([os.path.exists(path) for path in ("/home/zztest/life.py", "/tmp/zztest/life.py", "/root/.ssh", "/srv/covered/life.py")]))
while True:
    time.sleep(3600)
"""


def service(name: str, port: int, **keys: t.Any) -> dict[str, t.Any]:
    return {
        "name": name,
        "start_command": ["/usr/bin/python3", "/etc/bowline/zztest/app.py", str(port), WORD],
        "user": STACK,
        "secrets": ["token"],
        "ports": [port],
        "environment": {"GREETING": '50% off "now" $5 \\ done'},
        "state_directory": STACK,
        "health": {"type": "http", "port": port, "path": "/up"},
        **keys,
    }


def module(name: str, *services: dict[str, t.Any], **keys: t.Any) -> dict[str, t.Any]:
    return {"schema_version": 1, "name": name, "version": "1.0.0", "services": list(services), **keys}


class Stack:
    """The role on the target, and the target past the role."""

    def __init__(self, lab: dict[str, t.Any], folder: Path) -> None:
        ssh = lab["target"]["ssh"]
        self._ssh = ["ssh", *ssh["options"], f"{ssh['user']}@{ssh['host']}"]
        self._folder = folder
        self.output = ""
        self.secret = folder / "token"
        self.secret.write_text(CANARY)
        self.variables: dict[str, t.Any] = {
            "native_stack_name": STACK,
            "native_stack_users": [{"name": STACK}],
            "native_stack_secrets": {"token": str(self.secret)},
            "native_stack_files": [{"path": f"/etc/bowline/{STACK}/app.py", "content": APP, "notify": ["web", "side"]}],
            "native_stack_manifests": [
                module("zztest-web", service("web", 18099, depends_on=["side/side"]), requires=["side"], security={"profile": "strict"}),
                module("side", service("side", 18098), provides=["side"]),
            ],
        }
        host = {
            "ansible_host": ssh["host"],
            "ansible_user": ssh["user"],
            "ansible_ssh_private_key_file": ssh["key_file"],
            "ansible_ssh_extra_args": f"-o UserKnownHostsFile={ssh['known_hosts_file']}",
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        (folder / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": {"machine": host}}}))

    def play(self, *options: str, entry: str = "main", fails: bool = False, **variables: t.Any) -> tuple[int, dict[str, t.Any]]:
        """Number of changed tasks and ``native_stack_step`` of one run of an entry point."""
        step = self._folder / "step.json"
        step.unlink(missing_ok=True)
        tasks = [
            {"ansible.builtin.include_role": {"name": "bowline.fleet.native_stack", "tasks_from": entry}},
            {
                "ansible.builtin.copy": {"content": "{{ native_stack_step | to_json }}", "dest": str(step)},
                "delegate_to": "localhost",
                "check_mode": False,
                "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
                "changed_when": False,
            },
        ]
        play = {"hosts": "machine", "gather_facts": False, "vars": {**self.variables, **variables}, "tasks": tasks}
        (self._folder / "play.yml").write_text(yaml.safe_dump([play]))
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "inventory.yml", "play.yml", *options]
        # As ansible.cfg of this clone has it.
        environment = {**os.environ, "ANSIBLE_PIPELINING": "1"}
        done = subprocess.run(command, cwd=self._folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
        self.output += done.stdout + done.stderr
        assert (done.returncode != 0) is fails, done.stdout[-6000:] + done.stderr[-2000:]
        changed = re.search(r"changed=(\d+)", done.stdout)
        assert changed is not None
        return int(changed.group(1)), json.loads(step.read_text()) if step.exists() else {}

    def shell(self, command: str) -> str:
        return subprocess.run([*self._ssh, command], capture_output=True, text=True, timeout=60, check=False).stdout.strip()

    def answer(self, port: int) -> dict[str, t.Any]:
        return json.loads(
            self.shell(
                f"python3 -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:{port}/\", timeout=5).read().decode())'"
            )
        )

    def pid(self, unit: str) -> str:
        return self.shell(f"systemctl show --property=MainPID --value {unit}")

    def condition(self, unit: str) -> str:
        return self.shell(f"systemctl show --property=ActiveState --property=UnitFileState --value {unit}").replace("\n", " ")

    def traces(self) -> str:
        return self.shell(
            f"ls -d {PLACES} 2>/dev/null; getent passwd {STACK};"
            f" systemctl list-units --all --plain --no-legend --state=loaded,masked '{STACK}-*'"
        )

    def clean(self) -> None:
        self.shell(
            f"systemctl stop '{STACK}-*'; rm -rf {PLACES};"
            f" systemctl daemon-reload; systemctl reset-failed '{STACK}-*'; userdel {STACK} 2>/dev/null; true"
        )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Stack]:
    if not LAB.exists():
        pytest.fail(f"{LAB.relative_to(ROOT)} is missing: start the lab with `make lab`.")
    machine = Stack(json.loads(LAB.read_text()), tmp_path_factory.mktemp("stack"))
    machine.clean()
    assert machine.traces() == ""
    yield machine
    machine.clean()


# The tests tell one story in order; each begins where the one before ended.


def test_the_check_run_foresees_everything_and_writes_nothing(stack: Stack) -> None:
    changed, step = stack.play("--check", "--diff")
    assert changed > 0 and step["changed"] is True and step["bookmark"] == {WEB: "absent", SIDE: "absent"}
    assert stack.traces() == ""


def test_the_check_run_needs_no_library_of_apt(stack: Stack) -> None:
    """A blank Debian has apt without python3-apt, which the module of that name wants in check mode."""
    assert "No module named" in stack.shell("/usr/bin/python3 -c 'import apt' 2>&1")
    _changed, step = stack.play("--check", native_stack_packages=["dpkg", "bowline-nowhere"])
    assert step["changed"] is True


def test_the_first_run_makes_the_services_serve_with_what_they_were_given(stack: Stack) -> None:
    _changed, step = stack.play("--diff")
    assert step["changed"] is True
    uid = int(stack.shell(f"id -u {STACK}"))
    for port in (18099, 18098):
        assert stack.answer(port) == {"argv": [WORD], "greeting": '50% off "now" $5 \\ done', "secret": CANARY, "uid": uid}
    assert (stack.condition(WEB), stack.condition(SIDE)) == ("active enabled", "active enabled")


def test_the_second_run_changes_nothing_and_restarts_nothing(stack: Stack) -> None:
    before = stack.pid(WEB), stack.pid(SIDE)
    changed, step = stack.play()
    assert (changed, step["changed"], step["bookmark"]) == (0, False, {WEB: "active", SIDE: "active"})
    assert (stack.pid(WEB), stack.pid(SIDE)) == before


def test_only_the_changed_unit_restarts(stack: Stack) -> None:
    web, side = stack.pid(WEB), stack.pid(SIDE)
    first = stack.variables["native_stack_manifests"][0]
    stack.variables["native_stack_manifests"][0] = {**first, "version": "1.0.1"}
    _changed, step = stack.play()
    assert (step["evidence"]["restarted"], stack.pid(SIDE)) == ([WEB], side) and stack.pid(WEB) != web


def test_a_run_that_died_before_the_restart_is_finished(stack: Stack) -> None:
    web, side = stack.pid(WEB), stack.pid(SIDE)
    stack.shell(f"touch {UNITS}/{WEB}")
    _changed, step = stack.play()
    assert (step["evidence"]["restarted"], stack.pid(SIDE)) == ([WEB], side) and stack.pid(WEB) != web


def test_a_text_that_systemd_refuses_leaves_the_old_unit_running(stack: Stack) -> None:
    web = stack.pid(WEB)
    broken = [
        {**stack.variables["native_stack_manifests"][0], "services": [service("web", 18099, start_command=["/usr/bin/no-such-program"])]}
    ]
    changed, _step = stack.play(fails=True, native_stack_manifests=broken + stack.variables["native_stack_manifests"][1:])
    assert changed == 0 and "unit_invalid" in stack.output and stack.pid(WEB) == web
    assert "no-such-program" not in stack.shell(f"cat {UNITS}/{WEB}")


def test_a_masked_service_cannot_be_started_and_comes_back_when_asked(stack: Stack) -> None:
    side = stack.pid(SIDE)
    changed, step = stack.play(entry="services", native_stack_services={"web": "masked"})
    assert (changed, step["bookmark"][WEB], stack.condition(WEB)) == (1, "active", "inactive masked")
    assert stack.shell(f"systemctl start {WEB} && echo started") == ""
    assert stack.play(entry="services", native_stack_services={"web": "masked"})[0] == 0

    changed, _step = stack.play(native_stack_services={"web": "present"})
    assert (changed, stack.condition(WEB)) == (1, "inactive disabled")
    changed, _step = stack.play(entry="services", native_stack_services={"web": "active"})
    assert (changed, stack.condition(WEB)) == (1, "active enabled") and stack.answer(18099)["secret"] == CANARY
    assert stack.play(native_stack_services={"web": "present"})[0] == 0
    assert stack.pid(SIDE) == side


def life(**keys: t.Any) -> dict[str, t.Any]:
    """A module of one service whose program is seen through a bind below a home, and another one below /tmp."""
    folder = f"/etc/bowline/{STACK}/life"
    return {
        "name": "life",
        "start_command": ["/usr/bin/python3", "/home/zztest/life.py"],
        "user": STACK,
        "state_directory": f"{STACK}/life",
        "binds": [f"{folder}:/home/zztest:ro", f"{folder}:/tmp/zztest:ro"],
        **keys,
    }


def with_life(stack: Stack, *options: str, fails: bool = False, **keys: t.Any) -> tuple[int, dict[str, t.Any]]:
    file = {"path": f"/etc/bowline/{STACK}/life/life.py", "content": LIFE, "notify": ["life"]}
    place = {"path": f"/etc/bowline/{STACK}/life"}
    changes = {
        "native_stack_manifests": [*stack.variables["native_stack_manifests"], module("life", life(**keys))],
        "native_stack_files": [*stack.variables["native_stack_files"], file],
        "native_stack_directories": [place],
        "native_stack_wait_timeout": 2 if fails else 120,
    }
    return stack.play(*options, fails=fails, **changes)


LIVING = f"{STACK}-life-life.service"


def test_limits_signals_and_reload_are_those_of_the_manifest(stack: Stack) -> None:
    web = stack.pid(WEB)
    keys = {
        "limits": {"memlock": 65536, "core": {"soft": 0, "hard": 4096}, "sigpending": -1},
        "stop_signal": "SIGINT",
        "stop_timeout": 20,
        "reload_command": ["/bin/kill", "-USR1", "$MAINPID"],
    }
    with_life(stack, **keys)
    life_pid = stack.pid(LIVING)
    stack.shell(f"for n in $(seq 100); do [ -s /var/lib/{STACK}/life/seen ] && break; sleep 0.1; done")
    # A container without CAP_SYS_RESOURCE, as the lab's target may be, gets as much of the default as its own hard limit has.
    most = stack.shell("awk '/^Max open files/ {print $5}' /proc/1/limits")
    files = min(1048576, int(most)) if most.isdigit() else 1048576
    assert stack.shell(f"cat /var/lib/{STACK}/life/limits") == f"[({files}, {files}), (65536, 65536), (0, 4096)]"
    told = stack.shell(f"systemctl show {LIVING} --property=LimitNOFILESoft,LimitNOFILE,LimitSIGPENDING,TimeoutStopUSec,KillSignal")
    assert sorted(told.split()) == ["KillSignal=2", "LimitNOFILE=1048576", "LimitNOFILESoft=1048576", "LimitSIGPENDING=infinity", "TimeoutStopUSec=20s"]
    # What binds name is seen below a home and below /tmp; the home itself is not.
    assert stack.shell(f"cat /var/lib/{STACK}/life/seen") == "[True, True, False, False]"
    stack.shell(f"touch /etc/bowline/{STACK}/life/life.py")
    with_life(stack, **keys)
    assert stack.pid(LIVING) == life_pid, "it was reloaded, not restarted"
    stack.shell(f"for n in $(seq 100); do [ -s /var/lib/{STACK}/life/signals ] && break; sleep 0.1; done")
    assert stack.shell(f"cat /var/lib/{STACK}/life/signals") == "SIGUSR1"
    stack.shell(f"systemctl stop {LIVING}")
    assert stack.shell(f"cat /var/lib/{STACK}/life/signals") == "SIGUSR1 SIGINT"
    assert stack.shell(f"systemctl show --property=Result --value {LIVING}") == "success"
    assert stack.pid(WEB) == web


def test_a_path_that_the_sandbox_hides_is_refused_before_anything_is_written(stack: Stack) -> None:
    before = stack.shell(f"ls -lR --time-style=full-iso {PLACES}")
    shown = len(stack.output)
    changed, _step = with_life(stack, fails=True, binds=[])
    said = " ".join(stack.output[shown:].split())
    assert changed == 0 and "manifest_invalid" in said
    assert "/home/zztest/life.py is hidden from the service by ProtectHome of profile default" in said
    assert stack.shell(f"ls -lR --time-style=full-iso {PLACES}") == before


def test_a_failed_health_check_says_where_it_asked_and_the_last_words_of_the_unit(stack: Stack) -> None:
    shown = len(stack.output)
    with_life(stack, fails=True, health={"type": "http", "port": 18097, "path": "/up"})
    said = " ".join(stack.output[shown:].split())
    assert "life/life (http://127.0.0.1:18097/up): ConnectionRefusedError" in said, said[-3000:]
    assert f"last log lines of {LIVING}: password=******** cannot be told | I listen to signals only" in said, said[-3000:]
    assert CANARY not in said


def test_absent_leaves_no_unit_and_no_credential(stack: Stack) -> None:
    _changed, step = stack.play(entry="absent")
    assert step["bookmark"] == {WEB: "active", SIDE: "active", LIVING: "active"}
    # Data and users are kept on purpose.
    assert (
        stack.traces().splitlines()[0] == f"/var/lib/{STACK}"
        and f"/etc/bowline/{STACK}" not in stack.traces()
        and UNITS not in stack.traces()
    )
    assert stack.play(entry="absent")[0] == 0


def test_the_secret_was_never_shown(stack: Stack) -> None:
    assert len(stack.output) > 10000 and CANARY not in stack.output
    assert CANARY not in stack.shell(f"journalctl --no-pager --unit={WEB} --unit={SIDE}; cat {UNITS}/{STACK}-* 2>/dev/null")
