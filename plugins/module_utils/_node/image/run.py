# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One image: look, plan, build or remove, look again."""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from ..._core.errors import FleetError
from ..._core.lock import locked
from ..._core.result import Step, result
from ..._core.runner import Runner
from .debian import KERNELS
from .model import Built, Recipe, Seen
from .plan import is_published, plan
from .shelf import Shelf, users

DEFAULT_BASE = "/var/lib/bowline/images"
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
# Debian Policy 5.6.1: names of packages.
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_MIRROR = re.compile(r"(https?|file|copy)://?[^\s\x00-\x1f]+")
Params = t.Mapping[str, t.Any]


def run(params: Params, command: Runner, environment: t.Mapping[str, str], check: bool = False) -> t.Dict[str, t.Any]:
    """The result of node_image."""
    base = str(params.get("image_base") or environment.get("POWERNODE_IMAGE_BASE") or DEFAULT_BASE)
    recipe, state = _recipe(params, base), str(params["state"])
    shelf = Shelf(base, command)
    with contextlib.nullcontext() if check else locked(os.path.join(base, recipe.name), 600):
        seen = shelf.read(recipe)
        steps = plan(state, recipe, seen, users(str(params["machines_folder"]), os.path.join(base, recipe.name)) if state == "absent" else ())
        after = seen if check or not steps else _applied(shelf, recipe, steps, seen.built)
    return result(steps, before=_shown(recipe, seen), after=_foreseen(recipe, state, seen) if check and steps else _shown(recipe, after),
                  image=_image(recipe, after), evidence={"key": recipe.key, "image_base": base})  # fmt: skip


def _applied(shelf: Shelf, recipe: Recipe, steps: t.Sequence[Step], built: t.Optional[Built]) -> Seen:
    for step in steps:
        if step.action == "build":
            built = shelf.build(recipe)
        elif step.action == "publish" and built is not None:
            shelf.publish(recipe, built)
        elif step.action == "unpublish":
            shelf.unpublish(recipe.name)
        elif step.action == "remove":
            shelf.remove(recipe.name)
    return shelf.read(recipe)


def _recipe(params: Params, base: str) -> Recipe:
    machine = os.uname().machine
    faults = [] if _NAME.fullmatch(str(params["name"])) else [f"name: {params['name']!r} is no name (lower case, digits, dots and hyphens)."]
    faults += [f"packages: {name!r} is no name of a package." for name in params["packages"] if not _PACKAGE.fullmatch(str(name))]
    faults += [f"{name}: {params[name]!r} is no address of a mirror." for name in ("mirror", "security_mirror") if not _MIRROR.fullmatch(str(params[name]))]
    faults += [] if _NAME.fullmatch(str(params["release"])) else [f"release: {params['release']!r} is no name of a release."]
    faults += [] if os.path.isabs(base) else [f"image_base: {base!r} is no absolute path."]
    faults += [] if 1 <= params["size_gib"] <= 1024 else [f"size_gib: {params['size_gib']} is not between 1 and 1024."]
    if params["kind"] == "local_qemu" and machine not in KERNELS:
        faults.append(f"kind: there is no kernel for {machine}; known: {', '.join(sorted(KERNELS))}.")
    if faults:
        raise FleetError("option_invalid", " ".join(faults), remedy="Correct the options; nothing was changed.", details={"faults": faults})
    return Recipe(str(params["name"]), str(params["kind"]), str(params["release"]), tuple(sorted({*map(str, params["packages"])})),
                  str(params["mirror"]), str(params["security_mirror"]), int(params["size_gib"]), machine)  # fmt: skip


def _image(recipe: Recipe, seen: Seen) -> t.Optional[t.Dict[str, t.Any]]:
    """What a machine is made of; null while nothing is built."""
    built = seen.built
    if built is None:
        return None
    sha256 = built.files[built.main]
    paths = {name: os.path.join(built.folder, name) for name in ("kernel", "initrd") if name in built.files}
    return {"name": recipe.name, "kind": recipe.kind, "ref": f"{recipe.name}@sha256:{sha256}", "sha256": sha256, "key": recipe.key,
            "image": os.path.join(built.folder, built.main), "files": dict(built.files), "published": is_published(recipe, seen),
            **paths}  # fmt: skip


def _shown(recipe: Recipe, seen: Seen) -> t.Any:
    return {"builds": sorted(map(os.path.basename, seen.folders)), "published": seen.published.get("key")} if seen.folders or seen.published else None


def _foreseen(recipe: Recipe, state: str, seen: Seen) -> t.Any:
    if state == "absent":
        return None
    builds = sorted({*map(os.path.basename, seen.folders), recipe.key})
    return {"builds": builds, "published": recipe.key if state == "published" else seen.published.get("key")}
