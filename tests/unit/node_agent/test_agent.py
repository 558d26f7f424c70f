# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent: what it says of a machine, how it fails, and that its one file is the same wherever it is made."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import zipfile

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node.agent import archive, document, host, main
from ansible_collections.bowline.fleet.plugins.module_utils._node.agent.document import Host, Unit
from ansible_collections.bowline.fleet.plugins.module_utils._node.agent.run import run
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

WEB = {"Stack": "hub", "Module": "web", "Digest": "sha256:1"}
GOOD = Host("boot", 12.5, 1e9, "sha256:a", {"instance": "i-1", "node": "edge-1"}, True, 2e9, {"hub-web.service": WEB},
            {"hub-web.service": Unit("hub-web.service", "active", True)}, [])  # fmt: skip


def said(**changed):
    return document.document(Host(**{**GOOD.__dict__, **changed}))


def web(active, enabled=True):
    return {"units": {"hub-web.service": Unit("hub-web.service", active, enabled)}}


@pytest.mark.parametrize(("changed", "unmet"), [
    pytest.param({}, [], id="good"),
    pytest.param({"identity": {}}, ["enrolled"], id="nobody's machine"),
    pytest.param({"has_key": False}, ["enrolled"], id="no key"),
    pytest.param({"certificate_not_after": None}, ["enrolled"], id="no certificate"),
    pytest.param(web("failed"), ["modules_active", "services_ready"], id="service failed"),
    pytest.param(web("inactive"), ["modules_active", "services_ready"], id="service stopped"),
    pytest.param(web("activating"), ["services_ready"], id="service starts"),
    pytest.param(web("inactive", enabled=False), [], id="service that shall not run"),
    pytest.param({"units": None}, ["modules_active", "services_ready"], id="systemd says nothing"),
    pytest.param({"failed": None}, ["modules_active", "services_ready"], id="systemd says half"),
    pytest.param({"failed": ["cron.service"]}, [], id="a unit of somebody else failed"),
    pytest.param({"disks": [("/", 10_000_000_000, 1_000_000)]}, ["services_ready"], id="disk full"),
    pytest.param({"disks": [("/", 10_000_000_000, 500_000_000)]}, [], id="disk nearly full"),
    pytest.param({"disks": [("/proc", 0, 0)]}, [], id="a disk without a size"),
])  # fmt: skip
def test_what_is_unmet(changed, unmet):
    status = said(**changed)
    assert (status["unmet_conditions"], status["phase"]) == (unmet, "bootstrapping" if unmet else "ready")


def test_the_document():
    units = {**web("active")["units"], "docker.service": Unit("docker.service", "active", True), "k3s.service": Unit("k3s.service", "inactive", False)}
    status = said(units=units, swarm=True, failed=["a.service"] * 500, problems=["x" * 1000] * 100)
    assert status["modules"] == {"web": {"stack": "hub", "digest": "sha256:1", "units": {"hub-web.service": "active"}}}
    assert status["runtimes"] == ["docker", "native", "swarm"]
    assert (status["seq"], status["certificate_not_after"], status["instance"], status["node"]) == (12500, 2e9, "i-1", "edge-1")
    assert (len(status["failed_units"]), len(status["problems"]), len(status["problems"][0])) == (100, 20, 300)
    assert json.loads(document.as_bytes(status)) == status and document.as_bytes(status).endswith(b"}\n")


def test_readers():
    assert document.marks("[Unit]\nX-Bowline-Stack=hub\nX-Bowline-Module=web\n") == {"Stack": "hub", "Module": "web"}
    assert document.marks("[Unit]\nX-Bowline-Stack=hub\n") == document.marks("") == {}
    shown = "Id=a.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n\n" \
            "Id=b.service\nLoadState=masked\nActiveState=inactive\nUnitFileState=masked"
    assert document.units(shown) == {"a.service": Unit("a.service", "active", True), "b.service": Unit("b.service", "inactive", False)}
    assert document.failed_names("a.service loaded failed failed A\n\n") == ["a.service"]


