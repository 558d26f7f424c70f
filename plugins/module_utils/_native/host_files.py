# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders and files of this host: the only place of this room that looks at them and writes them."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import stat
import typing as t

from ansible.module_utils.basic import AnsibleModule

from .._core.errors import FleetError
from .files import Seen, Wanted


class HostFiles:
    """A file is complete, with owner and mode, before it has its name, and a link in its place is replaced; a link to a folder is that folder."""

    def accounts(self, wanted: t.Sequence[Wanted]) -> None:
        """Raises FleetError "account_missing", and "invalid_value" for a mode that is none, before anything is written."""
        for each in wanted:
            _mode(each, os.stat("/"))
            for kind, name, number in (("user", each.owner, _uid(each.owner)), ("group", each.group, _gid(each.group))):
                if number is None:
                    raise FleetError(
                        "account_missing",
                        f"{each.path} shall belong to {kind} {name}, who does not exist on this host. Nothing was changed.",
                        remedy=f"Make {name}, or name an account that is there.",
                        details={"path": each.path, kind: name},
                    )

    def look(self, wanted: Wanted) -> Seen:
        try:
            status = os.stat(wanted.path, follow_symlinks=wanted.kind == "folder")
        except (FileNotFoundError, NotADirectoryError):
            return Seen()
        except OSError as error:
            raise _denied(wanted, error) from error
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "file" if stat.S_ISREG(status.st_mode) else "other"
        owner, group, mode = _user(status.st_uid), _group(status.st_gid), stat.S_IMODE(status.st_mode)
        fits = (status.st_uid, status.st_gid, mode) == (_uid(wanted.owner), _gid(wanted.group), _mode(wanted, status))
        return Seen(kind, self._content(wanted) if kind == "file" and wanted.kind == "file" else b"", owner, group, f"{mode:04o}", fits)

    @staticmethod
    def _content(wanted: Wanted) -> bytes:
        try:
            descriptor = _opened(wanted)
        except OSError as error:
            raise _denied(wanted, error) from error
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    def make(self, wanted: Wanted) -> None:
        """The folder with its missing parents, which get the same owner, group and mode, as from `ansible.builtin.file`."""
        here, missing = wanted.path.rstrip("/"), []
        while here and not os.path.lexists(here):
            missing.append(here)
            here = os.path.dirname(here)
        try:
            for place in reversed(missing):
                os.mkdir(place, 0o700)
                self._give(place, wanted)
        except OSError as error:
            raise _denied(wanted, error) from error

    def write(self, wanted: Wanted) -> None:
        """Beside its place, synced, then renamed: readers see the old or the new file, also after a crash; a link is replaced."""
        folder, name = os.path.split(wanted.path)
        if not os.path.isdir(folder):
            raise FleetError(
                "file_missing",
                f"{wanted.path}: there is no folder {folder} on this host. This file was not written.",
                remedy="Name the folder among those to be made, or correct the path.",
                details={"path": wanted.path, "folder": folder},
            )
        temporary = os.path.join(folder, f".{name}.{os.urandom(8).hex()}.tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(wanted.content or b"")
                    self._give(file.fileno(), wanted)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, wanted.path)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)
                raise
        except OSError as error:
            raise _denied(wanted, error) from error

    def give(self, wanted: Wanted) -> None:
        try:
            descriptor = _opened(wanted)
            try:
                self._give(descriptor, wanted)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _denied(wanted, error) from error

    @staticmethod
    def _give(place: t.Union[int, str], wanted: Wanted) -> None:
        """Owner first: chown(2) takes the bits for set-user-ID away."""
        uid, gid = _uid(wanted.owner), _gid(wanted.group)
        os.chown(place, -1 if uid is None else uid, -1 if gid is None else gid)
        os.chmod(place, _mode(wanted, os.stat(place)))


def _opened(wanted: Wanted) -> int:
    """Not waiting for a pipe that somebody put there."""
    return os.open(wanted.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if wanted.kind == "folder" else os.O_NOFOLLOW))


def _uid(name: str) -> t.Optional[int]:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name).pw_uid
    return int(name) if name.isdecimal() else None


def _gid(name: str) -> t.Optional[int]:
    with contextlib.suppress(KeyError):
        return grp.getgrnam(name).gr_gid
    return int(name) if name.isdecimal() else None


def _user(uid: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)


def _group(gid: int) -> str:
    with contextlib.suppress(KeyError):
        return grp.getgrgid(gid).gr_name
    return str(gid)


def _mode(wanted: Wanted, status: os.stat_result) -> int:
    """The bits that are wanted; of a symbolic mode those that it makes of the present ones, as Ansible's own modules take it."""
    with contextlib.suppress(ValueError):
        return int(wanted.mode, 8)
    try:
        return int(AnsibleModule._symbolic_mode_to_octal(status, wanted.mode))
    except ValueError as error:
        raise FleetError("invalid_value", f"{wanted.path}: {wanted.mode!r} is no mode.", remedy="Write it as 0644 or u=rw,go=r.") from error


def _denied(wanted: Wanted, error: OSError) -> FleetError:
    message = f"{wanted.path}: {error.strerror or error}. This {wanted.kind} was not written."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FleetError("no_space", message, remedy="Make room on this host, then run the same playbook again.", details={"path": wanted.path})
    remedy = "Run as root (ansible_become), and see that the file system takes writes."
    return FleetError("privileges", message, remedy=remedy, details={"path": wanted.path})
