# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wrong options as one failure."""

from __future__ import annotations

import typing as t

from .._core.errors import FleetError
from .._core.finding import Finding


def wrong_options(said: t.Sequence[t.Tuple[str, str]], unchanged: str = "") -> FleetError:
    """Every option that is wrong, as its name and a sentence, in one failure."""
    found = [Finding("option_invalid", "fail", field=name, message=words, remedy="Correct the option.").as_dict() for name, words in said]
    message = " ".join([*(words for _name, words in said), *([unchanged] if unchanged else [])])
    return FleetError("option_invalid", message, "Correct the options.", {"findings": found})
