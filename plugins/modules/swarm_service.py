#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_service
short_description: Give one service of a Swarm another count, another place, or an earlier version
description:
  - Changes only what is asked for, waits until every wanted task is good, and brings the service back as it was when they do not become good.
  - Each write carries the version that it was planned from, under the lock of the stack. What was there before is in the history before the first write.
  - A stack is deployed with M(bowline.fleet.swarm_stack); its next deployment with C(replicas=enforce) gives the service the count of its compose file.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment:
  - bowline.fleet.attributes.writer
  - bowline.fleet.swarm
  - bowline.fleet.swarm.limits
  - bowline.fleet.swarm.lock
options:
  name:
    description: Whole name or id of the service.
    type: str
    required: true
  state:
    description:
      - With V(present) the service has the count, version and place that are asked for, and all of its tasks are good. It has to be there already.
      - With V(absent) it is gone. A service of a stack is refused, since the next deployment of the stack would make it again.
    type: str
    choices: [present, absent]
    default: present
  replicas:
    description: How many tasks a replicated service has. Left as it is without.
    type: int
  revision:
    description:
      - Which version of the history of its stack the service gets, as a number, V(previous) or V(stable); its configs and secrets must still exist.
      - Where there is no history, V(previous) takes the previous spec that the engine keeps, if it differs from what is live and O(expect_image)
        names its image. That spec is whatever was written last, so it is never taken unseen.
    type: str
  redistribute:
    description:
      - A token of your choice, such as a date. All tasks are started anew, so that nodes that came later get their share.
      - The same token acts once; it is kept as label C(bowline.redistribute) of the service.
    type: str
  expect_image:
    description: The image, with or without its digest, that O(revision) has to have. Another one is refused.
    type: str
  history_keep:
    description: How many revisions are kept, beside the last stable one and those that open work needs.
    type: int
    default: 10
  reason:
    description: Why; kept in the history and shown to who waits for the lock.
    type: str
  vcs_ref:
    description: Commit or tag that this comes from; kept in the history.
    type: str
seealso:
  - module: bowline.fleet.swarm_stack_info
"""
EXAMPLES = r"""
- name: Give the shop two more front ends for the evening
  bowline.fleet.swarm_service:
    docker_host: [tcp://manager-1.example.org:2376, tcp://manager-2.example.org:2376]
    ca_path: /etc/bowline/docker/ca.pem
    client_cert: /etc/bowline/docker/cert.pem
    client_key: /etc/bowline/docker/key.pem
    name: shop_web
    replicas: 5
    reason: sale on Friday

- name: Bring one service back to the last stable revision
  bowline.fleet.swarm_service:
    name: shop_web
    revision: stable

- name: Spread the tasks over a node that was added, once
  bowline.fleet.swarm_service:
    name: shop_web
    redistribute: node-4-joined
"""
RETURN = r"""
outcome:
  description: V(unchanged) or V(converged). In C(failure.details) also V(rolled_back), V(rollback_failed) or V(left).
  returned: success
  type: str
  sample: converged
service:
  description: The service as M(bowline.fleet.swarm_stack_info) shows it; null when it is gone.
  returned: success
  type: dict
  sample: {name: shop_web, stack: shop, version: 2114, image: 'registry.example.org/shop:2', mode: replicated, wanted: 5, running: 5}
revision:
  description: The revision of this change, or the last one when nothing was changed; null without a history.
  returned: success
  type: dict
  sample: {number: 8, action: scale, status: succeeded, stable: true, parent: 7, reason: sale on Friday}
steps:
  description: What was written, with seconds since the begin.
  returned: when something was written
  type: list
  elements: dict
  sample: [{at: 0.12, action: update, subject: shop_web}]
plan:
  description: What is done, why, which tasks are started anew (C(restarts) none, some or all), and where the spec comes from.
  returned: success
  type: list
  elements: dict
  sample:
    - action: update
      service: shop_web
      restarts: none
      reason: 'service shop_web: 3 replicas, 5 are wanted'
      disruptive: false
      source: live
evidence:
  description: C(source) of the spec; live, a revision, or the engine's previous spec.
  returned: success
  type: dict
  sample: {source: live}
failure:
  description: Code, message, remedy and details; C(outcome) in the details says what became of the service.
  returned: failure
  type: dict
  sample: {code: image_pull, message: 4 tasks of shop_web ended., remedy: 'Mend the cause, then run again.', details: {outcome: rolled_back}}
"""
from ..module_utils._core.module import FleetModule
from ..module_utils._core.result import finish
from ..module_utils._swarm.argspec import SERVICE
from ..module_utils._swarm.service.run import run_service


def main() -> None:
    module = FleetModule(SERVICE, supports_check_mode=True)
    finish(module, lambda: run_service(module.params, module.check_mode))


if __name__ == "__main__":
    main()
