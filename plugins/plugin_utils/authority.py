# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CA of a fleet on the controller. The key never leaves its folder; what a request asks for besides its key is ignored."""

from __future__ import annotations

import contextlib
import datetime
import os
import typing as t

from ..module_utils._core import private
from ..module_utils._core.errors import FleetError
from ..module_utils._core.lock import locked
from ..module_utils._node.enrol import Signed

if t.TYPE_CHECKING:
    from cryptography import x509

_LARGEST = 16_384
_CA_DAYS = 3650
# The clock of a node may go behind ours.
_EARLIER = datetime.timedelta(minutes=10)


def default_folder(environ: t.Mapping[str, str]) -> str:
    state = environ.get("XDG_STATE_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "bowline", "authority")


class FileAuthority:
    """``folder`` holds, by the name of the fleet, ``.pem`` (key and certificate, 0600) and ``.known_hosts``; ``now`` gives unix seconds.

    The library cryptography is ansible-core's own.
    """

    def __init__(self, folder: str, fleet: str, now: t.Callable[[], float], days: int = 90) -> None:
        self._folder, self._fleet, self._now, self._days = folder, fleet, now, days

    def fingerprint(self) -> str:
        from cryptography.hazmat.primitives import hashes

        text = self._read("pem")
        return self._own(text)[1].fingerprint(hashes.SHA256()).hex() if text else ""

    def make(self) -> str:
        """One file with both, so that a run that is killed leaves both or none."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        if not self._read("pem"):
            key = ec.generate_private_key(ec.SECP256R1())
            name = _common_name(f"bowline fleet {self._fleet}")
            made = self._dated(x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()), _CA_DAYS)
            usage = {**dict.fromkeys(_USAGES, False), "key_cert_sign": True, "crl_sign": True}
            made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).add_extension(x509.KeyUsage(**usage), critical=True)
            made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
            both = key.private_bytes(encoding, form, serialization.NoEncryption()) + made.sign(key, hashes.SHA256()).public_bytes(encoding)
            private.write(self._path("pem", make=True), both, 0o600)
        return self.fingerprint()

    def certificate(self) -> str:
        return _pem(self._own(self._read("pem"))[1])

    def sign(self, csr: str, current: str, instance: str) -> Signed:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.x509.oid import ExtendedKeyUsageOID

        ca_key, ca = self._own(self._read("pem"))
        public = _key_of(csr)
        kept, reason = self._kept(current, ca, public, instance)
        if kept is not None:
            return Signed(_pem(kept), _ends(kept).timestamp(), "")
        made = self._dated(x509.CertificateBuilder().subject_name(_common_name(instance)).issuer_name(ca.subject).public_key(public), self._days)
        made = made.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(self._uri(instance))]), critical=False)
        made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        made = made.add_extension(x509.KeyUsage(**{**dict.fromkeys(_USAGES, False), "digital_signature": True}), critical=True)
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        made = made.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        signed = made.sign(ca_key, hashes.SHA256())
        return Signed(_pem(signed), _ends(signed).timestamp(), reason)

    def known_hosts(self) -> str:
        return self._read("known_hosts").decode("utf-8", "replace")

    def known_hosts_file(self) -> str:
        """The path of the file for ssh, which may not be there."""
        return self._path("known_hosts")

    def write_known_hosts(self, text: str) -> None:
        private.write(self._path("known_hosts", make=True), text.encode(), 0o600)

    def alone(self) -> t.ContextManager[None]:
        return locked(os.path.join(self._folder, self._fleet))

    # --- parts --------------------------------------------------------------------------------------------------------------------

    def _kept(self, current: str, ca: x509.Certificate, public: t.Any, instance: str) -> tuple[x509.Certificate | None, str]:
        """The present certificate while it is good, else why it is not."""
        from cryptography import x509
        from cryptography.exceptions import InvalidSignature

        if not current.strip():
            return None, "the machine has no certificate"
        try:
            leaf = x509.load_pem_x509_certificate(current[:_LARGEST].encode())
            leaf.verify_directly_issued_by(ca)
            uris = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.UniformResourceIdentifier)
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return None, "its certificate is not of this CA"
        if leaf.public_key() != public or uris != [self._uri(instance)]:
            return None, "its certificate is of another key or instance"
        starts, ends = _starts(leaf).timestamp(), _ends(leaf).timestamp()
        if self._now() >= starts + (ends - starts) * 2 / 3:
            return None, "two thirds of the life of its certificate are over"
        return leaf, ""

    def _dated(self, builder: x509.CertificateBuilder, days: int) -> x509.CertificateBuilder:
        from cryptography import x509

        now = datetime.datetime.fromtimestamp(int(self._now()), datetime.timezone.utc)
        return builder.not_valid_before(now - _EARLIER).not_valid_after(now + datetime.timedelta(days=days)).serial_number(x509.random_serial_number())

    def _uri(self, instance: str) -> str:
        return f"spiffe://{self._fleet}/instance/{instance}"

    def _own(self, both: bytes) -> tuple[t.Any, x509.Certificate]:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization

        try:
            return serialization.load_pem_private_key(both, None), x509.load_pem_x509_certificate(both[both.index(b"-----BEGIN CERTIFICATE") :])
        except (ValueError, TypeError) as error:
            raise FleetError(
                "authority_missing", f"{self._folder}/{self._fleet}.pem holds no key with its certificate. Nothing was changed.", "Restore the file."
            ) from error

    def _path(self, suffix: str, *, make: bool = False) -> str:
        return os.path.join(private.folder(self._folder, make=make, field="authority"), f"{self._fleet}.{suffix}")

    def _read(self, suffix: str) -> bytes:
        with contextlib.suppress(FileNotFoundError):
            return private.read(self._path(suffix), 0o600)
        return b""


_USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign", "encipher_only",
           "decipher_only")  # fmt: skip


def _common_name(text: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def _key_of(csr: str) -> t.Any:
    """The public key of a request that proves that who sent it has the private one. Ed25519 or P-256."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    try:
        request = x509.load_pem_x509_csr(csr.encode()) if len(csr) <= _LARGEST else None
        key: t.Any = request.public_key() if request is not None and request.is_signature_valid else None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    good = isinstance(key, ed25519.Ed25519PublicKey) or (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1))
    if not good:
        message = "What the machine sent is no request that it has signed itself with a key of Ed25519 or P-256. Nothing was signed."
        raise FleetError("csr_invalid", message, "Remove /etc/bowline/node/key.pem on the machine and enrol it again.")
    return key


def _starts(leaf: x509.Certificate) -> datetime.datetime:
    """cryptography 42 and newer have the dates with a zone; older ones say UTC without one."""
    return leaf.not_valid_before_utc if hasattr(leaf, "not_valid_before_utc") else leaf.not_valid_before.replace(tzinfo=datetime.timezone.utc)


def _ends(leaf: x509.Certificate) -> datetime.datetime:
    return leaf.not_valid_after_utc if hasattr(leaf, "not_valid_after_utc") else leaf.not_valid_after.replace(tzinfo=datetime.timezone.utc)
