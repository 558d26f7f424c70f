# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to lie on a host before units that run in the files of an image can start: files unpacked, folders, the stack's hosts file."""

from __future__ import annotations

import grp
import os
import pwd
import typing as t
from dataclasses import dataclass

from .._core import private
from .._core.errors import FleetError
from .._core.result import Step
from .._core.runner import Runner
from .artifact import Shelf
from .findings import refuse
from .manifest import parse_manifests
from .model import BASE, Manifest
from .render_image import environment_of, hosts_of, layer_of, root_of

_FIRST_LINES = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


@dataclass(frozen=True)
class Staged:
    """``files`` maps a digest to its archive on this host, for those that are not unpacked; ``folders`` and ``hosts`` are what is missing or differs.

    ``groups`` and ``users`` are numbers that this host has no name for: systemd (252) starts nothing for those.
    """

    files: t.Mapping[str, str]
    groups: tuple[int, ...]
    users: tuple[tuple[int, int], ...]
    folders: tuple[tuple[str, int], ...]
    hosts: t.Optional[tuple[str, str]]

    def steps(self) -> list[Step]:
        found = [Step(f"unpack {path}", reason=f"{digest[:19]} is not unpacked") for digest, path in self.files.items()]
        found += [Step(f"add group {_name(gid)}", reason="no group has its number") for gid in self.groups]
        found += [Step(f"add user {_name(uid)}", reason="no user has its number") for uid, _gid in self.users]
        found += [Step(f"make {path}", reason="no such folder") for path, _mode in self.folders]
        return [*found, Step(f"write {self.hosts[0]}", reason="names of the stack differ")] if self.hosts else found


def artifacts(modules: t.Sequence[t.Mapping[str, t.Any]], stack: str, accepted: t.Collection[int] = ()) -> dict[str, str]:
    """Digest of the files of each module with an image, by its id.

    Raises FleetError ``manifest_invalid`` for one without, and ``ports_open`` for ports that are neither published nor ``accepted``: a container's network
    closed them, and a unit has that of its host.
    """
    manifests = parse_manifests([item["manifest"] for item in modules], stack)
    given = {manifest.id: item.get("artifact") or {} for manifest, item in zip(manifests, modules)}
    _refuse_open(manifests, accepted)
    refuse(
        [f"modules.artifact: {manifest.id} runs in an image, and its artifact has no digest." for manifest in manifests
         if manifest.image and not given[manifest.id].get("digest")],
        "Give path and digest as native_artifact returned them.",
    )  # fmt: skip
    return {manifest.id: str(given[manifest.id]["digest"]) for manifest in manifests if manifest.image}


def _refuse_open(manifests: t.Sequence[Manifest], accepted: t.Collection[int]) -> None:
    found = [
        f"{manifest.id}/{service.name} on {port}"
        for manifest in manifests
        for service in manifest.services
        for port in service.ports
        if manifest.image and port not in manifest.published and port not in accepted
    ]
    if found:
        raise FleetError("ports_open", f"Others would reach what the engine kept to itself: {', '.join(found)}. Nothing was changed.",
                         remedy="Let it listen on 127.0.0.1, or close the port with a firewall of the host; then name it in accept_open_ports.")  # fmt: skip


def observe(modules: t.Sequence[t.Mapping[str, t.Any]], stack: str, shelf: Shelf) -> Staged:
    """What is missing. Raises FleetError ``file_missing`` when secrets of a service are nowhere, all of them at once."""
    manifests = parse_manifests([item["manifest"] for item in modules], stack)
    contained = [(manifest, item.get("artifact") or {}) for manifest, item in zip(manifests, modules) if manifest.image]
    _secrets(stack, [manifest for manifest, _artifact in contained])
    files = {str(artifact["digest"]): str(artifact.get("path") or "") for _manifest, artifact in contained if not shelf.has(str(artifact["digest"]))}
    wanted = [place for manifest, artifact in contained for place in _folders(stack, manifest, str(artifact["digest"]))]
    for path, mode in dict.fromkeys(wanted):
        private.folder(path, mode, make=False)
    text = hosts_text(manifests)
    path = hosts_of(stack)
    groups, users = _accounts(manifest for manifest, _artifact in contained)
    missing = tuple(item for item in dict.fromkeys(wanted) if not os.path.isdir(item[0]))
    return Staged(files, groups, users, missing, (path, text) if contained and _text(path) != text else None)


