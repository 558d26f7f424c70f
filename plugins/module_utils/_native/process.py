# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a container engine gives a process and a unit has to give, too: resource limits and the signal that ends it. Pure."""

from __future__ import annotations

import re
import typing as t

from .findings import Findings
from .model import LIMITS, Limit

# By number, as Linux has them on x86 and ARM (signal(7)); an image may name its signal by number.
_SIGNALS = (
    "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD",
    "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
)  # fmt: skip
_REAL_TIME = re.compile(r"RTM(IN\+|AX-)([0-9]|[12][0-9]|30)\Z")
_UNLIMITED = (-1, "infinity", "unlimited")
_LARGEST = 2**63 - 1


def stop_signal(findings: Findings, path: str, value: t.Any, default: str) -> str:
    """``SIGINT``, ``INT``, ``2`` and ``SIGRTMIN+3`` are read, as container engines read them; the answer begins with SIG."""
    if value is None:
        return default
    name = str(value).upper() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if name.isdigit() and 0 < int(name) < len(_SIGNALS):
        name = _SIGNALS[int(name)]
    name = name[3:] if name.startswith("SIG") else name
    if name and (name in _SIGNALS or _REAL_TIME.match(name)):
        return f"SIG{name}"
    findings.add(path, f"must be a signal such as SIGINT; is {value!r}.")
    return default


def limits(findings: Findings, path: str, value: t.Any, defaults: t.Sequence[Limit]) -> tuple[Limit, ...]:
    """Limits by name over ``defaults``, sorted: a number for both, or ``{soft, hard}``; -1 and infinity are no limit."""
    given = findings.mapping(path, value, LIMITS) if value is not None else {}
    found = {limit.name: limit for limit in defaults}
    for name in sorted(set(given) & set(LIMITS)):
        pair = given[name]
        if isinstance(pair, t.Mapping):
            inside = findings.mapping(f"{path}.{name}", pair, ("soft", "hard"))
            soft, hard = (_number(findings, f"{path}.{name}.{key}", inside.get(key)) for key in ("soft", "hard"))
        else:
            soft = hard = _number(findings, f"{path}.{name}", pair)
        if hard is not None and (soft is None or soft > hard):
            findings.add(f"{path}.{name}", "soft must not be above hard.")
        if name == "nice" and not all(end is not None and end <= 40 for end in (soft, hard)):
            # A number without a sign is the raw limit for systemd and setrlimit(2) alike, not a nice value.
            findings.add(f"{path}.nice", "must be a limit from 0 (nice 20) to 40 (nice -20).")
        found[name] = Limit(name, soft, hard)
    return tuple(found[name] for name in sorted(found))


def _number(findings: Findings, path: str, value: t.Any) -> t.Optional[int]:
    """None is no limit."""
    if not isinstance(value, bool) and value in _UNLIMITED:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        findings.add(path, f"must be a whole number from 0, or infinity; is {value!r}.")
        return 0
    return int(value)
