# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about failures of names; see _core/failures.py."""

from __future__ import annotations

from .._core.failures import NOTHING_WRITTEN, Advice

UNCHANGED = "The record is as it was. Traffic does not depend on it: the edges forward whoever comes to either address."

ADVICE = {
    "apex_cname": Advice("The name is the apex of its zone, where SOA and NS stand, and a CNAME excludes them.", "Use A and AAAA records.", UNCHANGED),
    "auth": Advice(
        "The file with the key or the credentials cannot be read, or there are none in it.",
        "Correct the path in `dns_provider_options`, or the names in `dns_provider_auth`; the file is yours alone (0600).",
        UNCHANGED,
    ),
    "cname_conflict": Advice(
        "A CNAME cannot stand beside other records of the same name (RFC 1034, 3.6.2).",
        "Remove the records that are named, or move the name by A and AAAA records.",
        UNCHANGED,
    ),
    "conflict": Advice(
        "The record is neither what the inventory says of the old side nor of the new one, or somebody changed it while it was written.",
        "Find out who changed it. If it is right, put it into `dns_values`; if not, change it back; then run again.",
        "Nobody's change was written over. Traffic does not depend on the name: the edges forward whoever comes to either address.",
    ),
    "no_authority": Advice(
        "A name server of the zone has no address, does not answer, or does not know the zone. A name is moved only where all of them can be asked.",
        "Repair it, take it out of the zone's NS records, or leave it out with `dns_ignore_servers`.",
        UNCHANGED,
    ),
    "not_owner": Advice(
        "The record beside the name says that another tool or another move owns it, or nobody does and it was not named.",
        "Let its owner change it. If that is you, set `dns_owner` to the owner that is named, or `expect_current` to what is there.",
        UNCHANGED,
    ),
    "refused": Advice(
        "The name server answered the update or the question with an error: its rules do not let this key change this name.",
        "Let the key change the record and `_bowline-*` below it (knot: `acl`, BIND: `update-policy`), then run again.",
        UNCHANGED,
    ),
    "too_many_changes": Advice(
        "More values would come and go than `max_changes` allows, as after a mistake in the inventory.",
        "Check the values; when they are right, raise `max_changes` to the number that is named.",
        UNCHANGED,
    ),
    "tsig_error": Advice(
        "The name server does not know the key, its secret is another one, or the clocks differ by more than five minutes.",
        "Compare name, algorithm and secret of the key on both sides, and the clocks.",
        UNCHANGED,
    ),
    "ttl_out_of_range": Advice(
        "DNS holds 1 to 2147483647 seconds; some providers only certain ones.", "Take a value that the message names.", UNCHANGED
    ),
    "verify_timeout": Advice(
        "The record was written, but some name servers showed another one until the deadline: transfers between them are slow or broken.",
        "Look at the servers that are named. Run the same playbook again: it writes nothing twice and waits anew.",
        "Clients reach the side that serves through the edges, whatever the name says. The record keeps the new value, unless the message says that it was "
        "taken back.",
    ),
    "view_mismatch": Advice(
        "The server shows another view to those who do not have the key, so no answer of it could prove the change.",
        "Let the server take the key, give the key of the view that it shows, or leave the server out with `dns_ignore_servers`.",
        UNCHANGED,
    ),
    "zone_not_found": Advice(
        "The server that is written to does not hold the zone, or the name lies below a delegation to other servers.",
        "Correct `dns_zone` or `dns_provider_options.server`.",
        UNCHANGED,
    ),
    "privileges": Advice(
        "The hosts file cannot be read or replaced by this user.", "Run with `become`, or choose another `dns_clients_path`.", NOTHING_WRITTEN
    ),
}
