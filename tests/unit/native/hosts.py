# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that exists in memory only, and manifests that the tests share."""

from __future__ import annotations

import typing as t

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._native.model import UnitState


def manifest(name: str, *services: t.Mapping[str, t.Any], **keys: t.Any) -> dict[str, t.Any]:
    return {"schema_version": 1, "name": name, "version": "1.0.0", "services": list(services), **keys}


def service(name: str, **keys: t.Any) -> dict[str, t.Any]:
    return {"name": name, "start_command": [f"/usr/bin/{name}"], **keys}


def params(*manifests: t.Mapping[str, t.Any], **keys: t.Any) -> dict[str, t.Any]:
    return {
        "stack": "hub",
        "modules": [{"manifest": item} for item in manifests],
        "state": "active",
        "services": {},
        "credentials": {},
        "credentials_directory": None,
        "inputs": {},
        "changing": [],
        "reload": [],
        "approved": [],
        "accept_open_ports": [],
        "purge": False,
        "replaces": [],
        "wait": True,
        "wait_timeout": 0,
        **keys,
    }


class FakeHost:
    """systemd as far as `run` uses it; every act has its own time on ``clock``. ``acts`` is what was done."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.units: dict[str, UnitState] = {}
        self.times: dict[str, float] = {}
        self.acts: list[str] = []
        self.broken: set[str] = set()
        self.refused: set[str] = set()
        self.clock = 100.0

    def tick(self) -> float:
        self.clock += 1
        return self.clock

    def texts(self, stack: str, names: t.Iterable[str]) -> dict[str, str]:
        wanted = set(names)
        return {name: text for name, text in self.files.items() if name in wanted or f"X-Bowline-Stack={stack}" in text.splitlines()}

    def modified(self, names: t.Iterable[str], paths: t.Iterable[str]) -> dict[str, float]:
        return {key: self.times[key] for key in [*names, *paths] if key in self.times}

    def states(self, names: t.Sequence[str]) -> dict[str, UnitState]:
        return {name: self.units.get(name, UnitState()) for name in names}

    def check(self, texts: t.Mapping[str, str]) -> None:
        refused = sorted(self.refused & set(texts))
        if refused:
            raise FleetError("unit_invalid", f"systemd refuses {refused}.")

    def write(self, name: str, text: str) -> None:
        self.acts.append(f"write {name}")
        self.files[name] = text
        self.times[name] = self.tick()
        self._set(name, load="loaded", file=self.units.get(name, UnitState(file="disabled")).file or "disabled")

    def remove(self, name: str) -> None:
        self.acts.append(f"remove {name}")
        del self.files[name]
        self.units.pop(name, None)

    def act(self, verb: str, unit: str) -> None:
        self.acts.append(f"{verb} {unit}".rstrip())
        if unit in self.broken and verb in ("start", "restart"):
            self._set(unit, active="failed")
            raise self.failure(unit, "it broke")
        changes: dict[str, dict[str, t.Any]] = {
            "start": {"active": "active", "since": self.tick(), "restarts": 0},
            "restart": {"active": "active", "since": self.tick(), "restarts": 0},
            "reload": {"since": self.tick()},
            "reset_failed": {"restarts": 0},
            "stop": {"active": "inactive"},
            "enable": {"file": "enabled"},
            "disable": {"file": "disabled"},
            "mask": {"load": "masked", "file": "masked"},
            "unmask": {"load": "loaded", "file": "disabled"},
        }
        if verb in changes:
            self._set(unit, **changes[verb])

    def failure(self, unit: str, sentence: str) -> FleetError:
        return FleetError("unit_failed", sentence)

    def _set(self, name: str, **changes: t.Any) -> None:
        self.units[name] = UnitState(**{**vars(self.units.get(name, UnitState())), **changes})
