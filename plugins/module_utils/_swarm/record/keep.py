# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configs in which this collection keeps what it has to know of a cluster: locks, open work, revisions, salts.

They carry no label of a stack, so `docker stack rm` leaves them alone, and are found by their labels, not by their names.
"""

from __future__ import annotations

import base64
import getpass
import hashlib
import json
import os
import platform
import typing as t

from ..model import NAME_MAX, Json

KIND, SUBJECT, OWNER, SINCE, REASON, OPERATION = (
    f"bowline.{word}" for word in ("kind", "subject", "owner", "since", "reason", "operation")
)

# A label has no limit of its own in the engine; what people write is kept short enough to be shown.
LABEL_MAX = 500

# First words of our own names: a stack that is called like one gets a digest, so that its history is no lock.
_OURS = ("lock", "rollout", "drain", "salt", "service")


def name_of(*words: str, end: str = "") -> str:
    """``bowline.<words><end>`` with at most 64 characters; the last word is cut where it is too long, and made unique by a digest."""
    head, last = ".".join(("bowline", *words[:-1])), words[-1]
    plain = f"{head}.{last}{end}"
    if len(plain) <= NAME_MAX and not (len(words) == 1 and last in _OURS):
        return plain
    mark = f"-{hashlib.sha256(last.encode()).hexdigest()[:10]}"
    room = NAME_MAX - len(head) - 1 - len(mark) - len(end)
    return f"{head}.{last[:room].rstrip('.-_')}{mark}{end}"


def body(name: str, labels: t.Mapping[str, str], data: bytes) -> Json:
    """The body that makes such a config. The engine wants a byte of data at least."""
    return {"Name": name, "Labels": dict(labels), "Data": base64.b64encode(data or b"-").decode("ascii")}


def data_of(config: Json) -> bytes:
    return base64.b64decode(str((config.get("Spec") or {}).get("Data") or ""))


def json_of(config: Json) -> t.Any:
    """None where the data are no JSON."""
    try:
        return json.loads(data_of(config))
    except ValueError:
        return None


def labels_of(config: Json) -> dict[str, str]:
    return dict((config.get("Spec") or {}).get("Labels") or {})


def version_of(thing: Json) -> int:
    return int(thing["Version"]["Index"])


def relabelled(config: Json, labels: t.Mapping[str, str]) -> Json:
    """The spec of ``config`` with other labels; its data have to go along as they are."""
    return {**(config.get("Spec") or {}), "Labels": dict(labels)}


def wanted(kind: str, subject: t.Optional[str] = None) -> dict[str, list[str]]:
    """The filter for configs of ``kind``."""
    labels = [f"{KIND}={kind}"] + ([f"{SUBJECT}={subject}"] if subject is not None else [])
    return {"label": labels}


def said(text: t.Any) -> str:
    """``text`` as a label can hold it and a terminal can show it: one line."""
    return " ".join(str(text or "").split())[:LABEL_MAX]


def whoami() -> str:
    """``user@host (pid 7)`` of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.geteuid())
    return f"{user}@{platform.node() or 'unknown'} (pid {os.getpid()})"
