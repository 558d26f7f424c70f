# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base of all action plugins: they run on the controller, check their arguments, and fail with ``failure`` like the modules do."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import typing as t

from ansible import context
from ansible.plugins.action import ActionBase

from ..module_utils._core.errors import FleetError
from ..module_utils._core.redact import redact
from ..module_utils._core.result import failed
from ..module_utils._store import process
from ..module_utils._store.database import Database
from ..module_utils._store.dsn import left_behind, place
from ..module_utils._store.model import Owner
from ..module_utils._store.open import open_copy, open_for_writing, refuse_unfit
from ..module_utils._store.store import StateStore


class FleetAction(ActionBase):
    """A subclass has ``SPEC`` (with ``CONSTRAINTS``) and `work`. Check mode is full: `store` then opens a copy in memory."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    SPEC: t.ClassVar[dict[str, t.Any]] = {}
    # Whether it only reads: it works on a copy then, in check mode and outside it.
    READS: t.ClassVar[bool] = False
    CONSTRAINTS: t.ClassVar[dict[str, t.Any]] = {}

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """The result; raise `FleetError` to fail with its code."""
        raise NotImplementedError

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        outcome: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, params = self.validate_argument_spec(argument_spec=self.SPEC, **self.CONSTRAINTS)
        try:
            outcome.update(redact(self.work(params, task_vars or {})))
        except FleetError as error:
            outcome.update(failed(error))
        return outcome

    @property
    def check_mode(self) -> bool:
        return self.READS or bool(self._task.check_mode)

    @contextlib.contextmanager
    def database(self, dsn: str | None, copy: bool = False) -> t.Iterator[Database]:
        """The store of the fleet as tables, for a room that has rows of its own. In check mode, and in a ``copy``, nothing that is written to
        it is kept; a place that the run would refuse is refused there as well: a green check is a promise."""
        inventories = [source for source in context.CLIARGS.get("inventory") or () if "," not in source]
        where = place(dsn, os.environ, inventories)
        unused = None if dsn else left_behind(where, os.environ, inventories)
        if unused:
            self._display.warning(f"The store beside the inventory is used; {unused} is not. Runs that were recorded there are not seen, nor their locks.")
        if not self.READS:
            refuse_unfit(where, os.environ)
        database = open_copy(where) if copy or self.check_mode else open_for_writing(where)
        try:
            yield database
        finally:
            database.close()

    @contextlib.contextmanager
    def store(self, dsn: str | None, task_vars: t.Mapping[str, t.Any]) -> t.Iterator[StateStore]:
        """The operations in the store of the fleet, opened for this one task."""
        with self.database(dsn) as database:
            yield StateStore(database, self.owner(task_vars))

    def owner(self, task_vars: t.Mapping[str, t.Any]) -> Owner:
        """The run that this task is of, as leases name it."""
        return process.owner_of(_controller_pid(), actor=_actor(task_vars))


def _controller_pid() -> int:
    # Action plugins run in a worker; the run is its parent. getppid() would name the reaper once that parent is dead.
    parent = multiprocessing.parent_process()
    return parent.pid if parent is not None and parent.pid is not None else os.getpid()


def _actor(task_vars: t.Mapping[str, t.Any]) -> str:
    """AWX and the automation controller hand the name of the user who launched the job in as an extra variable."""
    return next((str(task_vars[name]) for name in ("awx_user_name", "tower_user_name") if task_vars.get(name)), "")
