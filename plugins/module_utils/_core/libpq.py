# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libpq is told about TLS when a user does not say, and what a weaker word gives away. Pure.

libpq's own default is ``prefer``: whoever sits in the path says "no TLS here", asks for the password in clear, and gets it
(PostgreSQL documentation, libpq-ssl, table "SSL Mode Descriptions").
"""

from __future__ import annotations

import typing as t

VERIFIED = "verify-full"
# What somebody in the path between this host and the server gets, by the word that lets him.
WEAK = {
    "disable": "reads and changes everything in the path, as nothing is encrypted",
    "allow": "reads and changes everything, as he can have the connection without TLS",
    "prefer": "reads and changes everything, as he can have the connection without TLS",
    "require": "reads and changes everything with a certificate of his own, as none is verified",
    "verify-ca": "reads and changes everything if he has any certificate of that CA, as no name is verified",
}
_NO_TLS = ("certificate", "does not support SSL", "SSL support is not compiled in", "wrong version number", "unsupported protocol", "tlsv1 alert")
# The option came with libpq 16; older ones refuse a word that they do not know.
_REQUIRE_AUTH = 160000


def is_socket(host: str) -> bool:
    """Whether ``host`` is a directory of sockets, or an abstract socket: then libpq ignores sslmode, and no network is crossed."""
    return all(part.startswith(("/", "@")) for part in host.split(","))


def sslmode(host: str, given: t.Optional[str]) -> str:
    """The word that is used: the one that was given, else verify-full, else "" where TLS does not exist."""
    return given or ("" if is_socket(host) else VERIFIED)


def require_auth(host: str, given: t.Optional[str], libpq: int) -> str:
    """Which ways to log in are refused by this side.

    A server whose name was verified may ask for the password in clear (LDAP, PAM and RADIUS need that); one that was not gets none.
    The other ways, md5, SCRAM, GSS, certificate, peer and trust, do not send it.
    """
    weak = sslmode(host, given) in WEAK and not is_socket(host)
    return "!password" if weak and libpq >= _REQUIRE_AUTH else ""


def is_tls(message: str) -> bool:
    """Whether libpq's message says that TLS could not be had: no root.crt, a certificate or name that does not verify, a server without it.

    Texts: src/interfaces/libpq/fe-secure-openssl.c, fe-secure-common.c, fe-connect.c. A server that ends while TLS begins is not among them.
    """
    return any(word in message for word in _NO_TLS)


def remedy(side: str, message: str) -> str:
    """What to do about a connection that was not made, by libpq's words (src/interfaces/libpq/fe-connect.c, fe-secure.c)."""
    if "does not support SSL" in message:
        return f"Switch ssl on at that server, with a certificate for {side}.host. In a path that you trust, such as loopback, say {side}.sslmode: disable."
    if "refused" in message:
        return f"Nobody listens there: start the server, publish the port of its container, or correct {side}.host and {side}.port."
    if "translate host name" in message or "resolve" in message:
        return f"Give an address in {side}.host, or a name that this host resolves."
    if "timeout" in message or "timed out" in message or "No route" in message or "unreachable" in message:
        return f"Open the way from this host: a firewall, a route, or a wrong {side}.host."
    return f"Check {side}.host and {side}.port, and that the server runs."


def weakness(side: str, host: str, given: t.Optional[str]) -> str:
    """A sentence about a word that is weaker than verify-full; "" when there is nothing to say."""
    word = sslmode(host, given)
    if is_socket(host) or word not in WEAK:
        return ""
    return f"{side}.sslmode is {word}: an attacker in the path to {host} {WEAK[word]}."
