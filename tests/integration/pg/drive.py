# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run of the room in a process of its own, as Ansible would start it: parameters from a file, the result or the failure on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._pg.info import info
from ansible_collections.bowline.fleet.plugins.module_utils._pg.run import run
from ansible_collections.bowline.fleet.plugins.module_utils._pg.snapshot.run import run as run_snapshot


def runner(argv, *, env=None, stdin=None, timeout=None):
    environment = {**os.environ, **(env or {})}
    words = [*(("timeout", "--kill-after=2", f"{timeout:g}") if timeout is not None else ()), *argv]
    done = subprocess.run(words, capture_output=True, text=True, errors="surrogateescape", input=stdin, check=False, env=environment)
    return Completed(done.returncode, done.stdout, done.stderr)


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        params = json.load(file)
    check = params.pop("check_mode", False)
    try:
        if params.pop("info", False):
            outcome = info(params, runner)
        else:
            outcome = (run_snapshot if "retention" in params else run)(params, runner, check)
    except FleetError as error:
        outcome = {"failed": True, "failure": error.as_failure()}
    print(json.dumps(outcome, default=str))


if __name__ == "__main__":
    main()
