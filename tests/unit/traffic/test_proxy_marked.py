# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Marked parts of a file: whose they are, what was edited, and that the file comes back byte for byte."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxies.marked import Edit, inside, replaced, restored

TEXT = "one\n  two 2\nthree\n\n  four 4\nfive"
A, B = "/var/lib/bowline/edge-a", "/var/lib/bowline/edge-b"


def change(text, word, new, owner=A):
    at = text.index(word)
    return replaced(text, [Edit(at, at + len(word), new)], owner)


def code(call, *args):
    with pytest.raises(FleetError) as failure:
        call(*args)
    return failure.value


@pytest.mark.parametrize("word", ["one", "two", "2\nthree", "three", "four 4", "five"])
@pytest.mark.parametrize("newline", ["", "\n", "\r\n"])
@pytest.mark.parametrize("new", ["", "x", "x\ny", "x\n"])
def test_any_part_comes_back(word, newline, new):
    text = TEXT + newline
    marked = change(text, word, new)
    assert marked != text and restored(marked, A) == text
    assert all(row.startswith("#") or row in (text.replace(word, new) + "\n").split("\n") for row in marked.split("\n"))


def test_several_parts_and_neighbours_in_one():
    marked = replaced(TEXT, [Edit(0, 3, "1"), Edit(6, 9, "2"), Edit(TEXT.index("five"), len(TEXT), "5")], A)
    assert marked.count(": begin") == 2 and inside(marked, A) == "1\n  2 2\n5\n" and restored(marked, A) == TEXT


def test_two_edges_share_a_file_and_neither_takes_the_other_out():
    both = change(change(TEXT, "two", "a"), "four", "b", B)
    assert restored(both, B) == change(TEXT, "two", "a")
    assert restored(restored(both, A), B) == TEXT == restored(restored(both, B), A)
    assert inside(both, A) == "  a 2\n" and inside(both, B) == "  b 4\n"


def test_where_another_edge_stands_nothing_is_changed():
    failure = code(change, change(TEXT, "two", "a"), "a 2", "b", B)
    assert failure.code == "not_owner" and failure.details["owner"] == A and A in failure.message


def test_edits_elsewhere_survive_and_edits_inside_are_a_conflict():
    marked = change(TEXT, "two", "a")
    assert restored("zero\n" + marked + "\nsix", A) == "zero\n" + TEXT + "\nsix"
    for edited in (
        marked.replace("  a 2\n", "  a 2\n  mine\n"),
        marked.replace("#|  two 2\n", ""),
        marked.replace(f"# bowline-edge {A}: end\n", ""),
        marked.replace(f"# bowline-edge {A}: begin", f"# bowline-edge {A}: began"),
        "upstream app {\n# bowline-edge: begin; the lines with #| are the original body\n}\n",
    ):
        assert edited != marked
        assert code(restored, edited, A).code == "proxy_conflict"


def test_a_line_that_looks_like_a_kept_one_is_no_danger():
    text = "#|x\nserver a;\n#|y\n"
    marked = change(text, "server a;", "server b;")
    assert restored(marked, A) == text
