# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done, from what was seen: the order protects the requests."""

from __future__ import annotations

import io
import zipfile

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._traffic import archive
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.plan import Desired, Observed, plan_absent, plan_present

FILES = {"haproxy.cfg": b"new", "edge.lua": b"lua"}
SETTLED = {"files": dict(FILES), "running": True, "mark": "m", "route": "local", "proxy_text": "in", "proxy_taken": "d"}
WANTED = {"files": FILES, "mark": "m", "route": "local", "held": False, "proxy_text": "in", "proxy_digest": "d"}


@pytest.mark.parametrize(
    ("seen", "wanted", "actions"),
    [
        pytest.param({}, {}, [], id="settled"),
        pytest.param(
            {"files": dict.fromkeys(FILES), "running": False, "mark": "", "route": None}, {"proxy_text": None},
            ["write_files", "set_route"], id="first",
        ),
        pytest.param({"files": {**FILES, "haproxy.cfg": b"old"}, "mark": "l"}, {}, ["write_files", "reload"], id="options changed"),
        pytest.param({"mark": "l"}, {}, ["reload"], id="killed between file and reload"),
        pytest.param({"route": "peer"}, {}, ["set_route"], id="route"),
        pytest.param({"route": "peer"}, {"route": None}, [], id="route left alone"),
        pytest.param({"held": True}, {}, ["release"], id="left-over hold"),
        pytest.param({"held": True}, {"held": None}, [], id="hold left alone"),
        pytest.param({}, {"held": True}, ["hold"], id="hold"),
        pytest.param({"proxy_text": "out", "proxy_taken": None}, {}, ["insert"], id="not inserted"),
        pytest.param({"proxy_taken": None}, {}, ["insert"], id="killed between insertion and reload of the proxy"),
        pytest.param({"proxy_text": "out"}, {"proxy_text": None}, [], id="proxy left alone"),
        pytest.param(
            {"files": {}, "mark": "l", "route": "peer", "held": True, "proxy_text": "out"}, {},
            ["write_files", "reload", "set_route", "release", "insert"], id="everything, in this order",
        ),
    ],
)  # fmt: skip
def test_present(seen, wanted, actions):
    assert [step.action for step in plan_present(Observed(**{**SETTLED, **seen}), Desired(**{**WANTED, **wanted}))] == actions


@pytest.mark.parametrize(
    ("seen", "restored", "actions"),
    [
        pytest.param({}, None, [], id="nothing there"),
        pytest.param(
            {"leftovers": ("/edge",), "proxy_text": "in", "proxy_taken": "d"}, "out", ["take_out", "remove_files"], id="proxy first"
        ),
        pytest.param({"leftovers": ("/edge",)}, None, ["remove_files"], id="never inserted"),
        pytest.param({"proxy_text": "out"}, "out", [], id="taken out already"),
        pytest.param({"proxy_text": "out", "proxy_taken": "d"}, "out", ["take_out"], id="killed between file and reload of the proxy"),
    ],
)
def test_absent(seen, restored, actions):
    assert [step.action for step in plan_absent(Observed(files={}, **seen), restored)] == actions


def test_a_reload_of_the_proxy_is_said_to_end_kept_connections():
    outside = Observed(**{**SETTLED, "proxy_text": "out"})
    for reloads in (True, False):
        insert = plan_present(outside, Desired(**WANTED, reloads=reloads))[0]
        out = plan_absent(Observed(files={}, proxy_text="in", proxy_taken="d"), "out", reloads)[0]
        assert [step.disruptive for step in (insert, out)] == [reloads] * 2
        assert all(("ends kept connections" in step.reason) == reloads for step in (insert, out))


def test_the_archive_is_the_same_bytes_each_time_and_needs_nothing_else():
    content = archive.build()
    assert content == archive.build() and content.startswith(b"#!/usr/bin/env python3\n")
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert "__main__.py" in names and "bowline/_traffic/control.py" in names
    imported = {
        line.split()[1].split(".")[0]
        for name in names
        for line in zipfile.ZipFile(io.BytesIO(content)).read(name).decode().splitlines()
        if line.startswith(("import ", "from ")) and not line.startswith(("from .", "from bowline"))
    }
    assert imported <= {
        "__future__",
        "argparse",
        "contextlib",
        "dataclasses",
        "errno",
        "fcntl",
        "json",
        "os",
        "re",
        "socket",
        "stat",
        "sys",
        "time",
        "typing",
        "zlib",
    }
    here = {name.rpartition("/")[2][:-3] for name in names}
    for name in names:
        for line in zipfile.ZipFile(io.BytesIO(content)).read(name).decode().splitlines():
            if line.startswith("from .."):
                words = line.replace(",", "").split()
                module = words[1].rpartition(".")[2]
                assert set(words[3:] if module == "_core" else [module]) <= here, line
