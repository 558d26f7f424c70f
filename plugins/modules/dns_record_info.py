#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_record_info
short_description: Read one RRset from its provider and from every authoritative server
description:
  - Asks the provider, every address of every authoritative server without recursion, and the resolvers that are named.
  - A server that does not answer is an entry with an error and a difference, never an empty RRset.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.reader, bowline.fleet.dns]
"""
EXAMPLES = r"""
- name: See whether all servers tell the same
  bowline.fleet.dns_record_info:
    provider_options: {server: 192.0.2.53}
    zone: example.org
    name: hub
  delegate_to: localhost
  register: hub
"""
RETURN = r"""
record:
  description: The RRset at the provider as C(present), C(records), C(ttl), C(proxied) and C(owner).
  returned: success
  type: dict
  sample: {"present": true, "records": ["192.0.2.20"], "ttl": 60, "proxied": false, "owner": "cutover/hub-1"}
servers:
  description: Per authoritative address C(name), C(address), C(port), C(records), C(ttl), C(serial) and C(error).
  returned: success
  type: list
  elements: dict
  sample: [{"name": "ns1.example.org.", "address": "192.0.2.53", "port": 53, "records": ["192.0.2.20"], "ttl": 60, "serial": 7, "error": ""}]
resolvers:
  description: The same per resolver.
  returned: success
  type: list
  elements: dict
  sample: [{"name": "192.0.2.1", "address": "192.0.2.1", "port": 53, "records": ["192.0.2.20"], "ttl": 60, "serial": null, "error": ""}]
serials:
  description: The different SOA serials that were seen; more than one means that a transfer is under way.
  returned: success
  type: list
  elements: int
  sample: [7]
differences:
  description: One sentence per server that does not show the RRset of the provider.
  returned: success
  type: list
  elements: str
  sample: []
consistent:
  description: Whether there are no differences.
  returned: success
  type: bool
  sample: true
max_stale_until:
  description: Unix second until which a cache may answer an earlier form; null if it has no owner, so that nobody recorded it.
  returned: success
  type: int
  sample: 1795834541
stale_seconds:
  description: Seconds left until then, 0 when it has passed.
  returned: success
  type: int
  sample: 0
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {"code": "zone_not_found", "message": "192.0.2.53 does not hold the zone example.org.", "remedy": "Correct zone or server.", "details": {}}
"""
from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.result import finish
from ..module_utils._dns.argspec import RECORD
from ..module_utils._dns.run import connect, info


def main() -> None:
    module = AnsibleModule(dict(RECORD), supports_check_mode=True)
    secrets: list[str] = []
    finish(module, lambda: info(module.params, lambda: connect(module.params, secrets)), secrets)


if __name__ == "__main__":
    main()
