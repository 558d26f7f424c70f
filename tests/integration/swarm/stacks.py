# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""swarm_stack as a program of its own, so that it can be killed, and small stacks that are up in a second.

As a script: ``stacks.py PARAMETERS.json`` runs the module's work and prints its result, or its failure, as one line of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

LABEL = "com.docker.stack.namespace"
SECRET = "kept-in-the-dark-0815"

# A crash that has to be seen within the monitor time; a machine that is busy takes seconds to start a program.
CRASH = {"FAULT_TWO": "crash", "MONITOR": "5s"}

# On the network of the host and without a health check: a task is up as soon as its process runs, and nothing of a network has to be made.
SERVICE = """\
  {name}:
    image: ${{IMAGE:-{image}}}
    networks: [host]
    stop_grace_period: 1s
    environment: {{PORT: "{port}", VERSION: "${{VERSION:-1}}", FAULT: "${{FAULT_{key}:-}}"}}
    x-bowline: {{wave: {wave}}}
    deploy:
      replicas: 1
      update_config: {{parallelism: 1, monitor: "${{MONITOR:-1s}}", failure_action: {action}}}
      restart_policy: {{delay: 100ms}}
      endpoint_mode: dnsrr
"""
HEAD = 'version: "3.8"\nservices:\n'
TAIL = "networks: {host: {external: true}}\n"


class Stack:
    """One stack of compose files in ``folder``; `run` is one call of the module."""

    def __init__(self, lab: t.Any, folder: Path, name: str, waves: int = 3, port: int = 18401, action: str = "pause", more: str = "", ttl: float = 60) -> None:
        self.lab, self.folder, self.name, self.api = lab, folder, name, lab.api()
        # A dead run is waited for as long as this. A machine that is busy loses a lock that is too short, as it should.
        self.ttl = ttl
        self.image = lab.image("plain")
        names = ("one", "two", "three")[:waves]
        text = "".join(
            SERVICE.format(name=one, key=one.upper(), image=self.image, port=port + wave, wave=wave, action=action) for wave, one in enumerate(names)
        )
        self.file = self.write("stack.yml", HEAD + text + TAIL + more)
        self.serial = 0

    def write(self, name: str, text: str) -> Path:
        path = self.folder / f"{self.name}-{name}"
        path.write_text(text, encoding="utf-8")
        return path

    def params(self, **more: t.Any) -> dict:
        files = {} if "revision" in more or more.get("state") == "absent" else {"compose": [str(self.file)]}
        hosts = {"docker_host": [one["docker_host"] for one in self.lab.managers]}
        return {**self.lab.connection(0), **hosts, **files, "name": self.name, "lock_ttl": self.ttl, **more}

    def spawn(self, fault: str = "", check: bool = False, **more: t.Any) -> subprocess.Popen[str]:
        self.serial += 1
        path = self.write(f"params-{self.serial}.json", json.dumps({"check": check, "params": self.params(**more)}))
        env = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_") and name != "BOWLINE_FAULT"}
        return subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**env, **({"BOWLINE_FAULT": fault} if fault else {})}, start_new_session=True,
        )

    def run(self, timeout: float = 240, **more: t.Any) -> dict:
        """The result, or ``{"failure": …}``."""
        process = self.spawn(**more)
        out, err = process.communicate(timeout=timeout)
        assert out.strip(), err[-3000:]
        assert SECRET not in out + err
        return json.loads(out)

    def ok(self, **more: t.Any) -> dict:
        found = self.run(**more)
        assert "failure" not in found, found["failure"]
        return found

    def fails(self, **more: t.Any) -> dict:
        found = self.run(**more)
        assert "failure" in found, {key: found[key] for key in ("outcome", "plan", "steps") if key in found}
        return found["failure"]

    def killed(self, fault: str, **more: t.Any) -> bool:
        """Whether the module came to the point and died there."""
        process = self.spawn(fault=fault, **more)
        process.communicate(timeout=240)
        return process.returncode == -signal.SIGKILL

    # --- past the module

    def services(self) -> dict[str, dict]:
        """By name and in the order of names: a manager lists them by their ids, which change when one is made anew."""
        found = {one["Spec"]["Name"]: one for one in self.api.services(filters={"label": f"{LABEL}={self.name}"})}
        return dict(sorted(found.items()))

    def specs(self) -> dict[str, dict]:
        return {name: one["Spec"] for name, one in self.services().items()}

    def versions(self) -> dict[str, int]:
        return {name: one["Version"]["Index"] for name, one in self.services().items()}

    def tasks(self) -> set[str]:
        """Ids of tasks that run."""
        ids = {one["ID"] for one in self.services().values()}
        return {one["ID"] for one in self.api.tasks() if one.get("ServiceID") in ids and one["Status"]["State"] == "running"}

    def ours(self, kind: str) -> list[str]:
        """Names of our configs about this stack."""
        configs = self.api.configs(filters={"label": [f"bowline.kind={kind}", f"bowline.subject={self.name}"]})
        return sorted(one["Spec"]["Name"] for one in configs)

    def statuses(self) -> dict[int, str]:
        """Status by number of revision."""
        labels = [one["Spec"]["Labels"] for one in self.api.configs(filters={"label": ["bowline.kind=revision", f"bowline.subject={self.name}"]})]
        return {int(found["bowline.revision"]): found["bowline.status"] for found in labels}


def main() -> None:
    root = Path(__file__).resolve().parents[3]
    sys.path[:0] = [str(root / "scripts")]
    from project import collection_tree

    sys.path.insert(0, str(collection_tree(root)))
    from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
    from ansible_collections.bowline.fleet.plugins.module_utils._core.gates import Tools
    from ansible_collections.bowline.fleet.plugins.module_utils._core.redact import redact
    from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
    from ansible_collections.bowline.fleet.plugins.module_utils._swarm.stack.argspec import SPEC
    from ansible_collections.bowline.fleet.plugins.module_utils._swarm.stack.run import run

    def runner(argv, *, env=None, stdin=None, timeout=None):
        done = subprocess.run(argv, env={**os.environ, **(env or {})}, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        return Completed(done.returncode, done.stdout, done.stderr)

    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    tools = Tools(runner)
    try:
        found = run({**{name: option.get("default") for name, option in SPEC.items()}, **given["params"]}, given["check"], tools)
    except FleetError as error:
        found = {"failure": error.as_failure()}
    print(json.dumps(redact(found, tools.secrets)))


if __name__ == "__main__":
    main()
