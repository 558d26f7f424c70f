# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make one server follow the other, so that both keep their roles over a restart, and take that away again.

The account of the link is made for it, with a random password that is nowhere but in the memory of the follower; the other side keeps its
SHA-256. It can do nothing but replicate. CONFIG REWRITE is called while the follower has no password, so none is written to a disk: after a
restart the follower is closed and without a link, and the next run gives it a new one.

Two marks tell a later run how far an earlier one came. The follower's ``masteruser`` is set last, when its role is on its disk; the account is
made on the master when that one's role is. Neither mark is a key.
"""

from __future__ import annotations

import hashlib
import secrets
import typing as t
from dataclasses import replace

from .._core.errors import FleetError
from .._core.faults import hit
from .._core.wait import Deadline, wait_for
from . import facts
from .model import LINK_KEPT, LINK_RULES, LINK_USER, Server, other
from .plan import NOWHERE
from .redis import Redis, Refused

_NO_CREDENTIALS = (("CONFIG", "SET", "masterauth", ""), ("CONFIG", "SET", "masteruser", ""))
_REMEDY = (
    "Read the follower's log: a port that is closed between the servers, an address that is another one seen from there (peer_host, peer_port), "
    "or tls-replication that does not fit the master's port."
)


def follow(master: Redis, follower: Redis, persist: bool, seconds: float, *, closed: bool = False) -> t.List[str]:
    """``follower`` follows ``master`` with a link that is up. Returns warnings. ``persist`` writes both roles to their configuration files.

    ``closed`` says that this run has closed the follower: one that is open by now was opened by somebody, and what it took is not thrown away.
    """
    warnings: t.List[str] = []
    hit("K1")
    leader = facts.read(master)
    if leader.link_ours:
        # It followed until now: its own role goes to its disk before anybody may follow it.
        warnings += _kept(master, _NO_CREDENTIALS, persist)
    hit("K2")
    behind = facts.read(follower)
    if closed and behind.master is None:
        raise FleetError(
            "loss_not_accepted",
            f"{follower.side} was closed for the switch and takes writes again. {master.side} serves, nothing was thrown away.",
            remedy="Look at both. Name the side whose keys may go: accept_loss: [new], or [legacy]; then run again.",
        )
    password = secrets.token_hex(32)
    if not behind.link_own:
        # The file of a server that was never switched is not touched; where it was, the follower finds its account after a restart.
        kept = persist and (leader.link_ours or leader.link_kept)
        digest = hashlib.sha256(password.encode()).hexdigest()
        account = [("ACL", "SETUSER", LINK_USER, *LINK_RULES, f"#{digest}", *([LINK_KEPT] if kept else []))]
        warnings += _kept(master, account, kept)
    hit("K3")
    if behind.master != master.endpoint.peer:
        follower.ask("REPLICAOF", *master.endpoint.peer)
    hit("K4")
    gone = [("ACL", "DELUSER", LINK_USER)] if behind.link_user else []
    warnings += _kept(follower, [*gone, *(_NO_CREDENTIALS if behind.link_ours else [])], persist)
    if not behind.link_own:
        follower.together(("CONFIG", "SET", "masterauth", password), ("CONFIG", "SET", "masteruser", LINK_USER), secret=password)
    hit("K5")
    wait_linked(follower, seconds)
    return list(dict.fromkeys(warnings))


def wait_linked(follower: Redis, seconds: float) -> None:
    """Until ``follower`` has copied everything and its link is up. Raises FleetError "link_down"."""
    wait_for(
        lambda: _link(follower.info("replication")),
        lambda seen: seen["master_link_status"] == "up" and seen["master_sync_in_progress"] == "0",
        Deadline(seconds),
        what=f"the link of {follower.side} to {other(follower.side)}",
        interval=0.02,
        code="link_down",
        remedy=_REMEDY,
    )


def _link(info: t.Mapping[str, str]) -> t.Dict[str, str]:
    names = ("role", "master_host", "master_port", "master_link_status", "master_sync_in_progress", "master_sync_left_bytes", "master_link_down_since_seconds")
    return {name: info.get(name, "") for name in names if name in info}


def keep_role(server: Redis, persist: bool) -> t.List[str]:
    """The role as it is now, in the configuration file; a warning where there is none, or it cannot be written."""
    return _kept(server, [], persist)


def _kept(server: Redis, commands: t.Sequence[t.Sequence[str]], persist: bool) -> t.List[str]:
    """``commands``, and with ``persist`` what they made in the configuration file, in one turn: a killed run leaves both or neither."""
    answers = server.together(*commands, *([("CONFIG", "REWRITE")] if persist else []))
    warnings = []
    for answer in answers:
        if isinstance(answer, Refused):
            # src/config.c: "The server is running without a config file", "Rewriting config file: <strerror>".
            if "config file" not in answer.said.lower():
                raise answer
            warnings.append(f"{server.side} forgets its role when it is restarted, and would take writes: {answer.said}")
    return warnings


def own_credentials(master: Redis, follower: Redis, behind: Server) -> t.Optional[FleetError]:
    """Why the credentials that ``follower`` had before a move are not taken by ``master``; None when they are, or there are none."""
    if not behind.link_own:
        return None
    found = follower.config("masteruser", "masterauth")
    trial = Redis(replace(master.endpoint, user=found.get("masteruser", ""), password=found.get("masterauth", "")), master.name)
    try:
        trial.ask("PING")
    except Refused as error:
        # An account for replication alone may log in and do nothing that we ask.
        return error if error.code == "auth_failed" else None
    finally:
        trial.close()
    return None


def close(closed: Redis, master: Redis, persist: bool) -> t.List[str]:
    """``closed`` takes no writes and follows nobody: nothing listens at the address that it is given. Nothing of a link stays on either."""
    closed.ask("REPLICAOF", *NOWHERE)
    seen = facts.read(closed)
    if not (seen.link_user or seen.link_ours or facts.read(master).link_ours):
        return keep_role(closed, persist)
    return [*clean(master, closed, persist), *keep_role(closed, persist)]


def detach(new: Redis) -> None:
    """New is a master of its own again; its file says so when the credentials are gone from it (`clean`)."""
    hit("Y1")
    new.ask("REPLICAOF", "NO", "ONE")


def clean(master: Redis, follower: Redis, persist: bool) -> t.List[str]:
    """Account and credentials of the link are gone from both; roles stay. The marks go last."""
    warnings: t.List[str] = []
    hit("Y3")
    for server in (follower, master):
        seen = facts.read(server)
        gone = [("ACL", "DELUSER", LINK_USER)] if seen.link_user else []
        # The file of a server that was only followed was never written.
        warnings += _kept(server, [*gone, *(_NO_CREDENTIALS if seen.link_ours else [])], persist and (seen.link_kept or seen.link_ours))
        hit("Y4")
    return warnings


def part(master: Redis, follower: Redis, persist: bool, seconds: float) -> t.List[str]:
    """As `clean`, and the link is down: a server ends the connections of an account that is deleted, a moment later (src/acl.c)."""
    warnings = clean(master, follower, persist)
    wait_for(
        lambda: _link(follower.info("replication")).get("master_link_status", ""),
        lambda seen: seen != "up",
        Deadline(seconds),
        what=f"the end of the link of {follower.side}",
        interval=0.02,
    )
    return warnings


def flush(new: Redis) -> None:
    """The copy on new is thrown away; it was empty before it followed."""
    hit("Y2")
    new.ask("FLUSHALL")
