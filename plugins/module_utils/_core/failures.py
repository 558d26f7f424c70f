# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about a failure code, wherever it is raised: why it comes, what to do, what is unchanged.

docs/failures.md is made of ADVICE and of FAILURES. Nothing imports this at run time, so no module carries it to a host. A room has the advice for
its own codes, and for shared ones that mean something else there, in its own failures.py.
"""

from __future__ import annotations

import typing as t


class Advice(t.NamedTuple):
    """Three plain sentences or more, as Markdown."""

    why: str
    do: str
    unchanged: str


NOTHING_WRITTEN = "Everything: it is found before the first write."
STEP = "What earlier steps did stays and is found again by the next run; the step that failed is continued, not repeated from its beginning."

ADVICE = {
    "check_failed": Advice(
        "A gate asked the world (a unit, a port, a page, the probe) and got another answer than the step needs.",
        "Read which check failed and what it saw, mend that, run the same playbook again. A check that asks the wrong thing is corrected in the inventory.",
        "A gate only reads. " + STEP,
    ),
    "conflict": Advice(
        "Somebody or something changed the object since it was read, or it is not what the inventory says it is.",
        "Compare both versions in the message. If the other change is right, correct the inventory; if not, undo it; then run again.",
        "Everything: what is not as expected is not overwritten.",
    ),
    "container_missing": Advice(
        "The name is misspelt, or the compose stack is down.",
        "`docker ps -a` on the old host shows the names; correct `cutover_preflight_containers`, or start the stack.",
        NOTHING_WRITTEN,
    ),
    "evidence_missing": Advice(
        "A step relies on a record (what a role said, a snapshot, an operation) that is not there.",
        "Run the step that makes the record, or take it out of the inventory. Out of a role of this collection it is a defect: report it.",
        STEP,
    ),
    "invalid_value": Advice(
        "An option has a value that the program behind it cannot take.",
        "Correct the option that is named; `ansible-doc bowline.fleet.<module>` says what it takes.",
        NOTHING_WRITTEN,
    ),
    "locked": Advice(
        "Another run of ours, of the same or another controller, works on the same thing. Its process, host and age are in the message.",
        "Wait until it has ended. If its process is dead on another machine, its lease ends by itself (`operation_lease_ttl`).",
        "Everything: the run that is refused has done nothing.",
    ),
    "not_run": Advice(
        "A question of the preflight got no answer: the host did not answer, a program is missing, or an earlier question stood in the way.",
        "Mend the finding that stands beside it, then run again; what was seen stands in the message.",
        NOTHING_WRITTEN,
    ),
    "port_taken": Advice(
        "Another program listens on a port that a unit of the target will need.",
        "`ss -ltnp` on the target names it. End it, or choose another port in `cutover_preflight_ports` and in the manifest.",
        NOTHING_WRITTEN,
    ),
    "preflight_failed": Advice(
        "Something that stands in the way was found, on one host or on both.",
        "Each finding has a field, what was seen, and a remedy. Follow them all, then run the same command again: they come all at once.",
        NOTHING_WRITTEN,
    ),
    "privileges": Advice(
        "The account lacks a right: no `become`, no superuser, no permission on a file.",
        "Give the account that is named the right that is named.",
        NOTHING_WRITTEN,
    ),
    "timeout": Advice(
        "What was waited for did not come in time; what was seen last stands in the message.",
        "Find out why it is slow or stuck there, then run the same playbook again, or raise the timeout that is named.",
        STEP,
    ),
    "tool_missing": Advice(
        "A program or library is not installed on the host that is named, or is too old for what it has to speak to.",
        "Install the package that is named.",
        NOTHING_WRITTEN,
    ),
    "unknown_key": Advice(
        "A nested option is misspelt. Ansible itself does not look into dictionaries.",
        "Correct the key; the nearest one is named.",
        NOTHING_WRITTEN,
    ),
    "unknown_variable": Advice(
        "A variable begins with the name of one of our roles and is none that they read: most often misspelt, or of an older version.",
        "Correct the name, or remove the variable.",
        NOTHING_WRITTEN,
    ),
    "unreachable": Advice(
        "A host, server or address does not answer: it is down, a firewall is between, or the address is wrong.",
        "Try the very address and port that are named from the host that is named. When it answers, run the same playbook again.",
        STEP,
    ),
    "unsafe_path": Advice(
        "A file or folder that root trusts can be written, swapped or locked by others, or is a link. Whoever can write there could make root do it.",
        "Give it the owner and mode that the message names, or choose another place.",
        NOTHING_WRITTEN,
    ),
}
