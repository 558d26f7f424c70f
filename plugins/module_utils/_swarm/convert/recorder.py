# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A socket on which the docker CLI meets an empty manager: it keeps what the CLI would have written, and nothing of it goes anywhere."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import socketserver
import sys
import tempfile
import threading
import typing as t
from urllib.parse import parse_qs, unquote, urlsplit

from ..model import Json

# unix(7): sun_path holds 108 bytes, one of them ends it.
_PATH_MAX = 100

# What the CLI sends when it has no credentials for a registry: {} in base64 (docker/cli cli/command/registry.go, RetrieveAuthTokenFromImage).
_NO_AUTH = ("", "e30=", "e30")

KINDS = ("networks", "configs", "secrets")


class Recorder:
    """An empty Swarm manager for one run of ``docker stack deploy``, on a socket in a folder that is ours alone.

    ``api_version`` is the engine's; ``externals`` the id of each network, config and secret by kind and name. An external object that is not
    there is answered with a stand-in and stands in ``asked`` like every other, so that all that are missing can be named at once.
    Use as a context manager; `address` is for ``docker --host``.
    """

    def __init__(self, api_version: str, externals: t.Mapping[str, t.Mapping[str, str]]) -> None:
        self.api_version = api_version
        self.externals = externals
        self.created: dict[str, dict[str, Json]] = {kind: {} for kind in (*KINDS, "services")}
        self.auth: dict[str, str] = {}
        self.asked: dict[str, set[str]] = {kind: set() for kind in KINDS}
        self.unknown: list[str] = []
        self._guard = threading.Lock()
        self._folder = ""
        self._server: _Server | None = None

    def __enter__(self) -> Recorder:
        base = tempfile.gettempdir()
        # mkdtemp makes the folder 0700 with a name that nobody can know before.
        self._folder = tempfile.mkdtemp(prefix="bowline-", dir=base if len(base) < _PATH_MAX - 32 else "/tmp")  # noqa: S108 - see above
        self._server = _Server(os.path.join(self._folder, "engine.sock"), self)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def address(self) -> str:
        return f"unix://{self._folder}/engine.sock"

    def answer(self, method: str, target: str, body: bytes, auth: str) -> tuple[int, t.Any]:
        """Status and body for one request. What is not known is kept in `unknown` and refused."""
        with self._guard:
            reply = self._known(method, target, body, auth)
            if reply is None:
                self.unknown.append(f"{method} {urlsplit(target).path}")
                return 501, {"message": f"bowline: this recorder does not know {method} {urlsplit(target).path}"}
            return reply

    def _known(self, method: str, target: str, body: bytes, auth: str) -> t.Optional[tuple[int, t.Any]]:
        parts = urlsplit(target)
        words = [unquote(word) for word in re.sub(r"^/v\d+\.\d+(?=/)", "", parts.path).split("/")[1:]]
        if method in ("GET", "HEAD") and words == ["_ping"]:
            return 200, "OK"
        if method == "GET" and words == ["version"]:
            return 200, {"ApiVersion": self.api_version, "MinAPIVersion": "1.24", "Os": "linux"}
        if method == "GET" and words == ["info"]:
            # The CLI wants to know one thing (docker/cli cli/command/stack/swarm/deploy.go, checkDaemonIsSwarmManager).
            return 200, {"OSType": "linux", "Swarm": {"LocalNodeState": "active", "ControlAvailable": True}}
        if method == "POST" and len(words) == 2 and words[1] == "create" and words[0] in self.created:
            return self._create(words[0], body, auth)
        if method == "POST" and len(words) == 3 and words[2] == "update" and words[0] in ("configs", "secrets"):
            return self._updated(words[0], words[1], body)
        if method == "GET" and len(words) == 1 and words[0] in self.created:
            return 200, self._listed(words[0], parts.query)
        if method == "GET" and len(words) == 2 and words[0] in KINDS:
            return self._inspected(words[0], words[1])
        return None

    def _create(self, kind: str, body: bytes, auth: str) -> tuple[int, t.Any]:
        spec = json.loads(body)
        self.created[kind][spec["Name"]] = spec
        if kind == "services" and auth not in _NO_AUTH:
            self.auth[spec["Name"]] = auth
        made = self._id(kind, spec["Name"])
        return 201, {"Id": made, "ID": made}

    def _listed(self, kind: str, query: str) -> list[Json]:
        """Services and networks of the stack: none. Configs and secrets by name: those of this run, and external ones."""
        if kind not in ("configs", "secrets"):
            return []
        given = json.loads((parse_qs(query).get("filters") or ["{}"])[0])
        names = sorted(given.get("name") or {})
        self.asked[kind].update(name for name in names if name not in self.created[kind])
        return [{"ID": self._id(kind, name), "Version": {"Index": 1}, "Spec": {"Name": name}} for name in names]

    def _inspected(self, kind: str, name: str) -> tuple[int, t.Any]:
        if kind == "networks":
            # The CLI looks at external networks only (validateExternalNetworks).
            self.asked[kind].add(name)
            return 200, {"Id": self._id(kind, name), "Name": name, "Scope": "swarm", "Driver": "overlay"}
        # It looks whether it has to update one: there are none but those of this run, where two keys have one name.
        spec = self.created[kind].get(name)
        if spec is None:
            return 404, {"message": f"no {kind[:-1]} {name} found"}
        return 200, {"ID": self._id(kind, name), "Version": {"Index": 1}, "Spec": spec}

    def _updated(self, kind: str, identity: str, body: bytes) -> t.Optional[tuple[int, t.Any]]:
        """As swarmkit answers (manager/controlapi/config.go and secret.go): labels may change, content never."""
        spec = json.loads(body)
        there = self.created[kind].get(spec["Name"])
        if there is None or identity != self._id(kind, spec["Name"]):
            return None
        if there.get("Data") != spec.get("Data"):
            return 400, {"message": "only updates to Labels are allowed"}
        self.created[kind][spec["Name"]] = spec
        return 200, {}

    def _id(self, kind: str, name: str) -> str:
        return self.externals.get(kind, {}).get(name) or f"recorded-{kind[:-1]}-{name}"


class _Handler(http.server.BaseHTTPRequestHandler):
    """HTTP/1.1 with a length, which is all that the CLI speaks to a socket."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def _reply(self) -> None:
        length = self.headers.get("Content-Length") or "0"
        plain = self.headers.get("Transfer-Encoding") is None and length.isdigit()
        body = self.rfile.read(int(length)) if plain else b""
        target = self.path if plain else "/chunked" + self.path
        status, content = self.server.recorder.answer(self.command, target, body, self.headers.get("X-Registry-Auth") or "")
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        # What the CLI chooses its API version by (moby client/ping.go, parsePingResponse).
        self.send_header("Api-Version", self.server.recorder.api_version)
        self.send_header("OSType", "linux")
        self.send_header("Docker-Experimental", "false")
        self.send_header("Swarm", "active/manager")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _reply

    def address_string(self) -> str:
        return "the CLI"

    def log_message(self, *_: t.Any) -> None:
        """Nothing of a request is written anywhere: bodies hold secrets."""


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, recorder: Recorder) -> None:
        self.recorder = recorder
        super().__init__(path, _Handler)

    def handle_error(self, *_: t.Any) -> None:
        """A request that cannot be read is one that is not known. A client that has gone has asked nothing more."""
        if not isinstance(sys.exc_info()[1], OSError):
            self.recorder.unknown.append("a request that cannot be read")
