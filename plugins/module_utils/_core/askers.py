# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Types of checks that ask a host what it has, from account to root: see `ASKERS`. They only read."""

from __future__ import annotations

import grp
import importlib.util
import os
import pwd
import re
import shutil
import socket
import stat
import struct
import sys
import tempfile
import typing as t

from . import platform
from .errors import FleetError
from .gates import REQUIRED, Checker, Keys, Seen, Spec, Tools, flag, one_of, text, texts, whole
from .preflight import same_locale

# Where Debian puts programs of the administrator, which a session of ssh does not always look into.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Names of locales that every C library has; C.UTF-8 is built into glibc since 2.35 and into Debian's long before.
_BUILT_IN = ("C", "POSIX", "C.utf8")
_DEFINITIONS = "/usr/share/i18n/locales"
# PostgreSQL, protocol, SSLRequest: length 8, code 80877103; the server answers S or N (docs, protocol-message-formats).
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


ACCOUNT: Keys = {"account": (text, REQUIRED), "kind": (one_of("user", "group"), "user")}
CERTIFICATE: Keys = {"chains": (texts, REQUIRED), "hostname": (text, REQUIRED), "ca_file": (text, None)}
FILE: Keys = {"path": (text, REQUIRED), "kind": (one_of("file", "directory", "any"), "file")}
IMAGE: Keys = {"image": (text, REQUIRED), "pull": (one_of("always", "missing", "never"), "missing")}
LOCALE: Keys = {"locale": (text, REQUIRED)}
PACKAGE: Keys = {"package": (text, REQUIRED)}
PLATFORM: Keys = {"selinux": (flag, False)}
PROGRAM: Keys = {"program": (text, REQUIRED)}
PYTHON: Keys = {"module": (text, REQUIRED)}
REACH: Keys = {
    "host": (text, REQUIRED),
    "port": (whole, REQUIRED),
    "listening": (flag, True),
    "postgres_tls": (flag, False),
}
RESOLVES: Keys = {"host": (text, REQUIRED)}


def check_account(spec: Spec, tools: Tools) -> Seen:
    try:
        if spec["kind"] == "group":
            return Seen({"gid": grp.getgrnam(spec["account"]).gr_gid})
        return Seen({"uid": pwd.getpwnam(spec["account"]).pw_uid})
    except KeyError:
        return Seen({}, (f"{spec['kind']} {spec['account']} does not exist",))


def check_certificate(spec: Spec, tools: Tools) -> Seen:
    """One of the chains holds for the name, by the CA of this host. openssl-verify(1) reads files only, so they lie in a folder of this moment."""
    trust = ["-CAfile", spec["ca_file"]] if spec["ca_file"] else ["-CApath", "/etc/ssl/certs"]
    complaints = []
    for chain in spec["chains"]:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(chain)
            file.flush()
            words = ["openssl", "verify", *trust, "-verify_hostname", spec["hostname"], "-purpose", "sslserver", "-untrusted", file.name, file.name]
            done = tools.runner(words, timeout=spec["timeout"])
        if done.rc == 0:
            return Seen({"hostname": spec["hostname"]})
        reasons = re.findall(r"^error \d+ at \d+ depth lookup: ?(.+)$", done.err + done.out, re.MULTILINE)
        complaints.append(", ".join(dict.fromkeys(reasons)) or (done.err or done.out).strip()[-200:])
    return Seen({}, (f"no certificate that is brought holds for {spec['hostname']} here: {'; '.join(dict.fromkeys(complaints))}",))


def check_file(spec: Spec, tools: Tools) -> Seen:
    try:
        mode = os.stat(spec["path"]).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return Seen({"exists": False}, (f"{spec['path']} does not exist",))
    kind = "directory" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"
    wrong = () if spec["kind"] in ("any", kind) else (f"{spec['path']} is a {kind}, a {spec['kind']} is wanted",)
    return Seen({"exists": True, "kind": kind}, wrong)


def check_image(spec: Spec, tools: Tools) -> Seen:
    """An image that is not here can be had when its registry shows its manifest."""
    here = tools.runner(["docker", "image", "inspect", "--format", "{{.Id}}", "--", spec["image"]], timeout=spec["timeout"])
    if here.rc == 0 and spec["pull"] != "always":
        return Seen({"here": True, "id": here.out.strip()})
    if spec["pull"] == "never":
        return Seen({"here": False}, (f"image {spec['image']} is not on this host, and pull is never",))
    asked = tools.runner(["docker", "manifest", "inspect", "--", spec["image"]], timeout=spec["timeout"])
    if asked.rc:
        return Seen({"here": here.rc == 0}, (f"image {spec['image']} cannot be pulled: {(asked.err or asked.out).strip()[-300:]!r}",))
    return Seen({"here": here.rc == 0})


def check_locale(spec: Spec, tools: Tools) -> Seen:
    listed = tools.runner(["locale", "-a"], timeout=spec["timeout"])
    names = sorted({same_locale(line.strip()) for line in listed.out.splitlines() if line.strip()} | set(_BUILT_IN))
    wanted = same_locale(spec["locale"])
    evidence: dict[str, t.Any] = {"locales": names, "wanted": spec["locale"], "there": wanted in names}
    if wanted in names:
        return Seen(evidence)
    language = wanted.partition(".")[0].partition("@")[0] + (f"@{wanted.partition('@')[2]}" if "@" in wanted else "")
    if os.path.isdir(_DEFINITIONS):
        makes = os.path.exists(f"{_DEFINITIONS}/{os.path.basename(language)}")
    else:
        makes = _candidate("locales", tools, spec["timeout"]) not in ("", "(none)")
    return Seen({**evidence, "makes": makes}, () if makes else (f"locale {spec['locale']} is not there and cannot be made here",))


