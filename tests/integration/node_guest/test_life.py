# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest of qemu through its whole life, by the playbooks: as ``NODE_PROVIDER=local_qemu make node`` does it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_a_guest_is_provisioned_enrolled_drained_and_gone_and_its_secret_is_nowhere():
    if os.environ.get("BOWLINE_FAULTS") != "all":
        pytest.skip("make faults runs it: without KVM a boot takes more than a minute")
    done = subprocess.run([sys.executable, str(ROOT / "tests/lab/node.py"), "qemu"], capture_output=True, text=True, check=False, timeout=5400)
    print(done.stdout[-1500:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    secret = re.search(r"secret +in 0 places of (\d+) that were read", done.stdout)
    assert secret and int(secret.group(1)) > 1000, "whoever looks nowhere finds nothing"
