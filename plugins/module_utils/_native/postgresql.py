# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL's configuration as text. Pure.

Quoting per "Setting Parameters" of its documentation: a value stands in single quotes, a quote in it is doubled, a backslash is escaped.
"""

from __future__ import annotations

import re
import typing as t

from .findings import refuse

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?\Z")


def configuration(settings: t.Mapping[str, t.Any]) -> str:
    """``postgresql.conf`` with one line per setting, sorted by name. Booleans become on/off, lists are joined with commas.

    Raises FleetError ``manifest_invalid`` with every name or value that PostgreSQL could misread.
    """
    findings = [f"settings.{name}: is no name of a setting." for name in settings if not _NAME.match(str(name))]
    findings += [f"settings.{name}: has a line break." for name, value in settings.items() if "\n" in str(value) or "\x00" in str(value)]
    findings += [f"settings.{name}: has no value; leave it out." for name, value in settings.items() if value is None]
    refuse(findings, "Correct the settings; nothing was changed.")
    return "".join(f"{name} = {_value(value)}\n" for name, value in sorted(settings.items()))


def _value(value: t.Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        value = ", ".join(str(item) for item in value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"
