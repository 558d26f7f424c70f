# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests at an even rate to a port of every node, through a HAProxy as people have it: health checks, and a retry where no answer came."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import threading
import time

CONFIG = """\
global
  stats socket {folder}/admin.sock
defaults
  mode http
  timeout connect 500ms
  timeout client 5s
  timeout server 5s
  timeout queue 500ms
  retries 3
  option redispatch 1
  retry-on conn-failure empty-response
  timeout check 5s
  default-server inter 300ms fastinter 100ms fall 2 rise 1 check
frontend front
  bind 127.0.0.1:{port}
  default_backend nodes
backend nodes
  option httpchk GET /health
{servers}
"""


class Load:
    """``answers`` counts by what came: a status, or the name of an error. ``failures`` has the time of day of each that was not 200."""

    def __init__(self, folder, targets, rate=20):
        self.folder, self.rate, self.targets = folder, rate, targets
        # A free port: HAProxy shares one with whoever has it (SO_REUSEPORT), and then requests of two tests are mixed.
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.answers, self.failures = {}, []
        self._end, self._lock = threading.Event(), threading.Lock()

    def __enter__(self):
        servers = "\n".join(f"  server n{number} {target}" for number, target in enumerate(self.targets))
        config = self.folder / "haproxy.cfg"
        config.write_text(CONFIG.format(folder=self.folder, port=self.port, servers=servers), encoding="utf-8")
        binary = shutil.which("haproxy") or "/usr/sbin/haproxy"
        self.process = subprocess.Popen([binary, "-db", "-f", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while self._ask() != "200":
            assert time.monotonic() < deadline, "the service never answered through the proxy"
            time.sleep(0.05)
        self.threads = [threading.Thread(target=self._run, args=(number,)) for number in range(4)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_error):
        self._end.set()
        for thread in self.threads:
            thread.join()
        self.process.terminate()
        self.process.wait(10)

    @property
    def failed(self):
        return len(self.failures)

    @property
    def served(self):
        return self.answers.get("200", 0)

    def _run(self, number):
        interval = 4 / self.rate
        due = time.monotonic() + number * interval / 4
        while not self._end.wait(max(0.0, due - time.monotonic())):
            answer = self._ask()
            with self._lock:
                self.answers[answer] = self.answers.get(answer, 0) + 1
                self.failures += [] if answer == "200" else [f"{time.strftime('%H:%M:%S')} {answer}"]
            due = max(due + interval, time.monotonic() - 1)

    def _ask(self):
        try:
            link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=6)
            try:
                link.request("GET", "/")
                answer = link.getresponse()
                answer.read()
                return str(answer.status)
            finally:
                link.close()
        except (OSError, http.client.HTTPException, socket.timeout) as error:
            return type(error).__name__
