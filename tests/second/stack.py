# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the notes service, each idempotent: packages, images, secrets, compose stack, data, name, and the machine it moves to."""
from __future__ import annotations

import hashlib
import http.client
import json
import os
import secrets
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from notes import (
    BUCKET, CACHE, CONTAINERS, DATABASE, DATABASE_PORT, EDGE, HEADERS, HEALTH, HERE, HOME, HOSTNAME, JSON, LABEL, LOGIN, OWNER_ROLE, PORT,
    RECORD_TTL, SECRETS, SSH, STACK, SUPERUSER, TARGET, TLS,
)
from rig import client, image, nameservers, settings, tls
from rig.shell import LabError, ok, run, wait, write

IMAGES = {"db": f"{settings.PROJECT}/notes-db", "api": f"{settings.PROJECT}/notes-api"}
_KEY = f"{LABEL}.key"
# What Kinto runs on, whatever Python the controller has.
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
_RECORDS = 3000
# Where the inventory lets the collection put files on this machine, which is the old side's host.
_TRACES = (Path("/var/lib/notes-edge"), Path("/var/lib/notes-edge.private"), Path("/usr/libexec/notes"), Path("/var/backups/notes"))


def lab_is_up() -> str:
    missing = [stage for stage in ("postgres", "app", "nginx", "haproxy", "target") if not image.exists(image.name(stage))]
    if missing or not settings.JSON.exists() or not all(nameservers.lookup(server) for server in settings.SERVERS):
        raise LabError("The notes service needs the lab's bridge, name servers and images: run tests/lab/lab.py up first.")
    return "bridge, name servers and images are there"


def packages() -> str:
    """Kinto and what it needs, as the site folder that both sides get; by hash, so a cached one is never out of date."""
    site = CACHE / hashlib.sha256((HERE / "requirements.lock").read_bytes()).hexdigest()[:16]
    if site.exists():
        return "cached"
    shutil.rmtree(CACHE, ignore_errors=True)
    new = site.with_name("new")
    run([sys.executable, "-m", "pip", "install", "-q", "--target", new, "--python-version", "3.11", "--only-binary=:all:", "--no-deps",
         "--no-compile", "--require-hashes", *(word for name in _PLATFORMS for word in ("--platform", name)),
         "-r", HERE / "requirements.lock"])
    new.rename(site)
    return "installed"


def _site() -> Path:
    return next(path for path in CACHE.iterdir() if path.name != "new")


