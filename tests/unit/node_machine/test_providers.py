# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One suite that every provider passes: a life by its descriptions, every class of trouble, and nothing that is half an answer."""

from __future__ import annotations

import base64
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from machines import IDS

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.result import failed
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine import run as room
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.argspec import MACHINE, MACHINE_INFO
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.model import Identity, NotFound, Observed, Unknown
from ansible_collections.bowline.fleet.plugins.module_utils._node.provider import catalogue
from ansible_collections.bowline.fleet.plugins.module_utils._node.provider.model import HOSTS, Call, observed

ME = Identity("lab", IDS[0], "web-1", "web-1", "v1:" + "a" * 64, 1)
OTHER = replace(ME, instance_id=IDS[1])


class Controller:
    """Makes the calls that a provider describes, as Ansible would: arguments are checked, a failure is a result."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.called: list[Call] = []
        self.cloud: dict[str, dict] = {}

    def __call__(self, call):
        assert call.host in HOSTS
        self.called.append(call)
        return call.parse(getattr(self, call.module.rpartition(".")[2])(dict(call.arguments)))

    def node_machine(self, arguments):
        return self._ours(MACHINE, arguments, lambda params, make: room.run(params, make, {}))

    def node_machine_info(self, arguments):
        return self._ours(MACHINE_INFO, arguments, lambda params, make: room.info(params, make, {}))

    def _ours(self, spec, arguments, work):
        read = ArgumentSpecValidator(spec).validate(arguments)
        assert read.error_messages == [], read.error_messages
        params = read.validated_parameters
        try:
            return work(params, room.factory(params, None))
        except FleetError as error:
            return failed(error)

    def slurp(self, arguments):
        path = Path(arguments["src"])
        if not path.exists():
            return {"failed": True, "msg": f"file not found: {path}"}
        return {"content": base64.b64encode(path.read_bytes()).decode(), "encoding": "base64"}

    def copy(self, arguments):
        path = Path(arguments["dest"])
        if arguments["force"] or not path.exists():
            path.write_text(arguments["content"], encoding="utf-8")
        return {"changed": True}

    def file(self, arguments):
        assert arguments["state"] == "absent"
        if os.path.exists(arguments["path"]):
            os.unlink(arguments["path"])
        return {"changed": True}

    def role(self, arguments):
        """A cloud as a role of somebody would keep it."""
        given, verb = arguments["vars"], arguments["tasks_from"]
        assert arguments["name"] == "ours.cloud.machines"
        if verb == "list":
            answer = {"machines": [one for one in self.cloud.values() if one["identity"]["fleet"] == given["node_fleet"]]}
            return {"ansible_facts": {"node_answer": answer}}
        identity = given["node_identity"]
        if verb == "create":
            self.cloud.setdefault(identity["name"], {"provider_id": f"cloud://{identity['name']}", "power": "on", "identity": identity})
        elif verb == "power" and identity["name"] in self.cloud:
            self.cloud[identity["name"]]["power"] = "on" if given["node_power"] == "on" else "off"
        elif verb == "destroy" and self.cloud.get(identity["name"], {}).get("identity") == identity:
            del self.cloud[identity["name"]]
        elif verb == "console":
            return {"ansible_facts": {"node_answer": {"lines": ["here"]}}}
        machine = self.cloud.get(identity["name"])
        return {"ansible_facts": {"node_answer": {"found": machine is not None, "machine": machine, "final": True}}}


NAMES = ("local_qemu", "local_nspawn", "static", "role:ours.cloud.machines")
SPECS = {"local_qemu": {"image": "/i.qcow2", "instance_type": "tiny"}, "local_nspawn": {"image": "/i", "region": "local"}}


@pytest.fixture
def controller(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    return Controller(tmp_path)


@pytest.fixture(params=NAMES)
def provider(request, tmp_path):
    options = {"local": {"folder": str(tmp_path / "m"), "mode": "recorder"}, "static": {"mark": str(tmp_path / "mark.json")}}
    return catalogue.named(request.param, options.get(request.param.partition("_")[0], {}))


def spec_of(provider):
    return SPECS.get(provider.name, {})


def test_a_life(provider, controller):
    """Read, make, make again, list, power, remove, remove again."""
    assert provider.validate(spec_of(provider)) == ()
    assert controller(provider.read(ME)) == NotFound(final=True)
    assert controller(provider.list("lab")) == ()
    for _turn in range(2):
        made = controller(provider.create(ME, spec_of(provider)))
        assert isinstance(made, Observed) and made.identity == ME, made
    assert controller(provider.read(ME)).provider_id == made.provider_id
    listed = controller(provider.list("lab"))
    assert [one.identity for one in listed] == [ME] and controller(provider.list("other")) == ()
    for to, power in (("on", "on"), ("on", "on"), ("off", "off"), ("on", "on"), ("hard", "off")):
        call = provider.power(ME, to)
        if isinstance(call, Unknown):
            assert provider.name == "static" and call.code == "unsupported"
        else:
            assert controller(call).power == controller(provider.read(ME)).power == power
    for _turn in range(2):
        assert controller(provider.destroy(ME)) == NotFound(final=True)
        assert controller(provider.read(ME)) == NotFound(final=True)
    assert controller(provider.list("lab")) == ()


def test_another_identity_is_shown_and_stays(provider, controller):
    """What has the name is read, whoever's it is; making ours there changes nothing."""
    controller(provider.create(OTHER, spec_of(provider)))
    seen = controller(provider.read(ME))
    assert isinstance(seen, Observed) and seen.identity == OTHER
    controller(provider.create(ME, spec_of(provider)))
    assert controller(provider.read(OTHER)).identity == OTHER
    if provider.name != "static":
        # A host that stands already is let go by whoever has read its mark.
        controller(provider.destroy(ME))
        assert controller(provider.read(OTHER)).identity == OTHER


