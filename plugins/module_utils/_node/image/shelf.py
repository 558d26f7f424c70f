# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds below ``image_base``: ``<name>/<key>/`` with the files and their digests, and ``<name>.json``, which says what the name stands for."""

from __future__ import annotations

import json
import os
import typing as t

from ..._core import private
from ..._core.errors import FleetError
from ..._core.runner import Runner
from ..machine.files import overlay, tree_removed
from . import tree
from .debian import bootstrap
from .model import Built, Recipe, Seen
from .mounts import ended

_MAIN = {"local_nspawn": "rootfs", "local_qemu": "disk.qcow2"}


class Shelf:
    """The folder of images on this host."""

    def __init__(self, base: str, run: Runner) -> None:
        self._base, self._run = base, run

    def read(self, recipe: Recipe) -> Seen:
        folder = os.path.join(self._base, recipe.name)
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        return Seen(self._built(recipe), self._record(recipe.name), tuple(os.path.join(folder, name) for name in names))

    def build(self, recipe: Recipe) -> Built:
        """All files of the image, whole or not there. Takes 20 to 140 s; a build that was killed is begun anew."""
        place = os.path.join(self._base, recipe.name, recipe.key)
        new = f"{place}.new"
        # In this order: nothing is removed through a mount, and what a killed build has mounted is not its own.
        ended(self._run, new)
        tree_removed(self._run, new)
        tree_removed(self._run, place)
        private.folder(self._base, 0o755, field="image_base")
        private.folder(new, 0o755)
        root = os.path.join(new, "rootfs")
        options = {"mirror": recipe.mirror, "security": recipe.security_mirror}
        self._must(bootstrap(recipe.release, root, ",".join(recipe.all_packages), **options), 1800)
        tree.generalise(root)
        files = self._disk(recipe, root, new) if recipe.kind == "local_qemu" else {"rootfs": tree.digest(root)}
        main = _MAIN[recipe.kind]
        record = {"recipe": recipe.__dict__, "key": recipe.key, "main": main, "files": files}
        private.write(os.path.join(new, "image.json"), (json.dumps(record, indent=2, sort_keys=True, default=list) + "\n").encode())
        os.rename(new, place)
        return Built(place, main, files)

    def publish(self, recipe: Recipe, built: Built) -> None:
        """Let the name stand for this build, after every file was found to be the one that was built."""
        for name, wanted in built.files.items():
            path = os.path.join(built.folder, name)
            seen = tree.digest(path) if os.path.isdir(path) else tree.file_digest(path)
            if seen != wanted:
                raise FleetError(
                    "image_digest",
                    f"{path} has the digest {seen}, and {wanted} was built. Nothing was published.",
                    remedy=f"Somebody has changed it. Remove {built.folder} and build it anew.",
                    details={"path": path, "seen": seen, "wanted": wanted},
                )
        record = {"name": recipe.name, "kind": recipe.kind, "key": recipe.key, "folder": built.folder, "main": built.main,
                  "sha256": built.files[built.main], "files": dict(built.files)}  # fmt: skip
        private.write(self._published(recipe.name), (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())

    def unpublish(self, name: str) -> None:
        if os.path.lexists(self._published(name)):
            os.unlink(self._published(name))

    def remove(self, name: str) -> None:
        ended(self._run, os.path.join(self._base, name))
        tree_removed(self._run, os.path.join(self._base, name))

    def _disk(self, recipe: Recipe, root: str, new: str) -> t.Dict[str, str]:
        """A disk of one ext4 without partitions, and the kernel beside it, which boots it directly."""
        kernel, initrd = tree.newest(os.path.join(root, "boot"), "vmlinuz-"), tree.newest(os.path.join(root, "boot"), "initrd.img-")
        if kernel is None or initrd is None:
            raise _failed("mmdebstrap", "there is no kernel in the root file system")
        raw, disk = os.path.join(new, "disk.raw"), os.path.join(new, "disk.qcow2")
        self._must(["cp", "--", kernel, os.path.join(new, "kernel")], 60)
        self._must(["cp", "--", initrd, os.path.join(new, "initrd")], 60)
        self._must(["truncate", f"--size={recipe.size_gib}G", raw], 60)
        # mke2fs(8), -d: the file system with the content of a folder, without mounting it.
        self._must(["mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, raw], 600)
        self._must(["qemu-img", "convert", "-O", "qcow2", raw, disk], 600)
        os.unlink(raw)
        tree_removed(self._run, root)
        return {name: tree.file_digest(os.path.join(new, name)) for name in ("disk.qcow2", "initrd", "kernel")}

    def _must(self, argv: t.Sequence[str], seconds: float) -> None:
        done = self._run(argv, timeout=seconds)
        if done.rc:
            raise _failed(argv[0], (done.err.strip() or done.out.strip())[-600:] or f"exit code {done.rc}")

    def _built(self, recipe: Recipe) -> t.Optional[Built]:
        place = os.path.join(self._base, recipe.name, recipe.key)
        record = _json(os.path.join(place, "image.json"))
        files = record.get("files") or {}
        whole = files and all(os.path.exists(os.path.join(place, name)) for name in files)
        return Built(place, str(record["main"]), dict(files)) if whole else None

    def _record(self, name: str) -> t.Dict[str, t.Any]:
        return _json(self._published(name))

    def _published(self, name: str) -> str:
        return os.path.join(self._base, f"{name}.json")


def published_digest(image: str) -> str:
    """The digest with which the build that ``image`` belongs to is published; empty for what is not."""
    folder, main = os.path.split(os.path.realpath(image))
    record = _json(f"{os.path.dirname(folder)}.json")
    same = record.get("main") == main and os.path.realpath(str(record.get("folder") or "/")) == folder
    return str(record.get("sha256") or "") if same else ""


def users(machines: str, folder: str) -> t.List[str]:
    """Machines below ``machines`` that need what lies below ``folder``: disks laid over it, and root file systems that run on it."""
    found = []
    disks, containers = os.path.join(machines, "qemu"), os.path.join(machines, "nspawn")
    for name in sorted(os.listdir(disks)) if os.path.isdir(disks) else []:
        if _below(overlay(os.path.join(disks, name, "disk.qcow2"))[0], folder):
            found.append(name)
    for name in sorted(os.listdir(containers)) if os.path.isdir(containers) else []:
        declared = _json(os.path.join(containers, name, "identity.json")).get("declared") or {}
        if declared.get("volatile") and _below(str(declared.get("image") or ""), folder):
            found.append(name)
    return found


def _below(path: str, folder: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep) if path else False


def _json(path: str) -> t.Dict[str, t.Any]:
    try:
        found = json.loads(private.read(path))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _failed(program: str, said: str) -> FleetError:
    return FleetError(
        "image_build_failed",
        f"{program}: {said}. No image was made, and those that are there are as they were.",
        remedy="Mend what it says; most often the mirror does not answer, a package is misspelt, or the disk is full. Then run again.",
        details={"program": program},
    )
