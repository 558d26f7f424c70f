# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots as files: one directory each, put in place by one rename, proven by SHA-256 sums that ``sha256sum -c`` reads, too.

``<directory>/<name>/<name>.{dump,accounts.json,manifest.json,sha256}`` with ``name`` = ``<subject>-<time>-<kind>``. A run that is killed
leaves ``<name>.partial`` and nothing else. ``<name>.tested.json`` beside them records the newest restore that proved the dump.
"""

from __future__ import annotations

import calendar
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..._core import private
from ..._core.errors import FleetError
from ..._core.wait import Deadline
from ..options import subject_problem

KINDS = ("before", "switch")
PARTIAL = ".partial"
_TIME = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"(?P<subject>.+)-(?P<time>\d{8}T\d{6}Z)-(?P<kind>before|switch)")
_CHUNK = 1 << 20
# Of the manifest. Snapshots of the one before kept what pg_dumpall --globals-only writes.
FORMAT, _OLD = 2, 1
_GLOBALS = "globals.sql"


@dataclass(frozen=True)
class Kept:
    """A snapshot. ``taken_at`` is in unix seconds, as its name says; ``inside`` is where its files are while it is not in place."""

    path: Path
    subject: str
    kind: str
    taken_at: float
    inside: Path | None = None

    @property
    def name(self) -> str:
        return self.path.name

    def file(self, ending: str) -> Path:
        """``ending`` is dump, accounts.json, manifest.json, sha256 or tested.json."""
        return (self.inside or self.path) / f"{self.name}.{ending}"

    def sums(self) -> dict[str, str]:
        """SHA-256 by file name, as recorded. Raises FleetError "checksum" when the record itself cannot be read."""
        try:
            lines = self.file("sha256").read_text(encoding="utf-8").splitlines()
            return {name: value for value, name in (line.split("  ", 1) for line in lines)}
        except (OSError, ValueError) as error:
            raise _broken(self, f"{self.name}.sha256 cannot be read ({error})") from error

    def bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.inside or self.path).iterdir())


def parse_name(path: Path) -> Kept | None:
    """None for a name that is not one of ours."""
    found = _NAME.fullmatch(path.name)
    if found is None or subject_problem(found["subject"]):
        return None
    try:
        at = time.strptime(found["time"], _TIME)
    except ValueError:
        return None
    return Kept(path, found["subject"], found["kind"], float(calendar.timegm(at)))


def arrived(partial: Path) -> Kept:
    """What ``<name>.partial`` will be when it is in place; its files have their final names already, and its name was judged before."""
    kept = parse_name(partial.with_name(partial.name[: -len(PARTIAL)]))
    if kept is None:
        raise ValueError(partial)
    return replace(kept, inside=partial)


class Folder:
    """The directory of the snapshots on this host."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def judge(self) -> None:
        """Raises FleetError "invalid_value" or "unsafe_path" when it cannot be used. A missing one is made later, its parent must be there."""
        if not self.path.is_absolute():
            raise _directory(f"{self.path} is not an absolute path", "Name an absolute path.")
        if not self.path.exists() and not self.path.parent.is_dir():
            raise _directory(f"{self.path.parent} does not exist", f"Make {self.path.parent} first, or name another directory.")
        # Dumps hold every row and the verifiers of all accounts.
        private.folder(str(self.path), make=False, field="directory")
        if self.path.exists() and not os.access(self.path, os.W_OK | os.X_OK):
            raise _directory(f"{self.path} cannot be written", f"chmod 0700 {self.path}, or name a directory that only snapshots use.")

    def free(self) -> int:
        """Bytes that an unprivileged writer has left on its file system."""
        return free_bytes(self.path if self.path.exists() else self.path.parent)

    @contextmanager
    def locked(self, seconds: float = 30) -> t.Iterator[None]:
        """One writer at a time; the kernel gives the lock back when the writer dies. Makes the directory. Raises FleetError "locked"."""
        deadline = Deadline(seconds)
        private.folder(str(self.path), field="directory")
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            while not _flocked(handle):
                if deadline.expired():
                    raise FleetError(
                        "locked",
                        f"Another run writes snapshots in {self.path}. Nothing was changed.",
                        remedy=f"Wait for it; fuser -v {self.path} names it.",
                    )
                deadline.pause(0.2)
            yield
        finally:
            os.close(handle)

    def kept(self, subject: str, kind: str) -> list[Kept]:
        """Snapshots in place, newest first."""
        found = [parse_name(path) for path in self.path.iterdir() if path.is_dir()] if self.path.is_dir() else []
        mine = [kept for kept in found if kept is not None and (kept.subject, kept.kind) == (subject, kind)]
        return sorted(mine, key=lambda kept: kept.taken_at, reverse=True)

    def named(self, name: str) -> Kept | None:
        path = self.path / name
        return parse_name(path) if path.is_dir() else None

    def partials(self, subject: str) -> list[Path]:
        """What interrupted runs left of ``subject``."""
        if not self.path.is_dir():
            return []
        found = [(path, parse_name(path.with_name(path.name[: -len(PARTIAL)]))) for path in self.path.glob(f"*{PARTIAL}")]
        return sorted(path for path, kept in found if kept is not None and kept.subject == subject)

    def sweep(self, subject: str) -> None:
        """Remove what interrupted runs left; under the lock."""
        for path in self.partials(subject):
            shutil.rmtree(path)

    def begin(self, subject: str, kind: str) -> Path:
        """A new, empty ``<name>.partial``; its name is not used yet."""
        at = time.time()
        while True:
            path = self.path / f"{subject}-{time.strftime(_TIME, time.gmtime(at))}-{kind}{PARTIAL}"
            if not path.exists() and not path.with_name(path.name[: -len(PARTIAL)]).exists():
                path.mkdir(mode=0o700)
                return path
            at += 1

    def place(self, partial: Path) -> Kept:
        """Make ``partial`` durable and a snapshot, by one rename."""
        partial.chmod(0o700)
        for path in partial.iterdir():
            path.chmod(0o600)
            sync(path)
        sync(partial)
        kept = replace(arrived(partial), inside=None)
        partial.rename(kept.path)
        sync(self.path)
        return kept

    def remove(self, kept: Kept) -> None:
        """Take it out of sight by one rename first, so that an interrupted removal leaves a ``.partial`` only."""
        gone = kept.path.with_name(kept.name + PARTIAL)
        kept.path.rename(gone)
        sync(self.path)
        shutil.rmtree(gone)


