# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why an engine does not answer: name, connection, TLS and HTTP are tried one after the other, and the first that fails is the reason."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import typing as t

from ..._core.errors import FleetError
from . import certificate
from .endpoint import Endpoint, Options

# Seconds for each stage; what the engine does with a question is another matter.
PATIENCE = 10.0

# Seconds in which an engine that refuses our certificate has said so.
QUIET = 1.0

# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of openssl/x509_vfy.h.
_DATES = (9, 10)

# Alerts by which a server refuses the certificate of its client (RFC 8446, 6.2), under the names that OpenSSL gives them.
_REFUSALS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE", "DECRYPT_ERROR")

NOTHING = "Nothing was changed."


def diagnose(endpoint: Endpoint, options: Options, seen: str) -> FleetError:
    """The failure that tells why ``endpoint`` did not answer; ``seen`` is what the library said of it."""
    if endpoint.kind == "unix":
        return _socket(endpoint, seen)
    if endpoint.kind == "ssh":
        return _unreachable(endpoint, "ssh", seen, f"Try `ssh {endpoint.host} docker version` from the same host, as the same user; the key has to be known.")
    try:
        socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return _unreachable(endpoint, "dns", f"{endpoint.host} does not resolve: {error}", "Correct the name, or use the address.")
    try:
        plain = socket.create_connection((endpoint.host, endpoint.port), PATIENCE)
    except OSError as error:
        return _unreachable(endpoint, "tcp", str(error), "Check route, firewall and port (2376 is usual for TLS), and that the engine listens there.")
    with plain:
        fault = _tls(endpoint, options, plain) if endpoint.kind == "tls" else None
    return fault or _unreachable(endpoint, "http", seen, "Look at the log of the engine (`journalctl -u docker`), or raise timeout.")


def _socket(endpoint: Endpoint, seen: str) -> FleetError:
    path = endpoint.given.partition("://")[2]
    with socket.socket(socket.AF_UNIX) as plain:
        plain.settimeout(PATIENCE)
        try:
            plain.connect(path)
        except PermissionError:
            said = f"user {os.geteuid()} may not open {path}"
            return _unreachable(endpoint, "socket", said, "Run with become, or let the user into the group of the socket.")
        except OSError as error:
            said = f"{path}: {error.strerror or error}"
            return _unreachable(endpoint, "socket", said, "Start the engine (`systemctl start docker`), or correct the path.")
    return _unreachable(endpoint, "http", seen, "Look at the log of the engine (`journalctl -u docker`), or raise timeout.")


def _tls(endpoint: Endpoint, options: Options, plain: socket.socket) -> t.Optional[FleetError]:
    """A handshake, and a moment of listening: with TLS 1.3 a server refuses a client's certificate after the client's handshake is over."""
    try:
        context = context_of(options)
    except (OSError, ValueError) as error:
        return wrong_files(endpoint, options, error)
    plain.settimeout(PATIENCE)
    try:
        with context.wrap_socket(plain, server_hostname=options.tls_hostname or endpoint.host) as spoken:
            spoken.settimeout(QUIET)
            # Heard before anything is sent: an engine that closes with our request unread resets the connection, and its alert is lost.
            with contextlib.suppress(socket.timeout):
                spoken.recv(1)
    except ssl.SSLError as error:
        return tls_fault(endpoint, options, error)
    except OSError as error:
        return _unreachable(endpoint, "tls", str(error), "Look at what is between: a proxy or balancer without an engine behind it closes at once.")
    return None


def context_of(options: Options) -> ssl.SSLContext:
    """What both sides have to show each other. Raises OSError or ValueError when a file cannot be used."""
    context = ssl.create_default_context(cafile=options.ca_path or None)
    # From 3.13 on Python refuses certificates without an authority key identifier, as the steps of Docker's documentation make them
    # (https://docs.docker.com/engine/security/protect-access/); the engine and its CLI take them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.client_cert:
        # Without a password of our own OpenSSL would ask for one at the terminal.
        context.load_cert_chain(options.client_cert, options.client_key, password=lambda: "")
    return context


def wrong_files(endpoint: Endpoint, options: Options, error: Exception) -> FleetError:
    mismatch = "MISMATCH" in str(getattr(error, "reason", ""))
    said = f"{options.client_key} is not the key of {options.client_cert}" if mismatch else str(error)
    return FleetError(
        "option_invalid",
        f"{endpoint.given}: certificate, key or CA cannot be used: {said}. {NOTHING}",
        "Give PEM files that belong together, the key without a password.",
        details={"endpoint": endpoint.given, "stage": "tls"},
    )


def tls_fault(endpoint: Endpoint, options: Options, error: ssl.SSLError) -> FleetError:
    """What a failed handshake means."""
    reason = str(error.reason or "")
    if isinstance(error, ssl.SSLCertVerificationError):
        return _not_trusted(endpoint, options, error)
    if "ALERT" in reason and any(word in reason for word in _REFUSALS):
        return _rejected(endpoint, options, reason)
    return _unreachable(endpoint, "tls", f"no TLS is spoken there ({reason or error})", "Check the port, and that the engine was started with --tlsverify.")


def _not_trusted(endpoint: Endpoint, options: Options, error: ssl.SSLCertVerificationError) -> FleetError:
    details = {"endpoint": endpoint.given, "stage": "tls"}
    if error.verify_code in _DATES:
        ends = peer_validity(endpoint, options)
        when = f" It {ends.fault()}." if ends and ends.fault() else f" {error.verify_message}."
        message = f"{endpoint.given}: the engine's certificate is out of date.{when} {NOTHING}"
        return FleetError("tls_expired", message, "Renew the engine's certificate, or set the clock of this host.", details=details)
    name = options.tls_hostname or endpoint.host
    return FleetError(
        "tls_untrusted",
        f"{endpoint.given}: the engine's certificate is not trusted for {name}: {error.verify_message}. {NOTHING}",
        f"Give the CA that it is of in ca_path (now: {options.ca_path or 'those of the system'}), or a name that it has in tls_hostname.",
        details=details,
    )


def _rejected(endpoint: Endpoint, options: Options, said: str) -> FleetError:
    details = {"endpoint": endpoint.given, "stage": "tls"}
    ours = certificate.of_file(options.client_cert) if options.client_cert else None
    if ours and ours.fault():
        message = f"{endpoint.given}: our certificate {options.client_cert} {ours.fault()}, and the engine refused it. {NOTHING}"
        return FleetError("tls_expired", message, "Renew client_cert, or set the clock of this host.", details=details)
    shown = f"the certificate {options.client_cert}" if options.client_cert else "us, who showed no certificate"
    return FleetError(
        "tls_rejected",
        f"{endpoint.given}: the engine refused {shown} ({said}). {NOTHING}",
        "Give client_cert and client_key of the CA that the engine was started with (--tlscacert).",
        details=details,
    )


def peer_validity(endpoint: Endpoint, options: Options) -> t.Optional[certificate.Validity]:
    """Of the certificate that the engine shows, whoever signed it; None when it shows none."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((endpoint.host, endpoint.port), PATIENCE) as plain:
            with context.wrap_socket(plain, server_hostname=options.tls_hostname or endpoint.host) as spoken:
                der = spoken.getpeercert(binary_form=True)
    except OSError:
        return None
    return certificate.of_der(der) if der else None


def _unreachable(endpoint: Endpoint, stage: str, seen: str, remedy: str) -> FleetError:
    return FleetError(
        "endpoint_unreachable",
        f"{endpoint.given} does not answer ({stage}): {seen}. {NOTHING}",
        remedy,
        details={"endpoint": endpoint.given, "stage": stage},
    )
