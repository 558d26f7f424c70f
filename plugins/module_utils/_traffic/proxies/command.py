# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A proxy that the operator changes by commands of his own. What is promised: they run in this order, and what they say is believed.

``check`` tells by its exit code what is so, 0 for in and 1 for out, and changes nothing, as a plan runs it too. ``insert`` and ``remove`` do
nothing when it is so already, return when the proxy has taken it, and end no request. They are told the edge's addresses as JSON in the
environment, BOWLINE_UPSTREAMS: name to host:port or unix:/path.
"""

from __future__ import annotations

import hashlib
import json
import os
import typing as t

from ..._core import private
from ..._core.errors import FleetError
from ..._core.runner import Completed, Runner
from .insertion import Insertion, Prove, command, failed, of_error

IN, OUT = "in", "out"


class CommandProxy:
    """See `insertion.Proxy`."""

    def __init__(self, insertion: Insertion, run: Runner) -> None:
        self.insertion = insertion
        self._run = run

    def seen(self) -> str:
        completed = self._do("check")
        if completed.rc not in (0, 1):
            raise failed("check", self.insertion.check, completed, "0 was expected for in, 1 for out. Nothing was changed.")
        return OUT if completed.rc else IN

    def inserted(self, seen: str) -> str:
        for field in ("insert", "remove"):
            _own(field, getattr(self.insertion, field))
        return IN

    def restored(self, seen: str) -> str:
        return OUT

    def digest(self, state: str) -> str:
        """Other addresses or commands are another insertion."""
        words = [state, dict(self.insertion.upstreams), self.insertion.insert]
        return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()

    def shown(self, state: str) -> t.Any:
        return state

    def change(self, seen: str, back: str, new: str, prove: Prove = lambda: None) -> None:
        try:
            self._make(new)
            prove()
        except BaseException as error:
            if new != back:
                refused = None
                try:
                    self._make(back)
                except FleetError as failure:
                    refused = failure
                if isinstance(error, FleetError):
                    error.message += f" The edge was not taken out again: {refused.message}" if refused and back == OUT else f" The edge is {back} again."
            raise

    def notes(self, seen: str) -> list[dict[str, str]]:
        return []

    def findings(self) -> list[dict[str, str]]:
        try:
            self.inserted(self.seen())
        except FleetError as error:
            return [of_error(error, " ".join(self.insertion.check))]
        return []

    def labels(self) -> dict[str, str]:
        return {}

    def timeout(self) -> float | None:
        return None

    def _make(self, state: str) -> None:
        field = "insert" if state == IN else "remove"
        completed = self._do(field)
        if completed.rc:
            raise failed(field, getattr(self.insertion, field), completed, "")
        if self.seen() != state:
            raise failed("check", self.insertion.check, completed, f"proxy.{field} ended with 0, and proxy.check does not say {state}.")

    def _do(self, field: str) -> Completed:
        words = getattr(self.insertion, field)
        _own(field, words)
        return command(field, words, self.insertion, self._run, env={"BOWLINE_UPSTREAMS": json.dumps(dict(self.insertion.upstreams))})


def _own(field: str, words: t.Sequence[str]) -> None:
    """Raise FleetError ``unsafe_path`` for a program that others could swap, ``tool_missing`` for none."""
    if words[0].startswith("/"):
        try:
            os.close(private.open_file(private.real(words[0], f"proxy.{field}"), os.O_RDONLY, 0o755))
        except FileNotFoundError:
            raise FleetError(
                "tool_missing", f"{words[0]} of proxy.{field} was not found.", remedy=f"Correct proxy.{field}.", details={"field": f"proxy.{field}"}
            ) from None