@pytest.mark.parametrize(("result", "code"), [
    ({"unreachable": True, "msg": "timed out"}, "transient"),
    ({"failed": True, "msg": "Traceback"}, "transient"),
    ({"failed": True, "msg": "x", "failure": {"code": "provider_disabled", "message": "off"}}, "disabled"),
    ({"failed": True, "failure": {"code": "privileges", "message": "no"}}, "auth"),
    ({"failed": True, "failure": {"code": "no_space", "message": "full"}}, "quota"),
    ({"failed": True, "failure": {"code": "name_clash", "message": "taken"}}, "conflict"),
    ({"failed": True, "failure": {"code": "libvirt_error", "message": "gone"}}, "transient"),
])  # fmt: skip
def test_trouble_is_never_an_absence(provider, result, code):
    calls = [provider.read(ME), provider.create(ME, spec_of(provider)), provider.destroy(ME), provider.power(ME, "on")]
    for call in calls:
        seen = call if isinstance(call, Unknown) else call.parse(result)
        assert isinstance(seen, Unknown) and (seen.code == code or call is seen), seen
    with pytest.raises(FleetError) as caught:
        provider.list("lab").parse(result)
    assert caught.value.code == "provider_unavailable" and caught.value.details["class"] == code


@pytest.mark.parametrize("answer", [{}, {"machine": 3}, {"machines": 7}, {"content": "!"}, {"ansible_facts": {"node_answer": {}}},
                                    {"machines": [{"provider_id": "x"}]}, {"ansible_facts": {"node_answer": {"found": True, "machines": [1]}}}])  # fmt: skip
def test_half_an_answer_is_none(provider, answer):
    assert isinstance(provider.read(ME).parse(answer), Unknown)
    with pytest.raises(FleetError):
        provider.list("lab").parse(answer)


def test_a_console(provider, controller):
    controller(provider.create(ME, spec_of(provider)))
    call = provider.console_tail(ME, 5)
    if isinstance(call, Unknown):
        assert call.code == "unsupported" and provider.name == "static"
    else:
        assert isinstance(controller(call), tuple)


def test_a_machine_that_a_run_works_on_may_come_late():
    call = catalogue.named("local_qemu").read(ME)
    assert call.parse({"machines": [], "busy": True}) == NotFound(final=False)
    assert call.parse({"machines": [], "busy": False}) == NotFound(final=True)
    assert call.parse({"machines": []}) == NotFound(final=False)


@pytest.mark.parametrize("given", [
    None, 3, {}, {"provider_id": "x", "power": "on"}, {"provider_id": "", "power": "on", "identity": None},
    {"provider_id": "x", "power": "melting", "identity": None}, {"provider_id": "x", "power": "on", "identity": {"fleet": "a"}},
])  # fmt: skip
def test_what_is_no_machine(given):
    assert isinstance(observed(given), Unknown)


def test_a_machine_survives_the_way_over_json():
    machine = Observed("x://1", "on", ME, ("10.0.0.1",), "lease", 12.5, {"name": "web-1"})
    assert observed(asdict(machine)) == machine


# --- the spec ---------------------------------------------------------------------------------------------------------------------


def said(name, spec, **options):
    return [f"{finding.field}: {finding.message}" for finding in catalogue.named(name, options).validate(spec)]


def test_a_wrong_spec_is_told_before_anything_is_made():
    assert said("local_qemu", {"image": "/i"}) == []
    assert any("Did you mean memory_mib" in line for line in said("local_qemu", {"image": "/i", "memory_mb": 1}))
    assert any("Did you mean folder" in line for line in said("local_qemu", {"image": "/i"}, foldr="/x"))
    wrong = said("local_qemu", {"image": "relative", "vcpus": 0, "memory_mib": 1, "network": "a b"})
    assert [line.partition(":")[0] for line in wrong] == ["spec.image", "spec.memory_mib", "spec.vcpus", "spec.network"]
    assert "spec" in said("local_qemu", {"image": "/i", "memory_mib": "much"})[0]
    assert "root file system" in said("local_nspawn", {})[0]
    assert "not made from an image" in said("static", {"image": "/i"})[0]
    assert "no full name" in said("role:machines", {})[0]


def test_the_type_says_what_a_machine_has_and_a_named_value_goes_before():
    local = catalogue.named("local_qemu", {"types": {"build": {"vcpus": 8, "memory_mib": 16384, "disk_gib": 100}}})
    spec = local.create(ME, {"image": "/i", "instance_type": "build", "vcpus": 6}).arguments["spec"]
    assert (spec["vcpus"], spec["memory_mib"], spec["disk_gib"]) == (6, 16384, 100) and "instance_type" not in spec


def test_names_that_nobody_has():
    for name, near in (("local_qmu", "local_qemu"), ("aws", "Known: local_qemu")):
        with pytest.raises(FleetError, match=near) as caught:
            catalogue.named(name)
        assert caught.value.code == "provider_unknown"
    shown = catalogue.info({"provider": None, "provider_options": {}})["providers"]
    assert [one["name"] for one in shown] == ["local_qemu", "local_nspawn", "static"]
    assert catalogue.info({"provider": "local_qemu", "region": "local", "instance_type": "small"})["providers"][0]["types"]
    for wrong in ({"region": "locl"}, {"instance_type": "smal"}):
        with pytest.raises(FleetError, match="Did you mean"):
            catalogue.info({"provider": "local_qemu", **wrong})
    # A role that lists none has whatever it is asked for.
    assert catalogue.info({"provider": "role:a.b.c", "region": "eu"})["providers"][0]["identity"]
