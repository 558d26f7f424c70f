# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a cluster can be moved whole: same major version, same ABI, same collation versions, streaming access, a copy that will start.

Everything is read from servers that run; nothing is written.
"""

from __future__ import annotations

from ...._core.runner import Runner
from ...model import FORWARD, REVERSE, Endpoint, Options
from ...server import collations, fence
from ...server.collations import Collation
from ...server.postgres import Server, Session
from ...server.process import Control
from . import build
from .facts import one_cluster

# A standby refuses to start with less than its primary has (PostgreSQL documentation, "Hot Standby", 27.4.3); since the roles change, both
# sides need the same.
_EQUAL = ("max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction")
# primary_conninfo is reloaded, not only read at the start, since 13.
_OLDEST = 130000


def conditions(legacy: Server, new: Server, options: Options, runner: Runner) -> list[str]:
    """Why the engine physical cannot move this cluster; empty when it can. Both servers have to answer.

    A pair that is one cluster already has passed them; then only what may have changed since is judged.
    """
    if legacy.admin.version // 10000 != new.admin.version // 10000:
        return [f"legacy is PostgreSQL {legacy.admin.version // 10000} and new is {new.admin.version // 10000}; both need the same major"]
    reasons = [] if options.link else ["link: missing, it says how each server reaches the other one"]
    reasons += [reason for end in (options.legacy, options.new) for reason in _controllable(end, runner)]
    if legacy.admin.version < _OLDEST:
        reasons.append(f"PostgreSQL {legacy.admin.version // 10000} is too old for it; 13 is the oldest")
    reasons += _settings(legacy.admin, new.admin)
    reasons += _legacy_only(legacy)
    if not one_cluster(legacy, new):
        reasons += _room(legacy, options, runner)
        reasons += _build(legacy, new) + _new_is_fresh(new)
    return reasons


def _controllable(end: Endpoint, runner: Runner) -> list[str]:
    if not Control(end, runner).kind:
        return [f"{end.side}: neither container, service nor data_directory says how the server is started and stopped"]
    if not (end.container or end.data_directory):
        return [f"{end.side}.data_directory: missing, the control file and the copy are there"]
    return []


def _settings(legacy: Session, new: Session) -> list[str]:
    names = [*_EQUAL, "wal_level", "hot_standby", "full_page_writes"]
    text = "SELECT name, setting FROM pg_settings WHERE name = ANY (%s)"
    values = {side.endpoint.side: {row["name"]: row["setting"] for row in side.rows(text, names)} for side in (legacy, new)}
    reasons = [
        f"{name} is {values['legacy'][name]} on legacy and {values['new'][name]} on new; a standby may not have less, in either direction"
        for name in _EQUAL
        if values["legacy"][name] != values["new"][name]
    ]
    for side, found in values.items():
        if found["wal_level"] == "minimal":
            reasons.append(f"wal_level is minimal on {side}; replica or logical is needed, which takes a restart")
        reasons += [f"{name} is off on {side}" for name in ("hot_standby", "full_page_writes") if found[name] == "off"]
    return reasons


def _legacy_only(legacy: Server) -> list[str]:
    admin = legacy.admin
    reasons = [
        f"tablespace {row['spcname']} lies outside the data directory; its path would collide or be missing on new"
        for row in admin.rows("SELECT spcname FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY 1")
    ]
    reasons += [
        f"slot {row['slot_name']} on legacy is a logical one and would not arrive"
        for row in admin.rows("SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'logical' AND NOT temporary ORDER BY 1")
    ]
    reasons += [
        f"account {row['rolname']} has a setting of default_transaction_read_only of its own, which no fence of a database holds back"
        for row in admin.rows(
            "SELECT DISTINCT a.rolname FROM pg_db_role_setting s JOIN pg_roles a ON a.oid = s.setrole, unnest(s.setconfig) c"
            " WHERE c LIKE 'default\\_transaction\\_read\\_only=%' ORDER BY 1"
        )
    ]
    free = admin.rows(
        "SELECT current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender')"
        " AS senders, current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots"
        " WHERE slot_name <> ALL (%s)) AS slots",
        [FORWARD, REVERSE],
    )[0]
    if free["senders"] < 2 and not admin.rows("SELECT 1 FROM pg_replication_slots WHERE slot_name = ANY (%s)", [FORWARD, REVERSE]):
        reasons.append(f"max_wal_senders on legacy leaves {free['senders']}; the base backup needs 2")
    if free["slots"] < 1:
        reasons.append("max_replication_slots on legacy leaves none; the standby needs 1")
    return reasons


def _room(legacy: Server, options: Options, runner: Runner) -> list[str]:
    """1.2 times the cluster, as the design asks; without a readable directory another reason says so."""
    place = Control(options.new, runner)
    if not (place.kind and place.data_directory):
        return []
    done = place.script('df -P -B1 "$1" | tail -n 1', place.data_directory)
    words = done.out.split()
    if done.rc != 0 or len(words) < 4 or not words[3].isdigit():
        return [f"new.data_directory: the room at {place.data_directory} cannot be read"]
    needed = int(legacy.admin.value("SELECT (sum(pg_database_size(oid)) * 1.2)::bigint FROM pg_database"))
    return [] if int(words[3]) >= needed else [f"new has {int(words[3])} bytes free at {place.data_directory}; {needed} are needed"]


def _build(legacy: Server, new: Server) -> list[str]:
    """What the whole cluster of legacy needs: the copy takes every database along."""
    here, there = build.read(legacy.admin), build.read(new.admin)
    present = {row["name"] for row in new.admin.rows("SELECT name FROM pg_available_extensions")}
    sorted_by: list[Collation] = []
    missing: set[str] = set()
    for name in legacy.admin.rows("SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1"):
        session = legacy.fresh(name["datname"])
        try:
            sorted_by += collations.used(session)
            missing |= {row["extname"] for row in session.rows("SELECT extname FROM pg_extension")} - present
        finally:
            session.close()
    reasons = build.unlike(here, there) + build.unsorted(sorted_by, there)
    return reasons + [f"extension {name} is not installed on new" for name in sorted(missing)]


def _new_is_fresh(new: Server) -> list[str]:
    """The copy takes the place of everything that new holds, so it may hold nothing."""
    admin = new.admin
    if admin.value("SELECT pg_is_in_recovery()"):
        return ["new is a standby of another server"]
    databases = [
        row["datname"] for row in admin.rows(f"SELECT datname FROM pg_database WHERE {fence.NO_TEMPLATE} AND datname <> 'postgres' ORDER BY 1")
    ]
    empty = "SELECT NOT EXISTS (SELECT FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p', 'm', 'f', 'S'))"
    kept = [name for name in databases if name != new.dbname or not new.db.value(empty)]
    if not admin.value(empty):
        kept.append("postgres")
    return [f"new is not empty: database {name} would be replaced by the copy of legacy" for name in kept]
