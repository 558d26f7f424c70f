# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""build/lab-swarm.json: how any client reaches the Swarm lab. It holds no secret, only the paths of their files."""
from __future__ import annotations

import json
import typing as t

from .. import settings
from ..shell import write
from . import cluster, images
from .instance import Instance


def keys(instance: Instance) -> str:
    """The CA, a pair for each engine, and the pair of the client."""
    instance.tls.mkdir(parents=True, exist_ok=True)
    instance.tls.chmod(0o700)
    made = instance.authority.ensure(f"{instance.name} CA")
    pairs = [(instance.tls / member.home.name, f"IP:{member.address},DNS:{member.name}", "serverAuth") for member in instance.members]
    made += [stem.name for stem, names, usage in (*pairs, (instance.client, "DNS:client", "clientAuth")) if instance.authority.sign(stem, names, usage)]
    return f"made {', '.join(made)}" if made else "all there"


def ensure(instance: Instance) -> str:
    return "written" if write(instance.json, json.dumps(description(instance), indent=2) + "\n") else "unchanged"


def description(instance: Instance) -> dict[str, t.Any]:
    tls = {
        "ca_path": str(instance.authority.certificate), "client_cert": f"{instance.client}.crt", "client_key": f"{instance.client}.key",
    }
    nodes = {member.name: cluster.state(member)["NodeID"] for member in instance.members}
    found = {tag: {"reference": images.reference(instance, tag), "digest": digest} for tag, digest in images.digests(instance).items()}
    return {
        "name": instance.name,
        "letter": instance.letter,
        "tree": str(settings.TREE),
        "cluster_id": cluster.state(instance.members[0])["Cluster"]["ID"],
        "managers": [
            {"name": member.name, "address": member.address, "docker_host": member.docker_host, "node_id": nodes[member.name], **tls}
            for member in instance.members
        ],
        "registry": {"address": instance.registry, "repository": f"{instance.registry}/{images.REPOSITORY}", "images": found},
        "network": {"subnet": f"{instance.subnet}.0/24", "host": instance.host},
        "stack": {"name": "shop", "compose": str(settings.LAB / "swarm_app" / "stack.yml"), "port": 18100},
        "program": str(settings.LAB / "swarm.py"),
    }
