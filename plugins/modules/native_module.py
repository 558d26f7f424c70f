#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: native_module
short_description: Keep the systemd units of a stack of native modules in their condition
description:
  - Renders one unit per service from the manifests of a stack, lets systemd check all of them, replaces those that differ and starts,
    stops, restarts or masks in dependency order.
  - A unit that runs is touched only when its own text differs or one of its inputs is younger than its start. A run that was killed is
    finished by the next one.
  - Where a service shall be active, restarts by systemd from before this run are named in RV(plan) and forgotten (C(reset-failed)), so that checks
    of restarts count from this run on.
  - Units carry the marks C(X-Bowline-Stack), C(X-Bowline-Module) and C(X-Bowline-Digest) and are found by them.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.writer, bowline.fleet.wait]
requirements:
  - systemd 250 or newer
options:
  stack:
    description: Name of the stack; units are named C(<stack>-<module-id>-<service>.service).
    type: str
    required: true
  modules:
    description: All modules of the stack. Services start in the order of their dependencies.
    type: list
    elements: dict
    default: []
    suboptions:
      manifest:
        description:
          - Manifest with C(schema_version) 1. Unknown keys are refused, and everything that is wrong is told at once.
          - "Keys: C(name) and C(version) (required), C(id) (name without the stack), C(provides), C(requires) and C(conflicts) (capabilities as
            C(name@range)), C(services), C(mask) (paths that its services must not see), C(protected) (paths that no other module may cover),
            C(security) with C(profile) (V(default), V(strict) or V(trusted)), C(apparmor) and C(privileged)."
          - "Keys of a service: C(name), C(start_command) (required; a list, the first word an absolute path), C(stop_command), C(reload_command)
            (instead of a restart when an input is younger), C(restart_policy) (V(never), V(on_failure), V(always)), C(user), C(working_directory),
            C(environment), C(secrets), C(ports), C(capabilities), C(state_directory), C(binds), C(depends_on), C(health), and the four below."
          - "C(limits): resource limits by the names that compose has (C(nofile), C(nproc), C(memlock), C(core) and so on), a number for both or
            C({soft, hard}), V(-1) or V(infinity) for none. C(nofile) is 1048576 unless it is given, as in a container; the others are systemd's."
          - "C(stop_signal): what ends its main process, V(SIGTERM); C(SIGINT), C(INT) and C(2) mean the same."
          - "C(stop_timeout): seconds until it is killed, from 1 to 7200. V(300), not the 10 of a container engine: a database writes its last
            checkpoint in them, and only a program that does not end by itself needs them."
          - "In C(stop_command) and C(reload_command) the word C($MAINPID), and C(${MAINPID}) in a word, is the number of the main process.
            Every other C($) is what it is."
          - A program, a working directory, a bind or one of O(inputs) that lies where the profile of its module hides everything (C(/home), C(/root),
            C(/run/user), C(/tmp), C(/var/tmp), its own C(mask), devices under V(strict)) is refused by name. A directory of C(/home) or C(/tmp)
            that a service binds is seen by it.
          - "C(image) with C(id): the services run in the files of that container image, which O(modules[].artifact) brings. C(hosts) maps names that they look
            up to addresses, C(published) lists ports that others may reach. As P(bowline.fleet.native_from_compose#filter) writes them."
          - "A service of such a module has numbers for C(user) (C(uid:gid)) and these keys more: C(groups), C(network) (V(host), V(none)), C(one_shot),
            C(tmpfs), C(shared_memory) in bytes, C(read_only), C(no_new_privileges), C(resources) and C(secret_environment) (variables that stand in
            C(/etc/bowline/<stack>/environment/<module>-<service>))."
        type: dict
        required: true
      artifact:
        description: The files of the image of a module, as M(bowline.fleet.native_artifact) made them.
        type: dict
        suboptions:
          path:
            description: The archive on this host. It is needed until it was unpacked once.
            type: path
          digest:
            description: C(sha256:…) of the archive. Another one is refused, and what runs goes on.
            type: str
            required: true
  state:
    description:
      - V(active) has every service running and started at boot, V(present) has the units and leaves running what runs and stopped what is
        stopped, V(inactive) has every service stopped, disabled and masked, V(absent) has no unit of the stack.
      - O(services) decides otherwise for single services.
    type: str
    choices: [active, present, inactive, absent]
    default: active
  services:
    description:
      - Condition of single services, named C(service) or C(module/service).
      - One of V(active), V(present), V(inactive) (stopped, not started at boot) and V(masked) (stopped, and nothing can start it).
    type: dict
    default: {}
  credentials:
    description: Files on this host by name of the credential, for those that are not in O(credentials_directory).
    type: dict
    default: {}
  credentials_directory:
    description: Directory of this host with one file per credential. The default is C(/etc/bowline/<stack>/credentials).
    type: path
  inputs:
    description:
      - Files that a service reads at its start, by C(service) or C(module/service).
      - It is restarted (or reloaded) when one is younger than its start.
    type: dict
    default: {}
  changing:
    description: Those of O(inputs) that an earlier task changed. Needed only in check mode, where they are not on disk yet.
    type: list
    elements: path
    default: []
  reload:
    description:
      - Services that read their configuration again on SIGHUP and are reloaded, not restarted, for a younger input.
      - One with a C(reload_command) need not be named.
    type: list
    elements: str
    default: []
  approved:
    description: Ids of modules that may be C(privileged).
    type: list
    elements: str
    default: []
  accept_open_ports:
    description:
      - Ports on which a service of an image listens, that its compose file did not publish, and that may be reached from outside (or are closed by a
        firewall of the host). Without it such a service is refused.
    type: list
    elements: int
    default: []
  purge:
    description: Whether units that carry the mark of this stack and are in none of its manifests are removed.
    type: bool
    default: false
  replaces:
    description: Units of the distribution that must not run beside the stack. They are stopped and masked; O(state=absent) leaves them so.
    type: list
    elements: str
    default: []
  unit_directory:
    description:
      - Directory of the unit files. It must rank below C(/etc/systemd/system), or units cannot be masked.
      - One that others could write in or swap is refused with C(unsafe_path), since root runs what a unit says.
    type: path
    default: /usr/local/lib/systemd/system
seealso:
  - module: bowline.fleet.gate
"""
EXAMPLES = r"""
- name: Run the application, with its worker staged but not started
  bowline.fleet.native_module:
    stack: hub
    modules:
      - manifest:
          schema_version: 1
          name: backend
          version: 2.4.1
          services:
            - name: web
              start_command: [/usr/bin/python3, /opt/hub/app.py]
              user: hub
              secrets: [database_password]
              ports: [3000]
              limits: {nofile: 65536, core: 0}
              stop_signal: SIGQUIT
              stop_timeout: 30
              reload_command: [/bin/kill, -USR1, $MAINPID]
              health: {type: http, port: 3000, path: /up}
            - name: worker
              start_command: [/usr/bin/python3, /opt/hub/worker.py]
              user: hub
              depends_on: [web]
    services: {worker: inactive}

- name: Stop the application so that nothing can start it
  bowline.fleet.native_module:
    stack: hub
    modules: "{{ hub_modules }}"
    state: present
    services: {web: masked, worker: masked}
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{"action": "start", "reason": "hub-backend-web.service is inactive, active is wanted", "disruptive": false}]
units:
  description: Units in start order with C(name), C(module), C(service), C(order) and the C(condition) asked for.
  returned: success
  type: list
  elements: dict
  sample: [{"name": "hub-backend-web.service", "module": "backend", "service": "web", "order": 2, "condition": "active"}]
