# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a machine says on its console: the last lines, fit to be read, and the host key that it tells there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.bowline.fleet.plugins.module_utils._node.image.tree import generalise
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine.files import TOLD, last_lines, told_key

KEY = "ssh-ed25519 " + "AAAAC3NzaC1lZDI1NTE5AAAAI" + "x" * 43


def test_lines_without_colours_and_without_what_a_terminal_obeys(tmp_path):
    console = tmp_path / "console.log"
    console.write_bytes(b"[\x1b[0;32m  OK  \x1b[0m] Started \x1b[0;1;39mssh\x1b[0m.\r\n\r\n\x1b[2J\x1b]0;title\x07web-1 login: \r\n")
    assert last_lines(str(console), 5) == ["[  OK  ] Started ssh.", "\\x1b]0;title\\x07web-1 login:"]
    assert last_lines(str(console), 0) == [] and last_lines(str(tmp_path / "none"), 5) == []


@pytest.mark.parametrize(("said", "wanted"), [
    (f"[    9.1] sed[312]: {TOLD}{KEY} root@web-1\r\n", KEY),
    (f"{TOLD}{KEY}\nlater\n{TOLD}{KEY[:-1]}y root@x\n", KEY[:-1] + "y"),
    (f"{TOLD}{KEY}\n" + "a line of the kernel\n" * 20000, KEY),
    (f"{TOLD}{KEY[:40]}\n", ""),
    (f"{TOLD}{KEY}AAAA\n", ""),
    (f"bowline-host-key:{KEY}\n", ""),
    ("", ""),
], ids=["as systemd writes it", "the last boot counts", "long ago", "cut", "too long", "not ours", "nothing"])  # fmt: skip
def test_the_host_key(tmp_path, said, wanted):
    console = tmp_path / "console.log"
    console.write_text(said, encoding="utf-8")
    assert told_key(str(console)) == wanted


def test_an_image_lets_its_machines_tell_it(tmp_path):
    generalise(str(tmp_path))
    unit = Path(tmp_path / "etc/systemd/system/bowline-host-keys.service").read_text(encoding="utf-8")
    assert f'ExecStart=/usr/bin/sed "s/^/{TOLD}/" /etc/ssh/ssh_host_ed25519_key.pub' in unit and "StandardOutput=journal+console" in unit
