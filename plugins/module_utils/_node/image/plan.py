# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what stands below ``image_base`` to what is wanted there. Pure."""

from __future__ import annotations

import typing as t

from ..._core.errors import FleetError
from ..._core.result import Step
from .model import Recipe, Seen


def plan(state: str, recipe: Recipe, seen: Seen, users: t.Sequence[str]) -> t.Tuple[Step, ...]:
    """``users`` are machines that are made of a build of this name. Raises FleetError "image_in_use"."""
    if state == "absent":
        if users and (seen.folders or seen.published):
            raise FleetError(
                "image_in_use",
                f"{recipe.name}: machines are made of it: {', '.join(users)}. Nothing was removed.",
                remedy="Remove these machines first (node_machine, state=absent).",
                details={"machines": list(users)},
            )
        steps = [Step("unpublish", f"{recipe.name} is published")] if seen.published else []
        return tuple(steps + ([Step("remove", f"{len(seen.folders)} builds are there")] if seen.folders else []))
    steps = [] if seen.built else [Step("build", f"no build has the inputs {recipe.key}")]
    if state == "published" and not is_published(recipe, seen):
        steps.append(Step("publish", f"{recipe.name} stands for {seen.published.get('key', 'nothing')}"))
    return tuple(steps)


def is_published(recipe: Recipe, seen: Seen) -> bool:
    """Whether the name stands for this build, and for these contents of it."""
    built, record = seen.built, seen.published
    return built is not None and (record.get("key"), record.get("sha256")) == (recipe.key, built.files[built.main])
