#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_node_info
short_description: Read the nodes of a Swarm, and what a drain of each would find now
description:
  - Reads only. A node that cannot be read is a failure, never an empty list.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.reader, bowline.fleet.swarm]
options:
  node: {description: Id or unique hostname of one node; without it all are read., type: str}
  gather:
    description:
      - What is read beside the summary; V(blockers) is what would stand in the way of a drain now, and what it would move.
      - V(identity) alone is answered by every engine, also by a worker, by a manager without a majority, and by one outside of any Swarm. Where
        the engine itself does not know its cluster, it is read from its certificate, on the host of the engine.
    type: list
    elements: str
    choices: [summary, tasks, resources, blockers, identity]
    default: [summary]
  wait_timeout: {description: 'Seconds to wait until O(node) is a member, ready, and, if a manager, reachable.', type: float, default: 0}
  mode: {description: The drain that V(blockers) are asked about., type: str, choices: [surge, plain], default: surge}
  intent: {description: What would follow it., type: str, choices: [maintenance, reboot, decommission], default: maintenance}
  quorum: {description: As in M(bowline.fleet.swarm_node)., type: str, choices: [strict, votes], default: strict}
"""
EXAMPLES = r"""
- name: See which nodes could be rebooted now
  bowline.fleet.swarm_node_info:
    docker_host: [tcp://m1.example.org:2376, tcp://m2.example.org:2376]
    ca_path: /etc/bowline/swarm/ca.pem
    client_cert: /etc/bowline/swarm/cert.pem
    client_key: /etc/bowline/swarm/key.pem
    gather: [blockers]
    intent: reboot
  register: swarm

- name: Name them
  ansible.builtin.debug:
    msg: "{{ swarm.nodes | rejectattr('blockers') | map(attribute='hostname') }}"
"""
RETURN = r"""
nodes:
  description: The nodes. C(drain) is an open drain, else null; C(tasks), C(resources), C(blockers) and C(moves) are there when they were asked for.
  returned: unless O(gather) is V(identity) alone
  type: list
  elements: dict
  sample:
    - id: 8x0q
      hostname: m2
      role: manager
      availability: active
      labels: {}
      state: ready
      leader: false
      reachability: reachable
      address: 192.0.2.2
      message: ''
      platform: {Architecture: x86_64, OS: linux}
      engine_version: 20.10.24
      drain: null
      tasks: [{id: x05s, service: shop_web, slot: 1, state: running, desired_state: running}]
      resources: {nano_cpus: 4000000000, memory_bytes: 8363245568, nano_cpus_reserved: 0, memory_bytes_reserved: 0}
      blockers: [{name: local_volume, subject: shop_db, reason: 'Its data is on this node: volume data.', override: 'accept: [local_volume]'}]
      moves: [{id: r5zi, service: shop_web, stack: shop, tasks: 1, order: start-first, to: [m3]}]
identity:
  description: What one engine says of itself. C(majority) is whether it knows a leader; C(managers) is how many it knows.
  returned: when it was gathered
  type: dict
  sample: {member: true, manager: true, majority: false, node_id: 8x0q, cluster_id: txqm9666hchzs0xhr8hfpgil2, managers: 3,
           addresses: ['192.0.2.1:2377'], hostname: m1, state_directory: /var/lib/docker/swarm}
quorum:
  description: The managers.
  returned: unless O(gather) is V(identity) alone
  type: dict
  sample: {managers: 3, reachable: 3, quorum: 2, margin: 1, leader: m1, unreachable: []}
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {code: not_manager, message: 'tcp://w1:2376 is a worker.', remedy: Give a manager in docker_host., details: {}}
"""
from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.result import finish
from ..module_utils._swarm.argspec import CONNECTION
from ..module_utils._swarm.client.engine import Engine
from ..module_utils._swarm.node.argspec import NODE_INFO
from ..module_utils._swarm.node.info import info


def main() -> None:
    module = AnsibleModule({**CONNECTION, **NODE_INFO}, supports_check_mode=True)
    finish(module, lambda: info(module.params, lambda: Engine.connect(module.params)))


if __name__ == "__main__":
    main()
