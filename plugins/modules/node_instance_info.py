#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_instance_info
short_description: Read nodes and their machines
description:
  - Says of each node in which phase its machine is and why, how well it is, and one by one what is known of it and since when. Phase and health are
    computed when they are read, by the clock of the controller.
  - Reads a copy of the store and writes nothing. With O(source=store) no provider is asked, so what is said of a machine is what was seen last.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.reader, bowline.fleet.store]
attributes:
  action: {description: Has a corresponding action plugin; runs on the controller., support: full}
options:
  name: {description: One node. Fails with C(node_unknown) when the store has none of this name., type: str}
  source:
    description:
      - V(store) is what is on record. V(both) asks the host that the task runs on for the machines that stand there, and computes phase and conditions with
        its answer. V(provider) is the same for those nodes alone whose machine the provider has.
      - A host that does not answer, and nodes of which none stands there, are a failure with C(provider_unavailable) and never an empty list. Machines that
        stand elsewhere are counted in C(not_asked); run the task there with C(delegate_to).
    type: str
    choices: [store, provider, both]
    default: store
  mode: {description: "With another O(source) than V(store), as O(bowline.fleet.node_machine_info#module:mode).", type: str}
  filter:
    description:
      - Only nodes that fit every key. Keys are V(phase), V(health), V(scheduling), V(provider), V(template), V(lifecycle_class) and V(label), which is
        V(name=text), or V(name) alone for any text.
    type: dict
    default: {}
  gather:
    description:
      - What else is read of each node. V(actions) are those that are not over, V(steps) what was done to its machine, V(events) what happened to the node,
        V(heartbeats) how many came in each hour and the largest gap, V(recovery) what is done by itself about a machine that is stuck.
      - V(drift) is how far the modules that the machine says it carries are from those of its node, null while it has not said. Masked units and levels of
        integrity are null in it, since no machine says them yet.
      - V(attribution) is, of a machine that fails, which change before it is the likeliest reason, with score, share and why. Changes are taken from the
        journal of runs, from events, and from what machines say of their modules; null for a machine that does not fail. It points where to look and
        proves nothing.
      - V(capacity) is, of all nodes of its template, who is ready, coming, cordoned, silent, stalled and without a machine, how busy those are that are
        ready, and a C(recommendation) with C(reasons), which is V(investigate_silent), V(remediate_stalled), V(scale_up) or V(none).
      - V(certificates) are those that were issued to the machine, and first the one that it says it carries, with the days that are left.
    type: list
    elements: str
    choices: [conditions, actions, steps, events, heartbeats, recovery, drift, attribution, certificates, capacity]
    default: [conditions]
  lookback_hours: {description: "How far back events, steps, heartbeats and changes are read, 1 to 168.", type: int, default: 24}
  limit: {description: "At most so many nodes, and events of each, 1 to 1000.", type: int, default: 50}
"""
EXAMPLES = r"""
- name: What stands still
  bowline.fleet.node_instance_info:
    filter: {health: stalled}
    gather: [conditions, recovery, events]
  register: standing

- name: Why it fails
  bowline.fleet.node_instance_info: {name: edge-1, gather: [attribution, drift], lookback_hours: 48}
  register: reason

- name: What the hypervisor has beside what is on record
  bowline.fleet.node_instance_info: {source: both}
  delegate_to: hv-1
"""
RETURN = r"""
instances:
  description:
    - A node each, by name, with C(phase), C(reason), C(health), C(scheduling), C(guards) that hold, C(node) with what its template gives, C(instance) with its
      machine (null without one), C(heartbeat), and a key for each of O(gather). Beside C(events) stands C(events_truncated).
    - With another O(source) than V(store), C(machine) is what the provider says (null without an answer of it) and C(machine_seen) is V(observed),
      V(not_found) or V(not_asked).
  returned: success
  type: list
  elements: dict
  sample:
    - name: edge-1
      phase: running
      reason: ''
      health: ok
      scheduling: schedulable
      guards: []
      node: {name: edge-1, template: edge, lifecycle_class: ephemeral}
      instance: {id: 6b0c1f0e-51f6-4b5a-9f0c-0d8f4a3c9f11, generation: 1, provider: local_qemu, provider_id: 'qemu:///system/edge-1'}
      heartbeat: {age: 12.4, boot_id: b1, silent_for: 9.1}
      conditions: {enrolled: {type: enrolled, status: 'true', reason: '', message: '', since: '2026-11-28T10:00:00.000Z', generation: 1}}
total:
  description: How many nodes fit.
  returned: success
  type: int
  sample: 1
orphans:
  description: Machines of this fleet on that host that are of no live row.
  returned: with another O(source) than V(store)
  type: list
  elements: dict
  sample: []
not_asked:
  description: How many nodes have their machine at another host, by that.
  returned: with another O(source) than V(store)
  type: dict
  sample: {hv-2: 3}
truncated:
  description: Whether more fit than O(limit) lets through.
  returned: success
  type: bool
  sample: false
failure:
  description: Code, message, remedy and details; what is wrong comes at once, as C(findings) of the details.
  returned: failure
  type: dict
  sample: {code: node_unknown, message: 'No node edge-l. Did you mean edge-1?', remedy: Correct the name., details: {}}
"""
