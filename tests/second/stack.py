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
    ACCOUNT, BUCKET, CACHE, CALLER, CONTAINERS, DATABASE, EDGE, HEADERS, HEALTH, HERE, HOME, HOST, HOST_PORT, HOSTNAME, IMAGES, JSON, LABEL, LOGIN,
    OPERATOR, PORT, RECORD_TTL, SECRETS, SHARED, SSH, STACK, TARGET, TLS, USERS,
)
from rig import client, image, nameservers, settings, tls
from rig.shell import LabError, ok, run, wait, write
from rig.stack import ownership, volume_labels

_KEY = f"{LABEL}.key"
# What Kinto runs on, whatever Python the controller has.
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
_RECORDS = 3000
VOLUME = "notes-cluster"
# The numbers of the image's user postgres, who reads his password and key himself.
_POSTGRES = 999


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
    bases = run(["docker", "image", "inspect", "-f", "{{.Id}}", *(image.name(stage) for stage in ("postgres", "app", "target"))]).stdout
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
    passwords = ("kinto", "link", "hmac", *(f"sudo-{side}" for side in USERS))
    made = [name for name in passwords if tls.secret(SECRETS / name, secrets.token_urlsafe(24))]
    TLS.mkdir(parents=True, exist_ok=True)
    names = {"notes": f"DNS:{HOSTNAME}", "db-legacy": f"IP:{settings.LEGACY},DNS:db", "db-target": f"IP:{TARGET.address}"}
    made += [name for name, alternatives in names.items() if tls.certificate(TLS / name, alternatives)]
    made += tls.ssh(SSH, TARGET.address)
    key = (SSH / "host_ed25519.pub").read_text(encoding="utf-8").split()[:2]
    # One key serves both doors here; the second one is not on port 22, which known_hosts writes so: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
    known = [f"{name} {' '.join(key)}\n" for name in (TARGET.address, f"[{settings.LEGACY}]:{HOST_PORT}")]
    write(SSH / "known_hosts", "".join(known))
    write(SSH / "config", _ssh_config())
    OPERATOR.mkdir(exist_ok=True)
    for folder in (SECRETS, TLS, SSH, OPERATOR):
        for path in (folder, *folder.rglob("*")):
            os.chown(path, CALLER, CALLER, follow_symlinks=False)
    return f"made {', '.join(made)}" if made else "all there"


def _ssh_config() -> str:
    """As ~/.ssh/config: the new home is reached through the docker host, each as a user of its own."""
    doors = {"legacy": f"HostName {settings.LEGACY}\n    Port {HOST_PORT}", "target": f"HostName {TARGET.address}\n    ProxyJump {USERS['legacy'][0]}"}
    hosts = [f"Host {name}\n    {doors[side]}\n    User {user}\n" for side, (name, user) in USERS.items()]
    return "".join(hosts) + (
        f"Host *\n    IdentityFile {SSH / 'id_ed25519'}\n    IdentitiesOnly yes\n    UserKnownHostsFile {SSH / 'known_hosts'}\n"
        "    StrictHostKeyChecking yes\n    BatchMode yes\n"
    )


def folder() -> str:
    """The stack's folder as its operator would keep it. A door that is there stays: an edge may be inserted in it."""
    source = HERE / "legacy"
    write(STACK / "compose.yml", (source / "compose.yml").read_text(encoding="utf-8"))
    if not (STACK / "gate" / "Caddyfile").exists():
        write(STACK / "gate" / "Caddyfile", (source / "gate" / "Caddyfile").read_text(encoding="utf-8"))
    password = (SECRETS / "kinto").read_text(encoding="utf-8")
    url = f"postgresql://{ACCOUNT}:{password}@db/{DATABASE}"
    ini = (source / "api" / "kinto.ini").read_text(encoding="utf-8")
    for name, value in {"listen": "0.0.0.0:8888", "url": url, "secret": (SECRETS / "hmac").read_text(encoding="utf-8")}.items():
        ini = ini.replace(f"{{{name}}}", value)
    write(STACK / "api" / "kinto.ini", ini, 0o600)
    write(STACK / "tls" / "ca.pem", settings.CA.read_text(encoding="utf-8"))
    write(STACK / "tls" / "server.crt", (TLS / "db-legacy.crt").read_text(encoding="utf-8"))
    for path, text in ((STACK / "tls" / "server.key", TLS / "db-legacy.key"), (STACK / "secrets" / "db_password", SECRETS / "kinto")):
        write(path, text.read_text(encoding="utf-8"), 0o600)
        os.chown(path, _POSTGRES, _POSTGRES)
    return "ready"


