# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading a compose project of a host through its CLI: its services as they are written, their containers as they run, and their images.

Nothing here writes, starts or pulls. Values that are secrets by their name or form are masked before they leave.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import stat
import tarfile
import typing as t

from .errors import FleetError
from .finding import Finding
from .redact import redact
from .runner import Runner

Json = dict[str, t.Any]

FAILURES = {
    "compose_unknown": "No container of a compose project of this name is on the host.",
    "compose_ambiguous": "Two compose projects answer to what was asked for; both are named.",
    "compose_invalid": "The docker CLI refuses the compose files; its own words are in the message.",
    "compose_changed": "What runs is not what the compose files say now.",
    "compose_down": "A service of the compose project does not run.",
    "compose_bind_missing": "A file or folder that a service mounts is not on the host.",
    "engine_unreachable": "Docker Engine did not answer, or refused; its own words are in the message.",
}

# Labels that compose puts on each container. https://github.com/docker/compose/blob/main/pkg/api/labels.go
_LABEL = "com.docker.compose."
_PROJECT, _SERVICE, _FOLDER, _FILES, _ENVIRONMENT, _HASH, _ONE_OFF = (
    _LABEL + word
    for word in ("project", "service", "project.working_dir", "project.config_files", "project.environment_file", "config-hash", "oneoff")
)
# Seconds for one call; the engine answers in some milliseconds unless it is dying.
_PATIENCE = 60.0
# Bytes of a passwd or group file that are read; a larger one is no such file.
_LARGEST = 1 << 20
# As the engine gives it to an image that sets none.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_IMAGE = ("Entrypoint", "Cmd", "Env", "User", "WorkingDir", "ExposedPorts", "Volumes", "StopSignal", "Healthcheck", "Labels")


class Project(t.NamedTuple):
    """What is asked of the CLI; empty where it decides itself."""

    folder: str
    name: str
    files: tuple[str, ...]
    environment: tuple[str, ...]

    def words(self) -> list[str]:
        pairs = [("--project-directory", self.folder), ("--project-name", self.name), *(("-f", file) for file in self.files)]
        pairs += [("--env-file", file) for file in self.environment]
        return ["docker", "compose", *(word for pair in pairs if pair[1] for word in pair)]


