# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where an edge lies on its host, and whose each part is.

The directory is root's; the process of the edge reads its configuration there and owns nothing but ``run``, in which it makes its sockets. The
folder beside it is root's alone: the token of the pair, and which commands take the edge out of the proxy again. Nothing that the process can
write is ever read as an order.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import stat
import typing as t

from .._core import private
from .._core.errors import FleetError
from .faults import refuse
from .model import RUN, EdgeSpec
from .render import CONFIG_FILE, INSERTION_FILE, PRIVATE, TOKEN_FILE

CONFIG_MODE = 0o640


def identity(user: str | None, group: str | None, planned: bool) -> tuple[int | None, int | None]:
    """Numbers of what the edge runs as, None for nothing asked; with ``planned`` a user that is still to come is None as well.

    Raises FleetError ``option_invalid`` for root, for a user that the host does not know, and for a number without a group.
    """
    if user is None:
        refuse(["group needs a user."] if group is not None else [])
        return None, None
    if user.isascii() and user.isdigit():
        uid: int | None = int(user)
        gid = group_id("group", group, planned)
        refuse([] if group is not None else [f"user is the number {user}, which needs a group."])
    else:
        try:
            entry = pwd.getpwnam(user)
        except (KeyError, ValueError):
            if planned:
                return None, None
            raise FleetError(
                "option_invalid",
                f"user is {user!r}, which this host does not know; nothing was changed.",
                remedy="Install the package that brings it (haproxy), or name another user; root is refused.",
            ) from None
        uid, gid = entry.pw_uid, entry.pw_gid if group is None else group_id("group", group, planned)
    refuse(["user is root; an edge serves the network and needs no right of root. Name a user of its own, such as haproxy."] if uid == 0 else [])
    return uid, gid


def group_id(field: str, group: str | None, planned: bool = False) -> int | None:
    """The number of a group, None without one; raises FleetError ``option_invalid`` for one that the host does not know."""
    if group is None:
        return None
    if group.isascii() and group.isdigit():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except (KeyError, ValueError):
        refuse([] if planned else [f"{field} is {group!r}, which this host does not know."])
        return None


def make_folders(spec: EdgeSpec) -> None:
    """The directory, the folder beside it, and what the process may write; owners and modes are set anew each time."""
    private.folder(spec.directory + PRIVATE, field="directory")
    # Others pass through to a socket of theirs, and list nothing.
    os.chmod(private.folder(spec.directory, 0o755, field="directory"), 0o711)
    uid = os.geteuid() if spec.uid is None else spec.uid
    gid = os.getegid() if spec.gid is None else spec.gid
    with _opened(spec.directory) as directory:
        _own(directory, RUN, uid, gid, 0o711)
        with _opened(RUN, directory) as run:
            for service in spec.services:
                if service.socket():
                    # With the bit of the group, sockets made in it belong to the group of the folder, which needs no right of root.
                    name = service.socket().split("/")[-2]
                    _own(run, name, uid, gid if service.gid is None else service.gid, 0o2710)


def _own(inside: int, name: str, uid: int, gid: int, mode: int) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=inside)
    with _opened(name, inside) as folder:
        status = os.fstat(folder)
        if (status.st_uid, status.st_gid) != (uid, gid):
            os.fchown(folder, uid, gid)
        os.fchmod(folder, mode)


@contextlib.contextmanager
def _opened(name: str, inside: int | None = None) -> t.Iterator[int]:
    """The folder itself: whoever can write around it may have put a link there, which is refused."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=inside)
    except OSError as error:
        raise FleetError("option_invalid", f"{name} is no folder: {error}. Nothing was changed.", remedy="Remove it.") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_config(path: str, content: bytes, gid: int | None) -> None:
    """A file with the token: for root, and for the group of the process, which a container starts as."""
    private.write(path, content, CONFIG_MODE)
    os.chown(path, -1, os.getegid() if gid is None else gid)


def content(path: str) -> bytes | None:
    """What a file holds, None when there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def config_content(spec: EdgeSpec) -> bytes | None:
    """The configuration, None also for one that others may read or that the process may not."""
    path = f"{spec.directory}/{CONFIG_FILE}"
    with contextlib.suppress(FileNotFoundError):
        status = os.lstat(path)
        if stat.S_IMODE(status.st_mode) == CONFIG_MODE and status.st_gid == (os.getegid() if spec.gid is None else spec.gid):
            return content(path)
    return None


def token(directory: str) -> str | None:
    """The token of the pair that was kept here."""
    kept = _kept(directory, TOKEN_FILE)
    return None if kept is None else kept.decode("ascii", "replace").strip()


def recorded(directory: str) -> dict[str, t.Any] | None:
    """The record of the insertion: driver, config, check, reload, digest of what the proxy took; None when there is none."""
    kept = _kept(directory, INSERTION_FILE)
    return None if kept is None else dict(json.loads(kept))


def _kept(directory: str, name: str) -> bytes | None:
    try:
        return private.read(f"{directory}{PRIVATE}/{name}", 0o600)
    except FileNotFoundError:
        return None


def record(directory: str, insertion: t.Mapping[str, t.Any]) -> None:
    private.write(f"{directory}{PRIVATE}/{INSERTION_FILE}", as_json(insertion), 0o600)


def forget(directory: str) -> None:
    for path in (f"{directory}{PRIVATE}/{INSERTION_FILE}", f"{directory}/{INSERTION_FILE}"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def outdated(directory: str) -> bool:
    """Whether an earlier version put the edge in: it kept the record where the edge can write, so nothing is taken from it."""
    return os.path.lexists(f"{directory}/{INSERTION_FILE}")


def as_json(value: t.Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()
