# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open, journal and close an operation; see the module's documentation in plugins/modules/operation.py."""

from __future__ import annotations

import time
import typing as t

from ..module_utils._core.errors import FleetError
from ..module_utils._core.result import failed
from ..module_utils._store.journal import checked, failure_of, planned, refusal, reports_of
from ..plugin_utils.fleet_action import FleetAction

STEP: dict[str, t.Any] = {"id": {"type": "str", "required": True}, "name": {"type": "str"}}


class ActionModule(FleetAction):
    """Never reports ``changed``: the journal says what happened to the world, it is no part of it."""

    SPEC: t.ClassVar[dict[str, t.Any]] = {
        "state": {"type": "str", "required": True, "choices": ["opened", "step", "closed", "refused"]},
        "store": {"type": "str"},
        "journal": {"type": "dict"},
        "kind": {"type": "str"},
        "subjects": {"type": "list", "elements": "str"},
        "steps": {"type": "list", "elements": "dict", "options": {**STEP, "wanted": {"type": "bool", "default": True}}, "default": []},
        "lease_ttl": {"type": "float", "default": 900},
        "take_over": {"type": "str"},
        "reason": {"type": "str"},
        "vcs_ref": {"type": "str"},
        "parameters": {"type": "dict", "default": {}},
        "step": {"type": "dict", "options": STEP},
        "status": {"type": "str", "choices": ["started", "reported", "done", "failed", "skipped"]},
        "reports": {"type": "list", "elements": "dict", "default": []},
        "failed_task": {"type": "str"},
        "failed_result": {"type": "dict"},
        "outcome": {"type": "str", "choices": ["succeeded", "failed", "rolled_back"]},
        "result": {"type": "dict", "default": {}},
        "code": {"type": "str"},
        "findings": {"type": "list", "elements": "dict", "default": []},
    }
    CONSTRAINTS: t.ClassVar[dict[str, t.Any]] = {
        "required_if": [
            ("state", "opened", ["kind", "subjects"]),
            ("state", "step", ["journal", "step", "status"]),
            ("state", "closed", ["journal", "outcome"]),
            ("state", "refused", ["code", "findings"]),
        ]
    }

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        outcome = super().run(tmp, task_vars)
        if outcome.get("failed") and self._task.args.get("state") == "refused":
            # The message has each finding on a line of its own. Ansible shows an invocation with -vvv only, so that they are not read twice.
            outcome["invocation"] = {"module_args": {"findings": outcome["failure"]["details"].pop("findings", [])}}
        journal = self._task.args.get("journal")
        if outcome.get("failed") and isinstance(journal, dict):
            # The result is registered over the journal, and the rescue of the play still needs it.
            outcome = {**{key: journal[key] for key in ("operation", "steps") if key in journal}, **outcome}
        return outcome

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        doing = {"opened": self._opened, "step": self._step, "closed": self._closed, "refused": self._refused}
        return {"changed": False, **doing[params["state"]](params, task_vars)}

    def _opened(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        with self.store(params["store"], task_vars) as store:
            document = store.open(
                params["kind"],
                params["subjects"],
                planned(params["steps"]),
                lease_ttl=params["lease_ttl"],
                reason=params["reason"],
                vcs_ref=params["vcs_ref"],
                parameters=params["parameters"],
                take_over=params["take_over"],
            )
        return _journal({**document, "id": "check"} if self.check_mode else document)

    def _step(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        if params["status"] != "failed":
            return self._mark(params, task_vars, None)
        failure = failure_of(params["failed_result"], params["failed_task"])
        try:
            recorded = self._mark(params, task_vars, failure)
        except FleetError as error:
            # The first cause is what the operator needs; that it could not be recorded is said beside it.
            recorded = _journal(_document(params["journal"]))
            failure["message"] += f" The journal could not record this: {error.message}"
        # Recording a failure is no failure; the step ends with a task of its own.
        return {**recorded, "failure": failed(FleetError(**failure))["failure"]}

    def _mark(self, params: dict[str, t.Any], task_vars: dict[str, t.Any], failure: dict[str, t.Any] | None) -> dict[str, t.Any]:
        host, step, reports = task_vars["inventory_hostname"], params["step"], reports_of(params["reports"])
        before = _document(params["journal"])
        if self.check_mode:
            document = checked(before, step, host, params["status"], time.time(), reports=reports, failure=failure)
        else:
            with self.store(params["store"], task_vars) as store:
                document = store.mark(before["id"], step, host, params["status"], reports=reports, failure=failure)
        seen = next(entry for entry in document["steps"] if entry["id"] == step["id"])
        return {**_journal({**before, **document}), "step": seen}

    def _closed(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        before = _document(params["journal"])
        if self.check_mode:
            return _journal({**before, "outcome": params["outcome"]})
        with self.store(params["store"], task_vars) as store:
            return _journal({**before, **store.end(before["id"], params["outcome"], params["result"])})

    def _refused(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        raise refusal(params["code"], params["findings"])


def _document(journal: dict[str, t.Any]) -> dict[str, t.Any]:
    """The way back from `_journal`."""
    if not journal.get("operation"):
        raise FleetError("operation_unknown", "No operation is open in this play.", remedy="Include role bowline.fleet.operation first.")
    return {**journal["operation"], "steps": journal["steps"]}


def _journal(document: dict[str, t.Any]) -> dict[str, t.Any]:
    """What a play carries from task to task: the operation, and its steps."""
    return {"operation": {key: value for key, value in document.items() if key != "steps"}, "steps": document["steps"]}
