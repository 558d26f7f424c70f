#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_stack_info
short_description: Read services, state and past of stacks, ours or not
description:
  - Shows what runs, what the history of a stack holds, what was changed past it, who works on it now, and what its tasks said.
  - A stack that is not there gives an empty list. A read that fails is a failure, never an empty list.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.reader, bowline.fleet.swarm]
options:
  name:
    description:
      - Name of the stack; without it all stacks are shown, and services outside of any stack under V(service.<name>).
    type: str
  service:
    description: Show this service only; the name of its stack before it may be left out.
    type: str
  gather:
    description:
      - What to read. V(services) is always shown.
      - V(tasks) are those that the engine remembers, V(history) the stored revisions, V(rollout) a canary that is open.
      - V(drift) compares what is live with the last revision, V(diff) O(revision) with O(compare_to).
      - V(logs) asks every node for the last lines of its tasks.
    type: list
    elements: str
    choices: [services, tasks, history, drift, diff, logs, rollout]
    default: [services]
  revision:
    description: With O(gather=diff), what to show the way to, as a number, V(previous) or V(stable). Default is V(stable).
    type: str
  compare_to:
    description: With O(gather=diff), where the way begins, as O(revision), or V(live) for what runs now. Default is V(live).
    type: str
  logs:
    description: With O(gather=logs), which lines.
    type: dict
    suboptions:
      tail: {description: 'Lines of each task, 1 to 10000.', type: int, default: 100}
      since: {description: Unix seconds; lines from before are left out., type: int, default: 0}
seealso:
  - module: bowline.fleet.swarm_service
"""
EXAMPLES = r"""
- name: See whether anybody changed the shop past its last revision
  bowline.fleet.swarm_stack_info:
    docker_host: [tcp://manager-1.example.org:2376, tcp://manager-2.example.org:2376]
    ca_path: /etc/bowline/docker/ca.pem
    client_cert: /etc/bowline/docker/cert.pem
    client_key: /etc/bowline/docker/key.pem
    name: shop
    gather: [drift, history]
  register: shop

- name: Show what going back would change
  bowline.fleet.swarm_stack_info:
    name: shop
    gather: [diff]
    revision: previous
"""
RETURN = r"""
stacks:
  description: >-
    One entry a stack with C(services), C(revision) (the one that it was last brought to, null without a history), C(stable) (number of the last stable
    one), C(pending) (one that was begun and not ended), C(lock) (who works on it now), and C(tasks), C(rollout), C(drift) as gathered. An entry of
    C(drift) has C(service), C(kind) (changed, missing, extra) and C(fields).
  returned: success
  type: list
  elements: dict
  sample:
    - name: shop
      services:
        - id: 5k1m
          name: shop_web
          stack: shop
          version: 2114
          image: registry.example.org/shop:2
          digest: sha256:54e3c43b38d2cfc0174387496bf7f6bdd2ad945dae089ef5cf064ba612b5ff5f
          mode: replicated
          wanted: 3
          running: 3
          ports: [{published: 8080, target: 80, protocol: tcp, mode: host}]
          update: {state: completed, message: update completed, started_at: '2026-11-28T06:05:32.548400778Z'}
          created_at: '2026-11-28T06:05:32.548400778Z'
          updated_at: '2026-11-28T06:05:36.579274495Z'
      revision: {number: 7, action: deploy, status: succeeded, stable: true}
      stable: 7
      pending: null
      lock: null
revisions:
  description: >-
    Stored revisions by C(stack) and C(number) with C(action), C(status), C(stable), C(parent), C(actor), C(reason), C(vcs_ref), C(operation), C(begun),
    C(duration), C(services) (images by name) and C(digest) of the content.
  returned: when gather has V(history)
  type: list
  elements: dict
  sample: [{stack: shop, number: 7, action: deploy, status: succeeded, stable: true, parent: 6, services: {shop_web: 'registry.example.org/shop:2'}}]
diff:
  description: Both sides as texts, C(before) and C(after), values that look like secrets as hashes that are compared within this result only.
  returned: when gather has V(diff)
  type: dict
  sample: {before: "{}\n", after: "{}\n", before_header: shop live, after_header: shop stable}
logs:
  description: C(lines) of each task with its C(id), C(service), C(slot), C(node), C(state), and C(error) where they could not be read.
  returned: when gather has V(logs)
  type: list
  elements: dict
  sample: [{id: x8qy, service: shop_web, slot: 1, node: m1, state: running, lines: [listening], error: ''}]
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {code: not_manager, message: 'tcp://10.0.0.4:2376 is a worker.', remedy: Give a manager in docker_host., details: {}}
"""
from ..module_utils._core.module import FleetModule
from ..module_utils._core.result import finish
from ..module_utils._swarm.argspec import STACK_INFO
from ..module_utils._swarm.run import run_stack_info


def main() -> None:
    module = FleetModule(STACK_INFO, supports_check_mode=True)
    finish(module, lambda: run_stack_info(module.params))


if __name__ == "__main__":
    main()
