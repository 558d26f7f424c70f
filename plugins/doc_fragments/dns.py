# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that name an RRset and its provider; specs: ``_dns.argspec.RECORD``."""

from __future__ import annotations


class ModuleDocFragment:
    """Use as ``bowline.fleet.dns``."""

    DOCUMENTATION = r"""
requirements:
  - dnspython >= 2.3 (Debian package python3-dnspython) with provider V(rfc2136) and for resolvers
options:
  provider:
    description: Where the RRset is held; V(rfc2136) is a server that takes dynamic updates, V(hosts) a hosts file.
    type: str
    choices: [rfc2136, hosts]
    default: rfc2136
  provider_options:
    description:
      - Options of the provider. A key that it does not have is refused with the nearest one that it has.
      - "V(rfc2136): C(server) (address of the server that takes updates, required), C(port) (53),
        C(key_file) (TSIG key; JSON with name, algorithm and secret, or a key clause of BIND), C(timeout) (2, seconds for one answer),
        C(authority_port) (53, port of all authoritative servers), C(ipv6) (true; whether they are asked at IPv6 addresses too)."
      - "V(hosts): C(path) (/etc/hosts). Types V(A) and V(AAAA) only, in one marked block; mode and owner of the file are kept."
    type: dict
  zone:
    description: Zone that holds the name. Required by provider V(rfc2136).
    type: str
  name:
    description: Name of the RRset, within the zone or absolute; V(@) is the zone itself.
    type: str
    required: true
  type:
    description: Type of the RRset.
    type: str
    choices: [A, AAAA, CAA, CNAME, MX, PTR, SRV, TXT]
    default: A
  resolvers:
    description: Resolvers to ask in addition, as V(address) or V(address:port).
    type: list
    elements: str
"""
