#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_record
short_description: Keep one RRset in DNS, changed by compare-and-swap and seen on every server
description:
  - Lowers the TTL of an RRset ahead of a move, replaces it, removes it, puts an earlier form back, or only looks.
  - An RRset is all records of one name and type. It is replaced as a whole, and only if it still is what was read before.
  - After a change every address of every authoritative server is asked, without recursion, until all of them show it.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.writer, bowline.fleet.wait, bowline.fleet.dns]
options:
  state:
    description:
      - V(prepared) keeps the values and lowers the TTL to O(ttl_during); a TTL that already is lower stays.
      - V(present) has exactly these O(values) and this O(ttl), or what O(previous) says.
      - V(settled) keeps the values and raises the TTL to what it was before V(prepared) lowered it, or sets O(ttl) if that is given. Without
        an O(owner), beside which it is recorded, and without O(ttl), the TTL stays.
      - V(released) is V(settled) for a move that is given up; the O(owner) and everything written beside the record go, too, and a record that was
        made over a wildcard. What another owner holds is left alone.
      - V(absent) has no such RRset.
      - V(verified) changes nothing and fails unless every authoritative server answers the values.
    type: str
    choices: [prepared, present, settled, released, absent, verified]
    default: present
  values:
    description:
      - The full set of values, in the form of a zone file. Names in them are absolute, with or without final dot.
      - Required with O(state=present) and O(state=verified) unless O(previous) is given.
      - With O(state=prepared), the values of a later move. When the RRset has them already, its TTL is not lowered.
    type: list
    elements: str
  ttl:
    description:
      - TTL in seconds, 1 to 2147483647. Not used by provider V(hosts). Without it an RRset keeps its TTL; a new one gets 300.
      - Also how long a low TTL of unknown age is taken to need before every cache knows it; 300 without it.
    type: int
  ttl_during:
    description: TTL of O(state=prepared), in seconds.
    type: int
    default: 60
  previous:
    description:
      - The RV(previous) of an earlier result, whole. Instead of O(values) and O(ttl), with O(state=present).
      - Puts back what was there then, including that there was nothing and that nobody owned it.
    type: dict
  expect_current:
    description:
      - What is there now, as a list of values, or the word V(absent). Anything else is a C(conflict), and nothing is written.
      - It is not looked at when nothing has to be changed, so that the same task can run again.
      - With O(owner) it also adopts an RRset that has no owner yet.
    type: raw
  owner:
    description:
      - Name under which the RRset is owned. It is kept in a TXT record C(_bowline-TYPE.NAME), together with the times of the last change.
      - An RRset that another owner holds is never changed; one without owner only with O(expect_current).
    type: str
  max_changes:
    description: Most values that may be added and removed in one run.
    type: int
    default: 5
  verify:
    description:
      - V(authoritative) asks all authoritative servers, V(resolvers) in addition the O(resolvers), V(none) nobody.
      - A resolver shows the new values only when its copy has expired, so V(resolvers) can take an old TTL.
    type: str
    choices: [authoritative, resolvers, none]
    default: authoritative
  on_timeout:
    description:
      - What happens when a server still shows something else at the deadline. The run fails with C(verify_timeout) either way.
      - V(revert) puts back what was there before if a name server shows something else. A change is not taken back because a server is
        silent, a resolver still has its copy, or a view hides it from a server that does not take the key.
    type: str
    choices: [fail, revert]
    default: fail
  wait_old_ttl:
    description: Whether to wait, after the change, until no cache can hold an earlier form. O(wait_timeout) does not limit it.
    type: bool
    default: false
"""
EXAMPLES = r"""
- name: Lower the TTL a day before the move
  bowline.fleet.dns_record:
    provider: rfc2136
    provider_options: {server: 192.0.2.53, key_file: /etc/bowline/tsig.json}
    zone: example.org
    name: hub
    state: prepared
    expect_current: [192.0.2.10]
    owner: cutover/hub-1
  delegate_to: localhost

- name: Point the name at the new host, only if it still points at the old one
  bowline.fleet.dns_record:
    provider_options: {server: 192.0.2.53, key_file: /etc/bowline/tsig.json}
    zone: example.org
    name: hub
    values: [192.0.2.20]
    ttl: 60
    expect_current: [192.0.2.10]
    owner: cutover/hub-1
  delegate_to: localhost
  register: moved

- name: Put back what was there
  bowline.fleet.dns_record:
    provider_options: {server: 192.0.2.53, key_file: /etc/bowline/tsig.json}
    zone: example.org
    name: hub
    previous: "{{ moved.previous }}"
    expect_current: [192.0.2.20]
    owner: cutover/hub-1
  delegate_to: localhost

