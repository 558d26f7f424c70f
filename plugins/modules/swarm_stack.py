#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_stack
short_description: Bring a whole Swarm stack to what its compose files say, or back to what it was
description:
  - Converts compose files with the docker CLI itself, plans against the cluster, and writes service by service, wave by wave. It ends when every
    task that is wanted runs as it was applied, or with the reason why not.
  - When anything fails on the way, the whole stack goes back to the very specs that it had before, and the task fails with the cause.
    RV(ignore:failure.details.outcome) says what became of the stack.
  - A second run writes nothing. A stack that the CLI has deployed is taken over as it is; no task of it is started anew.
  - States of the stack are kept in the cluster itself, so that O(revision) brings one back with the images, configs and secrets of then.
  - Needs one manager as endpoint; several are asked in turn.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.writer, bowline.fleet.swarm, bowline.fleet.swarm.limits, bowline.fleet.swarm.lock]
requirements:
  - the docker CLI, 20.10 or newer, for O(compose)
  - PyYAML for O(compose)
  - jmespath for gates of type C(http) with an expression
options:
  name: {description: Name of the stack., type: str, required: true}
  state:
    description:
      - V(present) has every service converged on what is wanted, with all gates passed.
      - V(canary) has a share of the replicas on the new version and leaves the others; V(present) with the same content promotes it,
        O(revision=stable) ends it. Until then other content is refused with C(rollout_open).
      - V(absent) has no service, network, config or secret of the stack. Volumes and history stay.
    type: str
    choices: [present, canary, absent]
    default: present
  compose:
    description: Compose files on the host that the module runs on; later ones win. One of O(compose) and O(revision) is required.
    type: list
    elements: path
  revision:
    description: A stored state instead of files, V(stable) (the last good one), V(previous) (the good one before), or its number.
    type: str
  env:
    description: Variables of the compose files. They stand before those of O(env_files).
    type: dict
  env_files: {description: Files with variables., type: list, elements: path}
  strict_env:
    description: Whether a variable without value or default is refused. The CLI would put an empty text in its place.
    type: bool
    default: true
  pin:
    description:
      - How tags become digests. V(missing) keeps the digest that the last good revision has for the same tag and asks the registry for others;
        V(always) asks for all; V(require) refuses tags; V(never) leaves them, for images that are in no registry.
    type: str
    choices: [missing, always, require, never]
    default: missing
  registry_auth:
    description: Whether the nodes get the registry credentials of the user that the module runs as.
    type: bool
    default: false
  replicas:
    description: V(keep) leaves the number of replicas that runs, for a stack with an autoscaler.
    type: str
    choices: [enforce, keep]
    default: enforce
  drift:
    description:
      - What is done about a service that somebody changed since the last revision, where the files are the same. Where they are others, what runs is
        stored as a revision of its own before it is written over, and a warning names the services.
    type: str
    choices: [repair, report, ignore]
    default: repair
  prune: {description: Whether services that the files no longer have are removed., type: bool, default: true}
  allow_recreate:
    description: Services (full names) that may be removed and made anew where Swarm can change something in no other way, such as their mode.
    type: list
    elements: str
  preflight:
    description:
      - Check and what it does, V(fail), V(warn) or V(skip). C(quorum), C(externals), C(constraints), C(placement) (nodes, room, platform),
        C(start_first) (room for one task more) and C(ports) fail by default; C(healthcheck), C(rollback_window) and C(secrets) warn.
    type: dict
  prepull:
    description:
      - Whether every node has to prove that it gets an image before any service is touched. V(auto) for each digest that the service does not run
        yet, V(job) for every image, V(none) for none.
    type: str
    choices: [auto, job, none]
    default: auto
  gates:
    description:
      - Gates beside those of C(x-bowline) in the files. A misspelt key is refused with the nearest one.
      - "Each: C(name), C(type) (both required), C(when) (V(post); V(pre), V(wave), V(step) for a canary), C(wave) (only behind this one),
        C(interval) (10), C(count) (3, samples), C(initial_delay) (0), C(timeout) (5), C(failure_limit) (0, bad samples that are right),
        C(error_limit) (4, times in a row that its source may not answer), C(on_no_data) (V(fail) or V(inconclusive)),
        C(on_inconclusive) (V(pause) leaves everything as it is, V(fail) goes back)."
      - "Types are those of M(bowline.fleet.gate) with their keys, run on the host of the module, and C(swarm) (every service runs as many tasks as
        it wants) and C(events) (nothing died since the operation began), both with C(stack) or C(services)."
    type: list
    elements: dict
  on_failure:
    description: V(rollback) brings the whole stack back; V(stop) leaves it as it is.
    type: str
    choices: [rollback, stop]
    default: rollback
  reversible:
    description: Whether the former version can run on what the new one has made of its data. V(false) stops instead of going back.
    type: bool
    default: true
  rollback_timeout: {description: Seconds for each service to come back., type: float, default: 600}
  history_keep: {description: Revisions that are kept beside the last good one., type: int, default: 10}
  canary:
    description: For O(state=canary), C(share) (percent of replicas, rounded up, never all; required) and C(services) (all that change).
    type: dict
  reason: {description: Why; stored with the revision., type: str}
  vcs_ref: {description: Commit of the compose files; stored with the revision., type: str}
  operation: {description: Id of the operation that this belongs to; stored with lock and revision., type: str}
