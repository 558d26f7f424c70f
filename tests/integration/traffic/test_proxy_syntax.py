# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of the unit tests, read by the real programs: what they take without the edge they take with it."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxies import marked
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxies.source import Source
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxy import DRIVERS

UNIT = Path(__file__).resolve().parents[2] / "unit" / "traffic"


def tables(kind):
    spec = importlib.util.spec_from_file_location(f"bowline_{kind}_files", UNIT / f"test_proxy_{kind}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numbers(text):
    """Names that no resolver knows become this host, here and in what is asked for."""
    return re.sub(r"(?<![\w.@-])(?:backend|spare|app|other|frontend|web|api|edge|a|b)(?=:\d)", "127.0.0.1", text)


def whole(text):
    """A file for http becomes one for nginx."""
    if re.search(r"^\s*(?:events|http|stream)\b", text, re.MULTILINE):
        return text if "events" in text else "events {}\n" + text
    return f"events {{}}\nhttp {{\n{text}\n}}\n"


def nginx():
    module = tables("nginx")
    found = [(text, module.APP) for text in module.UPSTREAMS.values()]
    return found + [(text, module.PLAIN) for text, _expected in module.PASSES.values() if "https" not in text]


def listening(text):
    """HAProxy judges nothing without a listener."""
    return text if "bind" in text else f"{text}\nfrontend web\n    mode http\n    bind 127.0.0.1:8080\n"


KINDS = {
    "nginx": (nginx, ["nginx", "-t", "-q", "-e", "stderr", "-g", "pid {file}.pid;", "-c", "{file}"], whole, 24),
    "caddy": (lambda: [(text, tables("caddy").APP) for text, _expected in tables("caddy").FILES.values()],
              ["caddy", "adapt", "--adapter", "caddyfile", "--config", "{file}"], str, 15),
    "haproxy": (lambda: [(text, tables("haproxy").APP) for text, _expected in tables("haproxy").FILES.values()],
                ["haproxy", "-c", "-q", "-f", "{file}"], listening, 12),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_program_takes_without_the_edge_it_takes_with_it(kind, tmp_path):
    files, argv, wrapped, least = KINDS[kind]
    taken, refused = 0, []
    for number, (text, upstreams) in enumerate(files()):
        # Certificates are not what this is about.
        text = wrapped(numbers(text).replace("443 ssl", "8443"))
        # Every other one reaches the edge by a socket.
        upstreams = {name: "unix:/run/edge/app" if number % 2 else via for name, via in upstreams.items()}
        asked = {numbers(name): numbers(via) for name, via in upstreams.items()}
        plan = DRIVERS[kind].plan(Source("/x", text), asked)
        # A name that is put together of variables stays a name.
        plan = DRIVERS[kind].plan(Source("/x", text), upstreams) if plan.faults else plan
        assert plan.faults == ()
        answers = []
        for name, content in (("without", text), ("with", marked.replaced(text, plan.edits, "/edge"))):
            path = tmp_path / f"{number}-{name}"
            path.write_bytes(content.encode("utf-8", "surrogateescape"))
            words = [word.replace("{file}", str(path)) for word in argv]
            answers.append(subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=20, check=False))
        without, there = answers
        taken += without.returncode == 0
        if without.returncode == 0 and there.returncode != 0:
            refused.append(f"{there.stderr}\n{content}")
        print(number, without.returncode, without.stderr[-200:])
    assert refused == []
    assert taken >= least, f"{kind} took {taken} of the files as they are"
