#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: redis_sync_info
short_description: Read which of two Redis servers serves, how far the other one is, and what workers do
description:
  - Reads both servers without lock and without writing, so it can be asked while M(bowline.fleet.redis_sync) works.
  - A server that cannot be read is null in RV(servers) and has an entry in RV(failures); it is never taken for one that is closed.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.reader, bowline.fleet.redis]
seealso:
  - module: bowline.fleet.redis_sync
"""
EXAMPLES = r"""
- name: Ask who serves and what would stand in the way
  bowline.fleet.redis_sync_info:
    legacy: {host: 192.0.2.10, password_file: /etc/bowline/redis-legacy}
    new: {host: 192.0.2.20, password_file: /etc/bowline/redis-new}
    layouts: [{kind: sidekiq}]
  register: redis

- name: Stop unless the other side is level
  ansible.builtin.assert:
    that: redis.lag is not none and redis.lag.bytes == 0
"""
RETURN = r"""
phase:
  description: Phase of the pair as M(bowline.fleet.redis_sync) names it; unknown when a server cannot be read.
  returned: success
  type: str
  sample: "following"
serving:
  description: Side that takes writes, nobody inside a window, or unknown.
  returned: success
  type: str
  sample: "legacy"
servers:
  description: >-
    What each side says of itself. Among it C(role), C(master), C(link_up), C(offset), C(version), C(keys) by database, C(users), C(modules) and the
    settings that matter for a move. No password is among them.
  returned: success
  type: dict
  sample: {"legacy": {"role": "master", "offset": 81723, "keys": {"0": 1042}}, "new": {"role": "replica", "link_up": true, "offset": 81723}}
lag:
  description: How far the follower C(side) is behind in C(bytes) of the stream, and whether it is C(copying) everything; null without a link.
  returned: success
  type: dict
  sample: {"side": "new", "bytes": 0, "copying": false}
jobs:
  description: What each layout holds on the side that serves, see M(bowline.fleet.redis_sync).
  returned: success
  type: list
  elements: dict
  sample: [{"layout": "sidekiq", "queues": {"default": 3}, "busy": 1, "scheduled": {"schedule": 12, "retry": 0}, "processes": 1, "quiet": false, "idle": false}]
holder:
  description: Connection of a run that works on the pair now, as C(side), C(id), C(addr) and C(age) in seconds; null when there is none.
  returned: success
  type: dict
  sample: null
findings:
  description: What would stand in the way of a move, as C(code), C(level), C(field), C(object), C(message) and C(remedy).
  returned: success
  type: list
  elements: dict
  sample: []
failures:
  description: Per side that cannot be read, and for C(jobs), its C(code), C(message), C(remedy) and C(details).
  returned: success
  type: dict
  sample: {}
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {"code": "file_missing", "message": "legacy.password_file is not there.", "remedy": "Put the password into it.", "details": {}}
"""
from ..module_utils._core.module import FleetModule
from ..module_utils._core.result import finish
from ..module_utils._redis.info import info
from ..module_utils._redis.options import PAIR, parse


def main() -> None:
    module = FleetModule(PAIR, supports_check_mode=True)
    finish(module, lambda: info(parse(module.params)))


if __name__ == "__main__":
    main()
