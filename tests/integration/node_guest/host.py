# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host with libvirt for tests. A program: the Python that has its library is the system's.

``host.py URI`` reads one request a line, ``{"name": …, "given": …}``, and answers with one line. It holds a connection from its start to its end: libvirt's
mock keeps its domains as long as anybody is connected, so they outlive whoever sends the requests. Requests past our code: ``domains``, ``destroy``,
``undefine``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import libvirt
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._node.machine import run as room
from ansible_collections.bowline.fleet.tests.loading import load

drive = load(Path(__file__).resolve().parents[1] / "node_machine" / "drive.py", "bowline_node_drive")


def answer(connection, name, given):
    if name in ("node_machine", "node_machine_info"):
        make = room.factory(given, drive.runner)
        try:
            return room.run(given, make, {}) if name == "node_machine" else room.info(given, make, {})
        except FleetError as error:
            return {"failed": True, "msg": error.message, "failure": error.as_failure()}
    if name == "domains":
        return {one.name(): [one.UUIDString(), bool(one.isActive())] for one in connection.listAllDomains()}
    domain = connection.lookupByName(given)
    if domain.isActive():
        domain.destroy()
    if name == "undefine":
        domain.undefine()
    return {}


def main() -> None:
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    connection = libvirt.open(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(answer(connection, request["name"], request["given"])), flush=True)


if __name__ == "__main__":
    main()
