# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Role smoke against a small ledger on loopback that remembers every request."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

MANIFEST = {"schema_version": 1, "name": "app", "version": "1.0.0", "services": [{"name": "web", "start_command": ["/usr/bin/web"]}]}


class Ledger(ThreadingHTTPServer):
    """Entries under /ledger. ``asked`` has every request; while ``broken``, reads of entries are answered wrongly."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.entries: dict[str, dict[str, t.Any]] = {}
        self.broken = False
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Ledger

    def _answer(self, status: int, body: t.Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.server.asked.append(f"GET {self.path}")
        if self.path == "/up":
            return self._answer(200, {"status": "up"})
        entry = self.server.entries.get(self.path.rsplit("/", 1)[1])
        return self._answer(200, {"amount": -1} if self.server.broken else entry) if entry else self._answer(404, {})

    def do_POST(self) -> None:
        self.server.asked.append(f"POST {self.path}")
        entry = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.entries[entry["key"]] = entry
        self._answer(201, entry)

    def do_DELETE(self) -> None:
        self.server.asked.append(f"DELETE {self.path}")
        self._answer(200 if self.server.entries.pop(self.path.rsplit("/", 1)[1], None) else 404, {})

    def log_message(self, *words: t.Any) -> None:
        pass


@pytest.fixture
def ledger() -> t.Iterator[Ledger]:
    server = Ledger()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(5)
    server.server_close()


def smoke(folder: Path, url: str, *options: str, entry: str = "main", **variables: t.Any) -> tuple[int, str, dict[str, t.Any]]:
    """Exit code, output and ``smoke_step`` of one run of an entry point on this machine."""
    step = folder / "step.json"
    checks = [
        {"name": "up", "type": "http", "url": f"{url}/up", "json": {"status": "up"}, "recorded": {"status": 200, "json": {"status": "up"}}},
        {
            "name": "mutation",
            "type": "exchange",
            "url": url,
            "requests": [
                {"url": "/ledger", "method": "POST", "body": {"key": "smoke-{unique}", "amount": 7}, "status": 201},
                {"url": "/ledger/smoke-{unique}", "json": {"amount": 7}},
                {"url": "/ledger/smoke-{unique}", "method": "DELETE", "cleanup": True},
            ],
        },
    ]
    tasks = [
        {"ansible.builtin.include_role": {"name": "bowline.fleet.smoke", "tasks_from": entry}},
        {"ansible.builtin.copy": {"content": "{{ smoke_step | to_json }}", "dest": str(step)}, "check_mode": False},
    ]
    settings = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "smoke_checks": checks, **variables}
    (folder / "play.yml").write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "vars": settings, "tasks": tasks}]))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "play.yml", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr, json.loads(step.read_text()) if step.exists() else {}


def test_everything_is_checked_and_the_mutation_is_removed(ledger: Ledger, tmp_path: Path) -> None:
    code, output, step = smoke(tmp_path, ledger.url)
    assert code == 0, output
    assert (step["changed"], step["evidence"]["mode"], step["evidence"]["passed"], step["evidence"]["total"]) == (False, "real", 2, 2)
    assert [word.split()[0] for word in ledger.asked] == ["GET", "POST", "GET", "DELETE"] and ledger.entries == {}


def test_a_failed_check_fails_the_role_and_the_mutation_is_removed_all_the_same(ledger: Ledger, tmp_path: Path) -> None:
    ledger.broken = True
    code, output, step = smoke(tmp_path, ledger.url)
    assert (code, step, ledger.entries) == (2, {}, {}) and "check_failed" in output and "mutation" in output
    assert ledger.asked[-1].startswith("DELETE")


def test_the_dark_phase_and_the_check_mode_write_nothing(ledger: Ledger, tmp_path: Path) -> None:
    code, output, step = smoke(tmp_path, ledger.url, entry="dark")
    assert (code, step["evidence"]["total"], ledger.asked) == (0, 1, ["GET /up"]), output
    ledger.asked.clear()
    code, output, step = smoke(tmp_path, ledger.url, "--check")
    assert (code, step["evidence"]["mode"], step["evidence"]["checks"], ledger.asked) == (0, "planned", ["up", "mutation"], []), output


def test_a_side_that_is_not_there_has_failed(tmp_path: Path) -> None:
    code, output, _step = smoke(tmp_path, "http://127.0.0.1:9", entry="legacy")
    assert code == 2 and "2 of 2 checks failed" in output


def test_the_recorder_needs_no_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERNODE_LIBVIRT_MODE", "local")
    stack = {"smoke_stack_name": "hub", "smoke_manifests": [MANIFEST]}
    code, output, step = smoke(tmp_path, "http://127.0.0.1:9", smoke_units={"backend": "web"}, **stack)
    assert code == 0, output
    assert (step["evidence"]["mode"], step["evidence"]["passed"], step["evidence"]["not_applicable"]) == ("recorder", 2, ["mutation"])
    code, output, _step = smoke(tmp_path, "http://127.0.0.1:9", smoke_units={"backend": "wep"}, **stack)
    assert code == 2 and "Did you mean web?" in output
