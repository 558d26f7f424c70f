# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of an image as one archive: made where the image is, unpacked where its services run. The same image gives the same bytes.

Everything that the engine lays into a container is left out, and times after the image's own are set back to it. The archive is what is trusted: by its
digest, which whoever runs the services pins.
"""

from __future__ import annotations

import calendar
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import typing as t

from .._core import private
from .._core.errors import FleetError
from .._core.result import Step, result
from .._core.runner import Completed, Runner
from .model import BASE

# Laid over the image's files when a container is made. https://github.com/moby/moby/blob/master/daemon/initlayer/setup_unix.go
_ENGINES = (".dockerenv", "dev/*", "proc/*", "sys/*", "etc/hosts", "etc/hostname", "etc/resolv.conf")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
# Seconds; an image of some GB on a slow disk.
_PATIENCE = 3600.0
_EXTRACT = ("--extract", "--numeric-owner", "--preserve-permissions", "--xattrs", "--xattrs-include=*")
_LABEL = "bowline.artifact"


class Builder:
    """Makes the archive of an image of the engine of this host."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def look(self, image: str) -> tuple[str, int]:
        """Id of the image, and when it was made in epoch seconds. Raises FleetError ``image_missing``."""
        done = self._run(["docker", "image", "inspect", "--format", "{{.Id}} {{.Created}}", image], timeout=60)
        if done.rc != 0:
            raise FleetError("image_missing", f"The image {image} is not on this host: {' '.join(done.err.split())}.",
                             remedy="`docker image ls --no-trunc` shows those that are; name one of them by its id.")  # fmt: skip
        name, _blank, made = done.out.strip().partition(" ")
        return name, calendar.timegm(time.strptime(made[:19], "%Y-%m-%dT%H:%M:%S")) if made else 0

    def build(self, image: str, created: int, path: str) -> str:
        """Write the archive of ``image`` to ``path`` by rename; its digest ``sha256:…``. Times after ``created`` are set back to it."""
        folder = private.folder(os.path.dirname(path), 0o700, field="path")
        with tempfile.TemporaryDirectory(prefix=".bowline-artifact-", dir=folder) as work:
            tree, whole, archive = (os.path.join(work, name) for name in ("tree", "whole.tar", "archive.tar"))
            os.mkdir(tree)
            self._export(image, whole, f"{_LABEL}={hashlib.sha256(path.encode()).hexdigest()[:16]}")
            leave = [f"--exclude=./{name}" for name in _ENGINES] + [f"--exclude={name}" for name in _ENGINES]
            self._tar([*_EXTRACT, f"--file={whole}", f"--directory={tree}", *leave])
            os.unlink(whole)
            self._tar(["--create", f"--file={archive}", f"--directory={tree}", "--sort=name", f"--mtime=@{created}", "--clamp-mtime", "--numeric-owner",
                       "--format=posix", "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime", "--xattrs", "."])  # fmt: skip
            digest = digest_of_file(archive)
            os.chmod(archive, 0o600)
            os.replace(archive, path)
        return digest

    def _export(self, image: str, whole: str, label: str) -> None:
        """A container that never runs, from the id of the image, and gone afterwards; one that a killed run for the same archive left goes first."""
        self._must(["docker", "container", "prune", "--force", "--filter", f"label={label}"])
        made = self._must(["docker", "create", "--label", label, "--entrypoint", "/", image]).out.strip()
        try:
            self._must(["docker", "export", "--output", whole, made])
        finally:
            self._must(["docker", "rm", "--force", "--volumes", made])

    def _tar(self, words: t.Sequence[str]) -> None:
        self._must(["tar", *words])

    def _must(self, argv: t.Sequence[str]) -> Completed:
        done = self._run(argv, env={"LC_ALL": "C"}, timeout=_PATIENCE)
        if done.rc != 0:
            raise FleetError("artifact_failed", f"`{' '.join(argv[:2])}` ended with {done.rc}: {' '.join(done.err.split())[:500]}.",
                             remedy="Mend what it says (most often there is no room), then run this again; nothing is left of it.")  # fmt: skip
        return done


