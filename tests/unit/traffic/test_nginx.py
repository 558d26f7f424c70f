# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Upstream blocks: the edge goes in, and the file comes back byte for byte."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.nginx import insert, restore

TEXTS = {
    "one line": "upstream app { server backend:3000; }\n",
    "usual": "http {\n  upstream app {\n    least_conn;\n    server backend:3000 max_fails=0;\n"
    "    server spare:3000 backup;\n    keepalive 16;\n  }\n}\n",
    "comments": "# upstream app { server no:1; }\nupstream app {\n    # server old:1;\n    server backend:3000; # the } one\n}\n",
    "quotes": "log_format x 'upstream app { server no:1; }';\nupstream app{server backend:3000;}",
    "carriage returns": "upstream app {\r\n    server backend:3000;\r\n}\r\n",
    "no newline at the end": "upstream  app\n{\n\tserver unix:/run/app#1.sock;\n}",
    "neighbours": "upstream app2 { server other:1; }\nupstream app { server backend:3000; }\nupstream web { server frontend:80; }\n",
    "tricky body": "upstream app {\n#| server looks:1;\n\n\n    server backend:3000;\n\n}\n",
}


def active(text):
    """The file without comments, blanks squeezed: what nginx goes by (quotes apart)."""
    return " ".join(" ".join(line.split("#")[0] if line.lstrip().startswith("#") else line for line in text.split("\n")).split())


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_there_and_back(text):
    inserted = insert(text, {"app": "edge:18080"})
    assert "server edge:18080;" in active(inserted)
    assert "server backend:3000" not in active(inserted) and "spare" not in active(inserted)
    assert restore(inserted) == text
    assert insert(inserted, {"app": "edge:18080"}) == inserted, "again changes nothing"
    assert insert(insert(text, {"app": "old:1"}), {"app": "edge:18080"}) == inserted, "another address replaces the first"
    assert restore(text) == text


def test_only_named_upstreams_change_and_other_directives_stay():
    text = TEXTS["usual"] + TEXTS["neighbours"].replace("app {", "third {")
    inserted = active(insert(text, {"app": "edge:1", "web": "edge:2"}))
    assert "upstream app { least_conn; keepalive 16; server edge:1; }" in inserted
    assert "upstream web { server edge:2; }" in inserted
    assert "server other:1;" in inserted and "upstream third { server backend:3000; }" in inserted


def test_edits_elsewhere_survive_and_edits_inside_are_a_conflict():
    inserted = insert(TEXTS["usual"], {"app": "edge:1"})
    assert restore(inserted + "# later\n") == TEXTS["usual"] + "# later\n"
    for edited in (
        inserted.replace("server edge:1;", "server edge:1;\n    server mine:2;"),
        inserted.replace("#|     least_conn;\n", ""),
        inserted.replace("    # bowline-edge: end\n", ""),
    ):
        assert edited != inserted
        with pytest.raises(FleetError) as failure:
            restore(edited)
        assert failure.value.code == "proxy_conflict"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "upstream apps { server a:1; }",
        "# upstream app { server a:1; }",
        "upstream app { }",
        "upstream app { balancer_by_lua_block { x } server a:1; }",
    ],
)
def test_a_missing_block_is_named_with_all_others(text):
    with pytest.raises(FleetError) as failure:
        insert(text, {"app": "edge:1", "web": "edge:2"})
    assert (failure.value.code, failure.value.details["missing"]) == ("proxy_upstream_missing", ["app", "web"])
