# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: events
short_description: What happened to nodes, the latest first
description:
  - Returns the events of all named nodes as one list. Each has C(node), C(at), C(type), C(severity), C(before), C(after), C(reason), C(actor), C(position)
    and C(digest).
  - Reads the store as it is and writes nothing. A store that is missing or of another version is a failure.
author: The bowline contributors (@bowline)
version_added: 0.9.0
options:
  _terms: {description: Names of nodes. One that the store does not have is a failure that names the nearest., type: list, elements: str, required: true}
  lookback_hours: {description: "How far back, 1 to 168.", type: int, default: 24}
  limit: {description: "At most so many of each node, 1 to 1000.", type: int, default: 50}
  store:
    description: DSN of the store, as O(bowline.fleet.node_instance_info#module:store) has it, with the same place without it.
    type: str
"""
EXAMPLES = r"""
- name: Say what happened to it last
  ansible.builtin.debug:
    msg: "{{ query('bowline.fleet.events', 'edge-1', lookback_hours=2) | map(attribute='reason') }}"
"""
RETURN = r"""
_raw:
  description: A dictionary for each event.
  type: list
  elements: dict
"""

import typing as t

from ansible.plugins.lookup import LookupBase

from ..plugin_utils.reading import entries


class LookupModule(LookupBase):  # type: ignore[misc]
    def run(self, terms: t.Sequence[str], variables: t.Any = None, **options: t.Any) -> list[t.Any]:
        self.set_options(var_options=variables, direct=options)
        given = {name: self.get_option(name) for name in ("lookback_hours", "limit")}
        found = [event for term in terms for event in entries(self.get_option("store"), name=str(term), gather=["events"], **given)["instances"][0]["events"]]
        return sorted(found, key=lambda event: event["at"], reverse=True)
