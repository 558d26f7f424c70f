# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The types of checks that need no room: http, exchange, tcp, free, tls, command, unit, disk, postgres, prometheus. None passes without an answer."""

from __future__ import annotations

import os
import socket
import ssl
import time
import typing as t

from . import libpq
from .errors import FleetError
from .gates import REQUIRED, Checker, Keys, Seen, Spec, Tools, anything, flag, number, text, texts, whole
from .prometheus import PROMETHEUS, check_prometheus
from .web import EXCHANGE, HTTP, check_exchange, check_http, exchange_writes, http_writes, ms_since, verifying

DAY = 86400


TCP: Keys = {"host": (text, REQUIRED), "port": (whole, REQUIRED)}
FREE: Keys = {"host": (text, REQUIRED), "port": (whole, REQUIRED), "unit": (text, None)}
TLS: Keys = {"host": (text, REQUIRED), "port": (whole, 443), "hostname": (text, None), "ca_file": (text, None), "min_days": (number, 14.0)}
COMMAND: Keys = {
    "argv": (texts, REQUIRED), "rc": (whole, 0), "stdout_contains": (text, None), "read_only": (flag, False), "in_unit": (text, None), "user": (text, "0:0"),
}  # fmt: skip
UNIT: Keys = {"unit": (text, REQUIRED), "active": (flag, True), "enabled": (flag, True), "restarts": (whole, 0)}
DISK: Keys = {"path": (text, REQUIRED), "free_bytes": (whole, REQUIRED)}
POSTGRES: Keys = {
    "host": (text, REQUIRED),
    "port": (whole, 5432),
    "dbname": (text, REQUIRED),
    "user": (text, REQUIRED),
    "passfile": (text, None),
    "sslmode": (text, None),
    "sslrootcert": (text, None),
    "read_write": (flag, None),
    "version": (anything, None),
}


def check_tcp(spec: Spec, tools: Tools) -> Seen:
    start = time.monotonic()
    with socket.create_connection((spec["host"], spec["port"]), timeout=spec["timeout"]):
        return Seen({"host": spec["host"], "port": spec["port"], "ms": ms_since(start)})


def check_free(spec: Spec, tools: Tools) -> Seen:
    """Only a refused connection says that nobody listens; a silent one does not."""
    where = f"{spec['host']}:{spec['port']}"
    try:
        socket.create_connection((spec["host"], spec["port"]), timeout=spec["timeout"]).close()
    except ConnectionRefusedError:
        return Seen({"listening": False})
    if spec["unit"] is None:
        return Seen({"listening": True}, (f"{where} answers, and nobody may",))
    done = tools.runner(["systemctl", "is-active", "--quiet", "--", spec["unit"]], timeout=spec["timeout"])
    said = () if done.rc == 0 else (f"{where} answers, but {spec['unit']}, which may, is not active",)
    return Seen({"listening": True, "active": done.rc == 0}, said)


def check_tls(spec: Spec, tools: Tools) -> Seen:
    """The chain and the name are judged by the TLS library itself during the handshake, so a wrong one never gets as far as a date."""
    hostname = spec["hostname"] or spec["host"]
    context = verifying(spec["ca_file"])
    with socket.create_connection((spec["host"], spec["port"]), timeout=spec["timeout"]) as plain:
        with context.wrap_socket(plain, server_hostname=hostname) as secured:
            certificate = secured.getpeercert() or {}
            evidence: dict[str, t.Any] = {"hostname": hostname, "tls": secured.version(), "not_after": certificate.get("notAfter")}
    days = (ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) / DAY
    evidence["days"] = int(days)
    wanted = spec["min_days"] or 0
    return Seen(evidence, () if days >= wanted else (f"the certificate is valid for {days:.1f} days, {wanted:g} are wanted",))


def check_command(spec: Spec, tools: Tools) -> Seen:
    try:
        prefix, env = _inside(spec, tools) if spec["in_unit"] else ([], {})
    except OSError as error:
        return Seen({}, (f"{spec['in_unit']} has no process to run {spec['argv'][0]} beside: {error.strerror}",))
    done = tools.runner([*prefix, *spec["argv"]], env=env, timeout=spec["timeout"])
    findings = []
    if done.rc == 124 != spec["rc"]:
        findings.append(f"{spec['argv'][0]} did not end within {spec['timeout']:g} s (or ended with 124 itself)")
    elif done.rc != spec["rc"]:
        findings.append(f"{spec['argv'][0]} ended with {done.rc}, {spec['rc']} is wanted: {(done.err or done.out).strip()[:200]!r}")
    if spec["stdout_contains"] is not None and spec["stdout_contains"] not in done.out:
        findings.append(f"its output lacks {spec['stdout_contains']!r}: {done.out.strip()[:200]!r}")
    return Seen({"rc": done.rc, "stdout": done.out.strip()[:200]}, tuple(findings))


def _inside(spec: Spec, tools: Tools) -> tuple[list[str], dict[str, str]]:
    """What lets a command run where the main process of a unit runs: in its files, as ``user`` (``uid:gid``), with its variables.

    Raises OSError when there is no such process.
    """
    shown = tools.runner(["systemctl", "show", "--property=MainPID", "--value", "--", spec["in_unit"]], timeout=spec["timeout"])
    # A unit without a process has 0, which no folder of /proc is called.
    pid = shown.out.strip() or "0"
    with open(f"/proc/{pid}/environ", encoding="utf-8", errors="surrogateescape") as file:
        variables = dict(line.partition("=")[::2] for line in file.read().split("\0") if "=" in line)
    uid, _colon, gid = spec["user"].partition(":")
    return ["nsenter", "--target", pid, "--mount", "--root", "--wd", "--setgid", gid or uid, "--setuid", uid, "--"], variables


