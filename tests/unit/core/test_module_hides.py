# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module with a dictionary of variables: its result hides the secrets of it and nothing else. A real module process."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

MODULE = textwrap.dedent("""
    from ansible_collections.bowline.fleet.plugins.module_utils._core.module import FleetModule

    module = FleetModule({"env": {"type": "dict", "no_log": True}})
    module.hide_only_secrets("env")
    module.exit_json(number=1, image="app:1@sha256:1a2b", said="canary-word and postgres://hub:s3cr3t-url@db/hub")
""")


def test_a_version_is_shown_and_a_password_is_not(tmp_path):
    env = {"VERSION": 1, "REPOSITORY": "app", "DB_PASSWORD": "canary-word", "URL": "postgres://hub:s3cr3t-url@db/hub"}
    call = {"ANSIBLE_MODULE_ARGS": {"env": env, "_ansible_remote_tmp": str(tmp_path)}}
    start = (
        "import sys, ansible.module_utils.basic as basic\n"
        "basic._ANSIBLE_ARGS = sys.stdin.buffer.read()\n"
        "basic._ANSIBLE_PROFILE = 'legacy'\n"
    )
    done = subprocess.run([sys.executable, "-c", start + MODULE], input=json.dumps(call), capture_output=True, text=True, check=False)
    result = json.loads(done.stdout)
    assert (result["number"], result["image"]) == (1, "app:1@sha256:1a2b"), done.stderr
    assert "canary-word" not in done.stdout and "s3cr3t-url@" not in done.stdout
