# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: instance
short_description: One node with its machine, as the store knows it
description:
  - Returns for each name what M(bowline.fleet.node_instance_info) returns of it. Phase and health are computed when it is read.
  - Reads the store as it is and writes nothing. No provider is asked. A store that is missing or of another version is a failure.
author: The bowline contributors (@bowline)
version_added: 0.9.0
options:
  _terms: {description: Names of nodes. One that the store does not have is a failure that names the nearest., type: list, elements: str, required: true}
  gather:
    description: As O(bowline.fleet.node_instance_info#module:gather).
    type: list
    elements: str
    default: []
  store:
    description: DSN of the store, as O(bowline.fleet.node_instance_info#module:store) has it, with the same place without it.
    type: str
"""
EXAMPLES = r"""
- name: Wait for nobody who is not there
  ansible.builtin.assert:
    that: lookup('bowline.fleet.instance', 'edge-1').health == 'ok'
"""
RETURN = r"""
_raw:
  description: A dictionary for each name, as in C(instances) of M(bowline.fleet.node_instance_info).
  type: list
  elements: dict
"""

import typing as t

from ansible.plugins.lookup import LookupBase

from ..plugin_utils.reading import entries


class LookupModule(LookupBase):  # type: ignore[misc]
    def run(self, terms: t.Sequence[str], variables: t.Any = None, **options: t.Any) -> list[t.Any]:
        self.set_options(var_options=variables, direct=options)
        given = {"gather": self.get_option("gather")}
        return [entries(self.get_option("store"), name=str(term), **given)["instances"][0] for term in terms]
