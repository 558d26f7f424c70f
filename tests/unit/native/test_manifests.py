# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests: what is accepted, and that everything wrong is told at once, with its path."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.finding import sentence
from ansible_collections.bowline.fleet.plugins.module_utils._native.manifest import digest_of, parse_manifests
from ansible_collections.bowline.fleet.plugins.module_utils._native.stack import check_relations, start_order, version_in
from ansible_collections.bowline.fleet.tests.unit.native.hosts import manifest, service


def findings(*documents, stack="hub"):
    with pytest.raises(FleetError) as failure:
        parse_manifests(list(documents), stack)
    assert failure.value.code == "manifest_invalid"
    return [sentence(finding) for finding in failure.value.details["findings"]]


def test_id_defaults_to_the_name_without_the_stack():
    ids = [item.id for item in parse_manifests([manifest("hub-backend"), manifest("proxy"), manifest("hub-web", id="frontend")], "hub")]
    assert ids == ["backend", "proxy", "frontend"]


def test_a_module_without_services_is_valid():
    assert parse_manifests([manifest("frontend")], "hub")[0].services == ()


def test_defaults_of_a_service_are_the_documented_ones():
    seen = parse_manifests([manifest("m", service("s", health={"type": "tcp", "port": 1}))], "hub")[0].services[0]
    assert (seen.restart_policy, seen.user, seen.health.interval, seen.health.timeout, seen.health.initial_delay) == (
        "on_failure",
        "",
        30,
        5,
        0,
    )


def test_everything_wrong_is_told_at_once_with_its_path():
    seen = findings(
        {
            "schema_version": 2,
            "name": "Bad Name",
            "version": "new",
            "requries": [],
            "mask": ["relative"],
            "services": [
                {"name": "web", "start_command": "python3 app.py", "restart_polcy": "always", "ports": [0, "x"], "health": {"type": "http"}}
            ],
            "security": {"profile": "loose", "egress_allow": ["10.0.0.0/8"]},
        },
    )
    text = "\n".join(seen)
    for part in (
        "manifests[0].requries: unknown key. Did you mean requires?",
        "manifests[0].schema_version: must be 1",
        "manifests[0].name: must be a DNS label",
        "manifests[0].version: must be a version",
        "manifests[0].mask[0]: must be an absolute path",
        "manifests[0].services[0].restart_polcy: unknown key. Did you mean restart_policy?",
        "manifests[0].services[0].start_command: must be a list, is a text",
        "manifests[0].services[0].ports[0]: must be a number",
        "manifests[0].services[0].ports[1]: must be a number",
        "manifests[0].services[0].health.port: is required for type http",
        "manifests[0].security.profile: must be one of default, strict, trusted",
        "manifests[0].security.egress_allow: cannot be enforced",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("keys", "part"),
    [
        pytest.param({"start_command": ["python3"]}, "first word must be an absolute path", id="command found by PATH"),
        pytest.param({"user": "root; rm"}, "system user", id="user with more than a name"),
        pytest.param({"environment": {"A-B": "x"}}, "no name of an environment variable", id="environment name"),
        pytest.param({"environment": {"A": True}}, "quote it", id="yes without quotes"),
        pytest.param({"capabilities": ["NET_ADMIN"]}, "CAP_NET_BIND_SERVICE", id="capability without CAP_"),
        pytest.param({"state_directory": "../etc"}, "below /var/lib", id="state directory that climbs"),
        pytest.param({"secrets": ["a b"]}, "name of a credential", id="credential with a blank"),
        pytest.param({"binds": ["/a:b"]}, "must be /path", id="relative bind"),
        pytest.param({"working_directory": "/srv/../etc"}, "without '..'", id="path that climbs"),
        pytest.param({"start_command": ["/bin/x", "a\x00b"]}, "must be a text", id="NUL in a word"),
        pytest.param({"health": {"type": "exec"}}, "must be a list of words", id="exec without a command"),
        pytest.param({"health": {"type": "ping"}}, "http, tcp, exec, notify", id="unknown health type"),
        pytest.param({"depends_on": ["a/b/c"]}, "service or module/service", id="dependency with three parts"),
    ],
)
def test_refused_in_a_service(keys, part):
    assert any(part in finding for finding in findings(manifest("m", {**service("s"), **keys})))


def test_names_ids_and_ports_are_used_once_in_a_stack():
    seen = "\n".join(findings(manifest("a", service("s", ports=[80]), service("s")), manifest("a", service("t", ports=[80]))))
    assert "name s is used twice" in seen and "name a is used by 2 modules" in seen and "port 80 is wanted by a/s and a/t" in seen