def compose(*words: str) -> str:
    return run(["docker", "compose", "-f", STACK / "compose.yml", *words], timeout=180).stdout


def volume() -> str:
    """The database's volume with the clone and the passwords that it belongs to. One of other passwords is useless, and goes with its stack."""
    wanted, seen = ownership(LABEL, SECRETS / "kinto"), volume_labels(VOLUME)
    if seen == wanted:
        return "ours"
    # A container carries the label of its image, too: the edge and whatever else was made from one of them.
    run(["docker", "rm", "-f", EDGE], check=False)
    _remove(_labelled(("container", "volume", "network")))
    run(["docker", "volume", "rm", "-f", VOLUME], check=False)
    # The edge that was in the way went with its stack, so the door is as its operator has it.
    shutil.rmtree(SHARED, ignore_errors=True)
    write(STACK / "gate" / "Caddyfile", (HERE / "legacy" / "gate" / "Caddyfile").read_text(encoding="utf-8"))
    run(["docker", "volume", "create", *(word for name, value in wanted.items() for word in ("--label", f"{name}={value}")), VOLUME])
    return "made" if seen is None else "made anew, the one of another clone is gone"


def services() -> str:
    """PostgreSQL with the application's schema, then the application, then what its users made."""
    compose("up", "-d", "--wait", "db")
    if not _psql("select to_regclass('public.metadata')"):
        compose("run", "--rm", "--no-deps", "api", "/opt/kinto/lib/bin/kinto", "migrate", "--ini", "/run/secrets/kinto.ini")
    compose("up", "-d", "api")
    # Before the gate, which may lead to it.
    run(["docker", "start", EDGE], check=False)
    compose("up", "-d")
    return "3 services"


def host() -> str:
    """The docker host's door: its own file system, and of the machine what an operator's commands reach."""
    user = USERS["legacy"][1]
    if run(["docker", "inspect", "-f", "{{.State.Running}} {{.Image}}", HOST], check=False).stdout.split() != ["true", _image_id(IMAGES["host"])]:
        run(["docker", "rm", "-f", HOST], check=False)
        program = shutil.which("docker")
        plugin = json.loads(run(["docker", "info", "--format", "{{json .ClientInfo.Plugins}}"]).stdout)[0]["Path"]
        places = {"/var/run/docker.sock": "/var/run/docker.sock", os.path.realpath(str(program)): "/usr/local/bin/docker:ro",
                  os.path.realpath(plugin): "/usr/local/lib/docker/cli-plugins/docker-compose:ro",
                  str(STACK): str(STACK), str(SHARED): str(SHARED), str(SECRETS / "sudo-legacy"): "/run/host/password:ro",
                  str(SSH / "id_ed25519.pub"): "/run/host/authorized_keys:ro", str(SSH / "host_ed25519"): "/run/host/key:ro"}
        run(["docker", "run", "-d", "--init", "--name", HOST, "--network", "host", "--label", f"{LABEL}=stack",
             *(word for outside, inside in places.items() for word in ("-v", f"{outside}:{inside}")), IMAGES["host"], settings.LEGACY, HOST_PORT])
    ssh = ["ssh", "-F", SSH / "config", USERS["legacy"][0]]
    wait("the docker host's door", lambda: ok([*ssh, "true"]), 30, 0.2)
    if ok([*ssh, "sudo", "-n", "true"]):
        raise LabError(f"{user} becomes root without a password.")
    return "open"


