#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_sensor_info
short_description: What is wrong with a fleet now, each thing once
description:
  - Each trouble is a signal with its severity, its onset and what could be done about it. Nothing is written about a signal, and its onset is derived from
    what is known anyway, so every look at one trouble gives one fingerprint. M(bowline.fleet.node_action) does a verb once for it.
  - Who is late, silent or lost is known only while somebody listens; C(observer_down) otherwise. Its details have the signals of the other sensors, which
    O(sensors) asks for alone.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.reader, bowline.fleet.store]
options:
  sensors:
    description:
      - Kinds of signals; all of them when it is empty.
      - V(instance.late), V(instance.silent) and V(instance.lost), it has said nothing for so long. V(instance.vanished), its provider has it no more (with
        O(machines), the host where it stands does not list it). V(instance.state_drifted), its power is not what was asked for last.
      - V(machine.orphan), a machine of this fleet that no row has. V(machine.duplicate), one instance that two machines carry. Both need O(machines).
      - V(module.drift_detected), its modules are not those of its node. V(cert.expiring), its certificate ends soon. V(action.stalled), a phase or
        an action takes longer than it may.
    type: list
    elements: str
    choices: [instance.late, instance.silent, instance.lost, instance.vanished, instance.state_drifted, machine.orphan, machine.duplicate,
              module.drift_detected, cert.expiring, action.stalled]
    default: []
  name: {description: Only signals of this node., type: str}
  since: {description: "Only signals that began after this moment, like V(2026-12-01T12:00:00Z).", type: str}
  thresholds:
    description: Seconds in place of the usual ones.
    type: dict
    suboptions:
      late: {description: Of silence; 90 s, type: float}
      silent: {description: Of silence; 300 s, type: float}
      lost: {description: Of silence; 900 s, type: float}
      certificate: {description: Before the end of a certificate; 14 days., type: float}
      certificate_critical: {description: Before the end of a certificate; one day., type: float}
  machines:
    description: What hosts that make machines answered, as O(bowline.fleet.node_import#module:machines).
    type: list
    elements: dict
    default: []
    suboptions:
      host: {description: Name of the host in the inventory., type: str, required: true}
      kind: {description: Provider., type: str, default: ''}
      uri: {description: "Address of libvirt, where it was named.", type: str, default: ''}
      folder: {description: "Folder of the machines, where it was named.", type: str, default: ''}
      answer: {description: "Result of M(bowline.fleet.node_machine_info), a failed one too.", type: dict, required: true}
"""
EXAMPLES = r"""
- name: What is wrong
  bowline.fleet.node_sensor_info:
  register: look

- name: Who is silent, with more patience
  bowline.fleet.node_sensor_info:
    sensors: [instance.silent, instance.lost]
    thresholds: {silent: 600}
"""
RETURN = r"""
signals:
  description:
    - Every trouble, the worst first. C(subject) is the instance, the action or the machine that it is about, C(verb) what M(bowline.fleet.node_action) would
      be asked for (empty where nothing is done by itself), C(onset) UTC text.
  returned: success
  type: list
  elements: dict
  sample: [{kind: instance.silent, node: edge-1, subject: 0d9f9b4e-6a58-4b3e-8d3a-6f9d1d1f7c02, severity: high, onset: '2026-12-01T12:05:00Z',
            message: 'It has said nothing since 2026-12-01T12:00:00Z, while somebody listened.', verb: ladder, fingerprint: 5f0c1e2d3a4b5c6d}]
groups:
  description: Of each quorum group, or else template, the number of C(members), who is C(silent), and whether these fell silent C(together).
  returned: success
  type: dict
  sample: {edge: {members: 12, silent: [edge-1], together: false}}
observer:
  description: Whether somebody C(listens), C(since) when without a break, when it was C(last_alive), and how many machines are C(speaking).
  returned: success
  type: dict
  sample: {listens: true, since: '2026-12-01T09:00:00Z', last_alive: '2026-12-01T12:06:00Z', speaking: 12}
findings:
  description: Hosts of O(machines) that have not answered.
  returned: success
  type: list
  elements: dict
  sample: []
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {code: observer_down, message: Nobody listens., remedy: Run sweep., details: {}}
"""
