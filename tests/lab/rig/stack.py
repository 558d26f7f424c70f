# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The legacy stack: docker compose, its data, and beside it a container that belongs to somebody else."""
from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import typing as t
from pathlib import Path

from . import image, settings, versions
from .shell import LabError, run, wait, write

POSTGRES = f"{settings.PROJECT}-postgres-1"
VOLUME = f"{settings.PROJECT}_postgres"
SERVICES = ("postgres", "backend", "frontend", "nginx")
_ATTACHED = settings.HOME / "run" / "attached.json"
_PROJECT_LABEL = "com.docker.compose.project"


def compose(*words: str, timeout: float = 180) -> str:
    return run(["docker", "compose", "-f", settings.STACK / "compose.yml", *words], timeout=timeout).stdout


def prepare() -> str:
    """The stack's folder as its operator would keep it. An entrance that is there stays: an edge may be inserted in it."""
    source = settings.LAB / "legacy"
    made = f"image: {image.name('postgres')}\n"
    text = (source / "compose.yml").read_text(encoding="utf-8").replace(made, f"image: {image.name('postgres', versions.majors()['legacy'])}\n")
    write(settings.STACK / "compose.yml", text)
    site = settings.STACK / "nginx" / "site.conf"
    if not site.exists():
        write(site, (source / "nginx" / "site.conf").read_text(encoding="utf-8"))
    pairs = {"ca.pem": settings.CA, "hub.crt": settings.TLS / "hub.crt", "hub.key": settings.TLS / "hub.key",
             "postgres.crt": settings.TLS / "postgres-legacy.crt", "postgres.key": settings.TLS / "postgres-legacy.key"}
    for name, path in pairs.items():
        write(settings.STACK / "tls" / name, path.read_text(encoding="utf-8"), 0o600 if name.endswith(".key") else 0o644)
    return "ready"


def database() -> str:
    """PostgreSQL up, and seeded once."""
    _volume()
    health = run(["docker", "inspect", "-f", "{{.State.Health.Status}}", POSTGRES], check=False)
    if health.stdout.strip() != "healthy":
        compose("up", "-d", "--wait", "postgres")
    seeded = _seeded()
    if seeded:
        scale = json.loads(seeded)["scale"]
        wanted = os.environ.get("LAB_SCALE", scale)
        if wanted != scale:
            raise LabError(f"The lab holds data of scale {scale}, LAB_SCALE is {wanted}. Run lab.py reset, then lab.py up.")
        return f"seeded, scale {scale}"
    scale = os.environ.get("LAB_SCALE", "tiny")
    if scale not in settings.SCALES:
        raise LabError(f"LAB_SCALE is {scale!r}; it takes {', '.join(settings.SCALES)}.")
    _seed(scale)
    size = _psql(f"select pg_size_pretty(pg_database_size('{settings.DATABASE}'))", "postgres")
    return f"seeded now, scale {scale}, {size}"


def services() -> str:
    compose("up", "-d")
    _foreign()
    again = json.loads(_ATTACHED.read_text(encoding="utf-8")) if _ATTACHED.exists() else []
    for name in again:
        run(["docker", "start", name], check=False)
    _ATTACHED.unlink(missing_ok=True)
    return f"{len(SERVICES)} services" + (f", and again {', '.join(again)}" if again else "")


def owner() -> list[str]:
    """The clone that made the data, if there is any; the volume carries its path."""
    labels = volume_labels(VOLUME)
    return [] if labels is None else [labels.get(settings.LABEL, "")]


def volume_labels(name: str) -> dict[str, str] | None:
    """None when there is no such volume."""
    shown = run(["docker", "volume", "inspect", name], check=False)
    return (json.loads(shown.stdout)[0]["Labels"] or {}) if shown.returncode == 0 else None


def ownership(label: str, *passwords: Path) -> dict[str, str]:
    """Labels that tell whose data a volume holds: the clone, and the passwords that open it. A clone at the same path may have new ones."""
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in passwords)).hexdigest()[:16]
    return {label: str(settings.TREE), f"{label}.passwords": digest}


