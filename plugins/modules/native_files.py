#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: native_files
short_description: Keep the folders and files of a stack, all in one call
description:
  - Makes folders, writes files, and gives owner, group and mode, where they differ.
  - A file is complete before it has its name, so a reader sees the old or the new one. A link in its place is replaced, never followed.
  - One call for all of them, where M(ansible.builtin.copy) makes two for each file.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.writer]
options:
  folders:
    description: Folders, made in this order and before the files. Parents that are missing get the same owner, group and mode.
    type: list
    elements: dict
    default: []
    suboptions:
      path: &path {description: Absolute path., type: path, required: true}
      owner: &owner {description: Name or number of the owner., type: str, default: root}
      group: &group {description: Name or number of the group., type: str, default: root}
      mode: {description: 'Mode, C(0755) or as for C(chmod).', type: str, default: "0755"}
  files:
    description: Files. All of them are looked at before the first one is written.
    type: list
    elements: dict
    default: []
    suboptions:
      path: *path
      content: {description: Text of the file., type: raw}
      source:
        description: File of the controller, found and decrypted as by M(ansible.builtin.copy), in place of O(files[].content).
        type: str
      encoded: {description: 'Whether O(files[].content) is base64 of the content.', type: bool, default: false}
      owner: *owner
      group: *group
      mode: {description: 'Mode, C(0644) or as for C(chmod).', type: str, default: "0644"}
      replace: {description: 'Whether a file that exists gets this content, owner, group and mode; V(false) leaves it as it is.', type: bool, default: true}
      secret: {description: Whether the content stays out of the diff., type: bool, default: false}
seealso:
  - module: bowline.fleet.native_module
"""
EXAMPLES = r"""
- name: Give the application its certificate and its settings
  bowline.fleet.native_files:
    folders:
      - {path: /etc/hub}
    files:
      - {path: /etc/hub/settings.ini, content: "{{ hub_settings }}"}
      - {path: /etc/hub/server.key, source: server.key, owner: hub, group: hub, mode: "0600", secret: true}
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{"action": "write_file", "reason": "/etc/hub/settings.ini is missing", "disruptive": false}]
changed_paths:
  description: Paths of the folders and files that were changed (would be in check mode).
  returned: success
  type: list
  elements: str
  sample: [/etc/hub/settings.ini]
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample:
    code: account_missing
    message: /etc/hub/server.key shall belong to user hub, who does not exist on this host. Nothing was changed.
    remedy: Make hub, or name an account that is there.
    details: {path: /etc/hub/server.key, user: hub}
"""
from ..module_utils._core.module import FleetModule
from ..module_utils._core.result import finish
from ..module_utils._native.files import run
from ..module_utils._native.host_files import HostFiles

PLACE = {"path": {"type": "path", "required": True}, "owner": {"type": "str", "default": "root"}, "group": {"type": "str", "default": "root"}}
SPEC = {
    "folders": {"type": "list", "elements": "dict", "default": [], "options": {**PLACE, "mode": {"type": "str", "default": "0755"}}},
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **PLACE,
            "content": {"type": "raw", "no_log": True},
            "source": {"type": "str"},
            "encoded": {"type": "bool", "default": False},
            "mode": {"type": "str", "default": "0644"},
            "replace": {"type": "bool", "default": True},
            "secret": {"type": "bool", "default": False, "no_log": False},
        },
    },
}


def main() -> None:
    module = FleetModule(SPEC, supports_check_mode=True)
    finish(module, lambda: run(module.params, HostFiles(), module.check_mode))


if __name__ == "__main__":
    main()