def write_sums(partial: Path) -> None:
    """The record of all files in ``partial``, in the format of sha256sum."""
    lines = [f"{sha256(path)}  {path.name}\n" for path in sorted(partial.iterdir())]
    (partial / f"{partial.name[: -len(PARTIAL)]}.sha256").write_text("".join(lines), encoding="utf-8")


def check(kept: Kept) -> dict[str, str]:
    """The recorded sums after every file was read and found equal. Raises FleetError "checksum" with every file that is not."""
    recorded = kept.sums()
    accounts = _GLOBALS if kept.file(_GLOBALS).name in recorded else "accounts.json"
    expected = {kept.file(ending).name for ending in ("dump", accounts, "manifest.json")}
    wrong = [f"{name} has no recorded sum" for name in sorted(expected - set(recorded))]
    for name, value in sorted(recorded.items()):
        path = (kept.inside or kept.path) / name
        if name not in expected:
            wrong.append(f"{name} is no file of this snapshot")
        elif not path.is_file():
            wrong.append(f"{name} is missing")
        elif sha256(path) != value:
            wrong.append(f"{name} is not what was written")
    if wrong:
        raise _broken(kept, ", ".join(wrong))
    return recorded


def manifest_of(kept: Kept) -> dict[str, t.Any]:
    """The manifest; call `check` first."""
    loaded = json.loads(kept.file("manifest.json").read_text(encoding="utf-8"))
    if not isinstance(loaded, dict) or loaded.get("format") not in (_OLD, FORMAT):
        raise _broken(kept, f"{kept.name}.manifest.json has not format {FORMAT}")
    return loaded


def restorable(kept: Kept) -> None:
    """Raises FleetError "snapshot_format" for a snapshot that keeps its accounts as SQL, which would have to be believed and run."""
    if manifest_of(kept)["format"] == _OLD:
        raise FleetError(
            "snapshot_format",
            f"Snapshot {kept.name} was taken by an earlier version, which kept accounts as SQL; those are not run. Nothing was changed.",
            remedy=f"Take a new one with state present. To restore this one, read {kept.file(_GLOBALS)}, make the accounts by hand,"
            f" and use state restored with file: {kept.file('dump')}.",
        )


def accounts_of(kept: Kept) -> dict[str, t.Any]:
    """The accounts of the snapshot, with their verifiers; call `check` first."""
    loaded = json.loads(kept.file("accounts.json").read_text(encoding="utf-8"))
    if not isinstance(loaded, dict) or any(not isinstance(loaded.get(name), list) for name in ("roles", "memberships", "settings")):
        raise _broken(kept, f"{kept.name}.accounts.json has not accounts, memberships and settings")
    return loaded


def tested(kept: Kept) -> dict[str, t.Any] | None:
    """The record of the newest restore of exactly these files; None when there is none."""
    try:
        record = json.loads(kept.file("tested.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("sums") == kept.sums() else None


def write_tested(kept: Kept, record: t.Mapping[str, t.Any]) -> None:
    """Replace the record by one rename."""
    path = kept.file("tested.json")
    unfinished = path.with_name(path.name + PARTIAL)
    write_private(unfinished, json.dumps({**record, "sums": kept.sums()}, indent=1, sort_keys=True) + "\n")
    sync(unfinished)
    unfinished.rename(path)
    sync(kept.path)


def write_private(path: Path, text: str) -> None:
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)


def sha256(path: Path) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            total.update(chunk)
    return total.hexdigest()


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def free_bytes(path: Path) -> int:
    space = os.statvfs(path)
    return space.f_bavail * space.f_frsize


def _flocked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _directory(observed: str, remedy: str) -> FleetError:
    return FleetError("invalid_value", f"directory: {observed}. Nothing was changed.", remedy=remedy)


def _broken(kept: Kept, observed: str) -> FleetError:
    return FleetError(
        "checksum",
        f"Snapshot {kept.name} in {kept.path.parent} is damaged: {observed}. Nothing was changed.",
        remedy=f"Bring another copy of it. If there is none, move {kept.path} away and take a new snapshot.",
        details={"name": kept.name, "path": str(kept.path)},
    )
