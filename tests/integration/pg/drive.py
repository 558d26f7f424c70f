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


def runner(argv, *, env=None, stdin=None, timeout=None):
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(list(argv), capture_output=True, text=True, input=stdin, timeout=timeout, check=False, env=environment)
    return Completed(done.returncode, done.stdout, done.stderr)


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        params = json.load(file)
    check = params.pop("check_mode", False)
    try:
        outcome = info(params, runner) if params.pop("info", False) else run(params, runner, check)
    except FleetError as error:
        outcome = {"failed": True, "failure": error.as_failure()}
    print(json.dumps(outcome, default=str))


if __name__ == "__main__":
    main()
