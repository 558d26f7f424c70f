# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where engines answer: the options of the connection, judged together before anything is asked."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..._core.errors import FleetError
from ..._core.finding import Finding
from ..model import API_VERSION_MIN

SOCKET = "unix:///var/run/docker.sock"

# Ports of the Engine API, as IANA has them (docker 2375, docker-s 2376) and the docker CLI takes them.
PLAIN_PORT, TLS_PORT = 2375, 2376

KINDS = ("unix", "tcp", "http", "https", "ssh")

IsFile = t.Callable[[str], bool]


@dataclass(frozen=True)
class Endpoint:
    """One engine. ``kind`` is unix, tls, plain or ssh; ``url`` is what the SDK takes; host and port are empty for a socket."""

    given: str
    kind: str
    url: str
    host: str = ""
    port: int = 0


@dataclass(frozen=True)
class Options:
    """Options of the connection, complete and free of contradiction. ``verify`` is false, or true with or without ``ca_path``."""

    endpoints: t.Tuple[Endpoint, ...]
    ca_path: str = ""
    client_cert: str = ""
    client_key: str = ""
    verify: bool = True
    tls_hostname: str = ""
    api_version: str = "auto"
    timeout: float = 60.0


def options(given: t.Mapping[str, t.Any], env: t.Mapping[str, str], exists: IsFile = os.path.isfile) -> Options:
    """``given`` with what the environment says where an option is missing, as the docker CLI reads it: DOCKER_HOST, DOCKER_CERT_PATH
    (https://docs.docker.com/reference/cli/docker/#environment-variables).

    Raises FleetError "option_invalid" with all findings at once, "insecure_endpoint" when plain TCP is the only one.
    """
    hosts = _hosts(given.get("docker_host")) or _hosts(env.get("DOCKER_HOST")) or [SOCKET]
    files = _files(given, env)
    tls = any(files.values()) or bool(given.get("tls_hostname"))
    findings: list[dict[str, str]] = []
    endpoints = tuple(filter(None, (_endpoint(host, tls, bool(given.get("allow_plaintext")), findings) for host in hosts)))
    findings += _wrong_files(files, exists) + _wrong_numbers(given)
    _refuse(findings)
    return Options(
        endpoints,
        **files,
        verify=given.get("validate_certs") is not False,
        tls_hostname=str(given.get("tls_hostname") or ""),
        api_version=str(given.get("api_version") or "auto"),
        timeout=float(given.get("timeout") or 60),
    )


def _hosts(value: t.Any) -> list[str]:
    words = [value] if isinstance(value, str) else list(value or [])
    return list(dict.fromkeys(str(word).strip() for word in words if str(word).strip()))


def _files(given: t.Mapping[str, t.Any], env: t.Mapping[str, str]) -> dict[str, str]:
    """Paths of CA, certificate and key; "" for none. DOCKER_CERT_PATH counts only where no path is given, and where it has the files."""
    files = {name: str(given.get(name) or "") for name in ("ca_path", "client_cert", "client_key")}
    folder = env.get("DOCKER_CERT_PATH", "")
    if folder and env.get("DOCKER_TLS_VERIFY") and not any(files.values()):
        return {name: os.path.join(folder, file) for name, file in zip(files, ("ca.pem", "cert.pem", "key.pem"))}
    return files


