# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks stack and stack_rollback as a user runs them, with the lab's inventory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def play(lab, folder, playbook, *words, **variables):
    """Run a playbook with the inventory of the lab: its exit code, what it printed, and its result."""
    values = {"report_directory": str(folder), "operation_store": f"sqlite:///{folder}/store.db", "swarm_stack_gates": [], **variables}
    env = {
        **{name: value for name, value in os.environ.items() if name not in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")},
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "BOWLINE_LAB_SWARM": str(lab.path), "BOWLINE_RESULT_FILE": str(folder / "check.json"),
    }
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(ROOT / "inventories" / "lab_swarm"), str(ROOT / "playbooks" / playbook),
            "-e", json.dumps(values), *words]
    done = subprocess.run(argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400, check=False)
    return done.returncode, done.stdout + done.stderr, json.loads((folder / "check.json").read_text())


@pytest.fixture
def compose(swarm_lab, tmp_path):
    """One service of one replica, whose image is a variable."""
    path = tmp_path / "stack.yml"
    path.write_text(json.dumps({"version": "3.8", "services": {"web": {
        "image": "${REPOSITORY}:${TAG}",
        "deploy": {"endpoint_mode": "dnsrr", "restart_policy": {"delay": "200ms"}, "update_config": {"monitor": "1s", "failure_action": "pause"}},
    }}}))
    return {"swarm_stack_compose": [str(path)]}


def variables(lab, tag):
    return {"swarm_stack_env": {"REPOSITORY": lab.registry["repository"], "TAG": tag}}


def images(lab, name):
    found = lab.api().services(filters={"label": [f"com.docker.stack.namespace={name}"]})
    return {one["Spec"]["Name"]: one["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] for one in found}


def test_a_stack_is_planned_deployed_kept_from_a_bad_version_and_taken_back(swarm_lab, stack, compose, tmp_path):
    name = stack("l-play")
    code, said, result = play(swarm_lab, tmp_path, "stack.yml", "--check", "--diff", swarm_stack_name=name, **compose, **variables(swarm_lab, "plain"))
    assert code == 0 and f"service {name}_web" in said, said
    assert result["outcome"] == "succeeded" and not images(swarm_lab, name)

    code, said, _result = play(swarm_lab, tmp_path, "stack.yml", swarm_stack_name=name, **compose, **variables(swarm_lab, "plain"))
    assert code == 0, said
    good = images(swarm_lab, name)
    # The version is shown: of the variables only what is secret is hidden.
    assert swarm_lab.image("plain") in str(good) and "revision 1" in said, said

    code, said, result = play(swarm_lab, tmp_path, "stack.yml", swarm_stack_name=name, **compose, **variables(swarm_lab, "crash"))
    assert code != 0 and result["outcome"] == "rolled_back" and "as it was before" in said, said
    assert images(swarm_lab, name) == good
    page = (tmp_path / "report.html").read_text()
    assert "Rolled back" in page and f"{name}_web" in page and "crash: told to end with 3" in page

    code, said, result = play(swarm_lab, tmp_path, "stack_rollback.yml", swarm_stack_name=name)
    assert code == 0 and result["outcome"] == "succeeded" and "was as it is wanted" in said, said
    assert images(swarm_lab, name) == good


@pytest.mark.whole
@pytest.mark.parametrize("job", ["deploy", "rollback"])
def test_the_jobs_of_the_lab(swarm_lab, job):
    env = {**os.environ, "BOWLINE_SWARM_LAB": swarm_lab.description["letter"], "BOWLINE_LAB_SWARM": str(swarm_lab.path)}
    argv = [sys.executable, str(ROOT / "tests" / "lab" / "stack.py"), job]
    done = subprocess.run(argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
