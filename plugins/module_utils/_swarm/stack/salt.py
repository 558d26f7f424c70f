# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The key of a stack under which its secrets are named: a config that only the API of a manager shows."""

from __future__ import annotations

import typing as t

from ..model import World
from ..record import keep

KIND = "salt"


def read(world: World, stack: str) -> str:
    """The key that the cluster has; empty without one."""
    name = keep.name_of(KIND, stack)
    for config in world.configs:
        if (config.get("Spec") or {}).get("Name") == name and keep.labels_of(config).get(keep.KIND) == KIND:
            return keep.data_of(config).decode("ascii", "replace")
    return ""


def write(engine: t.Any, stack: str, key: str) -> None:
    """Keep ``key``. Only who holds the lock of the stack may, so that there are never two."""
    labels = {keep.KIND: KIND, keep.SUBJECT: stack, keep.OWNER: keep.said(keep.whoami())}
    engine.config_create(keep.body(keep.name_of(KIND, stack), labels, key.encode("ascii")))
