# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`traffic_probe` and `traffic_probe_info`: the process and its lines."""

from __future__ import annotations

import contextlib
import fcntl
import inspect
import json
import os
import sys
import time
import typing as t
import urllib.parse
from datetime import datetime, timezone

from .._core import private
from .._core.errors import FleetError
from .._core.lock import locked
from .._core.result import Step, result
from .._core.runner import Runner
from .._core.wait import Deadline, wait_for
from . import lines as figures, prober, trial

# A beat is written every quarter of a second; a busy machine is given eight of them.
_SILENCE = 2.0

# Seconds for another run that starts or ends this probe, the longest of which is a restart.
_LIMIT = 30.0


class Probe:
    """The probe in ``directory``, which is ours alone: who could write there could invent what clients saw.

    Whether it runs is a lock that its process holds; nobody is ever signalled. Raises FleetError "unsafe_path".
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory.rstrip("/")
        private.folder(self.directory, make=False, field="directory")

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def config(self) -> dict[str, t.Any] | None:
        try:
            return dict(json.loads(self._read(prober.CONFIG_FILE)))
        except (FileNotFoundError, ValueError):
            return None

    def runs(self) -> bool:
        try:
            # Without O_CREAT, because a check creates nothing.
            with os.fdopen(private.open_file(self.path(prober.LOCK_FILE), os.O_RDWR, 0o644), "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True

    def silence(self, now: float | None = None) -> float | None:
        """Seconds since the last line; None when there is no line."""
        lines = figures.parse(self._tail())
        return max(0.0, (time.time() if now is None else now) - max(_moment(line) for line in lines)) if lines else None

    def alive(self) -> bool:
        silence = self.silence()
        return self.runs() and silence is not None and silence < _SILENCE

    def text(self) -> str:
        try:
            return self._read(prober.LINES_FILE)
        except FileNotFoundError:
            return ""

    def start(self, config: t.Mapping[str, t.Any], run: Runner) -> None:
        """Lines of an earlier probe are kept as ``requests.previous.jsonl``."""
        private.folder(self.directory, field="directory")
        try:
            for name in (prober.STOP_FILE, prober.ERROR_FILE):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path(name))
            with contextlib.suppress(FileNotFoundError):
                os.replace(self.path(prober.LINES_FILE), self.path("requests.previous.jsonl"))
            # Headers and bodies may hold secrets.
            private.write(self.path(prober.CONFIG_FILE), (json.dumps(config, indent=2, sort_keys=True) + "\n").encode(), 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        # Not from a file, and with -I neither the working directory nor PYTHONPATH is looked into for the modules that it imports.
        completed = run([sys.executable, "-I", "-", self.directory], stdin=inspect.getsource(prober), timeout=10)
        if completed.rc:
            raise FleetError(
                "probe_failed", f"The probe ended with {completed.rc}: {completed.err.strip()[-400:]!r}.", remedy="Correct its options."
            )
        wait_for(
            lambda: "alive" if self.alive() else self._error(),
            lambda seen: seen == "alive",
            Deadline(10),
            what="the probe's first line",
            interval=0.05,
            code="probe_failed",
            remedy="Correct its options; nothing is being measured.",
        )

    def stop(self) -> None:
        try:
            private.write(self.path(prober.STOP_FILE), b"", 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        wait_for(
            self.runs,
            lambda running: not running,
            Deadline(prober.GRACE + 8),
            what="the probe to end",
            interval=0.05,
            code="probe_failed",
            remedy=f"Look for a process that holds {self.path(prober.LOCK_FILE)}.",
        )

    def _read(self, name: str) -> str:
        return private.read(self.path(name)).decode("utf-8", "replace")

    def _unusable(self, error: OSError) -> FleetError:
        return FleetError("probe_failed", f"directory: {self.directory} cannot be used: {error}.", remedy="Empty it, or name another directory.")

    def _error(self) -> str:
        try:
            return self._read(prober.ERROR_FILE).strip()
        except FileNotFoundError:
            return "no line"

    def _tail(self) -> str:
        try:
            with os.fdopen(private.open_file(self.path(prober.LINES_FILE), os.O_RDONLY, 0o644), "rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
                return file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""


def _moment(line: figures.Line) -> float:
    return figures.ended(line) if "ms" in line else float(line["t"])


def config_from_params(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The probe's configuration file; raises FleetError ``option_invalid`` with every fault."""
    url = urllib.parse.urlsplit(params["url"] or "")
    faults = []
    if url.scheme not in ("http", "https") or not url.hostname:
        faults.append(f"url is {params['url']!r}; expected http(s)://host[:port].")
    workers = [_worker(worker) for worker in params["workers"] or []]
    if not workers:
        faults.append("workers is empty; name at least one.")
    names = [worker["name"] for worker in workers]
    faults.extend(f"workers: {name} is named twice." for name in sorted({name for name in names if names.count(name) > 1}))
    faults.extend(
        f"workers.{worker['name']}.rate is {worker['rate']:g}; expected 0.1 to 100."
        for worker in workers
        if not 0.1 <= worker["rate"] <= 100
    )
    faults.extend(
        f"workers.{worker['name']}.path is {worker['path']!r}; expected a path that starts with /."
        for worker in workers
        if worker["path"][:1] != "/"
    )
    if params["ca_file"] and not os.path.exists(params["ca_file"]):
        faults.append(f"ca_file {params['ca_file']} does not exist.")
    if faults:
        raise FleetError(
            "option_invalid", " ".join(faults), remedy="Correct the options; no probe was started.", details={"faults": faults}
        )
    return {
        "url": params["url"],
        "ca_file": params["ca_file"],
        "resolvers": list(params["resolvers"] or []),
        "side_header": params["side_header"],
        "timeout": params["timeout"],
        "max_seconds": params["max_seconds"],
        "workers": workers,
    }


