# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The preflight fails closed: every row that is not plainly good is a finding."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.preflight import UNKNOWN, exposed, findings, judge, judge_asked, misspelt

ROOT = Path(__file__).resolve().parents[3]
ENGINE = {"containers": [{"Names": ["/thing"], "State": "running"}, {"Names": ["/db"], "State": "running"}]}
SERVER = {"name": "ns1.example.org", "address": "192.0.2.53", "port": 53, "error": None}
ROOM = {"name": "room", "type": "disk", "ok": True, "evidence": {"path": "/data", "directory": "/data", "free_bytes": 1200}}
FREE = {"name": "port", "type": "free", "ok": True, "evidence": {"listening": False}}
TAKEN = {**FREE, "ok": False, "evidence": {"listening": True, "active": False}, "findings": ["it answers"]}


def entry(kind, **more):
    return {"kind": kind, "field": "a_field", "subject": "thing", **more}


@pytest.mark.parametrize(
    ("observation", "codes"),
    [
        pytest.param(entry("container", result=ENGINE), [], id="container runs"),
        pytest.param(entry("container", result={"containers": [{"Names": ["/thing2"], "State": "running"}]}), ["container_missing"], id="container missing"),
        pytest.param(entry("container", result={"containers": [{"Names": ["/thing"], "State": "exited"}]}), ["container_missing"], id="container exited"),
        pytest.param(entry("container", result={"failed": True, "msg": "no engine"}), ["not_run"], id="engine silent"),
        pytest.param(entry("container", result={}), ["not_run"], id="engine: empty answer"),
        pytest.param(entry("container", result={"msg": "Failed to import the required Python library (requests) on old's Python /usr/bin/python3."}),
                     ["tool_missing"], id="no library to ask the engine with"),
        pytest.param(entry("module", result={"changed": False}), [], id="module content"),
        pytest.param(entry("module", result={"skipped": True, "changed": False}), [], id="module skipped on purpose"),
        pytest.param(entry("module", result={"failed": True, "failure": {"code": "auth", "message": "m", "remedy": "r"}}), ["auth"], id="module failed"),
        pytest.param(entry("module", result={"failed": True, "msg": "traceback"}), ["not_run"], id="module crashed"),
        pytest.param(entry("module", result={}), ["not_run"], id="module: empty answer"),
        pytest.param(entry("module", result={"failed": False, "changed": False, "msg": "traceback"}), ["not_run"], id="module crashed under failed_when"),
        pytest.param(entry("servers", result={"changed": False, "servers": [SERVER]}), [], id="name servers answer"),
        pytest.param(entry("servers", result={"changed": False, "servers": [SERVER, {**SERVER, "error": "timed out"}]}), ["no_authority"], id="one is silent"),
        pytest.param(entry("servers", result={"changed": False, "servers": []}), ["not_run"], id="no name server"),
    ],
)
def test_one_observation(observation, codes):
    assert [finding["code"] for finding in judge([observation])] == codes


def test_all_findings_at_once_and_in_order():
    inner = [{"code": "keyless_table", "level": "fail", "object": "public.t", "message": "no key", "remedy": "add one"}]
    seen = judge([
        entry("module", result={}),
        entry("module", result={"failed": True, "failure": {"code": "preflight_failed", "message": "m", "details": {"findings": inner}}}),
        entry("module", result={"changed": False, "findings": [{**inner[0], "level": "warn"}]}),
    ])  # fmt: skip
    assert [(finding["code"], finding["level"]) for finding in seen] == [("not_run", "fail"), ("keyless_table", "fail"), ("keyless_table", "warn")]
    assert seen[1]["message"] == "thing: public.t: no key"


def test_a_misspelt_kind_cannot_pass():
    with pytest.raises(KeyError):
        judge([entry("contaner", result=ENGINE)])


def test_a_misspelt_variable_is_found_with_its_near_miss():
    spec = {"argument_specs": {"main": {"options": {"edge_sides": {}}}, "absent": {"options": {"edge_name": {}}}}}
    assert misspelt(["edge_sides", "edge_name"], [spec]) == []
    (finding,) = misspelt(["edge_sidse"], [spec])
    assert (finding["code"], finding["field"]) == ("unknown_variable", "edge_sidse")
    assert finding["message"] == "edge_sidse: unknown key. Did you mean edge_sides?"


def asked(check, result, needed=None, **meaning):
    """Findings for one check on one host that answers."""
    known = {"code": "a_code", "field": "a_field", "remedy": "do", "level": "fail", "room": False, "behind": None, "remedies": {}, **meaning}
    answer = {"host": "new", "ping": {"ping": "pong"}, "gate": result}
    return judge_asked([answer], {"new": {check: known}}, needed)


