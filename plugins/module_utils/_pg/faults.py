# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Points of this room at which a test may end or stop the process; see `_core.faults`.

A1 to A3 (arming), W0 to W8 (window), F1 to F4 (afterwards), L1 to L3 (an accepted loss), Y1 to Y5 (absent), and D1 (dry restore). Each name stands in
the code exactly once for each engine, so one direction or the other is chosen by what is run.
"""

from __future__ import annotations

POINTS = ("A1", "A2", "A3", "W0", "W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "F1", "F2", "F3", "F4")
LOSS_POINTS = ("L1", "L2", "L3")
ABSENT_POINTS = ("Y1", "Y2", "Y3", "Y4", "Y5")
SEED_POINTS = ("D1",)