def images() -> str:
    bases = run(["docker", "image", "inspect", "-f", "{{.Id}}", image.name("postgres"), image.name("app")]).stdout
    digest = hashlib.sha256(f"{bases} {_site().name}".encode())
    for path in sorted((HERE / "images").iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    wanted = digest.hexdigest()[:16]
    stale = [stage for stage, name in IMAGES.items() if _label(name) != wanted]
    context = HOME / "context"
    for stage in stale:
        shutil.rmtree(context, ignore_errors=True)
        shutil.copytree(HERE / "images", context)
        shutil.copytree(_site(), context / "site")
        run(["docker", "build", "--target", stage, "--label", f"{_KEY}={wanted}", "--label", f"{LABEL}=image", "-t", IMAGES[stage],
             context])
    shutil.rmtree(context, ignore_errors=True)
    return f"built {', '.join(stale)}" if stale else "cached"


def _label(name: str) -> str:
    return run(["docker", "image", "inspect", "-f", f'{{{{index .Config.Labels "{_KEY}"}}}}', name], check=False).stdout.strip()


def credentials() -> str:
    passwords = ("admin-legacy", "admin-target", "kinto", "link", "hmac")
    made = [name for name in passwords if tls.secret(SECRETS / name, secrets.token_urlsafe(24))]
    TLS.mkdir(parents=True, exist_ok=True)
    names = {"notes": f"DNS:{HOSTNAME}", "db-legacy": f"IP:{settings.LEGACY},DNS:db", "db-target": f"IP:{TARGET.address}"}
    made += [name for name, alternatives in names.items() if tls.certificate(TLS / name, alternatives)]
    made += tls.ssh(SSH, TARGET.address)
    return f"made {', '.join(made)}" if made else "all there"


def folder() -> str:
    """The stack's folder as its operator would keep it. A door that is there stays: an edge may be inserted in it."""
    source = HERE / "legacy"
    write(STACK / "compose.yml", (source / "compose.yml").read_text(encoding="utf-8"))
    if not (STACK / "gate" / "notes.conf").exists():
        write(STACK / "gate" / "notes.conf", (source / "gate" / "notes.conf").read_text(encoding="utf-8"))
    password = (SECRETS / "kinto").read_text(encoding="utf-8")
    url = f"postgresql://{OWNER_ROLE}:{password}@db:{DATABASE_PORT}/{DATABASE}?sslmode=verify-full&sslrootcert=/srv/ca.pem"
    ini = (source / "api" / "kinto.ini").read_text(encoding="utf-8")
    for name, value in {"listen": "0.0.0.0:8888", "url": url, "secret": (SECRETS / "hmac").read_text(encoding="utf-8")}.items():
        ini = ini.replace(f"{{{name}}}", value)
    write(STACK / "api" / "kinto.ini", ini, 0o600)
    write(STACK / "tls" / "ca.pem", settings.CA.read_text(encoding="utf-8"))
    return "ready"


def compose(*words: str) -> str:
    return run(["docker", "compose", "-f", STACK / "compose.yml", *words], timeout=180).stdout


def services() -> str:
    """PostgreSQL with the application's schema, then the application, then what its users made."""
    compose("up", "-d", "--wait", "db")
    if not _psql("postgres", f"select 1 from pg_database where datname = '{DATABASE}'"):
        password = (SECRETS / "kinto").read_text(encoding="utf-8")
        _psql("postgres", f"create role {OWNER_ROLE} login password '{password}'")
        _psql("postgres", f"create database {DATABASE} owner {OWNER_ROLE}")
    if not _psql(DATABASE, "select to_regclass('public.metadata')"):
        compose("run", "--rm", "--no-deps", "api", "/opt/kinto/lib/bin/kinto", "migrate", "--ini", "/run/secrets/kinto.ini")
    compose("up", "-d", "api")
    # Before the gate, whose nginx does not start without the name of an edge that is inserted in it.
    run(["docker", "start", EDGE], check=False)
    compose("up", "-d")
    return "3 services"


def name() -> str:
    """The service's record, where a lab that is older than it does not have one."""
    if any(nameservers.lookup(server, HOSTNAME) for server in settings.SERVERS):
        return "known"
    key = json.loads(settings.TSIG.read_text(encoding="utf-8"))
    words = f"server {settings.PRIMARY}\nzone {settings.ZONE}\nadd {HOSTNAME}. {RECORD_TTL} A {settings.LEGACY}\nsend\n"
    run(["knsupdate"], text=f"key {key['algorithm']}:{key['name']} {key['secret']}\n{words}")
    wait(f"all name servers to know {HOSTNAME}", lambda: all(nameservers.lookup(server, HOSTNAME) for server in settings.SERVERS), 30)
    return "added"


def application() -> str:
    """The service by its public name, with an account, a bucket and records in it."""
    reply: list[client.Reply] = []

    def answers() -> bool:
        with suppress(OSError, http.client.HTTPException):
            reply[:] = [client.Client(_reach(), timeout=3).request("GET", HEALTH)]
        return bool(reply) and reply[0].status == 200

    wait(f"https://{HOSTNAME}:{PORT}{HEALTH} to answer 200", answers, 60, 0.3)
    session = client.Client(_reach(), headers=HEADERS)
    if session.request("GET", f"{BUCKET}/collections/archive").status != 200:
        _made(client.Client(_reach()).request("PUT", f"/v1/accounts/{LOGIN['user']}", {"data": {"password": LOGIN["password"]}}))
        for path in (BUCKET, *(f"{BUCKET}/collections/{name}" for name in ("writes", "probe", "smoke"))):
            _made(session.request("PUT", path))
        _psql(DATABASE, "insert into objects (id, parent_id, resource_name, data, deleted)"
                        " select 'note-' || n, '/buckets/notes/collections/archive', 'record',"
                        f" jsonb_build_object('text', repeat(md5(n::text), 20)), false from generate_series(1, {_RECORDS}) n")
        # Last, since its presence says that everything before is there.
        _made(session.request("PUT", f"{BUCKET}/collections/archive"))
    return f"200 from {reply[0].side}"


def _made(reply: client.Reply) -> None:
    if reply.status not in (200, 201):
        raise LabError(f"The notes service answered {reply.status}: {reply.body[:300]!r}")


def _reach() -> dict[str, object]:
    return client.load(JSON)


def target() -> str:
    return TARGET.ensure(_equip)


def _equip(root: Path) -> None:
    """What a package of Kinto would have installed."""
    shutil.rmtree(root / "opt" / "hub")
    shutil.copytree(_site(), root / "opt" / "kinto" / "lib")


def _psql(database: str, sql: str) -> str:
    return run(["docker", "exec", "-i", "--user", "pgsql", CONTAINERS["db"], "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
                "-h", "/run/notes-db", "-p", str(DATABASE_PORT), "-U", SUPERUSER, "-d", database], text=sql).stdout.strip()


def states() -> dict[str, str]:
    shown = {name: run(["docker", "inspect", "-f", "{{.State.Status}}", name], check=False) for name in (*CONTAINERS.values(), EDGE)}
    return {name: done.stdout.strip() for name, done in shown.items() if done.returncode == 0}


def stop() -> str:
    """Everything still; data stays."""
    TARGET.stop()
    if (STACK / "compose.yml").exists() and ok(["docker", "info"]):
        run(["docker", "stop", "-t", "5", EDGE], check=False)
        compose("stop", "-t", "15")
    return "stopped"


def remove() -> str:
    """Containers, volume, network, images, disk, secrets, and what the collection left on this machine. Found by label or name."""
    TARGET.stop()
    if ok(["docker", "info"]):
        run(["docker", "rm", "-f", EDGE], check=False)
        for kind, found in _labelled().items():
            if found:
                run(["docker", kind, "rm", *([] if kind == "network" else ["-f"]), *found])
    for path in (HOME, *_TRACES, *([] if os.environ.get("LAB_CACHE") else [CACHE])):
        shutil.rmtree(path, ignore_errors=True)
    JSON.unlink(missing_ok=True)
    return "removed"


def left() -> list[str]:
    """What of it still exists."""
    found = [str(path) for path in (HOME, JSON, *_TRACES) if path.exists()]
    if ok(["docker", "info"]):
        found += [f"{kind} {name}" for kind, names in _labelled().items() for name in names]
    return found


def _labelled() -> dict[str, list[str]]:
    """What the engine has of it, by kind, in the order in which it can be removed."""
    kinds = {"container": "ps -aq", "volume": "volume ls -q", "network": "network ls -q", "image": "images -q"}
    return {kind: sorted(set(run(["docker", *words.split(), "--filter", f"label={LABEL}"]).stdout.split())) for kind, words in kinds.items()}
