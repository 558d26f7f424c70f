# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables of compose files, files of variables, and x-bowline: what each text becomes and what is missing, as tables."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.convert import documents, extension, variables

ENV = {"A": "x", "EMPTY": "", "_u1": "y"}


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("no variable", "no variable"),
        ("$A and ${A}", "x and x"),
        ("$$A $${A} $$$A", "$A ${A} $x"),
        ("${EMPTY:-d} ${EMPTY-d} ${NONE:-d} ${NONE-d}", "d  d d"),
        ("${A:?must} ${A?must} ${EMPTY?may be empty}", "x x "),
        ("$NONE.", "."),
        ("$_u1", "y"),
        # Without braces the rest of the text is the default: odd, and what the CLI does.
        ("$NONE-rest of it", "rest of it"),
        ("${A:-${B}}", "x}"),
        ("${NONE:-$apr1$hash}", "$apr1$hash"),
    ],
)
def test_a_text_becomes_what_the_cli_makes_of_it(text, becomes):
    """tests/integration/swarm/test_corpus.py holds the same function against the CLI itself, with random texts."""
    assert variables.substitute(text, ENV) == becomes


@pytest.mark.parametrize("text", ["$", "a $1", "${", "${A", "${A:+x}", "${1}", "${NONE:?why}", "${EMPTY:?why}", "${NONE?}", "$(date)"])
def test_a_text_that_the_cli_refuses_is_refused(text):
    with pytest.raises(variables.Unset):
        variables.substitute(text, ENV)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("$B ${C} $$D ${E:-x} ${F-} ${G:?why} ${H?} $A", ["B", "C", "G", "H"]),
        ("${EMPTY:?why} ${EMPTY?why} ${EMPTY}", ["EMPTY"]),
        ("${A:-${INNER}}", ["INNER"]),
        ("${NONE:-$INNER}", ["INNER"]),
        ("${NONE:-$2y$10$hash}", []),
        ("$( ) and $", []),
    ],
)
def test_what_has_neither_value_nor_default_is_found(text, names):
    assert [lack.name for lack in variables.missing(text, ENV)] == names


def test_a_file_of_variables_is_read_as_it_is_meant():
    values, wrong = variables.read_file(
        "\ufeff# comment\n\nA=1\nexport B = two words  # why\nC='a $x # y'  # z\nD=\"q\\\"\\n\\$x\"\nE=\nF=#1\nG=a=b=c\nH=5$ or 6\nI= # nothing\n"
    )
    assert wrong == []
    assert values == {"A": "1", "B": "two words", "C": "a $x # y", "D": 'q"\n$x', "E": "", "F": "#1", "G": "a=b=c", "H": "5$ or 6", "I": ""}


def test_all_lines_that_tools_read_differently_are_refused_at_once():
    _values, wrong = variables.read_file('A\nB="open\nC=$OTHER\nD="${OTHER}"\nE=\'x\' y\n1F=x\nG=ok\nH=$(date)\nI=pa$$word\n')
    assert [sentence.split(":")[0] for sentence in wrong] == ["line 1", "line 2", "line 3", "line 4", "line 5", "line 6", "line 8", "line 9"]
    assert "single quotes" in wrong[2] and "OTHER" not in wrong[2], "the value may be a secret"


@pytest.mark.parametrize(
    ("name", "in_env", "in_file"),
    [
        ("TAG", True, True),
        ("HTTP_PROXY", True, True),
        ("HOME", True, False),
        ("DOCKER_CONFIG", True, False),
        ("PATH", False, False),
        ("LD_PRELOAD", False, False),
        ("DOCKER_HOST", False, False),
        ("DOCKER_CONTEXT", False, False),
        ("DOCKER_TLS_VERIFY", False, False),
        ("DOCKER_API_VERSION", False, False),
        ("DOCKER_CLI_OTEL_EXPORTER_OTLP_ENDPOINT", False, False),
        ("DOCKER_STACK_ORCHESTRATOR", False, False),
        ("DOCKER_IMAGE", True, True),
        ("PATHS", True, True),
        ("a-b", False, False),
        ("", False, False),
    ],
)
def test_what_steers_the_cli_cannot_be_given(name, in_env, in_file):
    assert (not variables.refused_name(name, of_file=False), not variables.refused_name(name, of_file=True)) == (in_env, in_file)


@pytest.mark.parametrize(("value", "text"), [("x", "x"), (1, "1"), (True, "true"), (1.5, "1.5"), ("", "")])
def test_a_value_becomes_one_text(value, text):
    assert variables.given_value(value) == text


@pytest.mark.parametrize("value", [None, [], {}, "a\0b"])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(ValueError, match="no text"):
        variables.given_value(value)


@pytest.fixture
def read(tmp_path):
    def one(*texts):
        paths = []
        for number, text in enumerate(texts):
            path = tmp_path / f"{number}.yml"
            path.write_text(text)
            paths.append(str(path))
        trees, closed, unread = documents.read(paths)
        return trees, closed + unread

    return one


