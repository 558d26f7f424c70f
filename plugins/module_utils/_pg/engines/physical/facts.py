# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts of the engine physical: two servers as processes, control files and catalogs. Nothing is written and no lock is taken."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ...._core.errors import FleetError
from ...._core.runner import Runner
from ...._core.wait import Deadline
from ...model import FORWARD, OTHER, REVERSE, Options
from ...server import fence
from ...server.postgres import Server
from ...server.process import IN_RECOVERY, Control
from .plan import Node, Nodes

SLOT = {"legacy": FORWARD, "new": REVERSE}
# A server that is starting or ending refuses connections; recovery of a crashed one may take long and is waited for elsewhere.
_BETWEEN = 5.0

_LOOK = """
SELECT pg_is_in_recovery() AS recovery, (SELECT system_identifier::text FROM pg_control_system()) AS system,
  CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline,
  (SELECT to_jsonb(s) FROM pg_replication_slots s WHERE slot_name = %s AND slot_type = 'physical') AS slot,
  current_setting('primary_slot_name') AS follows_by,
  EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming' AND slot_name = %s) AS streams,
  EXISTS (SELECT FROM pg_stat_replication WHERE application_name = %s AND (state = 'streaming' OR flush_lsn IS NOT NULL)) AS sends
"""
# The exchange of the data directory keeps what it replaces in pgcut.old until it is done; standby.signal decides what a start would make.
_FILES = 'cd "$1" && for f in standby.signal pgcut.old; do if [ -e "$f" ]; then echo "$f"; fi; done'


@dataclass(frozen=True)
class Site:
    """One side: its connections, and its process and directory."""

    server: Server
    control: Control

    @property
    def side(self) -> str:
        return self.server.side


@dataclass(frozen=True)
class PhysicalDirection:
    """A switch from ``source`` to ``target``. ``ahead`` is the slot on the source, ``back`` the one on the target."""

    source: Site
    target: Site

    @property
    def ahead(self) -> str:
        return SLOT[self.source.side]

    @property
    def back(self) -> str:
        return SLOT[self.target.side]


@dataclass(frozen=True)
class Sites:
    legacy: Site
    new: Site

    def side(self, name: str) -> Site:
        return self.legacy if name == "legacy" else self.new

    def both(self) -> tuple[Site, Site]:
        return self.legacy, self.new

    def direction(self, to: str) -> PhysicalDirection:
        """The switch after which side ``to`` serves."""
        return PhysicalDirection(self.side(OTHER[to]), self.side(to))

    def close(self) -> None:
        for site in self.both():
            site.server.close()


def sites(options: Options, runner: Runner, purpose: str) -> Sites:
    made = [Site(Server(end, purpose), Control(end, runner)) for end in (options.legacy, options.new)]
    return Sites(*made)


def observe(both: Sites) -> Nodes:
    """The facts of both. Raises FleetError "unreachable" for a side that should answer and does not: it is never taken for closed."""
    deadline = Deadline(_BETWEEN)
    while True:
        observed = {site.side: _answer(site) for site in both.both()}
        if not any(_connects(observed[side], observed[OTHER[side]]) for side in SLOT) or deadline.expired():
            break
        deadline.pause(0.1)
    systems = {side: row["system"] for side, row in observed.items() if row}
    files = {site.side: _stopped(site) for site in both.both() if observed[site.side] is None}
    systems.update({side: found["system"] for side, found in files.items() if found["system"]})
    nodes = {}
    for side in ("legacy", "new"):
        row = observed[side]
        nodes[side] = _from_row(row, observed[OTHER[side]]) if row else _from_files(files[side])
    if files.get("new", {}).get("replacing"):
        nodes["new"] = Node(role="replacing", running=False)
    elif systems.get("new") != systems.get("legacy"):
        if observed["new"] is None:
            raise _down(both.new, "It holds another cluster than legacy")
        nodes["new"] = Node(role="absent", fenced=nodes["new"].fenced)
    _plausible(both, Nodes(**nodes))
    return Nodes(**nodes)


def _connects(row: t.Mapping[str, t.Any] | None, other: t.Mapping[str, t.Any] | None) -> bool:
    """Whether a standby has come to its primary and nothing was sent yet: a moment, also where a new timeline begins, or for ever."""
    return bool(row and other and row["recovery"] and row["streams"] and not other["recovery"] and not other["sends"])


def one_cluster(legacy: Server, new: Server) -> bool:
    """Whether both servers, which have to answer, are copies of one cluster: then the pair is a physical one."""
    text = "SELECT system_identifier::text FROM pg_control_system()"
    return bool(legacy.admin.value(text) == new.admin.value(text))


def is_moved(options: Options) -> bool:
    """Whether a physical pair exists already, as far as the servers that answer say: then only this engine goes on with it."""
    for end in (options.legacy, options.new):
        server = Server(end, "engine")
        try:
            if in_pair(server):
                return True
        except FleetError:
            # The run that follows says what is wrong with it, and with the other one, too.
            pass
        finally:
            server.close()
    return False


