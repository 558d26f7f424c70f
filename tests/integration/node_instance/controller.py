# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-playbook as a user calls it, on the store and the host of a `Fleet`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STORE = "sqlite://%(folder)s/state/store.db?ephemeral=true"
PLAY = """\
- name: A machine
  hosts: localhost
  gather_facts: false
  module_defaults:
    group/bowline.fleet.node: {store: '%(store)s'}
  tasks:
%(tasks)s
    - name: Keep
      ansible.builtin.copy: {content: "{{ {'shown': shown | default({}), 'done': done | default({})} | to_json }}", dest: %(folder)s/results, mode: "0600"}
      check_mode: false
"""


class Controller:
    """ansible-playbook on the store and the host of a `Fleet`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, tasks: str, fault: str = "", **values: str) -> subprocess.Popen:
        book = self.folder / f"play-{time.monotonic_ns()}.yml"
        values = {"folder": str(self.folder), "store": STORE % {"folder": self.folder}, **values}
        book.write_text(PLAY % {**values, "tasks": tasks % values})
        return self.ansible(str(book), fault=fault)

    def ansible(self, *words: str, fault: str = "") -> subprocess.Popen:
        argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}"]
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "BOWLINE_FAULT": fault, "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp")}
        return subprocess.Popen([*argv, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def run(self, tasks: str, **values: str) -> dict:
        process = self.start(tasks, **values)
        said = process.communicate(timeout=300)[0]
        assert process.returncode == 0, said
        return json.loads((self.folder / "results").read_text())

    @staticmethod
    def kill(process: subprocess.Popen) -> None:
        """kill -9 of the run and of all that it has started; its workers have sessions of their own."""
        for pid in (process.pid, *descendants(process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()

    def playbook(self, name: str, **variables) -> subprocess.Popen:
        """A playbook of the collection; every role of nodes works on this store, with machines of a recorder."""
        roles = ("node_provision", "node_drain", "node_terminate")
        given = {**{f"{role}_store": STORE % {"folder": self.folder} for role in roles}, **{f"{role}_machine": {"mode": "recorder"} for role in roles}}
        return self.ansible(f"bowline.fleet.{name}", "-e", json.dumps({**given, **variables}))


def descendants(pid: int) -> list[int]:
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for parent in found:
        found += [child for child, its in parents.items() if its == parent]
    return found[1:]


def until(condition, what: str, seconds: float = 120):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.05)
    return found
