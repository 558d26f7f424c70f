#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_template
short_description: Declare what nodes of one kind have in common
description:
  - A template is a row of the store. What a node leaves out comes from its template whenever it is read, so a changed template changes its nodes;
    machines that were made already stay as they are.
  - Runs on the controller, where the store is. No provider is asked.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.controller, bowline.fleet.store]
options:
  name: {description: "Name of the template: small letters, digits and hyphens.", type: str, required: true}
  state:
    description:
      - V(present), the row equals what is given; an option that is left out has its default.
      - V(absent), there is no such row. Refused with C(template_in_use) while a node is of this template.
    type: str
    choices: [present, absent]
    default: present
  platform: {description: "Family and release of the system, as the provider's images are named.", type: str, default: ''}
  architecture: {description: Architecture of the machines., type: str, choices: [amd64, arm64], default: amd64}
  image_family: {description: Family of boot images., type: str, default: ''}
  modules:
    description: Native modules that run on the nodes.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Name of the module., type: str, required: true}
      ref: {description: Where it comes from., type: str, required: true}
  hooks: {description: "What empties the nodes, in this order, before they go.", type: list, elements: str, default: []}
  defaults: {description: What a machine is made with unless the node says otherwise. No secrets., type: dict, default: {}}
  volumes: {description: Volumes that outlive machines., type: list, elements: dict, default: []}
  reason: {description: Why this is done; recorded., type: str}
"""
EXAMPLES = r"""
- name: What edge nodes have in common
  bowline.fleet.node_template:
    name: edge
    platform: debian-13
    modules: [{name: web, ref: registry.example.org/web@sha256:9f2c}]
    hooks: [docker]
    defaults: {instance_type: small, region: here}
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{action: declare, reason: no template edge is in the store, disruptive: false}]
template:
  description: The row; null when it is absent. C(revision) grows by one with each write.
  returned: success
  type: dict
  sample: {name: edge, platform: debian-13, architecture: amd64, image_family: '', modules: [], hooks: [docker], defaults: {instance_type: small},
           volumes: [], revision: 1}
failure:
  description: Code, message, remedy and details; what is wrong comes at once, as C(findings) of the details.
  returned: failure
  type: dict
  sample: {code: template_in_use, message: 'Template edge is that of edge-1. Nothing was changed.', remedy: Give them another template first., details: {}}
"""