def _endpoint(host: str, tls: bool, plaintext: bool, findings: list[dict[str, str]]) -> t.Optional[Endpoint]:
    scheme, mark, rest = host.partition("://")
    if not mark or scheme not in KINDS:
        _find(findings, "option_invalid", "docker_host", f"{host}: no address of an engine.", f"Write {', '.join(f'{kind}://' for kind in KINDS)}.")
        return None
    if scheme == "unix":
        if not rest.startswith("/"):
            _find(findings, "option_invalid", "docker_host", f"{host}: the path of a socket is absolute.", f"Write it as {SOCKET}.")
            return None
        return Endpoint(host, "unix", host)
    name, port = _address(host)
    # What ssh would read as an option is no host: ssh(1) takes "-oProxyCommand=…" for one.
    if not name or name.startswith("-") or port is None:
        _find(findings, "option_invalid", "docker_host", f"{host}: host and port cannot be read from it.", "Write it as tcp://manager:2376.")
        return None
    if scheme == "ssh":
        return Endpoint(host, "ssh", host, name, port or 22)
    if scheme == "https" or (tls and scheme == "tcp"):
        return Endpoint(host, "tls", f"https://{_literal(name)}:{port or TLS_PORT}", name, port or TLS_PORT)
    if not plaintext:
        why = f"{host}: plain TCP. Whoever reaches it rules the hosts of the cluster."
        _find(findings, "insecure_endpoint", "docker_host", why, "Give ca_path, client_cert and client_key, or use ssh://.")
        return None
    return Endpoint(host, "plain", f"http://{_literal(name)}:{port or PLAIN_PORT}", name, port or PLAIN_PORT)


def _address(host: str) -> tuple[str, t.Optional[int]]:
    """Host and port (0 for none); the port is None where it is no port, or where something follows that belongs nowhere."""
    try:
        parts = urlsplit(host)
        fit = parts.path in ("", "/") and not parts.query and not parts.fragment and parts.password is None
        plain = re.fullmatch(r"[A-Za-z0-9_.:%-]+", parts.hostname or "") and (not parts.username or parts.scheme == "ssh")
        return (parts.hostname or "", (parts.port or 0) if fit and plain else None)
    except ValueError:
        return "", None


def _literal(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _wrong_files(files: t.Mapping[str, str], exists: IsFile) -> list[dict[str, str]]:
    findings: list[dict[str, str]] = []
    for name, path in files.items():
        if path and not exists(path):
            _find(findings, "option_invalid", name, f"{path} is not there, or no file.", "Correct the path; it is one on the host that the module runs on.")
    for name, other in (("client_cert", "client_key"), ("client_key", "client_cert")):
        if files[name] and not files[other]:
            _find(findings, "option_invalid", other, f"{name} is given and {other} is not.", f"Give {other}, too.")
    return findings


def _wrong_numbers(given: t.Mapping[str, t.Any]) -> list[dict[str, str]]:
    findings: list[dict[str, str]] = []
    version = str(given.get("api_version") or "auto")
    if version != "auto" and not (re.fullmatch(r"\d+\.\d+", version) and newer(version, API_VERSION_MIN)):
        what = f"{version} is no version of the Engine API from {API_VERSION_MIN} on."
        _find(findings, "option_invalid", "api_version", what, "Leave it at auto.")
    timeout = given.get("timeout")
    if timeout is not None and not 1 <= float(timeout) <= 3600:
        _find(findings, "option_invalid", "timeout", f"{timeout} is not between 1 and 3600 seconds.", "Leave it at 60.")
    return findings


def newer(version: str, least: str) -> bool:
    """Whether ``version`` is ``least`` or newer: 1.9 is older than 1.41."""
    return tuple(map(int, version.split("."))) >= tuple(map(int, least.split(".")))


def _find(findings: list[dict[str, str]], code: str, where: str, message: str, remedy: str) -> None:
    findings.append(Finding(code, "fail", field=where, message=message, remedy=remedy).as_dict())


def _refuse(findings: t.Sequence[t.Mapping[str, str]]) -> None:
    if not findings:
        return
    words = " ".join(f"{finding['field']}: {finding['message']}" for finding in findings)
    if all(finding["code"] == "insecure_endpoint" for finding in findings):
        raise FleetError("insecure_endpoint", f"{words} Nothing was asked.", findings[0]["remedy"], details={"findings": list(findings)})
    raise FleetError("option_invalid", f"{words} Nothing was asked.", findings[0]["remedy"], details={"findings": list(findings)})
