# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Role pg_link takes the password out of a container that runs, says that it is left in one that does not, and says nothing where none is."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

FILE = "/link.pgpass"
NAME = f"bowline-test-link-{os.getpid()}"
# What is done with the container before each look.
LOOKS = {"stopped": ["stop", "-t", "0"], "runs": ["start"], "again": ["start"], "paused": ["pause"], "gone": ["rm", "-f"]}


def docker(*words: str, stdin: bytes | None = None) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, input=stdin, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module")
def container():
    """The programs of this machine that the role asks for, with their libraries, and a shell that waits."""
    programs = [shutil.which(name) for name in ("sh", "ls", "rm")]
    needed = {word for program in programs for word in subprocess.check_output(["ldd", program], text=True).split() if word.startswith("/")}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(needed):
            archive.add(os.path.realpath(path), path)
        for path in programs:
            archive.add(os.path.realpath(path), f"/bin/{Path(path).name}")
    try:
        docker("import", "-c", "ENV PATH=/bin", "-", f"{NAME}:latest", stdin=buffer.getvalue())
        docker("run", "-di", "--network", "none", "--name", NAME, f"{NAME}:latest", "sh")
        yield NAME
    finally:
        subprocess.run(["docker", "rm", "-f", NAME], capture_output=True, check=False)
        subprocess.run(["docker", "rmi", "-f", f"{NAME}:latest"], capture_output=True, check=False)


def play(folder: Path, looks: dict[str, list[str]], *words: str) -> dict[str, dict]:
    """What the role said at each look."""
    sides = {side: {"host": "localhost", "container": NAME, "passfile": FILE} for side in ("legacy", "new")}
    variables = {"pg_link_password": "canary-link", "pg_link_servers": sides, "pg_link_absent": ["new"], "ansible_python_interpreter": sys.executable}
    tasks = []
    for look, before in looks.items():
        tasks += [
            {"ansible.builtin.command": {"argv": ["docker", *before, NAME]}, "check_mode": False},
            {"ansible.builtin.include_role": {"name": "bowline.fleet.pg_link", "tasks_from": "absent"}},
            {"ansible.builtin.copy": {"content": "{{ pg_link_step }}", "dest": str(folder / look)}, "check_mode": False},
        ]
    (folder / "play.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", "-e", json.dumps(variables), "play.yml", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "canary" not in done.stdout
    return {look: json.loads((folder / look).read_text()) for look in looks}


def test_a_password_that_cannot_be_removed_is_said_and_goes_once_the_container_runs(container, tmp_path):
    docker("exec", "-u", "0", container, "sh", "-c", f"echo canary > {FILE}")
    assert play(tmp_path, {"foreseen": ["start"]}, "--check") == {"foreseen": {"changed": True, "evidence": {"left": []}}}
    assert docker("exec", container, "ls", FILE).strip() == FILE
    said = play(tmp_path, LOOKS)
    for look, state in (("stopped", "exited"), ("paused", "paused")):
        (left,) = said[look]["evidence"]["left"]
        assert said[look]["changed"] is False
        assert f"on localhost the link password {FILE} in container {container}, whose state is {state}; start it and run the same playbook again" in left
    assert said["runs"] == {"changed": True, "evidence": {"left": []}}
    assert said["again"] == said["gone"] == {"changed": False, "evidence": {"left": []}}
