# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every room relies on: results that cannot contradict their plan, waits that say what they saw, secrets that stay inside."""

from __future__ import annotations

import json

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.argspec import refuse_unknown_keys, unknown_keys
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.module import FleetModule
from ansible_collections.bowline.fleet.plugins.module_utils._core.redact import MASK, redact
from ansible_collections.bowline.fleet.plugins.module_utils._core.result import Step, finish, result
from ansible_collections.bowline.fleet.plugins.module_utils._core.visible import one_line, visible
from ansible_collections.bowline.fleet.plugins.module_utils._core.wait import Deadline, wait_for


class Clock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Ended(Exception):
    """Stands for the process exit of exit_json and fail_json."""


class FakeModule:
    def __init__(self) -> None:
        self.answer: dict = {}
        self.params: dict = {"name": "x", "checks": [{"headers": {"Authorization": "Bearer canary-7"}}]}
        self.warned: list[str] = []

    def warn(self, text: str) -> None:
        self.warned.append(text)

    def exit_json(self, **answer: object) -> None:
        self.answer = answer
        raise Ended

    def fail_json(self, **answer: object) -> None:
        self.answer = {**answer, "failed": True}
        raise Ended


def test_changed_follows_from_the_plan():
    assert result([], before=1, after=1)["changed"] is False
    done = result([Step("post", "first notice")], before=None, after={"b": 1, "a": (1, 2)}, notice={"x"})
    assert done["changed"] is True
    assert done["plan"] == [{"action": "post", "reason": "first notice", "disruptive": False}]
    assert done["diff"]["before"] == ""
    assert json.loads(done["diff"]["after"]) == {"a": [1, 2], "b": 1}
    assert done["notice"] == ["x"]


def test_finish_turns_a_fleet_error_into_failure_and_masks_secrets():
    def work() -> dict:
        raise FleetError("auth", "server refused canary-7", remedy="give another key", details={"dsn": "postgres://u:pw1@h/db", "k": ["canary-7"]})

    module = FakeModule()
    with pytest.raises(Ended):
        finish(module, work, secrets=["canary-7"])
    assert module.answer["failure"]["code"] == "auth"
    assert module.answer["msg"].startswith("[auth] ")
    assert "give another key" in module.answer["msg"]
    assert "canary-7" not in json.dumps(module.answer)
    assert "pw1" not in json.dumps(module.answer)


def test_finish_shows_warnings_and_lets_other_errors_through():
    module = FakeModule()
    with pytest.raises(Ended):
        finish(module, lambda: result([], before=1, after=1, warnings=["mind the gap"]))
    assert module.warned == ["mind the gap"]
    assert module.answer["invocation"]["module_args"] == {"name": "x", "checks": [{"headers": {"Authorization": MASK}}]}
    assert "warnings" not in module.answer
    with pytest.raises(ZeroDivisionError):
        finish(FakeModule(), lambda: {"x": 1 // 0})


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("host=h password=hunter2 dbname=d", "host=h password=******** dbname=d", id="conninfo"),
        pytest.param("password='two words' x", f"password={MASK} x", id="quoted"),
        pytest.param("https://user:hunter2@example.org/x", f"https://user:{MASK}@example.org/x", id="url"),
        pytest.param("nothing to hide", "nothing to hide", id="plain"),
    ],
)
def test_redact_knows_the_usual_forms(text, kept):
    assert redact(text) == kept


def test_what_a_server_says_cannot_write_to_a_terminal():
    def work() -> dict:
        raise FleetError("bad\x1b[2J", "role \x07a\u202eb\x9bc\nsecond", remedy="none\u200b", details={"name\x00": ["\ud800"]})

    module = FakeModule()
    with pytest.raises(Ended):
        finish(module, work)
    assert module.answer["failure"] == {
        "code": "bad\\x1b[2J", "message": "role \\x07a\\u202eb\\x9bc\nsecond", "remedy": "none\\u200b", "details": {"name\\x00": ["\\ud800"]},
    }
    assert module.answer["msg"].replace("\n", "").isprintable()
    module = FakeModule()
    with pytest.raises(Ended):
        finish(module, lambda: result([Step("x", "\x1b]0;t\x07")], before="\x1b[2J", after="", warnings=["\x1b[2J"], name="a\x1b"))
    assert module.warned == ["\\x1b[2J"]
    assert (module.answer["diff"]["before"], module.answer["plan"][0]["reason"]) == ("\\x1b[2J\n", "\\x1b]0;t\\x07")
    assert module.answer["name"] == "a\x1b", "objects stay as the servers have them"


