# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The words that start, stop and ask a server, in each of its manners."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._pg.model import Endpoint
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.process import Control


class Host:
    """Answers by a word of the command and keeps what was run."""

    def __init__(self, *answers: tuple[str, int, str]) -> None:
        self.answers = answers
        self.ran: list[list[str]] = []

    def __call__(self, argv, *, env=None, stdin=None, timeout=None):
        self.ran.append(list(argv))
        for word, rc, out in self.answers:
            if word in " ".join(argv):
                return Completed(rc, out, "")
        return Completed(0, "", "")


OWNER = ("stat -c", 0, "105:110\npostgres\n0\n15\n")


def control(host, **options):
    return Control(Endpoint("legacy", "192.0.2.1", **options), host)


def test_pg_ctl_runs_as_the_owner_from_the_folder_of_the_version():
    host = Host(OWNER, ("status", 3, ""))
    control(host, data_directory="/data").start(20)
    started = host.ran[-1]
    assert started[:3] == ["runuser", "-u", "postgres"]
    assert started[-3:] == ["/data", "/usr/lib/postgresql/15/bin/pg_ctl", "20"]


def test_a_server_in_the_wanted_condition_is_left_alone():
    host = Host(OWNER, ("status", 0, ""))
    control(host, data_directory="/data").start()
    assert not any("start" in word for argv in host.ran for word in argv if "pg_ctl" not in word)
    stopped = Host(("inspect", 0, "false\n"))
    control(stopped, container="hub-db").stop()
    assert [argv[1] for argv in stopped.ran] == ["inspect"]


def test_a_container_is_stopped_by_docker_and_read_beside_itself_when_it_is_down():
    host = Host(("State.Running", 0, "false\n"), ("NetworkMode", 0, "sha256:1 hub_net\n"), ("%u:%g", 0, "999:999\npostgres\n0\n15\n"))
    with pytest.raises(FleetError) as failure:
        control(host, container="hub-db").controldata()
    assert failure.value.code == "control_failed"
    assert host.ran[-1][:9] == ["docker", "run", "--rm", "--volumes-from", "hub-db", "--network", "hub_net", "--user", "999:999"]
    assert host.ran[-1][-2:] == ["sha256:1", "/var/lib/postgresql/data"]


def test_a_unit_behind_ssh_and_words_quoted_for_its_shell():
    host = Host(("stat -c", 0, "105:110\npostgres\n105\n15\n"), ("status", 0, ""))
    place = control(host, service="postgresql@15-main", data_directory="/srv/my data", command_prefix=("ssh", "hub-new"))
    place.stop("fast", 5)
    assert ["ssh", "hub-new", "systemctl", "stop", "postgresql@15-main"] in host.ran
    assert "'--pgdata=/srv/my data'" in host.ran[1]


def test_neither_container_service_nor_directory_is_refused_by_name():
    with pytest.raises(FleetError) as failure:
        control(Host()).stop()
    assert (failure.value.code, "legacy.service" in failure.value.remedy) == ("invalid_value", True)


def test_what_cannot_be_told_is_not_taken_for_stopped():
    with pytest.raises(FleetError) as failure:
        control(Host(("inspect", 1, "")), container="gone").running()
    assert failure.value.code == "control_failed"
