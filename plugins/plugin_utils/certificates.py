# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates that a run is about to put onto a host, judged on the controller, where they and their keys lie."""

from __future__ import annotations

import datetime
import re
import typing as t

from ..module_utils._core.finding import Finding

BEGIN = b"-----BEGIN CERTIFICATE-----"


def judge(files: t.Mapping[str, bytes], paths: t.Mapping[str, str], now: datetime.datetime, min_days: float = 14.0) -> list[Finding]:
    """Findings for each certificate among ``files`` (field to content) that is over, or whose key is not among them.

    A certificate of a CA needs no key here. ``paths`` are where the fields come from, for the words. The library cryptography is ansible-core's own.
    """
    from cryptography import x509

    keys = _public_keys(files.values())
    found = []
    for place, content in files.items():
        if BEGIN not in content:
            continue
        try:
            leaf = x509.load_pem_x509_certificates(content)[0]
        except ValueError as error:
            text = f"{paths[place]} holds no certificate that can be read: {error}."
            found.append(Finding("certificate_invalid", "fail", field=place, message=text, remedy="Put the right file there."))
            continue
        found += _dated(leaf, place, paths[place], now, min_days)
        if not _is_ca(leaf) and _key_of(leaf) not in keys:
            text = f"No private key among native_stack_files fits the certificate of {paths[place]}."
            found.append(Finding("certificate_invalid", "fail", field=place, message=text, remedy="Put certificate and key of the same pair there."))
    return found


def served(files: t.Mapping[str, bytes]) -> list[str]:
    """The chains among ``files`` that a server of the target can show: each with its key, as PEM text."""
    from cryptography import x509

    keys, found = _public_keys(files.values()), []
    for content in files.values():
        if BEGIN in content:
            try:
                leaf = x509.load_pem_x509_certificates(content)[0]
            except ValueError:
                continue
            if not _is_ca(leaf) and _key_of(leaf) in keys:
                # A file may hold the key as well, which is nobody's to see.
                found.append("".join(re.findall("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", content.decode("ascii", "replace"), re.DOTALL)))
    return found


def _public_keys(contents: t.Iterable[bytes]) -> set[bytes]:
    """Public halves of all private keys that need no password."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    found = set()
    for content in contents:
        if b"PRIVATE KEY-----" in content:
            try:
                public = load_pem_private_key(content, None).public_key()
            except (ValueError, TypeError):
                continue
            found.add(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return found


def _key_of(leaf: t.Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return t.cast(bytes, leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _dated(leaf: t.Any, place: str, path: str, now: datetime.datetime, min_days: float) -> list[Finding]:
    """cryptography 42 and newer have the dates with a zone; older ones say UTC without one."""
    ends = leaf.not_valid_after_utc if hasattr(leaf, "not_valid_after_utc") else leaf.not_valid_after.replace(tzinfo=datetime.timezone.utc)
    days = (ends - now).total_seconds() / 86400
    if days >= min_days:
        return []
    level = "fail" if days <= 0 else "warn"
    text = "is over since" if days <= 0 else "ends at"
    message = f"The certificate of {path} {text} {ends:%Y-%m-%d %H:%M} UTC."
    return [Finding("certificate_invalid", level, field=place, message=message, remedy="Renew it, then run again.")]


def _is_ca(leaf: t.Any) -> bool:
    from cryptography import x509

    try:
        return bool(leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return bool(leaf.issuer == leaf.subject)
