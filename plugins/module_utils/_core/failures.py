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
    "account_missing": Advice(
        "A file or directory shall belong to a user or group that the target does not have, and no package or manifest of the inventory makes it.",
        "Name an account that is there, or add the package or manifest that makes it.",
        NOTHING_WRITTEN,
    ),
    "certificate_invalid": Advice(
        "A certificate is over or not yet valid, is for another name, does not fit its key, or its CA is not the one that is named.",
        "Renew it, or correct the path of the certificate, the key or the CA; `openssl x509 -noout -text -in <file>` shows names and dates.",
        NOTHING_WRITTEN,
    ),
    "check_failed": Advice(
        "A gate asked the world (a unit, a port, a page, the probe) and got another answer than the step needs.",
        "Read which check failed and what it saw, mend that, run the same playbook again. A check that asks the wrong thing is corrected in the inventory.",
        "A gate only reads. " + STEP,
    ),
    "compose_ambiguous": Advice(
        "Two projects have one name and different folders, or several projects run from one folder.",
        "`docker compose ls --all` shows both; name the folder or the project that is meant.",
        "Everything: this only reads.",
    ),
    "compose_bind_missing": Advice(
        "A service mounts a file or folder that is not there; the engine would make an empty folder in its place at the next start.",
        "Put the file back where it is named, or take the mount out of the compose file.",
        "Everything: this only reads.",
    ),
    "compose_changed": Advice(
        "The compose files were changed after the service was started, so what is read there is not what runs.",
        "`docker compose up -d <service>` starts it with its files; or take the change back.",
        "Everything: this only reads.",
    ),
    "compose_down": Advice(
        "A service of the project has no container that runs: it has ended, was stopped, or never started.",
        "`docker compose ps --all` shows its state; start it, or leave it if it is meant to end.",
        "Everything: this only reads.",
    ),
    "compose_invalid": Advice(
        "A compose file has a mistake, a variable that must have a value has none, or a file that it names is missing.",
        "Run the command that is named on the host and correct what it says.",
        "Everything: this only reads.",
    ),
    "compose_unknown": Advice(
        "The project is misspelt, was removed with `docker compose down`, or belongs to another engine of the host.",
        "`docker compose ls --all` shows the projects of this engine; name one of them, or its folder.",
        "Everything: this only reads.",
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
    "engine_unreachable": Advice(
        "Docker Engine does not run, or the user of the task may not speak to it.",
        "`docker info` on the host as the same user says which; start the engine, or let the play run with become.",
        "Everything: it was only asked.",
    ),
    "file_missing": Advice(
        "A file that the run copies or names is not at its path, on the controller or on the host that is named.",
        "Correct the path, or put the file there. A relative path is read from the folder of the playbook.",
        NOTHING_WRITTEN,
    ),
    "image_missing": Advice(
        "The image is not on the host, and its registry does not give it.",
        "`docker pull <image>` on the host that is named shows the reason; correct the name, log in, or load the image with `docker load`.",
        NOTHING_WRITTEN,
    ),
    "invalid_value": Advice(
        "An option has a value that the program behind it cannot take.",
        "Correct the option that is named; `ansible-doc bowline.fleet.<module>` says what it takes.",
        NOTHING_WRITTEN,
    ),
    "inventory_swallowed": Advice(
        "Ansible reads every file below the folder that `-i` names as inventory: a password in a file becomes the name of a host, a report a group.",
        "Move `secrets/`, manifests and reports beside the inventory, as `inventories/example_hub` has them, or give `-i` the file of the hosts.",
        NOTHING_WRITTEN,
    ),
    "locale_missing": Advice(
        "The new server is to have a locale that the target does not have, and it cannot be made there.",
        "Make it on the target (`locale-gen`), or name another one, which has to be that of the old database.",
        NOTHING_WRITTEN,
    ),
    "locked": Advice(
        "Another run of ours, of the same or another controller, works on the same thing. Its process, host, age and step are in the message.",
        "Wait until it has ended. If it hangs, end its process; one that is dead here is taken over by itself, one on another machine when its lease "
        "ends (`operation_lease_ttl`), or at once by `-e operation_take_over=` with the operation of the message.",
        "Everything: the run that is refused has done nothing.",
    ),
    "network_missing": Advice(
        "The edge's container shall join a network that the old host does not have; compose puts the name of the project before it.",
        "`docker network ls` on the old host shows the names; correct `edge_sides`.",
        NOTHING_WRITTEN,
    ),
    "not_run": Advice(
        "A question of the preflight got no answer: the host did not answer, a program is missing, or an earlier question stood in the way.",
        "Mend the finding that stands beside it, then run again; what was seen stands in the message.",
        NOTHING_WRITTEN,
    ),
    "package_missing": Advice(
        "A package is not on the target, and apt there knows no source of it.",
        "`apt-get update` on the target, add the source of the package, or correct the name.",
        NOTHING_WRITTEN,
    ),
    "path_closed": Advice(
        "One host cannot reach a port of the other: nobody listens, a port is not published, a firewall is between, or TLS is not spoken there.",
        "Try the address from the host that is named; docs/guides/databases.md has a way for each cause.",
        NOTHING_WRITTEN,
    ),
    "platform_unsupported": Advice(
        "The modules speak to apt, systemd and Debian's paths; on another family, or where SELinux enforces, what they make would not run.",
        "Use a target with Debian or Ubuntu. docs/guides/tried.md says what was tried.",
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
    "target_incomplete": Advice(
        "The inventory says that a unit, port or database is on the target, and nothing in it makes that.",
        "Add the manifest or the setting that makes it, or take the mention out.",
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
    "variable_invalid": Advice(
        "A variable is missing, or what it is made of cannot be resolved: most often a file of a secret that is not there, or a misspelt name inside it.",
        "Correct the variable that is named; the message has Ansible's own reason.",
        NOTHING_WRITTEN,
    ),
}