@pytest.mark.parametrize(
    ("ping", "code", "field"),
    [
        pytest.param({"ping": "pong"}, None, None, id="answers"),
        pytest.param({"unreachable": True, "msg": "no route"}, "unreachable", "inventory", id="unreachable"),
        pytest.param(None, "unreachable", "inventory", id="never asked"),
        pytest.param({"msg": "Missing sudo password"}, "privileges", "ansible_become_password of new", id="no password of sudo"),
        pytest.param({"msg": "Task failed: Incorrect sudo password"}, "privileges", "ansible_become_password of new", id="wrong password of sudo"),
        pytest.param({"msg": "Task failed: Premature end of stream waiting for become success.\n>>> Standard Error\n/bin/sh: 1: sudo: not found"},
                     "tool_missing", "ansible_become_method of new", id="no sudo"),
        pytest.param({"msg": "Task failed: Premature end of stream waiting for become success.\n>>> Standard Error\nops is not in the sudoers file."},
                     "privileges", "ansible_become_password of new", id="may not use sudo"),
        pytest.param({"module_stderr": "/bin/sh: 1: /usr/bin/python9: not found", "msg": "The module interpreter '/usr/bin/python9' was not found."},
                     "tool_missing", "ansible_python_interpreter of new", id="no python"),
    ],
)  # fmt: skip
def test_a_host_that_does_not_answer_is_one_finding_with_its_cause(ping, code, field):
    found = judge_asked([{"host": "new", "ping": ping, "gate": {}}], {"new": {}}, None)
    assert [(finding["code"], finding["field"]) for finding in found] == ([(code, field)] if code else [])


@pytest.mark.parametrize(
    ("check", "meaning", "needed", "codes"),
    [
        pytest.param(FREE, {}, None, [], id="passed"),
        pytest.param(TAKEN, {}, None, ["a_code"], id="failed"),
        pytest.param({**TAKEN, "evidence": {}}, {}, None, ["not_run"], id="port that says nothing"),
        pytest.param({**FREE, "ok": None}, {}, None, ["not_run"], id="only planned"),
        pytest.param({**TAKEN, "findings": ["tool_missing: docker is not on this host"]}, {}, None, ["tool_missing"], id="no program to ask with"),
        pytest.param(ROOM, {"room": True}, 1000, [], id="disk just large enough"),
        pytest.param(ROOM, {"room": True}, 1001, ["no_space"], id="disk too small"),
        pytest.param(ROOM, {"room": True}, None, ["not_run"], id="size unknown"),
        pytest.param(ROOM, {"room": True}, UNKNOWN, [], id="the database has a finding of its own"),
        pytest.param({**ROOM, "evidence": {}}, {"room": True}, 1, ["not_run"], id="room: empty answer"),
    ],
)
def test_one_check(check, meaning, needed, codes):
    assert [finding["code"] for finding in asked(check["name"], {"checks": [check]}, needed, **meaning)] == codes


def test_a_gate_that_gave_no_answer_is_a_finding():
    assert [finding["code"] for finding in asked("port", {"msg": "traceback"})] == ["not_run"]
    assert [finding["code"] for finding in asked("port", {"checks": [ROOM]})] == ["not_run"]
    assert [finding["code"] for finding in judge_asked([], {"new": {"port": {}}}, None)] == ["unreachable"]


def test_the_cause_of_a_closed_path_has_its_remedy():
    said = {"name": "way", "type": "reach", "ok": False, "evidence": {"cause": "no_tls"}, "findings": ["the PostgreSQL there speaks no TLS"]}
    (finding,) = asked("way", {"failure": {"code": "check_failed", "details": {"checks": [said]}}}, remedies={"no_tls": "switch ssl on"})
    assert (finding["message"], finding["remedy"]) == ("new: the PostgreSQL there speaks no TLS.", "switch ssl on")


def seen(**changes):
    inputs = {"findings": [], "ready": {"databases": True, "names": True}, "asked": {}, "checks": {}, "hosts": ["old"], "changed": False,
              "containers": {"host": "old", "names": ["db"]}}
    databases = {"changed": False, "evidence": {"size_bytes": 10, "locale": {"collate": "de_DE.UTF-8"}}}
    good = {
        "inputs": inputs,
        "hosts": [{"host": "old", "ping": {"ping": "pong"}, "gate": {}}],
        "engine": ENGINE,
        "observed": {"databases": [entry("module", result=databases)], "names": [entry("servers", result={"changed": False, "servers": [SERVER]})]},
    }
    return {**good, **changes}


