# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""build/lab.json: how any client reaches the lab."""
from __future__ import annotations

import json
import typing as t

from . import image, settings, target, versions
from .shell import run, write


def ensure() -> str:
    settings.LEDGER.mkdir(parents=True, exist_ok=True)
    return "written" if write(settings.JSON, json.dumps(description(), indent=2) + "\n") else "unchanged"


def description() -> dict[str, t.Any]:
    majors = versions.majors()

    def database(host: str, superuser: str, major: int, **more: t.Any) -> dict[str, t.Any]:
        return {
            "host": host, "port": 5432, "dbname": settings.DATABASE, "user": settings.OWNER_ROLE,
            "password_file": str(settings.SECRETS / "hub"), "superuser": settings.SUPERUSER,
            "superuser_password_file": str(settings.SECRETS / superuser), "sslmode": "verify-full", "sslrootcert": str(settings.CA),
            "version": major, "bindir": f"/usr/lib/postgresql/{major}/bin", "data_directory": f"/var/lib/postgresql/{major}/main",
            "encoding": "UTF8", "locale": "C.UTF-8", "link_directory": "/var/lib/postgresql/link", **more,
        }

    return {
        "url": settings.URL,
        "hostname": settings.HOSTNAME,
        "resolver": f"{settings.PRIMARY}:53",
        "ca_file": str(settings.CA),
        "bridge": {"name": settings.BRIDGE, "network": f"10.78.0.0/{settings.PREFIX}"},
        "legacy": {
            "address": settings.LEGACY,
            "connection": "local",
            "nginx_directory": str(settings.STACK / "nginx"),
            "nginx_container": f"{settings.PROJECT}-nginx-1",
            "nginx_address": settings.LEGACY_NGINX,
            "foreign_container": settings.FOREIGN,
        },
        "target": {
            "address": settings.TARGET,
            "name": settings.TARGET_NAME,
            "ssh": {
                "host": settings.TARGET, "port": 22, "user": "root", "key_file": str(settings.SSH / "id_ed25519"),
                "known_hosts_file": str(settings.SSH / "known_hosts"), "options": target.SSH_OPTIONS,
            },
            "app": "/opt/hub/app.py",
            "static": "/opt/hub/static",
        },
        "databases": {
            "legacy": database(settings.LEGACY, "postgres-superuser", majors["legacy"], container=f"{settings.PROJECT}-postgres-1",
                               sslrootcert_inside="/etc/bowline-lab/ca.pem", **_ids(f"{settings.PROJECT}-postgres-1")),
            "target": database(settings.TARGET, "postgres-target-superuser", majors["target"], container=None),
        },
        "link": {"user": "bowline_link", "password_file": str(settings.SECRETS / "link")},
        "dns": {
            "zone": settings.ZONE, "name": settings.HOSTNAME, "ttl": settings.RECORD_TTL, "tsig_file": str(settings.TSIG),
            "servers": [{"name": f"{server.name}.{settings.ZONE}", "address": server.address, "port": 53} for server in settings.SERVERS],
        },
        "tls": {
            "hub": _pair("hub"), "postgres_legacy": _pair("postgres-legacy"), "postgres_target": _pair("postgres-target"),
        },
        "compose": {
            "project": settings.PROJECT, "directory": str(settings.STACK), "file": str(settings.STACK / "compose.yml"),
            "networks": {"front": f"{settings.PROJECT}_front", "back": f"{settings.PROJECT}_back"},
            "volume": f"{settings.PROJECT}_postgres",
        },
        "images": {stage: image.name(stage) for stage in ("base", *image.STAGES)},
        "login": settings.LOGIN,
        "snapshots": str(settings.SNAPSHOTS),
        "dumps": versions.dumps(majors["legacy"]),
        "ledger": str(settings.LEDGER / "writes.jsonl"),
    }


def _ids(container: str) -> dict[str, int]:
    """User and group that the server runs as: a package gives them, so they differ from image to image."""
    user, group = (int(run(["docker", "exec", container, "id", flag, "postgres"]).stdout) for flag in ("-u", "-g"))
    return {"uid": user, "gid": group}


def _pair(name: str) -> dict[str, str]:
    return {"certificate": str(settings.TLS / f"{name}.crt"), "key": str(settings.TLS / f"{name}.key")}
