# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From when to when a certificate holds, read without a library that a host may lack."""

from __future__ import annotations

import calendar
import ssl
import time
import typing as t

# id-at-organizationName, 2.5.4.10 (RFC 5280, appendix A.1).
_ORGANIZATION = b"\x55\x04\x0a"

_SEQUENCE, _VERSION, _UTC, _GENERALIZED = 0x30, 0xA0, 0x17, 0x18


class Validity(t.NamedTuple):
    """Unix seconds; both ends belong to it."""

    begins: int
    ends: int

    def fault(self, now: t.Optional[float] = None) -> str:
        """"" when ``now`` (default: this host's clock) lies within, else a few words."""
        moment = time.time() if now is None else now
        if moment < self.begins:
            return f"is not valid before {said(self.begins)}"
        return f"ended on {said(self.ends)}" if moment > self.ends else ""


def said(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def of_file(path: str) -> t.Optional[Validity]:
    """Of the first certificate in a PEM file; None when there is none that can be read."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return of_pem(file.read())
    except OSError:
        return None


def of_pem(text: str) -> t.Optional[Validity]:
    """Of the first certificate in ``text``; None as above."""
    try:
        begin, end = text.index(ssl.PEM_HEADER), text.index(ssl.PEM_FOOTER)
        return of_der(ssl.PEM_cert_to_DER_cert(text[begin : end + len(ssl.PEM_FOOTER)]))
    except ValueError:
        return None


def of_der(der: bytes) -> t.Optional[Validity]:
    """Of a certificate in DER: TBSCertificate is version (optional), serial number, signature, issuer, validity (RFC 5280, 4.1)."""
    try:
        _tag, certificate, _rest = _element(der)
        _tag, inside, _rest = _element(certificate)
        tag, _value, rest = _element(inside)
        for _skipped in range(3 if tag == _VERSION else 2):
            _tag, _value, rest = _element(rest)
        tag, validity, _rest = _element(rest)
        first, begins, rest = _element(validity)
        second, ends, _rest = _element(rest)
        return Validity(_time(first, begins), _time(second, ends)) if tag == _SEQUENCE else None
    except (IndexError, ValueError):
        return None


def organization(text: str) -> str:
    """O of the subject of the first certificate in ``text``; empty without one. In a certificate of a Swarm it is the id of the cluster
    (swarmkit, ca/certificates.go, RequestAndSaveNewCertificates)."""
    try:
        begin, end = text.index(ssl.PEM_HEADER), text.index(ssl.PEM_FOOTER)
        _tag, certificate, _rest = _element(ssl.PEM_cert_to_DER_cert(text[begin : end + len(ssl.PEM_FOOTER)]))
        _tag, inside, _rest = _element(certificate)
        tag, _value, rest = _element(inside)
        # Version (optional), serial number, signature, issuer, validity; then the subject.
        for _skipped in range(4 if tag == _VERSION else 3):
            _tag, _value, rest = _element(rest)
        _tag, names, _rest = _element(rest)
        while names:
            _tag, name, names = _element(names)
            _tag, pair, _rest = _element(name)
            _tag, kind, rest = _element(pair)
            if kind == _ORGANIZATION:
                return _element(rest)[1].decode("utf-8")
    except (IndexError, ValueError):
        pass
    return ""


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content and what follows of the first element (X.690, 8.1)."""
    length, start = data[1], 2
    if length & 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
    if len(data) < start + length:
        raise ValueError("shorter than it says")
    return data[0], data[start : start + length], data[start + length :]


def _time(tag: int, value: bytes) -> int:
    """UTCTime has two digits for the year, from 1950 to 2049 (RFC 5280, 4.1.2.5.1)."""
    text = value.decode("ascii")
    if tag == _UTC:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    elif tag != _GENERALIZED:
        raise ValueError("no time")
    return calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ"))
