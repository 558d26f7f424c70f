# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options with which a module waits for the state it was asked for; specs: ``_core.argspec.WAIT``."""

from __future__ import annotations


class ModuleDocFragment:
    """Use as ``bowline.fleet.wait``."""

    DOCUMENTATION = r"""
options:
  wait:
    description: Whether to wait until the state asked for has been read back.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait, in seconds, measured on a monotonic clock.
      - At the deadline the module fails and says what it waited for and what it saw last.
    type: float
    default: 300
"""
