#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_cluster
short_description: Register a Swarm with its identity and expected members, and keep its inventory
description:
  - V(present) proves that every endpoint is a manager of one and the same cluster, and that the expected members are ready. The id is pinned, so
    that an engine which was built anew or has joined another Swarm is found out, and never written to.
  - Runs on the controller, where the store is; files of TLS are those of the controller. The store keeps their paths, never what is in them.
  - Founding and joining is what the role P(bowline.fleet.swarm_cluster#role) does.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.controller, bowline.fleet.swarm, bowline.fleet.store]
options:
  name: {description: Name of the cluster in the store., type: str, required: true}
  state:
    description:
      - V(present), every endpoint reports this cluster, and the expected members are ready and, if managers, reachable.
      - V(synced), the inventory is younger than O(sync_interval). Does nothing before, nor while the circuit is open. After 5 failures in a row it
        is open for 30 seconds, and twice as long after each further one, an hour at most; two good probes close it.
      - V(absent), the registration is gone. The cluster is untouched.
    type: str
    choices: [present, synced, absent]
    default: present
  cluster_id: {description: The id that the cluster has to have. Default is the one that was learned at the first contact., type: str}
  adopt: {description: Whether the id of the first contact is taken as it is. Without it O(cluster_id) has to be given., type: bool, default: false}
  expected:
    description: Members that have to be there as C(managers) and C(workers), lists of hostnames or ids.
    type: dict
    default: {}
  sync_interval: {description: Seconds after which an inventory is old., type: float, default: 300}
  min_fault_tolerance: {description: Managers that may be lost before the health is a warning., type: int, default: 1}
  wait_timeout: {description: Seconds to wait for the expected members., type: float, default: 120}
"""
EXAMPLES = r"""
- name: Register the cluster of the shop
  bowline.fleet.swarm_cluster:
    name: shop
    docker_host: [tcp://m1.example.org:2376, tcp://m2.example.org:2376, tcp://m3.example.org:2376]
    ca_path: /etc/bowline/swarm/ca.pem
    client_cert: /etc/bowline/swarm/cert.pem
    client_key: /etc/bowline/swarm/key.pem
    adopt: true
    expected: {managers: [m1, m2, m3], workers: [w1, w2]}

- name: Refresh what is known of it, if that is due
  bowline.fleet.swarm_cluster: {name: shop, state: synced}
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{action: register, reason: shop is cluster txqm9666hchzs0xhr8hfpgil2, disruptive: false}]
cluster:
  description: The registration with its C(status) (pending, connected, disconnected, error); times are Unix seconds. Null when it is absent.
  returned: success
  type: dict
  sample: {name: shop, cluster_id: txqm9666hchzs0xhr8hfpgil2, docker_host: ['tcp://m1.example.org:2376'], status: connected, failures: 0,
           next_probe_at: null, synced_at: 1795834541.2, sync_interval: 300.0, expected: {managers: [m1, m2, m3]}}
health:
  description: C(verdict) healthy, warning, error, critical or unreachable, its C(reasons), and the arithmetic of the managers.
  returned: success
  type: dict
  sample: {verdict: healthy, reasons: [], managers: 3, reachable: 3, quorum: 2, margin: 1, leader: m1, unreachable: []}
events_gap:
  description: Whether events since the last sync may be lost, because an engine keeps its last 256 only.
  returned: when O(state=synced)
  type: bool
  sample: false
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {code: cluster_mismatch, message: 'Cluster a is meant; tcp://m1:2376 (m1) is in b.', remedy: Correct docker_host., details: {}}
"""