def test_nothing_wrong_is_no_finding():
    assert findings(seen()) == []


def test_a_part_that_was_not_asked_is_a_finding_unless_its_variables_say_why():
    nothing = {"databases": [], "names": seen()["observed"]["names"]}
    assert [finding["code"] for finding in findings(seen(observed=nothing))] == ["not_run"]
    why = {"code": "file_missing", "field": "pg_move_legacy.password", "message": "m", "remedy": "r", "level": "fail"}
    inputs = {**seen()["inputs"], "findings": [why], "ready": {"databases": False, "names": True}}
    assert findings(seen(observed=nothing, inputs=inputs)) == [why]


def test_inputs_that_could_not_be_read_are_a_finding():
    assert [finding["code"] for finding in findings(seen(inputs={"failed": True, "msg": "traceback"}))] == ["not_run"]


@pytest.mark.parametrize("name", ["inputs", "hosts", "engine", "observed"])
def test_a_missing_part_cannot_pass(name):
    without = seen()
    del without[name]
    with pytest.raises(KeyError):
        findings(without)


@pytest.mark.parametrize(
    ("locales", "made", "codes"),
    [
        pytest.param(["C", "de_DE.utf8"], "C.UTF-8", [], id="the old one is there"),
        pytest.param(["C"], "de_DE.utf8", [], id="the old one is made"),
        pytest.param(["C", "en_US.utf8"], "en_US.UTF-8", ["locale_missing"], id="another one is made"),
    ],
)
def test_the_locale_that_moves_is_on_the_target_after_c2(locales, made, codes):
    check = {"name": "locale", "type": "locale", "ok": True, "evidence": {"locales": locales, "wanted": made}}
    meaning = {"code": "c", "field": "f", "remedy": "r", "level": "fail"}
    hosts = [{"host": "new", "ping": {"ping": "pong"}, "gate": {"checks": [check]}}]
    told = findings(seen(hosts=hosts, inputs={**seen()["inputs"], "asked": {"new": {"locale": meaning}}}))
    assert [finding["code"] for finding in told] == codes
    assert [finding["remedy"] for finding in told] == ["native_stack_postgres.locale: de_DE.UTF-8"] * len(codes)


@pytest.mark.parametrize(
    ("mode", "text", "codes"),
    [
        pytest.param(0o600, "secret", [], id="ours alone"),
        pytest.param(0o400, "secret", [], id="ours alone, to read"),
        pytest.param(0o640, "secret", ["unsafe_path"], id="the group reads"),
        pytest.param(0o644, "secret", ["unsafe_path"], id="everybody reads"),
        pytest.param(0o644, "$ANSIBLE_VAULT;1.1;AES256\n33", [], id="everybody reads what is encrypted"),
        pytest.param(0o666, "$ANSIBLE_VAULT;1.1;AES256\n33", ["unsafe_path"], id="everybody writes what is encrypted"),
    ],
)
def test_files_with_secrets_belong_to_one_user(tmp_path, mode, text, codes):
    file = tmp_path / "secrets" / "deep" / ".pgpass"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    file.chmod(mode)
    for place in (tmp_path / "secrets", file):
        findings = exposed([str(tmp_path / "missing"), str(place)], "a_field")
        assert [finding["code"] for finding in findings] == codes
        for finding in findings:
            assert (finding["field"], finding["level"]) == ("a_field", "fail")
            assert str(file) in finding["message"] and f"{mode:04o}" in finding["message"] and f"{file}. Or" in finding["remedy"]


def test_a_folder_of_secrets_that_others_write_in_and_a_link_that_leads_nowhere_are_findings(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    assert [finding["code"] for finding in exposed([str(tmp_path)], "f")] == ["not_run"]
    (tmp_path / "link").unlink()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open" / "file").touch(mode=0o600)
    assert [finding["code"] for finding in exposed([str(tmp_path)], "f")] == ["unsafe_path"]


@pytest.mark.parametrize("path", ["moves/mine/secrets/link", "moves/mine/probe/lines", "inventories/mine/secrets/link"])
def test_the_folder_of_secrets_that_the_readme_names_is_not_committed(path):
    """README: copy moves/example_hub to moves/mine; whoever keeps them below the inventory, as it was before, commits them as little."""
    words = ["git", "check-ignore", "--no-index", "--quiet", path]
    assert subprocess.run(words, cwd=ROOT, check=False).returncode == 0
