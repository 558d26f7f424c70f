# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a service sees of files: its volumes, files of the old host, configs, secrets, and what lies in memory."""

from __future__ import annotations

import posixpath
import re
import typing as t

from ..._core.secret_forms import names_secret
from .model import Carried
from .reading import Reading, label

# Sockets of engines, by where they lie. Whoever writes there has the host.
_SOCKETS = ("docker.sock", "containerd.sock", "podman.sock", "crio.sock")
# Files that each host has for itself; a service that shows them reads those of its own host.
_OF_THE_HOST = (
    "/etc/localtime", "/etc/timezone", "/etc/resolv.conf", "/etc/machine-id", "/etc/ssl/certs", "/etc/pki", "/usr/share/zoneinfo",
    "/usr/share/ca-certificates",
)  # fmt: skip
# Of the kernel or of the whole host: there is nothing that could be carried.
_NEVER = ("/", "/dev", "/proc", "/sys", "/run", "/var/run", "/boot", "/lib/modules", "/usr/lib/modules", "/usr/src", "/var/lib/docker",
          "/var/lib/containers", "/var/log", "/etc", "/usr", "/bin", "/lib", "/sbin", "/root")  # fmt: skip
_ABOVE = ("/dev", "/proc", "/sys", "/run", "/var/run", "/lib/modules", "/usr/lib/modules", "/var/lib/docker", "/var/lib/containers")
_MOUNT = ("type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs", "image")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_FILE = ("source", "target", "uid", "gid", "mode")


def mounts(reading: Reading) -> dict[str, t.Any]:
    """Keys of the service's part of a manifest; what has to be carried is noted in the reading."""
    memory = [_memory(reading, str(item)) for item in _list(reading.spec.get("tmpfs"))]
    for n, item in enumerate(reading.items("volumes")):
        mount = reading.mapping(f"volumes[{n}]", item, _MOUNT)
        kind = mount.get("type")
        if kind == "tmpfs":
            memory.append(_sized(reading, f"volumes[{n}]", mount))
        elif kind == "volume":
            _volume(reading, f"volumes[{n}]", mount)
        elif kind == "bind":
            _bind(reading, f"volumes[{n}]", mount)
        else:
            reading.refuse(f"volumes[{n}]", f"is a mount of type {kind}, which only an engine can make")
    _anonymous(reading)
    _files(reading, "configs", "/")
    _files(reading, "secrets", "/run/secrets/")
    found: dict[str, t.Any] = {
        "binds": [f"{item.path}:{item.target}{':ro' if item.read_only else ''}" for item in reading.carried],
        "tmpfs": [item for item in memory if item],
        "shared_memory": reading.size("shm_size", reading.spec["shm_size"]) if "shm_size" in reading.spec else None,
        "read_only": bool(reading.spec.get("read_only")),
    }
    return {key: value for key, value in found.items() if value}


def _list(value: t.Any) -> list[t.Any]:
    return value if isinstance(value, list) else [value] if value else []


def _base(reading: Reading) -> str:
    return f"/var/lib/bowline/{reading.stack}"


def _memory(reading: Reading, text: str) -> str:
    """``/run`` or ``/run:size=64m,mode=1777`` of compose's short form, in the words of TemporaryFileSystem=."""
    path, colon, options = text.partition(":")
    if not path.startswith("/"):
        reading.refuse("tmpfs", f"must be an absolute path, is {path!r}")
        return ""
    return f"{posixpath.normpath(path)}{colon}{options}"


def _sized(reading: Reading, key: str, mount: t.Mapping[str, t.Any]) -> str:
    details = reading.mapping(f"{key}.tmpfs", mount.get("tmpfs") or {}, ("size", "mode"))
    options = [f"size={reading.size(f'{key}.tmpfs.size', details['size'])}"] if details.get("size") else []
    options += [f"mode={int(details['mode']):o}"] if details.get("mode") is not None else []
    return _memory(reading, ":".join([str(mount.get("target")), *([",".join(options)] if options else [])]))


def _volume(reading: Reading, key: str, mount: t.Mapping[str, t.Any]) -> None:
    details = reading.mapping(f"{key}.volume", mount.get("volume") or {}, ("nocopy", "subpath", "labels"))
    for name in sorted(details):
        if name != "subpath":
            reading.leave(f"{key}.volume.{name}", "decides what an engine does when it makes the volume; its content is carried")
    name, target = str(mount.get("source") or ""), posixpath.normpath(str(mount.get("target")))
    if not name:
        _note(reading, "anonymous", target, f"{_base(reading)}/volumes/{label(reading.name)}{target}", target, bool(mount.get("read_only")))
        return
    volume = (reading.project.get("volumes") or {}).get(name) or {}
    driver = volume.get("driver", "local")
    if driver != "local":
        reading.refuse(key, f"is volume {name} of the driver {driver}, whose files are not on the old host")
    if volume.get("driver_opts"):
        reading.refuse(key, f"is volume {name} with options of its driver, which mount something from elsewhere",
                       "Mount it on the new host yourself and name its folder, or leave the service on the old host.")  # fmt: skip
    below = f"/{details['subpath'].strip('/')}" if details.get("subpath") else ""
    if ".." in below.split("/"):
        reading.refuse(f"{key}.volume.subpath", "must not lead out of the volume")
    real = str(volume.get("name") or name)
    _note(reading, "volume", real, f"{_base(reading)}/volumes/{_as_file(reading, key, name)}{below}", target, bool(mount.get("read_only")))


