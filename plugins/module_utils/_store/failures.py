# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about failures of the journal; see _core/failures.py."""

from __future__ import annotations

from .._core.failures import STEP, Advice

ADVICE = {
    "lease_lost": Advice(
        "This run gave no sign of life for longer than `operation_lease_ttl`, or its process was taken for dead, and another run has taken over.",
        "Let the other run end; it reads the world and continues. Do not start this one again beside it.",
        "This run has stopped where it was. " + STEP,
    ),
    "operation_unknown": Advice(
        "No operation of this id is in this store, or the play has not opened one.",
        "Look whether `operation_store` names the store of the other runs; include role `operation` before its entry points.",
        "Everything.",
    ),
    "store_ephemeral": Advice(
        "The journal would be a file in an execution environment, which vanishes with it; then nobody would know what a killed run did.",
        "Set `operation_store` to a path on a volume that stays, or say `?ephemeral=true` where nothing is lost by it.",
        "Everything: no operation was opened.",
    ),
    "store_unavailable": Advice(
        "The store cannot be opened, read or written. A file: rights, a full disk, a network below it, or it is damaged. PostgreSQL: it does not answer, "
        "is closed for writes, a right is missing, or the connection ended. Or its DSN is written wrong, or a newer collection has written it.",
        "Mend what the message names; it has the statement or the word to type. The journal is a record: the next run reads the world, not the journal.",
        STEP,
    ),
    "task_failed": Advice(
        "A task of Ansible, or of a role of yours, failed without a code of ours.",
        "Read its message and the last lines that its program printed; run again with `-v` to see more.",
        STEP,
    ),
}
