# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Points of this room at which a test may end or stop the process; see `_core.faults`. Each name stands in the code exactly once.

K1 to K5: making one server follow the other, and K6: trying the way back. W0 to W6: the switch. Y1 to Y4: taking everything away.
"""

from __future__ import annotations

LINK_POINTS = ("K1", "K2", "K3", "K4", "K5", "K6")
WINDOW_POINTS = ("W0", "W1", "W2", "W3", "W4", "W5", "W6")
ABSENT_POINTS = ("Y1", "Y2", "Y3", "Y4")