def _bind(reading: Reading, key: str, mount: t.Mapping[str, t.Any]) -> None:
    details = reading.mapping(f"{key}.bind", mount.get("bind") or {}, ("create_host_path", "propagation", "selinux", "recursive"))
    source, target = (posixpath.normpath(str(mount.get(name))) for name in ("source", "target"))
    if details.get("propagation") not in (None, "", "private", "rprivate"):
        reading.refuse(f"{key}.bind.propagation", "shares mounts with the old host")
    if details.get("selinux"):
        reading.leave(f"{key}.bind.selinux", "labels are those of the new host")
    if source.endswith(_SOCKETS):
        reading.refuse(key, f"is {source}, the socket of an engine: whoever writes there has the host")
    elif any(source == path or source.startswith(path + "/") for path in _OF_THE_HOST):
        reading.carried.append(Carried("host", source, source, target, True))
    elif source in _NEVER or any(source.startswith(path + "/") for path in _ABOVE):
        reading.refuse(key, f"is {source} of the old host, which cannot be carried to another one")
    elif not source.startswith("/"):
        reading.refuse(key, f"must have an absolute source, is {source!r}; give the output of `docker compose config`")
    else:
        _note(reading, "bind", source, f"{_base(reading)}/files{source}", target, bool(mount.get("read_only")))


def _anonymous(reading: Reading) -> None:
    """Folders that the image declares as volumes and that nobody mounts: the engine gives each a volume without a name."""
    mounted = {item.target for item in reading.carried}
    for path in sorted(reading.image.config.get("Volumes") or {}):
        target = posixpath.normpath(str(path))
        if target not in mounted:
            _note(reading, "anonymous", target, f"{_base(reading)}/volumes/{label(reading.name)}{target}", target, False)


def _files(reading: Reading, key: str, folder: str) -> None:
    for n, item in enumerate(reading.items(key)):
        given = reading.mapping(f"{key}[{n}]", {"source": item} if isinstance(item, str) else item, _FILE)
        name = str(given.get("source"))
        declared = (reading.project.get(key) or {}).get(name) or {}
        target = str(given.get("target") or name)
        target = target if target.startswith("/") else folder + target
        if declared.get("external"):
            reading.refuse(f"{key}[{n}]", f"is {name}, which an engine keeps and gives to nobody", "Put its content into a file of the project.")
            continue
        for word in sorted({"uid", "gid", "mode"} & set(given)):
            # Compose itself passes the file on as it is. https://docs.docker.com/reference/compose-file/services/#secrets
            reading.leave(f"{key}[{n}].{word}", "compose does not set it on a file either")
        source = next((str(declared[word]) for word in ("file", "environment", "content") if declared.get(word) is not None), "")
        if not source:
            reading.refuse(f"{key}[{n}]", f"is {name}, which the project does not declare")
            continue
        kind = "secret" if key == "secrets" or names_secret(name) else "config"
        where = source if declared.get("file") else f"{'environment' if declared.get('environment') else 'content'} of {key}.{name}"
        _note(reading, kind, where, f"/etc/bowline/{reading.stack}/{key}/{_as_file(reading, key, name)}", posixpath.normpath(target), True)


def _as_file(reading: Reading, key: str, name: str) -> str:
    """A name of the project as one of a file: compose allows no others, so nothing leads elsewhere and no two are one."""
    if not _NAME.match(name):
        reading.refuse(key, f"has the name {name!r}, which compose does not allow")
        return "_"
    return name


def _note(reading: Reading, kind: str, source: str, path: str, target: str, read_only: bool) -> None:
    for word, text in (("source", source), ("target", target)):
        if any(sign in text for sign in (":", "\n", "\0")):
            reading.refuse("volumes", f"has the {word} {text!r}; a colon or a new line cannot stand in a path here")
            return
    if not target.startswith("/") or target == "/":
        reading.refuse("volumes", f"has the target {target!r}, which must be an absolute path below /")
        return
    reading.carried.append(Carried(kind, source, path, target, read_only))
