# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`traffic_edge` and `traffic_edge_info`: observe, plan, apply, read back."""

from __future__ import annotations

import os
import re
import time
import typing as t
from dataclasses import asdict

from .._core import private
from .._core.errors import FleetError
from .._core.redact import MASK
from .._core.result import Step, result
from .._core.runner import Completed, Runner
from .._core.wait import Deadline
from . import against, archive, door, faults, owner, patience, place, process, proxy, render, shown
from .absent import Absent
from .control import Edge
from .model import RUN, EdgeSpec, Peer, Service, State, Warmup, map_text
from .plan import Desired, Observed, plan_present
from .ready import Ready

# A proxy with large tables takes its time to reload; until then its old workers answer as before.
_SETTLE = 60.0
_CHECK = ["haproxy", "-c", "-q", "-f", "{config}"]


def spec_from_params(params: t.Mapping[str, t.Any], planned: bool = False) -> EdgeSpec:
    """The edge that the options describe; raises FleetError ``option_invalid`` with every fault.

    With ``planned`` a user or group that an earlier task of the same run is to bring is no fault.
    """
    services = tuple(_service(item, planned) for item in params["services"] or [])
    uid, gid = place.identity(params["user"], params["group"], planned)
    asked = params["warmup"] or {}
    peer = Peer(**params["peer"])
    spec = EdgeSpec(
        side=params["side"],
        directory=params["directory"].rstrip("/"),
        services=services,
        peer=peer,
        warmup=Warmup(
            service=asked.get("service") or (services[0].name if services else ""),
            host=asked.get("host") or peer.hostname,
            path=asked.get("path") or Warmup.path,
            count=asked.get("count") or Warmup.count,
            timeout=asked.get("timeout") or Warmup.timeout,
        ),
        hold_max=params["hold_max"],
        uid=uid,
        gid=gid,
        subject=params.get("subject") or "",
    )
    faults.validate(spec)
    return spec


def _service(item: t.Mapping[str, t.Any], planned: bool) -> Service:
    listen = item["listen"][len("unix@") :] if item["listen"].startswith("unix@") else item["listen"]
    field = f"services.{item['name']}.group"
    faults.refuse([f"{field} is missing: the group of the proxy, which may connect to {listen}."] if listen[:1] == "/" and not item["group"] else [])
    faults.refuse([f"{field} is of a unix socket only."] if listen[:1] != "/" and item["group"] else [])
    clients = faults.clients(listen, item["clients"] or [])
    return Service(item["name"], listen, item["local"], clients, place.group_id(field, item["group"], planned))


def start_argv(directory: str) -> list[str]:
    """How the process of an edge is started, in the foreground."""
    return ["haproxy", "-W", "-db", "-S", f"{directory}/{RUN}/master.sock,mode,600", "-f", f"{directory}/{render.CONFIG_FILE}"]


def run_edge(params: t.Mapping[str, t.Any], run: Runner, check_mode: bool) -> dict[str, t.Any]:
    """Make the edge as the options say."""
    _own_folders(params, make=False)
    if params["state"] == "absent":
        return Absent(params, run).work(check_mode)
    return _Present(params, run, check_mode).work()


def _own_folders(params: t.Mapping[str, t.Any], *, make: bool) -> None:
    """What HAProxy loads, and what root runs, lies where nobody else writes; raises FleetError ``unsafe_path``."""
    private.folder(params["directory"], 0o755, make=make, field="directory")
    private.folder(os.path.dirname(params["command"]), 0o755, make=make, field="command")


