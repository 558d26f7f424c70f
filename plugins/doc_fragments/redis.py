# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that name the two Redis servers and their queues; specs: ``_redis.options.PAIR``."""

from __future__ import annotations


class ModuleDocFragment:
    """Use as ``bowline.fleet.redis``."""

    DOCUMENTATION = r"""
requirements:
  - Redis 6.2 or newer, or Valkey, on both sides; nothing but Python on the host of the task
options:
  legacy:
    description: The server that the data set moves away from, as the host of this task reaches it.
    type: dict
    required: true
    suboptions: &server
      host: {description: 'Host name, address, or the path of its socket.', type: str, required: true}
      port: {description: Port., type: int, default: 6379}
      user: {description: Account to log in with. Without it C(AUTH) is given the password alone., type: str}
      password_file:
        description:
          - File on the host of this task that holds the password and nothing else, mode 0600.
          - The password is in no argument, result, log or message. The other server is never given it.
        type: path
      tls: {description: Whether the port speaks TLS. Chain and name are verified., type: bool, default: false}
      ca_file: {description: CA certificates to verify it with. Without it the system's., type: path}
      certificate: {description: Certificate of this client; servers ask for one unless C(tls-auth-clients) is no., type: path}
      key: {description: Its key., type: path}
      peer_host: {description: Host name or address at which the other server reaches this one. The same as C(host) unless it is set., type: str}
      peer_port: {description: Port at which it does. The same as C(port) unless it is set., type: int}
  new:
    description: The server that it moves to, as the host of this task reaches it.
    type: dict
    required: true
    suboptions: *server
  layouts:
    description: Which keys hold jobs, so that workers can be proven idle and queues empty.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: Whose keys they are. V(keys) takes patterns of your own.
        type: str
        required: true
        choices: [sidekiq, celery, rq, keys]
      db: {description: Number of the database., type: int, default: 0}
      prefix: {description: 'Prefix of all keys, as redis-namespace (with its colon) or C(global_keyprefix) make it.', type: str, default: ''}
      queues: {description: Queues that no register of the worker names., type: list, elements: str, default: []}
      keys:
        description: Patterns of C(SCAN), for O(layouts[].kind=keys).
        type: list
        elements: dict
        suboptions:
          pattern: {description: 'Glob of keys. How many jobs a key holds is told by its type.', type: str, required: true}
          kind:
            description: Whether these jobs wait, are worked on, or wait for their time.
            type: str
            choices: [queue, busy, scheduled]
            default: queue
  mode:
    description:
      - With V(replicate) everything comes along, by replication.
      - With V(drain) nothing does; queues, schedules and jobs in progress are proven empty, the old side is closed.
      - With V(none) nothing in Redis matters, and the result says so.
    type: str
    choices: [replicate, drain, none]
    default: replicate
"""