def test_the_log_of_the_host_gets_no_secret_from_inside_of_a_list(monkeypatch):
    """As Ansible starts a module: it writes all parameters to syslog before the module has done anything."""
    from ansible.module_utils import basic
    from ansible.module_utils.testing import patch_module_args

    written: list[str] = []
    monkeypatch.setattr(basic, "has_journal", False)
    monkeypatch.setattr(basic.syslog, "syslog", lambda _level, text: written.append(str(text)))
    checks = [{"url": "http://hub:canary/7@h/", "request_headers": {"Authorization": "Bearer canary-7"}, "body": {"password": "canary-7"}, "method": "POST"}]
    with patch_module_args({"checks": checks}):
        FleetModule({"checks": {"type": "list", "elements": "dict", "required": True}})
    assert "Invoked with checks=" in written[0] and "'POST'" in written[0]
    assert "canary" not in "".join(written)


@pytest.mark.parametrize("text", ["plain, grün, 日本, é, ✓ → …", "two\nlines\tand a tab", ""])
def test_what_can_be_seen_stays_as_it_is(text):
    assert visible(text) == text


def test_whatever_cannot_be_seen_is_written_out():
    """Every character of the classes that Unicode hides or that a terminal obeys; two lines of Windows stay two."""
    import sys
    import unicodedata

    shown = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in ("Cc", "Cs", "Zl", "Zp")]
    shown += [chr(code) for code in (*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF, 0xAD, 0x61C, 0xE0041)]
    assert [hex(ord(one)) for one in shown if one not in "\n\t" and one in visible(f"a{one}b")] == []
    assert visible("a\r\nb\rc") == "a\nb\\x0dc"
    assert one_line("a\nb\r\n\u2028c\x1b") == "a b c\\x1b"


def test_redact_reaches_keys_and_the_longest_secret_wins():
    assert redact({"s3cret": ["s3cret-long", 4, None]}, ["s3cret", "s3cret-long"]) == {MASK: [MASK, 4, None]}


def test_wait_for_returns_the_first_satisfying_value():
    clock = Clock()
    values = iter([1, 2, 3])
    assert wait_for(lambda: next(values), lambda seen: seen == 3, Deadline(10, clock, clock.sleep), what="three") == 3
    assert clock.slept == [0.2, 0.2]


def test_wait_for_reads_once_more_at_the_deadline_and_never_oversleeps():
    clock = Clock()
    with pytest.raises(FleetError) as failure:
        wait_for(lambda: "51C0", lambda seen: False, Deadline(0.5, clock, clock.sleep), what="slot hub_1", interval=0.3)
    assert clock.slept == [0.3, pytest.approx(0.2)]
    assert failure.value.code == "timeout"
    assert "0.5 s for slot hub_1" in failure.value.message
    assert "51C0" in failure.value.message


def test_unknown_keys_name_the_near_miss_and_all_at_once():
    assert unknown_keys("services.web", ["replica", "image"], ["replicas", "image"]) == [
        "services.web.replica: unknown key. Did you mean replicas?"
    ]
    with pytest.raises(FleetError) as failure:
        refuse_unknown_keys("router", ["puase", "zzz"], ["pause", "route"])
    assert failure.value.code == "unknown_key"
    assert "router.puase: unknown key. Did you mean pause?" in failure.value.message
    assert "router.zzz: unknown key. Known: pause, route." in failure.value.message
    refuse_unknown_keys("router", ["pause"], ["pause"])
