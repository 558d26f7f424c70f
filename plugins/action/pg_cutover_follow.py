# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait for a detached switch; see the module's documentation in plugins/modules/pg_cutover_follow.py."""

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleConnectionFailure

from ..module_utils._core.errors import FleetError
from ..module_utils._core.wait import Deadline
from ..module_utils._pg.follow import Follower
from ..plugin_utils.fleet_action import FleetAction

# What the caller needs of a job that has ended; its invocation repeats every option.
_KEPT = ("failed", "msg", "failure", "exception", "hold", "window_ms", "phase_after")


class ActionModule(FleetAction):
    """One task that looks as often as it must, where a role would have to include itself."""

    _requires_connection = True

    SPEC: t.ClassVar[dict[str, t.Any]] = {
        "job": {"type": "str", "required": True},
        "state": {"type": "str", "required": True, "choices": ["legacy", "new"]},
        "legacy": {"type": "dict", "required": True},
        "new": {"type": "dict", "required": True},
        "timeout": {"type": "float", "default": 90000},
        "interval": {"type": "float", "default": 1},
        "lost_after": {"type": "float", "default": 300},
        "unreachable_for": {"type": "float", "default": 60},
    }

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        limit, follower = Deadline(params["timeout"]), Follower(params["state"], params["lost_after"])
        answered, seen = time.monotonic(), {}
        while True:
            try:
                job = self._job(params["job"], task_vars)
                if job.get("failed"):
                    return {"changed": False, "finished": True, **_kept(job)}
                seen = self._pair(params, task_vars)
                if seen.get("failed"):
                    return {"changed": False, "finished": bool(job.get("finished")), **_kept(seen)}
                answered = time.monotonic()
                if follower.over(bool(job.get("finished")), seen, answered):
                    return {**_answer(seen, params["state"], job), "finished": bool(job.get("finished"))}
            except AnsibleConnectionFailure:
                # The switch goes on without the controller, so a moment without an answer says nothing about it.
                if time.monotonic() - answered >= params["unreachable_for"]:
                    raise
            if limit.expired():
                raise FleetError(
                    "timeout",
                    f"Waited {params['timeout']:g} s for {params['state']} to serve; serving is {seen.get('serving', 'unknown')}.",
                    remedy="Run the same playbook again; it reads both catalogs and goes on from there.",
                )
            limit.pause(params["interval"])

    def _job(self, job: str, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        # As ansible.builtin.async_status does, which is an action plugin itself.
        folder = self._remote_expand_user(self.get_shell_option("async_dir", default="~/.ansible_async"))
        asked = {"jid": job, "mode": "status", "_async_dir": folder}
        return dict(self._execute_module(module_name="ansible.legacy.async_status", module_args=asked, task_vars=task_vars))

    def _pair(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        servers = {side: params[side] for side in ("legacy", "new")}
        return dict(self._execute_module(module_name="bowline.fleet.pg_cutover_info", module_args=servers, task_vars=task_vars))


def _kept(answer: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {key: answer[key] for key in _KEPT if key in answer}


def _answer(seen: t.Mapping[str, t.Any], wanted: str, job: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Only a job that has ended tells the moment at which it released the clients; one that compares rows does not yet."""
    until = (job.get("hold") or {}).get("until") if seen.get("serving") == wanted else None
    return {"changed": False, "serving": seen.get("serving"), "phase": seen.get("phase"), "since": until, "at": time.time()}
