# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configs and services of a cluster, in memory, with the rules that F11 names: names are unique, every write carries a version."""

from __future__ import annotations

import copy
import itertools

from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client.wire import Exists, Gone, OutOfSequence


class Cluster:
    """``step`` is called before each call takes effect: a test lets others go first there."""

    def __init__(self, step=lambda: None):
        self._step, self._numbers = step, itertools.count(1)
        self.stored: dict[str, dict[str, dict]] = {"config": {}, "service": {}}
        self.writes: list[tuple[str, str]] = []

    def configs(self, wanted=None):
        self._step()
        labels = dict(word.split("=", 1) for word in (wanted or {}).get("label", ()))
        found = [one for one in self.stored["config"].values() if labels.items() <= (one["Spec"].get("Labels") or {}).items()]
        return tuple(copy.deepcopy(found))

    def config(self, name):
        return self._read("config", name)

    def config_create(self, body):
        return self._create("config", body)

    def config_update(self, name, version, spec):
        self._update("config", name, version, spec)

    def config_remove(self, name):
        self._step()
        if self.stored["config"].pop(name, None) is None:
            raise Gone("conflict", f"{name} is gone")

    def service(self, name):
        return self._read("service", name)

    def service_create(self, spec):
        return self._create("service", spec)

    def service_update(self, name, version, spec):
        self._update("service", name, version, spec)

    def _read(self, kind, name):
        self._step()
        if name not in self.stored[kind]:
            raise Gone("conflict", f"{name} is gone")
        return copy.deepcopy(self.stored[kind][name])

    def _create(self, kind, spec):
        self._step()
        if any(one["Spec"]["Name"] == spec["Name"] for one in self.stored[kind].values()):
            raise Exists("conflict", f"{spec['Name']} exists")
        number = next(self._numbers)
        self.stored[kind][f"id{number}"] = {"ID": f"id{number}", "Version": {"Index": number}, "Spec": copy.deepcopy(spec)}
        return f"id{number}"

    def _update(self, kind, name, version, spec):
        self._step()
        if name not in self.stored[kind]:
            raise Gone("conflict", f"{name} is gone")
        one = self.stored[kind][name]
        if one["Version"]["Index"] != version:
            raise OutOfSequence("conflict", "update out of sequence")
        if kind == "config" and one["Spec"].get("Data") != spec.get("Data"):
            raise AssertionError("only labels of a config change")
        self.stored[kind][name] = {**one, "Version": {"Index": next(self._numbers)}, "Spec": copy.deepcopy(spec)}
