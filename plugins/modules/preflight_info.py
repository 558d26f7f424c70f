#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_info
short_description: Judge the variables of a move, and say what each host is to be asked
description:
  - Resolves every variable of the roles of a move as the role itself will see it, with the defaults of that role. One that is missing, misspelt,
    of another type, or that names a file which is not there, is a finding with its field; none stops the others from being looked at.
  - From the values it makes the checks for M(bowline.fleet.gate) on each host. What an earlier step of the run makes is not asked for.
  - Reaches no host and changes nothing. The values themselves are not returned, since secrets are among them.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.reader]
attributes:
  action: {description: Has a corresponding action plugin; runs on the controller., support: full}
options:
  roles:
    description: Roles of this collection whose argument specs and defaults say which variables exist.
    type: list
    elements: str
    required: true
  parts:
    description: Parts of RV(ready) that the run takes. What a role of another part needs may be missing.
    type: list
    elements: str
    choices: [databases, edges, names, probe, snapshot]
    default: [databases, edges, names, probe, snapshot]
"""
EXAMPLES = r"""
- name: See what would stop a move before any host is asked
  bowline.fleet.preflight_info:
    roles: [cutover_preflight, native_stack, edge, dns, pg_link, pg_move]
  register: inputs
"""
RETURN = r"""
findings:
  description: What the controller alone can tell, each with C(code), C(level), C(field), C(object), C(message) and C(remedy).
  returned: success
  type: list
  elements: dict
  sample:
    - code: file_missing
      level: fail
      field: native_stack_secrets.database_password
      object: ""
      message: secrets/database is not on this machine, or cannot be read here.
      remedy: Put the file there, or correct native_stack_secrets.database_password.
hosts:
  description: Hosts of the inventory that are to be asked.
  returned: success
  type: list
  elements: str
  sample: [hub-old, hub-new]
checks:
  description: Checks for M(bowline.fleet.gate), by host.
  returned: success
  type: dict
  sample: {hub-new: [{name: 3 ansible_become of hub-new, type: root}]}
asked:
  description: By host and name of a check C(code), C(field), C(remedy) and C(level) of the finding that it is when it fails.
  returned: success
  type: dict
  sample: {hub-new: {3 ansible_become of hub-new: {code: privileges, field: ansible_become of hub-new, level: fail}}}
containers:
  description: The C(host) of the old stack, empty when the inventory has none, and the C(names) of the containers that must run there.
  returned: success
  type: dict
  sample: {host: hub-old, names: [hub-postgres-1]}
ready:
  description: Whether the variables of C(databases), C(edges), C(names), C(probe) and C(snapshot) could all be resolved.
  returned: success
  type: dict
  sample: {databases: true, edges: true, names: true, probe: true, snapshot: true}
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {code: invalid_value, message: 'roles: edgee is no role of this collection.', remedy: Correct the name., details: {}}
"""
