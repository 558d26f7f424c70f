# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# bowline: shipped program

"""bowline-node: says once how the machine is. It opens no connection, takes no command from anybody and keeps nothing.

Verbs: ``heartbeat`` writes the status, ``show`` prints it, ``digest`` prints what this file is.
Ends with 0; 1 when the status was told, but something could not be read; 2 for a wrong word; 3 when it could not be written, and the last one stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sys
import typing as t

from . import document, host

# Seconds after which the kernel ends this program, whatever it waits for.
LIMIT = 20


def main(argv: t.Sequence[str], archive: str, places: host.Places = host.Places(), asked: host.Asked = host.ask) -> int:
    """Run the verb of ``argv``; ``archive`` is the file that runs."""
    verb = argv[0] if len(argv) == 1 else ""
    if verb not in ("heartbeat", "show", "digest"):
        sys.stderr.write("bowline-node: one of heartbeat, show, digest\n")
        return 2
    signal.alarm(LIMIT)
    try:
        return _run(verb, archive, places, asked)
    finally:
        signal.alarm(0)


def _run(verb: str, archive: str, places: host.Places, asked: host.Asked) -> int:
    digest = digest_of(archive)
    if verb == "digest":
        sys.stdout.write(f"{digest}\n")
        return 0
    status = document.document(host.look(places, digest, asked))
    for problem in status["problems"]:
        sys.stderr.write(f"bowline-node: {problem}\n")
    if verb == "show":
        sys.stdout.write(document.as_bytes(status).decode())
    else:
        try:
            write(places.path(places.status), document.as_bytes(status))
        except OSError as error:
            sys.stderr.write(f"bowline-node: {places.status} was not written: {error}\n")
            return 3
    return 1 if status["problems"] else 0


def digest_of(path: str) -> str:
    with open(path, "rb") as file:
        return f"sha256:{hashlib.sha256(file.read()).hexdigest()}"


def write(path: str, content: bytes) -> None:
    """Beside ``path``, then renamed: who reads sees the whole old or the whole new one. Raises OSError, and leaves the old one."""
    temporary = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o644)
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
