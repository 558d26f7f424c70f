# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which files a service reads at its start, and how they are put in place. Pure."""

from __future__ import annotations

import typing as t


def inputs_by_service(
    files: t.Sequence[t.Mapping[str, t.Any]], further: t.Optional[t.Mapping[str, t.Sequence[str]]] = None
) -> dict[str, list[str]]:
    """Paths by service, from the ``notify`` of each file; ``further`` paths come after them.

    A file with ``replace: false`` is edited by someone else later, who also tells the service; it is nobody's input here.
    """
    inputs: dict[str, list[str]] = {}
    for item in files:
        for service in item.get("notify", ()) if item.get("replace", True) else ():
            inputs.setdefault(service, []).append(item["path"])
    for service, paths in (further or {}).items():
        inputs.setdefault(service, []).extend(paths)
    return inputs


def placed(
    files: t.Sequence[t.Mapping[str, t.Any]], credentials: t.Optional[t.Mapping[str, str]] = None, credentials_directory: str = ""
) -> list[dict[str, t.Any]]:
    """Entries of ``native_files``: a credential for each source of ``credentials``, then the files without what only units need to know."""
    secrets = [
        {"path": f"{credentials_directory}/{name}", "source": source, "mode": "0600", "secret": True} for name, source in (credentials or {}).items()
    ]
    return [*secrets, *({key: value for key, value in item.items() if key != "notify"} for item in files)]
