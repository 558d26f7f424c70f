#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: operation
short_description: Lock the subjects of a run and journal its steps
description:
  - An operation is one run of a playbook on its subjects. It holds a lease on each of them, so that two runs never interleave, and records
    every step with its times, its evidence and what is needed to go back.
  - The journal never decides whether a step is done; every step looks at the world itself.
  - A run that was killed leaves its lease behind. The next run on the same machine sees that the process is gone and takes over at once; a run
    on another machine takes over when the lease has expired. A process that is seen to live keeps its lease.
  - Never reports RV(ignore:changed), because the journal is no part of the world that a play changes.
  - Playbooks use the role P(bowline.fleet.operation#role), which calls this module.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.controller, bowline.fleet.store]
options:
  state:
    description:
      - V(opened) takes the leases and begins. The same process asking again for the same kind and subjects gets the operation that it has.
      - V(step) records O(status) of O(step) on this host and renews the leases. With O(status=failed) the task itself fails with the failure given.
      - V(closed) records O(outcome) and releases the leases. An operation that is closed stays as it is.
      - V(refused) fails with O(code) and all O(findings) of level fail; nothing is recorded.
    type: str
    required: true
    choices: [opened, step, closed, refused]
  journal:
    description: What the task before returned. Required for O(state=step) and O(state=closed).
    type: dict
  kind: {description: What the run does. Durations are compared within a kind. Required for O(state=opened)., type: str}
  subjects: {description: What nobody else may work on meanwhile. Required for O(state=opened)., type: list, elements: str}
  steps:
    description: The steps that the run may come to, in their order.
    type: list
    elements: dict
    default: []
    suboptions:
      id: &id {description: Short and stable., type: str, required: true}
      name: &name {description: What a reader sees., type: str}
      wanted: {description: Whether it is part of this run. One that is not is left out of the plan., type: bool, default: true}
  lease_ttl: {description: Seconds after which a run that gives no sign of life may be taken over from another machine., type: float, default: 900}
  take_over:
    description:
      - Id of an operation whose process is dead, which somebody has seen where it ran. Its lease is taken at once although that process cannot be
        seen from here (another machine, a container). One that is seen to live keeps its lease.
    type: str
  reason: {description: Why this is done; recorded., type: str}
  vcs_ref: {description: Revision of the inventory; recorded., type: str}
  parameters: {description: What the run was asked for; recorded., type: dict, default: {}}
  step:
    description: The step. One that was not planned is appended. Required for O(state=step).
    type: dict
    suboptions: {id: *id, name: *name}
  status:
    description:
      - What happened to the step on this host. V(reported) adds O(reports) to a step that runs. Over all hosts, changed is the or of all, the
        time runs from the first start to the last end, and the worst status counts.
    type: str
    choices: [started, reported, done, failed, skipped]
  reports:
    description:
      - What roles said, as C({role, report}) with C(report) being C({changed, evidence, bookmark}).
      - A role without a report fails with code C(evidence_missing).
    type: list
    elements: dict
    default: []
  failed_task: {description: Name of the task that failed., type: str}
  failed_result: {description: Its result., type: dict}
  outcome: {description: How the operation ended. Required for O(state=closed)., type: str, choices: [succeeded, failed, rolled_back]}
  result: {description: The result document; recorded., type: dict, default: {}}
  code: {description: Code to fail with. Required for O(state=refused)., type: str}
  findings:
    description: Findings with code, field, message, remedy and level (fail or warn). Required for O(state=refused).
    type: list
    elements: dict
    default: []
"""
EXAMPLES = r"""
- name: Open
  bowline.fleet.operation:
    state: opened
    kind: cutover
    subjects: [cutover/hub-1]
    steps: [{id: C1, name: Preflight}, {id: C6, name: Seed}]
  register: journal

- name: Start a step
  bowline.fleet.operation:
    state: step
    step: {id: C1}
    status: started
    journal: "{{ journal }}"
  register: journal

- name: Finish it
  bowline.fleet.operation:
    state: step
    step: {id: C1}
    status: done
    reports:
      - role: cutover_preflight
        report: {changed: false, evidence: {findings: []}}
    journal: "{{ journal }}"
  register: journal

- name: Close
  bowline.fleet.operation:
    state: closed
    outcome: succeeded
    journal: "{{ journal }}"
"""
RETURN = r"""
operation:
  description: The operation. In check mode its id is V(check) and it exists in the play only.
  returned: for opened, step and closed
  type: dict
  contains:
    id: {description: Its id., type: str, returned: always}
    kind: {description: Its kind., type: str, returned: always}
    subjects: {description: Its subjects., type: list, elements: str, returned: always}
    lease_numbers: {description: Number of the lease by subject; it grows with every holder., type: dict, returned: always}
    started_at: {description: Start in UTC., type: str, returned: always}
    ended_at: {description: End in UTC., type: str, returned: always}
    outcome: {description: 'How it ended: succeeded, failed, rolled_back, or abandoned when another run took over.', type: str, returned: always}
    takeover: {description: Whether a dead run was taken over., type: bool, returned: after opening}
    previous: {description: The run that was taken over and the last step it came to., type: dict, returned: after opening}
  sample:
    id: 20261128T024952Z-3b33cf
    kind: cutover
    subjects: [cutover/hub]
    lease_numbers: {cutover/hub: 3}
    started_at: '2026-11-28T02:49:52.013Z'
    ended_at: null
    outcome: null
    takeover: false
    previous: null
steps:
  description: All steps so far, planned ones included. In check mode each host knows those that it went through itself.
  returned: for opened, step and closed
  type: list
  elements: dict
  contains:
    id: {description: Its id., type: str, returned: always}
    name: {description: Its name., type: str, returned: always}
    position: {description: Its place., type: int, returned: always}
    status: {description: 'planned, started, done, failed or skipped.', type: str, returned: always}
    changed: {description: Whether it changed anything on any host., type: bool, returned: always}
    seconds: {description: How long it took., type: float, returned: always}
    expected_seconds: {description: Median of earlier successful runs that changed something., type: float, returned: always}
    evidence: {description: 'What its roles saw, by host and role.', type: dict, returned: always}
    bookmark: {description: 'What is needed to go back, by host and role.', type: dict, returned: always}
    failure: {description: 'Code, message, remedy and details of what failed.', type: dict, returned: always}
  sample:
    - id: C6
      name: Seed
      position: 6
      status: done
      changed: true
      seconds: 13.347
      expected_seconds: 12.9
      evidence:
        localhost:
          pg_move: {phase: seeded, serving: legacy}
      bookmark:
        localhost:
          pg_move: {phase: empty}
      failure: null
step:
  description: The step as it is now.
  returned: for step
  type: dict
  sample:
    id: C6
    name: Seed
    position: 6
    status: done
    changed: true
    seconds: 13.347
    expected_seconds: 12.9
    evidence:
      localhost:
        pg_move: {phase: seeded, serving: legacy}
    bookmark:
      localhost:
        pg_move: {phase: empty}
    failure: null
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample:
    code: locked
    message: cutover/hub is held by root (pid 4711 on controller) since 12 s (operation 20261128T024952Z-3b33cf, cutover, in C6 Seed since 8 s).
    remedy: >-
      Let that run end. Its process lives; if it hangs, type `kill 4711` on controller, then run the same command again: it takes over at once and
      goes on from there.
    details: {subject: cutover/hub}
"""
