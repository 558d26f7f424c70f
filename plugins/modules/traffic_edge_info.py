#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_edge_info
short_description: Read what an edge does now
description: Reads route, hold and counters of an edge, from its files and its running process, and can try both sides through it.
author: The bowline contributors (@bowline)
version_added: 1.0.0
extends_documentation_fragment: [bowline.fleet.attributes.reader]
options:
  directory:
    description: The edge's directory.
    type: path
    required: true
  reach:
    description: Whether to send one warm-up request to each side through the running edge, past hold and route, with TLS verified.
    type: bool
    default: false
  proxy_config:
    description:
      - Configuration of the reverse proxy that the edge is, or is to be, put behind. It is looked through for rules that judge the address of a client
        and would take the host of the other edge for it. A file that does not exist yet has none.
    type: path
seealso:
  - module: bowline.fleet.traffic_edge
"""
EXAMPLES = r"""
- name: See whether the other side can be reached before a switch
  bowline.fleet.traffic_edge_info:
    directory: /var/lib/bowline/edge
    reach: true
  register: edge_info
"""
RETURN = r"""
edge:
  description: As returned by M(bowline.fleet.traffic_edge); None when the directory has no edge.
  returned: success
  type: dict
reach:
  description: For C(legacy) and C(new) C(ok) (the request was answered with 200), C(status), C(ms), C(error). Empty unless asked for.
  returned: success
  type: dict
findings:
  description: What O(proxy_config) should be changed for, each with C(code), C(level), C(object), C(message), C(remedy).
  returned: success
  type: list
  elements: dict
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
"""
from ansible.module_utils.basic import AnsibleModule
from ..module_utils._core.result import finish
from ..module_utils._traffic.argspec import EDGE_INFO
from ..module_utils._traffic.run import run_edge_info


def main() -> None:
    module = AnsibleModule(EDGE_INFO, supports_check_mode=True)
    finish(module, lambda: run_edge_info(module.params["directory"], module.params["reach"], module.params["proxy_config"]))


if __name__ == "__main__":
    main()
