# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drain has changed, as it lies on the machine: written before the first change, gone when everything is taken back.

It lies with the machine and not with the controller: whoever comes next, from wherever, finds the first state, however often the drain was killed. Root
alone can read or write it.
"""

from __future__ import annotations

import json
import os
import typing as t

from ..._core import private
from .model import Unanswered

FOLDER = "/var/lib/bowline/hooks"
_VERSION = 1

Json = t.Dict[str, t.Any]


class Record:
    """``parts`` by the id of a container or the name of a unit, ``units`` are those of the engine itself, which were stopped behind its containers."""

    def __init__(self, folder: str, hook: str) -> None:
        self._folder, self.path = folder, os.path.join(folder, f"{hook}.json")
        self.parts: t.Dict[str, Json] = {}
        self.units: t.List[str] = []
        self.there = False

    def read(self) -> Record:
        """Itself, with what lies there. Raises Unanswered for what cannot be read as a record: nobody knows the first state then."""
        try:
            given = json.loads(private.read(self.path, 0o600))
        except FileNotFoundError:
            return self
        except ValueError:
            given = None
        if not isinstance(given, dict) or given.get("version") != _VERSION or not isinstance(given.get("parts"), dict):
            raise Unanswered(f"{self.path} cannot be read as the record of a drain")
        self.parts, self.units, self.there = given["parts"], list(map(str, given.get("units") or ())), True
        return self

    def write(self) -> None:
        place = os.path.join(private.folder(self._folder), os.path.basename(self.path))
        private.write(place, json.dumps({"version": _VERSION, "parts": self.parts, "units": self.units}, sort_keys=True).encode(), 0o600)
        self.there = True

    def remove(self) -> None:
        if self.there:
            os.unlink(self.path)
        self.parts, self.units, self.there = {}, [], False
