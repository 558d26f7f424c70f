# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one exception of the collection: what every module turns into ``failure: {code, message, remedy, details}``."""

from __future__ import annotations

import typing as t


class FleetError(Exception):
    """A failure that a user can act on.

    ``code`` is one of the names in docs/failures.md, ``message`` says subject, what was seen and what is unchanged, ``remedy`` names
    the next command or option, ``details`` is data for programs. None of them may hold a secret.
    """

    def __init__(self, code: str, message: str, remedy: str = "", details: t.Mapping[str, t.Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.details = dict(details or {})

    def as_failure(self) -> dict[str, t.Any]:
        """The ``failure`` key of a module's result."""
        return {"code": self.code, "message": self.message, "remedy": self.remedy, "details": self.details}
