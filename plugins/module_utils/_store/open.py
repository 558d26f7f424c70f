# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one place that chooses the database behind the store, by where it is."""

from __future__ import annotations

import typing as t

from . import postgres, sqlite
from .database import Database
from .dsn import Place, Server, refuse_ephemeral, refuse_network


def refuse_unfit(where: t.Union[Place, Server], environ: t.Mapping[str, str]) -> None:
    """A file that locks of other machines do not hold, or that vanishes with this one. Raises FleetError ``store_unavailable``, ``store_ephemeral``."""
    if not isinstance(where, Server):
        refuse_network(where)
        refuse_ephemeral(where, environ)


def open_for_writing(where: t.Union[Place, Server]) -> Database:
    """The store, made when it is missing and brought to the present number; see `refuse_unfit`. Raises FleetError ``store_unavailable``."""
    return postgres.open_for_writing(where) if isinstance(where, Server) else sqlite.open_for_writing(where.path)


def open_copy(where: t.Union[Place, Server], as_it_is: bool = False) -> Database:
    """A copy of the store in memory, for check mode and for those who only read; nothing is written where the store is.

    ``as_it_is`` is for those to whom an empty store is no answer. Raises FleetError ``store_unavailable`` for one that is missing, older or newer then.
    """
    return postgres.open_copy(where, as_it_is) if isinstance(where, Server) else sqlite.open_copy(where.path, as_it_is)
