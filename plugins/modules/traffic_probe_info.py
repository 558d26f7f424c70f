#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_probe_info
short_description: Read what a probe measured
description: Reads the lines of a probe, running or ended, and says what they mean.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.reader]
options:
  directory:
    description: The probe's directory; one that others could write in is refused with C(unsafe_path).
    type: path
    required: true
  since:
    description: Leave out requests that were sent before this time, as unix seconds or ISO 8601.
    type: str
  old_side:
    description: Side, as the answers name it, that must not answer after O(released_at).
    type: str
  released_at:
    description: Unix time at which held requests were released.
    type: float
  series:
    description: Whether to return figures for every second too.
    type: bool
    default: false
seealso:
  - module: bowline.fleet.traffic_probe
"""
EXAMPLES = r"""
- name: See what clients noticed of a switch
  bowline.fleet.traffic_probe_info:
    directory: /var/lib/bowline/hub-probe
    old_side: legacy
    released_at: 1790000000.25
    series: true
  register: measured

- name: Refuse to go on without a measurement
  ansible.builtin.assert:
    that: [measured.probe.alive, measured.probe.failed == 0]
"""
RETURN = r"""
probe:
  description: What the probe measured.
  returned: success
  type: dict
  contains:
    alive: {description: Whether the process runs and wrote a line less than 2 s ago., returned: success, type: bool}
    silence: {description: Seconds since the last line; None without lines., returned: success, type: float}
    lines: {description: Path of the lines., returned: success, type: str}
    requests: {description: Number of requests., returned: success, type: int}
    failed: {description: 'Requests without an answer, or with a status that was not expected.', returned: success, type: int}
    again: {description: Requests that were sent again on a new connection because an idle one had been closed., returned: success, type: int}
    failures: {description: The last failed requests., returned: success, type: list, elements: dict}
    p50_ms: {description: Median latency of successful requests., returned: success, type: float}
    p99_ms: {description: 99th percentile of it., returned: success, type: float}
    max_ms: {description: Longest of it., returned: success, type: float}
    gaps: {description: 'Times over 100 ms without a success, per worker, longest first.', returned: success, type: list, elements: dict}
    longest_write_gap_ms: {description: Longest time between two successful answers to a writer., returned: success, type: float}
    workers: {description: 'Per worker requests, failed, max_ms and time of the last success.', returned: success, type: dict}
    sides: {description: 'Per side number, first and last time of successful answers.', returned: success, type: dict}
    seconds_to_side: {description: 'Per side, seconds from O(since) to its first successful answer.', returned: when O(since) is given, type: dict}
    served_by_old_after_release:
      description: Answers of O(old_side) that arrived after O(released_at). Null, not measured, when no answer has the header that names the side.
      returned: when both options are given
      type: int
    series:
      description: 'Per second with an answer: t, ok, failed, max_ms, sides.'
      returned: when O(series=true)
      type: list
      elements: dict
  sample:
    alive: true
    silence: 0.1
    lines: /var/lib/probe/lines.jsonl
    requests: 10999
    failed: 0
    again: 0
    failures: []
    p50_ms: 11.2
    p99_ms: 63.0
    max_ms: 857.2
    gaps:
    - {worker: writer, from: 1795834323.45, to: 1795834324.24, ms: 797.9}
    longest_write_gap_ms: 797.9
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {"code": "option_invalid", "message": "since: 'noon' is no unix time and no ISO 8601 time.", "remedy": "Give one of both.", "details": {}}
"""
from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.result import finish
from ..module_utils._traffic.argspec import PROBE_INFO
from ..module_utils._traffic.probe import run_probe_info


def main() -> None:
    module = AnsibleModule(PROBE_INFO, supports_check_mode=True)
    finish(module, lambda: run_probe_info(module.params))


if __name__ == "__main__":
    main()