"""
EXAMPLES = r"""
- name: Deploy, or go back as a whole
  bowline.fleet.swarm_stack:
    docker_host: [tcp://m1.example.org:2376, tcp://m2.example.org:2376]
    ca_path: /etc/bowline/swarm/ca.pem
    client_cert: /etc/bowline/swarm/cert.pem
    client_key: /etc/bowline/swarm/key.pem
    name: shop
    compose: [/srv/shop/stack.yml]
    env: {VERSION: '2.4.1'}
    gates:
      - {name: up, type: http, url: 'https://shop.example.org/up', jmespath: "status == 'ok'", interval: 2}
      - {name: quiet, type: events}

- name: A tenth of the replicas first
  bowline.fleet.swarm_stack:
    name: shop
    state: canary
    compose: [/srv/shop/stack.yml]
    env: {VERSION: '2.4.2'}
    canary: {share: 10, services: [web]}

- name: Back to the last good version, with the images, configs and secrets of then
  bowline.fleet.swarm_stack:
    name: shop
    revision: stable
    reason: orders fail since 2.4.2
"""
RETURN = r"""
stack: {description: Name of the stack., returned: success, type: str, sample: shop}
outcome:
  description: V(unchanged), V(converged) or V(canary). On failure C(failure.details.outcome) is V(rolled_back), V(rollback_failed) or V(left).
  returned: success
  type: str
  sample: converged
plan:
  description: What is done, in order; for a service C(action), C(wave), C(reasons), and C(restarts) (V(none), V(some) or V(all) tasks are replaced).
  returned: success
  type: list
  elements: dict
  sample:
    - action: update
      service: shop_web
      wave: 1
      restarts: all
      reasons: ['image app:1 becomes app:2']
      reason: 'service shop_web: image app:1 becomes app:2'
      disruptive: true
revision:
  description: The revision after the run, null in check mode; C(number), C(action), C(status), C(stable), C(services) (images), and who and why.
  returned: success
  type: dict
  sample: {number: 7, action: deploy, status: succeeded, stable: true, services: {shop_web: 'app:2@sha256:54e3'}}
services:
  description: The services of the stack as they are now.
  returned: success
  type: list
  elements: dict
  sample: [{name: shop_web, id: jiu4, version: 2716, image: 'app:2@sha256:54e3'}]
steps:
  description: What was done, with seconds since the run began.
  returned: success, changed, and not in check mode
  type: list
  elements: dict
  sample: [{at: 3.4, action: update, subject: shop_web}, {at: 9.5, action: converged, subject: wave 0, services: [shop_web]}]
evidence:
  description: C(gates) with every sample, C(prepull) with the nodes that have each image.
  returned: success
  type: dict
  sample: {gates: [], prepull: [{image: 'app:2@sha256:54e3', nodes: [m1, m2, m3]}]}
duration_s: {description: How long it took under the lock., returned: success and changed, type: float, sample: 17.5}
failure:
  description:
    - Code, message, remedy and details. The code is that of the cause, such as C(crash_loop), or C(rollback_failed).
    - Details have C(outcome), C(services) with node, state, error, exit code and last lines of the log of tasks, C(steps), C(evidence), and
      C(rollback_duration_s).
  returned: failure
  type: dict
  sample: {code: image_pull, message: 'shop_web: No such image on m2. The whole stack is as it was before.', remedy: 'Mend the cause, then run again.'}
"""
from ..module_utils._core.gates import Tools
from ..module_utils._core.module import FleetModule
from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner
from ..module_utils._swarm.stack.argspec import SPEC
from ..module_utils._swarm.stack.run import run


def main() -> None:
    module = FleetModule(SPEC, supports_check_mode=True)
    module.hide_only_secrets("env")
    tools = Tools(module_runner(module))
    finish(module, lambda: run(module.params, module.check_mode, tools), tools.secrets)


if __name__ == "__main__":
    main()
