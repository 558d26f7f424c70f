#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_enrolment
short_description: Make a machine a member of its fleet
description:
  - Pins the host key of a machine and signs a certificate for a key that was made on it. The CA, with its key, is on the controller. Role
    C(bowline.fleet.node_enrol) brings both sides together.
  - Of a request only its key is taken, when the request proves that its sender has the private one. The subject is the id of the instance, the one other
    name C(spiffe://<fleet>/instance/<id>), and the certificate begins ten minutes back.
  - A machine whose end has begun gets no certificate (C(finalizers_pending)). A host key that is not the pinned, expected or scanned one is refused with
    C(host_key_changed). Everything that is wrong comes at once, before anything is written.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.controller, bowline.fleet.store]
options:
  state:
    description:
      - V(enrolled) has the host key of the machine pinned and a certificate signed. Without O(csr) it is the question whether that would be done, and nothing
        is written.
      - V(authority) has the CA of the fleet made. One that the store knows and that is not here is never made a second time.
      - V(absent) has the pin of the node taken away.
    type: str
    choices: [authority, enrolled, absent]
    default: enrolled
  name: {description: Name of the node., type: str}
  authority:
    description:
      - Folder on the controller for the CA (C(<fleet>.pem), 0600) and the pins (C(<fleet>.known_hosts)). It is its user's alone.
      - Default is V(bowline/authority) in the user's XDG state directory.
    type: path
  addresses:
    description: Addresses and names under which ssh reaches the machine; the host key is pinned for all of them.
    type: list
    elements: str
    default: []
  port: {description: Port of its SSH server., type: int, default: 22}
  host_key: {description: "Its public host key as it shows it itself, a line like C(ssh-ed25519 AAAA…).", type: str}
  expected_host_key: {description: The same as its provider or its console told it., type: str, default: ''}
  scan:
    description: Whether the controller asks at O(addresses) with C(ssh-keyscan) as well. No answer, as behind a jump host, is told in RV(evidence).
    type: bool
    default: true
  csr: {description: Request for a certificate as PEM text. The key is one of Ed25519 or P-256., type: str, default: ''}
  certificate: {description: The certificate that the machine has; it stays until two thirds of its life are over., type: str, default: ''}
  days: {description: Life of a certificate., type: int, default: 90}
"""
EXAMPLES = r"""
- name: Make the CA, once for a fleet
  bowline.fleet.node_enrolment:
    state: authority

- name: Sign for edge-1
  bowline.fleet.node_enrolment:
    name: edge-1
    addresses: [192.0.2.17]
    host_key: "{{ edge_host_key }}"
    csr: "{{ edge_csr }}"
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{action: sign, reason: the machine has no certificate, disruptive: false}]
ca:
  description: Certificate of the CA as PEM text; empty when check mode foresees it.
  returned: O(state=enrolled) and O(state=authority)
  type: str
  sample: "-----BEGIN CERTIFICATE-----"
certificate:
  description: Certificate of the machine as PEM text; empty without O(csr).
  returned: O(state=enrolled)
  type: str
  sample: "-----BEGIN CERTIFICATE-----"
certificate_not_after:
  description: Unix seconds at which it ends; null without O(csr).
  returned: O(state=enrolled)
  type: float
  sample: 1803628800.0
identity:
  description: What the machine is told of itself, as JSON text.
  returned: O(state=enrolled)
  type: str
  sample: '{"fleet": "3f9c1a2b7d40", "instance": "6b0c1f0e-51f6-4b5a-9f0c-0d8f4a3c9f11", "node": "edge-1"}'
instance:
  description: Id of the instance that enrols.
  returned: O(state=enrolled)
  type: str
  sample: 6b0c1f0e-51f6-4b5a-9f0c-0d8f4a3c9f11
evidence:
  description: The host key, whether a scan got the same, and whether it was expected.
  returned: O(state=enrolled)
  type: dict
  sample: {host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA, scanned: true, expected: false}
failure:
  description: Code, message, remedy and details; what is wrong comes at once, as C(findings) of the details.
  returned: failure
  type: dict
  sample: {code: host_key_changed, message: The machine of edge-1 has another host key., remedy: Find out who answers there., details: {}}
"""
