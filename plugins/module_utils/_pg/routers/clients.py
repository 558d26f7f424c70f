# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holding, routing and releasing the clients: four verbs behind which stands nothing, PgBouncer, or commands that the caller gives.

Each verb may be called again, by the module, by the watchdog or by a later run, and does only what is missing.
"""

from __future__ import annotations

import os
import statistics
import time
import typing as t

from ..._core.errors import FleetError
from ..._core.finding import Finding
from ..._core.runner import Runner
from ..._core.wait import Deadline
from ..model import OTHER, Options, Router
from . import pgbouncer
from .pgbouncer import Address, Console, Late, quoted

# Verbs that run while nobody can write.
_INSIDE = ("route", "warmup", "resume")
_SAMPLES = 3


class Clients:
    """What stands between the clients and the two databases. This one, type none, does nothing: they reconnect and see errors meanwhile."""

    # Whether a client keeps a new session only if it takes writes. Else sessions that began before the opening have to be ended after it.
    choosy = False
    # Whether a verb inside the window waits for an answer of the application.
    asks = False

    def pause(self, side: str) -> None:
        """Hold the clients of ``side``; returns when none of their requests is on its way."""

    def route(self, side: str) -> None:
        """Send the clients to ``side`` from now on."""

    def warmup(self, side: str) -> None:
        """Prove that ``side`` answers."""

    def resume(self, side: str) -> None:
        """Release the clients."""

    def serve(self, side: str) -> None:
        """Send the clients to ``side``, prove that it answers, and release them."""
        self.route(side)
        self.warmup(side)
        self.resume(side)

    def findings(self) -> list[Finding]:
        """What would make the verbs fail; reads only."""
        return []

    def inside_ms(self, side: str) -> float:
        """What route, warmup and resume will take when ``side`` is to serve, measured now and without effect."""
        return 0.0

    def close(self) -> None:
        """Let go of what is open."""


def clients(options: Options, runner: Runner | None) -> Clients:
    """The router that ``options`` ask for. It opens nothing before its first verb, so it may be made before a fork."""
    if options.router.type == "command":
        return Commands(options.router, runner)
    if options.router.type == "pgbouncer":
        return PgBouncer(options)
    return Libpq() if options.router.type == "libpq" else Clients()


class Libpq(Clients):
    """The fence is the router: clients name both hosts with target_session_attrs=read-write, and whoever loses a session to W2 takes the host
    whose default_transaction_read_only is off (https://www.postgresql.org/docs/current/libpq-connect.html). A session that found it on
    was given up by its client at once, so W8 ends none that began in the window; it would end those that came at the right moment."""

    choosy = True


class Commands(Clients):
    """Lists of argv; ``{side}`` in a word is the side that shall serve."""

    asks = True

    def __init__(self, router: Router, runner: Runner | None) -> None:
        self._router = router
        self._runner = runner

    def pause(self, side: str) -> None:
        self._run("pause", self._router.pause, side)

    def route(self, side: str) -> None:
        self._run("route", self._router.route, side)

    def warmup(self, side: str) -> None:
        self._run("warmup", self._router.warmup, side)

    def resume(self, side: str) -> None:
        self._run("resume", self._router.resume, side)

    def findings(self) -> list[Finding]:
        if self._router.check or not self._inside():
            return []
        return [
            Finding(
                "router_failed",
                "warn",
                "router.check",
                "Without router.check nobody knows how long a command of the router takes, so predicted_window_ms leaves them out.",
                "Name a command that changes nothing and takes as long as the others, for instance one that shows their state.",
            )
        ]

    def inside_ms(self, side: str) -> float:
        """Commands inside the window, times the median of a round of the commands in ``check`` divided by their number.

        An application that is started later cannot be asked yet; then the other one, which serves, is.
        """
        if not self._router.check:
            return 0.0
        try:
            return self._check_ms(side) * self._inside()
        except FleetError:
            return self._check_ms(OTHER[side]) * self._inside()

    def _check_ms(self, side: str) -> float:
        times = []
        for _sample in range(_SAMPLES):
            started = time.monotonic()
            self._run("check", self._router.check, side)
            times.append((time.monotonic() - started) * 1000 / len(self._router.check))
        return statistics.median(times)

    def _inside(self) -> int:
        return sum(len(getattr(self._router, verb)) for verb in _INSIDE)

    def _run(self, verb: str, commands: t.Sequence[t.Sequence[str]], side: str) -> None:
        if not commands:
            return
        if self._runner is None:
            raise FleetError("router_failed", f"router.{verb} has commands, but nothing here can run them.",
                             remedy="Run the same state again; a run that has a runner calls them.")
        for command in commands:
            argv = [word.replace("{side}", side) for word in command]
            done = self._runner(argv, timeout=self._router.timeout)
            if done.rc != 0:
                output = (done.err or done.out).strip()[-400:]
                raise FleetError(
                    "router_failed",
                    f"router.{verb} for side {side} ended with {done.rc}: {' '.join(argv)}: {output or 'no output'}.",
                    remedy="Repair the command and run again; the route follows from the facts.",
                    details={"verb": verb, "side": side, "argv": argv, "rc": done.rc},
                )


class PgBouncer(Clients):
    """PAUSE, the entries in its file with RELOAD, RESUME. Facts of its versions 1.18 to 1.25, read in its source (admin.c, objects.c):

    - In session pooling PAUSE waits for the clients to leave (issue 369), so that is refused before anything is done.
    - A RESUME beside a waiting PAUSE leaves the PAUSE without an answer for ever (issue 715). PAUSE therefore has a limit here: at its end
      the connection is closed first, and RESUME is said over a new one.
    - PAUSE and RELOAD cut a login to the server off and count it as failed; the next client is then refused, the waiting ones wait for
      server_login_retry (issues 420 and 872). So PAUSE waits for a moment without a login.
    - While one database is paused and RELOAD has changed its host, a new client starts such a login (issue 498). So nothing stands between
      RELOAD and RESUME.
    - Connections to the old host are closed by PAUSE; RELOAD marks those of a changed host to be closed when they are released. If some are
      still not marked after a RELOAD, RECONNECT marks them (issue 1311 is a pool that went on with the old server).
    """

    def __init__(self, options: Options) -> None:
        self._router = options.router
        self._names = options.router.databases
        # How long clients wait for an open transaction is one question, whoever asks it.
        self._grace = min(options.drain_grace, options.router.timeout)
        self._max_window = options.max_window
        self._console = Console(options.router)

    def pause(self, side: str) -> None:
        limit = Deadline(self._grace)
        try:
            for name in self._names:
                while self._logins(name) and limit.remaining() > self._grace / 2:
                    limit.pause(0.002)
                self._console.run(f"PAUSE {quoted(name)}", limit.remaining())
        except Late:
            busy = self._busy()
            self.resume(side)
            raise FleetError(
                "active_transactions",
                f"{self._console} could not pause {', '.join(self._names)} within {self._grace:g} s: {'; '.join(busy) or 'no client is listed'}."
                " It was resumed; nothing was fenced.",
                remedy="End these transactions, or raise drain_grace.",
                details={"clients": busy},
            ) from None
        except FleetError:
            self._console.close()
            self.resume(side)
            raise

    def route(self, side: str) -> None:
        wanted = self._wanted(side)
        text = pgbouncer.read(self._router.config)
        changed = pgbouncer.rewritten(text, wanted)
        if changed != text:
            pgbouncer.replace(self._router.config, changed)
        if self._routed() == wanted:
            return
        self._console.run("RELOAD")
        routed = self._routed()
        if routed != wanted:
            raise FleetError(
                "router_failed",
                f"{self._console} does not send {_shown(wanted)} after RELOAD; it has {_shown(routed)}.",
                remedy=f"Look at its log for an error in {self._router.config}, or for another file that has the entry; then run again.",
                details={"wanted": _shown(wanted), "found": _shown(routed)},
            )
        for name in {row["database"] for row in self._servers() if row["close_needed"] == "0"}:
            self._console.run(f"RECONNECT {quoted(name)}")

    def resume(self, side: str) -> None:
        for row in self._databases().values():
            if row["paused"] != "1":
                continue
            try:
                self._console.run(f"RESUME {quoted(row['name'])}")
            except FleetError as error:
                # Somebody else was faster, which is all that is wanted.
                if "is not paused" not in error.details.get("said", ""):
                    raise

    def inside_ms(self, side: str) -> float:
        """The file is read, and six questions are asked; what replacing the file takes is not known without doing it."""
        started = time.monotonic()
        pgbouncer.entries(pgbouncer.read(self._router.config))
        for _question in range(6):
            self._databases()
        return (time.monotonic() - started) * 1000

    def close(self) -> None:
        self._console.close()

    # --- preflight ------------------------------------------------------------------------------------------------------------------

    def findings(self) -> list[Finding]:
        try:
            return [*self._file(), *self._pools()]
        except FleetError as error:
            return [Finding.of_error(error, "router")]

    def _file(self) -> list[Finding]:
        path = self._router.config
        text = pgbouncer.read(path)
        written, live = pgbouncer.entries(text), self._databases()
        sides = {side: self._wanted(side) for side in ("legacy", "new")}
        findings = []
        if not os.access(os.path.dirname(os.path.realpath(path)), os.W_OK) or not os.access(path, os.W_OK):
            findings.append(_fail("router.config", f"{path} or its folder cannot be written.", "Run as a user that may."))
        for name in self._names:
            if name not in written:
                more = " Files that it takes in by %include are not searched." if pgbouncer.includes(text) else ""
                star = " An entry * serves other databases, too, so it is not changed." if "*" in written else ""
                findings.append(
                    _fail(
                        f"router.databases {name}",
                        f"Section [databases] of {path} has no entry {name}.{more}{star}",
                        "Name the file that has the entry, or give the database one of its own, with host and port.",
                    )
                )
            elif name not in live:
                findings.append(
                    _fail(f"router.databases {name}", f"{self._console} does not know {name}.", "RELOAD it, or correct host and port.")
                )
            elif written[name] != _where(live[name]):
                findings.append(
                    _fail(
                        f"router.databases {name}",
                        f"{path} sends {name} to {_spot(written[name])}, {self._console} to {_spot(_where(live[name]))}.",
                        "Name the file that this PgBouncer reads, on the host where the module runs, and RELOAD it.",
                    )
                )
            elif written[name] not in [wanted[name] for wanted in sides.values()]:
                findings.append(
                    _fail(
                        f"router.databases {name}",
                        f"{name} goes to {_spot(written[name])}, which is neither legacy ({_spot(sides['legacy'][name])})"
                        f" nor new ({_spot(sides['new'][name])}).",
                        "Say in router.to_legacy and router.to_new how PgBouncer reaches the servers, word by word as the file has it.",
                    )
                )
        return findings

    def _pools(self) -> list[Finding]:
        findings = []
        settings = {row["key"]: row["value"] for row in self._console.rows("SHOW CONFIG")}
        live = self._databases()
        modes = {(name, ""): row["pool_mode"] or settings["pool_mode"] for name, row in live.items()}
        # The mode of a user wins over that of the database; a pool that exists shows which one holds.
        modes |= {(row["database"], f" for user {row['user']}"): row["pool_mode"] for row in self._ours("SHOW POOLS")}
        findings += [
            _fail(
                f"router.databases {name}",
                f"{name} is pooled by session{user}; PAUSE would wait for every client to leave.",
                "Set pool_mode = transaction (or statement), or use router type none or libpq.",
            )
            for (name, user), mode in sorted(modes.items())
            if mode == "session"
        ]
        try:
            # There is no such database; whoever may not administrate is told that first.
            self._console.run('RESUME "bowline asks whether it may"')
        except FleetError as error:
            if "no such database" not in error.details.get("said", ""):
                findings.append(_fail("router.user", error.message, error.remedy))
        wait = float(settings.get("query_wait_timeout") or 0)
        if 0 < wait <= self._max_window:
            findings.append(
                Finding(
                    "router_failed",
                    "warn",
                    "query_wait_timeout",
                    f"{self._console} gives up on a client that waits {wait:g} s; a window may take {self._max_window:g} s.",
                    "Raise query_wait_timeout above max_window.",
                )
            )
        return findings

    # --- reading ------------------------------------------------------------------------------------------------------------------

    def _wanted(self, side: str) -> dict[str, Address]:
        return {name: self._router.addresses[side] for name in self._names}

    def _databases(self) -> dict[str, dict[str, str]]:
        return {row["name"]: row for row in self._console.rows("SHOW DATABASES") if row["name"] in self._names}

    def _routed(self) -> dict[str, Address]:
        return {name: _where(row) for name, row in self._databases().items()}

    def _ours(self, text: str) -> list[dict[str, str]]:
        return [row for row in self._console.rows(text) if row["database"] in self._names]

    def _servers(self) -> list[dict[str, str]]:
        return self._ours("SHOW SERVERS")

    def _logins(self, name: str) -> bool:
        return any(row["sv_login"] != "0" for row in self._ours("SHOW POOLS") if row["database"] == name)

    def _busy(self) -> list[str]:
        try:
            rows = [row for row in self._servers() if row["state"] != "idle"]
        except FleetError:
            return []
        return [f"pid {row['remote_pid']} ({row['application_name'] or row['user']}, {row['database']}, {row['state']})" for row in rows]


def _fail(what: str, message: str, remedy: str) -> Finding:
    return Finding("router_failed", "fail", what, message, remedy)


def _where(row: t.Mapping[str, str]) -> Address:
    return row["host"], int(row["port"])


def _spot(address: Address) -> str:
    return f"{address[0] or 'its socket'}:{address[1]}"


def _shown(routed: t.Mapping[str, Address]) -> str:
    return ", ".join(f"{name} to {_spot(address)}" for name, address in sorted(routed.items())) or "nothing"
