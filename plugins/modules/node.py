#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node
short_description: Declare a node, the row that outlives its machines
description:
  - A node is a row of the store with its policy. Its machine is made by another module; a node without one is harmless.
  - Written in one transaction under the lease of the node, against the revision that was read. Inside an operation of this run its lease is used. Another
    run that works on the node is named by C(locked).
  - Runs on the controller, where the store is. No provider is asked.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.controller, bowline.fleet.store]
options:
  name: {description: "Name of the node: a label of a host name.", type: str, required: true}
  state:
    description:
      - V(present), the row equals what is given; an option that is left out has its default.
      - V(absent), there is no such row. What the node had stays on record. Refused with C(node_has_instance) while a machine of it lives, and with C(held)
        while guard V(protected) holds.
    type: str
    choices: [present, absent]
    default: present
  template: {description: Its template. Required for O(state=present)., type: str}
  platform: {description: As of the template. Empty is that of the template., type: str, default: ''}
  architecture: {description: As of the template. Empty is that of the template., type: str, choices: ['', amd64, arm64], default: ''}
  lifecycle_class:
    description:
      - How its machines may end. V(persistent) ones are replaced and removed after an approval only, V(ephemeral) ones are replaced and told about, V(spot)
        ones may be taken by their provider.
      - It cannot be changed once the node has had a machine; that is C(immutable_class).
    type: str
    choices: [persistent, ephemeral, spot]
    default: persistent
  labels: {description: Free texts by name., type: dict, default: {}}
  modules:
    description: Native modules that run on it. Empty is those of the template.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Name of the module., type: str, required: true}
      ref: {description: Where it comes from., type: str, required: true}
  hooks: {description: "What empties it, in this order, before it goes. Empty is those of the template.", type: list, elements: str, default: []}
  guards:
    description: What must not happen to it, whoever asks and with whatever force.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description:
          - V(protected), its machine is neither stopped nor removed. V(no_stop), it is not stopped, and so not removed either. V(no_remediation), nothing is
            done about it by itself. V(quarantined), it is never handed out.
        type: str
        required: true
        choices: [protected, no_stop, no_remediation, quarantined]
      reason: {description: Why; shown to who is refused., type: str, default: ''}
      until: {description: "Moment at which the guard ends, such as V(2026-12-01T12:00:00Z). Without it the guard stays until it is taken off.", type: str}
  quorum_group: {description: Group whose majority has to stay in service., type: str, default: ''}
  reason: {description: Why this is done; recorded., type: str}
"""
EXAMPLES = r"""
- name: One edge node
  bowline.fleet.node:
    name: edge-1
    template: edge
    lifecycle_class: ephemeral
    labels: {owner: edge-team}
    guards: [{kind: protected, reason: soak of cutover/hub-1, until: '2026-12-01T12:00:00Z'}]
    reason: capacity of the new site

- name: It is retired, and its machine is gone
  bowline.fleet.node: {name: edge-1, state: absent}
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{action: declare, reason: no node edge-1 is in the store, disruptive: false}]
node:
  description: The row; null when it is absent. C(revision) grows by one with each write; times are Unix seconds.
  returned: success
  type: dict
  sample: {name: edge-1, template: edge, platform: '', architecture: '', lifecycle_class: ephemeral, labels: {owner: edge-team}, modules: [], hooks: [],
           guards: [{kind: protected, reason: soak, until: 1796126400.0}], quorum_group: '', revision: 1}
resolved:
  description: The row with what its template gives; null when it is absent.
  returned: success
  type: dict
  sample: {name: edge-1, template: edge, platform: debian-13, architecture: amd64, lifecycle_class: ephemeral, labels: {owner: edge-team}, modules: [],
           hooks: [docker], guards: [], quorum_group: '', revision: 1}
status:
  description: Phase of its machine as the store knows it; C(no_instance) without one, null when the node is absent.
  returned: success
  type: str
  sample: no_instance
failure:
  description: Code, message, remedy and details; what is wrong comes at once, as C(findings) of the details.
  returned: failure
  type: dict
  sample: {code: template_unknown, message: 'No template edg. Did you mean edge? Nothing was changed.', remedy: Correct the name., details: {findings: []}}
"""