bookmark:
  description: Condition of each unit before the run, C(active), C(inactive), C(masked) or C(absent).
  returned: success
  type: dict
  sample: {"hub-backend-web.service": "inactive"}
restarted:
  description: Units that were restarted.
  returned: success
  type: list
  elements: str
  sample: []
extra:
  description: Units of the stack that no manifest names and that were left alone.
  returned: success
  type: list
  elements: str
  sample: []
evidence:
  description: States of the units after the run (before it in check mode).
  returned: success
  type: dict
  sample: {"states": {"hub-backend-web.service": {"active": "active", "file": "enabled", "restarts": 0}}}
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample:
    code: unit_failed
    message: hub-backend-web.service is failed, expected active.
    remedy: Look at its last lines, which stand in the details.
    details: {unit: hub-backend-web.service}
"""
from ..module_utils._core.argspec import WAIT
from ..module_utils._core.module import FleetModule
from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner
from ..module_utils._native.artifact import Shelf
from ..module_utils._native.run import run
from ..module_utils._native.systemd import SystemdClient

SPEC = {
    "stack": {"type": "str", "required": True},
    "modules": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "manifest": {"type": "dict", "required": True},
            "artifact": {"type": "dict", "options": {"path": {"type": "path"}, "digest": {"type": "str", "required": True}}},
        },
    },
    "state": {"type": "str", "choices": ["active", "present", "inactive", "absent"], "default": "active"},
    "services": {"type": "dict", "default": {}},
    # Paths of files, not secrets.
    "credentials": {"type": "dict", "default": {}, "no_log": False},
    "credentials_directory": {"type": "path", "no_log": False},
    "inputs": {"type": "dict", "default": {}},
    "changing": {"type": "list", "elements": "path", "default": []},
    "reload": {"type": "list", "elements": "str", "default": []},
    "approved": {"type": "list", "elements": "str", "default": []},
    "accept_open_ports": {"type": "list", "elements": "int", "default": []},
    "purge": {"type": "bool", "default": False},
    "replaces": {"type": "list", "elements": "str", "default": []},
    "unit_directory": {"type": "path", "default": "/usr/local/lib/systemd/system"},
}


def main() -> None:
    module = FleetModule({**SPEC, **WAIT}, supports_check_mode=True)
    runner = module_runner(module)
    client = SystemdClient(runner, module.params["unit_directory"])
    finish(module, lambda: run(module.params, client, Shelf(runner), module.check_mode))


if __name__ == "__main__":
    main()