def run_edge_info(
    directory: str,
    reach: bool,
    asked: t.Mapping[str, t.Any] | None = None,
    run: Runner | None = None,
    planned: bool = False,
    hold_max: float | None = None,
    also: t.Mapping[str, t.Any] | None = None,
) -> dict[str, t.Any]:
    """What `traffic_edge_info` returns: the edge or None, and with ``reach`` one request to each side past hold and route.

    ``asked`` is the proxy that the edge is to be put behind, whose configuration need not exist yet when it is ``planned``; ``findings`` has all
    that stands against it or should be known of it, and against what ``also`` has: subject and process.
    """
    edge = Edge(directory.rstrip("/"))
    if place.outdated(edge.directory):
        raise _outdated(edge.directory)
    answer: dict[str, t.Any] = {"changed": False, "edge": None, "reach": {}, "findings": [], "proxy_timeout": None, "labels": {}}
    insertion = proxy.asked_for(asked, None)
    if insertion and run and not (planned and insertion.config and not os.path.exists(insertion.config)):
        there = proxy.of(insertion, edge.directory, run)
        answer["findings"] = there.findings() + ([] if edge.haproxy.running() else proxy.taken(insertion))
        if not any(finding["level"] == "fail" for finding in answer["findings"]):
            timeout = patience.of(insertion.driver, (asked or {}).get("timeout"), there.timeout())
            answer["proxy_timeout"] = timeout[0]
            failure = patience.too_long(hold_max or 0, *timeout)
            answer["findings"] += [proxy.of_error(failure, insertion.config or insertion.driver)] if failure else []
            answer["labels"] = there.labels()
    if run:
        answer["findings"] += against.found(edge.directory, {**(also or {}), "proxy": asked}, run, planned)
    if not os.path.exists(f"{edge.directory}/{render.SPEC_FILE}"):
        return answer
    answer["edge"] = _status(edge)
    if reach:
        spec = edge.spec()
        answer["reach"] = {spec.serves(route): _reach(edge, spec, route) for route in ("local", "peer")}
    return answer


def _outdated(directory: str) -> FleetError:
    return FleetError(
        "edge_outdated",
        f"The edge in {directory} was put in by an earlier version, whose edges take the word of any client for that of the other edge."
        " Nothing was changed.",
        remedy="Take both edges out (role edge, entry point absent: the proxies reload gracefully), then run again.",
    )


def _reach(edge: Edge, spec: EdgeSpec, route: str) -> dict[str, t.Any]:
    begun = time.monotonic()
    try:
        name = f"{spec.warmup.service}.{route}.sock"
        status, headers = edge.haproxy.get(name, spec.warmup.host, spec.warmup.path, spec.warmup.timeout)
    except FleetError as error:
        return {"ok": False, "status": None, "ms": None, "error": error.message}
    seen = " ".join(filter(None, [str(status), headers.get("x-bowline-error", "")]))
    wrong = "" if status == 200 else f"GET {spec.warmup.path} was answered with {seen}, expected 200."
    return {"ok": not wrong, "status": status, "ms": round((time.monotonic() - begun) * 1000), "error": wrong}


def _status(edge: Edge) -> dict[str, t.Any]:
    return {**edge.status(), "inserted": place.recorded(edge.directory) is not None, "start": start_argv(edge.directory)}


