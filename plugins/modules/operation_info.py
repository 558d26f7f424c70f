#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: operation_info
short_description: Read operations from the store
description: Returns operations with their steps, evidence, bookmarks and events, and who holds a subject now.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.reader, bowline.fleet.store]
attributes:
  action: {description: Has a corresponding action plugin; runs on the controller., support: full}
options:
  id: {description: One operation. Fails with code C(operation_unknown) when the store has none with this id., type: str}
  subject: {description: Operations on this subject., type: str}
  kind: {description: Operations of this kind., type: str}
  limit: {description: At most so many., type: int, default: 10}
"""
EXAMPLES = r"""
- name: Read the last cutover of hub-1
  bowline.fleet.operation_info:
    subject: cutover/hub-1
    kind: cutover
    limit: 1
  register: history
"""
RETURN = r"""
operations:
  description: Operations as M(bowline.fleet.operation) returns them, with RV(ignore:steps) and RV(ignore:events) inside, the latest first.
  returned: success
  type: list
  elements: dict
  sample:
    - id: 20261128T024952Z-3b33cf
      kind: cutover
      subjects: [cutover/hub]
      lease_numbers: {cutover/hub: 3}
      started_at: '2026-11-28T02:49:52.013Z'
      ended_at: null
      outcome: null
      takeover: false
      previous: null
      steps:
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
      events:
      - at: '2026-11-28T02:49:52.013Z'
        kind: opened
        data: {previous: null}
lease:
  description: Who holds O(subject) now, with age and seconds to the expiry; null when nobody does or no subject was given.
  returned: success
  type: dict
  sample:
    subject: cutover/hub
    holder: root (pid 4711 on controller)
    operation_id: 20261128T024952Z-3b33cf
    since: '2026-11-28T02:49:52.013Z'
    age: 12.1
    expires_in: 888.0
    held_by_number: 3
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample:
    code: store_unavailable
    message: 'The store cannot be opened: unable to open database file.'
    remedy: Check its path and rights.
    details: {}
"""
