# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about failures of nodes; see _core/failures.py."""

from __future__ import annotations

from .._core.failures import NOTHING_WRITTEN, Advice

CONTINUED = "What was done is written and proven; the same command goes on from there, and makes nothing twice."

ADVICE = {
    "action_final": Advice(
        "The same cause was acted on already, somebody has rejected that within the last 24 h, or has stopped it.",
        "Look at the action with `node_instance_info`, `gather: [events]`. A new cause is a new `fingerprint`.",
        NOTHING_WRITTEN,
    ),
    "action_unknown": Advice(
        "The key is misspelt or of another store, or nobody has asked for this verb for this cause.",
        "Ask for it with `name`, `verb` and `fingerprint`, `state: pending`; its key is `action.id` of the result.",
        NOTHING_WRITTEN,
    ),
    "approval_required": Advice(
        "A persistent node would lose its machine, with what is on it, a machine that no row knows would be destroyed, or policy wants a word for a verb.",
        "Look at the plan (`--check --diff`), then give the name of the node in `confirm`; for an action: `node_action` with `state: approved`.",
        NOTHING_WRITTEN,
    ),
    "authority_missing": Advice(
        "No CA was made for this fleet yet, this is another controller than the one that has it, or its file was lost.",
        "Once for a fleet: role node_enrol, `tasks_from: authority`. Where the store knows one, copy its file from the controller that made it.",
        "Everything: without the CA nothing is signed, and certificates that are out there stay good.",
    ),
    "budget_exhausted": Advice(
        "One rung in ten minutes and three in a day are what a machine gets by itself, and one in five of a group at a time: more would hide the cause.",
        "Wait for the seconds that are named, and look at console and journal meanwhile. By hand nothing is bounded: `ssh`, `node_instance`.",
        NOTHING_WRITTEN,
    ),
    "confirm_mismatch": Advice(
        "A command was copied from another node, or a loop hands the wrong name on.",
        "Give the name of the node itself in `confirm`, after a look at the plan (`--check --diff`).",
        NOTHING_WRITTEN,
    ),
    "csr_invalid": Advice(
        "The key on the machine is damaged or of another kind, or somebody else answers in its name.",
        "Remove `/etc/bowline/node/key.pem` there and enrol it again.",
        NOTHING_WRITTEN,
    ),
    "drain_blocked": Advice(
        "A hook found work that cannot move (no room elsewhere, data of this machine), or the machine does not answer, which is never taken for empty.",
        "Make room, or use the override that stands beside the blocker. `state: absent` with `force` goes on with a machine that cannot be reached.",
        "The machine runs on; it may be cordoned. `state: running` takes back what the drain has changed, and nothing else.",
    ),
    "duplicate_machine": Advice(
        "A provider made a machine after everybody had stopped waiting for it, a store was lost, or somebody copied a machine with its tags.",
        "Find out which of them does the work. `adopt: true` takes one over that no row knows; `state: absent` with `confirm` removes it.",
        NOTHING_WRITTEN,
    ),
    "evidence_missing": Advice(
        "The hooks of the node run in roles, and the one that is named has not said what it saw, or said it more than five minutes ago.",
        "Run the playbook for this job instead of the module alone; it runs the hooks and hands their evidence on.",
        CONTINUED,
    ),
    "finalizers_pending": Advice(
        "A part of the end of the machine did not come to its proof: a cluster that keeps the member, a name server, the provider.",
        "Mend what is named and run the same command again. As a last resort `skip_finalizers` passes one over by its name, which is recorded.",
        "The machine is there until everything before its deletion is done; its credentials may be gone already, so that nobody takes it for a member.",
    ),
    "held": Advice(
        "Somebody protects the node (a cutover whose soak is not over, an operator, a pool), a rule blocks the verb, or the machine is not silent at all.",
        "Wait for the end that is named, or take the guard off the node with `node`, `guards`, after a word with its owner; a rule stands in `policy`.",
        NOTHING_WRITTEN,
    ),
    "hook_missing": Advice(
        "The machine runs something (Docker, Swarm, k3s) that nobody would move away before it goes.",
        "Add the hook to `hooks` of the node, or say `accept_undrained: true` where losing that work is right.",
        NOTHING_WRITTEN,
    ),
    "host_key_changed": Advice(
        "The machine was made anew behind our back, its keys were replaced by hand, another machine has its address, or somebody stands between.",
        "Compare the key on its console (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`) with the pin. If the change is meant, run role node_enrol, "
        "`tasks_from: absent`, for the node and enrol it again.",
        "Everything: no key was pinned, no certificate signed.",
    ),
    "identity_mismatch": Advice(
        "A provider gives ids of machines that are gone to new ones, or somebody made the machine anew by hand.",
        "Compare both tags. If ours is gone, `skip_finalizers: [provider]` lets go of it without touching the other one.",
        "Everything: a machine that is not ours is neither started, stopped nor deleted.",
    ),
    "immutable_change": Advice(
        "Image, type, region and the like are what a machine is made with; none of them can be changed on a machine that is there.",
        "Go back to the values of the machine, or let it be replaced with `on_immutable_change: replace`.",
        NOTHING_WRITTEN,
    ),
    "lease_lost": Advice(
        "This run gave no sign of life for longer than its lease lasts, or its process was taken for dead, and another run works on the node now.",
        "Let the other run end; it reads the world and goes on. Then run the same command again if it is still needed.",
        CONTINUED,
    ),
    "immutable_class": Advice(
        "Class of life (persistent, ephemeral, spot) decides what is done to machines without asking, so it does not change under one that was made.",
        "Keep the class, or declare a new node with the other one and move the work there.",
        NOTHING_WRITTEN,
    ),
    "name_clash": Advice(
        "A machine of somebody else, or of another fleet, has the name that this node's machine would get.",
        "Name the node otherwise, or rename the other machine. One that carries this node's tag is taken over with `adopt: true`.",
        NOTHING_WRITTEN,
    ),
    "no_machine": Advice(
        "No machine was made for the node, or its provider has it no more.",
        "`state: running` makes one. A node without a machine needs no drain.",
        NOTHING_WRITTEN,
    ),
    "no_contact": Advice(
        "It did not boot, has no network, does not trust us, or its clock is so far off that no certificate is valid.",
        "Read the last lines of its console in the message, mend that, and run the same command again.",
        CONTINUED,
    ),
    "node_has_instance": Advice(
        "A node whose machine still lives was to be removed, or its machine has not come to its end yet.",
        "Run `node_instance` with `state: absent` for it first; then remove the node.",
        NOTHING_WRITTEN,
    ),
    "node_unknown": Advice(
        "The name is misspelt, the node was removed, or the store is another one than that in which it was declared.",
        "Correct the name, declare the node with `node`, or name the right store.",
        NOTHING_WRITTEN,
    ),
    "observer_down": Advice(
        "No sweep has run for a while, none of its machines was reached, or the heartbeat is the only one that says that a machine is silent.",
        "Run `sweep` and see why it does not listen; let SSH or the provider look at the machine as well.",
        NOTHING_WRITTEN,
    ),
    "option_invalid": Advice(
        "A name, a number or a word does not fit the option that is named.",
        "Correct the option; the message says what it takes.",
        NOTHING_WRITTEN,
    ),
    "provider_disabled": Advice(
        "`mode` of the provider is `disabled`, by the option or by `BOWLINE_LIBVIRT_MODE`.",
        "Set `mode: real`.",
        NOTHING_WRITTEN,
    ),
    "provider_timeout": Advice(
        "The provider is slow, hangs, or took the call and never made the machine.",
        "Look at it there, then run the same command again: it looks for the machine by its tag before it asks for one.",
        CONTINUED,
    ),
    "provider_unavailable": Advice(
        "Its address does not answer, its credentials are refused, it asks for patience, or it does not find a machine that it has shown before.",
        "Mend what the message names and run again. A machine that is not found in any look for 60 s is taken for gone.",
        CONTINUED,
    ),
    "quorum_risk": Advice(
        "Too few of the other members of the group take work, so the group would stop with this one.",
        "Repair or add a member first. Force does not override this.",
        NOTHING_WRITTEN,
    ),
    "services_not_ready": Advice(
        "A module was not fetched or verified, or a service of it does not start or is not healthy.",
        "Read the journal of the unit that is named on the machine, mend it, and run the same command again.",
        CONTINUED,
    ),
    "status_unreadable": Advice(
        "The agent is not installed, does not run, is of another version, or somebody else writes its file.",
        "Run role node_agent on the machine, then `/usr/libexec/bowline/bowline-node.pyz heartbeat` there, which says what it cannot do.",
        "What the machine said before stays; nothing of the unreadable document was kept.",
    ),
    "self_management": Advice(
        "The playbook runs on the machine that it is to stop or remove, and could not see the job to its end.",
        "Run it from another controller.",
        NOTHING_WRITTEN,
    ),
    "template_in_use": Advice(
        "A template was to be removed that nodes name; without it nobody would know what they are made of.",
        "Give those nodes another template, or remove them first.",
        NOTHING_WRITTEN,
    ),
    "template_unknown": Advice(
        "The name is misspelt, or the template was not declared in this store yet.",
        "Correct the name, or declare the template with `node_template` first.",
        NOTHING_WRITTEN,
    ),
    "token_bound": Advice(
        "Two machines, or one that made its key anew, came with the same token. One of them is not the machine that it was issued for.",
        "Look at both; the event of the node names the moment. Then issue a new token by provisioning anew.",
        "The first key stays bound, and what was signed for it stays valid.",
    ),
    "token_expired": Advice(
        "The machine came later than `token_ttl` after its token was issued, or a newer token has replaced it.",
        "Provision anew, which issues a new one, or enrol by push, which needs none.",
        NOTHING_WRITTEN,
    ),
}
