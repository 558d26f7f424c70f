# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run over nodes costs that has nothing to do: ``make bench-nodes``; a minute or two.

node_instance over nodes of a recorder that all run, beside ``ping`` over the same hosts: same forks, same run, one after the other again and again, and
the medians of both. Figures of one machine; the ratio is what is promised.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from project import collection_tree  # noqa: E402

OUT = ROOT / "build" / "bench"
TREE = str(collection_tree(ROOT))
sys.path.insert(0, TREE)
WANTED = 2.0

# Seconds of each task, from when its first host begins to when the next task does.
CALLBACK = """
import json, os, time
from ansible.plugins.callback import CallbackBase
DOCUMENTATION = '''
name: clock
short_description: Seconds of tasks
description: Seconds of tasks.
type: aggregate
'''
class CallbackModule(CallbackBase):
    CALLBACK_VERSION, CALLBACK_TYPE, CALLBACK_NAME = 2.0, "aggregate", "clock"
    def __init__(self):
        super().__init__()
        self.last = None
    def mark(self, name):
        now = time.monotonic()
        if self.last:
            with open(os.environ["CLOCK_FILE"], "a") as file:
                file.write(json.dumps([self.last[0], now - self.last[1]]) + "\\n")
        self.last = (name, now) if name else None
    def v2_playbook_on_task_start(self, task, is_conditional):
        self.mark(task.get_name())
    def v2_playbook_on_stats(self, stats):
        self.mark("")
"""
CONFIG = """\
[defaults]
callback_plugins = {folder}
callbacks_enabled = clock
interpreter_python = {python}
forks = {forks}
[connection]
pipelining = true
"""
TASKS: dict[str, dict[str, t.Any]] = {
    "ping": {"ansible.builtin.ping": {}},
    "node_instance": {"bowline.fleet.node_instance": {"name": "{{ inventory_hostname }}", "store": "{{ store }}", "mode": "recorder"}},
    "node_machine_info": {"bowline.fleet.node_machine_info": {"kind": "local_nspawn", "mode": "recorder", "folder": "{{ folder }}/host"}},
}


def make(folder: Path, names: list[str]) -> None:
    """Each node with a machine that runs, by the very commands, in this process: a recorder is one file, and runs beside each other lose entries of it."""
    from loading import load

    fleet = load(ROOT / "tests" / "integration" / "node_instance" / "fleet.py", "bowline_node_fleet").Fleet(folder)
    for name in names:
        fleet.host = name
        fleet.node(name)
        fleet.run("running", name)


def play(folder: Path, book: str) -> list[tuple[str, float]]:
    """Seconds of each task of one run, in order."""
    clock = folder / "clock.json"
    clock.unlink(missing_ok=True)
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": TREE, "ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "CLOCK_FILE": str(clock),
                   "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"), "ANSIBLE_NOCOLOR": "1"}  # fmt: skip
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(folder / "hosts"), str(folder / book)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
    if "changed: [" in done.stdout:
        raise SystemExit("a run that has nothing to do has changed something:\n" + done.stdout[-3000:])
    return [(str(name), float(seconds)) for name, seconds in map(json.loads, clock.read_text().splitlines())]


def measure(folder: Path, names: list[str], store: str, rounds: int) -> dict[str, list[float]]:
    (folder / "hosts").write_text("\n".join(["localhost", "[fleet]", *names]) + "\n")
    make(folder, names)
    head = {"hosts": "fleet", "connection": "local", "gather_facts": False, "vars": {"store": store, "folder": str(folder)}}
    # The first round fills caches and is left out.
    tasks = [{"name": name, **task} for _round in range(rounds + 1) for name, task in TASKS.items()]
    (folder / "measure.json").write_text(json.dumps([{**head, "tasks": tasks}]))
    seen = play(folder, "measure.json")[len(TASKS) :]
    return {name: [seconds for task, seconds in seen if task == name] for name in TASKS}


def report(found: dict[str, list[float]], nodes: int, forks: int) -> list[str]:
    base = statistics.median(found["ping"])
    lines = [f"{nodes} nodes of a recorder, all running; {forks} forks, {os.cpu_count()} processors, {len(found['ping'])} rounds.", "",
             "| task | seconds, median | least | most | of ping |", "|---|---|---|---|---|"]  # fmt: skip
    for name, seconds in found.items():
        middle = statistics.median(seconds)
        lines.append(f"| {name} | {middle:.2f} | {min(seconds):.2f} | {max(seconds):.2f} | {middle / base:.2f} |")
    return lines


def missed(found: dict[str, list[float]]) -> bool:
    return statistics.median(found["node_instance"]) / statistics.median(found["ping"]) > WANTED


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--forks", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    # The disk of this clone, since /tmp may be memory.
    folder = Path(tempfile.mkdtemp(prefix="nodes-", dir=OUT))
    try:
        (folder / "clock.py").write_text(CALLBACK)
        (folder / "ansible.cfg").write_text(CONFIG.format(folder=folder, python=sys.executable, forks=given.forks))
        names = [f"n{number}" for number in range(given.nodes)]
        found = measure(folder, names, f"sqlite://{folder}/state/store.db?ephemeral=true", given.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    lines = report(found, given.nodes, given.forks)
    (OUT / "nodes.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (OUT / "nodes.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    print("\n".join(lines))
    return 1 if missed(found) else 0


if __name__ == "__main__":
    sys.exit(main())
