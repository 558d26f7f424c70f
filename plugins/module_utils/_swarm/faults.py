# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Points of this room at which a test may end or stop the process; see `_core.faults`. Each stands in the code exactly once; those that come once a
service or wave are chosen by their turn, as in ``S6.2``.
"""

from __future__ import annotations

# Deploying: locked, before and after the pending revision, after the pre-pull, networks, configs and secrets; before and after each service is
# written, after each wave converged; after services and objects were removed; before and after the revision is marked; before the lock is released.
DEPLOY_POINTS = ("S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "S12", "S13", "S14")
# Going back: before the first write, before and after each service is written, after each wave converged, after the verbatim spec is written,
# after new services were removed, before and after the revision is marked.
ROLLBACK_POINTS = ("R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8")
# Removing a stack: locked, after the pending revision; before and after each service is removed, after each wave is gone, after each object; before
# and after the revision is marked.
ABSENT_POINTS = ("A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8")
# Draining: the record is written, the node takes nothing new, a service is told to leave, all have left, the node is drained, it is empty, a
# service has its spec back, the record is gone.
DRAIN_POINTS = ("N1", "N2", "N3", "N4", "N5", "N6", "N7", "N8")
# One service: locked, the revision is pending, the service is written, it has converged, the revision is marked.
SERVICE_POINTS = ("E1", "E2", "E3", "E4", "E5")
POINTS = DEPLOY_POINTS + ROLLBACK_POINTS + ABSENT_POINTS + DRAIN_POINTS + SERVICE_POINTS
