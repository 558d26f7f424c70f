# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A crash of the edge is seen at once, with its last words, and a container or unit of somebody else is left alone."""

from __future__ import annotations

import json

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.process import asked_for, complaint, container, hopeless, unit

DIRECTORY = "/var/lib/bowline/edge-hub"
ALERT = "[ALERT]    (1) : config : Cannot open configuration file/directory /nowhere/haproxy.cfg : No such file or directory"
LOG = f"[NOTICE]   (1) : haproxy version is 2.6.12-1+deb12u4\n[NOTICE]   (1) : path to executable is /usr/sbin/haproxy\n{ALERT}\n"


def inspected(restarts=0, source=DIRECTORY, **state):
    """As docker 20.10 printed it of a container with restart policy unless-stopped."""
    state = {
        "Status": "running", "Running": True, "Paused": False, "Restarting": False, "OOMKilled": False, "Dead": False, "Pid": 0, "ExitCode": 0,
        "Error": "", "StartedAt": "2026-11-28T02:44:35.269547226Z", "FinishedAt": "2026-11-28T02:44:35.422467447Z", **state,
    }  # fmt: skip
    return json.dumps([{"State": state, "RestartCount": restarts, "Mounts": [{"Type": "bind", "Source": source, "Destination": source}]}])


LOOPS = {"Status": "restarting", "Restarting": True, "ExitCode": 1}


def shown(restarts=0, directory=DIRECTORY, load="loaded", active="active", sub="running", status="0", result="success"):
    """As systemd 252 prints it."""
    argv = f"haproxy -W -db -S {directory}/run/master.sock,mode,600 -f {directory}/haproxy.cfg"
    command = f"ExecStart={{ path=/usr/sbin/haproxy ; argv[]={argv} ; ignore_errors=no ; start_time=[n/a] ; status=0/0 }}\n" if load == "loaded" else ""
    return f"LoadState={load}\nActiveState={active}\nSubState={sub}\nResult={result}\nNRestarts={restarts}\nExecMainStatus={status}\n{command}"


@pytest.mark.parametrize(
    ("seen", "running", "restarts", "ours"),
    [
        (container(inspected(), DIRECTORY), True, 0, True),
        (container(inspected(3, **LOOPS), DIRECTORY), False, 3, True),
        (container(inspected(Status="exited", Running=False, ExitCode=1), DIRECTORY), False, 0, True),
        (container(inspected(Status="created", Running=False), DIRECTORY), True, 0, True),
        (container(inspected(source="/var/lib/bowline/edge-other"), DIRECTORY), True, 0, False),
        (container("[]", DIRECTORY), False, 0, None),
        (unit(shown(), DIRECTORY), True, 0, True),
        (unit(shown(7, active="activating", sub="auto-restart", status="1", result="exit-code"), DIRECTORY), False, 7, True),
        (unit(shown(active="failed", sub="failed", status="1", result="exit-code"), DIRECTORY), False, 0, True),
        (unit(shown(directory="/var/lib/bowline/edge-other"), DIRECTORY), True, 0, False),
        (unit(shown(directory=f"{DIRECTORY}-2"), DIRECTORY), True, 0, False),
        (unit(shown(load="not-found", active="inactive", sub="dead"), DIRECTORY), False, 0, None),
    ],
)
def test_what_docker_and_systemd_say(seen, running, restarts, ours):
    assert (seen.running, seen.restarts, seen.ours) == (running, restarts, ours)


class Host:
    """Answers as docker or systemd of a host would."""

    def __init__(self, state):
        self.state = state

    def __call__(self, argv, *, env=None, stdin=None, timeout=None):
        if "logs" in argv:
            return Completed(0, "", LOG)
        if "journalctl" in argv:
            return Completed(0, LOG, "")
        return Completed(0 if self.state != "[]" else 1, self.state, "")


EXITED = {"Status": "exited", "Running": False, "ExitCode": 1}
FAILED = {"active": "failed", "sub": "failed", "status": "1", "result": "exit-code"}
AGAIN = {"active": "activating", "sub": "auto-restart", "status": "1", "result": "exit-code"}