def states() -> dict[str, str]:
    """State of each container of the project, by service; those of other projects on its networks by name."""
    shape = '{{.Label "com.docker.compose.service"}}|{{.Names}}|{{.State}}'
    ours = _lines(["docker", "ps", "-a", "--filter", f"label={_PROJECT_LABEL}={settings.PROJECT}", "--format", shape])
    found = {line.split("|")[0]: line.split("|")[2] for line in ours}
    for name in (settings.FOREIGN, *attached(running=False)):
        state = run(["docker", "inspect", "-f", "{{.State.Status}}", name], check=False)
        if state.returncode == 0:
            found[name] = state.stdout.strip()
    return found


def attached(running: bool = True) -> list[str]:
    """Containers that others put on the stack's networks, for instance an edge."""
    names: set[str] = set()
    for network in networks():
        every = [] if running else ["-a"]
        names.update(_lines(["docker", "ps", *every, "--filter", f"network={network}", "--format", "{{.Names}}"]))
    return sorted(name for name in names if not _ours(name))


def _ours(name: str) -> bool:
    label = run(["docker", "inspect", "-f", f'{{{{index .Config.Labels "{_PROJECT_LABEL}"}}}}', name], check=False)
    return label.stdout.strip() == settings.PROJECT


def networks() -> list[str]:
    return _lines(["docker", "network", "ls", "--filter", f"label={_PROJECT_LABEL}={settings.PROJECT}", "--format", "{{.Name}}"])


def stop() -> None:
    others = attached()
    write(_ATTACHED, json.dumps(others))
    for name in (*others, settings.FOREIGN):
        run(["docker", "stop", "-t", "5", name], check=False)
    if (settings.STACK / "compose.yml").exists():
        compose("stop", "-t", "15")


def remove(others: bool = False) -> None:
    """Containers, volumes and networks; found by label, so that a lost folder does not matter.

    A container inherits the labels of its image: with ``others`` those go too that somebody else made from the lab's images.
    """
    own = [settings.LABEL] if others else [f"{settings.LABEL}=foreign", f"{settings.LABEL}=export"]
    containers = attached(running=False)
    for label in (f"{_PROJECT_LABEL}={settings.PROJECT}", *own):
        containers += _lines(["docker", "ps", "-aq", "--filter", f"label={label}"])
    if containers:
        # The engine may be removing one of them already, which it calls an error; what counts is that none is left.
        run(["docker", "rm", "-f", "-v", *sorted(set(containers))], check=False)
        wait("the containers to go", lambda: not set(_lines(["docker", "ps", "-aq"])) & set(containers), 30)
    for kind in ("network", "volume"):
        for label in (f"{_PROJECT_LABEL}={settings.PROJECT}", settings.LABEL):
            for name in _lines(["docker", kind, "ls", "-q", "--filter", f"label={label}"]):
                run(["docker", kind, "rm", name])


def remove_images() -> None:
    # A base that mmdebstrap made is an image of ours; one that was pulled had its public name taken off already.
    references = _lines(["docker", "images", "--filter", f"reference={settings.PROJECT}/*", "--format", "{{.Repository}}:{{.Tag}}"])
    if references:
        run(["docker", "rmi", "-f", *references])
    dangling = _lines(["docker", "images", "-q", "--filter", "dangling=true", "--filter", f"label={settings.LABEL}"])
    if dangling:
        run(["docker", "rmi", "-f", *dangling], check=False)


def left() -> list[str]:
    """What of it the engine still has."""
    found: list[str] = []
    for label in (f"{_PROJECT_LABEL}={settings.PROJECT}", settings.LABEL):
        for kind, words in {"container": "ps -a", "volume": "volume ls", "network": "network ls", "image": "images"}.items():
            found += [f"{kind} {name}" for name in _lines(["docker", *words.split(), "-q", "--filter", f"label={label}"])]
    found += [f"image {name}" for name in _lines(["docker", "images", "-q", "--filter", f"reference={settings.PROJECT}/*"])]
    return sorted(set(found))


def kill(container: str) -> None:
    run(["docker", "kill", "-s", "KILL", container])


