# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders and files that nobody but root and this user (behind sudo, the one who called it) can change, swap or lock.

A path is worth what the weakest folder above it is worth: who may write there may rename what lies in it. So every folder and every link
on the way is judged first; once none can be swapped by others, ordinary calls by path have no race with them. ``mode`` says what others may
do at most: 0700 and 0600 nothing, 0755 and 0644 read.

bowline-edge carries this file and runs it inside a write pause: imports are few on purpose (`tempfile` alone brings twenty modules).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from .errors import FleetError

# As the kernel's own limit, path_resolution(7).
_LINKS = 40


def folder(path: str, mode: int = 0o700, *, make: bool = True, field: str = "") -> str:
    """The folder ``path`` without links, made with missing parents (those 0755) when ``make``; a missing one is returned as it would be.

    Raises FleetError "unsafe_path" for one that others could reach into, "privileges" for one that cannot be made. ``field`` is the option
    that named it.
    """
    place, there = _folder(path, mode, make, field)
    if make and not there:
        raise FleetError(
            "unsafe_path",
            f"{f'{field}: ' if field else ''}{path}: {place} went away while it was judged; somebody else takes part there. Nothing was changed.",
            remedy=f"Name one below {_home()}.",
            details={"path": path, "at": place, "owner": "", "mode": ""},
        )
    return place


def _folder(path: str, mode: int, make: bool, field: str) -> tuple[str, bool]:
    """The place, and whether it is there; only what was there when it was looked at has been judged."""
    try:
        place = _real(path, field)
        if make:
            _make(place, mode)
            # Somebody else may have been faster in a folder like /tmp.
            place = _real(path, field)
        try:
            status = os.lstat(place)
        except FileNotFoundError:
            return place, False
        if not stat.S_ISDIR(status.st_mode):
            raise _unsafe(place, status, "is no folder", path, field, mode)
        _judge(place, status, mode, path, field)
    except OSError as error:
        raise _denied(path, error, field) from error
    return place, True


def real(path: str, field: str = "") -> str:
    """``path`` without links; each link, the last one too, and each folder above was judged. Raises FleetError "unsafe_path"."""
    try:
        return _real(path, field)
    except OSError as error:
        raise _denied(path, error, field) from error


def open_file(path: str, flags: int, mode: int = 0o600) -> int:
    """A descriptor of a regular file of root's or ours that gives others no more than ``mode``, in a folder where only we write.

    Never through a link, and never waiting for a pipe that somebody put there. With O_CREAT it is made with ``mode``. Raises FileNotFoundError,
    and FleetError "unsafe_path" and "privileges".
    """
    place = _inside(path)
    try:
        descriptor = os.open(place, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _unsafe(place, os.lstat(place), "is no regular file", path, "", mode) from error
        raise _denied(path, error, "") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _unsafe(place, status, "is no regular file", path, "", mode)
        if flags & (os.O_WRONLY | os.O_RDWR) and status.st_nlink > 1:
            raise _unsafe(place, status, f"has {status.st_nlink} names, so it may be a file of another place", path, "", mode)
        _judge(place, status, mode, path, "")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read(path: str, mode: int = 0o644) -> bytes:
    """What the file holds; for the rules and failures see `open_file`."""
    with os.fdopen(open_file(path, os.O_RDONLY, mode), "rb") as file:
        return file.read()


def write(path: str, content: bytes, mode: int = 0o644, *, keep: bool = False) -> None:
    """Write beside ``path``, sync, rename: readers see the old or the new content, also after a crash, and a link is replaced, not followed.

    With ``keep`` mode, owner and security label stay those of the file that is replaced. Raises OSError, and FleetError "unsafe_path" when
    others may write in the folder.
    """
    place = _inside(path)
    temporary = os.path.join(os.path.dirname(place), f".{os.path.basename(place)}.{os.urandom(8).hex()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if keep:
                _copy_status(place, temporary)
            else:
                os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _copy_status(source: str, target: str) -> None:
    import shutil  # see the head of this file

    status = os.stat(source, follow_symlinks=False)
    shutil.copystat(source, target)
    os.chown(target, status.st_uid, status.st_gid)
    # The time of change is now.
    os.utime(target)


def _inside(path: str) -> str:
    """``path`` with its folder judged: others may at most read there. Raises FileNotFoundError when there is none."""
    parent, name = os.path.split(path)
    place, there = _folder(parent or ".", 0o755, False, "")
    if not there:
        # Made by somebody else in this moment, it would not have been judged.
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), place)
    return os.path.join(place, name)


