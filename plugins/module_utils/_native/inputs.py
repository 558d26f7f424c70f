# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which files a service reads at its start, and which of them a run changes. Pure."""

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


def changed_paths(results: t.Sequence[t.Mapping[str, t.Any]], credentials_directory: str) -> list[str]:
    """Destinations of the changed ones among loop results of ``copy``.

    The item tells the path, because the result has no ``dest`` in check mode: ``path`` of a file, ``key`` of a credential.
    """
    changed = [result["item"] for result in results if result.get("changed")]
    return [item["path"] if "path" in item else f"{credentials_directory}/{item['key']}" for item in changed]
