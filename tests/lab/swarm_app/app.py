# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application of the Swarm lab: answers, counts, and does wrong what it is told to.

``FAULT`` holds switches, separated by commas:

- ``crash`` ends with 3 at once, ``crash=SECONDS`` after that time
- ``unhealthy`` is never healthy, ``unhealthy=SECONDS`` is no longer healthy after that time
- ``slow=SECONDS`` answers nothing before that time
- ``errors=PERCENT`` answers 500 to that share of all requests, spread evenly
- ``deaf`` does not end at SIGTERM

A request can ask for a fault as well: ``GET /status/503``; ``POST /fault`` with a body replaces the switches of this task.
``GET /count`` is the number of requests that were answered here; ``GET /environment/NAME`` and ``GET /file/PATH`` show what a task was given.
"""
from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import sys
import threading
import time

STARTED = time.monotonic()
LOCK = threading.Lock()
COUNT = {"requests": 0, "errors": 0, "share": 0.0}


def switches(text):
    return {name: value for name, _equals, value in (word.strip().partition("=") for word in text.split(",")) if name}


FAULT = switches(os.environ.get("FAULT", ""))


def due(name):
    """Whether a switch with an optional time is on by now."""
    return name in FAULT and time.monotonic() - STARTED >= float(FAULT[name] or 0)


class Handler(http.server.BaseHTTPRequestHandler):
    # HTTP/1.0: no kept connection has to be waited for at the end.
    protocol_version = "HTTP/1.0"
    server_version = "shop"
    timeout = 30

    def do_GET(self):
        word, _slash, rest = self.path.lstrip("/").partition("/")
        if word == "health":
            return self.answer(503 if due("unhealthy") else 200, {"healthy": not due("unhealthy")})
        if word == "count":
            return self.answer(200, dict(COUNT))
        if word == "environment":
            return self.answer(200, {"value": os.environ.get(rest)})
        if word == "file":
            try:
                with open(f"/{rest}", encoding="utf-8") as file:
                    return self.answer(200, {"text": file.read()})
            except OSError as problem:
                return self.answer(404, {"error": str(problem)})
        status = int(rest) if word == "status" and rest.isdigit() else 200
        with LOCK:
            COUNT["requests"] += 1
            COUNT["share"] += float(FAULT.get("errors") or 0) / 100
            if COUNT["share"] >= 1:
                COUNT["share"] -= 1
                status = 500
            COUNT["errors"] += status >= 500
        return self.answer(status, {"version": os.environ.get("VERSION"), "task": socket.gethostname(), **COUNT})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if self.path != "/fault":
            return self.answer(404, {"error": "POST /fault only"})
        FAULT.clear()
        FAULT.update(switches(body))
        return self.answer(200, FAULT)

    def answer(self, status, value):
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form, *words):
        if not self.path.startswith("/health"):
            super().log_message(form, *words)


class Server(http.server.ThreadingHTTPServer):
    # server_close() waits for the threads that answer.
    daemon_threads = False
    request_queue_size = 128


def main():
    print(f"version {os.environ.get('VERSION')}, fault {os.environ.get('FAULT') or 'none'}", flush=True)
    # The first process of a container has no default for SIGTERM: without a handler it would not end (pid_namespaces(7)).
    signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in FAULT else lambda *_: sys.exit(0))
    if "crash" in FAULT:
        time.sleep(float(FAULT["crash"] or 0))
        print("crash: told to end with 3", file=sys.stderr, flush=True)
        return 3
    time.sleep(float(FAULT.get("slow") or 0))
    server = Server(("", int(os.environ.get("PORT", "8080"))), Handler)
    if "deaf" not in FAULT:
        # What is being answered is answered to its end.
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
