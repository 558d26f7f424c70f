# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`traffic_edge` and `traffic_edge_info`: observe, plan, apply, read back."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import typing as t
from dataclasses import asdict

from .._core import private
from .._core.errors import FleetError
from .._core.result import Step, result
from .._core.runner import Runner
from .._core.wait import Deadline, wait_for
from . import archive, proxy, render
from .control import Edge
from .model import EdgeSpec, Peer, Service, State, Warmup, map_text
from .plan import Desired, Observed, plan_absent, plan_present

_INSERTION_FILE = "insertion.json"
_CHECK = ["haproxy", "-c", "-q", "-f", "{config}"]


def spec_from_params(params: t.Mapping[str, t.Any]) -> EdgeSpec:
    """The edge that the options describe; raises FleetError ``option_invalid`` with every fault."""
    services = tuple(Service(item["name"], item["listen"], item["local"]) for item in params["services"] or [])
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
        user=params["user"],
        group=params["group"],
    )
    render.validate(spec)
    return spec


def start_argv(directory: str) -> list[str]:
    """How the process of an edge is started, in the foreground."""
    return ["haproxy", "-W", "-db", "-S", f"{directory}/{render.RUN}/master.sock,mode,600", "-f", f"{directory}/{render.CONFIG_FILE}"]


def run_edge(params: t.Mapping[str, t.Any], run: Runner, check_mode: bool) -> dict[str, t.Any]:
    """Make the edge as the options say."""
    _own_folders(params, make=False)
    if params["state"] == "absent":
        return _Absent(params, run).work(check_mode)
    return _Present(params, run, check_mode).work()


def _own_folders(params: t.Mapping[str, t.Any], *, make: bool) -> None:
    """What HAProxy loads, and what root runs, lies where nobody else writes; raises FleetError ``unsafe_path``."""
    private.folder(params["directory"], 0o755, make=make, field="directory")
    private.folder(os.path.dirname(params["command"]), 0o755, make=make, field="command")


def run_edge_info(directory: str, reach: bool) -> dict[str, t.Any]:
    """What `traffic_edge_info` returns: the edge or None, and with ``reach`` one request to each side past hold and route."""
    edge = Edge(directory.rstrip("/"))
    if not os.path.exists(f"{edge.directory}/{render.SPEC_FILE}"):
        return {"changed": False, "edge": None, "reach": {}}
    answer: dict[str, t.Any] = {"changed": False, "edge": _status(edge), "reach": {}}
    if reach:
        spec = edge.spec()
        answer["reach"] = {spec.serves(route): _reach(edge, spec, route) for route in ("local", "peer")}
    return answer


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
    return {**edge.status(), "inserted": _recorded(edge.directory) is not None, "start": start_argv(edge.directory)}


