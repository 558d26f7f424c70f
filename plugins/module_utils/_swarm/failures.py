# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about failures of Docker and Swarm; see _core/failures.py."""

from __future__ import annotations

from .._core.failures import NOTHING_WRITTEN, Advice

CLUSTER = "The cluster is as it was."
BACK = "With `on_failure: rollback` the whole stack is as it was before; `outcome` and the steps say so. The task is failed all the same."
LEFT = "Everything stays as it was left, so that it can be looked at; the history keeps the state before."

ADVICE = {
    "api_unsupported": Advice(
        "The engine is older than Docker 20.10, or `api_version` names a version that it does not know.",
        "Leave `api_version` at `auto`, or update the engine that is named.",
        CLUSTER,
    ),
    "canary_impossible": Advice(
        "A canary is some of the replicas of a service that runs: a new one, a global one, one replica, or a port on every node leaves no room for it.",
        "Name the services that can have one in `canary.services`, or deploy the whole stack with `state: present`.",
        NOTHING_WRITTEN,
    ),
    "cluster_mismatch": Advice(
        "An endpoint was built anew, joined another Swarm, or the inventory names engines of two clusters.",
        "Read which engine is in which cluster. Correct `docker_host`, or take the engine out of the foreign cluster and run the role `swarm_cluster`.",
        CLUSTER,
    ),
    "compose_invalid": Advice(
        "The docker CLI does not take the files: a key is misspelt, a value has the wrong type, or a file is missing.",
        "Correct the place that the CLI names. `docker stack config -c <file>` shows the same.",
        CLUSTER,
    ),
    "conflict": Advice(
        "Between reading and writing, somebody or something else changed the same service, node or config.",
        "Run the same command again: it reads and plans anew. Find out who else writes if it comes again.",
        "What the other one wrote stays; nothing was written over it.",
    ),
    "converter_unknown_call": Advice(
        "This version of the docker CLI asks the engine for something that older ones did not.",
        "Use a CLI that is listed as supported in the documentation of the module, and report the call that is named.",
        CLUSTER,
    ),
    "crash_loop": Advice(
        "The program ends by itself, is killed for its memory, or its health check fails.",
        "Read exit code and last lines of the log in the message, mend the image, its settings or its limits, and run again.",
        BACK,
    ),
    "drain_blocked": Advice(
        "A task cannot run elsewhere: no other node takes it, its data or its port is of this node, or a canary is open.",
        "Make room, or name the blocker in `accept` where losing it is right.",
        "Everything: blockers are found before the first write.",
    ),
    "drain_open": Advice(
        "An earlier run was interrupted, or left its record with `on_timeout: keep`.",
        "Run the same drain again, which continues it, or `state: active`, which takes it back.",
        CLUSTER,
    ),
    "drain_timeout": Advice(
        "A task did not come up elsewhere or did not end here in time; which one stands in the message.",
        "Mend what stands in its way, then run again, or raise `wait_timeout`. `on_timeout` says what is to become of the node.",
        "With `on_timeout: undo` the node is as it was; no service lost a running task by it.",
    ),
    "endpoint_unreachable": Advice(
        "The name does not resolve, a firewall is between, the port or socket is wrong, or the engine is down; the stage is named.",
        "Try the very address from the host that the module runs on. Port 2376 is usual for TLS; the user needs the right to open the socket.",
        CLUSTER,
    ),
    "engine_error": Advice(
        "The engine answered with an error; its own words stand in the message.",
        "Follow the words of the engine; its log (`journalctl -u docker` on the manager that is named) has more.",
        "What was written before stays and is seen by the next run, which goes on from there.",
    ),
    "env_unset": Advice(
        "The CLI would put an empty text in the place of a variable that nobody set, without a word.",
        "Give the variables that are named in `env` or `env_files`, or a default in the file (`${NAME:-value}`).",
        CLUSTER,
    ),
    "external_missing": Advice(
        "The stack says that somebody else makes the object, and it is not there, or has another name.",
        "Make it with the command that is named, or correct its name in the compose file.",
        NOTHING_WRITTEN,
    ),
    "gate_failed": Advice(
        "A gate asked the world and got another answer than the deployment needs; the values stand in the message.",
        "Mend what it saw. A gate that asks the wrong thing is corrected in `gates` or `x-bowline`.",
        BACK,
    ),
    "healthcheck_missing": Advice(
        "Without a healthcheck Swarm takes a task for good as soon as its process runs, before it can answer.",
        "Add `healthcheck` to the service, or a gate of type http or tcp. `preflight: {healthcheck: skip}` is for images that bring their own.",
        NOTHING_WRITTEN,
    ),
    "history_too_large": Advice(
        "The specs of the stack, packed, are larger than the 1,023,999 bytes of a config.",
        "Split the stack, or move long values out of environment and labels into configs.",
        CLUSTER,
    ),
    "image_pull": Advice(
        "The registry does not answer the node, does not know the image, or wants credentials that the node does not have.",
        "Follow the registry's words; `registry_auth: true` sends the credentials of the one who deploys, `prepull: job` finds it beforehand.",
        BACK,
    ),
    "in_stack": Advice(
        "The service has the label of a stack; the next deployment of that stack would make it again.",
        "Take it out of the compose file and run `swarm_stack`.",
        CLUSTER,
    ),
    "insecure_endpoint": Advice(
        "`docker_host` is `tcp://` and no TLS option is given.",
        "Give `ca_path`, `client_cert` and `client_key`, or use `ssh://`. `allow_plaintext: true` accepts it for a test network.",
        CLUSTER,
    ),
    "lease_lost": Advice(
        "The run stood still for more than half of `lock_ttl` (a suspended machine, a network that was gone), so another one may have taken over.",
        "Look at what runs now with `swarm_stack_info`, then run the same command again: it continues or finds nothing to do.",
        "It wrote nothing after that: each write carries the version that it was planned from.",
    ),
    "locked": Advice(
        "Another run of ours, of the same or another host, works on the same stack, service or drain.",
        "Wait for it, or raise `lock_wait`. If its process is dead, the lock is taken over by itself after `lock_ttl`.",
        CLUSTER,
    ),
    "member_missing": Advice(
        "An engine is down, did not join, or joined another cluster.",
        "Start the engine that is named, or run the role `swarm_cluster`.",
        CLUSTER,
    ),
    "no_rollback_target": Advice(
        "There is no history of the service, and the engine's own previous spec is empty, the same, or not of the image in `expect_image`.",
        "Deploy the wanted version with `swarm_stack` and its compose file.",
        CLUSTER,
    ),
    "node_ambiguous": Advice("A machine that was built anew left its old node behind, or two machines share a name.", "Give the id.", CLUSTER),
    "node_missing": Advice(
        "The name is misspelt, or the engine is not a member of this cluster.", "`docker node ls` on a manager lists what is there.", CLUSTER
    ),
    "not_manager": Advice(
        "Only a manager answers questions about the cluster.",
        "Give a manager in `docker_host`; where the engine knows its managers, they are named. "
        "An engine outside of any Swarm joins by the role `swarm_cluster`.",
        CLUSTER,
    ),
    "not_proven_dead": Advice(
        "A node that only looks dead can come back and serve old data.",
        "Switch the machine off and give `dead_proof` with `power`, `source` and `observed_at` of the last five minutes.",
        CLUSTER,
    ),
    "option_invalid": Advice(
        "An option does not fit: a file is not there, two options contradict each other, or a value has another form.",
        "Correct the option that is named; `ansible-doc bowline.fleet.<module>` says what it takes.",
        NOTHING_WRITTEN,
    ),
    "pin_failed": Advice(
        "The registry does not answer the manager, does not know the tag, or wants credentials.",
        "Follow the registry's own words, or name the image by its digest. `pin: never` is for images that are in no registry.",
        CLUSTER,
    ),
    "preflight_failed": Advice(
        "Something that would make the deployment fail was found before it began.",
        "Each finding has a field, what was seen, and a remedy. Follow them all, then run the same command again: they come all at once.",
        NOTHING_WRITTEN,
    ),
    "quorum_lost": Advice(
        "Half of the managers or more do not answer the others.",
        "Start managers until more than half are there. If they are lost for good, the playbook `swarm_recover` makes a new cluster of one survivor.",
        "Services go on running as they are; nothing can be changed until there is a majority.",
    ),
    "quorum_risk": Advice(
        "With this manager away, one more failure (or none) would leave the cluster without a majority.",
        "Repair the managers that are down or add one. `quorum: votes` and `accept_quorum_loss` say what they accept.",
        CLUSTER,
    ),
    "recreate_needed": Advice(
        "Swarm cannot change the mode of a service, nor a network, in place.",
        "Name the service in `allow_recreate`, which stops it for a moment, or give the network a new name.",
        CLUSTER,
    ),
    "revision_unavailable": Advice(
        "The revision was collected (`history_keep`), never stable, or somebody removed a config, secret or network that it names.",
        "Choose a revision that `swarm_stack_info` with `gather: [history]` lists, or deploy the compose files of that version.",
        CLUSTER,
    ),
    "rollback_failed": Advice(
        "The state before does not come up either: an image is gone, a node is missing, or both versions meet the same fault.",
        "Mend the cause that is named for each service: what waits for a node then comes up by itself. `swarm_stack` with `revision: stable` does the rest.",
        LEFT,
    ),
    "rollback_missed": Advice(
        "Swarm watches a task for `monitor` only, and waits for `delay` between two; where `delay` is as long, some engines watch nothing (moby 37972).",
        "Set `update_config.monitor` above `delay`.",
        NOTHING_WRITTEN,
    ),
    "rolled_back_by_swarm": Advice(
        "The service has `failure_action: rollback` and its new tasks failed. `docker stack deploy` ends with 0 then.",
        "Read the errors of the tasks in the message, mend the image or its settings, and run again.",
        BACK,
    ),
    "rollout_open": Advice(
        "A canary runs beside the old version and waits for a decision.",
        "Promote it with the compose files of the canary, or abort it with `revision: stable`.",
        CLUSTER,
    ),
    "secret_in_history": Advice(
        "The history keeps full specs, and whoever may use the manager's API can read them; so can `docker service inspect` today.",
        "Put the value into a Docker secret and name its file in the environment (`NAME_FILE`).",
        NOTHING_WRITTEN,
    ),
    "service_missing": Advice("The name is misspelt, or the service was removed.", "`docker service ls` on a manager lists what is there.", CLUSTER),
    "stack_missing": Advice(
        "The name is misspelt, or the stack was removed together with its history.", "`docker stack ls` on a manager lists what is there.", CLUSTER
    ),
    "stuck": Advice(
        "Tasks wait for something that Swarm does not name: a slow pull, a volume driver, a node that does not answer.",
        "Look at the tasks in the message on their nodes; raise `progress_deadline` where it is only slow.",
        BACK,
    ),
    "superseded": Advice(
        "Somebody else (the CLI, another tool, a person) updated the same service meanwhile.",
        "Find out who. If the other change is right, bring it into the compose file; then run again.",
        "What the other one wrote stays.",
    ),
    "timeout": Advice(
        "The tasks are slow to start or to become healthy; the states seen last stand in the message.",
        "Raise `wait_timeout`, or look at the tasks that are named.",
        BACK,
    ),
    "tls_expired": Advice(
        "The certificate that is named is over or not yet valid, or the clock of this host is wrong.",
        "Renew the certificate (`openssl x509 -noout -dates -in <file>` shows its dates), or set the clock.",
        CLUSTER,
    ),
    "tls_rejected": Advice(
        "No client certificate was shown, or one of another CA than the endpoint trusts.",
        "Give `client_cert` and `client_key` of the CA that the endpoint was started with (`--tlscacert`).",
        CLUSTER,
    ),
    "tls_untrusted": Advice(
        "`ca_path` is another CA than the one of the endpoint, or the endpoint is reached by a name that its certificate does not have.",
        "Give the right CA in `ca_path`, or the certificate's name in `tls_hostname`.",
        CLUSTER,
    ),
    "tool_missing": Advice(
        "The Python that runs the module does not have the library `docker` (7.1 or newer), or not `paramiko` for `ssh://`.",
        "Install it for the Python that is named, or set `ansible_python_interpreter` to one that has it.",
        CLUSTER,
    ),
    "unpinned": Advice(
        "`pin: require` takes digests only, so that what was tested is what runs.", "Give the digests that are named in the compose file.", CLUSTER
    ),
    "unschedulable": Advice(
        "Constraints, resources, ports or platforms leave no node for the task; Swarm's own reason stands in the message.",
        "Correct the constraint or the reservation, or add or label a node. Where the place is there and the task still waits, its service was written "
        "meanwhile, and Swarm does not look again: `swarm_service` with `redistribute`.",
        BACK,
    ),
    "update_paused": Advice(
        "The service has `failure_action: pause` and its new tasks failed.", "Read the errors of the tasks, mend the cause, run again.", BACK
    ),
}