def in_pair(server: Server) -> bool:
    """Whether this server is one of a physical pair: it has one of its slots, or follows by one."""
    text = (
        "SELECT current_setting('primary_slot_name') = ANY (%s) AND pg_is_in_recovery()"
        " OR EXISTS (SELECT FROM pg_replication_slots WHERE slot_type = 'physical' AND slot_name = ANY (%s))"
    )
    names = [FORWARD, REVERSE]
    return bool(server.admin.value(text, names, names))


def ask(site: Site) -> dict[str, t.Any]:
    """The row of one running server. Raises FleetError "unreachable" when it does not answer.

    ``streams``: it is connected to receive. A receiver says so before it has asked for the first byte (WalReceiverMain in walreceiver.c), so that one
    whose log is gone, or whose slot, says so every time it tries. ``sends``: the other side has received something, or has all there is, which decides.
    """
    own, others = SLOT[site.side], SLOT[OTHER[site.side]]
    row = site.server.admin.rows(_LOOK, own, others, own)[0]
    settings = fence.settings_of(site.server.admin, site.server.dbname) or {}
    return {**row, "own": own, "others": others, "settings": settings}


def follows(follower: Site, source: Site) -> bool:
    """Whether the one streams from the other, as both say."""
    row = ask(follower)
    return bool(row["recovery"] and row["streams"] and ask(source)["sends"])


def _answer(site: Site) -> dict[str, t.Any] | None:
    """`ask`, again over a new connection when the old one is gone; None when the server does not run."""
    deadline = Deadline(_BETWEEN)
    while True:
        try:
            return ask(site)
        except FleetError as error:
            if error.code not in ("unreachable", "connection_lost"):
                raise
            site.server.close()
            if not site.control.running():
                return None
            if deadline.expired():
                raise
            deadline.pause(0.1)


def _from_row(row: t.Mapping[str, t.Any], other: t.Optional[t.Mapping[str, t.Any]]) -> Node:
    settings = row["settings"]
    return Node(
        role="standby" if row["recovery"] else "primary",
        running=True,
        fenced=fence.is_fenced(settings),
        epoch=settings.get("pgcut.epoch", ""),
        timeline=int(row["timeline"]),
        follows=bool(row["recovery"] and row["streams"] and (other is None or other["sends"])),
        slot=_slot(row["slot"]),
        ready=row["follows_by"] == row["others"],
    )


def _slot(row: t.Mapping[str, t.Any] | None) -> str:
    if row is None:
        return ""
    if row.get("wal_status") == "lost" or row.get("invalidation_reason"):
        return "lost"
    return "active" if row["active"] else "inactive"


def _stopped(site: Site) -> dict[str, t.Any]:
    done = site.control.script(_FILES, site.control.data_directory)
    if done.rc != 0:
        raise FleetError(
            "control_failed",
            f"The data directory of {site.server.endpoint} cannot be read: {(done.err or done.out).strip()[-300:]}.",
            remedy=f"Check {site.side}.data_directory, the rights on the folders above it, and {site.side}.command_prefix; then run again.",
        )
    names = done.out.split()
    if "pgcut.old" in names:
        return {"replacing": True, "system": ""}
    data = site.control.controldata()
    return {
        "replacing": False,
        "system": data["Database system identifier"],
        "standby": "standby.signal" in names or unpromoted(data),
        "timeline": newest_timeline(data),
    }


def unpromoted(data: t.Mapping[str, str]) -> bool:
    """Whether a stopped server never left recovery: nobody can have written to it.

    A promotion removes standby.signal first, then begins its timeline (which the minimum recovery point tells), and enters production
    last; only then do backends write (StartupXLOG in xlog.c, PostgreSQL 13 to 18).
    """
    return data["Database cluster state"] in IN_RECOVERY and newest_timeline(data) == int(data["Latest checkpoint's TimeLineID"])


def newest_timeline(data: t.Mapping[str, str]) -> int:
    """A promotion writes its timeline as that of the minimum recovery point first, and as the checkpoint's later."""
    return max(int(data["Latest checkpoint's TimeLineID"]), int(data.get("Min recovery ending loc's timeline", "0")))


def _from_files(found: t.Mapping[str, t.Any]) -> Node:
    if found["replacing"]:
        return Node(role="replacing", running=False)
    return Node(role="standby" if found["standby"] else "primary", running=False, timeline=found["timeline"])


def _plausible(both: Sites, nodes: Nodes) -> None:
    """A primary that does not run belongs to a window only if the fence had reached the other side; else somebody has stopped it."""
    for site in both.both():
        here, there = nodes.side(site.side), nodes.side(OTHER[site.side])
        if here.stands == "down" and there.role == "standby" and there.running and not there.fenced:
            raise _down(site, "It serves, and no window is open")
        if here.stands == "down" and there.role in ("absent", "replacing"):
            raise _down(site, "It serves")


def _down(site: Site, why: str) -> FleetError:
    return FleetError(
        "unreachable",
        f"{site.server.endpoint} does not run. {why}. Nothing was changed.",
        remedy=f"Start it and run again; look at its log if it ended by itself ({site.side}).",
        details={"side": site.side},
    )
