# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Debian host has, by what its own programs list."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._native.packages import missing_packages

LISTED = "haproxy amd64 2.6.12-1 installed\nnginx all 1.22.1-9 config-files\npostgresql-15 amd64 15.18-0 installed\n"


@pytest.mark.parametrize(("wanted", "missing"), [
    (["haproxy", "postgresql-15"], []),
    (["haproxy:amd64"], []),
    (["haproxy=2.6.12-1"], []),
    (["haproxy=2.8"], ["haproxy=2.8"]),
    (["haproxy:arm64"], ["haproxy:arm64"]),
    (["nginx"], ["nginx"]),
    (["redis"], ["redis"]),
    (["haproxy/bookworm-backports"], ["haproxy/bookworm-backports"]),
    ([], []),
])  # fmt: skip
def test_missing_packages(wanted, missing):
    assert missing_packages(wanted, LISTED) == missing
