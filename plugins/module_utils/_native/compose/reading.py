# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One service while it is read: what it says, and a place for what is noticed."""

from __future__ import annotations

import re
import typing as t

from ..._core.finding import Finding
from ..findings import kind_of
from .model import Carried, Image, Json

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmgt]?)(?:i?b)?\Z", re.IGNORECASE)
_LABEL = re.compile(r"[^a-z0-9]+")


def label(name: str) -> str:
    """The DNS label that stands for a name of compose, which may have points and underscores."""
    return _LABEL.sub("-", name.lower()).strip("-")[:63]


def plain(value: t.Any) -> t.Any:
    """``value`` with ``$$`` as ``$``: the output of `docker compose config` can be given to it again, so it escapes each one."""
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, t.Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def seconds(text: t.Any) -> t.Optional[float]:
    """Of ``1m30s``, of a number of seconds, None for what is neither."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return float(text)
    parts = _DURATION.findall(str(text))
    whole = "".join(number + unit for number, unit in parts)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts and whole == str(text) else None


def size(text: t.Any) -> t.Optional[int]:
    """Bytes of ``512m``, of a number of bytes, None for what is neither."""
    match = _SIZE.match(str(text).strip())
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " ")) if match else None


class Reading:
    """``spec`` is the service of the resolved project with ``$$`` undone, ``project`` the whole of it, ``stack`` the name it gets."""

    def __init__(self, stack: str, name: str, project: Json, image: Image) -> None:
        given = project.get("services") or {}
        self.stack, self.name, self.project, self.image = stack, name, project, image
        self.spec: dict[str, t.Any] = {key: value for key, value in dict(given.get(name) or {}).items() if value is not None}
        self.resets = tuple(key for key, value in dict(given.get(name) or {}).items() if value == [] and key in ("entrypoint", "command"))
        self.refused: list[Finding] = []
        self.warned: list[Finding] = []
        self.left_out: dict[str, str] = {}
        self.carried: list[Carried] = []

    def refuse(self, key: str, sentence: str, remedy: str = "") -> None:
        """The service stays behind, because of ``key``."""
        words = remedy or f"Leave it on the old host, or take {key} out of the service and run this again."
        self.refused.append(Finding("stays_behind", "fail", self.name, f"{self.name}: {key} {sentence}.", words, f"services.{self.name}.{key}"))

    def warn(self, key: str, sentence: str, remedy: str) -> None:
        """The service is converted, and something is not as it was."""
        self.warned.append(Finding("differs_natively", "warn", self.name, f"{self.name}: {key} {sentence}.", remedy, f"services.{self.name}.{key}"))

    def leave(self, key: str, sentence: str) -> None:
        self.left_out[key] = sentence

    def mapping(self, key: str, value: t.Any, known: t.Collection[str]) -> dict[str, t.Any]:
        """``value`` without what is None; a key that is not known refuses the service, so that nothing below a key is dropped either."""
        if not isinstance(value, t.Mapping):
            self.refuse(key, f"must be a mapping, is {kind_of(value)}")
            return {}
        given = {str(name): item for name, item in value.items() if item is not None}
        for name in sorted(set(given) - set(known)):
            self.refuse(f"{key}.{name}", "is not known here, and nothing is dropped silently")
        return given

    def items(self, key: str) -> list[t.Any]:
        value = self.spec.get(key) or []
        if not isinstance(value, list):
            self.refuse(key, f"must be a list, is {kind_of(value)}; give the output of `docker compose config`")
            return []
        return value

    def seconds(self, key: str, value: t.Any, default: float) -> float:
        found = default if value is None else seconds(value)
        if found is None:
            self.refuse(key, f"must be a duration such as 1m30s, is {value!r}")
        return default if found is None else found

    def size(self, key: str, value: t.Any) -> int:
        found = size(value)
        if found is None:
            self.refuse(key, f"must be a size such as 512m, is {value!r}")
        return found or 0

    def number(self, key: str, value: t.Any) -> float:
        try:
            return float(value)
        except (TypeError, ValueError):
            self.refuse(key, f"must be a number, is {value!r}")
            return 0.0
