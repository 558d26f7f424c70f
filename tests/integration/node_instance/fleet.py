# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet in a folder: its store, a recorded host, and commands on both as the action plugins give them, without Ansible in between."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.bowline.fleet.plugins.module_utils._core import faults
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node.argspec import INSTANCE, NODE, TEMPLATE
from ansible_collections.bowline.fleet.plugins.module_utils._node.beats import Beats
from ansible_collections.bowline.fleet.plugins.module_utils._node.instance import World, run_instance
from ansible_collections.bowline.fleet.plugins.module_utils._node.lease import Leases
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine import run as machine
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.argspec import MACHINE, MACHINE_INFO
from ansible_collections.bowline.fleet.plugins.module_utils._node.run import run_node, run_template
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import NodeStore
from ansible_collections.bowline.fleet.plugins.module_utils._store import process
from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import open_copy, open_for_writing
from ansible_collections.bowline.fleet.plugins.module_utils._store.store import StateStore

TEMPLATE_OF_ALL = {"provider": "local_nspawn", "image": "/images/debian"}


def typed(spec, given):
    """``given`` as a module or an action plugin gets it."""
    checked = ArgumentSpecValidator(spec).validate(given)
    assert not checked.error_messages, checked.error_messages
    return checked.validated_parameters


class Fleet:
    """``skew`` is how far the clock of the fleet is ahead: waits of the commands take no time.

    ``real``: the host says that its machines are no records, so they do not answer by themselves. ``reached``: whether port 22 of a machine answers.
    """

    def __init__(self, folder: Path, **defaults) -> None:
        self.folder, self.skew = folder, 0.0
        self.path = folder / "state" / "store.db"
        self.asked: list[tuple[str, str]] = []
        self.answers = None
        self.host, self.reached, self.real, self.runner = "hv-1", True, False, None
        self.row(TEMPLATE, run_template, name="small", defaults={**TEMPLATE_OF_ALL, "folder": str(folder / "host"), **defaults})

    # --- commands -----------------------------------------------------------------------------------------------------------------

    def row(self, spec, run, **given):
        with self.opened(False) as database:
            owner = process.owner_of(os.getpid())
            leases = Leases(database, StateStore(database, owner, clock=self.clock), owner)
            return run(typed(spec, given), NodeStore(database, self.clock), leases)

    def node(self, name="web-1", **given):
        return self.row(NODE, run_node, name=name, template="small", **{"lifecycle_class": "ephemeral", **given})

    def run(self, state, name="web-1", check=False, **given):
        world = World(self.opened, process.owner_of(os.getpid()), self.call, self.host, self.pause, self.clock, lambda addresses: self.reached)
        return run_instance(typed(INSTANCE, {"name": name, "state": state, "mode": "recorder", **given}), world, check)

    def refused(self, code, *given, **more) -> FleetError:
        try:
            self.run(*given, **more)
        except FleetError as error:
            assert error.code == code, f"{error.code}: {error.message}"
            return error
        raise AssertionError(f"{given} {more} was not refused with {code}")

    def killed(self, fault, state, **given) -> bool:
        """The command in a process of its own, ended at ``fault`` as by kill -9; False when it never came there."""
        pid = os.fork()
        if pid == 0:
            faults.arm(fault)
            code = 1
            with contextlib.suppress(BaseException):
                self.run(state, **given)
                code = 0
            os._exit(code)
        _pid, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            return True
        assert os.WEXITSTATUS(status) == 0, f"{state} failed before {fault}"
        return False

    # --- the world ----------------------------------------------------------------------------------------------------------------

    def clock(self):
        return time.time() + self.skew

    def pause(self, seconds):
        self.skew += max(seconds, 0.1)

    @contextlib.contextmanager
    def opened(self, copy):
        database = open_copy(self.path) if copy else open_for_writing(self.path)
        try:
            yield database
        finally:
            database.close()

    def call(self, name, given):
        """node_machine and node_machine_info as they answer; ``answers`` may say something else first."""
        self.asked.append((name, given.get("state", "")))
        said = self.answers(name, given) if self.answers else None
        if said is not None:
            return said
        params = typed(MACHINE if name == "node_machine" else MACHINE_INFO, dict(given))
        make = machine.factory(params, self.runner)
        try:
            done = machine.run(params, make, {}) if name == "node_machine" else machine.info(params, make, {})
        except FleetError as error:
            return {"failed": True, "msg": error.message, "failure": error.as_failure()}
        answer = json.loads(json.dumps(done))
        if self.real and name == "node_machine_info":
            answer["mode"] = "real"
        return answer

    def machines(self, kind="local_nspawn"):
        """What stands on the host, read past all of our code."""
        file = self.folder / "host" / "recorder" / f"recorder-{kind}.json"
        return json.loads(file.read_text())["machines"] if file.exists() else []

    def change(self, kind="local_nspawn", **changed):
        """Somebody's hand on the first machine of the host."""
        file = self.folder / "host" / "recorder" / f"recorder-{kind}.json"
        state = json.loads(file.read_text())
        state["machines"][0].update(changed)
        file.write_text(json.dumps(state))

    def vanish(self, kind="local_nspawn"):
        file = self.folder / "host" / "recorder" / f"recorder-{kind}.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "machines": []}))

    def rows(self, name=None):
        with self.opened(True) as database:
            return NodeStore(database).instances(name, 100)

    def open_actions(self, name="web-1"):
        with self.opened(True) as database:
            return NodeStore(database).known(name).actions

    def events(self, name="web-1"):
        with self.opened(True) as database:
            return NodeStore(database).events(name)

    def listen(self):
        """Somebody who listens from now on."""
        with self.opened(False) as database:
            Beats(database, self.clock).listens("r", self.clock())

    def lease(self, subject):
        with self.opened(True) as database:
            return StateStore(database, process.owner_of(os.getpid())).lease(subject)

    def operations(self):
        with self.opened(True) as database:
            return StateStore(database, process.owner_of(os.getpid())).operations(kind="node_instance", limit=100)


def actions(result):
    return [f"{step['action']} {step['subject']}".strip() for step in result["plan"]]


__all__ = ["Fleet", "actions", "typed"]
