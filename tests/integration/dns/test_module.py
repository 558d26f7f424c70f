# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules as a playbook runs them, with the diff and the most talkative output; the key must not be in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PLAY = """\
---
- name: Point hub elsewhere and back
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Point
      bowline.fleet.dns_record: &move
        provider_options: {options}
        zone: bowline.test
        name: hub
        values: [10.0.0.2]
        expect_current: [10.0.0.1]
        owner: cutover/hub-1
        wait: false
      register: moved
    - name: Point again
      bowline.fleet.dns_record: *move
      register: again
    - name: Look
      bowline.fleet.dns_record_info:
        provider_options: {options}
        zone: bowline.test
        name: hub
      register: seen
    - name: Keep
      ansible.builtin.copy:
        content: "{{{{ {{'moved': moved, 'again': again, 'seen': seen}} | to_json }}}}"
        dest: {results}
        mode: "0600"
      check_mode: false
"""


def play(pair, folder: Path, *words: str):
    """What ansible-playbook printed, and the registered results."""
    where = {"server": pair.primary.address, "port": pair.port, "authority_port": pair.port, "key_file": str(pair.key_file)}
    book, results = folder / "play.yml", folder / "results.json"
    book.write_text(PLAY.format(options=json.dumps(where), results=results), encoding="utf-8")
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", "--diff", "-vvv"]
    variables = ["-e", f"ansible_python_interpreter={sys.executable}"]
    done = subprocess.run(
        [*command, *variables, *words, str(book)], capture_output=True, text=True, check=False, env={**os.environ, "ANSIBLE_NOCOLOR": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr, json.loads(results.read_text(encoding="utf-8"))


def test_check_then_real_then_again(pair, tmp_path):
    secret = json.loads(pair.key_file.read_text(encoding="utf-8"))["secret"]
    serial = pair.primary.serial()
    told, predicted = play(pair, tmp_path, "--check")
    assert pair.primary.serial() == serial
    assert secret not in told
    told, real = play(pair, tmp_path)
    assert (real["moved"]["plan"], real["moved"]["diff"]) == (predicted["moved"]["plan"], predicted["moved"]["diff"])
    assert real["moved"]["changed"] is True and real["again"]["changed"] is False
    assert "-hub.bowline.test. 300 IN A 10.0.0.1\n+hub.bowline.test. 300 IN A 10.0.0.2\n" in told
    assert real["seen"]["record"]["owner"] == "cutover/hub-1"
    assert pair.primary.dig("hub.bowline.test", "A") == ["300 A 10.0.0.2"]
    assert secret not in told + json.dumps(real)