- name: Give the TTL back when the move is done
  bowline.fleet.dns_record:
    provider_options: {server: 192.0.2.53, key_file: /etc/bowline/tsig.json}
    zone: example.org
    name: hub
    state: settled
    owner: cutover/hub-1
  delegate_to: localhost

- name: The same move at a provider with an interface of its own
  bowline.fleet.dns_record:
    provider: lexicon
    provider_options: {provider: cloudflare}
    provider_auth: {auth_token: "{{ vault_cloudflare_token }}"}
    zone: example.org
    name: hub
    values: [192.0.2.20]
    expect_current: [192.0.2.10]
  delegate_to: localhost

- name: Say what somebody has to change, and wait for half an hour
  bowline.fleet.dns_record:
    provider: none
    zone: example.org
    name: hub
    values: [192.0.2.20]
    expect_current: [192.0.2.10]
    wait_timeout: 1800
  delegate_to: localhost

- name: Name the new host on a machine without DNS
  bowline.fleet.dns_record:
    provider: hosts
    name: hub.example.org
    values: [192.0.2.20]
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{"action": "replace", "reason": "hub.example.org. A: 192.0.2.10 becomes 192.0.2.20", "disruptive": true}]
record:
  description: The RRset after the run (predicted in check mode) as C(present), C(records), C(ttl), C(proxied) and C(owner).
  returned: success
  type: dict
  sample: {"present": true, "records": ["192.0.2.20"], "ttl": 60, "proxied": false, "owner": "cutover/hub-1"}
previous:
  description: The RRset before the run in the same form; feed it back as O(previous) to restore it.
  returned: success
  type: dict
  sample: {"present": true, "records": ["192.0.2.10"], "ttl": 60, "proxied": false, "owner": "cutover/hub-1"}
ready_at:
  description: Unix second from which no cache holds the old TTL.
  returned: success and O(state=prepared)
  type: int
  sample: 1795834542
max_stale_until:
  description: Unix second until which a cache that keeps to the TTL may answer an earlier form.
  returned: success and not O(state=prepared)
  type: int
  sample: 1795834541
instructions:
  description: What somebody has to change and by which name servers the RRset is seen how, as sentences; empty when nothing is left to do.
  returned: success and O(provider=none)
  type: list
  elements: str
  sample: ["Change hub.example.org. from 900 IN A 192.0.2.10 to 60 IN A 192.0.2.20."]
verified:
  description: Whether all servers that were asked show the RRset. False in check mode when there is something to change.
  returned: success
  type: bool
  sample: true
evidence:
  description: What each server answered, which of them differ, and the end of staleness as text.
  returned: success
  type: dict
  sample:
    servers:
    - name: ns1.example.org.
      address: 192.0.2.53
      port: 53
      records: [192.0.2.20]
      ttl: 60
      serial: 7
      error: ''
    lagging: []
    stale_until: '2026-11-28T02:55:41Z'
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample:
    code: conflict
    message: hub.example.org. A is 192.0.2.7; expected 192.0.2.10. Nothing was changed.
    remedy: Find out who changed it; then set expect_current to what is there now, or change it back.
    details:
      expected: [192.0.2.10]
      seen: [192.0.2.7]
"""
from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.argspec import WAIT
from ..module_utils._core.result import finish
from ..module_utils._dns.argspec import RECORD
from ..module_utils._dns.run import connect, run

SPEC = {
    "state": {"type": "str", "choices": ["prepared", "present", "settled", "released", "absent", "verified"], "default": "present"},
    "values": {"type": "list", "elements": "str"},
    "ttl": {"type": "int"},
    "ttl_during": {"type": "int", "default": 60},
    "previous": {"type": "dict"},
    "expect_current": {"type": "raw"},
    "owner": {"type": "str"},
    "max_changes": {"type": "int", "default": 5},
    "verify": {"type": "str", "choices": ["authoritative", "resolvers", "none"], "default": "authoritative"},
    "on_timeout": {"type": "str", "choices": ["fail", "revert"], "default": "fail"},
    "wait_old_ttl": {"type": "bool", "default": False},
}


def main() -> None:
    module = AnsibleModule({**RECORD, **SPEC, **WAIT}, mutually_exclusive=[("values", "previous")], supports_check_mode=True)
    secrets: list[str] = []
    finish(module, lambda: run(module.params, lambda: connect(module.params, secrets), module.check_mode), secrets)


if __name__ == "__main__":
    main()