def _recorded(directory: str) -> dict[str, t.Any] | None:
    """The record of the insertion: driver, config, check, reload, digest of what the proxy took; None when there is none."""
    content = _content(f"{directory}/{_INSERTION_FILE}")
    return None if content is None else dict(json.loads(content))


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _json(value: t.Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


class _Present:
    def __init__(self, params: t.Mapping[str, t.Any], run: Runner, check_mode: bool) -> None:
        self.check_mode = check_mode
        self.params = params
        self.run = run
        self.spec = spec_from_params(params)
        self.edge = Edge(self.spec.directory)
        self.insertion = _insertion(params["proxy"], self.spec)

    def work(self) -> dict[str, t.Any]:
        desired = self._desired()
        observed = self._observe(desired)
        steps = plan_present(observed, desired)
        changed = [path for path in desired.files if observed.files.get(path) != desired.files[path]]
        before, after = _shown(observed), _shown_after(observed, desired, steps)
        warnings = []
        if any(step.action == "insert" for step in steps) and not observed.running and self.check_mode:
            warnings.append("The edge does not run yet, so whether it is ready for the proxy was not looked at.")
        if not self.check_mode:
            for step in steps:
                self._apply(step, desired)
            shown = _status(self.edge)
        else:
            shown = self._predicted(observed, desired)
        return result(steps, before=before, after=after, evidence={"files": changed}, warnings=warnings, edge=shown)

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
        files: dict[str, bytes] = {f"{directory}/{render.LUA_FILE}": render.lua_text(self.spec).encode()}
        if self.spec.peer.ca_file:
            found = _content(self.spec.peer.ca_file)
            ca = found or b""
            if not self._to_come(self.spec.peer.ca_file) and b"BEGIN CERTIFICATE" not in ca:
                raise FleetError(
                    "option_invalid",
                    f"peer.ca_file {self.spec.peer.ca_file} holds no PEM certificate.",
                    remedy="Correct peer.ca_file; nothing was changed.",
                )
            files[f"{directory}/{render.CA_FILE}"] = ca
        config = render.config(self.spec, ca)
        files[f"{directory}/{render.SPEC_FILE}"] = _json(self.spec.as_json())
        files[f"{directory}/{render.CONFIG_FILE}"] = config.encode()
        files[self.params["command"]] = archive.build()
        text = None
        if self.insertion:
            text = "" if self._to_come(self.insertion.config) else self._inserted(self.insertion)
        hold = self.params["hold"]
        return Desired(
            files=files,
            mark=render.mark(config),
            route=self.params["route"],
            held=None if hold is None else hold > 0,
            proxy_text=text,
            proxy_digest=_digest(text or ""),
        )

    def _to_come(self, path: str) -> bool:
        """In check mode an earlier task of the same run may be what brings a file."""
        return self.check_mode and not os.path.exists(path)

    @staticmethod
    def _inserted(insertion: proxy.Insertion) -> str:
        return proxy.DRIVERS[insertion.driver].insert(proxy.read(insertion.config), insertion.upstreams)

    def _observe(self, desired: Desired) -> Observed:
        running = self.edge.haproxy.running()
        recorded = _recorded(self.spec.directory)
        state = self.edge.state() if os.path.exists(self.edge.map_path) else None
        return Observed(
            files={path: _content(path) for path in desired.files},
            running=running,
            mark=str(self.edge.haproxy.info().get("description", "")) if running else "",
            route=state.route if state else None,
            held=state.held(int(time.time() * 1000)) if state else False,
            proxy_text=proxy.read(self.insertion.config) if self.insertion and not self._to_come(self.insertion.config) else None,
            proxy_taken=recorded["digest"] if recorded else None,
        )

    def _apply(self, step: Step, desired: Desired) -> None:
        if step.action == "write_files":
            self._write(desired)
        elif step.action == "reload":
            self._reload(desired)
        elif step.action == "set_route":
            self._route(desired.route or "local")
        elif step.action == "hold":
            self.edge.set_hold(self.params["hold"])
        elif step.action == "release":
            self.edge.set_hold(0)
        elif step.action == "insert":
            self._insert(desired)

    def _write(self, desired: Desired) -> None:
        """Everything that the configuration names comes first, the check of the configuration next, its rename last."""
        directory = self.spec.directory
        _own_folders(self.params, make=True)
        os.makedirs(f"{directory}/{render.RUN}", mode=0o755, exist_ok=True)
        self._begin(desired.route or "local")
        config_path = f"{directory}/{render.CONFIG_FILE}"
        for path, content in desired.files.items():
            if path != config_path and _content(path) != content:
                private.write(path, content, 0o755 if path == self.params["command"] else 0o644)
        config = desired.files[config_path]
        if _content(config_path) != config:
            candidate = f"{config_path}.candidate"
            private.write(candidate, config)
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
                f"{' '.join(words)} ended with {completed.rc}: {(completed.err or completed.out).strip()[-600:]!r}.",
                remedy="Correct the named option; the edge goes on with its old configuration.",
            )

    def _reload(self, desired: Desired) -> None:
        if self.params["reload"]:
            completed = self.run(self.params["reload"], timeout=30)
            if completed.rc:
                raise FleetError(
                    "unreachable", f"{' '.join(self.params['reload'])} ended with {completed.rc}: {completed.err.strip()[-400:]!r}."
                )
        else:
            self.edge.haproxy.reload()
        wait_for(
            lambda: self.edge.haproxy.info().get("description") if self.edge.haproxy.running() else None,
            lambda seen: seen == desired.mark,
            Deadline(self.params["wait_timeout"]),
            what="the edge to run its new configuration",
            interval=0.05,
            remedy="Look at the edge's log.",
        )

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

    def _insert(self, desired: Desired) -> None:
        insertion = self.insertion
        if insertion is None or desired.proxy_text is None:
            return
        self._gate()
        proxy.change(insertion, proxy.read(insertion.config), desired.proxy_text, self.run)
        private.write(f"{self.spec.directory}/{_INSERTION_FILE}", _json({**asdict(insertion), "digest": desired.proxy_digest}))

    def _gate(self) -> None:
        """The edge must answer the warm-up request through itself, hold and route included, before anyone is sent to it."""
        warmup = self.spec.warmup

        def ask() -> str:
            try:
                return str(self.edge.haproxy.get(f"{warmup.service}.sock", warmup.host, warmup.path, warmup.timeout)[0])
            except FleetError as error:
                return error.message

        wait_for(
            ask,
            lambda seen: seen == "200",
            Deadline(self.params["wait_timeout"] if self.params["wait"] else 0),
            what=f"200 from the edge itself for GET {warmup.path}; the proxy is unchanged",
            code="edge_not_ready",
            remedy=f"Start the edge ({' '.join(start_argv(self.spec.directory))}) and the application behind it.",
        )


