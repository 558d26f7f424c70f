# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store of the fleet for those who have no task: inventory and lookups. It is read as it is; nothing is made, migrated or written."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible import context
from ansible.errors import AnsibleLookupError

from ..module_utils._core.errors import FleetError
from ..module_utils._core.redact import redact
from ..module_utils._node.beats import Beats
from ..module_utils._node.info import info
from ..module_utils._node.store import NodeStore
from ..module_utils._store.dsn import place
from ..module_utils._store.open import open_copy


@contextlib.contextmanager
def fleet(dsn: str | None, inventories: t.Sequence[str] | None = None) -> t.Iterator[NodeStore]:
    """Nodes of the store of ``dsn``, else of the place that a task would find: beside ``inventories``, which are those of the run.

    Raises FleetError ``store_unavailable`` for a store that is missing, older or newer.
    """
    if inventories is None:
        inventories = [source for source in context.CLIARGS.get("inventory") or () if "," not in source]
    database = open_copy(place(dsn, os.environ, inventories), as_it_is=True)
    try:
        yield NodeStore(database)
    finally:
        database.close()


def said(error: FleetError) -> str:
    """A failure as one sentence, for plugins that have no result to return."""
    return f"[{error.code}] {error.message} Remedy: {error.remedy}"


def entries(dsn: str | None, **given: t.Any) -> dict[str, t.Any]:
    """What node_instance_info returns for ``given``. Raises AnsibleLookupError with code, message and remedy."""
    defaults: dict[str, t.Any] = {"name": None, "source": "store", "filter": {}, "gather": [], "lookback_hours": 24, "limit": 1000}
    try:
        with fleet(dsn) as store:
            return t.cast("dict[str, t.Any]", redact(info({**defaults, **given}, store, Beats(store.database))))
    except FleetError as error:
        raise AnsibleLookupError(said(error)) from None
