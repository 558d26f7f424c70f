# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Resolve the variables of a move and say what each host is to be asked; see the module's documentation in plugins/modules/preflight_info.py."""

from __future__ import annotations

import datetime
import os
import re
import typing as t

from ansible.errors import AnsibleError

from ..module_utils._core.preflight import exposed, misspelt
from ..plugin_utils import asks, certificates, variables
from ..plugin_utils.fleet_action import FleetAction
from ..plugin_utils.inventory import swallowed

_ROLES = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "roles")
# Facts that these roles set for each other are no variables of an inventory.
_FACTS = re.compile(r"(cutover_preflight|operation|report)_")
# Variables that name folders of the controller with something else than inventory in them.
_PLACES = ("cutover_preflight_secrets", "report_directory", "report_log_directory", "traffic_probe_directory")
# Which variables an ask of a role cannot do without.
_NEEDS = {
    "databases": ("pg_move_",),
    "edges": ("edge_",),
    "names": ("dns_",),
    "probe": ("traffic_probe_",),
    "snapshot": ("snapshot_", "pg_move_"),
}


class ActionModule(FleetAction):
    """Reads files of the controller only; no host is reached."""

    SPEC: t.ClassVar[dict[str, t.Any]] = {
        "roles": {"type": "list", "elements": "str", "required": True},
        "parts": {"type": "list", "elements": "str", "choices": list(_NEEDS), "default": list(_NEEDS)},
    }

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        specs = [self._read(role, "meta/argument_specs.yml") or {} for role in params["roles"]]
        roles = [variables.role_of(role, spec, self._read(role, "defaults/main.yml")) for role, spec in zip(params["roles"], specs)]
        ours = re.compile(f"({'|'.join(['cutover', *params['roles']])})_")
        given = {name: value for name, value in task_vars.items() if ours.match(name)}
        findings: list[dict[str, t.Any]] = [*misspelt([name for name in given if not _FACTS.match(name)], specs)]
        idle = [role for role in params["roles"] if role in _NEEDS and role not in params["parts"]]
        resolved = variables.resolve(roles, given, self._templating(task_vars), idle)
        values = resolved.values
        findings += [finding.as_dict() for finding in resolved.findings]
        places = {name: values.get(name) for name in _PLACES}
        findings += swallowed(task_vars.get("ansible_inventory_sources") or (), {name: [str(each) for each in (place if isinstance(place, list) else [place])]
                                                                                 for name, place in places.items() if place})  # fmt: skip
        findings += exposed([str(place) for place in values.get("cutover_preflight_secrets") or []], "cutover_preflight_secrets")
        hosts = set(task_vars.get("hostvars") or ()) | {"localhost"}
        files, paths = self._files(values)
        chains = certificates.served(files)
        groups = task_vars.get("groups") or {}
        collected = asks.collect(values, hosts, groups, self._found, chains=chains, unresolved=resolved.open)
        now = datetime.datetime.now(datetime.timezone.utc)
        findings += [finding.as_dict() for finding in [*collected.findings, *certificates.judge(files, paths, now)]]
        wanted = [values.get("cutover_legacy_host"), values.get("cutover_target_host"), *(values.get("cutover_preflight_hosts") or [])]
        told = asks.as_data(collected)
        known = [host for host in dict.fromkeys([*wanted, *told["checks"]]) if host in hosts]
        ready = {part: not any(name.startswith(needs) for name in resolved.open) for part, needs in _NEEDS.items()
                 if part in params["parts"] and (part != "snapshot" or values.get("cutover_snapshot"))}  # fmt: skip
        containers = {"host": collected.legacy if collected.legacy in hosts else "", "names": values.get("cutover_preflight_containers") or []}
        return {"changed": False, "findings": findings, "hosts": known, "ready": ready, "containers": containers, **told}

    def _read(self, role: str, path: str) -> t.Any:
        file = os.path.join(_ROLES, role, path)
        return self._loader.load_from_file(file, trusted_as_template=True) if os.path.isfile(file) else None

    def _templating(self, task_vars: t.Mapping[str, t.Any]) -> variables.Template:
        """A template sees what the role will see: its own defaults below everything else."""
        made: dict[int, t.Any] = {}

        def template(value: t.Any, defaults: t.Mapping[str, t.Any]) -> t.Any:
            if id(defaults) not in made:
                made[id(defaults)] = self._templar.copy_with_new_env(available_variables={**defaults, **task_vars})
            return made[id(defaults)].template(value)

        return template

    def _found(self, path: str) -> str | None:
        """Where a file of the controller is that role native_stack would copy; None where it is not, or cannot be read."""
        return self._find_needle("files", path) if self._content(path) is not None else None

    def _content(self, path: str) -> bytes | None:
        """What is in it, decrypted if ansible-vault encrypted it; None as above."""
        try:
            with open(self._loader.get_real_file(self._find_needle("files", path)), "rb") as file:
                return file.read()
        except (AnsibleError, OSError):
            return None

    def _files(self, values: t.Mapping[str, t.Any]) -> tuple[dict[str, bytes], dict[str, str]]:
        """Content and path of what C2 writes, by field."""
        paths, files = {}, {}
        for item in values.get("native_stack_files") or []:
            place = f"native_stack_files[{item.get('path')}]"
            content = self._content(item["source"]) if item.get("source") else str(item.get("content") or "").encode()
            if content:
                paths[place], files[place] = str(item.get("path")), content
        return files, paths
