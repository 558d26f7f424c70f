# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unit files as text: what stands in them, and that nothing in a manifest can break out of its place."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._native.gates import health_gates, smoke_gates, unit_gates
from ansible_collections.bowline.fleet.plugins.module_utils._native.inputs import inputs_by_service, placed
from ansible_collections.bowline.fleet.plugins.module_utils._native.manifest import digest_of
from ansible_collections.bowline.fleet.plugins.module_utils._native.postgresql import configuration
from ansible_collections.bowline.fleet.plugins.module_utils._native.recorder import recorded
from ansible_collections.bowline.fleet.plugins.module_utils._native.render import render_stack
from ansible_collections.bowline.fleet.tests.unit.native.hosts import manifest, service


def lines(*documents, unit=0, **options):
    return render_stack(list(documents), "hub", **options)[unit].text.splitlines()


def test_a_unit_says_whose_it_is():
    document = manifest("hub-backend", service("web"))
    unit = render_stack([document], "hub")[0]
    assert unit.name == "hub-backend-web.service"
    assert {"X-Bowline-Stack=hub", "X-Bowline-Module=backend", f"X-Bowline-Digest={digest_of(document)}"} <= set(unit.text.splitlines())


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("plain-1.2/x=y,z@a", "plain-1.2/x=y,z@a"),
        ("", '""'),
        ("two words", '"two words"'),
        ("100%", '"100%%"'),
        ("$HOME", '"$$HOME"'),
        ("${A}", '"$${A}"'),
        ('say "no"', '"say \\"no\\""'),
        ("back\\slash", '"back\\\\slash"'),
        (";", '";"'),
        ("a\nb", '"a\\x0ab"'),
        ("it's", '"it\'s"'),
        ("ü", '"ü"'),
        ("tab\t", '"tab\\x09"'),
    ],
)
def test_words_of_a_command_stay_what_they_are(word, shown):
    assert f"ExecStart=/bin/x {shown}" in lines(manifest("m", service("s", start_command=["/bin/x", word])))


def test_environment_keeps_dollars_and_escapes_the_rest():
    assert 'Environment="A=5$ \\"x\\" 50%%\\x0anext"' in lines(manifest("m", service("s", environment={"A": '5$ "x" 50%\nnext'})))


@pytest.mark.parametrize(("policy", "shown"), [("never", "no"), ("on_failure", "on-failure"), ("always", "always")])
def test_restart_policies(policy, shown):
    assert f"Restart={shown}" in lines(manifest("m", service("s", restart_policy=policy)))


def test_dependencies_across_modules_are_started_too_and_capabilities_only_ordered():
    seen = lines(manifest("db", service("postgres"), provides=["sql"]), manifest("app", service("web", depends_on=["db/postgres"])), unit=1)
    assert "After=network.target hub-db-postgres.service" in seen and "Wants=hub-db-postgres.service" in seen
    seen = lines(manifest("db", service("postgres"), provides=["sql"]), manifest("app", service("web"), requires=["sql"]), unit=1)
    assert "After=network.target hub-db-postgres.service" in seen and not any(line.startswith(("Requires=", "Wants=")) for line in seen)


def test_credentials_state_and_user():
    seen = lines(
        manifest("m", service("s", user="hub", secrets=["b", "a"], state_directory=["hub", "hub/files"], working_directory="/srv/50%")),
        credentials={"b": "/k/b"},
    )
    for line in (
        "User=hub",
        "LoadCredential=a:/etc/bowline/hub/credentials/a",
        "LoadCredential=b:/k/b",
        "StateDirectory=hub hub/files",
        "WorkingDirectory=/srv/50%%",
    ):
        assert line in seen


def test_notify_reload_and_stop():
    seen = lines(manifest("m", service("s", health={"type": "notify"}, stop_command=["/bin/stop", "$MAINPID"])), reload=["m/s"])
    assert "Type=notify" in seen and "ExecReload=/bin/kill -HUP $MAINPID" in seen and "ExecStop=/bin/stop $MAINPID" in seen
    seen = lines(manifest("m", service("s")))
    assert "Type=exec" in seen and not any(line.startswith(("ExecReload", "ExecStop")) for line in seen)