def _image_id(name: str) -> str:
    return run(["docker", "image", "inspect", "-f", "{{.Id}}", name]).stdout.strip()


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
        _psql("insert into objects (id, parent_id, resource_name, data, deleted)"
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
    """What a package of Kinto would have installed, and the door: ssh as a user, sudo with a password."""
    shutil.copytree(_site(), root / "opt" / "kinto" / "lib")
    user = USERS["target"][1]
    entry = next(line for line in (root / "etc/passwd").read_text(encoding="utf-8").splitlines() if line.startswith(f"{user}:")).split(":")
    place = root / entry[5].lstrip("/") / ".ssh"
    write(place / "authorized_keys", (SSH / "id_ed25519.pub").read_text(encoding="utf-8"), 0o600)
    for path in (place, place / "authorized_keys"):
        os.chown(path, int(entry[2]), int(entry[3]))
    place.chmod(0o700)
    word = run(["openssl", "passwd", "-6", "-stdin"], text=(SECRETS / "sudo-target").read_text(encoding="utf-8")).stdout.strip()
    shadow = root / "etc/shadow"
    lines = shadow.read_text(encoding="utf-8").splitlines()
    changed = [":".join([user, word, *line.split(":")[2:]]) if line.startswith(f"{user}:") else line for line in lines]
    # In place, so that its owner and group stay.
    shadow.write_text("\n".join(changed) + "\n", encoding="utf-8")


def _psql(sql: str) -> str:
    return run(["docker", "exec", "-i", "--user", "postgres", CONTAINERS["db"], "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
                "-U", ACCOUNT, "-d", DATABASE], text=sql).stdout.strip()


def states() -> dict[str, str]:
    shown = {name: run(["docker", "inspect", "-f", "{{.State.Status}}", name], check=False) for name in (*CONTAINERS.values(), EDGE, HOST)}
    return {name: done.stdout.strip() for name, done in shown.items() if done.returncode == 0}


def edge_users() -> list[str]:
    """Numbers of the users that the processes of the old side's edge run as; empty when it does not run."""
    # The engine needs the column of the process, whatever else is asked for.
    lines = run(["docker", "top", EDGE, "-o", "pid,uid"], check=False).stdout.splitlines()[1:]
    return sorted({line.split()[1] for line in lines})


def strangers() -> list[str]:
    """What on the controller was made by the operator's runs and does not belong to him."""
    return sorted(str(path) for path in OPERATOR.rglob("*") if path.lstat().st_uid != CALLER)


def stop() -> str:
    """Everything still; data stays."""
    TARGET.stop()
    if (STACK / "compose.yml").exists() and ok(["docker", "info"]):
        run(["docker", "stop", "-t", "5", EDGE, HOST], check=False)
        compose("stop", "-t", "15")
    return "stopped"


def remove() -> str:
    """Containers, volume, network, images, disk, secrets, and what the collection left on this machine. Found by label or name."""
    TARGET.stop()
    if ok(["docker", "info"]):
        run(["docker", "rm", "-f", EDGE], check=False)
        _remove(_labelled())
    for path in (HOME, SHARED, *([] if os.environ.get("LAB_CACHE") else [CACHE])):
        shutil.rmtree(path, ignore_errors=True)
    JSON.unlink(missing_ok=True)
    return "removed"


def left() -> list[str]:
    """What of it still exists."""
    found = [str(path) for path in (HOME, JSON, SHARED) if path.exists()]
    if ok(["docker", "info"]):
        found += [f"{kind} {name}" for kind, names in _labelled().items() for name in names]
    return found


def _remove(found: dict[str, list[str]]) -> None:
    for kind, names in found.items():
        if names:
            run(["docker", kind, "rm", *([] if kind == "network" else ["-f"]), *names])


def _labelled(kinds: tuple[str, ...] = ("container", "volume", "network", "image")) -> dict[str, list[str]]:
    """What the engine has of it, by kind, in the order in which it can be removed."""
    words = {"container": "ps -aq", "volume": "volume ls -q", "network": "network ls -q", "image": "images -q"}
    return {kind: sorted(set(run(["docker", *words[kind].split(), "--filter", f"label={LABEL}"]).stdout.split())) for kind in kinds}
