# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An endpoint that only writes down what the docker CLI sends to an empty manager: the other side of the comparison with our recorder.

It shares no code with the product. Whatever external object is asked for is there; a registry is not.
"""

from __future__ import annotations

import http.server
import json
import os
import re
import socketserver
import subprocess
import threading
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Sent:
    """What one run of the CLI sent, by kind and name, and how it ended."""

    rc: int
    err: str
    bodies: dict[str, dict[str, dict]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)


class Plain(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str) -> None:
        self.bodies: dict[str, dict[str, dict]] = {}
        self.calls: list[str] = []
        super().__init__(path, Answers)


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def say(self, status: int, content: object) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in (("Api-Version", "1.50"), ("OSType", "linux"), ("Content-Type", "application/json"), ("Content-Length", str(len(data)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else data)

    def do_HEAD(self) -> None:
        self.say(200, {})

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        self.server.calls.append(f"GET {url.path}")
        words = re.sub(r"^/v1\.\d+", "", url.path).split("/")[1:]
        if words == ["info"]:
            return self.say(200, {"Swarm": {"ControlAvailable": True}})
        if words[0] == "networks" and len(words) == 2:
            return self.say(200, {"Id": words[1], "Name": words[1], "Scope": "swarm"})
        if words[0] in ("configs", "secrets") and len(words) == 1:
            filters = json.loads(urllib.parse.parse_qs(url.query).get("filters", ["{}"])[0])
            return self.say(200, [{"ID": f"id of {name}", "Spec": {"Name": name}} for name in filters.get("name", {})])
        if len(words) == 1:
            return self.say(200, [])
        return self.say(404, {"message": "there is none"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = self.path.split("/")[2]
        self.server.calls.append(f"POST {self.path}")
        self.server.bodies.setdefault(kind, {})[body["Name"]] = body
        self.say(201, {"ID": body["Name"], "Id": body["Name"]})

    def log_message(self, *_: object) -> None:
        pass


def send(folder: Path, name: str, files: list[Path], env: dict[str, str], program: str = "docker") -> Sent:
    """One ``docker stack deploy`` as an operator types it, with the flags that it has by default."""
    path = str(folder / "plain.sock")
    if os.path.exists(path):
        os.unlink(path)
    server = Plain(path)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        words = [word for file in files for word in ("-c", str(file))]
        done = subprocess.run(
            [program, "-H", f"unix://{path}", "stack", "deploy", *words, name],
            env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **env}, capture_output=True, text=True, timeout=60, check=False,
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    return Sent(done.returncode, done.stderr, server.bodies, server.calls)
