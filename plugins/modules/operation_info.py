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
version_added: 1.0.0
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
lease:
  description: Who holds O(subject) now, with age and seconds to the expiry; null when nobody does or no subject was given.
  returned: success
  type: dict
failure: {description: 'Code, message, remedy and details.', returned: failure, type: dict}
"""