def _real(path: str, field: str) -> str:
    """``path`` without links, every folder above its end judged. What does not exist stays as it is."""
    todo = _words(os.path.join(os.getcwd(), path))
    seen, links = "/", 0
    while todo:
        word = todo.pop()
        if word == "..":
            seen = os.path.dirname(seen)
            continue
        _passed(seen, path, field)
        here = os.path.join(seen, word)
        try:
            status = os.lstat(here)
        except FileNotFoundError:
            return os.path.normpath(os.path.join(here, *reversed(todo)))
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if status.st_uid not in _trusted() or links > _LINKS:
                raise _unsafe(here, status, "is a link", path, field, 0o755)
            target = os.readlink(here)
            seen = "/" if target.startswith("/") else seen
            todo += _words(target)
        else:
            seen = here
    return seen


def _trusted() -> set[int]:
    """Whose folders and files are as good as ours: root's, and those of the user who became root through sudo(8), since he could be it anyway."""
    invoker = os.environ.get("SUDO_UID", "")
    return {0, os.geteuid()} | ({int(invoker)} if os.geteuid() == 0 and invoker.isdecimal() else set())


def _words(path: str) -> list[str]:
    """Parts of ``path``, the first one last."""
    return [word for word in path.split("/") if word not in ("", ".")][::-1]


def _passed(place: str, path: str, field: str) -> None:
    """A folder on the way: in one like /tmp (sticky) others may make things, but not rename those of root or ours."""
    status = os.lstat(place)
    if not stat.S_ISDIR(status.st_mode):
        raise _unsafe(place, status, "is no folder", path, field, 0o755)
    _judge(place, status, 0o777 if status.st_mode & stat.S_ISVTX else 0o755, path, field)


def _judge(place: str, status: os.stat_result, mode: int, path: str, field: str) -> None:
    if status.st_uid not in _trusted():
        raise _unsafe(place, status, "belongs to another user", path, field, mode)
    more = stat.S_IMODE(status.st_mode) & 0o077 & ~mode
    if more == 0o020 and mode & 0o050 and _has_no_other_member(place, status):
        return
    if more:
        raise _unsafe(place, status, f"lets others {'write' if more & 0o022 else 'read'}", path, field, mode)


def _has_no_other_member(place: str, status: os.stat_result) -> bool:
    """Whether the group that may write is the owner's private one, as where the umask is 002, or root's; and no list of rights stands behind it."""
    import grp  # see the head of this file
    import pwd

    # acl(5): with an access list the bits of the group are its mask, not the group's rights.
    if "system.posix_acl_access" in os.listxattr(place, follow_symlinks=False):
        return False
    try:
        owner, group = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    return group.gr_name in (owner, "root") and set(group.gr_mem) <= {owner, "root"}


def _make(place: str, mode: int) -> None:
    missing = []
    here = place
    while not os.path.lexists(here):
        missing.append(here)
        here = os.path.dirname(here)
    for here in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(here, mode if here == place else 0o755)


def _home() -> str:
    return "/var/lib/bowline" if os.geteuid() == 0 else os.path.expanduser("~/.local/state/bowline")


def owner_name(uid: int) -> str:
    import pwd  # see the head of this file

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _unsafe(place: str, status: os.stat_result, seen: str, path: str, field: str, mode: int) -> FleetError:
    bits, owner, user = stat.S_IMODE(status.st_mode), owner_name(status.st_uid), owner_name(os.geteuid())
    ours = status.st_uid in _trusted()
    folder_or_file = stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)
    if stat.S_ISDIR(status.st_mode) and bits & stat.S_ISVTX:
        mend = "Name a folder inside it that is yours alone"
    elif not folder_or_file or (stat.S_ISREG(status.st_mode) and (not ours or status.st_nlink > 1)):
        mend = f"Look at it and remove it: rm {place}"
    else:
        # Of the rights that it has, those that it may have.
        mend = f"Look at what others may have put there, then {'' if ours else f'chown {user} {place} && '}chmod {bits & (mode | 0o700):04o} {place}"
    harm = f"read or lock what {user} keeps there" if seen.endswith("read") else f"put or swap what {user} uses there"
    return FleetError(
        "unsafe_path",
        f"{f'{field}: ' if field else ''}{path}:{'' if place == path else f' {place}'} {seen}; it is owned by {owner} with mode {bits:04o}. "
        f"Others could {harm}. Nothing was changed.",
        remedy=f"{mend}. Or name one below {_home()}.",
        details={"path": path, "at": place, "owner": owner, "mode": f"{bits:04o}"},
    )


def _denied(path: str, error: OSError, field: str) -> FleetError:
    return FleetError(
        "privileges",
        f"{f'{field}: ' if field else ''}{path} cannot be used by {owner_name(os.geteuid())}: {error.strerror}. Nothing was changed.",
        remedy="Run as a user who may use it, or name another place.",
    )
