# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The attributes that all modules share: what check mode and diff mode do, and where a module runs."""

from __future__ import annotations


class ModuleDocFragment:
    """Use as ``bowline.fleet.attributes.writer``, ``.reader`` or ``.controller``."""

    WRITER = r"""
attributes:
  check_mode:
    description: Can run in check mode and returns the plan and diff of the real run without writing anything.
    support: full
  diff_mode:
    description: Returns what would change (or has changed) in diff mode; the diff is made from the plan.
    support: full
  platform:
    description: Families of operating systems that the module works on.
    support: full
    platforms: posix
"""

    READER = r"""
attributes:
  check_mode:
    description: Can run in check mode; it only reads, so it does the same there.
    support: full
  diff_mode:
    description: Returns what would change (or has changed) in diff mode.
    support: N/A
    details: The module only reads, so there is nothing to compare.
  platform:
    description: Families of operating systems that the module works on.
    support: full
    platforms: posix
"""

    CONTROLLER = r"""
attributes:
  action:
    description: Has a corresponding action plugin, so it runs on the controller.
    support: full
  async:
    description: Supports being used with the C(async) keyword.
    support: none
  check_mode:
    description: Can run in check mode and returns the plan and diff of the real run without writing anything.
    support: full
  diff_mode:
    description: Returns what would change (or has changed) in diff mode; the diff is made from the plan.
    support: full
  platform:
    description: Families of operating systems that the module works on.
    support: full
    platforms: posix
"""
