#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_probe
short_description: Measure from outside whether a service answers, for as long as something is done to it
description:
  - Starts a process of its own that sends requests at a fixed rate and writes one JSON line for each, or stops it. It outlives the
    playbook, even one that is killed, and ends by itself after O(max_seconds) or when O(directory) is removed.
  - Each worker keeps connections open as browsers do. One with an address stays with it; one without follows the name in O(url).
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.writer]
options:
  state:
    description:
      - Whether the probe runs. One that runs with the same options is left alone, one with other options is started anew.
      - V(tried) starts none. It sends the first request of each worker and returns RV(findings) for those that fail. In check mode a worker that may
        write only connects.
    type: str
    choices: [tried, started, stopped]
    default: started
  directory:
    description:
      - Where configuration and lines of the probe are. It is made with mode 0700. One that others may read, write or swap is refused with
        C(unsafe_path), since what is measured there is the evidence of a run.
    type: path
    required: true
  url:
    description: Scheme, name and port of the service. Whatever the address, the name is Host and SNI. Required with O(state=started) and O(state=tried).
    type: str
  ca_file:
    description: CA certificates that the service is verified with; without it the system's.
    type: path
  resolvers:
    description: Name servers to ask in order, as V(address:port). Without any the system's resolver is asked, which hides the TTL.
    type: list
    elements: str
  side_header:
    description: Header of an answer that names the side.
    type: str
    default: X-Served-By
  timeout:
    description: Seconds after which a request counts as failed. Longer than the longest hold.
    type: float
    default: 35
  max_seconds:
    description: The probe ends by itself after so many seconds.
    type: float
    default: 3600
  workers:
    description: Streams of requests. Required with O(state=started) and O(state=tried).
    type: list
    elements: dict
    suboptions:
      name: {description: Name of the worker in lines and results., type: str, required: true}
      address: {description: Address to stay with. Without it the name is followed., type: str}
      method:
        description: HTTP method. Anything but V(GET) and V(HEAD) is a writer, whose gaps are told apart.
        type: str
        choices: [GET, HEAD, POST, PUT, PATCH]
        default: GET
      path:
        description: Path; C({key}) becomes the request's own key.
        type: str
        default: /up
      body:
        description: Body, as text or as data that becomes JSON; C({key}) becomes the request's own key, which makes it repeatable.
        type: raw
      headers: {description: 'More headers; C({key}) is replaced here too.', type: dict}
      expect_status: {description: Status codes that count as success., type: list, elements: int, default: [200, 201]}
      rate: {description: Requests per second., type: float, default: 20}
      concurrency: {description: Requests that may wait for an answer at the same time., type: int, default: 8}
seealso:
  - module: bowline.fleet.traffic_probe_info
"""
EXAMPLES = r"""
- name: Measure through a cutover
  bowline.fleet.traffic_probe:
    directory: /var/lib/bowline/hub-probe
    url: https://hub.example.com
    resolvers: ["192.0.2.53:53"]
    workers:
      - {name: legacy, address: 192.0.2.10}
      - {name: dns}
      - {name: writer, method: POST, path: /ledger, body: {key: "{key}", amount: 1}}

- name: End the measurement
  bowline.fleet.traffic_probe:
    state: stopped
    directory: /var/lib/bowline/hub-probe
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{"action": "start", "reason": "no probe runs", "disruptive": false}]
findings:
  description: With O(state=tried), each failed first request with C(code), C(level), C(field), C(object), C(message) and C(remedy).
  returned: O(state=tried)
  type: list
  elements: dict
  sample: []
probe:
  description: C(directory), C(lines) (path of the lines) and C(alive).
  returned: success
  type: dict
  sample: {"alive": true, "silence": 0.1, "lines": "/var/lib/probe/lines.jsonl"}
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {"code": "probe_failed", "message": "The probe did not write a line in 10 s.", "remedy": "Look at the last lines of its log.", "details": {}}
"""
from ..module_utils._core.module import FleetModule
from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner
from ..module_utils._traffic.argspec import PROBE
from ..module_utils._traffic.probe import run_probe


def main() -> None:
    required = [("state", "started", ["url", "workers"]), ("state", "tried", ["url", "workers"])]
    module = FleetModule(PROBE, required_if=required, supports_check_mode=True)
    finish(module, lambda: run_probe(module.params, module_runner(module), module.check_mode))


if __name__ == "__main__":
    main()
