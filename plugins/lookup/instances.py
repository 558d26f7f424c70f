# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: instances
short_description: Nodes with their machines, as the store knows them
description:
  - Returns what M(bowline.fleet.node_instance_info) returns, by name. Phase and health are computed when it is read.
  - Reads the store as it is and writes nothing. No provider is asked. A store that is missing or of another version is a failure.
author: The bowline contributors (@bowline)
version_added: 0.9.0
options:
  _terms: {description: Takes none., type: list, elements: str}
  filter:
    description: As O(bowline.fleet.node_instance_info#module:filter). A key that nobody knows is a failure that names the nearest.
    type: dict
    default: {}
  gather:
    description: As O(bowline.fleet.node_instance_info#module:gather).
    type: list
    elements: str
    default: []
  limit: {description: "At most so many, 1 to 1000. More of them are a failure, not a shorter list.", type: int, default: 1000}
  store:
    description: DSN of the store, as O(bowline.fleet.node_instance_info#module:store) has it, with the same place without it.
    type: str
"""
EXAMPLES = r"""
- name: Say who is behind
  ansible.builtin.debug:
    msg: "{{ query('bowline.fleet.instances', filter={'health': 'silent'}) | map(attribute='name') }}"
"""
RETURN = r"""
_raw:
  description: A dictionary for each node, as in C(instances) of M(bowline.fleet.node_instance_info).
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..plugin_utils.reading import entries


class LookupModule(LookupBase):  # type: ignore[misc]
    def run(self, terms: t.Sequence[str], variables: t.Any = None, **options: t.Any) -> list[t.Any]:
        self.set_options(var_options=variables, direct=options)
        if terms:
            raise AnsibleLookupError(f"instances takes no names, and {terms[0]} is one. Remedy: lookup('bowline.fleet.instance', '{terms[0]}').")
        limit = self.get_option("limit")
        found = entries(self.get_option("store"), filter=self.get_option("filter"), gather=self.get_option("gather"), limit=limit)
        if found["truncated"]:
            raise AnsibleLookupError(f"{found['total']} nodes fit, and limit is {limit}. Remedy: raise it, or give a filter.")
        return list(found["instances"])
