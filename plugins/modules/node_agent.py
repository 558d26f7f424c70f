#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_agent
short_description: Keep the agent of a node on its machine
description:
  - Puts the agent, one file that needs Python 3.9 or newer and nothing else, to its place. The file is made from this collection, and is the
    same to the byte wherever it is made, so its digest says which collection it is from.
  - The agent has three verbs. C(heartbeat) writes C(/run/bowline/status.json), C(show) prints the same, C(digest) prints its own digest. It opens no
    connection and takes no command from anybody.
  - Role C(bowline.fleet.node_agent) runs it by a timer.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.writer]
options:
  state: {description: Whether the agent is there., type: str, choices: [present, absent], default: present}
  path:
    description: Where it is. A folder that others could write in is refused with C(unsafe_path), since root runs the file.
    type: path
    default: /usr/libexec/bowline/bowline-node.pyz
"""
EXAMPLES = r"""
- name: Put the agent to its place
  bowline.fleet.node_agent:
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{action: install, reason: 'nothing is there, not sha256:1f0c', disruptive: false}]
digest:
  description: Digest of the agent of this collection; empty with O(state=absent).
  returned: success
  type: str
  sample: sha256:e4d71fbd19543b6fcec89025b020af4e94dac83e039339419a87be5f2baf1f0f
path:
  description: O(path) without links.
  returned: success
  type: str
  sample: /usr/libexec/bowline/bowline-node.pyz
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {code: unsafe_path, message: '/opt/x: /opt lets others write.', remedy: chmod 0755 /opt, details: {}}
"""
from ansible.module_utils.basic import AnsibleModule
from ..module_utils._core.result import finish
from ..module_utils._node.agent.run import run

SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "path": {"type": "path", "default": "/usr/libexec/bowline/bowline-node.pyz"},
}


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True)
    finish(module, lambda: run(module.params, module.check_mode))


if __name__ == "__main__":
    main()
