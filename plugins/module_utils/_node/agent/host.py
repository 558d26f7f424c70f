# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# bowline: shipped program

"""What is read of the machine that this runs on: its kernel, its disks, its identity, systemd. Nothing here waits longer than it says."""

from __future__ import annotations

import asyncio
import asyncio.subprocess
import json
import os
import time
import typing as t
from dataclasses import dataclass

from . import document

# Seconds that one question to systemd may take. Two of them and all else end well before the next heartbeat.
PATIENCE = 5.0

_LARGEST = 1024 * 1024
_PROPERTIES = "Id,LoadState,ActiveState,UnitFileState"
# systemd.unit(5), table 1; units of a package are nobody's that carries our marks.
_UNIT_FOLDERS = ("etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system")


@dataclass(frozen=True)
class Places:
    """Where things are; ``root`` is / outside of tests."""

    root: str = "/"
    identity: str = "etc/bowline/node"
    status: str = "run/bowline/status.json"

    def path(self, *words: str) -> str:
        return os.path.join(self.root, *words)


Asked = t.Callable[[t.Sequence[str]], str]


def ask(argv: t.Sequence[str]) -> str:
    """What a program prints. Raises OSError when it is missing, fails, or says nothing for `PATIENCE` seconds."""
    code, out, err = asyncio.run(_ended(argv))
    if code:
        raise OSError(f"{' '.join(argv[:2])} ended with {code}: {err.strip()[:200]}")
    return out


async def _ended(argv: t.Sequence[str]) -> t.Tuple[int, str, str]:
    quiet, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "SYSTEMD_PAGER": ""}
    process = await asyncio.create_subprocess_exec(*argv, stdin=quiet, stdout=pipe, stderr=pipe, env=env)
    try:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()
        raise OSError(f"{' '.join(argv[:2])} said nothing for {PATIENCE:g} s") from None
    return process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace")


def look(places: Places, agent: str, asked: Asked = ask) -> document.Host:
    """All that is told of this machine. What cannot be read is a problem in the document, not the end of it."""
    problems: t.List[str] = []

    def tried(read: t.Callable[[], t.Any], otherwise: t.Any) -> t.Any:
        try:
            return read()
        except (OSError, ValueError) as error:
            problems.append(str(error))
            return otherwise

    folder = places.path(places.identity)
    ours = tried(lambda: marked(places), {})
    names = [*sorted(ours), *document.RUNTIME_UNITS]
    show = ["systemctl", "show", f"--property={_PROPERTIES}", "--", *names]
    failed = ["systemctl", "list-units", "--all", "--state=failed", "--plain", "--no-legend", "--full", "--no-pager"]
    units = tried(lambda: document.units(asked(show)), None)
    return document.Host(
        boot_id=tried(lambda: _text(places.path("proc/sys/kernel/random/boot_id")).strip(), ""),
        elapsed=time.clock_gettime(time.CLOCK_BOOTTIME),
        now=time.time(),
        agent=agent,
        identity=tried(lambda: _identity(os.path.join(folder, "identity.json")), {}),
        has_key=tried(lambda: os.path.exists(os.path.join(folder, "key.pem")), False),
        certificate_not_after=tried(lambda: _certificate(os.path.join(folder, "cert.pem")), None),
        marked=ours,
        units=units,
        # A systemd that has not answered once is not asked again.
        failed=tried(lambda: document.failed_names(asked(failed)), None) if units is not None else None,
        swarm=tried(lambda: os.path.exists(places.path("var/lib/docker/swarm/docker-state.json")), False),
        disks=tried(lambda: _disks(places), ()),
        load=tried(os.getloadavg, ()),
        memory=tried(lambda: _memory(_text(places.path("proc/meminfo"))), {}),
        problems=problems,
    )


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(_LARGEST)


def _identity(path: str) -> t.Dict[str, str]:
    """Whose machine this is; empty on one that has not enrolled."""
    try:
        given = json.loads(_text(path))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise ValueError(f"{path} cannot be read as JSON") from None
    return {name: str(given[name]) for name in ("instance", "node", "fleet") if name in given} if isinstance(given, dict) else {}


def _certificate(path: str) -> t.Optional[float]:
    try:
        return document.not_after(_text(path))
    except FileNotFoundError:
        return None
    except ValueError:
        raise ValueError(f"{path} holds no certificate") from None


def marked(places: Places) -> t.Dict[str, t.Dict[str, str]]:
    """Marks of each unit of ours, by its name."""
    found = {}
    for folder in _UNIT_FOLDERS:
        try:
            entries = sorted(os.listdir(places.path(folder)))
        except FileNotFoundError:
            continue
        for entry in (name for name in entries if name.endswith(".service") and name not in found):
            path = places.path(folder, entry)
            # A link out of here (an alias, a mask) is no unit file, and what it leads to is found by its own name.
            marks = document.marks(_text(path)) if os.path.isfile(path) and not os.path.islink(path) else {}
            if marks:
                found[entry] = marks
    return found


def _disks(places: Places) -> t.List[t.Tuple[str, int, int]]:
    """Size and room of the file systems that services write to, by statvfs(3)."""
    found, seen = [], set()
    for mount in ("/", "/var", "/tmp"):
        path = places.path(mount.lstrip("/")) if mount != "/" else places.root
        if os.path.isdir(path) and os.stat(path).st_dev not in seen:
            seen.add(os.stat(path).st_dev)
            state = os.statvfs(path)
            found.append((mount, state.f_blocks * state.f_frsize, state.f_bavail * state.f_frsize))
    return found


def _memory(text: str) -> t.Dict[str, int]:
    """Bytes, from proc_meminfo(5), which counts kibibytes."""
    values = dict(line.partition(":")[::2] for line in text.splitlines())
    return {name.lower(): int(values[key].split()[0]) * 1024 for name, key in (("total", "MemTotal"), ("available", "MemAvailable")) if key in values}