def _worker(asked: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    body = asked["body"]
    text = json.dumps(body) if isinstance(body, (dict, list)) else body or ""
    headers = {str(name): str(value) for name, value in (asked["headers"] or {}).items()}
    if text and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    return {
        "name": asked["name"],
        "address": asked["address"],
        "method": asked["method"],
        "path": asked["path"],
        "body": text,
        "headers": headers,
        "expect_status": list(asked["expect_status"]),
        "rate": asked["rate"],
        "concurrency": asked["concurrency"],
        "writes": asked["method"] not in ("GET", "HEAD"),
    }


def run_probe(params: t.Mapping[str, t.Any], run: Runner, check_mode: bool) -> dict[str, t.Any]:
    """Have the probe running as described, or not running; or only send what it would send first."""
    if params["state"] == "tried":
        return _tried(params, check_mode)
    if check_mode:
        return _work(params, run, check_mode)
    with locked(params["directory"], _LIMIT):
        return _work(params, run, check_mode)


def _work(params: t.Mapping[str, t.Any], run: Runner, check_mode: bool) -> dict[str, t.Any]:
    probe = Probe(params["directory"])
    runs = probe.runs()
    before = {"running": runs, "config": _shown(probe.config()) if runs else None}
    wanted = config_from_params(params) if params["state"] == "started" else None
    steps = _plan(runs, probe.config(), wanted, probe.alive())
    after = {"running": wanted is not None, "config": _shown(wanted)}
    if steps and not check_mode:
        if runs:
            probe.stop()
        if wanted is not None:
            probe.start(wanted, run)
    shown = {
        "directory": probe.directory,
        "lines": probe.path(prober.LINES_FILE),
        "alive": wanted is not None if check_mode else probe.alive(),
    }
    return result(steps, before=before, after=after, probe=shown)


def _tried(params: t.Mapping[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
    probe, config = Probe(params["directory"]), config_from_params(params)
    lines = trial.try_workers(config, check_mode)
    shown = {"directory": probe.directory, "lines": probe.path(prober.LINES_FILE), "alive": probe.alive()}
    return {**result((), before=None, after=None, evidence={"requests": lines}, probe=shown), "findings": trial.findings(config, lines)}


def _plan(runs: bool, config: t.Mapping[str, t.Any] | None, wanted: t.Mapping[str, t.Any] | None, alive: bool) -> tuple[Step, ...]:
    if wanted is None:
        return (Step("stop", "the probe runs"),) if runs else ()
    if not runs:
        return (Step("start", "no probe runs"),)
    if config != wanted:
        return (Step("restart", "the probe runs with other options"),)
    return () if alive else (Step("restart", "the probe has been silent for 2 s"),)


def _shown(config: t.Mapping[str, t.Any] | None) -> dict[str, t.Any] | None:
    """The configuration for a diff: header values and bodies may be secrets."""
    if config is None:
        return None
    hidden = [{**worker, "body": bool(worker["body"]), "headers": sorted(worker["headers"])} for worker in config["workers"]]
    return {**config, "workers": hidden}


def unix_time(text: str) -> float:
    """Seconds since 1970 of a number or of an ISO 8601 time (UTC when it names no zone); raises FleetError "option_invalid"."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        # Python 3.9 and 3.10 do not take the letter Z.
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise FleetError("option_invalid", f"since: {text!r} is no unix time and no ISO 8601 time.", remedy="Give one of both.") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def run_probe_info(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What `traffic_probe_info` returns."""
    probe = Probe(params["directory"])
    lines = figures.parse(probe.text())
    since = unix_time(params["since"]) if params["since"] else 0.0
    seen: dict[str, t.Any] = {
        "alive": probe.alive(),
        "silence": probe.silence(),
        "lines": probe.path(prober.LINES_FILE),
        **figures.summary(lines, since),
    }
    if since:
        seen["seconds_to_side"] = {side: round(counted["first"] - since, 3) for side, counted in seen["sides"].items()}
    if params["old_side"] and params["released_at"] is not None:
        seen["served_by_old_after_release"] = figures.served_by_after(lines, params["old_side"], params["released_at"])
    if params["series"]:
        seen["series"] = figures.series(lines, since)
    # Under a name of its own: Ansible takes a key "failed" of the result itself for the module's verdict.
    return {"changed": False, "probe": seen}
