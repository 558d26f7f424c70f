# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests: what is accepted, and that everything wrong is told at once, with its path."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._native.manifest import digest_of, parse_manifests
from ansible_collections.bowline.fleet.plugins.module_utils._native.stack import check_relations, start_order, version_in
from ansible_collections.bowline.fleet.tests.unit.native.hosts import manifest, service


def findings(*documents, stack="hub"):
    with pytest.raises(FleetError) as failure:
        parse_manifests(list(documents), stack)
    assert failure.value.code == "manifest_invalid"
    return failure.value.details["findings"]


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
    return failure.value.details["findings"]


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
    folder = Path(__file__).resolve().parents[3] / "inventories" / "example_hub" / "manifests"
    documents = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yml"))]
    manifests = parse_manifests(documents, "powernode")
    check_relations(manifests)
    order = [f"{module.id}/{item.name}" for module, item, _before in start_order(manifests)]
    assert order == ["postgres/postgres", "redis/redis", "backend/rails", "reverse-proxy/nginx", "worker/sidekiq"]
