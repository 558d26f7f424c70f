#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: native_artifact
short_description: Make an archive of the files of a container image
description:
  - Writes the files of an image of this host's engine into one archive, from which M(bowline.fleet.native_module) runs the services of a module.
  - The same image gives the same bytes, here and on another host. What the engine lays into a container is left out.
  - A container is made for it that never runs, and is gone afterwards.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.writer]
requirements:
  - Docker Engine
  - GNU tar 1.31 or newer
options:
  image:
    description: The image. Its id (C(sha256:…)) is what runs; a name may mean another one tomorrow.
    type: str
    required: true
  path:
    description:
      - Where the archive is written, with three times the room of the image beside it while it is made.
      - The folder belongs to root and is closed to others.
    type: path
    required: true
  state:
    description: V(present) has the archive of the image there, V(absent) has none.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: bowline.fleet.native_module
"""
EXAMPLES = r"""
- name: Make the files of the application's image
  bowline.fleet.native_artifact:
    image: "{{ old_home.project.services.web.image.id }}"
    path: /var/lib/bowline/artifacts/web.tar
  register: web_files
"""
RETURN = r"""
artifact:
  description: C(digest), C(image), C(path) and C(size) in bytes; none in check mode before it was made.
  returned: success
  type: dict
  sample: {digest: 'sha256:5f0c', image: 'sha256:9f21', path: /var/lib/bowline/artifacts/web.tar, size: 52428800}
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{"action": "write /var/lib/bowline/artifacts/web.tar", "reason": "no such file", "disruptive": false}]
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample:
    code: image_missing
    message: The image app is not on this host.
    remedy: '`docker image ls --no-trunc` shows those that are; name one of them by its id.'
    details: {}
"""
from ..module_utils._core.module import FleetModule
from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner
from ..module_utils._native.artifact import Builder, run

SPEC = {
    "image": {"type": "str", "required": True},
    "path": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def main() -> None:
    module = FleetModule(SPEC, supports_check_mode=True)
    finish(module, lambda: run(module.params, Builder(module_runner(module)), module.check_mode))


if __name__ == "__main__":
    main()
