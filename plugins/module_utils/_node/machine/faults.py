# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Points of this room at which a test may end or stop the process; see `_core.faults`.

On the host: M1 before and M2 after a call that changes something there, M3 between the start of a machine's process and its program. On the
controller: I1 before a step of a life, I2 before and I3 after a call to the host, I4 after a step and before it is recorded, I5 after all of them.
On the machine: H1 when a hook has written down what it is going to change, H2 after each change, H3 after each start that takes one back.
"""

from __future__ import annotations

MACHINE = ("M1", "M2", "M3", "I1", "I2", "I3", "I4", "I5")
HOOKS = ("H1", "H2", "H3")
POINTS = (*MACHINE, *HOOKS)
