#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_cluster_info
short_description: Judge the health of a Swarm and list what is in it
description:
  - Asks every endpoint by itself, so that one which is cut off from the others is seen. N managers, R of them reachable, Q = N/2 + 1 needed, R - Q to
    spare.
  - A cluster without a majority, or one that does not answer, is a verdict and no failure, as long as no list was asked for.
  - A failed read is a failure, never an empty list.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.reader, bowline.fleet.swarm, bowline.fleet.store]
attributes:
  action: {description: Has a corresponding action plugin; runs on the controller., support: full}
options:
  name: {description: 'Name of a registered cluster, whose endpoints are asked. Without it O(docker_host) says whom to ask.', type: str}
  gather:
    description: Lists that are read beside the health.
    type: list
    elements: str
    choices: [health, nodes, services, stacks, revisions, events, networks, volumes, secrets, configs]
    default: [health]
  since: {description: Unix second from which on events are read. Default is an hour ago., type: float}
  min_fault_tolerance: {description: Managers that may be lost before the health is a warning; that of the registration goes before., type: int, default: 1}
"""
EXAMPLES = r"""
- name: Read the health of the shop's cluster
  bowline.fleet.swarm_cluster_info:
    name: shop
    gather: [health, nodes, services]
  register: shop

- name: Stop unless it may lose a manager
  ansible.builtin.assert:
    that: shop.health.margin >= 1
"""
RETURN = r"""
cluster_id:
  description: Id of the cluster; null when no manager with a majority answered.
  returned: success
  type: str
  sample: txqm9666hchzs0xhr8hfpgil2
health:
  description: C(verdict) healthy, warning, error, critical or unreachable, its C(reasons), and the arithmetic of the managers.
  returned: success
  type: dict
  sample:
    verdict: error
    reasons: [{level: error, code: manager_unreachable, subject: m3, message: The other managers do not reach manager m3.}]
    managers: 3
    reachable: 2
    quorum: 2
    margin: 0
    leader: m1
    unreachable: [m3]
endpoints:
  description: What each endpoint says of itself, with C(state) leader (it knows one), leaderless, worker, outside or silent.
  returned: success
  type: list
  elements: dict
  sample: [{endpoint: 'tcp://m1:2376', state: leader, cluster_id: txqm9666hchzs0xhr8hfpgil2, node: m1, failure: null}]
nodes:
  description: The lists of O(gather), each under its own name.
  returned: when it was gathered
  type: list
  elements: dict
  sample: [{id: yubl, hostname: m1, role: manager, availability: active, state: ready, leader: true, reachability: reachable, address: 192.0.2.1, labels: {}}]
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {code: not_manager, message: 'tcp://w1:2376 is a worker.', remedy: Give managers in docker_host., details: {}}
"""
