# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may run beside what: pure, so that the order of ``make test`` can be read and tested without running it.

A stage begins when what it ``needs`` (and cannot do without) and what it comes ``after`` is over, nobody else ``holds`` what it holds, and its
``cores`` are free; one that is to be ``alone`` begins when nothing runs, and nothing begins beside it. Of those that may begin, the first one does.
"""

from __future__ import annotations

import collections.abc as c
import typing as t


class Part(t.Protocol):
    """``cores``: how many it keeps busy on average, measured; ``holds``: names of what only one stage can have at a time."""

    name: str
    needs: tuple[str, ...]
    after: tuple[str, ...]
    holds: tuple[str, ...]
    cores: float
    alone: bool


P = t.TypeVar("P", bound=Part)


def beside(stage: Part, running: c.Collection[Part], cores: float) -> bool:
    """Whether ``stage`` disturbs nobody of those that are ``running``. A stage that wants more than the machine has gets all of it."""
    if not running:
        return True
    if stage.alone or any(other.alone for other in running):
        return False
    if any(set(stage.holds) & set(other.holds) for other in running):
        return False
    return sum(other.cores for other in running) + stage.cores <= cores


def following(waiting: c.Sequence[P], running: c.Collection[P], cores: float) -> P | None:
    """The stage that begins now; None when one has to end before. What a stage waits for is over when it neither waits nor runs."""
    pending = {stage.name for stage in (*waiting, *running)}
    return next((stage for stage in waiting if not pending.intersection({*stage.needs, *stage.after}) and beside(stage, running, cores)), None)
