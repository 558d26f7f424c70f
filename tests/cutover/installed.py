# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection installed from its archive into a project, as a user or AWX has it; of this clone nothing but its inventory.

AWX starts a job by ansible-runner. Its inventory is a script that prints what it has imported, so its folder is not that of the project; a survey
and a credential type give extra variables; a pod is known by a variable of Kubernetes. Sources: build_inventory and build_extra_vars_file in
https://github.com/ansible/awx/blob/devel/awx/main/tasks/jobs.py, https://docs.ansible.com/projects/runner/en/stable/intro/ for the folders.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

from world import BIN, ROOT, Run, World

LAB = ROOT / "inventories" / "lab"


class Installed:
    """``folder`` is what ansible-runner calls the private data directory: project, inventory, env, and what it keeps of each job."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world, self._folder, self._project = world, folder, folder / "project"
        for name in ("project", "inventory", "env"):
            (folder / name).mkdir()
        # Its own settings are none, whatever whoever runs this test has.
        (self._project / "ansible.cfg").touch()
        self._known = {"ANSIBLE_COLLECTIONS_PATH": str(self._project / "collections"), "ANSIBLE_CONFIG": str(self._project / "ansible.cfg")}
        galaxy = [str(BIN / "ansible-galaxy"), "collection"]
        subprocess.run([*galaxy, "build", "--output-path", str(folder), str(ROOT)], cwd=folder, check=True, capture_output=True)
        archive = next(str(path) for path in folder.glob("*.tar.gz"))
        words = ["install", "--offline", "--no-deps", "-p", str(self._project / "collections"), archive]
        subprocess.run([*galaxy, *words], cwd=folder, env={**os.environ, **self._known}, check=True, capture_output=True)

    def run(self, kind: str) -> Run:
        """The playbook by its name, from the project, run to its end."""
        run = Run(kind, self._world.log(f"{kind}-installed"), ["ansible-playbook", "-i", str(LAB), f"bowline.fleet.{kind}"], cwd=self._project, **self._known)
        run.end()
        return run

    def plan(self, kind: str, **extra: t.Any) -> Run:
        """Job *plan* of AWX, run to its end; ``extra`` is what survey and credential give."""
        words = [str(BIN / "ansible-inventory"), "-i", str(LAB), "--list", "--export"]
        listed = subprocess.run(words, cwd=self._folder, check=True, capture_output=True, text=True).stdout
        script = self._folder / "inventory" / "hosts"
        script.write_text(f"#!{sys.executable}\nprint({listed.replace('inventory_dir', 'survey_folder')!r})\n", encoding="utf-8")
        script.chmod(0o700)
        # A third of the time less; `run` goes without.
        given = {"extravars": {"survey_folder": str(LAB), **extra}, "envvars": {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "ANSIBLE_PIPELINING": "true"}}
        for name, value in given.items():
            (self._folder / "env" / name).write_text(json.dumps(value), encoding="utf-8")
        argv = ["ansible-runner", "run", str(self._folder), "--playbook", f"bowline.fleet.{kind}", "--cmdline", "--check --diff"]
        run = Run(kind, self._world.log(f"{kind}-awx"), argv, cwd=self._folder, **self._known)
        run.end()
        return run

    def events(self) -> list[dict[str, t.Any]]:
        """What ansible-runner has noted of every job, which is what AWX shows of it."""
        return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((self._folder / "artifacts").glob("*/job_events/*.json"))]

    def kept(self) -> str:
        """All that ansible-runner keeps of its jobs, as one text."""
        return "".join(path.read_text(encoding="utf-8") for path in (self._folder / "artifacts").rglob("*") if path.is_file())
