#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_action
short_description: One verb on the machine of a node, asked for once, allowed by policy, closed by what is seen
description:
  - An action is one verb for one cause (O(fingerprint)) on one machine. Policy says for each verb and class whether it may be done, told and done, or needs
    somebody's word; budgets say how often. The guard C(no_remediation) wins over all of it.
  - V(power_cycle) is done here, by the provider and under the lease of the node, on the host that the task runs on. Every other verb is done by whoever has
    begun it, and closed when the machine itself shows that it was done.
  - "A rung of the ladder (V(restart_units), V(reboot), V(power_cycle), V(reenrol), V(replace)) is taken once in ten minutes and three times in a day; of a
    quorum group, or of the nodes of one template, a fifth at a time and at least one; none when more than that fell silent together, and none that takes a
    group its majority."
  - The attempt is written before it is made, so the same command goes on after a run that was killed, and does nothing twice.
  - In check mode nothing is written and nobody is refused; RV(answer) is what policy says now.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.controller, bowline.fleet.store]
options:
  action_id: {description: "Key of an action, C(id) of RV(action) in an earlier result. In place of O(name), O(verb) and O(fingerprint).", type: str}
  name: {description: Name of the node. Needs O(verb) and O(fingerprint)., type: str}
  verb:
    description:
      - What is done.
      - V(ladder) is the next rung for a machine that is silent. It needs a second observer, O(ssh) or the power that its provider shows.
    type: str
    choices: [reconcile, restart_units, reboot, power_cycle, renew, reenrol, replace, terminate, ladder]
  fingerprint:
    description:
      - The cause, once for which it is done; that of a signal, or a text of your own such as the number of a ticket.
    type: str
  state:
    description:
      - V(pending), it was asked for. One that failed may be tried anew; an older cause of the same verb that only waits is stopped.
      - V(approved) and V(rejected), somebody has decided so. Either holds for 24 h.
      - V(running), it has begun, and the attempt is written down. Whoever calls does it now.
      - V(completed), it is over. V(power_cycle) is done here; every other verb needs its proof, C(evidence_missing) without it.
      - V(aborted), it is not done. What has ended stays as it is.
    type: str
    choices: [pending, approved, rejected, running, completed, aborted]
    default: pending
  policy:
    description: Rules before the table of policy; the first one that fits wins.
    type: list
    elements: dict
    default: []
    suboptions:
      verb:
        description: Only for this verb.
        type: str
        choices: [reconcile, restart_units, reboot, power_cycle, renew, reenrol, replace, terminate]
      lifecycle_class: {description: Only for nodes of this class., type: str, choices: [persistent, ephemeral, spot]}
      node: {description: Only for this node., type: str}
      answer:
        description: V(notify_and_proceed) is told as a warning and done; V(block) is C(held).
        type: str
        required: true
        choices: [auto_approve, notify_and_proceed, require_approval, block]
  ssh: {description: "Whether the machine let us in by SSH just now, for V(ladder). Leave it out when nobody tried.", type: bool}
  status:
    description: What the machine says of itself, as O(bowline.fleet.node_instance#module:status).
    type: dict
    suboptions:
      boot_id: {description: Of its kernel., type: str, required: true}
      sequence: {description: Grows with each report of one boot. Without it the report is taken as the latest., type: int}
      enrolled: {description: It has its certificate., type: bool, default: false}
      modules_active: {description: Its modules are those that are wanted., type: bool, default: false}
      services_ready: {description: Their services are healthy., type: bool, default: false}
      failed_units: {description: Units that failed., type: list, elements: str, default: []}
      runtimes: {description: What runs there and has to be drained., type: list, elements: str, default: []}
      certificate_not_after: {description: End of its certificate in Unix seconds., type: float}
  provider_options: {description: As O(bowline.fleet.node_instance#module:provider_options)., type: dict, default: {}}
  mode: {description: As O(bowline.fleet.node_instance#module:mode)., type: str}
  wait_timeout: {description: Seconds that a power cycle may take., type: float, default: 300}
  reason: {description: Why; recorded., type: str}
"""
EXAMPLES = r"""
- name: Take the power of a machine that hangs, once for this ticket
  bowline.fleet.node_action: {name: edge-1, verb: power_cycle, fingerprint: OPS-4711, state: completed, reason: hangs after the storm}
  delegate_to: hypervisor-1

- name: Say yes to what policy does not decide
  bowline.fleet.node_action: {action_id: 0d9f9b4e-6a58-4b3e-8d3a-6f9d1d1f7c02/reenrol/5f0c1e2d3a4b5c6d, state: approved}
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{action: begin, reason: reboot may be done, disruptive: true}]
diff:
  description: Empty; the plan says what changes.
  returned: success
  type: dict
  sample: {before: '', after: ''}
evidence:
  description: Empty.
  returned: success
  type: dict
  sample: {}
action:
  description:
    - The action; null when nobody has asked for it. Moments are UTC text, null where there is none.
    - C(state) is V(pending), V(running), V(failed), V(complete), V(rejected) or V(aborted); C(runnable) says that it waits for nothing. C(decision) is what
      still holds of what C(decided_by) has decided.
  returned: success
  type: dict
  sample: {id: 0d9f9b4e-6a58-4b3e-8d3a-6f9d1d1f7c02/reboot/OPS-4711, node: edge-1, instance: 0d9f9b4e-6a58-4b3e-8d3a-6f9d1d1f7c02, verb: reboot,
           fingerprint: OPS-4711, state: running, reason: '', actor: ann, attempts: 1, asked_at: '2026-12-01T12:00:00Z', attempted_at: '2026-12-01T12:00:01Z',
           ended_at: null, decision: '', decided_by: '', decided_until: null, runnable: false}
answer:
  description:
    - What policy says now. C(word) is that of the table or of the rule; C(code) why it is not done, empty when it may be; C(wait) seconds after which to ask
      again.
  returned: success
  type: dict
  sample: {verb: reboot, word: notify_and_proceed, code: budget_exhausted, why: one in 10 min, wait: 540.0}
failure:
  description: Code, message, remedy and details; C(details.action) is the key of what waits for somebody's word.
  returned: failure
  type: dict
  sample: {code: approval_required, message: 'reenrol of db-1: reenrol of a persistent node. Nothing was done.', remedy: node_action with state approved.,
           details: {action: 0d9f9b4e-6a58-4b3e-8d3a-6f9d1d1f7c02/reenrol/5f0c1e2d3a4b5c6d}}
"""