class _Present:
    def __init__(self, params: t.Mapping[str, t.Any], run: Runner, check_mode: bool) -> None:
        self.check_mode = check_mode
        self.params = params
        self.run = run
        self.spec = spec_from_params(params, check_mode)
        self.edge = Edge(self.spec.directory)
        self.insertion = proxy.asked_for(params["proxy"], self.spec)
        self.proxy = proxy.of(self.insertion, self.spec.directory, run) if self.insertion else None
        self.door = door.asked_for(params["proxy"] or {}, self.spec.warmup)
        self.token = _token(params["token"], self.spec.directory)
        self.process = process.asked_for(params.get("process"), self.spec.directory, run)
        self.ready = Ready(self.edge, self.spec, self.process, start_argv(self.spec.directory), [self.token])

    def work(self) -> dict[str, t.Any]:
        if place.outdated(self.spec.directory):
            raise _outdated(self.spec.directory)
        owner.refuse_others(self.spec.directory, self.spec.subject, self.spec.peer.hostname)
        if self.process:
            self.process.refuse_others()
        desired = self._desired()
        observed = self._observe(desired)
        if observed.proxy_text is not None:
            self._refuse_long_holds()
        steps = plan_present(observed, desired)
        changed = [path for path in desired.files if observed.files.get(path) != desired.files[path]]
        before, after = shown.before(observed, self.proxy), shown.after(observed, desired, self.proxy)
        notes = self.proxy.notes(observed.proxy_text) if self.proxy and observed.proxy_text else []
        warnings = [f"{note['message']} {note['remedy']}" for note in notes]
        if self.process and self.params.get("process_renewed") and place.recorded(self.spec.directory) is not None:
            warnings.append(self.process.renewed())
        if any(step.action == "insert" for step in steps) and self.check_mode:
            warnings += self._foreseen(observed, desired)
        if not self.check_mode:
            for step in steps:
                self._apply(step, observed, desired)
            if self.insertion:
                self.ready.alive()
            edge = _status(self.edge)
        else:
            edge = self._predicted(observed, desired)
        return result(steps, before=before, after=after, evidence={"files": changed}, warnings=warnings, edge=edge)

    def _refuse_long_holds(self) -> None:
        if self.insertion and self.proxy:
            timeout = patience.of(self.insertion.driver, self.params["proxy"].get("timeout"), self.proxy.timeout())
            failure = patience.too_long(self.spec.hold_max, *timeout)
            if failure:
                raise failure

    def _foreseen(self, observed: Observed, desired: Desired) -> list[str]:
        """What an insertion will need: a door that answers where clients are served now, a warning where an earlier task may bring it."""
        warnings = [] if observed.running else ["The edge does not run yet, so whether it is ready for the proxy was not looked at."]
        try:
            door.look(self.door)
        except FleetError as error:
            # On the new side the proxy is what C2 starts: a check of the whole run comes here before there is one.
            planned = self.insertion and self._to_come(self.insertion.config)
            if (desired.route or observed.route) != "peer" and not planned and (self.spec.side != "new" or observed.running):
                raise
            warnings.append(error.message)
        return warnings

    def _predicted(self, observed: Observed, desired: Desired) -> dict[str, t.Any]:
        """The edge as it will be, without what only the world can fill in."""
        route = desired.route or observed.route or "local"
        inserted = desired.proxy_text is not None or observed.proxy_taken is not None
        return {
            "side": self.spec.side,
            "directory": self.spec.directory,
            "running": observed.running,
            "route": route,
            "serves": self.spec.serves(route),
            "inserted": inserted,
            "start": start_argv(self.spec.directory),
        }

    def _desired(self) -> Desired:
        directory = self.spec.directory
        ca = b""
        files: dict[str, bytes] = {
            f"{directory}{render.PRIVATE}/{render.TOKEN_FILE}": f"{self.token}\n".encode(),
            f"{directory}/{render.LUA_FILE}": render.lua_text(self.spec).encode(),
        }
        if self.spec.peer.ca_file:
            found = place.content(self.spec.peer.ca_file)
            ca = found or b""
            if not self._to_come(self.spec.peer.ca_file) and b"BEGIN CERTIFICATE" not in ca:
                raise FleetError(
                    "option_invalid",
                    f"peer.ca_file {self.spec.peer.ca_file} holds no PEM certificate.",
                    remedy="Correct peer.ca_file; nothing was changed.",
                )
            files[f"{directory}/{render.CA_FILE}"] = ca
        config = render.config(self.spec, self.token, ca)
        files[f"{directory}/{render.SPEC_FILE}"] = place.as_json(self.spec.as_json())
        files[f"{directory}/{render.CONFIG_FILE}"] = config.encode()
        files[self.params["command"]] = archive.build()
        text = None
        if self.insertion and self.proxy:
            text = "" if self._to_come(self.insertion.config) else self.proxy.inserted(self.proxy.seen())
        hold = self.params["hold"]
        return Desired(
            files=files,
            mark=render.mark(config),
            route=self.params["route"],
            held=None if hold is None else hold > 0,
            proxy_text=text,
            proxy_digest=self.proxy.digest(text or "") if self.proxy else "",
            reloads=bool(self.insertion and self.insertion.reload),
        )

    def _to_come(self, path: str) -> bool:
        """In check mode an earlier task of the same run may be what brings a file."""
        return self.check_mode and path != "" and not os.path.exists(path)

    def _observe(self, desired: Desired) -> Observed:
        running = self.edge.haproxy.running()
        recorded = place.recorded(self.spec.directory)
        config_path = f"{self.spec.directory}/{render.CONFIG_FILE}"
        state = self.edge.state() if os.path.exists(self.edge.map_path) else None
        return Observed(
            files={path: place.config_content(self.spec) if path == config_path else place.content(path) for path in desired.files},
            running=running,
            mark=str(self.edge.haproxy.info().get("description", "")) if running else "",
            route=state.route if state else None,
            held=state.held(int(time.time() * 1000)) if state else False,
            proxy_text=self.proxy.seen() if self.insertion and self.proxy and not self._to_come(self.insertion.config) else None,
            proxy_taken=recorded["digest"] if recorded else None,
        )

    def _apply(self, step: Step, observed: Observed, desired: Desired) -> None:
        if step.action == "write_files":
            self._write(desired)
        elif step.action == "reload":
            self._reload(observed, desired)
        elif step.action == "set_route":
            self._route(desired.route or "local")
        elif step.action == "hold":
            self.edge.set_hold(self.params["hold"])
        elif step.action == "release":
            self.edge.set_hold(0)
        elif step.action == "insert":
            self._insert(observed.proxy_text or "", desired)

    def _write(self, desired: Desired) -> None:
        """Everything that the configuration names comes first, the check of the configuration next, its rename last."""
        directory = self.spec.directory
        _own_folders(self.params, make=True)
        place.make_folders(self.spec)
        self._begin(desired.route or "local")
        config_path = f"{directory}/{render.CONFIG_FILE}"
        modes = {self.params["command"]: 0o755, f"{directory}{render.PRIVATE}/{render.TOKEN_FILE}": 0o600}
        for path, content in desired.files.items():
            if path != config_path and place.content(path) != content:
                private.write(path, content, modes.get(path, 0o644))
        config = desired.files[config_path]
        if place.config_content(self.spec) != config:
            candidate = f"{config_path}.candidate"
            place.write_config(candidate, config, self.spec.gid)
            try:
                self._check(candidate)
                os.replace(candidate, config_path)
            finally:
                if os.path.exists(candidate):
                    os.unlink(candidate)

    def _check(self, candidate: str) -> None:
        words = [word.replace("{config}", candidate) for word in self.params["check_config"] or _CHECK]
        completed = self.run(words, timeout=30)
        if completed.rc:
            raise FleetError(
                "edge_config_invalid",
                f"{' '.join(words)} ended with {completed.rc}: {self._output(completed)[-600:]!r}.",
                # docs.docker.com, docker run, exit status: 125 is docker's own.
                remedy="Let docker run it (the image has to be there, or to be had)." if words[0] == "docker" and completed.rc == 125
                else "Correct the named option; the edge goes on with its old configuration.",
            )

    def _output(self, completed: Completed) -> str:
        """What a program said about our configuration, which has the token in it."""
        return render.masked((completed.err or completed.out).strip()).replace(self.token, MASK)

    def _reload(self, observed: Observed, desired: Desired) -> None:
        failed, config = self.edge.haproxy.failed_reloads(), f"{self.spec.directory}/{render.CONFIG_FILE}"
        if self.params["reload"]:
            completed = self.run(self.params["reload"], timeout=30)
            if completed.rc:
                raise FleetError(
                    "unreachable", f"{' '.join(self.params['reload'])} ended with {completed.rc}: {self._output(completed)[-400:]!r}."
                )
        else:
            self.edge.haproxy.reload()
        try:
            self.ready.reloaded(failed, desired.mark, self.params["wait_timeout"])
        except FleetError as error:
            if error.code == "edge_reload_failed":
                # Or the next start would find what it cannot run.
                for path, old in observed.files.items():
                    if path == config and old:
                        place.write_config(path, old, self.spec.gid)
                    elif old and path.startswith(f"{self.spec.directory}/"):
                        private.write(path, old)
            raise

    def _begin(self, route: str) -> None:
        """The first state of an edge; HAProxy does not start without one."""
        if not os.path.exists(self.edge.map_path):
            private.write(self.edge.map_path, map_text(State(route, int(time.time() * 1000))).encode())

    def _route(self, route: str) -> None:
        self._begin(route)
        try:
            self.edge.route(self.spec.serves(route))
        except FleetError as error:
            # The file is set, and a process that is not there reads it when it starts.
            if not error.details.get("down"):
                raise

    def _insert(self, seen: str, desired: Desired) -> None:
        if self.insertion is None or self.proxy is None or desired.proxy_text is None:
            return
        self.ready.gate(self.params["wait_timeout"] if self.params["wait"] else 0)
        before = door.look(self.door)
        recorded = place.recorded(self.spec.directory)
        # What was proven once may come back; what a killed run left in the file may not.
        proven = recorded is not None and recorded["digest"] == self.proxy.digest(seen)
        back = seen if proven else self.proxy.restored(seen)
        deadline = Deadline(min(self.params["wait_timeout"], _SETTLE))
        services = {item["service"] for item in self.params["proxy"]["upstreams"] or []}
        self.proxy.change(seen, back, desired.proxy_text, lambda: door.prove(self.door, door.proof(self.token), before, deadline, services))
        place.record(self.spec.directory, {**asdict(self.insertion), "digest": desired.proxy_digest, "door": asdict(self.door)})


def _token(asked: str | None, directory: str) -> str:
    """The token of the pair: as given, or as kept by an earlier run."""
    token = asked or place.token(directory)
    if token is None or not re.fullmatch(faults.TOKEN, token):
        raise FleetError(
            "option_invalid",
            f"token is {'not of 22 to 128 letters, digits, - and _' if token else 'missing'}; nothing was changed.",
            remedy="Role edge makes one for both sides. By hand: openssl rand -hex 32, and the same one for the other side.",
        )
    return token
