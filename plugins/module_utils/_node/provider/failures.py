# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about failures of providers; see _core/failures.py."""

from __future__ import annotations

from ..._core.failures import NOTHING_WRITTEN, STEP, Advice

ADVICE = {
    "provider_unavailable": Advice(
        "The host of the provider did not answer, refused, or gave half an answer. That is never taken for an empty list.",
        "Mend what stands in the message; `node_machine_info` on that host asks the same. Then run again.",
        STEP + " No machine is taken for gone, and none is made in its place.",
    ),
    "provider_unknown": Advice(
        "The name of the provider, the region or the type is misspelt, or this provider does not have it.",
        "Take the name that the message suggests; `node_provider_info` lists what there is. Own types of local machines stand in `provider_options.types`.",
        NOTHING_WRITTEN,
    ),
}