def certificate(end: datetime.datetime) -> str:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "n" * 60)])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    return made.not_valid_before(datetime.datetime(2020, 1, 1)).not_valid_after(end).sign(key, hashes.SHA256()).public_bytes(
        serialization.Encoding.PEM).decode()  # fmt: skip


@pytest.mark.parametrize("year", [2031, 2049, 2050, 2090])
def test_the_end_of_a_certificate(year):
    """Two forms of time, one before and one from 2050 on."""
    end = datetime.datetime(year, 3, 4, 5, 6, 7)
    assert document.not_after(certificate(end) * 2) == end.replace(tzinfo=datetime.timezone.utc).timestamp()


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
                                  "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"])  # fmt: skip
def test_what_is_no_certificate(text):
    with pytest.raises(ValueError):
        document.not_after(text)


class Machine:
    """A root with what the agent reads, and a systemd that answers by ``words``."""

    def __init__(self, root):
        self.places = host.Places(str(root))
        for folder in ("etc/bowline/node", "etc/systemd/system", "run/bowline", "proc/sys/kernel/random", "var/lib/docker/swarm"):
            (root / folder).mkdir(parents=True)
        (root / "proc/sys/kernel/random/boot_id").write_text("b-1\n")
        (root / "proc/meminfo").write_text("MemTotal: 10 kB\nMemAvailable: 5 kB\n")
        (root / "etc/bowline/node/identity.json").write_text('{"instance": "i-1", "node": "edge-1", "fleet": "f", "more": 1}')
        (root / "etc/bowline/node/key.pem").write_text("secret")
        (root / "etc/bowline/node/cert.pem").write_text(certificate(datetime.datetime(2031, 1, 1)))
        (root / "etc/systemd/system/hub-web.service").write_text("[Unit]\nX-Bowline-Module=web\nX-Bowline-Digest=sha256:1\n")
        (root / "etc/systemd/system/other.service").symlink_to("hub-web.service")
        self.root, self.asked = root, []
        self.words = {"show": "Id=hub-web.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled", "list-units": ""}

    def ask(self, argv):
        self.asked.append(argv)
        answer = self.words[argv[1]]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def run(self, *argv):
        return main.main(argv, __file__, self.places, self.ask)

    def status(self):
        return json.loads((self.root / "run/bowline/status.json").read_text())


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_heartbeat(machine):
    assert machine.run("heartbeat") == 0
    first = machine.status()
    assert (first["phase"], first["boot_id"], first["node"], first["memory"]) == ("ready", "b-1", "edge-1", {"total": 10240, "available": 5120})
    assert (machine.root / "run/bowline/status.json").stat().st_mode & 0o777 == 0o644
    assert [argv[1] for argv in machine.asked] == ["show", "list-units"] and "other.service" not in machine.asked[0]
    assert "secret" not in json.dumps(first)
    while machine.run("heartbeat") == 0 and machine.status()["seq"] == first["seq"]:
        pass
    assert machine.status()["seq"] > first["seq"]
    assert os.listdir(machine.root / "run/bowline") == ["status.json"]


def test_what_cannot_be_read_is_said_and_the_rest_is_told(machine, capsys):
    machine.words["show"] = OSError("systemctl show said nothing for 5 s")
    (machine.root / "etc/bowline/node/identity.json").write_text("{")
    (machine.root / "etc/bowline/node/cert.pem").write_text("{")
    assert machine.run("heartbeat") == 1
    assert machine.status()["unmet_conditions"] == ["enrolled", "modules_active", "services_ready"]
    assert machine.status()["problems"] == [
        "systemctl show said nothing for 5 s", f"{machine.root}/etc/bowline/node/identity.json cannot be read as JSON",
        f"{machine.root}/etc/bowline/node/cert.pem holds no certificate"]  # fmt: skip
    assert [argv[1] for argv in machine.asked] == ["show"], "a systemd that hangs is asked once"
    assert "said nothing" in capsys.readouterr().err


