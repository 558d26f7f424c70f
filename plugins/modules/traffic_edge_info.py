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
version_added: 0.9.0
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
  proxy:
    description:
      - The reverse proxy that the edge is, or is to be, put behind, as O(bowline.fleet.traffic_edge#module:proxy). Everything that stands against it
        is in RV(findings), and nothing is changed. Commands of it that only tell (C(nginx -T), O(proxy.check)) are run.
    type: dict
    suboptions:
      driver: {description: Kind of proxy., type: str, choices: [nginx, caddy, traefik, traefik_labels, haproxy, command], default: nginx}
      config: {description: File on this host that is changed., type: path}
      upstreams:
        description: What becomes which service of the edge.
        type: list
        elements: dict
        suboptions:
          name: {description: What the proxy calls the application., type: str, required: true}
          service: {description: Name of the service of the edge., type: str, required: true}
          via: {description: The listener of the edge as the proxy sees it., type: str, required: true}
      check: {description: Command that checks the proxy's configuration., type: list, elements: str}
      reload: {description: Command that makes the proxy take it., type: list, elements: str}
      insert: {description: Command that puts the edge in., type: list, elements: str}
      remove: {description: Command that takes the edge out., type: list, elements: str}
      container: {description: Container of the edge., type: str}
      timeout: {description: Seconds that the proxy waits for an answer., type: float}
      door:
        description: Where the proxy answers its clients. With a hostname it is asked, unless O(proxy_planned); no answer is a finding.
        type: dict
        suboptions:
          address: {description: Address or name to connect to., type: str, default: 127.0.0.1}
          port: {description: Port to connect to., type: int, default: 443}
          hostname: {description: Name for SNI and Host., type: str}
          path: {description: Path that the proxy sends to the application., type: str}
          tls: {description: Whether the proxy speaks TLS there., type: bool, default: true}
  proxy_planned:
    description: Whether something before the insertion is to bring O(proxy.config), so that a file that is not there yet is no finding.
    type: bool
    default: false
  hold_max:
    description: Seconds that requests are to be held at most; longer than the patience of the proxy is a finding.
    type: float
  subject:
    description: Name of the stack that the edge belongs to; the edge of another one in O(directory) is a finding.
    type: str
  process:
    description: What is to run the process; a container or unit of that name that runs something else is a finding.
    type: dict
    suboptions:
      container: {description: Name of a container of the local Docker engine., type: str}
      unit: {description: 'Name of a systemd unit, without C(.service).', type: str}
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
  sample:
    side: legacy
    directory: /var/lib/bowline/edge-hub
    running: true
    route: local
    serves: legacy
    epoch: 1795834141436
    hold: 0.0
    in_step: true
    in_flight: 0
    upgraded: 0
    old_workers: 0
    inserted: true
    start: [haproxy, -W, -db, -S, '/var/lib/bowline/edge-hub/run/master.sock,mode,600', -f, /var/lib/bowline/edge-hub/haproxy.cfg]
reach:
  description: For C(legacy) and C(new) C(ok) (the request was answered with 200), C(status), C(ms), C(error). Empty unless asked for.
  returned: success
  type: dict
  sample: {"legacy": {"ok": true, "status": 200, "ms": 7, "error": ""}, "new": {"ok": true, "status": 200, "ms": 12, "error": ""}}
findings:
  description: >-
    What stands against an insertion (C(level) V(fail)) or should be known of it (V(warn)), each with C(code), C(level), C(field), C(object),
    C(message) and C(remedy).
  returned: success
  type: list
  elements: dict
  sample: []
proxy_timeout:
  description: Seconds that the proxy waits for an answer of what is behind it, None for no limit or when it does not tell. A hold has to be shorter.
  returned: success
  type: float
  sample: 60.0
labels:
  description: Labels that the container of the edge needs for O(proxy); empty for every driver but V(traefik_labels).
  returned: success
  type: dict
  sample: {"traefik.enable": "true", "traefik.http.routers.hub-edge.rule": "Host(`hub.example.org`)"}
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample:
    code: edge_state_unreadable
    message: /var/lib/bowline/edge-hub/edge.json is no JSON.
    remedy: Take the edge out and run again.
    details: {}
"""
from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner
from ..module_utils._traffic.argspec import EDGE_INFO
from ..module_utils._traffic.run import run_edge_info


def main() -> None:
    module = AnsibleModule(EDGE_INFO, supports_check_mode=True)
    asked = module.params
    run = module_runner(module)
    wanted = [asked[name] for name in ("directory", "reach", "proxy")]
    finish(module, lambda: run_edge_info(*wanted, run, asked["proxy_planned"], asked["hold_max"], asked))


if __name__ == "__main__":
    main()