def test_every_place_of_every_variable_is_named_once(read):
    trees, found = read(
        "x-common: &c\n  image: a:${TAG}\nservices:\n  web:\n    <<: *c\n    environment: [PASSED, SET=1, WITH=$B]\n"
        "  api:\n    <<: *c\n    environment: {NULL_ONE: , B: $B}\n  far:\n    env_file: x\n    environment: [NOT_ASKED]\n"
    )
    assert found == []
    findings = documents.unset(trees, {"A": "1"})
    assert [(finding.code, finding.field) for finding in findings] == [("env_unset", f"env.{name}") for name in ("B", "NULL_ONE", "PASSED", "TAG")]
    path = trees[0].path
    assert findings[0].message == f"B has no value: {path}:6: services.web.environment.2, {path}:9: services.api.environment.B."
    assert findings[3].message == f"TAG has no value: {path}:2: x-common.image."
    assert all(finding.remedy for finding in findings)


def test_a_tree_that_holds_itself_and_one_that_grows_without_end_are_walked_once(read):
    bomb = "a: &a [x, x]\n" + "".join(f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi"))
    trees, found = read(bomb, "me: &me [*me, $NONE]\n")
    assert found == [] and [finding.field for finding in documents.unset(trees, {})] == ["env.NONE"]


def test_files_that_cannot_be_read_are_all_found(read, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "bad.yml").write_text("a: [\n")
    (tmp_path / "deep.yml").write_text("[" * 5000)
    trees, *both = documents.read([str(tmp_path / name) for name in ("none.yml", "folder", "bad.yml", "deep.yml")])
    found = [finding for part in both for finding in part]
    assert trees == [] and [len(part) for part in both] == [2, 2] and [finding.code for finding in found] == ["compose_invalid"] * 4
    assert "No such file" in found[0].message and "no regular file" in found[1].message and "line 2" in found[2].message


def test_the_files_that_a_compose_file_names_are_found_beside_the_first_one(read, tmp_path):
    trees, _found = read(
        "services: {web: {env_file: ./e1, image: x}}\nconfigs: {c: {file: '${DIR}/c1'}, ext: {external: true}}\n",
        "services: {api: {env_file: [e2, /abs/e3]}}\nsecrets: {s: {file: ~/s1}}\n",
    )
    named = documents.files(trees, {"DIR": "sub", "HOME": "/home/u"})
    assert [file.path for file in named] == [str(tmp_path / "sub/c1"), str(tmp_path / "e1"), "/home/u/s1", str(tmp_path / "e2"), "/abs/e3"]


def test_waves_and_gates_of_the_later_file_win(read):
    trees, _found = read(
        "x-bowline: {gates: [{name: a, type: tcp}]}\nservices: {web: {x-bowline: {wave: 1}}, api: {x-bowline: {wave: '${W}'}}, db: {}}\n",
        "services: {web: {x-bowline: {wave: 3}}}\n",
        "x-bowline: {gates: [{name: b, type: http, count: 2, url: 'http://$HOST/$$x'}]}\n",
    )
    own, found = extension.read(trees, {"W": "2", "HOST": "h"})
    assert found == [] and dict(own.waves) == {"web": 3, "api": 2}
    assert own.gates == ({"name": "b", "type": "http", "count": 2, "url": "http://h/$x"},)


def test_all_that_is_wrong_in_x_bowline_is_found_with_the_near_miss(read):
    trees, _found = read(
        "x-bowline: {gate: [], gates: 1}\nservices: {a: {x-bowline: {waves: 1}}, b: {x-bowline: {wave: -1}}, c: {x-bowline: {wave: true}}, d: {x-bowline: 3}}\n"
    )
    own, found = extension.read(trees, {})
    assert own.gates == () and dict(own.waves) == {}
    assert [finding.code for finding in found] == ["unknown_key", "compose_invalid", "unknown_key", "compose_invalid", "compose_invalid", "compose_invalid"]
    assert "x-bowline.gate: unknown key. Did you mean gates?" in found[0].message
    assert "services.a.x-bowline.waves: unknown key. Did you mean wave?" in found[2].message


def test_what_a_mapping_merges_counts_and_one_that_merges_itself_ends(read):
    trees, found = read(
        "x-w: &w {wave: 2}\nx-all: &all\n  web: {x-bowline: &x {<<: [*w]}, environment: &e {PASSED: }}\n"
        "services:\n  <<: *all\n  api: {x-bowline: {<<: *w, wave: 5}, environment: {<<: *e}}\n  me: &me {<<: {<<: *me, image: a}}\n"
    )
    own, more = extension.read(trees, {})
    assert found == more == [] and dict(own.waves) == {"web": 2, "api": 5}
    assert [finding.field for finding in documents.unset(trees, {})] == ["env.PASSED"]
    assert documents.files(trees, {}) == []


def test_gates_that_grow_without_end_are_refused(read):
    bomb = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefg", "bcdefgh"))
    trees, _found = read(bomb + "x-bowline: {gates: *h}\n")
    assert ["too large" in finding.message for finding in extension.read(trees, {})[1]] == [True]