def apply(staged: Staged, shelf: Shelf) -> None:
    for digest, path in staged.files.items():
        shelf.put(path, digest)
    for gid in staged.groups:
        _must(shelf.runner, ["groupadd", "--system", "--gid", str(gid), _name(gid)])
    for uid, gid in staged.users:
        numbers = ["--uid", str(uid), "--gid", str(gid)]
        nowhere = ["--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"]
        _must(shelf.runner, ["useradd", "--system", *numbers, *nowhere, "--comment", "of container images", _name(uid)])
    for path, mode in staged.folders:
        private.folder(path, mode)
    if staged.hosts:
        private.folder(os.path.dirname(staged.hosts[0]), 0o755)
        private.write(staged.hosts[0], staged.hosts[1].encode())


def hosts_text(manifests: t.Sequence[Manifest]) -> str:
    """The hosts file of a stack: names of all its modules, one address a line."""
    names: dict[str, str] = {}
    for manifest in manifests:
        for name, address in manifest.hosts:
            names.setdefault(name, address)
    return _FIRST_LINES + "".join(f"{address}\t{name}\n" for name, address in sorted(names.items()))


def _folders(stack: str, manifest: Manifest, digest: str) -> t.Iterator[tuple[str, int]]:
    """Folders with programs of images are root's alone: who could reach them could run what has the rights of its owner."""
    yield f"{BASE}/{stack}/roots", 0o700
    yield f"{BASE}/{stack}/writable", 0o700
    for service in manifest.services:
        yield root_of(stack, manifest, service), 0o755
        for name in ("upper", "work"):
            yield f"{layer_of(stack, manifest, service, digest)}/{name}", 0o755


def _accounts(manifests: t.Iterable[Manifest]) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    groups: dict[int, None] = {}
    users: dict[int, int] = {}
    for manifest in manifests:
        for service in manifest.services:
            uid, _colon, gid = service.user.partition(":")
            users.setdefault(int(uid), int(gid or uid))
            groups.update(dict.fromkeys((int(gid or uid), *(service.inside.groups if service.inside else ()))))
    return tuple(gid for gid in groups if not _known(grp.getgrgid, gid)), tuple((uid, gid) for uid, gid in users.items() if not _known(pwd.getpwuid, uid))


def _known(look: t.Callable[[int], t.Any], number: int) -> bool:
    try:
        look(number)
    except KeyError:
        return False
    return True


def _name(number: int) -> str:
    return f"image-{number}"


def _must(run: Runner, argv: t.Sequence[str]) -> None:
    done = run(argv, timeout=60)
    if done.rc != 0:
        raise FleetError("account_failed", f"{argv[0]} ended with {done.rc}: {' '.join(done.err.split())}.",
                         remedy="Mend what it says (a lock, a full disk, a name that is taken), then run this again.")  # fmt: skip


def _secrets(stack: str, manifests: t.Sequence[Manifest]) -> None:
    missing = [
        (environment_of(stack, manifest, service), service.inside.secret_environment)
        for manifest in manifests
        for service in manifest.services
        if service.inside is not None and service.inside.secret_environment
    ]
    missing = [(path, names) for path, names in missing if not os.path.isfile(path)]
    if missing:
        words = "; ".join(f"{path} for {', '.join(names)}" for path, names in missing)
        raise FleetError("file_missing", f"Files with secret variables are not there: {words}. Nothing was changed.",
                         remedy="Write a line NAME=value for each, owner root, mode 0600.")  # fmt: skip


def _text(path: str) -> t.Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None
