#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_provider_info
short_description: Providers of machines, with their verbs, regions and types
description:
  - Answered from data; no host is asked. Types of local machines are data too, and more of them can be given in O(provider_options).
  - A provider, region or type that is not there is refused with the nearest name, so a task with all three says whether a node can be made there.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.reader]
attributes:
  action: {description: Has a corresponding action plugin; runs on the controller., support: full}
options:
  provider:
    description: >-
      V(local_qemu), V(local_nspawn), V(static), or C(role:<namespace>.<collection>.<role>); all but roles without it.
    type: str
  provider_options: {description: Options of the provider; C(types) adds types of local machines., type: dict, default: {}}
  region: {description: A region that has to be there., type: str}
  instance_type: {description: A type that has to be there., type: str}
"""
EXAMPLES = r"""
- name: What there is
  bowline.fleet.node_provider_info:

- name: Whether this type can be had
  bowline.fleet.node_provider_info:
    provider: local_qemu
    provider_options:
      types: {build: {vcpus: 8, memory_mib: 16384, disk_gib: 100}}
    instance_type: build
"""
RETURN = r"""
providers:
  description: Each provider with its verbs, where the identity of its machines stands, its regions and its types.
  returned: success
  type: list
  elements: dict
  sample:
    - name: local_qemu
      verbs: [validate, read, create, power, destroy, list, console_tail]
      identity: UUID and metadata of the domain
      regions: [local]
      types: [{name: small, vcpus: 1, memory_mib: 1024, disk_gib: 8}]
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {code: provider_unknown, message: "instance_type: 'smal' is not there. Did you mean small?", remedy: Correct the name., details: {}}
"""
