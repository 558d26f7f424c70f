# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the sandbox keeps from a service. A path of its manifest that lies there cannot work, and is refused by name. Pure."""

from __future__ import annotations

import posixpath
import typing as t
from dataclasses import dataclass

from .model import Manifest, Service


@dataclass(frozen=True)
class Cover:
    """``places`` that ``setting`` covers, but for ``open``. Where it is ``filled`` the service can put something of its own there."""

    setting: str
    places: tuple[str, ...]
    open: tuple[str, ...] = ()
    filled: bool = False


# systemd.exec(5). BindPaths= below a home or a temporary directory are seen again (tried on systemd 252); what InaccessiblePaths= and
# PrivateDevices= cover is not.
_HOMES = Cover("ProtectHome", ("/home", "/root", "/run/user"))
_TEMPORARY = Cover("PrivateTmp", ("/tmp", "/var/tmp"), filled=True)  # named, not written
_KERNEL = Cover("ProtectKernelModules", ("/usr/lib/modules", "/lib/modules"))
_LOGS = Cover("ProtectKernelLogs", ("/dev/kmsg", "/proc/kmsg"))
_DEVICES = Cover(
    "PrivateDevices",
    ("/dev",),
    open=tuple(f"/dev/{name}" for name in (
        "null", "zero", "full", "random", "urandom", "tty", "shm", "mqueue", "hugepages", "pts", "ptmx", "stdin", "stdout", "stderr", "fd", "log",
    )),
)  # fmt: skip
_PROFILES: t.Mapping[str, tuple[Cover, ...]] = {
    "trusted": (),
    "default": (_HOMES, _TEMPORARY, _KERNEL, _LOGS),
    "strict": (_HOMES, _TEMPORARY, _KERNEL, _LOGS, _DEVICES),
}
_BINDABLE = (_HOMES, _TEMPORARY)


def hidden_paths(manifest: Manifest, service: Service) -> list[tuple[str, str]]:
    """What of a service the sandbox of its module hides, as (key, sentence)."""
    if manifest.image:
        # It has its own tree, in which nothing of the host can be hidden from it.
        return []
    found = []
    for key in ("start_command", "stop_command", "reload_command"):
        for n, word in enumerate(getattr(service, key)):
            path = word if n == 0 else _path_in(word)
            # A word may name a file that the service makes itself, such as a socket in its own /tmp; a program is there before it.
            found += _named(manifest, service, f"{key}[{n}]", path, made=n > 0)
    found += _named(manifest, service, "working_directory", service.working_directory, made=service.working_directory in _TEMPORARY.places)
    for n, bind in enumerate(service.binds):
        target = bind.split(":")[1] if ":" in bind else bind
        cover = _cover(manifest, target, [item for item in _covers(manifest) if item not in _BINDABLE])
        found += [(f"binds[{n}]", _sentence(manifest, target, cover))] if cover else []
    return found


def hidden_files(manifest: Manifest, service: Service, paths: t.Iterable[str]) -> list[str]:
    """Sentences about those of ``paths`` that a service shall read and cannot see."""
    if manifest.image:
        return []
    return [sentence for path in paths for _key, sentence in _named(manifest, service, "", path, made=False)]


def _path_in(word: str) -> str:
    """The path that a word of a command is, or that follows its first ``=``; empty without one."""
    value = word if word.startswith("/") else word.partition("=")[2]
    return value if value.startswith("/") else ""


def _named(manifest: Manifest, service: Service, key: str, path: str, made: bool) -> list[tuple[str, str]]:
    if not path:
        return []
    shown = [bind.split(":")[1] if ":" in bind else bind for bind in service.binds]
    covers = [
        cover
        for cover in _covers(manifest)
        if not (made and cover.filled) and not (cover in _BINDABLE and any(_below(path, target) for target in shown))
    ]
    cover = _cover(manifest, path, covers)
    return [(key, _sentence(manifest, path, cover))] if cover else []


def _covers(manifest: Manifest) -> tuple[Cover, ...]:
    profile = "trusted" if manifest.security.privileged else manifest.security.profile
    return (*((Cover("mask", manifest.mask),) if manifest.mask else ()), *_PROFILES[profile])


def _cover(manifest: Manifest, path: str, covers: t.Sequence[Cover]) -> t.Optional[Cover]:
    hiding = (cover for cover in covers if any(_below(path, place) for place in cover.places))
    return next((cover for cover in hiding if not any(_below(path, place) for place in cover.open)), None)


def _below(path: str, place: str) -> bool:
    """Whether ``path`` is ``place`` or lies below it. Two slashes at the start are one for Linux."""
    path, place = (posixpath.normpath(item).replace("//", "/") for item in (path, place))
    return path == place or path.startswith(place.rstrip("/") + "/")


def _sentence(manifest: Manifest, path: str, cover: Cover) -> str:
    if cover.setting == "mask":
        return f"{path} lies in what mask of {manifest.id} hides from it; take it out of mask."
    bind = ", name its directory in binds" if cover in _BINDABLE else ""
    return (
        f"{path} is hidden from the service by {cover.setting} of profile {manifest.security.profile}; "
        f"move it elsewhere{bind}, or set security.profile: trusted."
    )