def test_nobody_covers_a_protected_path():
    seen = findings(manifest("db", protected=["/var/lib/db"]), manifest("web", service("s", binds=["/tmp/x:/var/lib/db/base"])))
    assert seen == ["manifests: web covers /var/lib/db/base, which db protects."]


def test_something_else_than_manifests_is_refused():
    assert findings("text") == ["manifests[0]: must be a mapping, is a text."]


def test_digest_does_not_depend_on_the_order_of_keys():
    assert digest_of({"a": 1, "b": [1]}) == digest_of({"b": [1], "a": 1}) != digest_of({"a": 1, "b": [2]})


@pytest.mark.parametrize(
    ("version", "limits", "inside"),
    [
        ("15.4", "", True),
        ("15.4", "15", True),
        ("15.4", "15.4", True),
        ("15.4", "15.5", False),
        ("150.1", "15", False),
        ("15.4", ">=15 <17", True),
        ("17.0", ">=15 <17", False),
        ("15", ">=15.0", True),
        ("15.0", ">15", False),
        ("2.0-rc1", ">=2,<3", True),
        ("16", "<=16", True),
    ],
)
def test_version_limits(version, limits, inside):
    assert version_in(version, limits) is inside


def relations(*documents, approved=()):
    with pytest.raises(FleetError) as failure:
        check_relations(parse_manifests(list(documents), "hub"), approved)
    assert failure.value.code == "capability_conflict"
    return [sentence(finding) for finding in failure.value.details["findings"]]


def test_capabilities_that_do_not_fit_are_all_named():
    seen = relations(
        manifest("a", provides=["db@15.4"], requires=["cache"]),
        manifest("b", provides=["db@16.0"], requires=["queue@>=2"], conflicts=["db@15"]),
        manifest("c", provides=["queue@1.5"], security={"privileged": True}),
    )
    assert seen == [
        "db is provided by a and b; a stack has one provider.",
        "a requires cache: no module provides it.",
        "b requires queue@>=2: c has 1.5.",
        "b conflicts with db@15, which a provides as 15.4.",
        "c is privileged and not approved.",
    ]


def test_what_fits_passes_and_privilege_can_be_approved():
    documents = [manifest("a", provides=["db"]), manifest("b", requires=["db@1"], security={"privileged": True})]
    check_relations(parse_manifests(documents, "hub"), approved=["b"])


def names(*documents):
    return [f"{module.id}/{item.name}" for module, item, _before in start_order(parse_manifests(list(documents), "hub"))]


def test_order_follows_dependencies_and_capabilities_and_otherwise_the_given_order():
    assert names(
        manifest("proxy", service("nginx"), requires=["app"]),
        manifest("app", service("web", depends_on=["migrate", "db/postgres"]), service("migrate"), provides=["app"]),
        manifest("db", service("postgres")),
        manifest("cron", service("tick")),
    ) == ["app/migrate", "db/postgres", "app/web", "proxy/nginx", "cron/tick"]


def test_a_circle_is_named():
    with pytest.raises(FleetError) as failure:
        names(
            manifest("x", service("free")), manifest("a", service("s", depends_on=["b/s"])), manifest("b", service("s", depends_on=["a/s"]))
        )
    assert (failure.value.code, failure.value.details["cycle"]) == ("unit_cycle", "a/s -> b/s -> a/s")


def test_a_missing_dependency_is_named():
    with pytest.raises(FleetError, match="a/s depends on a/t, which is no service"):
        names(manifest("a", service("s", depends_on=["t"])))


def test_the_example_hub_is_a_stack_that_can_work():
    folder = Path(__file__).resolve().parents[3] / "moves" / "example_hub" / "manifests"
    documents = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yml"))]
    manifests = parse_manifests(documents, "hub")
    check_relations(manifests)
    order = [f"{module.id}/{item.name}" for module, item, _before in start_order(manifests)]
    assert order == ["postgres/postgres", "redis/redis", "backend/rails", "reverse-proxy/nginx", "worker/sidekiq"]


