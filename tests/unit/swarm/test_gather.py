# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows for readers of a cluster."""

from __future__ import annotations

from ansible_collections.bowline.fleet.plugins.module_utils._swarm import gather
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.model import World

SECRET = {"ID": "s1", "Spec": {"Name": "shop_key-0123456789", "Labels": {"com.docker.stack.namespace": "shop"}}, "CreatedAt": "2026-11-28T00:00:00Z"}
OTHER = {"ID": "s2", "Spec": {"Name": "nobodys", "Labels": {}}}


def service(name: str, *secrets: str) -> dict:
    mounts = [{"SecretID": "x", "SecretName": secret, "File": {"Name": "key"}} for secret in secrets]
    return {"ID": name, "Spec": {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "app:1", "Secrets": mounts}}}}


def test_a_secret_says_which_services_have_it_and_not_what_it_is():
    services = (service("shop_web", "shop_key-0123456789"), service("shop_job", "shop_key-0123456789"), service("other_web"))
    world = World(cluster_id="c", info={}, nodes=(), services=services, tasks=(), networks=(), configs=(), secrets=(SECRET, OTHER))
    rows = [gather.stored(one, world, "secrets") for one in world.secrets]
    assert [(row["name"], row["stack"], row["used_by"]) for row in rows] == [("shop_key-0123456789", "shop", ["shop_job", "shop_web"]), ("nobodys", None, [])]
    assert not any("data" in key.lower() for row in rows for key in row)