class _Absent:
    def __init__(self, params: t.Mapping[str, t.Any], run: Runner) -> None:
        self.params = params
        self.run = run
        self.directory = params["directory"].rstrip("/")
        self.edge = Edge(self.directory)

    def work(self, check_mode: bool) -> dict[str, t.Any]:
        recorded = _recorded(self.directory)
        insertion = self._insertion(recorded)
        text = proxy.read(insertion.config) if insertion else None
        restored = proxy.DRIVERS[insertion.driver].restore(text or "") if insertion else None
        leftovers = tuple(path for path in (self.directory, self.params["command"]) if os.path.lexists(path))
        observed = Observed(files={}, proxy_text=text, proxy_taken=recorded["digest"] if recorded else None, leftovers=leftovers)
        steps = plan_absent(observed, restored)
        if leftovers and os.path.exists(self.edge.map_path) and self.edge.state().route == "peer" and self.edge.haproxy.running():
            raise FleetError(
                "edge_forwards",
                f"The edge in {self.directory} sends requests to the peer; without it the application here gets them. Nothing was changed.",
                remedy="Route local first (traffic_edge with route local), or stop the edge's process when this side is to serve nobody.",
            )
        before = {"files": list(leftovers), "inserted": recorded is not None}
        if not check_mode:
            for step in steps:
                if step.action == "take_out" and insertion is not None:
                    proxy.change(insertion, text or "", restored or "", self.run)
                    if recorded:
                        os.unlink(f"{self.directory}/{_INSERTION_FILE}")
                elif step.action == "remove_files":
                    self._remove(leftovers)
        return result(steps, before=before, after={"files": [], "inserted": False}, edge=None)

    def _insertion(self, recorded: dict[str, t.Any] | None) -> proxy.Insertion | None:
        if recorded:
            fields = ("driver", "config", "upstreams", "check", "reload")
            return proxy.Insertion(**{name: recorded[name] for name in fields})
        return _insertion(self.params["proxy"], None)

    def _remove(self, leftovers: tuple[str, ...]) -> None:
        if self.edge.haproxy.running():
            spec = self.edge.spec()
            wait_for(
                lambda: self.edge.in_flight(spec),
                lambda count: count == 0,
                Deadline(self.params["wait_timeout"] if self.params["wait"] else 0),
                what="the last request through the edge to end",
                code="in_flight",
                interval=0.05,
                remedy="The proxy sends no more; run again when they have ended.",
            )
        for path in leftovers:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)


def _insertion(asked: t.Mapping[str, t.Any] | None, spec: EdgeSpec | None) -> proxy.Insertion | None:
    if not asked:
        return None
    if spec is not None:
        known = {service.name for service in spec.services}
        wrong = [item["service"] for item in asked["upstreams"] if item["service"] not in known]
        if wrong:
            raise FleetError(
                "option_invalid",
                f"proxy.upstreams names the services {', '.join(wrong)}; known: {', '.join(sorted(known))}.",
                remedy="Correct proxy.upstreams; nothing was changed.",
            )
    upstreams = {item["name"]: item["via"] for item in asked["upstreams"]}
    return proxy.Insertion(asked["driver"], asked["config"], upstreams, tuple(asked["check"]), tuple(asked["reload"]))


def _shown(observed: Observed) -> dict[str, t.Any]:
    return {
        "files": {path: _text(content) for path, content in observed.files.items() if content is not None},
        "route": observed.route,
        "held": observed.held,
        "proxy": observed.proxy_text,
    }


def _shown_after(observed: Observed, desired: Desired, steps: t.Sequence[Step]) -> dict[str, t.Any]:
    return {
        "files": {path: _text(content) for path, content in desired.files.items()},
        "route": desired.route or observed.route or "local",
        "held": observed.held if desired.held is None else desired.held,
        "proxy": observed.proxy_text if desired.proxy_text is None else desired.proxy_text,
    }


def _text(content: bytes) -> str:
    """Text as it is, the archive as its digest."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return f"sha256 {hashlib.sha256(content).hexdigest()}"
