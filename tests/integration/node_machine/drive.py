# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of node_machine in this process, with every call to the hypervisor on one tape. Also a program: the Python that has libvirt is the system's.

``drive.py`` reads a list of parameters from standard input and prints ``{"tape": …, "results": …}``; libvirt's mock keeps its
domains as long as the process lives, so a whole life is one call of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine import run as room
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.tape import Tape

IDS = [f"0f0e0d0c-1111-4222-8333-00000000000{number}" for number in range(1, 5)]


def runner(argv, *, env=None, stdin=None, timeout=None):
    done = subprocess.run(argv, capture_output=True, text=True, input=stdin, timeout=timeout, check=False)
    return Completed(done.returncode, done.stdout, done.stderr)


def params(kind, folder, state="running", node="web-1", instance=IDS[0], spec=None, **more):
    return {"kind": kind, "state": state, "identity": {"fleet": "lab", "instance_id": instance, "node": node}, "spec": spec or {}, "mode": "real",
            "folder": str(folder), "uri": "test:///default", "accel": "auto", "launcher": "plain", "wait_timeout": 20, "force": False, **more}  # fmt: skip


def drive(runs):
    """Tape and results (or codes of failures) of these runs, one after the other."""
    tapes, results = [], []

    class Kept(Tape):
        def __init__(self, inner):
            super().__init__(inner)
            tapes.append(self)

    original, room.Tape = room.Tape, Kept
    try:
        for given in runs:
            try:
                done = room.run(given, room.factory(given, runner), {}, bool(given.get("check")))
                results.append({name: done[name] for name in ("changed", "plan", "machine", "warnings")})
            except FleetError as error:
                results.append({"failure": error.code, "message": error.message})
    finally:
        room.Tape = original
    return {"tape": [entry for tape in tapes for entry in tape.entries], "results": results}


def elsewhere(runs, python="/usr/bin/python3"):
    """The same under another Python, which finds the collection where this one does."""
    done = subprocess.run([python, __file__], input=json.dumps(runs), capture_output=True, text=True, check=False, timeout=900, env=dict(os.environ))
    if done.returncode:
        raise AssertionError(done.stderr[-3000:])
    return json.loads(done.stdout)


if __name__ == "__main__":
    json.dump(drive(json.load(sys.stdin)), sys.stdout)
