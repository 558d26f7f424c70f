#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_cutover_follow
short_description: Wait until a detached switch serves, or has ended
description:
  - Looks at a job that M(bowline.fleet.pg_cutover) runs in with C(async), and at both catalogs, until O(state) serves or the job has ended.
    The comparison of all rows may go on when it returns.
  - Fails as the job fails, with its code. A host that does not answer for a moment is asked again.
  - The role P(bowline.fleet.pg_move#role) uses it. It must run on the host on which the job was started, as the same user.
author: The bowline contributors (@bowline)
version_added: 0.9.0
attributes:
  check_mode: {description: Only reads., support: full}
  diff_mode: {description: Nothing is changed., support: N/A}
  platform: {description: Families of operating systems that it works on., support: full, platforms: posix}
  action: {description: 'Has a corresponding action plugin, which runs modules on the host.', support: full}
options:
  job: {description: Its C(ansible_job_id)., type: str, required: true}
  state: {description: Side that the job makes serve., type: str, required: true, choices: [legacy, new]}
  legacy: {description: 'Connection to the old server, see M(bowline.fleet.pg_cutover).', type: dict, required: true}
  new: {description: 'Connection to the new server, see M(bowline.fleet.pg_cutover).', type: dict, required: true}
  timeout: {description: Longest time to wait in seconds. The job has deadlines of its own., type: float, default: 90000}
  interval: {description: Seconds from one look to the next., type: float, default: 1}
  lost_after:
    description: Seconds in which no process may work on the pair before a job without a result counts as dead. Longer than the longest window.
    type: float
    default: 300
  unreachable_for: {description: Seconds in which the host need not answer., type: float, default: 60}
seealso:
  - module: bowline.fleet.pg_cutover
  - module: bowline.fleet.pg_cutover_info
"""
EXAMPLES = r"""
- name: Wait until the new side serves
  bowline.fleet.pg_cutover_follow:
    job: "{{ switch_job.ansible_job_id }}"
    state: new
    legacy: "{{ hub_legacy }}"
    new: "{{ hub_new }}"
  delegate_to: hub-old
  register: switched
"""
RETURN = r"""
finished:
  description: Whether the job has ended.
  returned: success
  type: bool
  sample: false
serving:
  description: Side that takes writes now.
  returned: success
  type: str
  sample: "new"
phase:
  description: Phase of the pair, see M(bowline.fleet.pg_cutover).
  returned: success
  type: str
  sample: "switched_cleanup"
since:
  description: Unix seconds since which O(state) serves; null as long as the job has not told it.
  returned: success
  type: float
  sample: 1795834323.79
at:
  description: Unix seconds at which this was seen.
  returned: success
  type: float
  sample: 1795834324.02
failure:
  description: Code, message, remedy and details, of the job when it failed.
  returned: failure
  type: dict
  sample:
    code: job_lost
    message: The job that switches to new has no result, and for 300 s no process works on the pair; serving is legacy.
    remedy: Run the same playbook again; it reads both catalogs and goes on from there.
    details: {serving: legacy}
"""
