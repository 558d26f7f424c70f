# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Managers of one cluster on sockets: as much of the Engine API as a test needs to break it in the right place."""

from __future__ import annotations

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

from fake_cluster import Cluster

from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client.wire import Exists, Gone, OutOfSequence

NO_LEADER = "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online."


class Manager:
    """One manager at ``path``. ``plan`` holds, by "METHOD path" without version and query, what the next such requests meet, in order:

    "drop" (the connection ends, nothing was done), "lose" (it was done, and the connection ends), "leaderless", or (status, message).
    """

    def __init__(self, path, cluster=None, cluster_id="c1", **swarm):
        self.path, self.cluster = str(path), cluster or Cluster()
        self.swarm = {"ControlAvailable": True, "LocalNodeState": "active", "Cluster": {"ID": cluster_id}, **swarm}
        self.version, self.plan, self.asked, self.headers = "1.41", {}, [], []
        self._server = None
        self.start()

    def start(self):
        manager = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_words):
                pass

            def address_string(self):
                return "client"

            def do_GET(self):
                manager.serve(self)

            do_POST = do_DELETE = do_GET

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        self._server = Server(self.path, Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        """The process ends: its socket refuses."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def serve(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers.get("Content-Length") or 0)) or b"null")
        parts = urlsplit(handler.path)
        path = parts.path.partition("/v1.")[2].partition("/")[2] if parts.path.startswith("/v1.") else parts.path[1:]
        word = f"{handler.command} /{path}"
        self.asked.append(word)
        self.headers.append(dict(handler.headers))
        fault = (self.plan.get(word) or [None]).pop(0)
        if self.plan.get(word) == []:
            del self.plan[word]
        if self._server is None or fault == "drop":
            handler.close_connection = True
            return
        if fault == "leaderless":
            self.answer(handler, 503, {"message": NO_LEADER})
            return
        if isinstance(fault, tuple):
            self.answer(handler, fault[0], {"message": fault[1]})
            return
        status, said = self.act(handler.command, path, {key: values[0] for key, values in parse_qs(parts.query).items()}, body)
        if fault == "lose":
            handler.close_connection = True
            return
        self.answer(handler, status, said)

    def answer(self, handler, status, said):
        content = b"" if said is None else json.dumps(said).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def act(self, method, path, query, body):
        if path == "version":
            return 200, {"ApiVersion": self.version}
        if path == "info":
            return 200, {"Swarm": self.swarm}
        kind, _slash, rest = path.partition("/")
        name, _slash, verb = unquote(rest).partition("/")
        one = kind[:-1]
        try:
            if method == "GET":
                return 200, self.read(kind, one, name, query)
            if method == "DELETE":
                return 204, self.cluster.config_remove(name)
            if name == "create":
                return 201, {"ID": self.cluster._create(one, body)}
            self.cluster._update(one, name, int(query["version"]), body)
            return 200, {"Warnings": ["so it is"]}
        except Gone as error:
            return 404, {"message": error.message}
        except Exists:
            return 409, {"message": "rpc error: code = AlreadyExists desc = name conflicts with an existing object"}
        except OutOfSequence:
            return 500, {"message": "rpc error: code = Unknown desc = update out of sequence"}

    def read(self, kind, one, name, query):
        if name:
            return self.cluster._read(one, name)
        wanted = json.loads(query.get("filters") or "{}")
        if "name" in wanted:
            return [found for found in self.cluster.stored[one].values() if found["Spec"]["Name"].startswith(tuple(wanted["name"]))]
        return list(self.cluster.configs(wanted)) if kind == "configs" else list(self.cluster.stored.get(one, {}).values())