def test_a_reload_command_knows_the_main_process_and_nothing_else():
    words = ["/bin/reload", "$MAINPID", "--pid=${MAINPID}", "$HOME", "$MAINPIDX", "100%"]
    document = manifest("m", service("s", start_command=["/bin/x", "$MAINPID"], reload_command=words))
    seen = lines(document)
    assert 'ExecReload=/bin/reload $MAINPID "--pid=${MAINPID}" "$$HOME" "$$MAINPIDX" "100%%"' in seen
    assert 'ExecStart=/bin/x "$$MAINPID"' in seen, "it has no main process yet"
    assert render_stack([document], "hub")[0].reloads


def test_limits_and_stop_are_those_of_a_container_unless_said_otherwise():
    seen = lines(manifest("m", service("s")))
    assert {"LimitNOFILE=1048576", "KillSignal=SIGTERM", "TimeoutStopSec=300", "KillMode=mixed"} <= set(seen)
    limits = {"nofile": {"soft": 4096, "hard": 8192}, "memlock": -1, "core": 0, "nproc": "infinity", "nice": 40}
    seen = lines(manifest("m", service("s", limits=limits, stop_signal="SIGQUIT", stop_timeout=0.5e3)))
    for line in (
        "LimitNOFILE=4096:8192", "LimitMEMLOCK=infinity", "LimitCORE=0", "LimitNPROC=infinity", "LimitNICE=40", "KillSignal=SIGQUIT",
        "TimeoutStopSec=500",
    ):  # fmt: skip
        assert line in seen


@pytest.mark.parametrize(("given", "shown"), [
    ("SIGINT", "SIGINT"), ("int", "SIGINT"), (2, "SIGINT"), ("28", "SIGWINCH"), ("RTMIN+3", "SIGRTMIN+3"), ("SIGRTMIN+3", "SIGRTMIN+3"),
])  # fmt: skip
def test_signals_are_read_as_container_engines_read_them(given, shown):
    assert f"KillSignal={shown}" in lines(manifest("m", service("s", stop_signal=given)))


