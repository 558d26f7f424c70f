#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_machine
short_description: One machine of libvirt or systemd-nspawn, known by its identity and never made twice
description:
  - Runs on the hypervisor. The identity is written with the machine in the call that makes it, as metadata of the domain or as a file in its folder,
    and is read back before anything is done to it.
  - A machine of somebody else that has the name is never touched (C(name_clash)); one that carries another identity is neither changed nor destroyed
    (C(identity_mismatch)). What is already gone is as it shall be.
  - A run that was killed is continued by the same command.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.writer, bowline.fleet.node.host]
options:
  state:
    description:
      - V(present) exists, whatever its power. V(running) is on. V(stopped) is off; disk and identity are kept. A machine that is not there is made
        for all three.
      - V(absent) is gone, with its disk, its console and its credentials. Its power is taken away without asking the guest.
    type: str
    choices: [present, running, stopped, absent]
    default: running
  identity:
    description: Whose machine it is.
    type: dict
    required: true
    suboptions:
      fleet: {description: Name of the fleet., type: str, required: true}
      instance_id: {description: UUID of the instance; the UUID of the domain too., type: str, required: true}
      node: {description: Name of the node., type: str, required: true}
      name: {description: Name of the machine at its provider; default is that of the node., type: str}
      spec_hash: {description: 'What is written as the hash of the declared attributes, C(v1:) and 64 digits; default is made from O(spec).', type: str}
      generation: {description: 'Which machine of the node it is, from 1.', type: int, default: 1}
  spec:
    description:
      - Declared attributes. V(image), V(disk_gib) and V(volatile) cannot change on a machine that exists; the others take effect at its next start.
      - What the kind does not use is not looked at.
      - Without it a machine that is there stays as it is, and O(state) is about its power alone; one that is not there cannot be made.
    type: dict
    suboptions:
      image:
        description: >-
          For V(local_nspawn) a folder with a root file system, or a tar of one; it is copied, sharing what the file system can share. For V(local_qemu) a
          qcow2, which the disk of the machine is an overlay of.
        type: path
      kernel: {description: Kernel to boot directly (qemu)., type: path}
      initrd: {description: Initial RAM disk for O(spec.kernel)., type: path}
      cmdline: {description: Command line for O(spec.kernel); C(console=ttyS0) makes the console readable., type: str}
      memory_mib: {description: Memory in MiB (qemu)., type: int, default: 1024}
      vcpus: {description: Processors (qemu)., type: int, default: 1}
      disk_gib: {description: Size of the disk in GiB (qemu)., type: int, default: 8}
      network: {description: Network of libvirt (qemu) or bridge (nspawn); without one the machine has none., type: str}
      address: {description: Address with prefix for the interface C(host0) of an nspawn machine whose guest runs systemd-networkd., type: str}
      gateway: {description: Gateway beside O(spec.address)., type: str}
      volatile: {description: Run on O(spec.image) itself and forget what was written when the machine stops (nspawn)., type: bool, default: false}
      image_sha256:
        description: >-
          Digest that O(spec.image) has to have when a machine is made, as M(bowline.fleet.node_image) returns it; for an image from elsewhere that of
          C(sha256sum). Without it the image has to be published.
        type: str
      accept_unpublished: {description: Whether an image that is neither published nor named by its digest is taken as it is., type: bool, default: false}
      credentials:
        description:
          - System credentials for the guest, as a dictionary of files on the host (mode 0600) by name. Their values are copied from file to file and stand in
            no argument, no XML and no result.
          - They are given to a machine that is made, and to no other. The word V(absent) takes them away, which is for after the enrolment; a guest that
            runs has what it has read until its next start.
        type: raw
  accel:
    description: >-
      Processor of a qemu machine. V(auto) takes KVM where libvirt says that it is there, and TCG when the machine does not start with it or says nothing on
      its console for 60 seconds.
    type: str
    choices: [auto, kvm, tcg]
    default: auto
  launcher:
    description: >-
      What runs an nspawn machine. V(machined) is a transient unit, known to C(machinectl); V(plain) is a process that outlives the module; V(auto) takes the
      first one where systemd is the init of the host.
    type: str
    choices: [auto, machined, plain]
    default: auto
  wait_timeout: {description: Seconds for a guest to power off., type: float, default: 120}
  force: {description: Whether a guest that has not powered off by then loses its power., type: bool, default: false}
"""
EXAMPLES = r"""
- name: A container with systemd, reachable by SSH
  bowline.fleet.node_machine:
    kind: local_nspawn
    identity: {fleet: lab, instance_id: 6f1c0c44-6c7c-4d3c-9f5e-0a3f3f2f9b11, node: web-1}
    spec:
      image: /var/lib/bowline/images/debian-12
      network: br0
      address: 10.0.0.21/24
      credentials: {ssh.authorized_keys.root: /root/bowline/web-1.pub}

- name: A guest of qemu
  bowline.fleet.node_machine:
    kind: local_qemu
    identity: {fleet: lab, instance_id: 0d9f9b4e-6a58-4b3e-8d3a-6f9d1d1f7c02, node: db-1}
    spec: {image: /var/lib/bowline/images/debian-13.qcow2, memory_mib: 2048, vcpus: 2, disk_gib: 20, network: default}
  vars: {ansible_python_interpreter: /usr/bin/python3}

- name: Nothing is left of it
  bowline.fleet.node_machine:
    kind: local_qemu
    state: absent
    identity: {fleet: lab, instance_id: 0d9f9b4e-6a58-4b3e-8d3a-6f9d1d1f7c02, node: db-1}
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample:
    - {action: prepare, reason: web-1 has no files yet, disruptive: false}
    - {action: define, reason: no machine has the id 6f1c0c44-6c7c-4d3c-9f5e-0a3f3f2f9b11, disruptive: false}
    - {action: start, reason: web-1 is off, disruptive: false}
machine:
  description: The machine after the run (predicted in check mode); null when it is gone.
  returned: success
  type: dict
  sample:
    provider_id: nspawn://host-1/web-1
    power: 'on'
    identity: {fleet: lab, instance_id: 6f1c0c44-6c7c-4d3c-9f5e-0a3f3f2f9b11, node: web-1, name: web-1, spec_hash: 'v1:0c5a', generation: 1}
    addresses: [10.0.0.21]
    address_source: namespace
    created_at: 1795862813.69
    details: {name: web-1, declared: {image: /var/lib/bowline/images/debian-12}, credentials: true}
evidence:
  description: The mode, and what the host was asked, in order.
  returned: success
  type: dict
  sample: {mode: real, calls: [read, prepare, define, start, read]}
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {code: name_clash, message: libvirt://host-1/web-1 has the name web-1 and no identity of ours., remedy: Give the node another name., details: {}}
"""
import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner
from ..module_utils._node.machine.argspec import MACHINE
from ..module_utils._node.machine.run import factory, run


def main() -> None:
    module = AnsibleModule(MACHINE, supports_check_mode=True)
    finish(module, lambda: run(module.params, factory(module.params, module_runner(module)), os.environ, module.check_mode))


if __name__ == "__main__":
    main()
