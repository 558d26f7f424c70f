# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run of redis_sync in a process of its own: ``alone.py <options as JSON>`` prints its result as JSON."""

from __future__ import annotations

import json
import subprocess
import sys

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._redis.options import parse
from ansible_collections.bowline.fleet.plugins.module_utils._redis.run import run


def runner(argv, *, env=None, stdin=None, timeout=None):
    done = subprocess.run(list(argv), capture_output=True, text=True, input=stdin, timeout=timeout, check=False)
    return Completed(done.returncode, done.stdout, done.stderr)


if __name__ == "__main__":
    try:
        print(json.dumps(run(parse(json.loads(sys.argv[1])), runner, False)))
    except FleetError as error:
        print(json.dumps({"failure": error.as_failure()}))
