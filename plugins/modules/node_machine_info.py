#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_machine_info
short_description: Machines of libvirt or systemd-nspawn that carry an identity of ours, and what one of them says on its console
description: Runs on the hypervisor and only reads. An empty list means that the host has answered and has none; a host that does not answer is a failure.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.reader, bowline.fleet.node.host]
options:
  identity:
    description: The one machine to read, or who else has its name; every machine of ours without it.
    type: dict
    suboptions:
      fleet: {description: Name of the fleet., type: str, required: true}
      instance_id: {description: UUID of the instance., type: str, required: true}
      node: {description: Name of the node., type: str, required: true}
      name: {description: Name of the machine at its provider; default is that of the node., type: str}
      spec_hash: {description: Not compared., type: str}
      generation: {description: Not compared., type: int, default: 1}
  fleet: {description: Only machines of this fleet; beside O(identity) they are C(others)., type: str}
  console_lines: {description: How many of the last lines of the console of O(identity) to read., type: int, default: 0}
"""
EXAMPLES = r"""
- name: What stands on this host
  bowline.fleet.node_machine_info: {kind: local_nspawn, fleet: lab}

- name: Why it is silent
  bowline.fleet.node_machine_info:
    kind: local_qemu
    identity: {fleet: lab, instance_id: 0d9f9b4e-6a58-4b3e-8d3a-6f9d1d1f7c02, node: db-1}
    console_lines: 20
"""
RETURN = r"""
mode:
  description: Mode in which it was read.
  returned: success
  type: str
  sample: real
machines:
  description: Machines as M(bowline.fleet.node_machine) returns one.
  returned: success
  type: list
  elements: dict
  sample: [{provider_id: nspawn://host-1/web-1, power: 'on', identity: {node: web-1}, addresses: [10.0.0.21], details: {name: web-1}}]
others:
  description: The other machines of O(fleet).
  returned: when O(identity) is given
  type: list
  elements: dict
  sample: [{provider_id: nspawn://host-1/web-2, power: 'on', identity: {node: web-2}, addresses: [], details: {name: web-2}}]
busy:
  description: Whether a run works on the machine now, so that it may come to be, or go, in the next moment.
  returned: success
  type: bool
  sample: false
console:
  description: Last lines of the console, without what a terminal would obey.
  returned: success
  type: list
  elements: str
  sample: ['web-1 login:']
host_key:
  description: >-
    The public SSH host key that the machine of O(identity) has told on its console at its last boot, as those of M(bowline.fleet.node_image) do; else
    empty. Root on the machine and on its host can write there, and nobody on the way to it.
  returned: success
  type: str
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGm4yZ0v1XyU3bQ9eD6hSdk2mF7cTz1oX0aYt5iLwq8K
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {code: libvirt_error, message: 'libvirt could not connect to qemu:///system: refused', remedy: Start libvirtd., details: {}}
"""
import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner
from ..module_utils._node.machine.argspec import MACHINE_INFO
from ..module_utils._node.machine.run import factory, info


def main() -> None:
    module = AnsibleModule(MACHINE_INFO, supports_check_mode=True)
    finish(module, lambda: info(module.params, factory(module.params, module_runner(module)), os.environ))


if __name__ == "__main__":
    main()
