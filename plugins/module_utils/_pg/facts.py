# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the facts that decide the phase, from both catalogs. Nothing is written and no lock is taken."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .model import FORWARD, REVERSE, Facts, Pair, SideFacts
from .server import helper
from .server.catalog import UNFOLLOWED
from .server.fence import is_fenced, settings_of
from .server.postgres import Server


@dataclass(frozen=True)
class Half:
    """What one server says: its side, what it publishes (by pair) and what it follows."""

    side: SideFacts
    publishes: t.Mapping[str, tuple[bool, str]]
    follows: t.Mapping[str, tuple[str, int]]


def read(server: Server) -> Half:
    """The facts of one server. Errors pass through: a side that cannot be read is never "not fenced".

    Raises FleetError "name_taken" where others have made what stands under our names: no fact is read from that.
    """
    settings = settings_of(server.admin, server.dbname)
    if settings is None:
        return Half(SideFacts(exists=False), {}, {})
    helper.judge(server)
    slots = {
        row["slot"]["slot_name"]: row["slot"]
        for row in server.admin.rows(
            "SELECT to_jsonb(s) AS slot FROM pg_replication_slots s WHERE s.slot_name = ANY (%s) AND s.database = %s",
            [FORWARD, REVERSE],
            server.dbname,
        )
    }
    published = {
        row["pubname"] for row in server.db.rows("SELECT pubname FROM pg_publication WHERE pubname = ANY (%s)", [FORWARD, REVERSE])
    }
    followed = server.db.rows(
        "SELECT s.subname, s.subenabled, count(r.srrelid) FILTER (WHERE r.srsubstate <> 'r')"
        f" + (SELECT count(*) FROM ({UNFOLLOWED}) u WHERE u.subname = s.subname) AS pending FROM pg_subscription s"
        " JOIN pg_database d ON d.oid = s.subdbid LEFT JOIN pg_subscription_rel r ON r.srsubid = s.oid"
        " WHERE d.datname = current_database() AND s.subname = ANY (%s) GROUP BY 1, 2",
        [FORWARD, REVERSE],
    )
    state = server.db.rows("SELECT to_regclass('pgcut.marker') IS NOT NULL AS helper, current_setting('wal_level') = 'logical' AS publishes")[0]
    stage = settings.get("pgcut.stage", "")
    side = SideFacts(True, is_fenced(settings), settings.get("pgcut.epoch", ""), stage, state["helper"], state["publishes"])
    return Half(
        side,
        {name: (name in published, _slot(slots.get(name))) for name in (FORWARD, REVERSE)},
        {row["subname"]: ("enabled" if row["subenabled"] else "disabled", int(row["pending"])) for row in followed},
    )


def join(legacy: Half, new: Half) -> Facts:
    """The facts of both: forward goes from legacy to new, reverse the other way."""
    return Facts(legacy.side, new.side, _pair(FORWARD, legacy, new), _pair(REVERSE, new, legacy))


def observe(legacy: Server, new: Server) -> Facts:
    return join(read(legacy), read(new))


def _pair(name: str, source: Half, follower: Half) -> Pair:
    publication, slot = source.publishes.get(name, (False, ""))
    subscription, pending = follower.follows.get(name, ("", 0))
    return Pair(publication, slot, subscription, pending)


def _slot(row: t.Mapping[str, t.Any] | None) -> str:
    if row is None:
        return ""
    if row.get("wal_status") == "lost" or row.get("invalidation_reason"):
        return "lost"
    return "active" if row["active"] else "inactive"
