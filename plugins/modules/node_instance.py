#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_instance
short_description: The machine of a node, brought into a state step by step
description:
  - A node has one machine at most. It is made with its identity in the same call, so a run that was killed anywhere is continued by the same command and
    nothing is made twice.
  - Runs for the host that its machines stand on (C(delegate_to)) and asks that host by M(bowline.fleet.node_machine) and
    M(bowline.fleet.node_machine_info). The store is read and written on the controller.
  - Everything that stands in the way is said at once, before the first write. Nobody but one run works on a node at a time; another one gets C(locked).
  - What happens on the machine itself (enrolment, hooks of a drain, leaving a cluster, names in DNS) is done by roles, which hand over O(evidence) of it.
    A node without hooks, label C(dns_name), volumes or certificate is asked for none.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.controller, bowline.fleet.store]
options:
  name: {description: Name of the node; M(bowline.fleet.node) declares it., type: str, required: true}
  state:
    description:
      - V(present), the machine exists with our identity; its power is left as it is.
      - V(running), it is on, enrolled, its modules are active, its services ready, and it takes work. What a drain has changed is taken back.
      - V(cordoned), it takes no new work. V(drained), that too, and every hook of the node says empty; it is still on.
      - V(stopped), drained and off; disk and identity are kept.
      - V(absent), its end is complete, in the order guards, drain, hooks, memberships, dns, volumes, credentials, provider, traces. The node stays.
    type: str
    choices: [present, running, cordoned, drained, stopped, absent]
    default: running
  provider:
    description: Who makes the machine. Default is that of the machine that is there, then C(provider) in the defaults of the template.
    type: str
    choices: [local_qemu, local_nspawn]
  provider_options:
    description:
      - Options of M(bowline.fleet.node_machine) over the defaults of the template. C(uri), C(folder), C(accel) and C(launcher) say where and how; every key of
        its O(bowline.fleet.node_machine#module:spec) says what the machine is made with.
      - Where a machine stands is kept with it. Later runs need not say it again, and are refused when they look elsewhere.
    type: dict
    default: {}
  mode:
    description: As that of M(bowline.fleet.node_machine). The machines of V(recorder) are entries of a file; they answer at once and are always well.
    type: str
  instance_type:
    description: What it has, by a name of M(bowline.fleet.node_provider_info), or of C(instance_types) in the defaults of the template.
    type: str
  image: {description: Path of the image on the host; default is C(image) in the defaults of the template., type: str}
  image_sha256:
    description: >-
      Digest that the image has to have when a machine is made from it. Without one it has to be published by M(bowline.fleet.node_image), unless
      C(accept_unpublished) in O(provider_options) says otherwise.
    type: str
  status:
    description:
      - What the machine says of itself now, for machines that do not report by themselves. It is kept as a heartbeat, which changes nothing.
      - Not kept, with a warning, unless the machine was seen to be on by an earlier run.
    type: dict
    suboptions:
      boot_id: {description: Id of the boot; a new one means that nothing is ready yet., type: str, required: true}
      sequence: {description: Grows with each report of one boot; default is the time., type: int}
      enrolled: {description: Whether it is a member of this fleet., type: bool, default: false}
      modules_active: {description: Whether its modules are active., type: bool, default: false}
      services_ready: {description: Whether its services are ready., type: bool, default: false}
      failed_units: {description: Units that have failed., type: list, elements: str, default: []}
      runtimes: {description: 'What runs work on it, such as V(docker) or V(k3s).', type: list, elements: str, default: []}
      certificate_not_after: {description: Unix seconds at which its certificate ends., type: float}
  evidence:
    description: What hooks have seen or done. It counts for five minutes.
    type: list
    elements: dict
    default: []
    suboptions:
      hook:
        description: Name of the hook of the node; or V(enrol), V(hooks), V(memberships), V(dns), V(volumes), V(credentials), V(traces) for that part.
        type: str
        required: true
      stage:
        description: What the hook was asked for; only V(observe) and V(drain) say what runs on the machine, only V(undo) what was taken back. Default is any.
        type: str
        choices: [observe, drain, undo, leave]
      outcome: {description: 'V(empty) and V(released) are done, V(blocked) is not.', type: str, required: true, choices: [empty, released, blocked]}
      observed_at: {description: 'When, such as V(2026-12-01T12:00:00Z); default is now.', type: str}
      blockers: {description: 'What stays, each with C(name), C(reason) and C(override).', type: list, elements: dict, default: []}
      changed: {description: What the drain has changed and may be taken back., type: list, elements: str, default: []}
  drain:
    description: How its work leaves it.
    type: dict
    default: {enabled: true}
    suboptions:
      enabled: {description: Whether it is drained before it is stopped or removed., type: bool, default: true}
  wait_for:
    description:
      - What O(state=present) waits for. V(infrastructure), the machine is there. V(contacted), it is on and has spoken, or its address takes a connection to
        port 22 from the controller; its addresses are known then.
    type: str
    choices: [infrastructure, contacted]
    default: infrastructure
  boot_factor:
    description: Stretches the time that it may take to boot (15 minutes) and to be ready (5); 5 fits an emulated processor.
    type: float
    default: 1.0
  on_immutable_change:
    description: What to do when the machine was made with something else than is asked for. V(replace) ends it first, then makes another one.
    type: str
    choices: [fail, replace]
    default: fail
  force:
    description: Goes on with the end of a machine that cannot be reached, and takes the power of one that does not go off. Overrides no guard.
    type: bool
    default: false
  skip_finalizers: {description: Parts of the end that are passed over by name; recorded with who and why., type: list, elements: str, default: []}
  adopt: {description: Whether a machine that carries the tag of this node and that no row knows becomes its machine., type: bool, default: false}
  accept_undrained: {description: Whether work of a runtime that no hook empties may be lost., type: bool, default: false}
  confirm: {description: 'Name of the node; needed where a persistent node loses its machine, or a machine is removed that no row knows.', type: str}
  reason: {description: Why this is done; recorded., type: str}
notes:
  - In check mode nothing is written, nobody is locked out, and the host is only read. The plan is the one that the run would do, step by step.
seealso:
  - module: bowline.fleet.node
  - module: bowline.fleet.node_machine
"""
EXAMPLES = r"""
- name: The machine exists
  bowline.fleet.node_instance:
    name: edge-1
    state: present
    provider: local_nspawn
    image: /var/lib/bowline/images/debian-13
    provider_options: {network: br0, address: 10.0.0.21/24}
  delegate_to: hypervisor-1

- name: It runs
  bowline.fleet.node_instance:
    name: edge-1
    status: {boot_id: 5f0a1c6e-7d3e-4c55-9c5e-1f2a3b4c5d6e, enrolled: true, modules_active: true, services_ready: true}
  delegate_to: hypervisor-1

- name: Its work is elsewhere, and it goes
  bowline.fleet.node_instance:
    name: edge-1
    state: absent
    confirm: edge-1
    evidence:
      - {hook: docker, outcome: empty}
      - {hook: dns, outcome: released}
    reason: the site is closed
  delegate_to: hypervisor-1
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode), each with the hook or finalizer it is about, what proves it and who does it.
  returned: success
  type: list
  elements: dict
  sample:
    - {action: create_machine, reason: local_nspawn has no machine of edge-1, disruptive: false, subject: '', probe: 'the machine, by its tag',
       done_by: node_instance}
instance:
  description:
    - The machine of the node with its C(phase), C(reason), C(health), C(scheduling), C(power), C(guards), C(addresses), C(conditions), and its row.
      C(id) is null when there is none.
  returned: success
  type: dict
  sample: {node: edge-1, phase: running, reason: '', health: unknown, scheduling: schedulable, power: 'on', id: 6f1c0c44-6c7c-4d3c-9f5e-0a3f3f2f9b11,
           provider_id: 'nspawn://host-1/edge-1', generation: 1, addresses: [10.0.0.21]}
evidence:
  description: Mode of the provider, and what its host was asked, in order.
  returned: success
  type: dict
  sample: {mode: real, host: [node_machine_info, node_machine running, node_machine_info]}
failure:
  description: Code, message, remedy and details; what stands in the way comes at once, as C(findings) of the details.
  returned: failure
  type: dict
  sample: {code: evidence_missing, message: 'edge-1: evidence of docker is missing.', remedy: Run hook docker., details: {hook: docker, step: drain}}
"""
