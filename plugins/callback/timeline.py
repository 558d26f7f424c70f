# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator sees of a run: its steps, not its tasks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: timeline
type: stdout
short_description: Show the steps of an operation while it runs
version_added: 0.9.0
author: The bowline contributors (@bowline)
description:
  - Shows each step with its number, how long it took, how long it was expected to take, and the last evidence.
    While a step runs, a line says that it still does.
  - A failure is shown once, with code, message and remedy.
  - Tasks are shown with C(-v), when they have a diff or a plan to show in C(--check) or C(--diff), and in plays that open no operation.
  - Ends with Ansible's own recap, so that programs that read it go on working.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
options:
  result_file:
    description:
      - Path of a file on the controller that gets the result of the run as JSON, in check mode too. Nobody but its owner can read it.
        See P(bowline.fleet.operation_result#filter).
      - It is the only thing that this callback writes, and only when it is asked to. A file of an earlier run is removed at the start.
    type: path
    env: [{name: BOWLINE_RESULT_FILE}]
    ini: [{section: timeline, key: result_file}]
  heartbeat:
    description: Seconds between the lines that say that a step still runs. V(0) means 5 on a terminal and 30 in a log.
    type: float
    default: 0
    env: [{name: BOWLINE_HEARTBEAT}]
    ini: [{section: timeline, key: heartbeat}]
requirements:
  - set as stdout in configuration
"""

import json
import os
import sys
import tempfile
import threading
import time
import typing as t

from ansible import constants as C
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback import CallbackBase
from ansible.utils.color import colorize, hostcolor

from ..module_utils._core.redact import redact
from ..module_utils._core.report.data import operation_result, told
from ..module_utils._core.report.lines import brief, failure_lines, heartbeat_line, plan_lines, step_line, summary_line
from ..module_utils._core.visible import one_line, visible
from ..module_utils._store.journal import failure_of

_OPERATION = "bowline.fleet.operation"


class _Running:
    """The step that runs now, as the heartbeat sees it."""

    def __init__(self, step: dict[str, t.Any], total: int) -> None:
        self.step = step
        self.total = total
        self.began = time.monotonic()
        self.shown = self.began
        self.task = ""


class CallbackModule(CallbackBase):
    """One line for each step; the rest is silence unless it matters."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "bowline.fleet.timeline"

    def __init__(self) -> None:
        super().__init__()
        self._operation: dict[str, t.Any] = {}
        self._steps: dict[str, dict[str, t.Any]] = {}
        self._waiting: dict[str, set[str]] = {}
        self._held: list[tuple[str, dict[str, t.Any]]] = []
        self._failure: dict[str, t.Any] | None = None
        self._result: dict[str, t.Any] | None = None
        self._check = False
        self._last_evidence = ""
        self._ended_as = ""
        self._running: _Running | None = None
        self._beating: threading.Thread | None = None
        self._ended = threading.Event()

    # -- the run ------------------------------------------------------------------------------------------------------

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        path = self.get_option("result_file")
        if path and os.path.exists(path):
            os.unlink(path)

    def v2_playbook_on_play_start(self, play: t.Any) -> None:
        self._check = bool(play.check_mode)
        name = play.get_name().strip()
        if name:
            self._say(f"{name}{' (check mode: nothing is written)' if self._check else ''}", C.COLOR_HIGHLIGHT)

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        if self._running is not None:
            self._running.task = task.get_name().strip()

    def v2_playbook_on_handler_task_start(self, task: t.Any) -> None:
        self.v2_playbook_on_task_start(task, False)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        self._say("No host matched.", C.COLOR_SKIP)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        self._ended.set()
        if self._beating is not None:
            self._beating.join(timeout=2)
        self._say_held()
        result = self._outcome(stats)
        if self._operation:
            good = result["outcome"] == "succeeded"
            self._say("")
            for line in summary_line(self._operation, result, self._check):
                self._say(line, C.COLOR_OK if good else C.COLOR_ERROR)
        self._recap(stats)
        path = self.get_option("result_file")
        if path:
            _write(path, {**result, "check_mode": self._check})

    def _outcome(self, stats: t.Any) -> dict[str, t.Any]:
        failed = any(stats.summarize(host)["failures"] or stats.summarize(host)["unreachable"] for host in stats.processed)
        if self._result is not None:
            result = dict(self._result)
        else:
            document = {"operation": self._operation or {"id": None}, "steps": list(self._steps.values())}
            result = operation_result({**document, "outcome": self._operation.get("outcome") or ("failed" if failed else "succeeded")})
        if failed and result["outcome"] == "succeeded":
            result["outcome"] = "failed"
        if failed and result.get("failure") is None:
            result["failure"] = self._failure
        return t.cast("dict[str, t.Any]", told(result))

    def _recap(self, stats: t.Any) -> None:
        self._display.banner("PLAY RECAP")
        for host in sorted(stats.processed):
            seen = stats.summarize(host)
            pairs = (
                ("ok", seen["ok"], C.COLOR_OK),
                ("changed", seen["changed"], C.COLOR_CHANGED),
                ("unreachable", seen["unreachable"], C.COLOR_UNREACHABLE),
                ("failed", seen["failures"], C.COLOR_ERROR),
                ("skipped", seen["skipped"], C.COLOR_SKIP),
                ("rescued", seen["rescued"], C.COLOR_OK),
                ("ignored", seen["ignored"], C.COLOR_WARN),
            )
            self._display.display(
                f"{hostcolor(host, seen)} : {' '.join(colorize(name, count, colour) for name, count, colour in pairs)}", screen_only=True
            )
            plain = " ".join(f"{name}={count:<4}" for name, count, _colour in pairs)
            self._display.display(f"{hostcolor(host, seen, False)} : {plain}", log_only=True)

    # -- tasks --------------------------------------------------------------------------------------------------------

    def v2_runner_on_ok(self, result: t.Any) -> None:
        if isinstance(result.task, TaskInclude):
            return
        self._handle_warnings_and_exception(result)
        document = result.result
        if result.task.resolved_action == _OPERATION:
            self._journal(result.host.get_name(), document)
        facts = document.get("ansible_facts")
        if isinstance(facts, dict) and isinstance(facts.get("report_result"), dict):
            self._result = facts["report_result"]
        changed = bool(document.get("changed"))
        asked = bool(document.get("_ansible_verbose_always")) and not document.get("_ansible_verbose_override")
        said = document.get("msg") if asked and not self._display.verbosity and self._operation else None
        if isinstance(said, str):
            # What a play wants to be read, unless the line of the step has just said it.
            if said != self._last_evidence:
                self._say(said)
            return
        if self._display.verbosity or asked or (changed and not self._operation):
            self._task("changed" if changed else "ok", result, C.COLOR_CHANGED if changed else C.COLOR_OK)
            if asked or self._display.verbosity > 1:
                self._clean_results(document, result.task.action)
                self._say(self._dump_results(redact(document)))
        if changed and self._check:
            self._plan(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        document = dict(result.result)
        if self._ended_as and document.get("msg") == self._ended_as:
            # The end of a step whose failure has been shown.
            return
        if self._last_evidence and self._last_evidence in str(document.get("msg")):
            # The end of the run, whose cause has been shown, too.
            self._say(f"        {one_line(document['msg'])}", C.COLOR_ERROR)
            return
        name = f"{result.task.get_name().strip()} [{self.host_label(result)}]"
        if ignore_errors:
            if self._display.verbosity:
                self._task("ignored", result, C.COLOR_WARN)
            return
        if self._failure and self._failure.get("message") and self._failure["message"] in str(document.get("msg")):
            # The task that ends the play after a rescue repeats the first cause, which has been shown.
            self._say(f"        failed   {name}", C.COLOR_ERROR)
            return
        self._held.append((name, document))
        if self._running is None:
            self._failure = self._failure or failure_of(document, result.task.get_name().strip())
        if self._running is None or self._display.verbosity:
            if self._display.verbosity or not document.get("failure"):
                self._handle_warnings_and_exception(result)
            self._say_held()

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        document = dict(result.result)
        if result.task.ignore_unreachable:
            return
        failure = failure_of(
            {"failure": {"code": "unreachable", "message": f"{self.host_label(result)}: {document.get('msg', 'no answer')}"}}, None
        )
        failure["remedy"] = "Make the host reachable; then the same command continues."
        self._failure = self._failure or failure
        for line in failure_lines(failure):
            self._say(line, C.COLOR_UNREACHABLE)

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        if self._display.verbosity:
            self._task("skipped", result, C.COLOR_SKIP)

    def v2_runner_retry(self, result: t.Any) -> None:
        if self._display.verbosity:
            self._task(f"again ({result.result.get('retries', 0) - result.result.get('attempts', 0)} left)", result, C.COLOR_SKIP)

    def v2_on_file_diff(self, result: t.Any) -> None:
        several = result.task.loop and "results" in result.result
        for document in result.result["results"] if several else [result.result]:
            if document.get("diff") and document.get("changed"):
                text = self._get_diff(document["diff"])
                if text:
                    self._task("changed", result, C.COLOR_CHANGED)
                    self._say(text)

    # -- steps --------------------------------------------------------------------------------------------------------

    def _journal(self, host: str, document: dict[str, t.Any]) -> None:
        """A task of the operation module has said something."""
        if isinstance(document.get("operation"), dict):
            self._operation = document["operation"]
        for entry in document.get("steps") or []:
            known = self._steps.get(entry["id"])
            # In check mode a host knows its own steps only, so one that another host went through stays as it is.
            if known is None or entry["status"] != "planned":
                self._steps[entry["id"]] = {**entry, "changed": entry["changed"] or bool(known and known["changed"] and self._check)}
        step = document.get("step")
        if not step:
            return
        step = self._steps.get(step["id"], step)
        waiting = self._waiting.setdefault(step["id"], set())
        if document["step"]["status"] == "started":
            if not waiting and (self._running is None or self._running.step["id"] != step["id"]):
                self._begin(step)
            waiting.add(host)
            return
        waiting.discard(host)
        # A failure ends the step for all; the other hosts only follow.
        if self._running is not None and (document["step"]["status"] == "failed" or not waiting):
            self._finish(step, document)

    def _begin(self, step: dict[str, t.Any]) -> None:
        self._running = _Running(step, len(self._steps))
        self._say(step_line(step, len(self._steps)))
        if self._beating is None:
            self._beating = threading.Thread(target=self._beat, name="timeline", daemon=True)
            self._beating.start()

    def _finish(self, step: dict[str, t.Any], document: dict[str, t.Any]) -> None:
        self._running = None
        colour = C.COLOR_ERROR if step["status"] == "failed" else C.COLOR_CHANGED if step["changed"] else C.COLOR_OK
        self._say(step_line(step, len(self._steps), ended=True), colour)
        self._last_evidence = brief(step.get("evidence") or {})
        if step["status"] == "failed":
            failure = document.get("failure") or step.get("failure") or {}
            last = self._held[-1][1] if self._held else {}
            for line in failure_lines(failure, last, said=self._held[-1][0] if self._held else None):
                self._say(line, C.COLOR_ERROR)
            self._failure = failure
            self._ended_as = f"{step['id']} failed with {failure.get('code')}."
        # A failure that a role has rescued itself is none.
        self._held.clear()

    def _beat(self) -> None:
        every = self.get_option("heartbeat") or (5.0 if sys.stdout.isatty() else 30.0)
        while not self._ended.wait(0.5):
            running, now = self._running, time.monotonic()
            if running is not None and now - running.shown >= every:
                running.shown = now
                self._say(heartbeat_line(running.step, now - running.began, running.task))

    # -- words --------------------------------------------------------------------------------------------------------

    def _say(self, text: str, colour: str | None = None) -> None:
        # Display takes its lock before it writes and Ansible holds the same lock while it forks, so the heartbeat's thread is safe here.
        # It shows whatever it is given, so a server could else write to the terminal of the operator.
        self._display.display(visible(redact(text)), color=colour)

    def _task(self, verdict: str, result: t.Any, colour: str) -> None:
        self._say(f"        {verdict:<8} {result.task.get_name().strip()} [{self.host_label(result)}]", colour)

    def _plan(self, result: t.Any) -> None:
        document = result.result
        for entry in document.get("results") or [document]:
            lines = plan_lines(entry.get("plan")) if isinstance(entry, dict) and entry.get("changed") else []
            if lines and not self._display.verbosity:
                self._task("changed", result, C.COLOR_CHANGED)
            for line in lines:
                self._say(line, C.COLOR_CHANGED)

    def _say_held(self) -> None:
        for name, document in self._held:
            for line in failure_lines(failure_of(document, None), document, said=name):
                self._say(line, C.COLOR_ERROR)
        self._held.clear()


def _write(path: str, document: dict[str, t.Any]) -> None:
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, mode=0o700, exist_ok=True)
    # A name that nobody knows beforehand, and for nobody else to read (0600).
    number, fresh = tempfile.mkstemp(prefix=".result.", dir=folder)
    with open(number, "w", encoding="utf-8") as stream:
        stream.write(json.dumps(document, indent=2, default=str) + "\n")
    os.replace(fresh, path)
