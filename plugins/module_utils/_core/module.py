# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module class for parameters that are free in their form."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule

from .redact import redact
from .secret_forms import hide, names_secret


class FleetModule(AnsibleModule):  # type: ignore[misc]
    """Ansible writes the parameters of each module to the log of the host. ``no_log`` keeps whole options out of it; what stands inside of
    lists and dictionaries, a header for example, would be written as it is.
    """

    def log(self, msg: t.Any, log_args: t.Optional[dict[str, t.Any]] = None) -> None:
        text = msg.decode("utf-8", "replace") if isinstance(msg, bytes) else msg
        # As text, because Ansible takes nothing else here.
        arguments = {name: redact(item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)) for name, item in (log_args or {}).items()}
        super().log(redact(text), log_args=arguments)

    def hide_only_secrets(self, option: str) -> None:
        """Of a dictionary of variables under ``no_log`` only what is secret by its name or form stays hidden in the result.

        Ansible hides every value wherever it stands: a version `1` in each number and digest.
        """
        values = {str(name): str(value) for name, value in (self.params.get(option) or {}).items()}
        secret = {value for name, value in values.items() if names_secret(name) or hide(value) != value}
        self.no_log_values.difference_update(set(values.values()) - secret)