def run(params: t.Mapping[str, t.Any], builder: Builder, check_mode: bool) -> dict[str, t.Any]:
    """What ``native_artifact`` returns. Beside the archive stands what it was made of, so that it is made once."""
    path, note = params["path"], f"{params['path']}.json"
    if params["state"] == "absent":
        there = [name for name in (path, note) if os.path.lexists(name)]
        if not check_mode:
            for name in there:
                os.unlink(name)
        return result([Step(f"remove {name}", reason="nobody needs it") for name in there], before=there, after=[])
    image, created = builder.look(params["image"])
    known = _noted(note, path)
    steps = [] if known.get("image") == image else [Step(f"write {path}", reason="it is of another image" if known else "no such archive")]
    if steps and not check_mode:
        known = {"image": image, "path": path, "digest": builder.build(image, created, path), "size": os.stat(path).st_size}
        private.write(note, json.dumps(known, sort_keys=True).encode(), 0o600)
    return result(steps, before=_noted(note, path) if not steps else None, after=known or {"image": image, "path": path}, artifact=known or None)


def _noted(note: str, path: str) -> dict[str, t.Any]:
    """What is noted of an archive that is still the one that was noted; empty otherwise."""
    try:
        known = json.loads(private.read(note, 0o600))
        return known if known.get("digest") == digest_of_file(path) else {}
    except (OSError, ValueError, AttributeError, FleetError):
        return {}


class Shelf:
    """Artifacts that are unpacked on this host, by digest. Only root reads them: an image has programs that run with the rights of their owner."""

    def __init__(self, run: Runner, base: str = f"{BASE}/modules") -> None:
        self.runner, self.base = run, base

    def has(self, digest: str) -> bool:
        return os.path.isdir(os.path.join(self._folder(digest), "root"))

    def put(self, path: str, digest: str) -> None:
        """Unpack the archive in ``path`` when it is the one that ``digest`` names. Raises FleetError ``artifact_invalid``."""
        # In a folder where others can write it could be another file by the time it is unpacked.
        private.folder(os.path.dirname(path), 0o755, make=False, field="artifact.path")
        seen = digest_of_file(path)
        if seen != digest:
            raise FleetError("artifact_invalid", f"{path} is {seen}, wanted is {digest}.",
                             remedy="Copy it again; if it stays, whoever made it or carried it changed it.")  # fmt: skip
        private.folder(self.base, 0o700, field="artifact")
        folder = self._folder(digest)
        new = tempfile.mkdtemp(prefix=".new-", dir=self.base)
        try:
            os.mkdir(os.path.join(new, "root"), 0o755)
            done = self.runner(["tar", *_EXTRACT, f"--file={path}", f"--directory={new}/root"], env={"LC_ALL": "C"}, timeout=_PATIENCE)
            if done.rc != 0:
                raise FleetError("artifact_invalid", f"{path} cannot be unpacked: {' '.join(done.err.split())[:500]}.",
                                 remedy="Make room if there is none; otherwise build and copy it again.")  # fmt: skip
            for name in ("dev", "proc", "sys", "run", "tmp", "etc"):
                os.makedirs(os.path.join(new, "root", name), exist_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(new, folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _folder(self, digest: str) -> str:
        if not _DIGEST.match(digest):
            raise FleetError("artifact_invalid", f"{digest!r} is no digest.", remedy="Write sha256: and 64 hexadecimal digits, as native_artifact returns it.")
        return os.path.join(self.base, digest.partition(":")[2])


def digest_of_file(path: str) -> str:
    """Raises FleetError ``artifact_invalid`` when there is no such file."""
    read = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                read.update(block)
    except OSError as error:
        raise FleetError("artifact_invalid", f"{path} cannot be read: {error.strerror}.", remedy="Copy the archive there first.") from error
    return f"sha256:{read.hexdigest()}"
