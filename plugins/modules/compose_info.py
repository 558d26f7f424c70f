#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: compose_info
short_description: Read a compose project as it is written and as it runs
description:
  - Reads the resolved files of a compose project, its containers, their images, and the users that the images name.
  - Starts, pulls and writes nothing, and runs nothing inside of a container.
  - Values that are secrets by their name or form are masked (C(********)); their names stay.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.reader]
requirements:
  - Docker Engine and the compose plugin 2.20 or newer
options:
  folder:
    description: Folder of the project on this host. The files that its containers were started from are read, else what compose finds there.
    type: path
  name:
    description: Name of the project, for one whose folder nobody knows. One of O(folder) and O(name) is needed.
    type: str
  files:
    description: Compose files in the order in which they are put together, where the containers do not say so or say something old.
    type: list
    elements: path
    default: []
seealso:
  - ref: bowline.fleet.native_from_compose filter <ansible_collections.bowline.fleet.native_from_compose_filter>
    description: What of it can become native modules.
"""
EXAMPLES = r"""
- name: Read the stack that shall move
  bowline.fleet.compose_info:
    folder: /srv/app
  register: old_home

- name: Say which of its services do not run
  ansible.builtin.debug:
    msg: "{{ old_home.project.findings | map(attribute='message') }}"
"""
RETURN = r"""
project:
  description:
    - The project; C(config) is the output of C(docker compose config), secrets masked.
    - C(services) has by name C(containers) (C(id), C(name), C(state), C(health), C(image_id), C(started_at), C(addresses), C(mounts)) and C(image) (C(id),
      C(architecture), C(os), C(size) in bytes, C(config), C(users), C(groups), C(programs)), which is none for an image that is not on this host.
    - C(findings) are what is not as the files say.
  returned: success
  type: dict
  sample:
    name: app
    folder: /srv/app
    files: [/srv/app/compose.yml]
    config: {name: app, services: {web: {image: 'app:1', ports: [{target: 8000, published: '8000', protocol: tcp, mode: ingress}]}}}
    services:
      web:
        containers: [{id: 3c1f, name: app-web-1, state: running, health: healthy, image_id: 'sha256:9f', addresses: {app_default: 172.18.0.2}, mounts: []}]
        image: {id: 'sha256:9f', architecture: amd64, os: linux, size: 52428800, config: {Cmd: [app]}, users: {app: [1000, 1000, /app]}, groups: {app: 1000}}
    findings: []
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample:
    code: compose_unknown
    message: No container of a compose project app is on this host.
    remedy: '`docker compose ls --all` shows the projects; start it, or name its folder.'
    details: {}
"""
from ..module_utils._core.compose import Compose
from ..module_utils._core.module import FleetModule
from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner

SPEC = {"folder": {"type": "path"}, "name": {"type": "str"}, "files": {"type": "list", "elements": "path", "default": []}}


def main() -> None:
    module = FleetModule(SPEC, required_one_of=[["folder", "name"]], supports_check_mode=True)
    given = module.params
    finish(module, lambda: {"changed": False, "project": Compose(module_runner(module)).read(given["folder"] or "", given["name"] or "", given["files"])})


if __name__ == "__main__":
    main()