def heal() -> str:
    """Start every container of the stack, and those on its networks, that does not run."""
    down = [name for name, state in states().items() if state != "running"]
    for name in down:
        run(["docker", "start", f"{settings.PROJECT}-{name}-1" if name in SERVICES else name])
    return f"started {', '.join(down)}" if down else "all run"


def _volume() -> None:
    """Made here, so that it carries the clone that it belongs to, and which passwords: they are in that clone's folder."""
    labels = {_PROJECT_LABEL: settings.PROJECT, "com.docker.compose.volume": "postgres",
              **ownership(settings.LABEL, settings.SECRETS / "postgres-superuser", settings.SECRETS / "hub")}
    seen = volume_labels(VOLUME)
    if seen == labels:
        return
    # Left by a clone that is gone (lab.py refuses before it comes here otherwise): nobody knows its passwords any more.
    if seen is not None:
        remove()
    run(["docker", "volume", "create", *(word for name, value in labels.items() for word in ("--label", f"{name}={value}")), VOLUME])


def _foreign() -> None:
    if run(["docker", "start", settings.FOREIGN], check=False).returncode == 0:
        return
    run(["docker", "volume", "create", "--label", f"{settings.LABEL}=foreign", settings.FOREIGN])
    run(["docker", "run", "-d", "--name", settings.FOREIGN, "--label", f"{settings.LABEL}=foreign", "-v", f"{settings.FOREIGN}:/keep",
         "--init", image.BASE, "sh", "-c", "echo untouched > /keep/marker; exec sleep infinity"])


def _psql(sql: str, database: str = settings.DATABASE, variables: t.Mapping[str, str] | None = None) -> str:
    words = [f"{name}={value}" for name, value in (variables or {}).items()]
    return run(["docker", "exec", "-i", "--user", "postgres", POSTGRES, "psql", "-X", "-q", "-A", "-t", "--single-transaction",
                "-v", "ON_ERROR_STOP=1", *(part for word in words for part in ("-v", word)), "-d", database],
               text=sql, timeout=900).stdout.strip()


def _seeded() -> str:
    """The comment that the seed leaves on the database at its end, empty before."""
    return _psql(f"select shobj_description(oid, 'pg_database') from pg_database where datname = '{settings.DATABASE}'", "postgres")


def _seed(scale: str) -> None:
    password = (settings.SECRETS / "hub").read_text(encoding="utf-8")
    if not _psql(f"select 1 from pg_roles where rolname = '{settings.OWNER_ROLE}'", "postgres"):
        _psql(f"create role {settings.OWNER_ROLE} login password '{password}'", "postgres")
    for statement in (f"drop database if exists {settings.DATABASE}", f"create database {settings.DATABASE} owner {settings.OWNER_ROLE}"):
        run(["docker", "exec", "--user", "postgres", POSTGRES, "psql", "-X", "-q", "-c", statement])
    salt = secrets.token_bytes(16)
    digest = hashlib.pbkdf2_hmac("sha256", settings.LOGIN["password"].encode(), salt, 1000)
    sql = (settings.LAB / "app" / "schema.sql").read_text(encoding="utf-8")
    sql += f"\nreset role;\ncomment on database {settings.DATABASE} is '{json.dumps({'scale': scale})}';\n"
    _psql(sql, variables={"documents": str(settings.SCALES[scale]), "login": settings.LOGIN["user"],
                          "salt": f"\\x{salt.hex()}", "digest": f"\\x{digest.hex()}"})
    for statement in ("vacuum analyze", "checkpoint"):
        run(["docker", "exec", "--user", "postgres", POSTGRES, "psql", "-X", "-q", "-d", settings.DATABASE, "-c", statement], timeout=600)


def _lines(argv: list[str]) -> list[str]:
    return run(argv).stdout.split()


def wait_ready(answers: t.Callable[[], bool]) -> None:
    wait(f"{settings.URL}/up to answer 200", answers, 60, 0.3)


def forget() -> None:
    """The folder, and the memory of what others had running."""
    _ATTACHED.unlink(missing_ok=True)
    shutil.rmtree(settings.STACK, ignore_errors=True)
    for folder in (settings.EDGE, settings.EDGE_PRIVATE, settings.SNAPSHOTS):
        shutil.rmtree(folder, ignore_errors=True)
