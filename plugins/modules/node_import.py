#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_import
short_description: Make the rows of a store that was lost again, from what machines carry
description:
  - Takes what hosts answered to M(bowline.fleet.node_machine_info), what machines said of themselves, and templates and nodes as they were declared. It
    writes what is missing in the store and nothing over what is there. The playbook C(bowline.fleet.state_import) asks all of them and calls this module.
  - A machine is told and left alone when it carries the tag of another fleet (C(identity_mismatch)), when two carry the same instance or node
    (C(duplicate_machine)), when nobody has declared its node (C(node_unknown)), or when the store has a row that it contradicts (C(conflict)). The others
    are imported.
  - A node whose machine was not found is declared only when every host has answered; otherwise it could get a second machine.
  - Refused before anything is written are declarations that are wrong or not as the store has them, and a store that knows machines of another fleet.
  - Nobody knows any more who was cordoned, drained or about to end, and what happened before; RV(unknown) names each column with what stands there now.
  - Runs on the controller, where the store is. No machine is touched.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.controller, bowline.fleet.store]
options:
  machines:
    description: What each host that makes machines has answered. Filter P(bowline.fleet.node_machines#filter) makes it.
    type: list
    elements: dict
    required: true
    suboptions:
      host: {description: Name of the host in the inventory. It is kept as the place of its machines., type: str, required: true}
      kind: {description: Provider., type: str, default: ''}
      uri: {description: "Address of libvirt, where it was named.", type: str, default: ''}
      folder: {description: "Folder of the machines, where it was named.", type: str, default: ''}
      answer: {description: "Result of M(bowline.fleet.node_machine_info), a failed one too.", type: dict, required: true}
  statuses:
    description: What machines said of themselves, as O(bowline.fleet.node_sweep#module:statuses).
    type: list
    elements: dict
    default: []
    suboptions:
      node: {description: Name of the node., type: str, required: true}
      reached: {description: Whether the machine could be asked at all., type: bool, default: true}
      text: {description: The document., type: str, default: ''}
      message: {description: Why it was not reached., type: str, default: ''}
  interval: {description: Seconds between two sweeps., type: float, default: 60}
  templates:
    description: Templates as they were declared. What is left out has the default of M(bowline.fleet.node_template).
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Name of the template., type: str, required: true}
      platform: {description: As M(bowline.fleet.node_template) has it., type: str, default: ''}
      architecture: {description: As M(bowline.fleet.node_template) has it., type: str, choices: [amd64, arm64], default: amd64}
      image_family: {description: As M(bowline.fleet.node_template) has it., type: str, default: ''}
      modules:
        description: As M(bowline.fleet.node_template) has it.
        type: list
        elements: dict
        default: []
        suboptions:
          name: {description: Name of the module., type: str, required: true}
          ref: {description: Where it comes from., type: str, required: true}
      hooks: {description: As M(bowline.fleet.node_template) has it., type: list, elements: str, default: []}
      defaults: {description: As M(bowline.fleet.node_template) has it., type: dict, default: {}}
      volumes: {description: As M(bowline.fleet.node_template) has it., type: list, elements: dict, default: []}
  nodes:
    description: Nodes as they were declared. What is left out has the default of M(bowline.fleet.node).
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Name of the node., type: str, required: true}
      template: {description: As M(bowline.fleet.node) has it., type: str}
      platform: {description: As M(bowline.fleet.node) has it., type: str, default: ''}
      architecture: {description: As M(bowline.fleet.node) has it., type: str, choices: ['', amd64, arm64], default: ''}
      lifecycle_class: {description: As M(bowline.fleet.node) has it., type: str, choices: [persistent, ephemeral, spot], default: persistent}
      labels: {description: As M(bowline.fleet.node) has it., type: dict, default: {}}
      modules:
        description: As M(bowline.fleet.node) has it.
        type: list
        elements: dict
        default: []
        suboptions:
          name: {description: Name of the module., type: str, required: true}
          ref: {description: Where it comes from., type: str, required: true}
      hooks: {description: As M(bowline.fleet.node) has it., type: list, elements: str, default: []}
      guards:
        description: As M(bowline.fleet.node) has it.
        type: list
        elements: dict
        default: []
        suboptions:
          kind: {description: Kind of the guard., type: str, required: true, choices: [protected, no_stop, no_remediation, quarantined]}
          reason: {description: Why., type: str, default: ''}
          until: {description: When it ends by itself., type: str}
      quorum_group: {description: As M(bowline.fleet.node) has it., type: str, default: ''}
  fleet:
    description:
      - The fleet whose machines become rows. Default is that of the store, or the only one whose tag the machines carry. With machines of several ones it
        has to be named.
    type: str
  authority:
    description: Folder of the fleet's CA on the controller, as O(bowline.fleet.node_enrolment#module:authority). The store knows the CA again that is there.
    type: path
  reason: {description: Why; recorded., type: str}
"""
EXAMPLES = r"""
- name: What would be made again
  bowline.fleet.node_import:
    templates: "{{ import_templates }}"
    nodes: "{{ import_nodes }}"
    machines: "{{ groups['hypervisors'] | map('extract', hostvars) | bowline.fleet.node_machines('import_found') }}"
  check_mode: true
"""
RETURN = r"""
plan:
  description: What was written, or would be.
  returned: success
  type: list
  elements: dict
  sample: [{action: import_instance, reason: nspawn://hv-1/web-1 on hv-1 is not in the store, disruptive: false}]
diff:
  description: "Fleet, templates, nodes and machines of the store, before and after."
  returned: success
  type: dict
  sample: {before: '', after: ''}
evidence:
  description: Empty.
  returned: success
  type: dict
  sample: {}
fleet:
  description: Name of the fleet.
  returned: success
  type: str
  sample: 0c8a1f2b3d4e
instances:
  description:
    - Every machine that has a row now, with C(node), C(instance), C(provider_id), C(generation), C(phase), C(reason), C(health) and C(outcome).
    - C(outcome) is V(imported), V(kept) (the store had it), or V(locked) (another run works on the node).
  returned: success
  type: list
  elements: dict
  sample: [{node: web-1, instance: 0d9f9b4e-6a58-4b3e-8d3a-6f9d1d1f7c02, provider_id: nspawn://hv-1/web-1, generation: 1, outcome: imported, phase: running,
            reason: '', health: ok}]
findings:
  description: What was not imported and why, each with code, level (V(fail) or V(warn)), object, message, remedy and field.
  returned: success
  type: list
  elements: dict
  sample: [{code: node_unknown, level: fail, object: web-9, message: nspawn://hv-1/web-9 carries the tag of node web-9., remedy: Declare the node., field: ''}]
heard:
  description: How many documents of O(statuses) were kept as heartbeats.
  returned: success
  type: int
  sample: 1
not_heard:
  description: The others, as RV(bowline.fleet.node_sweep#module:nodes).
  returned: success
  type: list
  elements: dict
  sample: [{name: web-2, outcome: unreached, message: No route to host}]
unknown:
  description: Columns that no machine carries, each with what stands there now.
  returned: success
  type: dict
  sample: {cordoned_by: 'nothing: it takes new work; cordon it again'}
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {code: conflict, message: The store is that of another fleet., remedy: Name the store that was lost., details: {}}
"""
