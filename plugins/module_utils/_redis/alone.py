# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run at a time works on a pair, wherever it runs: the names of its connections are the lock, and end with them.

No key is written for it, since keys are the application's, and a side that follows takes none. Each run names its connection before it looks
at the others; of all that are named so on one server the one with the smallest id goes on. Ids of clients only grow
(https://redis.io/docs/latest/commands/client-id/), so no two take themselves for the first. A watchdog counts whatever its id is: it was there
while its run still held the lock. The second server is connected when the first is held, so two runs cannot wait for each other.
"""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from .._core.wait import Deadline
from .redis import Redis

RUN, WATCH, INFO = "bowline-redis:", "bowline-redis-watch:", "bowline-redis-info"

# A second run waits this long for the first one: longer than a switch with its clean-up, shorter than an operator's patience.
WAIT = 30.0


def alone(server: Redis, token: str, seconds: float = WAIT) -> None:
    """Wait until no other run works on ``server``, whose connection is named after ``token``. Raises FleetError "locked" with the holder."""
    server.ask("PING")
    deadline = Deadline(seconds)
    while True:
        rivals = [client for client in clients(server) if _goes_first(client, token, server.id)]
        if not rivals:
            return
        if deadline.expired():
            first = rivals[0]
            raise FleetError(
                "locked",
                f"Another run works on {server.side}: client {first.get('id')} from {first.get('addr')} for {first.get('age')} s. Nothing was changed.",
                remedy=f"Wait for its end. If it hangs or its host is gone: CLIENT KILL ID {first.get('id')} on {server.side}, then run again.",
                details={"side": server.side, "id": first.get("id"), "addr": first.get("addr"), "age": first.get("age")},
            )
        deadline.pause(0.1)


def again(servers: t.Iterable[Redis]) -> None:
    """Hold the lock still, or once more: a connection that was lost and made anew stands behind those that came meanwhile."""
    for server in servers:
        alone(server, server.name[len(RUN) :])


def clients(server: Redis) -> t.List[t.Dict[str, str]]:
    """Connections of this room, as CLIENT LIST tells of them."""
    lines = server.ask("CLIENT", "LIST").splitlines()
    return [dict(word.partition("=")[::2] for word in line.split(" ")) for line in lines if f" name={RUN}" in line or f" name={WATCH}" in line]


def _goes_first(client: t.Mapping[str, str], token: str, own: int) -> bool:
    name = client.get("name", "")
    if name in (RUN + token, WATCH + token):
        return False
    return name.startswith(WATCH) or int(client.get("id", "0")) < own