def check_unit(spec: Spec, tools: Tools) -> Seen:
    """``systemctl show`` ends with 0 for units that do not exist, too; LoadState tells."""
    names = ("LoadState", "ActiveState", "SubState", "UnitFileState", "NRestarts")
    done = tools.runner(["systemctl", "show", f"--property={','.join(names)}", "--", spec["unit"]], timeout=spec["timeout"])
    if done.rc != 0:
        return Seen({}, (f"systemctl ended with {done.rc}: {done.err.strip()[:200]!r}",))
    shown = dict(line.partition("=")[::2] for line in done.out.splitlines() if "=" in line)
    state = {name: shown.get(name, "") for name in names}
    findings = []
    if state["LoadState"] not in ("loaded", "masked"):
        findings.append(f"LoadState is {state['LoadState']!r}, 'loaded' is wanted")
    if spec["active"] is not None and state["ActiveState"] != ("active" if spec["active"] else "inactive"):
        findings.append(
            f"ActiveState is {state['ActiveState']!r} ({state['SubState']}), {'active' if spec['active'] else 'inactive'!r} is wanted"
        )
    enabled = state["UnitFileState"] in ("enabled", "enabled-runtime", "alias")
    if spec["enabled"] is not None and (enabled != spec["enabled"] or not state["UnitFileState"]):
        findings.append(f"UnitFileState is {state['UnitFileState']!r}, {'enabled' if spec['enabled'] else 'not enabled'} is wanted")
    if spec["restarts"] is not None and (not state["NRestarts"].isdigit() or int(state["NRestarts"]) > spec["restarts"]):
        findings.append(f"systemd restarted it {state['NRestarts'] or 'an unknown number of'} times, at most {spec['restarts']} is wanted")
    return Seen(state, tuple(findings))


def check_disk(spec: Spec, tools: Tools) -> Seen:
    """What a process without privileges may still write. A path that does not exist yet is judged by what will hold it."""
    directory = os.path.abspath(spec["path"])
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    found = os.statvfs(directory)
    free = found.f_bavail * found.f_frsize
    enough = free >= spec["free_bytes"]
    said = () if enough else (f"{directory} has {free / 1e6:.0f} MB free, {spec['free_bytes'] / 1e6:.0f} MB are wanted",)
    return Seen({"path": spec["path"], "directory": directory, "free_bytes": free}, said)


def check_postgres(spec: Spec, tools: Tools) -> Seen:
    """Read-only covers a standby and a fence alike; both are what a client would meet."""
    try:
        import psycopg
    except ImportError as error:
        raise FleetError(
            "tool_missing",
            "psycopg 3 is not installed for this Python.",
            remedy="apt install python3-psycopg, or pip install 'psycopg[binary]'.",
        ) from error
    options = {key: spec[key] for key in ("host", "port", "dbname", "user", "passfile", "sslrootcert") if spec[key] is not None}
    told = {
        "sslmode": libpq.sslmode(spec["host"], spec["sslmode"]),
        "require_auth": libpq.require_auth(spec["host"], spec["sslmode"], psycopg.pq.version()),
    }
    options.update({key: value for key, value in told.items() if value})
    limit = max(1, int(spec["timeout"]))
    # libpq takes no connect_timeout below 2 s.
    options.update(connect_timeout=max(2, limit), options=f"-c statement_timeout={limit * 1000}", application_name="bowline gate")
    try:
        with psycopg.connect(**options, autocommit=True) as connection:
            row = connection.execute(
                "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'"
            ).fetchone()
    except psycopg.Error as error:
        return Seen({}, (f"{type(error).__name__}: {' '.join(str(error).split())}{_tls_hint(str(error))}",))
    if row is None:
        return Seen({}, ("the server gave no answer",))
    version, recovery, read_only = row
    seen = {"version": f"{version // 10000}.{version % 10000}", "read_write": not (recovery or read_only), "in_recovery": recovery}
    findings = []
    if spec["read_write"] is not None and seen["read_write"] != spec["read_write"]:
        findings.append(f"the database is {_mode(seen['read_write'])}, {_mode(spec['read_write'])} is wanted")
    if spec["version"] is not None and str(spec["version"]) not in (seen["version"], str(version // 10000)):
        findings.append(f"the server is version {seen['version']}, {spec['version']} is wanted")
    return Seen(seen, tuple(findings))


def _tls_hint(said: str) -> str:
    if not libpq.is_tls(said):
        return ""
    return ". Name the CA of the server with sslrootcert; in a path that is trusted, such as loopback, say sslmode: disable"


def _command_writes(spec: Spec) -> bool:
    return not spec["read_only"]


CHECKERS: t.Mapping[str, Checker] = {
    "http": Checker(check_http, HTTP, http_writes),
    "exchange": Checker(check_exchange, EXCHANGE, exchange_writes),
    "tcp": Checker(check_tcp, TCP),
    "free": Checker(check_free, FREE),
    "tls": Checker(check_tls, TLS),
    "command": Checker(check_command, COMMAND, _command_writes),
    "unit": Checker(check_unit, UNIT),
    "disk": Checker(check_disk, DISK),
    "postgres": Checker(check_postgres, POSTGRES),
    "prometheus": Checker(check_prometheus, PROMETHEUS, source=True),
}


def _mode(read_write: bool) -> str:
    return "read-write" if read_write else "read-only"
