#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_sweep
short_description: Write what machines say of themselves, and tell who is silent
description:
  - Takes the documents that the agents of all machines wrote, keeps them as heartbeats in one transaction, and says of each node how well its machine is.
  - A document is taken for the word of a stranger. What is too long, of another form, of another machine, or older than 90 s is not kept and is told.
  - Silence counts by the clock of the controller, and only while somebody listened. Two sweeps listen without a break when no more than twice
    O(interval) lies between them. One that reached none of two and more machines has not listened.
  - No lease is taken, and nothing is decided. The playbook C(bowline.fleet.sweep) reads the documents and calls this module.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.controller, bowline.fleet.store]
options:
  statuses:
    description: One for each machine that was asked. The filter C(bowline.fleet.node_statuses) makes them of registered results.
    type: list
    elements: dict
    required: true
    suboptions:
      node: {description: Name of the node., type: str, required: true}
      reached: {description: Whether the machine could be asked at all., type: bool, default: true}
      text: {description: "The document, behind C(/proc/uptime) of the same moment where its age shall be judged.", type: str, default: ''}
      message: {description: Why it was not reached., type: str, default: ''}
  receiver: {description: Name of who listens. Sweeps of several controllers are told apart by it., type: str, default: sweep}
  interval:
    description: Seconds between two sweeps. A machine is late after 90 s or two of them, silent after 300 s or three, lost after 900 s or nine.
    type: float
    default: 60
"""
EXAMPLES = r"""
- name: Keep what was read
  bowline.fleet.node_sweep:
    statuses: "{{ groups['nodes'] | map('extract', hostvars) | bowline.fleet.node_statuses('sweep_read') }}"
  register: swept
"""
RETURN = r"""
nodes:
  description:
    - One entry for each of O(statuses), with C(name), C(outcome), C(message), C(phase), C(health), C(silent_for) (seconds, null when nobody listens) and
      C(ahead) (seconds that the clock of the machine goes before this one, when more than 5; it decides nothing).
    - "C(outcome) is V(heard), V(stale) (the agent does not run), V(unreadable), V(stranger) (another machine answers, or one that has not enrolled),
      V(unreached), V(no_machine) or V(unknown_node)."
  returned: success
  type: list
  elements: dict
  sample: [{name: edge-1, outcome: heard, message: '', phase: running, health: ok, silent_for: 0.0, ahead: null}]
health:
  description: Names of nodes by health.
  returned: success
  type: dict
  sample: {ok: [edge-1], silent: [edge-2]}
heard:
  description: How many documents were kept.
  returned: success
  type: int
  sample: 1
listened:
  description: Whether this sweep counts as time in which somebody listened.
  returned: success
  type: bool
  sample: true
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {code: store_unavailable, message: The store cannot be opened., remedy: Check its path and rights., details: {}}
"""