def test_a_damaged_status_and_one_that_was_half_written_are_replaced(machine):
    (machine.root / "run/bowline/status.json").write_text('{"seq": 99999')
    (machine.root / "run/bowline/status.json.new").symlink_to("/etc/passwd")
    assert machine.run("heartbeat") == 0
    assert machine.status()["instance"] == "i-1"


@pytest.mark.parametrize("failing", ["fchmod", "replace"])
def test_a_status_that_cannot_be_written_leaves_the_last_one(machine, monkeypatch, capsys, failing):
    """As on a full disk and on a file system that is read-only; both are seen on a real machine as well."""
    assert machine.run("heartbeat") == 0
    before = machine.status()

    def full(*_words):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(main.os, failing, full)
    assert machine.run("heartbeat") == 3
    assert "No space left" in capsys.readouterr().err
    assert machine.status() == before and os.listdir(machine.root / "run/bowline") == ["status.json"]


def test_a_machine_that_has_not_enrolled(machine):
    for name in ("identity.json", "key.pem", "cert.pem"):
        (machine.root / "etc/bowline/node" / name).unlink()
    assert machine.run("heartbeat") == 0
    assert machine.status()["unmet_conditions"] == ["enrolled"] and machine.status()["instance"] == ""


def test_wrong_words(machine, capsys):
    assert [machine.run(*argv) for argv in ((), ("reboot",), ("heartbeat", "x"))] == [2, 2, 2]
    assert machine.asked == [] and "one of heartbeat" in capsys.readouterr().err


def test_a_program_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(host, "PATIENCE", 0.05)
    with pytest.raises(OSError, match="sleep 30 said nothing for 0.05 s"):
        host.ask(["sleep", "30"])
    with pytest.raises(OSError, match="false ended with 1"):
        host.ask(["false"])


def test_one_file_the_same_to_the_byte_that_runs_alone(tmp_path):
    content = archive.build()
    path = tmp_path / "bowline-node.pyz"
    path.write_bytes(content)
    module = archive.__name__
    again = f"import sys; sys.path.insert(0, 'tests'); import conftest; from {module} import build; sys.stdout.buffer.write(build())"
    other = {**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", again], capture_output=True, check=True, env=other)
    assert done.stdout == content
    assert [entry.date_time for entry in zipfile.ZipFile(path).infolist()] == [(1980, 1, 1, 0, 0, 0)] * 5
    seen = subprocess.run([sys.executable, "-I", str(path), "digest"], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == archive.digest(content)
    assert subprocess.run([sys.executable, "-I", str(path)], capture_output=True, check=False).returncode == 2


def installed(path, check_mode=False, state="present"):
    return run({"path": str(path), "state": state}, check_mode)


def test_the_file_is_put_kept_and_taken_away(tmp_path):
    path = tmp_path / "libexec" / "bowline-node.pyz"
    foreseen = installed(path, check_mode=True)
    assert foreseen["changed"] and not path.parent.exists()
    assert installed(path) == foreseen and path.read_bytes() == archive.build() and path.stat().st_mode & 0o777 == 0o755
    assert not installed(path)["changed"] and foreseen["digest"] == archive.digest(path.read_bytes())
    path.chmod(0o644)
    assert "0644" in installed(path)["plan"][0]["reason"] and path.stat().st_mode & 0o777 == 0o755
    path.write_bytes(b"old")
    assert installed(path)["changed"] and path.read_bytes() == archive.build()
    assert installed(path, True, "absent")["changed"] and path.exists()
    assert installed(path, state="absent")["plan"][0]["action"] == "remove" and not path.exists()
    assert not installed(path, state="absent")["changed"]


def test_a_file_that_others_could_swap_is_refused(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(FleetError, match="lets others write"):
        installed(tmp_path / "open" / "x.pyz")
