#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_hook
short_description: Empty this machine of containers or of units, and bring back exactly those
description:
  - Runs on the machine itself, for one hook and one stage. Role P(bowline.fleet.node_hooks#role) calls it for every hook of a node, and hands what it says to
    M(bowline.fleet.node_instance).
  - What a drain is going to change is written to a file on the machine before the first change, for root alone. A drain that was killed is continued by the
    same command, and O(stage=undo) knows the first state however often that happened, and whoever drained.
  - Asks the engine over its socket, with the library of Python alone; neither the CLI of Docker nor an SDK is needed on the machine.
  - What stays on the machine is no failure of the module. It stands in RV(evidence), each blocker with its name, its reason and what overrides it, so that
    those of all hooks can be shown at once. An engine or a systemd that does not answer is a blocker, never an empty machine.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.writer]
options:
  hook:
    description:
      - V(docker), containers. The lowest number of label C(bowline.drain.order) stops first (0 without one), then those that depend on others before these,
        as Compose, links and joined namespaces say. Each gets restart policy C(no) and stops within its own stop timeout; then the engine stops.
      - V(native), units that carry the marks of M(bowline.fleet.native_module). They stop in the opposite order of their start and are disabled.
    type: str
    choices: [docker, native]
    required: true
  stage:
    description:
      - V(observe) changes nothing and names what stands in the way. V(drain) ends the work and keeps it from coming back by itself, also after a boot.
      - V(undo) starts what drains have stopped, with the first restart policy, and enables what they have disabled. What was removed, started or stopped by
        somebody else since is left as it is.
      - V(leave) says whether something still counts the machine as a member. Changes nothing.
    type: str
    choices: [observe, drain, undo, leave]
    default: observe
  timeout: {description: Seconds for the whole stage. What has not stopped by then is a blocker., type: float, default: 600}
  accept:
    description:
      - V(auto_remove), containers that are deleted when they stop. V(data), units whose data lie on this machine. V(swarm_task), tasks of a Swarm that hook
        swarm has left, such as jobs. Without the word each of them is a blocker.
    type: list
    elements: str
    choices: [auto_remove, data, swarm_task]
    default: []
  after:
    description: Hooks of the node that stand before this one. The engine of a Swarm member is drained only behind V(swarm).
    type: list
    elements: str
    default: []
  force: {description: Whether what has not stopped in O(timeout) is killed., type: bool, default: false}
  stop_engine: {description: Whether the engine itself stops when its containers have., type: bool, default: true}
  socket: {description: Socket of the engine., type: path, default: /run/docker.sock}
  folder: {description: Where it is written down what a drain has changed., type: path, default: /var/lib/bowline/hooks}
"""
EXAMPLES = r"""
- name: See what stands in the way
  bowline.fleet.node_hook:
    hook: docker
  register: seen

- name: Stop all containers, and then the engine
  bowline.fleet.node_hook:
    hook: docker
    stage: drain
    timeout: 300

- name: Start again what the drain has stopped
  bowline.fleet.node_hook:
    hook: docker
    stage: undo
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode), in order.
  returned: success
  type: list
  elements: dict
  sample:
    - {action: keep_stopped, reason: web has restart policy always, disruptive: false}
    - {action: stop, reason: web runs, disruptive: true}
evidence:
  description:
    - C(hook), C(stage), C(outcome) (V(empty), V(released) or V(blocked)), C(blockers) with C(name), C(reason) and C(override) each, and C(changed), names of
      what the drain has changed and undo may touch, or of what undo has taken back.
    - Work that runs and may be stopped is V(blocked) without blockers in a look and in check mode.
  returned: success
  type: dict
  sample: {hook: docker, stage: drain, outcome: empty, blockers: [], changed: [web, docker.socket, docker.service]}
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {code: locked, message: '/var/lib/bowline/hooks/docker was held for 10 s by process 7.', remedy: Wait for its end., details: {pid: 7}}
"""
from ansible.module_utils.basic import AnsibleModule
from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner
from ..module_utils._node.hooks.argspec import HOOK
from ..module_utils._node.hooks.run import run


def main() -> None:
    module = AnsibleModule(HOOK, supports_check_mode=True)
    finish(module, lambda: run(module.params, module.check_mode, module_runner(module)))


if __name__ == "__main__":
    main()
