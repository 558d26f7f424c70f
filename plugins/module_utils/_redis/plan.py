# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which phase two servers are in, who serves, and which steps lead to a state. Pure.

Roles alone tell who serves: a server that follows takes no writes. In a switch the source is closed before the target is opened, so at every
moment at most one of the two takes writes; between the two both follow each other, which is the phase ``window``.
"""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from .._core.result import Step
from .model import SIDES, Endpoint, Options, Server, other
from .preflight import reads

# Of a server that is fenced without following anybody (mode drain): nothing listens at this address.
NOWHERE = ("127.0.0.1", 1)


def phase(legacy: Server, new: Server, ends: t.Mapping[str, Endpoint]) -> str:
    """One of apart, following, promoted (link up), joining, rejoining (link down), window, drained, drained_back, closed, foreign.

    Of ``following`` and ``joining`` legacy serves, of ``promoted`` and ``rejoining`` new does.
    """
    relations = {server.side: _relation(server, ends) for server in (legacy, new)}
    pair = (relations["legacy"], relations["new"])
    if "foreign" in pair:
        return "foreign"
    return {
        ("master", "master"): "apart",
        ("master", "peer"): "following" if _in_link(new) else "joining",
        ("peer", "master"): "promoted" if _in_link(legacy) else "rejoining",
        ("peer", "peer"): "window",
        ("nowhere", "master"): "drained",
        ("master", "nowhere"): "drained_back",
    }.get(pair, "closed")


def _relation(server: Server, ends: t.Mapping[str, Endpoint]) -> str:
    if server.master is None:
        return "master"
    if server.master == NOWHERE:
        return "nowhere"
    return "peer" if server.master == ends[other(server.side)].peer else "foreign"


def _in_link(server: Server) -> bool:
    return server.link_up and not server.copying


def serving(found: str) -> str:
    """legacy, new, nobody, or unknown where both take writes or a stranger leads."""
    if found in ("following", "joining", "drained_back"):
        return "legacy"
    if found in ("promoted", "rejoining", "drained"):
        return "new"
    return "nobody" if found in ("window", "closed") else "unknown"


def begins(found: str, legacy: Server, new: Server) -> bool:
    """Whether nothing of a move is there: two masters without our account, and nothing on new."""
    return found == "apart" and not new.total and not any(server.link_user or server.link_ours for server in (legacy, new))


def source_of(options: Options, legacy: Server, new: Server, wanted: str) -> str:
    """Of two closed servers the one that has everything: the one that is further in their one history. ``wanted`` when they are level.

    A server that was restarted may have another history, and offsets of two histories say nothing; then somebody has to name what may go.
    """
    if options.accept_loss:
        return other(options.accept_loss[0])
    if legacy.replid != new.replid:
        raise FleetError(
            "loss_not_accepted",
            "Both sides are closed, and one of them was restarted meanwhile, so which of them has the last writes cannot be read. Nothing was changed.",
            remedy="Look at both (DBSIZE, the newest keys, the time of their files). Name the side whose keys may go: accept_loss: [new], or [legacy].",
            details={"offset": {"legacy": legacy.offset, "new": new.offset}, "keys": {"legacy": legacy.total, "new": new.total}},
        )
    if legacy.offset == new.offset:
        return wanted
    return "legacy" if legacy.offset > new.offset else "new"


def steps(options: Options, found: str, legacy: Server, new: Server) -> t.Tuple[Step, ...]:
    """What leads from ``found`` to the state; empty when it is reached. Raises FleetError where no step may be taken."""
    if options.mode == "none" or options.state == "empty":
        return ()
    if found == "foreign":
        seen = " ".join(f"{server.side} follows {server.master[0]}:{server.master[1]}." for server in (legacy, new) if server.master)
        raise FleetError(
            "follows_other",
            f"{seen} Nothing was changed.",
            remedy="Take it out of its replication (REPLICAOF NO ONE there), or name the master itself; if it is one of the two, correct its peer_host.",
        )
    servers = {"legacy": legacy, "new": new}
    if options.state == "absent":
        return _absent(options, found, legacy, new)
    if options.state == "standalone":
        return _standalone(found, servers)
    if options.mode == "drain":
        return _drain(options, found)
    return _replicate(options, found, servers)


def _replicate(options: Options, found: str, servers: t.Mapping[str, Server]) -> t.Tuple[Step, ...]:
    """``replicating`` holds whichever side serves, as long as the other one follows it; ``promoted`` wants the side that is named."""
    wanted = options.side if options.state == "promoted" else "legacy"
    done: t.List[Step] = []
    serves = serving(found)
    if found == ("drained" if wanted == "new" else "drained_back") and options.state == "promoted":
        return ()
    if found in ("window", "closed", "drained", "drained_back"):
        if found != "window":
            raise FleetError(
                "mode_unsupported",
                f"Phase {found}: the side that was closed last follows nobody, so it has not what was written since. Nothing was changed.",
                remedy="Go on with mode: drain, whose proof are emptied queues.",
            )
        serves = source_of(options, servers["legacy"], servers["new"], wanted)
        done += [_reopened(serves), _link(other(serves), serves)]
    elif found == "apart":
        _refuse_loss(options, servers)
        serves = "new" if "legacy" in options.accept_loss else "legacy"
        done.append(_link(other(serves), serves))
    else:
        follower, master = servers[other(serves)], servers[serves]
        # The account on the master is made when its role is on its disk, the credentials on the follower when that one's is (link.py).
        linked = (follower.link_ours and master.link_user) or (follower.link_own and not follower.link_ours)
        if found in ("joining", "rejoining") or not linked:
            done.append(_link(follower.side, serves, "its link is down" if linked else "its link is not finished"))
    if options.state == "promoted" and serves != wanted:
        if options.quiet:
            done.append(Step("quiet", "the worker takes no next job", True))
        if options.layouts:
            done.append(Step("idle", "no job is in progress"))
        done.append(Step("switch", f"{serves} serves, {wanted} is wanted", True))
        if reads(servers[serves], servers[wanted]):
            done.append(_link(serves, wanted, "the way back"))
        else:
            # It would take what it understands of the stream and leave the rest (src/server.c, propagation-error-behavior), and look level.
            done.append(Step(f"close_{serves}", f"{serves} cannot read what {wanted} writes, so it follows nobody"))
    return tuple(done)


def _reopened(side: str) -> Step:
    return Step(f"reopen_{side}", f"both sides are closed; {side} has everything", True)


def _link(follower: str, master: str, reason: str = "") -> Step:
    return Step(f"link_{follower}", f"{follower} is to follow {master}" + (f"; {reason}" if reason else ""))


def _refuse_loss(options: Options, servers: t.Mapping[str, Server]) -> None:
    """Two open servers with keys on new: nobody can tell by the facts which of them is a copy."""
    loser = servers["legacy" if "legacy" in options.accept_loss else "new"]
    if not loser.total or loser.side in options.accept_loss:
        return
    facts = "; ".join(f"{side} has {server.total} keys and takes writes" for side, server in servers.items())
    raise FleetError(
        "loss_not_accepted",
        f"{facts}. To follow the other one, a side loses its own keys. Nothing was changed.",
        remedy="Look at both (DBSIZE, SCAN). When the keys of one may go, name it: accept_loss: [new], or accept_loss: [legacy] after a switch to new.",
        details={"keys": {side: server.total for side, server in servers.items()}},
    )


def _drain(options: Options, found: str) -> t.Tuple[Step, ...]:
    if options.state != "promoted":
        raise FleetError(
            "mode_unsupported",
            f"In mode drain nothing follows, so state {options.state} cannot be reached. Nothing was changed.",
            remedy="Use state: empty for the proof, state: promoted for the switch, or mode: replicate.",
        )
    goal = "drained" if options.side == "new" else "drained_back"
    if found == goal:
        return ()
    if found not in ("apart", "closed", "drained", "drained_back"):
        raise FleetError(
            "mode_unsupported",
            f"The pair replicates (phase {found}). Nothing was changed.",
            remedy="Use mode: replicate, or take the replication away first with state: absent.",
        )
    source = other(options.side)
    quieted = [Step("quiet", "the worker takes no next job", True)] if options.quiet else []
    closed = [*quieted, Step("drained", "queues, schedules and jobs in progress are empty"), Step(f"close_{source}", f"{source} takes no more writes", True)]
    opened = [Step(f"open_{options.side}", f"{options.side} is to serve", True)] if found != "apart" else []
    return (*([] if found == "closed" else closed), *opened)


def _standalone(found: str, servers: t.Mapping[str, Server]) -> t.Tuple[Step, ...]:
    """The end of the way back: what made the pair goes, the side that follows stays closed."""
    serves = serving(found)
    if serves not in SIDES:
        if not any(server.link_user or server.link_ours for server in servers.values()) and found == "apart":
            return ()
        raise FleetError(
            "mode_unsupported",
            f"Phase {found}: no side serves alone, so it cannot be ended. Nothing was changed.",
            remedy="Reach state promoted or replicating first.",
        )
    if not any(server.link_user or server.link_ours for server in servers.values()):
        return ()
    return (Step("part", f"{serves} serves alone; {other(serves)} stays closed"),)


def _absent(options: Options, found: str, legacy: Server, new: Server) -> t.Tuple[Step, ...]:
    if serving(found) == "new" or (found == "window" and source_of(options, legacy, new, "legacy") == "new"):
        raise FleetError(
            "mode_unsupported",
            "New serves: taking the pair away would lose what was written since the switch. Nothing was changed.",
            remedy="Go back first: state: promoted with side: legacy; then state: absent.",
        )
    done = [_reopened("legacy")] if found == "window" else []
    if new.master is not None:
        done += [Step("detach", "new follows legacy"), Step("flush", f"new holds {new.total} keys of legacy")]
    elif new.link_ours and new.total:
        done.append(Step("flush", f"new holds {new.total} keys of legacy"))
    if new.link_ours or new.link_user or legacy.link_user or legacy.link_ours or new.master is not None:
        done.append(Step("clean", "account and credentials of the link"))
    return tuple(done)