@pytest.mark.parametrize(("keys", "part"), [
    ({"start_command": ["/home/app/run"]}, "start_command[0]: /home/app/run is hidden from the service by ProtectHome of profile default"),
    ({"start_command": ["/tmp/run"]}, "start_command[0]: /tmp/run is hidden from the service by PrivateTmp"),
    ({"start_command": ["/bin/x", "/root/x.py"]}, "start_command[1]: /root/x.py is hidden from the service by ProtectHome"),
    ({"start_command": ["/bin/x", "--config=/home/a.conf"]}, "start_command[1]: /home/a.conf is hidden"),
    ({"start_command": ["/bin/x", "config_file=/home/../root/a"]}, "start_command[1]: /home/../root/a is hidden"),
    ({"stop_command": ["/run/user/1/stop"]}, "stop_command[0]: /run/user/1/stop is hidden"),
    ({"reload_command": ["//home/x"]}, "reload_command[0]: //home/x is hidden"),
    ({"working_directory": "/var/tmp/app"}, "working_directory: /var/tmp/app is hidden from the service by PrivateTmp"),
    ({"working_directory": "/home"}, "working_directory: /home is hidden"),
    ({"start_command": ["/lib/modules/x"]}, "ProtectKernelModules"),
    ({"binds": ["/x:/srv/private/x"]}, "binds[0]: /srv/private/x lies in what mask of m hides from it"),
    ({"start_command": ["/srv/private/run"]}, "start_command[0]: /srv/private/run lies in what mask of m hides"),
])  # fmt: skip
def test_what_the_sandbox_hides_is_refused_by_name(keys, part):
    document = manifest("m", service("s", **keys), mask=["/srv/private"])
    assert any(part in finding for finding in findings(document)), findings(document)
    if "private" not in part:
        assert parse_manifests([{**document, "security": {"profile": "trusted"}}], "hub")


@pytest.mark.parametrize("keys", [
    {"start_command": ["/bin/x", "--pid-file=/tmp/x.pid", "/var/tmp"]},
    {"start_command": ["/homes/x"]},
    {"working_directory": "/tmp"},
    {"start_command": ["/home/app/run"], "binds": ["/home/app:/home/app:ro"]},
    {"working_directory": "/tmp/app/x", "binds": ["/data:/tmp/app"]},
    {"start_command": ["/bin/x", "https://h/root/x", "--url=http://h/home/x"]},
])
def test_what_a_service_can_see_is_accepted(keys):
    assert parse_manifests([manifest("m", service("s", **keys))], "hub")


def test_devices_are_hidden_by_the_strict_profile_only():
    document = manifest("m", service("s", binds=["/dev/fuse"], start_command=["/bin/x", "--log=/dev/stderr", "/dev/shm/x"]))
    assert parse_manifests([document], "hub")
    assert ["/dev/fuse is hidden" in finding for finding in findings({**document, "security": {"profile": "strict"}})] == [True]


@pytest.mark.parametrize(("keys", "part"), [
    ({"limits": {"nofiles": 1}}, "limits.nofiles: unknown key. Did you mean nofile?"),
    ({"limits": [1]}, "limits: must be a mapping"),
    ({"limits": {"nofile": "many"}}, "limits.nofile: must be a whole number from 0, or infinity; is 'many'"),
    ({"limits": {"nofile": True}}, "limits.nofile: must be a whole number"),
    ({"limits": {"nofile": -2}}, "limits.nofile: must be a whole number"),
    ({"limits": {"nofile": 1.5}}, "limits.nofile: must be a whole number"),
    ({"limits": {"nofile": {"soft": 1}}}, "limits.nofile.hard: must be a whole number"),
    ({"limits": {"nofile": {"soft": 2, "hard": 1}}}, "limits.nofile: soft must not be above hard"),
    ({"limits": {"nofile": {"soft": -1, "hard": 1}}}, "limits.nofile: soft must not be above hard"),
    ({"limits": {"nofile": "1\nUser=root"}}, "limits.nofile: must be a whole number"),
    ({"limits": {"nice": 41}}, "limits.nice: must be a limit from 0 (nice 20) to 40 (nice -20)"),
    ({"stop_signal": "SIGNONE"}, "stop_signal: must be a signal such as SIGINT; is 'SIGNONE'"),
    ({"stop_signal": 0}, "stop_signal: must be a signal"),
    ({"stop_signal": True}, "stop_signal: must be a signal"),
    ({"stop_signal": "TERM\nUser=root"}, "stop_signal: must be a signal"),
    ({"stop_timeout": 0}, "stop_timeout: must be a number from 1 to 7200"),
    ({"stop_timeout": "1m30s"}, "stop_timeout: must be a number"),
    ({"reload_command": "kill"}, "reload_command: must be a list, is a text"),
    ({"reload_command": ["kill", "$MAINPID"]}, "reload_command: the first word must be an absolute path"),
])  # fmt: skip
def test_limits_and_signals_that_systemd_would_not_read_are_refused(keys, part):
    assert any(f"manifests[0].services[0].{part}" in finding for finding in findings(manifest("m", service("s", **keys))))
