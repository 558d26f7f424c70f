# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of all drivers of proxies do with a configuration file."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxies import insertion, marked
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxies.source import Source
from ansible_collections.bowline.fleet.plugins.module_utils._traffic.proxy import DRIVERS

OWNER = "/var/lib/bowline/edge-hub"


class Editor:
    """One driver and one path, as the module uses them."""

    def __init__(self, driver: str, path: str) -> None:
        self.driver, self.path = DRIVERS[driver], path

    def plan(self, text, files=None, **upstreams):
        return self.driver.plan(Source(self.path, text, files or {}), upstreams)

    def insert(self, text, upstreams, files=None, owner=OWNER):
        """The file with the edge; everything that a stranger may do to it on the way is tried as well."""
        plan = self.driver.plan(Source(self.path, text, files or {}), upstreams)
        insertion.refuse(plan.faults, self.path)
        inserted = marked.replaced(text, plan.edits, owner)
        assert marked.restored(inserted, owner) == text
        assert marked.restored(text, owner) == text
        assert marked.restored(inserted, f"{owner}-2") == inserted, "another edge's part is not ours"
        later = "# later\n" if text.endswith("\n") else "\n# later\n"
        assert marked.restored(inserted + later, owner) == text + later
        return inserted

    def active(self, text, upstreams, **more):
        """The file with the edge, without comments, blanks squeezed: what the proxy goes by."""
        rows = (row for row in self.insert(text, upstreams, **more).split("\n") if not row.lstrip().startswith("#"))
        return " ".join(" ".join(rows).split())

    def refused(self, text, upstreams, **more):
        """Codes of everything that stands against it, and all that is said."""
        faults = self.driver.plan(Source(self.path, text, more.get("files") or {}), upstreams).faults
        assert all(fault.message and fault.remedy for fault in faults)
        return [fault.code for fault in faults], " ".join(fault.message for fault in faults)


@pytest.fixture
def editor():
    return Editor
