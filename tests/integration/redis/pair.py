# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A world whose modules run in this process."""

from __future__ import annotations

import json

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._redis.info import info
from ansible_collections.bowline.fleet.plugins.module_utils._redis.options import parse
from ansible_collections.bowline.fleet.plugins.module_utils._redis.run import run
from bowline_redis_alone import runner
from bowline_redis_rig import World


class Pair(World):
    def run(self, state: str = "replicating", check: bool = False, **changes):
        return run(parse(self.params(state, **changes)), runner, check)

    def apart(self, state: str = "promoted", **changes):
        """As `run`, in a process without threads: the module forks, and a test with producers has some."""
        process = self.spawn(self.params(state, **changes))
        out, err = process.communicate(timeout=60)
        assert out, err
        outcome = json.loads(out)
        if "failure" in outcome:
            raise FleetError(**outcome["failure"])
        return outcome

    def info(self, **changes):
        return info(parse(self.params(**changes)))
