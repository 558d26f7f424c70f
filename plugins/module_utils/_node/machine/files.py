# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files beside a machine: credentials that nobody else reads, and consoles. Values of credentials go from file to file and nowhere else."""

from __future__ import annotations

import os
import re
import struct
import typing as t

from ..._core import private
from ..._core.errors import FleetError
from ..._core.runner import Runner
from ..._core.visible import visible

# systemd.exec(5): a credential is at most 1 MiB, and so are all of them.
_LARGEST = 1 << 20
_TAIL, _BOOT = 64 * 1024, 1 << 20
# Before the public host key of a machine, on its console; image/tree.py lets it say so at each boot.
TOLD = "bowline-host-key: "
_KEY = re.compile(re.escape(TOLD) + r"(ssh-ed25519 [A-Za-z0-9+/]{68})(?![A-Za-z0-9+/=])")
# Colours and movements of a terminal: ECMA-48, 5.4, control sequences.
_MOVES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def copied_credentials(credentials: t.Mapping[str, str], folder: str) -> None:
    """Copy each file into ``folder`` under the name of its credential, 0600; no folder when there are none. Raises FleetError "unsafe_path"."""
    if not credentials:
        return
    private.folder(folder, 0o700)
    for name, source in credentials.items():
        try:
            content = private.read(source, 0o600)
        except FileNotFoundError as error:
            raise FleetError(
                "option_invalid",
                f"spec.credentials.{name}: {source} does not exist on the host. No machine was made.",
                remedy="Write the file first (mode 0600), or take the credential out.",
                details={"name": name, "path": source},
            ) from error
        if len(content) > _LARGEST:
            raise FleetError(
                "option_invalid",
                f"spec.credentials.{name}: {source} has {len(content)} bytes; systemd takes at most {_LARGEST}. No machine was made.",
                remedy="Give a smaller file.",
                details={"name": name, "path": source},
            )
        private.write(os.path.join(folder, name), content, 0o600)


def tree_removed(run: Runner, path: str) -> None:
    """Remove a folder with all that is in it, and nothing of another file system. One that is not there is left alone."""
    if not os.path.lexists(path):
        return
    done = run(["rm", "-rf", "--one-file-system", "--", path], timeout=300)
    if done.rc or os.path.lexists(path):
        raise FleetError(
            "timeout",
            f"{path} could not be removed: {done.err.strip()[-300:] or 'it is still there'}",
            remedy="Look at what is mounted or kept below it, then run again.",
            details={"path": path},
        )


def last_lines(path: str, lines: int) -> t.List[str]:
    """The last lines of a console, without what a terminal would obey; empty when it said nothing yet."""
    kept = [str(visible(_MOVES.sub("", line).strip()))[:300] for line in _tail(path, _TAIL).splitlines()]
    return [line for line in kept if line][-lines:] if lines > 0 else []


def told_key(path: str) -> str:
    """The host key that a machine has told on its console at its last boot, as type and base64 text; empty when it told none.

    Who can write there is root on the machine or on its host, and nobody on the way to it.
    """
    found = _KEY.findall(_tail(path, _BOOT))
    return str(found[-1]) if found else ""


def _tail(path: str, size: int) -> str:
    try:
        descriptor = private.open_file(path, os.O_RDONLY, 0o644)
    except FileNotFoundError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - size))
        return file.read(size).decode("utf-8", "replace")


def overlay(path: str) -> t.Tuple[str, int]:
    """The file that a qcow2 is laid over, and its size in bytes for the guest; empty and 0 for what is no such disk.

    Its header: https://www.qemu.org/docs/master/interop/qcow2.html#header
    """
    try:
        with open(path, "rb") as file:
            magic, _version, offset, length, _cluster_bits, size = struct.unpack(">4sIQIIQ", file.read(32))
            if magic != b"QFI\xfb" or length > 1023:
                return "", 0
            file.seek(offset)
            return file.read(length).decode("utf-8", "surrogateescape") if offset else "", int(size)
    except (OSError, struct.error):
        return "", 0
