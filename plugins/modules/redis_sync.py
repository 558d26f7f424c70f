#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: redis_sync
short_description: Move the data set of a Redis server to another one and back, without losing a write
description:
  - Lets the new server follow the old one, switches in a write pause of some milliseconds, and lets the old one follow the new one from then on,
    so that the way back is the same function with the sides exchanged.
  - In a switch the writes of the source are paused (reads go on), the source is closed, both sides are proven to be equal (one history, one offset,
    the same number of keys in each database), and only then the target is opened. A client that stays on the closed side gets C(READONLY).
  - Nothing is kept but what the servers themselves know. A run that is killed at any moment is continued by the same task; a watchdog gives the writes
    back when a run dies inside the pause, and never opens a target.
  - The link has an account of its own (C(bowline-link)) that can only replicate, with a random password that is written to no disk.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.writer, bowline.fleet.redis]
options:
  state:
    description:
      - With V(replicating) the side that does not serve follows the other one. It holds on either side of a switch.
      - With V(promoted) O(side) serves, and the other side is closed and follows.
      - With V(empty) nothing is changed. Queues, schedules and jobs in progress are proven empty, twice, one second apart.
      - With V(standalone) the way back is over. Account and credentials of the link go; the side that does not serve stays closed.
      - With V(absent) the move is given up while legacy serves. New is a master of its own again and empty, and both are configured as before.
    type: str
    required: true
    choices: [replicating, promoted, empty, standalone, absent]
  side: {description: Side that serves with O(state=promoted)., type: str, choices: [legacy, new], default: new}
  worker:
    description: Commands on the host of this task, as lists of words, without a shell. Both may run again and do no harm then.
    type: dict
    suboptions:
      quiet:
        description: >-
          Lets the worker of the side that serves take no next job, before the switch. For Sidekiq V([systemctl, kill, --signal=TSTP, hub-worker]) or
          V([docker, kill, --signal=TSTP, hub-worker-1]).
        type: list
        elements: str
      resume: {description: 'Lets it work again when the switch did not come. Sidekiq has to be restarted for that.', type: list, elements: str}
  drain_timeout: {description: Seconds to wait until no job is in progress or queues are empty., type: float, default: 300}
  max_window: {description: Longest write pause in seconds. Past it the writes go on where they were., type: float, default: 5}
  window_attempts: {description: How many pauses are tried in one run., type: int, default: 3}
  wait_timeout: {description: 'Seconds until a follower has copied everything, measured on a monotonic clock.', type: float, default: 300}
  persist:
    description:
      - Writes the role of each side to its configuration file (C(CONFIG REWRITE)), so that a closed side that is restarted is closed.
      - It also makes lasting what somebody else changed with C(CONFIG SET). The file of a side that only served is not touched.
      - A server without such a file, or one that may not write it, is told in a warning.
    type: bool
    default: true
  accept_loss:
    description: Side whose own keys may be thrown away, so that it can follow. Needed when both take writes and it holds keys.
    type: list
    elements: str
    choices: [legacy, new]
    default: []
  accept_scheduled_loss:
    description: Names of schedules that may be lost with O(mode=drain) or O(state=empty), as the layout names them (V(schedule), V(retry)).
    type: list
    elements: str
    default: []
seealso:
  - module: bowline.fleet.redis_sync_info
  - module: bowline.fleet.pg_cutover
"""
EXAMPLES = r"""
- name: Let the new server follow
  bowline.fleet.redis_sync:
    state: replicating
    legacy: {host: 192.0.2.10, password_file: /etc/bowline/redis-legacy}
    new: {host: 192.0.2.20, password_file: /etc/bowline/redis-new}

- name: Switch to new, with an idle worker
  bowline.fleet.redis_sync:
    state: promoted
    side: new
    legacy: {host: 192.0.2.10, password_file: /etc/bowline/redis-legacy}
    new: {host: 192.0.2.20, password_file: /etc/bowline/redis-new}
    layouts: [{kind: sidekiq}]
    worker:
      quiet: [docker, kill, --signal=TSTP, hub-worker-1]
      resume: [docker, restart, hub-worker-1]
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{"action": "switch", "reason": "legacy serves, new is wanted", "disruptive": true}]
phase_before:
  description: >-
    Phase at the start. Of C(following) and C(joining) (the link is not up yet) legacy serves, of C(promoted) and C(rejoining) new does; C(apart) are
    two masters, C(window) is a switch that was interrupted, C(drained) and C(drained_back) are a switch of O(mode=drain), C(closed) one of it that was
    interrupted, C(foreign) follows a stranger.
  returned: success
  type: str
  sample: "following"
phase:
  description: Phase at the end (predicted in check mode).
  returned: success
  type: str
  sample: "promoted"
serving:
  description: Side that takes writes at the end; nobody inside a window, unknown for two masters.
  returned: success
  type: str
  sample: "new"
window_ms:
  description: Milliseconds from the write pause of the source to the opening of the target; null without a switch.
  returned: success
  type: float
  sample: 3.1
window:
  description: >-
    What was proven between the close and the opening, as C(offset) and C(keys) by database, and C(attempts), the pauses that it took. Empty without a
    switch.
  returned: success
  type: dict
  sample: {"attempts": 1, "offset": 81723, "keys": {"0": 1042}}
jobs:
  description: >-
    What each layout held when it was proven idle or empty, as C(layout), C(queues), C(busy), C(scheduled), C(processes), C(quiet) and C(idle).
  returned: success
  type: list
  elements: dict
  sample: [{"layout": "sidekiq", "queues": {"default": 3}, "busy": 0, "scheduled": {"schedule": 12, "retry": 0}, "processes": 1, "quiet": true, "idle": true}]
servers:
  description: What each side says of itself at the end; before the run in check mode.
  returned: success, unless O(mode=none) or O(state=empty)
  type: dict
  sample: {"legacy": {"role": "replica", "version": "7.0.15"}, "new": {"role": "master", "version": "7.0.15"}}
findings:
  description: >-
    What the preflight found as C(code), C(level), C(field), C(object), C(message) and C(remedy). One of level fail ends the run before its first write.
  returned: success
  type: list
  elements: dict
  sample: []
evidence:
  description: C(took), each step with its milliseconds; C(accepted), the losses that were accepted by name; C(said) where nothing had to be done.
  returned: success
  type: dict
  sample: {"took": [{"action": "switch", "ms": 6.4}, {"action": "link_legacy", "ms": 62.6}], "accepted": []}
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {"code": "queue_not_empty", "message": "Waited 300 s on legacy.", "remedy": "Let the worker finish.", "details": {"left": ["default 3"]}}
"""
from ..module_utils._core.module import FleetModule
from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner
from ..module_utils._redis.options import SYNC, parse
from ..module_utils._redis.run import run


def main() -> None:
    module = FleetModule(SYNC, supports_check_mode=True)
    finish(module, lambda: run(parse(module.params), module_runner(module), module.check_mode))


if __name__ == "__main__":
    main()