@pytest.mark.parametrize(
    ("before", "now", "down", "given_up"),
    [
        pytest.param(inspected(), inspected(), 0, False, id="starts"),
        pytest.param(inspected(7), inspected(7), 9, False, id="runs, with a history"),
        pytest.param(inspected(), inspected(1, **LOOPS), 0, False, id="somebody killed it"),
        pytest.param(inspected(), inspected(1), 0, False, id="and it runs again"),
        pytest.param(inspected(), inspected(2), 0, True, id="ends again and again"),
        pytest.param(inspected(9, **LOOPS), inspected(9, **LOOPS), 1.5, True, id="the engine pauses between two tries"),
        pytest.param(inspected(), inspected(**EXITED), 0, True, id="is not started again"),
        pytest.param("[]", "[]", 9, False, id="not made yet"),
        pytest.param(shown(), shown(1, **AGAIN), 0.1, False, id="unit that somebody killed"),
        pytest.param(shown(), shown(2), 0, True, id="unit that ends again and again"),
        pytest.param(shown(), shown(**FAILED), 0, True, id="unit that failed"),
        pytest.param(shown(load="not-found"), shown(load="not-found"), 9, False, id="unit not written yet"),
    ],
)
def test_waiting_is_given_up_when_it_is_of_no_use(before, now, down, given_up):
    read = unit if "LoadState" in now else container
    assert hopeless(read(before, DIRECTORY), read(now, DIRECTORY), down) is given_up


@pytest.mark.parametrize(("kind", "state"), [("container", inspected(2, **LOOPS)), ("unit", shown(2, **AGAIN))])
def test_a_crash_is_told_with_the_line_that_complains(kind, state):
    process = asked_for({kind: "hub-edge"}, DIRECTORY, Host(state))
    failure = process.crash(process.look())
    assert failure.code == "edge_crashed" and ALERT in failure.message and "hub-edge" in failure.remedy
    assert failure.details["field"] == kind


@pytest.mark.parametrize(("kind", "state"), [("container", inspected()), ("container", "[]"), ("unit", shown()), ("unit", shown(load="not-found"))])
def test_what_is_ours_or_nobodys_is_not_refused(kind, state):
    asked_for({kind: "hub-edge"}, DIRECTORY, Host(state)).refuse_others()


@pytest.mark.parametrize(("kind", "state"), [("container", inspected(source="/srv/x")), ("unit", shown(directory="/srv/x"))])
def test_what_belongs_to_something_else_is_refused_by_name(kind, state):
    with pytest.raises(FleetError) as failure:
        asked_for({kind: "hub-edge"}, DIRECTORY, Host(state)).refuse_others()
    assert failure.value.code == "not_owner" and "hub-edge" in failure.value.message and failure.value.details["field"] == kind


@pytest.mark.parametrize("asked", [{"container": "a", "unit": "b"}, {"container": "--help"}, {"unit": "a b"}, {"unit": "../x"}])
def test_names_are_names(asked):
    with pytest.raises(FleetError) as failure:
        asked_for(asked, DIRECTORY, Host(""))
    assert failure.value.code == "option_invalid"


def test_last_words_have_no_secret():
    host = Host(inspected())
    assert asked_for({"container": "e"}, DIRECTORY, host).last_words(["/nowhere"]) == ALERT.replace("/nowhere", "****")
    assert complaint(["", "one", " two "]) == "two" and complaint([]) == ""


def test_the_cause_comes_before_its_consequence_and_of_the_last_start():
    lines = [
        "[ALERT]    (1) : an older one",
        "[NOTICE]   (1) : haproxy version is 2.6.12-1+deb12u4",
        "[ALERT]    (1) : Starting frontend app: cannot bind socket (Cannot assign requested address) [192.0.2.1:80]",
        "[ALERT]    (1) : [haproxy.main()] Some protocols failed to start their listeners! Exiting.",
    ]
    assert complaint(lines) == " | ".join(lines[2:])
