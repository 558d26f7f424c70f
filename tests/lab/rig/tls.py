# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords, keys and certificates of a lab. Made once; a certificate with less than 60 days left is made again."""
from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from . import settings
from .shell import ok, run, write

_DAY = 86_400
_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

# name: subject alternative names. The public name's certificate serves both sides.
CERTIFICATES = {
    "hub": f"DNS:{settings.HOSTNAME}",
    "postgres-legacy": f"IP:{settings.LEGACY},DNS:postgres",
    "postgres-target": f"IP:{settings.TARGET},DNS:{settings.TARGET_NAME}",
}


def ensure() -> str:
    made = [name for name, text in _secrets().items() if secret(settings.SECRETS / name, text)]
    made += _certificates()
    made += ssh(settings.SSH, settings.TARGET)
    return f"made {', '.join(made)}" if made else "all there"


def _secrets() -> dict[str, str]:
    tsig = {"name": f"lab.{settings.ZONE}", "algorithm": "hmac-sha256", "secret": _base64()}
    return {
        "postgres-superuser": secrets.token_urlsafe(24),
        "postgres-target-superuser": secrets.token_urlsafe(24),
        "hub": secrets.token_urlsafe(24),
        "link": secrets.token_urlsafe(24),
        settings.TSIG.name: json.dumps(tsig) + "\n",
    }


def _base64() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def secret(path: Path, text: str) -> bool:
    """Keep a secret that is there, else write ``text``. No newline at the end of a password: some readers take the file as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    return not path.exists() and write(path, text, 0o600)


def _certificates() -> list[str]:
    settings.TLS.mkdir(parents=True, exist_ok=True)
    made = AUTHORITY.ensure("bowline lab CA")
    if made:
        for name in CERTIFICATES:
            (settings.TLS / f"{name}.crt").unlink(missing_ok=True)
    return made + [name for name, names in CERTIFICATES.items() if certificate(settings.TLS / name, names)]


@dataclass(frozen=True)
class Authority:
    """A CA of a lab's own: the file of its certificate and that of its key."""

    certificate: Path
    key: Path

    def ensure(self, name: str) -> list[str]:
        """Make it unless it is there; what was made."""
        if self.key.exists() and _fresh(self.certificate):
            return []
        extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        run(["openssl", "req", "-x509", *_KEY, "-keyout", self.key, "-out", self.certificate, "-days", "1825", "-subj", f"/CN={name}", *extensions])
        self.key.chmod(0o600)
        return ["CA"]

    def sign(self, stem: Path, names: str, usage: str = "serverAuth") -> bool:
        """A pair ``stem``.crt and ``stem``.key for subject alternative names; true when it was made now."""
        public, key, request, extension = (stem.with_name(f"{stem.name}.{end}") for end in ("crt", "key", "csr", "ext"))
        if key.exists() and _fresh(public) and ok(["openssl", "verify", "-CAfile", self.certificate, public]):
            return False
        write(extension, f"subjectAltName={names}\nbasicConstraints=CA:FALSE\nextendedKeyUsage={usage}\n")
        run(["openssl", "req", "-new", *_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={names.split(',')[0].partition(':')[2]}"])
        key.chmod(0o600)
        run(["openssl", "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
             "-out", public, "-days", "825", "-extfile", extension])
        request.unlink()
        extension.unlink()
        return True


AUTHORITY = Authority(settings.CA, settings.TLS / "ca.key")


def certificate(stem: Path, names: str) -> bool:
    """A server's pair, signed by the CA of the first lab."""
    return AUTHORITY.sign(stem, names)


def _fresh(certificate: Path) -> bool:
    return certificate.exists() and ok(["openssl", "x509", "-in", certificate, "-noout", "-checkend", str(60 * _DAY)])


def ssh(folder: Path, address: str) -> list[str]:
    """Keys of the client and of the machine at ``address``, and the file of known hosts; the names of what was made."""
    made = []
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in ("id_ed25519", "host_ed25519"):
        key = folder / name
        if not key.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bowline-lab", "-f", key])
            made.append(name)
    public = (folder / "host_ed25519.pub").read_text(encoding="utf-8").split()[:2]
    write(folder / "known_hosts", f"{address} {' '.join(public)}\n")
    return made