def test_profiles_get_stricter():
    def seen(profile, **keys):
        return set(lines(manifest("m", service("s", **keys), security={"profile": profile})))

    trusted, default, strict = seen("trusted"), seen("default"), seen("strict")
    assert "ProtectSystem=full" in default - trusted and "ProtectSystem=full" not in strict
    assert {"ProtectSystem=strict", "PrivateDevices=yes", "SystemCallFilter=@system-service", "CapabilityBoundingSet="} <= strict - default
    assert "CapabilityBoundingSet=" not in default and "CapabilityBoundingSet=" in seen("default", user="hub")
    with_port = seen("default", user="hub", capabilities=["CAP_NET_BIND_SERVICE"])
    assert {"AmbientCapabilities=CAP_NET_BIND_SERVICE", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"} <= with_port


def test_privileged_has_no_sandbox():
    seen = lines(manifest("m", service("s", user="hub"), security={"privileged": True, "profile": "strict"}), approved=["m"])
    assert not any(line.startswith(("Protect", "NoNew", "Capability")) for line in seen)


def test_binds_and_masks():
    seen = lines(manifest("m", service("s", binds=["/data", "/a:/b:ro", "/c:/d"]), mask=["/root"]))
    expected = {
        "BindPaths=/data:/data",
        "ReadWritePaths=/data",
        "BindReadOnlyPaths=/a:/b",
        "BindPaths=/c:/d",
        "ReadWritePaths=/d",
        "InaccessiblePaths=-/root",
    }
    assert expected <= set(seen) and "ReadWritePaths=/b" not in seen


def test_an_input_that_the_sandbox_hides_is_refused():
    for name in ("s", "m/s"):
        with pytest.raises(FleetError, match="ProtectHome") as failure:
            render_stack([manifest("m", service("s"))], "hub", inputs={name: ["/etc/x", "/home/hub/app.conf"]})
        assert failure.value.code == "manifest_invalid" and "/home/hub/app.conf" in failure.value.message
    shown = manifest("m", service("s", binds=["/home/hub"]))
    assert render_stack([shown], "hub", inputs={"s": ["/home/hub/app.conf"]})
    assert render_stack([manifest("m", service("s"), security={"profile": "trusted"})], "hub", inputs={"s": ["/home/hub/app.conf"]})


def test_the_same_stack_gives_the_same_bytes():
    documents = [manifest("b", service("s", environment={"B": "2", "A": "1"})), manifest("a", service("s"))]
    assert [unit.text for unit in render_stack(documents, "hub")] == [
        unit.text for unit in render_stack([dict(reversed(item.items())) for item in documents], "hub")
    ]


def test_health_gates_are_asked_of_active_services_only():
    documents = [
        manifest(
            "m",
            service("web", health={"type": "http", "port": 80, "path": "/up"}),
            service("rest", health={"type": "tcp", "port": 81}),
            service("db", health={"type": "notify"}),
            service("job", health={"type": "exec", "command": ["/bin/ok"]}),
        ),
    ]
    common = {"timeout": 5, "wait_timeout": 9}
    assert health_gates(documents, "hub", {"rest": "present"}, wait_timeout=9) == [
        {"name": "m/web", "type": "http", **common, "log_of": "hub-m-web.service", "url": "http://127.0.0.1:80/up", "status": 200},
        {"name": "m/job", "type": "command", **common, "log_of": "hub-m-job.service", "argv": ["/bin/ok"], "read_only": True},
    ]
    assert [gate["name"] for gate in health_gates(documents, "hub", {"rest": "active"}, default="present")] == ["m/rest"]


def test_unit_gates_name_the_unit_of_a_function():
    assert unit_gates([manifest("m", service("a"), service("b"))], "hub", {"worker": "b"}, restarts=1) == [
        {"name": "unit worker", "type": "unit", "unit": "hub-m-b.service", "active": True, "enabled": True, "restarts": 1}
    ]
    with pytest.raises(FleetError, match="Did you mean web"):
        unit_gates([manifest("m", service("web"))], "hub", {"backend": "wep"})


CHECKS = [
    {"name": "up", "type": "http", "recorded": {"status": 200}},
    {"name": "write", "type": "exchange"},
    {"name": "sql", "type": "postgres", "read_write": True},
    {"name": "login", "type": "exchange", "phases": ["dark", "full"]},
    {"name": "late", "type": "http", "phases": ["full"]},
]


def test_the_dark_phase_writes_nothing_and_expects_a_read_only_server():
    assert smoke_gates(CHECKS, "dark") == [
        {"name": "up", "type": "http"},
        {"name": "sql", "type": "postgres", "read_write": False},
        {"name": "login", "type": "exchange"},
    ]
    assert [check["name"] for check in smoke_gates(CHECKS, "full")] == ["up", "write", "sql", "login", "late"]
    assert smoke_gates(CHECKS, "full")[2]["read_write"] is True
    assert smoke_gates(CHECKS, "full", recorded=True)[0]["recorded"] == {"status": 200}


@pytest.mark.parametrize(
    ("checks", "phase"), [([], "full"), ([CHECKS[1]], "dark"), (CHECKS, "drak"), ([{"name": "x", "type": "http", "phases": []}], "full")]
)
def test_a_smoke_that_would_check_nothing_is_refused(checks, phase):
    with pytest.raises(FleetError) as failure:
        smoke_gates(checks, phase)
    assert failure.value.code == "manifest_invalid"


RECORDED = {"status": 200, "headers": {"X-Served-By": "target"}, "body": "<title>hub</title>"}
PAGE = {"name": "page", "type": "http", "status": 200, "headers": {"x-served-by": "target"}, "body_contains": "<title>hub"}


@pytest.mark.parametrize(
    ("gate", "fault"),
    [
        pytest.param({**PAGE, "recorded": RECORDED}, "", id="as wanted"),
        pytest.param(PAGE, "has no recorded answer", id="not run is failed"),
        pytest.param({**PAGE, "recorded": {}}, "has no recorded answer", id="empty record"),
        pytest.param({**PAGE, "recorded": {**RECORDED, "status": 500}}, "status 500 was recorded, 200 is wanted", id="status"),
        pytest.param({**PAGE, "recorded": {**RECORDED, "body": ""}}, "lacks '<title>hub'", id="marker"),
        pytest.param({**PAGE, "recorded": {**RECORDED, "headers": {}}}, "header x-served-by None", id="header"),
        pytest.param(
            {"name": "sql", "type": "postgres", "version": 15, "read_write": True, "recorded": {"version": "15.4", "read_write": True}},
            "",
            id="version",
        ),
        pytest.param(
            {"name": "sql", "type": "postgres", "version": 15, "recorded": {"version": "16.1"}},
            "version '16.1' was recorded",
            id="other version",
        ),
        pytest.param(
            {"name": "tls", "type": "tls", "min_days": 14, "recorded": {"not_after": "2020-01-01T00:00:00Z"}}, "14 are wanted", id="expired"
        ),
        pytest.param({"name": "tls", "type": "tls", "min_days": 14, "recorded": {"not_after": "2999-01-01T00:00:00Z"}}, "", id="long"),
        pytest.param(
            {"name": "tls", "type": "tls", "min_days": 14, "recorded": {"not_after": "Jan  1 00:00:00 2999 GMT"}},
            "",
            id="long as openssl says it",
        ),
        pytest.param(
            {"name": "tls", "type": "tls", "recorded": {"not_after": "Jan  1 00:00:00 2020 GMT"}}, "14 are wanted", id="default of days"
        ),
        pytest.param({"name": "tls", "type": "tls", "recorded": {"hostname": "x"}}, "is no time", id="no end"),
        pytest.param(
            {"name": "up", "type": "http", "json": {"status": "up"}, "recorded": {"status": 200, "json": {"status": "up", "more": 1}}},
            "",
            id="json",
        ),
        pytest.param(
            {"name": "up", "type": "http", "json": {"status": "up"}, "recorded": {"status": 200, "json": {}}},
            "json status None",
            id="other json",
        ),
        pytest.param({"name": "up", "type": "http", "recorded": {"status": 503}}, "status 503", id="default status"),
        pytest.param({"name": "u", "type": "unit", "unit": "hub-m-s.service"}, "", id="unit"),
        pytest.param({"name": "u", "type": "unit", "unit": "hub-m-t.service"}, "is not rendered", id="other unit"),
    ],
)
def test_recorder_judges_what_was_recorded(gate, fault):
    outcome = recorded([gate, {"name": "write", "type": "exchange"}], [manifest("m", service("s"))], "hub")
    assert (outcome["passed"], outcome["total"], outcome["not_applicable"]) == (0 if fault else 1, 1, ["write"])
    assert fault in outcome["checks"][0]["evidence"]


def test_postgresql_configuration():
    assert configuration({"port": 5432, "listen_addresses": ["a", "b"], "ssl": True, "fsync": False, "log_line_prefix": "it's \\ %m "}) == (
        "fsync = off\nlisten_addresses = 'a, b'\nlog_line_prefix = 'it''s \\\\ %m '\nport = 5432\nssl = on\n"
    )
    with pytest.raises(FleetError) as failure:
        configuration({"a b": 1, "c": "x\ny", "d": None})
    assert len(failure.value.details["findings"]) == 3


def test_inputs_leave_out_files_that_someone_else_edits():
    files = [{"path": "/a", "notify": ["web"]}, {"path": "/b", "notify": ["web"], "replace": False}, {"path": "/c"}]
    assert inputs_by_service(files, {"db": ["/d"]}) == {"web": ["/a"], "db": ["/d"]}


def test_credentials_are_for_root_alone_and_files_go_without_what_only_units_need():
    files = [{"path": "/a", "content": "x", "notify": ["web"]}, {"path": "/b", "source": "b", "replace": False}]
    assert placed(files, {"token": "secrets/token"}, "/c") == [
        {"path": "/c/token", "source": "secrets/token", "mode": "0600", "secret": True}, {"path": "/a", "content": "x"},
        {"path": "/b", "source": "b", "replace": False}]
    assert placed([]) == []