def _candidate(package: str, tools: Tools, timeout: float) -> str:
    """The version that apt would install; "" for a package that it does not know, "(none)" for one that nothing offers."""
    asked = tools.runner(["apt-cache", "policy", "--", package], env={"LC_ALL": "C"}, timeout=timeout)
    found = [line.split(":", 1)[1].strip() for line in asked.out.splitlines() if line.strip().startswith("Candidate:")]
    return found[0] if found else ""


def check_package(spec: Spec, tools: Tools) -> Seen:
    """Installed, or offered by a source that apt knows. The name is as apt takes it: a version behind =, a release behind /."""
    name = spec["package"].partition("=")[0].partition("/")[0]
    status = tools.runner(["dpkg-query", "--show", "--showformat=${db:Status-Status}", "--", name], timeout=spec["timeout"])
    if status.rc == 0 and status.out.startswith("installed"):
        return Seen({"installed": True})
    candidate = _candidate(name, tools, spec["timeout"])
    wrong = () if candidate not in ("", "(none)") else (f"package {name} is not installed, and apt knows no source of it",)
    return Seen({"installed": False, "candidate": candidate}, wrong)


def check_platform(spec: Spec, tools: Tools) -> Seen:
    found = platform.seen()
    return Seen(found, platform.refused(found, spec["selinux"]))


def check_program(spec: Spec, tools: Tools) -> Seen:
    found = shutil.which(spec["program"], path=f"{os.environ.get('PATH', '')}:{_PATH}")
    return Seen({"path": found}, () if found else (f"{spec['program']} is not there, or is no program",))


def check_python(spec: Spec, tools: Tools) -> Seen:
    there = importlib.util.find_spec(spec["module"]) is not None
    return Seen({"there": there}, () if there else (f"{sys.executable} has no module {spec['module']}",))


def check_reach(spec: Spec, tools: Tools) -> Seen:
    """A refused connection says that the way is open and nobody listens yet; silence says that something in between is closed."""
    try:
        with socket.create_connection((spec["host"], spec["port"]), timeout=spec["timeout"]) as connection:
            if not spec["postgres_tls"]:
                return Seen({"open": True, "listening": True})
            answer = _ssl_answer(connection)
    except ConnectionRefusedError:
        wrong = (f"nobody listens at {spec['host']} port {spec['port']}",) if spec["listening"] else ()
        return Seen({"open": True, "listening": False, "cause": "refused"}, wrong)
    except (socket.gaierror, UnicodeError) as error:
        return Seen({"open": None, "listening": None, "cause": "name"}, (_unknown_name(spec["host"], error),))
    except OSError as error:
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        return Seen({"open": False, "listening": None, "cause": "silent"}, (f"{spec['host']} port {spec['port']} cannot be reached from here: {reason}",))
    tls = {b"S": True, b"N": False}.get(answer)
    complaints = () if tls else ("the PostgreSQL there speaks no TLS",) if tls is False else ("what listens there is no PostgreSQL",)
    cause = {"cause": "no_tls" if tls is False else "stranger"} if complaints else {}
    return Seen({"open": True, "listening": True, "tls": tls, **cause}, complaints)


def _ssl_answer(connection: socket.socket) -> bytes:
    """S, N, or what a stranger says: nothing."""
    try:
        connection.sendall(_SSL_REQUEST)
        return connection.recv(1)
    except OSError:
        return b""


def check_resolves(spec: Spec, tools: Tools) -> Seen:
    try:
        found = sorted({str(entry[4][0]) for entry in socket.getaddrinfo(spec["host"], None, type=socket.SOCK_STREAM)})
    except (socket.gaierror, UnicodeError) as error:
        return Seen({}, (_unknown_name(spec["host"], error),))
    return Seen({"addresses": found})


def _unknown_name(name: str, error: Exception) -> str:
    return f"{name} does not resolve here: {getattr(error, 'strerror', None) or error}"


def check_root(spec: Spec, tools: Tools) -> Seen:
    return Seen({"uid": os.geteuid()}, () if os.geteuid() == 0 else (f"the tasks run here as {_me()}, and need root",))


def _me() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def _needing(program: str, checker: t.Callable[[Spec, Tools], Seen]) -> t.Callable[[Spec, Tools], Seen]:
    """A host without ``program`` cannot be asked, which is a finding with its own words."""

    def asked(spec: Spec, tools: Tools) -> Seen:
        if shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_PATH}") is None:
            raise FleetError("tool_missing", f"{program} is not on this host", remedy=f"Install the package that brings {program}.")
        return checker(spec, tools)

    return asked


ASKERS: t.Mapping[str, Checker] = {
    "account": Checker(check_account, ACCOUNT),
    "certificate": Checker(_needing("openssl", check_certificate), CERTIFICATE),
    "file": Checker(check_file, FILE),
    "image": Checker(_needing("docker", check_image), IMAGE),
    "locale": Checker(_needing("locale", check_locale), LOCALE),
    "package": Checker(_needing("apt-cache", check_package), PACKAGE),
    "platform": Checker(check_platform, PLATFORM),
    "program": Checker(check_program, PROGRAM),
    "python": Checker(check_python, PYTHON),
    "reach": Checker(check_reach, REACH),
    "resolves": Checker(check_resolves, RESOLVES),
    "root": Checker(check_root, {}),
}
