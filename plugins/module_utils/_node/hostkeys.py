# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Host keys of machines, pinned in a known_hosts file of the fleet. Pure.

One line a machine: its names, its key, and as comment the node and the instance whose key it is, so that the key of a machine that is gone is told
from one that was swapped. Source: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
"""

from __future__ import annotations

import re
import typing as t

from .._core.finding import Finding

_KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) ([A-Za-z0-9+/]{40,2000}={0,2})(?: [^\n]{0,300})?\n?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:%-]{0,252}")
_REMEDY = "Find out who answers there. If the machine was made anew on purpose, end its instance first; if nobody knows, take it off the network."


class Pin(t.NamedTuple):
    """``names`` as they stand in the file; ``key`` is type and base64 text; ``node`` and ``instance`` are empty for a line of somebody else."""

    names: t.Tuple[str, ...]
    key: str
    node: str
    instance: str
    line: str


def key_of(text: str) -> str:
    """Type and base64 text of the line of a public key; empty when it is none."""
    match = _KEY.fullmatch(text)
    return f"{match.group(1)} {match.group(2)}" if match else ""


def names_of(addresses: t.Iterable[str], port: int) -> t.Tuple[str, ...]:
    """Names under which ssh looks a host up: ``[address]:port`` for another port than 22. What cannot be a name is left out."""
    good = [address for address in dict.fromkeys(addresses) if _NAME.fullmatch(address)]
    return tuple(good if port == 22 else [f"[{address}]:{port}" for address in good])


def pins(text: str) -> t.List[Pin]:
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 3 or line.startswith(("#", "@")):
            found.append(Pin((), "", "", "", line))
            continue
        ours = words[3:] if len(words) == 5 else ["", ""]
        found.append(Pin(tuple(words[0].split(",")), " ".join(words[1:3]), ours[0], ours[1], line))
    return found


def pinned(text: str, wanted: Pin, live: t.Collection[str]) -> t.Tuple[str, t.List[Finding]]:
    """The file with the key of ``wanted``, and what speaks against it; then the file stays as it was.

    ``live`` are ids of instances that have not ended: the key of one that has is forgotten.
    """
    ours = " ".join([",".join(wanted.names), wanted.key, wanted.node, wanted.instance])
    kept, wrong = [], []
    for pin in pins(text):
        mine = pin.instance == wanted.instance and pin.instance != ""
        if pin.line == ours or (not mine and not set(pin.names) & set(wanted.names)):
            kept.append(pin.line)
        elif mine and pin.key != wanted.key:
            wrong.append(_changed(wanted, f"The machine of {wanted.node} has another host key than the one that was pinned when it enrolled."))
        elif not mine and (pin.instance in live or not pin.instance):
            whose = f"the machine of {pin.node}, which lives" if pin.node else "a host that is not of this fleet"
            if pin.key != wanted.key:
                wrong.append(_changed(wanted, f"{', '.join(sorted(set(pin.names) & set(wanted.names)))} is pinned with the host key of {whose}."))
            kept.append(pin.line)
    if wrong:
        return text, wrong
    if ours not in kept:
        kept.append(ours)
    return "\n".join(kept) + "\n", []


def forgotten(text: str, node: str) -> str:
    """The file without the keys of machines of ``node``."""
    kept = [pin.line for pin in pins(text) if not pin.node or pin.node != node]
    return "\n".join(kept) + "\n" if kept else ""


def seen(wanted: Pin, expected: str, scanned: str) -> t.List[Finding]:
    """What speaks against the key that the machine itself showed: ``expected`` is what its provider said, ``scanned`` what ssh-keyscan(1) got."""
    found = []
    if not wanted.key:
        found.append(_changed(wanted, "What the machine shows as its host key is no public key of ssh."))
    if expected and key_of(expected) != wanted.key:
        found.append(_changed(wanted, "The machine has another host key than the one that was expected."))
    answers = {" ".join(line.split()[1:3]) for line in scanned.splitlines() if line and not line.startswith("#")}
    same = {answer for answer in answers if answer.split()[0] == wanted.key.split(" ")[0]}
    if same and wanted.key not in same:
        found.append(_changed(wanted, "Who answers at its address has another host key than the machine itself: somebody stands between."))
    return found


def _changed(wanted: Pin, message: str) -> Finding:
    return Finding("host_key_changed", "fail", wanted.node, message, _REMEDY)