class Compose:
    """The engine and the compose CLI of this host, through ``run``."""

    def __init__(self, run: Runner) -> None:
        self._runner = run

    def read(self, folder: str = "", name: str = "", files: t.Sequence[str] = ()) -> Json:
        """A project by its folder or its name: ``name``, ``folder``, ``files``, ``config``, ``services``, ``findings``.

        ``services`` maps each name to ``containers`` and ``image``. Raises FleetError ``compose_unknown`` (there is none), ``compose_ambiguous``
        (two folders have projects of one name), ``compose_invalid`` (the CLI refuses the files) and ``engine_unreachable``.
        """
        containers = self._containers(folder, name)
        project = _where(folder, name, files, containers)
        config = self._config(project)
        own = [item for item in containers if item["labels"].get(_PROJECT) == config.get("name")]
        services = {service: self._service(service, spec or {}, own) for service, spec in (config.get("services") or {}).items()}
        findings = [*_absent(services, own), *self._changed(project, own), *_missing_binds(config)]
        shown = t.cast(Json, redact({"config": config, "services": services}))
        where = {"name": str(config.get("name")), "folder": project.folder, "files": list(project.files)}
        return {**where, **shown, "findings": [finding.as_dict() for finding in findings]}

    def _containers(self, folder: str, name: str) -> list[Json]:
        """Containers of the project, one-off runs left out."""
        chosen = f"label={_FOLDER}={os.path.normpath(folder)}" if folder else f"label={_PROJECT}={name}"
        ids = self._run(["docker", "ps", "--all", "--quiet", "--no-trunc", "--filter", chosen]).split()
        found = json.loads(self._run(["docker", "inspect", "--type", "container", *ids])) if ids else []
        read = [_container(item) for item in found]
        return [item for item in read if item["labels"].get(_ONE_OFF, "False") == "False"]

    def _config(self, project: Project) -> Json:
        words = [*project.words(), "config", "--format", "json"]
        done = self._runner(words, timeout=_PATIENCE)
        if done.rc != 0 and "is not a docker command" in done.err:
            raise FleetError("tool_missing", "docker has no command compose on this host.",
                             remedy="Install Debian's docker-compose-v2 or Docker's docker-compose-plugin there.")  # fmt: skip
        if done.rc != 0:
            said = " ".join(line for line in done.err.splitlines() if "level=warning" not in line)
            raise FleetError("compose_invalid", f"The compose files in {project.folder} are refused: {said or 'no reason was given'}.",
                             remedy=f"Run `{shlex.join(words[:-2])}` on the host and correct what it names.")  # fmt: skip
        return t.cast(Json, json.loads(done.out))

    def _service(self, service: str, spec: Json, containers: t.Sequence[Json]) -> Json:
        own = [item for item in containers if item["labels"].get(_SERVICE) == service]
        wanted = own[0]["image_id"] if own else str(spec.get("image") or "")
        image = self._image(wanted) if wanted else None
        if image is not None and own:
            image["users"], image["groups"] = self._accounts(own[0]["id"])
            image["programs"] = _programs(spec, image["config"], own[0]["roots"])
        shown = [{key: value for key, value in item.items() if key not in ("labels", "roots")} for item in own]
        return {"containers": shown, "image": image}

    def _image(self, name: str) -> t.Optional[Json]:
        done = self._runner(["docker", "image", "inspect", name], timeout=_PATIENCE)
        if done.rc != 0:
            return None
        given = json.loads(done.out)[0]
        config = {key: value for key, value in (given.get("Config") or {}).items() if key in _IMAGE and value}
        return {"id": given["Id"], "architecture": given.get("Architecture") or "", "os": given.get("Os") or "", "size": given.get("Size"), "config": config}

    def _accounts(self, container: str) -> tuple[t.Optional[Json], t.Optional[Json]]:
        """Users and groups that the files of the container name; None for files that are not there, as in an image of one program."""
        users, groups = (self._file(container, path) for path in ("/etc/passwd", "/etc/group"))
        return (None if users is None else _users(users)), (None if groups is None else _groups(groups))

    def _file(self, container: str, path: str) -> t.Optional[str]:
        """A small text file of a container, running or not, by the engine: nothing of the container is run."""
        done = self._runner(["docker", "cp", "--follow-link", f"{container}:{path}", "-"], timeout=_PATIENCE)
        if done.rc != 0:
            return None
        try:
            with tarfile.open(fileobj=io.BytesIO(done.out.encode("utf-8", "surrogateescape"))) as archive:
                member = archive.next()
                content = archive.extractfile(member) if member is not None and member.isfile() and member.size <= _LARGEST else None
                return content.read().decode("utf-8", "replace") if content else None
        except (tarfile.TarError, EOFError):
            return None

    def _changed(self, project: Project, containers: t.Sequence[Json]) -> list[Finding]:
        """Services whose files say something else than what they were started with."""
        lines = self._run([*project.words(), "config", "--hash", "*"]).splitlines()
        hashes = dict(line.split(None, 1) for line in lines if " " in line)
        stale = sorted({
            item["labels"][_SERVICE]
            for item in containers
            if item["labels"].get(_SERVICE) in hashes and item["labels"].get(_HASH) != hashes[item["labels"][_SERVICE]].strip()
        })
        return [
            Finding("compose_changed", "warn", name, f"{name} runs with other settings than its files have now.",
                    f"Run `{shlex.join([*project.words(), 'up', '-d', name])}` there, or take the change back, so that what is read is what runs.",
                    f"services.{name}")
            for name in stale
        ]  # fmt: skip

    def _run(self, argv: t.Sequence[str]) -> str:
        done = self._runner(argv, timeout=_PATIENCE)
        if done.rc != 0:
            raise FleetError("engine_unreachable", f"`{' '.join(argv[:3])}` ended with {done.rc}: {' '.join(done.err.split()) or 'it said nothing'}.",
                             remedy="Run `docker info` on the host as the same user; start the engine, or let the task run with become.")  # fmt: skip
        return done.out


def _programs(spec: Json, image: Json, roots: t.Sequence[str]) -> t.Optional[dict[str, str]]:
    """Where in the tree of a container the first words of its commands lie, by its PATH; None when its tree cannot be seen.

    Only the names are looked for: nothing of it is opened, and no link is followed.
    """
    if not roots:
        return None
    checks = [(spec.get("healthcheck") or {}).get("test"), (image.get("Healthcheck") or {}).get("Test")]
    # The first word of a check says how the rest is run.
    given = [spec.get("entrypoint"), spec.get("command"), image.get("Entrypoint"), image.get("Cmd"), *(list(test)[1:] for test in checks if test)]
    words = {str(argv[0]) for argv in given if isinstance(argv, list) and argv and "/" not in str(argv[0])}
    lines = dict(str(line).partition("=")[::2] for line in image.get("Env") or [])
    path = str((spec.get("environment") or {}).get("PATH") or lines.get("PATH") or _PATH)
    found = {}
    for word in sorted(words):
        places = (f"{folder.rstrip('/')}/{word}" for folder in path.split(":") if folder.startswith("/"))
        place = next((place for place in places if any(_there(root + place) for root in roots)), None)
        if place is not None:
            found[word] = place
    return found


