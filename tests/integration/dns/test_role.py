# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Role dns as the playbooks call it: prepared, the move, settled; and again; with nobody who may change the name, too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PLAY = """\
---
- name: Move the name as a cutover does
  hosts: localhost
  gather_facts: false
  vars:
    dns_zone: bowline.test
    dns_name: {name}
    dns_provider: {provider}
    dns_provider_options: {options}
    steps: {steps}
    dns_values: {{legacy: [10.0.0.1], new: [10.0.0.2]}}
    dns_ignore_servers: [ns2]
    dns_ttl_during: 30
  tasks:
    - name: Forget what was seen before
      ansible.builtin.set_fact: {{seen: []}}
    - name: Take each step
      ansible.builtin.include_tasks: step.yml
      loop: "{{{{ steps }}}}"
      loop_control: {{loop_var: step}}
    - name: Keep what was seen
      ansible.builtin.copy: {{content: "{{{{ seen | to_json }}}}", dest: {results}, mode: "0600"}}
"""

STEPS = ["prepared", "main", "settled"]

STEP = """\
---
- name: Step
  ansible.builtin.include_role: {name: bowline.fleet.dns, tasks_from: "{{ step }}"}
- name: Keep
  ansible.builtin.set_fact:
    seen: "{{ seen + [{'changed': dns_step.changed, 'instructions': dns_step.evidence.instructions, 'previous': dns_step.bookmark.previous}] }}"
"""


def test_steps_of_a_cutover_twice_and_by_hand(pair, tmp_path):
    """One run of Ansible for both, which starts slowly: the first name by RFC 2136, the second by hand."""
    pair.edit("del hub.bowline.test. A", "add hub.bowline.test. 900 A 10.0.0.1", "add other.bowline.test. 900 A 10.0.0.1")
    at = {"server": pair.primary.address, "port": pair.port, "authority_port": pair.port, "key_file": str(pair.key_file)}
    by_hand = {"resolver": pair.primary.where, "authority_port": pair.port}
    book, (first, second) = tmp_path / "play.yml", (tmp_path / "first.json", tmp_path / "second.json")
    book.write_text(
        PLAY.format(name="hub", provider="rfc2136", options=json.dumps(at), steps=[*STEPS, *STEPS], results=first)
        + PLAY.format(name="other", provider="none", options=json.dumps(by_hand), steps=STEPS, results=second).partition("---\n")[2],
        encoding="utf-8",
    )
    (tmp_path / "step.yml").write_text(STEP, encoding="utf-8")
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local"]
    command += ["-e", f"ansible_python_interpreter={sys.executable}", str(book)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "ANSIBLE_NOCOLOR": "1"})
    assert done.returncode == 0, done.stdout + done.stderr

    seen = json.loads(first.read_text(encoding="utf-8"))
    assert [step["changed"] for step in seen] == [True, True, True, False, False, False]
    assert [step["previous"]["ttl"] for step in seen] == [900, 30, 30, 900, 900, 900], "raised again, and a second run changes nothing"
    assert pair.primary.dig("hub.bowline.test", "A") == ["900 A 10.0.0.2"]

    seen = json.loads(second.read_text(encoding="utf-8"))
    assert not any(step["changed"] for step in seen)
    assert "30 IN A 10.0.0.1" in seen[0]["instructions"][0]
    assert "IN A 10.0.0.2" in seen[1]["instructions"][0]
    assert seen[2]["instructions"] == [], "nobody lowered it"
    assert pair.primary.dig("other.bowline.test", "A") == ["900 A 10.0.0.1"]
    assert "Change other.bowline.test. A" in done.stdout + done.stderr, "a warning says it, too"
