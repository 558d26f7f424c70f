# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the controller's half of native_files brings to the host: bytes as they are, decrypted where a vault holds them, and nothing half-told."""

from __future__ import annotations

import base64
import types

import pytest
from ansible.constants import DEFAULT_VAULT_ID_MATCH
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.bowline.fleet.plugins.action.native_files import ActionModule
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError

ENTRY = {"path": "/etc/hub/x", "content": None, "source": None, "encoded": False, "secret": True}


@pytest.fixture
def carried(tmp_path):
    """What becomes of an entry, as bytes; a file of the controller is looked for below the playbook."""
    loader = DataLoader()
    loader.set_basedir(str(tmp_path))
    secrets = [(DEFAULT_VAULT_ID_MATCH, VaultSecret(b"a password of the vault"))]
    loader.set_vault_secrets(secrets)
    task = types.SimpleNamespace(args={}, async_val=0, check_mode=False, get_search_path=lambda: [str(tmp_path)], environment=None, diff=False)
    action = ActionModule(task, None, None, loader, None, None)
    (tmp_path / "binary").write_bytes(b"\xff\x00\n")
    (tmp_path / "vaulted").write_bytes(VaultLib(secrets).encrypt(b"canary-77\n"))

    def carry(**given):
        entry = action._carried({**ENTRY, **given})
        assert (entry["source"], entry["encoded"], entry["path"]) == (None, True, "/etc/hub/x")
        return base64.b64decode(entry["content"])

    return carry


@pytest.mark.parametrize(("given", "content"), [
    pytest.param({"content": "ü $x\n"}, "ü $x\n".encode(), id="text"),
    pytest.param({"content": ""}, b"", id="empty"),
    pytest.param({"content": {"a": [1]}}, b'{"a": [1]}', id="data"),
    pytest.param({"content": 7}, b"7", id="number"),
    pytest.param({"source": "binary"}, b"\xff\x00\n", id="no text"),
    pytest.param({"source": "vaulted"}, b"canary-77\n", id="vault"),
    pytest.param({"content": "eA==", "encoded": True}, b"x", id="encoded already"),
])
def test_what_arrives_is_what_was_meant(carried, given, content):
    assert carried(**given) == content


@pytest.mark.parametrize(("given", "code"), [
    pytest.param({}, "invalid_value", id="neither"),
    pytest.param({"content": "x", "source": "binary"}, "invalid_value", id="both"),
    pytest.param({"source": "nowhere"}, "file_missing", id="no file"),
])
def test_what_cannot_be_brought_is_named(carried, given, code):
    with pytest.raises(FleetError, match="/etc/hub/x") as failure:
        carried(**given)
    assert failure.value.code == code and failure.value.remedy
