# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An engine behind ssh: a server that does what `docker system dial-stdio` does, with keys and known hosts as a user has them."""

from __future__ import annotations

import contextlib
import socket
import threading

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fake_engine import Manager

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client import pool
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client.engine import Engine


class Door(paramiko.ServerInterface):
    def __init__(self, path, allowed, commands):
        self.path, self.allowed, self.commands = path, allowed, commands

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL if (username, key) == ("ops", self.allowed) else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        self.commands.append(command)
        engine = socket.socket(socket.AF_UNIX)
        engine.connect(self.path)
        for source, sink in ((channel, engine), (engine, channel)):
            threading.Thread(target=self.pump, args=(source, sink), daemon=True).start()
        return True

    @staticmethod
    def pump(source, sink):
        with contextlib.suppress(OSError, EOFError):
            while data := source.recv(65536):
                sink.sendall(data)
        sink.close()


def key_file(path):
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()))
    path.chmod(0o600)
    return paramiko.ECDSAKey.from_private_key_file(str(path))


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / ".ssh").mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(pool, "PAUSE", 0.01)
    return tmp_path


@pytest.fixture
def door(home):
    """Address and commands of a server that lets user ops in with ~/.ssh/id_ecdsa."""
    manager = Manager(home / "engine.sock")
    user, host, commands = key_file(home / ".ssh" / "id_ecdsa"), key_file(home / "host_key"), []
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {host.get_name()} {host.get_base64()}\n", encoding="utf-8")
    transports = []

    def accept():
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            while True:
                client, _address = listener.accept()
                transports.append(paramiko.Transport(client))
                transports[-1].add_server_key(host)
                with contextlib.suppress(EOFError, paramiko.SSHException):
                    transports[-1].start_server(server=Door(manager.path, user, commands))

    threading.Thread(target=accept, daemon=True).start()
    yield f"127.0.0.1:{port}", commands, transports
    listener.close()
    for transport in transports:
        transport.close()
    manager.stop()


def connect(host):
    return Engine.connect({"docker_host": [f"ssh://{host}"], "timeout": 10}, patience=30)


def failure(host):
    with pytest.raises(FleetError) as caught:
        connect(host)
    return caught.value


def test_an_engine_is_asked_through_ssh(door):
    address, commands, transports = door
    engine = connect(f"ops@{address}")
    made = engine.config_create({"Name": "c", "Labels": {}, "Data": "eA=="})
    assert engine.config(made)["Spec"]["Name"] == "c" and set(commands) == {b"docker system dial-stdio"}
    # The connection breaks, and the next read makes a new one.
    transports[-1].close()
    assert [one["ID"] for one in engine.configs()] == [made]


def test_who_is_not_let_in_and_a_host_that_is_not_known(door, home):
    address, _commands, _transports = door
    wrong = failure(f"else@{address}")
    assert (wrong.code, wrong.details["stage"]) == ("endpoint_unreachable", "ssh")
    (home / ".ssh" / "known_hosts").write_text("", encoding="utf-8")
    unknown = failure(f"ops@{address}")
    assert unknown.code == "endpoint_unreachable" and "known_hosts" in unknown.message and "docker version" in unknown.remedy


def test_nobody_listens(home):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert failure(f"ops@127.0.0.1:{port}").details["stage"] == "ssh"


def test_a_missing_library_is_named(home, monkeypatch):
    """The SDK says that it is missing only when it is asked for ssh."""
    import docker.api.client

    monkeypatch.delattr(docker.api.client, "SSHHTTPAdapter")
    seen = failure("ops@127.0.0.1:22")
    assert seen.code == "tool_missing" and "pip install paramiko" in seen.remedy
