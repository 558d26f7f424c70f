#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_image
short_description: Image of a Debian for machines of libvirt or systemd-nspawn, built once for the same inputs
description:
  - Runs on the hypervisor, as root. C(mmdebstrap) makes the root file system; for V(local_qemu) a disk (qcow2), the kernel and its initial RAM disk are
    made of it. Needs C(mmdebstrap), and C(e2fsprogs) and C(qemu-utils) for V(local_qemu).
  - A build is found again by the hash of its inputs. Digests of its files stand beside them, and are compared before anything is published.
  - Nothing in an image is of one machine. Machine id and SSH host keys are made by each machine at its first boot.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.writer]
options:
  name: {description: Name of the image., type: str, required: true}
  kind: {description: What the machines are., type: str, required: true, choices: [local_qemu, local_nspawn]}
  state:
    description:
      - V(built) has a build with these inputs. V(published) lets the name stand for it, after its digests were compared. V(absent) has neither; a build that
        machines are made of is not removed.
    type: str
    choices: [built, published, absent]
    default: published
  release: {description: Release of Debian., type: str, default: bookworm}
  packages:
    description: Packages beside those that a machine needs, which are systemd, an SSH server, Python, and a kernel for qemu.
    type: list
    elements: str
    default: []
  mirror: {description: Mirror of Debian., type: str, default: 'http://deb.debian.org/debian'}
  security_mirror: {description: Mirror of Debian's security updates., type: str, default: 'http://deb.debian.org/debian-security'}
  size_gib: {description: Size of the file system of a qemu disk in GiB., type: int, default: 2}
  image_base: {description: Where images lie on the host; E(POWERNODE_IMAGE_BASE) and then C(/var/lib/bowline/images) without it., type: path}
  machines_folder:
    description: Where O(ignore:folder) of M(bowline.fleet.node_machine) is, to see which machines need an image.
    type: path
    default: /var/lib/bowline/machines
"""
EXAMPLES = r"""
- name: A root file system for containers
  bowline.fleet.node_image: {name: debian-12, kind: local_nspawn, packages: [curl]}
  register: image

- name: A machine of it
  bowline.fleet.node_machine:
    kind: local_nspawn
    identity: {fleet: lab, instance_id: 6f1c0c44-6c7c-4d3c-9f5e-0a3f3f2f9b11, node: web-1}
    spec: {image: '{{ image.image.image }}'}
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{action: build, reason: no build has the inputs 1f6b0d5e8c1a2b3c, disruptive: false}]
image:
  description: The build with these inputs, and where its files are; null while there is none.
  returned: success
  type: dict
  sample:
    name: debian-12
    kind: local_nspawn
    ref: debian-12@sha256:4c5f
    sha256: 4c5f
    key: 1f6b0d5e8c1a2b3c
    image: /var/lib/bowline/images/debian-12/1f6b0d5e8c1a2b3c/rootfs
    files: {rootfs: 4c5f}
    published: true
evidence:
  description: The hash of the inputs, and where images lie.
  returned: success
  type: dict
  sample: {key: 1f6b0d5e8c1a2b3c, image_base: /var/lib/bowline/images}
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {code: image_in_use, message: 'debian-12: machines are made of it: web-1. Nothing was removed.', remedy: Remove these machines first., details: {}}
"""
import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner
from ..module_utils._node.image.argspec import IMAGE
from ..module_utils._node.image.run import run


def main() -> None:
    module = AnsibleModule(IMAGE, supports_check_mode=True)
    finish(module, lambda: run(module.params, module_runner(module), os.environ, module.check_mode))


if __name__ == "__main__":
    main()
