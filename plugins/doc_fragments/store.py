# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option that chooses the store: leases, operations and what rooms record beside them."""

from __future__ import annotations


class ModuleDocFragment:
    """Use as ``bowline.fleet.store``."""

    DOCUMENTATION = r"""
options:
  store:
    description:
      - DSN of the store. One store is one fleet.
      - C(sqlite:///absolute/path) is one file on the controller.
      - Without it, the file V(bowline/store.db) in the user's XDG state directory (E(XDG_STATE_HOME), else V(~/.local/state)) is used.
      - The file is its user's alone (0600). One of another user, or one that others may read, write or swap, is refused with C(unsafe_path).
    type: str
"""
