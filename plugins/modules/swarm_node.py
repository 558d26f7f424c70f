#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_node
short_description: Role, labels and availability of a member of a Swarm, without an outage
description:
  - Swarm's own drain stops a task before it starts another one. With O(mode=surge), each service with tasks on the node is first told to run
    elsewhere, one task at a time, new before old; then the node is drained, and the services get their own specs back, byte by byte.
  - What stands in the way is named before the first write, all of it at once, each with the word in O(accept) that lets it happen all the same.
  - Works on a manager, or from anywhere against the TLS endpoint of one.
  - A run that was killed is continued by the same command, or taken back with O(state=active). One node is drained at a time.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.writer, bowline.fleet.swarm, bowline.fleet.swarm.lock]
options:
  node: {description: Id of the node or its hostname where only one node has it., type: str, required: true}
  state:
    description:
      - V(active) takes tasks, and nothing of a drain is left. Takes an open drain back.
      - V(paused) takes no new tasks and keeps those that it has.
      - V(drained) runs nothing, and every service that ran here has as many tasks as it should.
      - V(absent) is no member any more. The node is drained and demoted, then has to leave (C(docker swarm leave) there, as role
        P(bowline.fleet.swarm_cluster#role) does it), then it is removed.
    type: str
    choices: [active, paused, drained, absent]
    default: active
  role: {description: Role that the node shall have; a demotion comes after a drain. Default is the one that it has., type: str, choices: [manager, worker]}
  labels: {description: Labels that the node shall have. One with a null value is removed; those that are not named stay., type: dict, default: {}}
  mode:
    description: V(surge) starts the new task before the old one stops. V(plain) drains as Swarm does, which is a dip for a service of one task.
    type: str
    choices: [surge, plain]
    default: surge
  intent:
    description: What follows the drain. Where the engine is going to be stopped, the other managers have to be a majority without it.
    type: str
    choices: [maintenance, reboot, decommission]
    default: maintenance
  wait_timeout: {description: Seconds for a drain., type: float, default: 600}
  on_timeout:
    description:
      - V(undo) gives the services their specs and the node its availability back. V(keep) leaves everything as it is, for the next run.
        V(force) goes on to the drain itself, and what has not moved is stopped.
    type: str
    choices: [undo, keep, force]
    default: undo
  max_parallel: {description: Services that are moved at the same time., type: int, default: 1}
  accept:
    description:
      - V(no_place), no other node has room for a task; V(pinned), its constraints name this node alone; V(host_port), its port is in use on all
        others. Its tasks here are stopped and wait for a place.
      - V(local_volume), its data is on the disk of this node. It moves all the same, stopping first, and starts without the data.
      - V(restart_none), a plain drain ends a service that must not be restarted. V(job_running), a job runs here, which Swarm does not stop for a
        drain. It goes on until it ends or the engine does, and the node counts as empty beside it.
      - V(foreign_rollout), an update or rollout of somebody else is open.
    type: list
    elements: str
    choices: [no_place, pinned, local_volume, host_port, restart_none, job_running, foreign_rollout]
    default: []
  quorum:
    description: >-
      V(strict) wants every manager there and one to spare before a manager is drained. V(votes) knows that a drained manager goes on voting, and
      asks only whether a majority is left where O(intent) stops the engine.
    type: str
    choices: [strict, votes]
    default: strict
  accept_quorum_loss: {description: Whether a cluster of one or two managers may lose its majority., type: bool, default: false}
  dead: {description: Whether the node is off for good; it is then removed without being drained. Needs O(dead_proof)., type: bool, default: false}
  dead_proof:
    description: Who saw that it is off. Needed because a node that is merely cut off goes on running its tasks.
    type: dict
    suboptions:
      power: {description: What was seen., type: str, choices: ['off', 'on'], required: true}
      source: {description: Who saw it as the name of a BMC or of a provider., type: str, required: true}
      observed_at: {description: 'When, in ISO 8601 with a time zone or in Unix seconds; at most 300 seconds ago.', type: str, required: true}
  reason: {description: Why; recorded with the drain., type: str}
"""
EXAMPLES = r"""
- name: Read what a drain of the second manager would do
  bowline.fleet.swarm_node:
    docker_host: [tcp://m1.example.org:2376, tcp://m3.example.org:2376]
    ca_path: /etc/bowline/swarm/ca.pem
    client_cert: /etc/bowline/swarm/cert.pem
    client_key: /etc/bowline/swarm/key.pem
    node: m2
    state: drained
    intent: reboot
  check_mode: true
  diff: true

- name: Empty it
  bowline.fleet.swarm_node:
    node: m2
    state: drained
    intent: reboot
    reason: kernel 6.12

- name: Let it work again
  bowline.fleet.swarm_node: {node: m2}
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample:
    - {action: pause, reason: m2 takes nothing new, disruptive: false}
    - {action: move, reason: 'shop_web: 1 tasks, start-first, to m3', disruptive: false}
    - {action: drain, reason: nothing runs on m2, disruptive: false}
node:
  description: The node after the run (predicted in check mode); null when it is no member.
  returned: success
  type: dict
  sample: {id: 8x0q, hostname: m2, role: manager, availability: drain, labels: {}, state: ready, leader: false, reachability: reachable}
moves:
  description: >-
    Services that leave, with the number of their tasks here, order, foreseen nodes, and the lowest number of running tasks that was seen meanwhile
    (null in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{id: r5zi, service: shop_web, stack: shop, tasks: 1, order: start-first, to: [m3], lowest: 1}]
stops:
  description: Services whose tasks here end with the node and start nowhere else, and why (global, job, accepted).
  returned: success
  type: list
  elements: dict
  sample: [{service: shop_agent, tasks: 1, why: global}]
quorum:
  description: The managers after the run.
  returned: success
  type: dict
  sample: {managers: 3, reachable: 3, quorum: 2, margin: 1, leader: m1, unreachable: []}
evidence:
  description: What a drain hook reports, C(changed) being what an undo may touch.
  returned: success
  type: dict
  sample: {hook: swarm, stage: done, outcome: empty, blockers: [], changed: [availability pause, service shop_web, availability drain],
           observed_at: '2026-11-28T02:49:52+00:00'}
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {code: quorum_risk, message: '3 managers, 2 reachable (not: m3), 2 needed.', remedy: Repair or add a manager., details: {}}
"""
from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.result import finish
from ..module_utils._swarm.argspec import CONNECTION, LOCK
from ..module_utils._swarm.client.engine import Engine
from ..module_utils._swarm.node.argspec import NODE
from ..module_utils._swarm.node.run import run


def main() -> None:
    module = AnsibleModule({**CONNECTION, **LOCK, **NODE}, supports_check_mode=True)
    finish(module, lambda: run(module.params, lambda: Engine.connect(module.params), module.check_mode))


if __name__ == "__main__":
    main()