def _roots(given: Json) -> list[str]:
    """The tree of a container as folders of this host: by the kernel while it runs, else the layers of overlay2, which a container that ended keeps.

    Empty when neither is here, as behind a socket of an engine elsewhere, where a process may have the same number.
    """
    pid = int((given.get("State") or {}).get("Pid") or 0)
    if pid > 0 and _is_of(pid, str(given["Id"])):
        return [f"/proc/{pid}/root"]
    driver = given.get("GraphDriver") or {}
    layers = driver.get("Data") or {}
    upper = layers.get("UpperDir")
    return [upper, *str(layers.get("LowerDir") or "").split(":")] if driver.get("Name") == "overlay2" and upper and os.path.isdir(upper) else []


def _is_of(pid: int, container: str) -> bool:
    """Engines name the control group of a container after it: docker/<id>, or docker-<id>.scope."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            return container in file.read()
    except OSError:
        return False


def _there(path: str) -> bool:
    """Whether something has this name; a character device is how overlay2 says that it was deleted."""
    try:
        return not stat.S_ISCHR(os.lstat(path).st_mode)
    except OSError:
        return False


def _container(given: Json) -> Json:
    state, config = given.get("State") or {}, given.get("Config") or {}
    networks = (given.get("NetworkSettings") or {}).get("Networks") or {}
    return {
        "id": given["Id"],
        "roots": _roots(given),
        "name": str(given.get("Name") or "").lstrip("/"),
        "image_id": given.get("Image"),
        "state": state.get("Status"),
        "health": (state.get("Health") or {}).get("Status"),
        "started_at": state.get("StartedAt"),
        "addresses": {name: item.get("IPAddress") for name, item in networks.items()},
        "mounts": [{key: item.get(key) for key in ("Type", "Name", "Source", "Destination", "RW")} for item in given.get("Mounts") or []],
        "labels": dict(config.get("Labels") or {}),
    }


def _where(folder: str, name: str, files: t.Sequence[str], containers: t.Sequence[Json]) -> Project:
    """The project as its containers were started: with ``-p``, ``-f`` and ``--env-file`` of then. What is given wins."""
    folders = sorted({item["labels"].get(_FOLDER, "") for item in containers} - {""})
    names = sorted({item["labels"].get(_PROJECT, "") for item in containers} - {""})
    if not folder and not folders:
        raise FleetError("compose_unknown", f"No container of a compose project {name} is on this host.",
                         remedy="`docker compose ls --all` shows the projects; start it, or name its folder.")  # fmt: skip
    if len(folders) > 1:
        raise FleetError("compose_ambiguous", f"Two projects are called {name}: {' and '.join(folders)}.", remedy="Name the folder of the one that is meant.",
                         details={"folders": folders})  # fmt: skip
    if folder and not name and len(names) > 1:
        raise FleetError("compose_ambiguous", f"Several projects run from {folder}: {', '.join(names)}.", remedy="Name the project that is meant.",
                         details={"projects": names})  # fmt: skip
    started, environment = (
        [path for path in next((item["labels"][label] for item in containers if item["labels"].get(label)), "").split(",") if path]
        for label in (_FILES, _ENVIRONMENT)
    )
    return Project(folder or folders[0], name or next(iter(names), ""), tuple(files) or tuple(started), tuple(environment))


def _absent(services: t.Mapping[str, Json], containers: t.Sequence[Json]) -> list[Finding]:
    """Services without a container that runs, and containers of services that the files do not name any more."""
    down = [name for name, item in services.items() if not any(container["state"] == "running" for container in item["containers"])]
    orphans = sorted({item["labels"].get(_SERVICE, "") for item in containers} - set(services) - {""})
    return [
        *(Finding("compose_down", "warn", name, f"{name} does not run.", "Start it, or see whether it is meant to end.", f"services.{name}") for name in down),
        *(Finding("compose_changed", "warn", name, f"{name} runs, and the files do not name it any more.", "Take the container away, or put the service back.",
                  f"services.{name}") for name in orphans),
    ]  # fmt: skip


def _missing_binds(config: Json) -> list[Finding]:
    missing = [
        (name, f"services.{name}.volumes[{n}]", mount.get("source"))
        for name, spec in (config.get("services") or {}).items()
        for n, mount in enumerate((spec or {}).get("volumes") or [])
        if mount.get("type") == "bind" and not os.path.exists(str(mount.get("source")))
    ]
    return [
        Finding("compose_bind_missing", "fail", name, f"{name}: {source} does not exist; the engine would make an empty folder.",
                "Put the file there, or take the mount out.", field)
        for name, field, source in missing
    ]  # fmt: skip


def _users(text: str) -> Json:
    found: Json = {}
    for line in text.splitlines():
        parts = line.split(":")
        if len(parts) >= 6 and parts[2].isdigit() and parts[3].isdigit():
            found.setdefault(parts[0], [int(parts[2]), int(parts[3]), parts[5]])
    return found


def _groups(text: str) -> Json:
    rows = [line.split(":") for line in text.splitlines()]
    return {parts[0]: int(parts[2]) for parts in reversed(rows) if len(parts) >= 3 and parts[2].isdigit()}
