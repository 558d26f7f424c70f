# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a preflight has to say: one shape in every module, filter, page and report."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

from .errors import FleetError
from .redact import field_words


@dataclass(frozen=True)
class Finding:
    """One thing that a run has to say before it changes anything. Pure text; whoever shows it cleans it (`_core.visible`).

    ``code`` is one of docs/failures.md, ``level`` is fail (stops the run) or warn. ``object`` is what was looked at, in the words of its server or
    file; ``field`` is the option or variable to look at; one of them may be empty. ``remedy`` says what to do.
    """

    code: str
    level: str
    object: str = ""
    message: str = ""
    remedy: str = ""
    field: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def of_error(cls, error: FleetError, where: str = "", field: str = "") -> Finding:
        """The failure as a finding of level fail about object ``where``."""
        return cls(error.code, "fail", where, error.message, error.remedy, field)

    @classmethod
    def of_dict(cls, given: t.Mapping[str, t.Any]) -> Finding:
        """The inverse of `as_dict`; a key that an older result lacks is empty, its level fail."""
        words = {name: str(given.get(name) or "") for name in cls.__dataclass_fields__}
        return cls(**{**words, "level": words["level"] or "fail"})


def of_sentences(code: str, sentences: t.Iterable[str], remedy: str) -> list[dict[str, str]]:
    """Findings of ``field: what is wrong`` each, as the readers of documents write them; one that begins otherwise has no field."""
    found = []
    for sentence in sentences:
        field, colon, text = sentence.partition(": ")
        parts = (field, text) if colon and " " not in field else ("", sentence)
        found.append(Finding(code, "fail", field=parts[0], message=parts[1], remedy=remedy).as_dict())
    return found


def sentence(given: t.Mapping[str, t.Any]) -> str:
    """``where: message`` of a finding: its field, or else its object; the message alone when it has neither."""
    where = given.get("field") or given.get("object")
    # A field that is named after a secret would make the next word look like one.
    return f"{field_words(where)}: {given.get('message')}" if where else str(given.get("message"))


def failure(found: t.Sequence[Finding], unchanged: str) -> FleetError:
    """All of ``found`` at once: by their own code when they have one, else as preflight_failed. ``unchanged`` is the last sentence."""
    unique = list(dict.fromkeys(found))
    codes = {finding.code for finding in unique}
    return FleetError(
        codes.pop() if len(codes) == 1 else "preflight_failed",
        f"{' '.join(dict.fromkeys(finding.message for finding in unique))} {unchanged}",
        unique[0].remedy if len(unique) == 1 else "Follow the remedy of each finding, then run the same command again.",
        {"findings": [finding.as_dict() for finding in unique]},
    )
