# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about failures of units and manifests; see _core/failures.py."""

from __future__ import annotations

from .._core.failures import NOTHING_WRITTEN, STEP, Advice

ADVICE = {
    "account_failed": Advice(
        "The user or group of a service has a number that the host has no name for, and systemd starts nothing for such a number; adding it failed.",
        "Mend what the message says, or add a user with that number yourself, then run the same command again.",
        STEP,
    ),
    "artifact_failed": Advice(
        "Docker Engine or tar ended with an error while the archive was made; most often there is no room for three times the image.",
        "Mend what the message says, then run the same command again.",
        "The archive that was there stays; nothing is left of the new one.",
    ),
    "artifact_invalid": Advice(
        "The archive was changed or cut on its way, or the digest is that of another one.",
        "Copy it again from where it was made, and compare with `sha256sum`. If it stays, whoever made or carried it changed it: do not use it.",
        "What runs goes on in its own files; nothing of the archive is used.",
    ),
    "capability_conflict": Advice(
        "The modules of the stack do not fit together: two provide the same, one needs what none has, or one is privileged and not approved.",
        "Change the set of modules, or approve the one that is named (`native_stack_approved`).",
        NOTHING_WRITTEN,
    ),
    "differs_natively": Advice(
        "A container has its own network, name and kernel settings; a unit has those of its host.",
        "Read what is named and see whether the application uses it; most do not.",
        NOTHING_WRITTEN,
    ),
    "locale_unknown": Advice(
        "Debian has no locale of this name: most often a misspelt one, or one of another system.",
        "Name one of `/usr/share/i18n/SUPPORTED`; `SELECT datcollate FROM pg_database` on the old server says which the database has.",
        NOTHING_WRITTEN,
    ),
    "manifest_invalid": Advice(
        "A manifest has a key or value that schema_version 1 does not know, or a path that the profile of its module hides.",
        "Correct every path that is named; they come all at once.",
        NOTHING_WRITTEN,
    ),
    "no_space": Advice(
        "The file system of a file that the stack reads is full, on the host of the stack.",
        "`df -h` on that host says which one; make room, then run the same playbook again.",
        "The file that was there: a new one gets its name only when it is whole. " + STEP,
    ),
    "not_owner": Advice(
        "A unit of this name exists and carries another stack's mark, or none.",
        "Rename the stack (`native_stack_name`), or remove the other unit after looking at it.",
        NOTHING_WRITTEN,
    ),
    "port_pair": Advice(
        "In containers each service has a network of its own; on one host two programs cannot listen on one port.",
        "Let one of them listen elsewhere, by a variable or an option of its program, and write the new port into `ports` or `expose` of its service.",
        NOTHING_WRITTEN,
    ),
    "status_unreadable": Advice(
        "systemd did not answer a question about a unit, so nobody knows whether it runs.",
        "`systemctl status` on the host says what is wrong with systemd itself; then run again.",
        STEP,
    ),
    "ports_open": Advice(
        "In a container a service listens in a network of its own, and only what is published is reached from outside. A unit listens on the host.",
        "Let the program listen on 127.0.0.1 if only neighbours use it, or close the port with the host's firewall; then name it in `accept_open_ports`.",
        NOTHING_WRITTEN,
    ),
    "stays_behind": Advice(
        "The service needs something that only an engine gives (another container's network, a volume driver), or it would be given the host: devices, the "
        "engine's socket, rights over the network.",
        "Leave it on the old host, or take the key out of its service if it can do without, and run this again.",
        NOTHING_WRITTEN,
    ),
    "unit_cycle": Advice(
        "Services wait for each other in a circle, which is named.", "Remove one of the dependencies from the manifests.", NOTHING_WRITTEN
    ),
    "unit_failed": Advice(
        "The service did not reach its condition: it ended at once, could not bind, or could not read something. Its last lines stand in the message.",
        "Mend what they say; `journalctl -u <unit>` on the target has the rest. Then run the same playbook again.",
        "The old side serves as before; of the target's units those that ran go on. " + STEP,
    ),
    "unit_invalid": Advice(
        "systemd refuses the text that would be written; most often a value that this version does not know.",
        "Correct the key of the manifest that is named.",
        "The unit that was there is untouched and goes on.",
    ),
}
