# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that modules of Docker and Swarm share; specs: ``_swarm.argspec``."""

from __future__ import annotations


class ModuleDocFragment:
    """Use as ``bowline.fleet.swarm``, ``bowline.fleet.swarm.limits``, ``bowline.fleet.swarm.lock``."""

    DOCUMENTATION = r"""
requirements:
  - docker >= 7.1 (PyPI; Debian 13 package python3-docker) for the Python that the module runs with
  - paramiko for O(docker_host) with V(ssh://)
options:
  docker_host:
    description:
      - Where the engine answers, as V(unix:///var/run/docker.sock), V(tcp://manager:2376) or V(ssh://user@manager). Several are managers of one
        Swarm; when one dies during a read, the next one is asked.
      - Default is the environment variable E(DOCKER_HOST), and without it the local socket.
    type: list
    elements: str
  ca_path:
    description: CA certificate that the endpoint's certificate has to be of. With any of the TLS options, V(tcp://) is spoken with TLS.
    type: path
  client_cert:
    description: Our certificate.
    type: path
  client_key:
    description: Its key.
    type: path
  validate_certs:
    description: Whether the endpoint's certificate is checked. Without it, anybody in between rules the hosts.
    type: bool
    default: true
  tls_hostname:
    description: Name that the endpoint's certificate has to be for, where it is not that of O(docker_host).
    type: str
  api_version:
    description: Version of the Engine API, V(1.41) or newer; V(auto) is the newest that both sides know.
    type: str
    default: auto
  timeout:
    description: Seconds for one answer of the engine.
    type: float
    default: 60
  allow_plaintext:
    description: Whether plain TCP is taken. Whoever reaches such an endpoint rules its hosts.
    type: bool
    default: false
"""

    LIMITS = r"""
options:
  max_task_failures:
    description: Tasks of one service that may fail or be rejected before the update counts as failed.
    type: int
    default: 3
  pending_timeout:
    description: Seconds that a task may be pending with an error of the scheduler before the service counts as unschedulable.
    type: float
    default: 60
  progress_deadline:
    description: Seconds without any change of a task's state before the update counts as stuck.
    type: float
    default: 300
  wait_timeout:
    description: Seconds for the convergence of one service.
    type: float
    default: 600
  monitor:
    description: Seconds that all wanted tasks have to be good. Default is the monitor time of the service's own update settings, else 5.
    type: float
"""

    LOCK = r"""
options:
  lock_wait:
    description: Seconds to wait for another run that works on the same.
    type: float
    default: 900
  lock_ttl:
    description: Seconds after which a lock whose holder shows no life is taken over.
    type: float
    default: 60
"""
