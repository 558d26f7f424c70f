# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring files of the controller to the module; see its documentation in plugins/modules/native_files.py."""

from __future__ import annotations

import base64
import json
import typing as t
from pathlib import Path

from ansible.errors import AnsibleError

from ..module_utils._core.errors import FleetError
from ..modules.native_files import SPEC
from ..plugin_utils.fleet_action import FleetAction


class ActionModule(FleetAction):
    """Every content goes as base64, so that a file that is no text arrives as it is and no text is taken for a secret in other results."""

    _requires_connection = True

    SPEC: t.ClassVar[dict[str, t.Any]] = SPEC

    def work(self, params: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        files = [self._carried(entry) for entry in params["files"]]
        arguments = {"folders": params["folders"], "files": files}
        return dict(self._execute_module(module_name="bowline.fleet.native_files", module_args=arguments, task_vars=task_vars))

    def _carried(self, entry: dict[str, t.Any]) -> dict[str, t.Any]:
        """The entry with what its source holds in place of the source."""
        if entry["encoded"]:
            return entry
        if (entry["content"] is None) == (entry["source"] is None):
            message = f"{entry['path']} needs either content or source. Nothing was changed."
            raise FleetError("invalid_value", message, remedy="Give one of them.", details={"path": entry["path"]})
        content = self._read(entry["path"], entry["source"]) if entry["source"] else _text(entry["content"]).encode("utf-8", "surrogateescape")
        return {**entry, "source": None, "encoded": True, "content": base64.b64encode(content).decode("ascii")}

    def _read(self, path: str, source: str) -> bytes:
        try:
            # As ansible.builtin.copy does: found beside the role and the playbook, and decrypted.
            found = self._loader.get_real_file(self._find_needle("files", source), decrypt=True)
            try:
                return Path(found).read_bytes()
            finally:
                self._loader.cleanup_tmp_file(found)
        except (AnsibleError, OSError) as error:
            raise FleetError(
                "file_missing",
                f"{source}, which shall become {path}, cannot be read on the controller: {error}. Nothing was changed.",
                remedy="Correct the path, or put the file there.",
                details={"path": path, "source": source},
            ) from error


def _text(content: t.Any) -> str:
    """Data becomes JSON, as with ansible.builtin.copy."""
    if isinstance(content, (dict, list)):
        return json.dumps(content)
    return str(content)
