# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that name an RRset and its provider; specs: ``_dns.argspec.RECORD``."""

from __future__ import annotations


class ModuleDocFragment:
    """Use as ``bowline.fleet.dns``."""

    DOCUMENTATION = r"""
requirements:
  - dnspython >= 2.3 (Debian package python3-dnspython) with every provider but V(hosts), and for resolvers
  - dns-lexicon >= 3.21 (PyPI; Python 3.10 or newer) with provider V(lexicon)
options:
  provider:
    description:
      - Where the RRset is held. V(rfc2136) is a server that takes dynamic updates (knot, BIND, PowerDNS, and others), V(hosts) a hosts file.
      - V(lexicon) is one of some eighty providers that the library dns-lexicon speaks to. Types V(A) and V(AAAA) only.
      - V(none) is a person. What is to be changed is said, and M(bowline.fleet.dns_record) waits for it unless told not to.
      - Only V(rfc2136) compares and writes in one step. With V(lexicon) the module reads again right before it writes, and again after it.
        Another change before the write is a C(conflict) with nothing written; one at the same moment is a C(conflict) with both written,
        or is lost when it comes and goes between two readings.
    type: str
    choices: [rfc2136, lexicon, none, hosts]
    default: rfc2136
  provider_options:
    description:
      - Options of the provider. A key that it does not have is refused with the nearest one that it has.
      - "V(rfc2136): C(server) (address of the server that takes updates, required), C(port) (53),
        C(key_file) (TSIG key; JSON with name, algorithm and secret, or a key clause of BIND), C(timeout) (2, seconds for one answer),
        C(authority_port) (53, port of all authoritative servers), C(ipv6) (true; whether they are asked at IPv6 addresses too).
        Where the key chooses a view (BIND), every name server is asked with it; one that does not take it is asked without."
      - "V(lexicon): C(provider) (its name there, like cloudflare, required), C(auth_file) (JSON object with the credentials, instead of
        O(provider_auth)), C(parameters) (what else the provider takes, by name), and those of V(none)."
      - "V(none): C(servers) (name servers to ask, as V(address) or V(address:port), instead of those in the zone's NS records),
        C(resolver) (a resolver that knows the NS records, instead of this machine's), C(timeout), C(authority_port), C(ipv6) as above."
      - "V(hosts): C(path) (/etc/hosts), C(adopt) (false; whether lines for the name that somebody wrote outside the block are taken over. They
        become comments in their place, and come back byte for byte with the values that they had).
        Types V(A) and V(AAAA) only, in one marked block; mode and owner of the file are kept."
    type: dict
  provider_auth:
    description: Credentials of provider V(lexicon) by the names that the library gives them, like C(auth_token). Never shown.
    type: dict
  zone:
    description: Zone that holds the name. Required by every provider but V(hosts).
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
  ignore_servers:
    description: Authoritative servers that are not asked and not waited for, by name (within the zone or absolute) or address.
    type: list
    elements: str
"""
