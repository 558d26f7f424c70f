# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about failures of the pair of databases and of snapshots; see _core/failures.py."""

from __future__ import annotations

from .._core.failures import NOTHING_WRITTEN, Advice

WARNS = "Everything; a finding of level warn stops nothing."
WINDOW = "Writes are where they were, with every row; the other side stays closed and goes on following. Clients waited as long as the attempt took."
PAIR = "The side that serves goes on with every row. What was copied stays and is followed; the next run continues there."
SWITCHED = "New serves, nothing was taken back, and legacy follows it."
SNAPSHOT = "Both databases: a snapshot only reads the one that it is taken of. Other snapshots stay."

ADVICE = {
    "account_superuser": Advice(
        "A superuser of legacy is made on new with the same rights, because something there is owned by it or uses it.",
        "Take the right away on legacy if the account does not need it; it is carried as well.",
        WARNS,
    ),
    "account_taken": Advice(
        "An account of this name is on new already; it gets password, attributes, memberships and settings of its namesake on legacy.",
        "Rename the account on new if it belongs to somebody else.",
        WARNS,
    ),
    "accounts_differ": Advice(
        "Something of the cluster that is no row (an account, membership, setting or right) differs, and cannot be made equal by the control user.",
        "Make each of the named ones equal by hand, on the side that the message names; then run again.",
        PAIR + " No window was opened.",
    ),
    "active_transactions": Advice(
        "Sessions were inside a transaction when `drain_grace` was over: a report, a dump, a session that somebody forgot. Each is named with its age.",
        "End them or wait for them; raise `pg_move_drain_grace`, or let the switch end them with `pg_move_on_active: terminate`. Then run again.",
        WINDOW,
    ),
    "apply_error": Advice(
        "The follower cannot apply a row: something on it was changed by hand, or a trigger or constraint there refuses. The reason is the server's.",
        "Remove on the follower what the message names, then run again; it goes on where it stopped.",
        PAIR,
    ),
    "apply_lagging": Advice(
        "The follower is behind by more than a window may wait: much is written, it is slow, or a worker failed again and again.",
        "Read the reason beside it. Wait for a quieter hour, or give the follower what it lacks; then run again.",
        "Writes are where they were, with every row. No window was opened, or it was given up.",
    ),
    "auth": Advice(
        "The server refused user or password of the control connection, or `pg_hba.conf` has no line for it.",
        "Try the very user and address with psql from the host that is named; correct `pg_move_legacy` or `pg_move_new`, or `pg_hba.conf`.",
        NOTHING_WRITTEN,
    ),
    "checksum": Advice(
        "A file of the snapshot is missing or was changed after it was written.",
        "Take the copy of the other host, whose sums are right, or take a new snapshot. Do not restore this one.",
        SNAPSHOT,
    ),
    "collation_version": Advice(
        "Text is ordered by another version of the locale's library on the two servers, or than when indexes were built.",
        "The engine logical builds indexes on new, so nothing has to be done for them; look at queries whose order matters.",
        WARNS,
    ),
    "conflict": Advice(
        "The state that was asked for contradicts the side that serves, or a switch is under way.",
        "Ask who serves (`bowline.fleet.pg_cutover_info`, or the last line of the last run), then ask for the state that the message names.",
        NOTHING_WRITTEN,
    ),
    "connection_lost": Advice(
        "A server closed the control connection: it was restarted, or a firewall forgot the connection.",
        "Run the same command again; it reads the facts of both servers and continues. A window that was open is ended by its watchdog.",
        PAIR,
    ),
    "control_failed": Advice(
        "The server could not be started, stopped or asked for its control file. The command and what it printed are named.",
        "Run that command by hand. When legacy does not run, starting it comes first.",
        "No row of either side. Whether the server runs is said in the message.",
    ),
    "disk_space": Advice(
        "The file system has too little room for the dump or for the restore that proves it, or ran full.",
        "Free room, or put `snapshot_directory` on a larger disk.",
        SNAPSHOT + " Nothing is left of the attempt.",
    ),
    "dump_failed": Advice(
        "pg_dump ended with an error; its last lines are named: a lock that was not given, a right, a lost connection.",
        "Mend what they say, then run again.",
        SNAPSHOT + " No snapshot was kept.",
    ),
    "evidence_missing": Advice(
        "The snapshot that the step relies on is not on this host: it was removed, or `snapshot_directory` is another one.",
        "Correct the directory, copy the snapshot there, or take a new one.",
        SNAPSHOT,
    ),
    "extension_version": Advice(
        "New has packages with a later version of an extension than legacy runs.",
        "Read the notes of the extension, or install the older version on new.",
        WARNS,
    ),
    "inconsistent": Advice(
        "The facts of the two servers fit no phase of a cutover: somebody changed fences, subscriptions or slots by hand.",
        "Do not run anything that writes. The message has the facts of both sides and the statements for either way out; decide with them who serves.",
        "Everything: an unknown state is never acted on.",
    ),
    "invalid_value": Advice(
        "An option has a value that cannot work, alone or together with another one.", "Correct the option that is named.", NOTHING_WRITTEN
    ),
    "job_lost": Advice(
        "The detached process of a switch is gone without a result: the host was restarted, or somebody ended it.",
        "Run the same playbook again; it reads both catalogs and goes on from what stands there.",
        "At most one side is open; a window that was open has been ended by its watchdog.",
    ),
    "keyless_table": Advice(
        "A table has no primary key and no other unique key without NULL that replication could use.",
        "Add a key. Until then the whole row stands in for it, which is slow for updates of large tables; `pg_move_keyless: fail` refuses it.",
        NOTHING_WRITTEN,
    ),
    "large_objects": Advice(
        "The database has large objects, which logical replication does not carry; they are compared and carried inside the window.",
        "Look at the predicted pause; with many of them the engine physical is faster.",
        WARNS,
    ),
    "link_auth": Advice(
        "One server logged in to the other one over the link and was refused: password file, `pg_hba.conf`, or the address that it comes from.",
        "Add the line for the link's user and that address to `pg_hba.conf` of the server that refuses, reload it, then run again.",
        PAIR,
    ),
    "link_password": Advice(
        "The link's account is made without a password, because `pg_move_link` has none.",
        "Give one unless the servers know each other by another way (certificate, peer).",
        WARNS,
    ),
    "link_account": Advice(
        "An account of the link's name exists that was not made by us and lacks a right, or others are its members.",
        "Choose another `pg_link_user`, or give the account what is named.",
        NOTHING_WRITTEN,
    ),
    "link_unreachable": Advice(
        "One server cannot reach the other one at the address of the link: not published, a firewall, or a name that its process does not resolve.",
        "Try the address from inside the container or host of the server that is named; correct `pg_move_link.to_legacy` or `to_new`.",
        PAIR,
    ),
    "locked": Advice(
        "Another run works on this pair; it holds a lock on both servers. Process and age are named.",
        "Wait until it has ended. A switch goes on without its playbook.",
        "Everything: the run that is refused has done nothing.",
    ),
    "long_transaction": Advice(
        "A transaction has been writing for more than a minute; a seed cannot start behind it, and a window would wait for it.",
        "Find out what it is (pid and statement are named) before the switch.",
        WARNS,
    ),
    "loss_possible": Advice(
        "Nothing follows the side that serves any more, so going to the other one would lose what was written since. What has arrived is named.",
        "Start the dead server if you can: that loses nothing. If not, accept the loss by name (`rollback_accept_loss`), as docs/runbooks/cutover.md says.",
        "Everything: nobody was opened.",
    ),
    "manifest_differs": Advice(
        "What was restored for proof has other rows or objects than the manifest of the snapshot says.",
        "Do not rely on this snapshot. Take a new one; when it happens again, report it with what differs.",
        SNAPSHOT,
    ),
    "materialized_view": Advice(
        "Its rows are not carried; it is refreshed after each switch, in its own time.",
        "Plan for queries that read it directly after the switch.",
        WARNS,
    ),
    "name_taken": Advice(
        "A schema `pgcut` or something called `pgcut_fwd` or `pgcut_rev` is there and was not made by a cutover.",
        "Rename or drop it after looking at it.",
        NOTHING_WRITTEN,
    ),
    "no_engine": Advice(
        "No engine fits these two servers: `wal_level` and no restart allowed, another major version or build, a locale.",
        "Choose one of the remedies that stand in the message; docs/engines.md says what each costs.",
        NOTHING_WRITTEN,
    ),
    "no_space": Advice(
        "The file system of the new server has less than 1.2 times the size of the database free.",
        "Free room there, or put the data directory on a larger disk.",
        NOTHING_WRITTEN,
    ),
    "not_tried": Advice(
        "Check mode writes nothing, so what needs an empty restore on new was not tried.",
        "Nothing has to be done: state seeded tries it before it writes on legacy.",
        WARNS,
    ),
    "object_changed": Advice(
        "A table or sequence was replaced, or got a rule or trigger that fires always, while it was used.",
        "Find out who changes the schema during a move; then run again.",
        "The object that is named was not touched. " + PAIR,
    ),
    "only_copy": Advice(
        "The snapshot would be removed and no other good copy of it was proven.",
        "Prove a copy on another host first, or keep it.",
        SNAPSHOT,
    ),
    "outcome_unknown": Advice(
        "The answer to the very statement that opens the new side was lost, and the server could not be read until the deadline.",
        "Leave both sides alone. Make the server that is named reachable, then run the same command again: it reads who was opened.",
        "Legacy stays closed, so that two sides can never be open. No row is lost; clients wait or get errors until the next run.",
    ),
    "owner_code": Advice(
        "A function, index expression, trigger or policy of an owner who is no superuser would run with the rights of one during the move.",
        "Look at the functions that are named. Accept them by name with `pg_move_accept_owner_code`, or give them to a superuser.",
        NOTHING_WRITTEN,
    ),
    "preflight_failed": Advice(
        "The databases, their accounts or settings have something that would stop the move, or differ in a way that it cannot carry.",
        "Each finding names the object, what was seen, and a remedy. Follow them all, then run again.",
        NOTHING_WRITTEN,
    ),
    "prepared_transactions": Advice(
        "Prepared transactions (two-phase commit) are open; no fence can end them.",
        "Let their coordinator finish them, or `COMMIT PREPARED` / `ROLLBACK PREPARED` each by its name; then run again.",
        WINDOW,
    ),
    "privileges": Advice(
        "The control user may not do what the cutover needs.", "It has to be a superuser on both servers: `ALTER ROLE … SUPERUSER`.", NOTHING_WRITTEN
    ),
    "publication": Advice(
        "A publication of somebody else is on legacy; it is not moved.", "Make it on new after the switch, when its subscriber moves as well.", WARNS
    ),
    "replication_slot": Advice(
        "A logical slot of somebody else stays on legacy: its reader would go on reading the old side, and replicated rows twice.",
        "Plan how its reader moves to new, and drop the slot on legacy when it has.",
        WARNS,
    ),
    "restart_required": Advice(
        "`wal_level` is not logical, and only a restart changes it.",
        "Restart it yourself, or allow the one restart with `pg_move_allow_legacy_restart: true`, while the edge holds the requests.",
        NOTHING_WRITTEN,
    ),
    "restore_failed": Advice(
        "The dump could not be restored: an extension, a locale or an account is missing on new. The server's own reason is named.",
        "Install or make what is named, then run again.",
        "Legacy serves as before. The scratch database is gone; a target stays closed for writes.",
    ),
    "retained": Advice(
        "The snapshot is younger than its retention.", "Wait, or lower `snapshot_retain` down to its floor.", SNAPSHOT
    ),
    "account_unsafe": Advice(
        "An account would get more rights on new than it has on legacy, or has a name or setting that cannot be carried safely.",
        "Change the account that is named on legacy, or make it by hand on new.",
        NOTHING_WRITTEN,
    ),
    "router_failed": Advice(
        "The command that holds, routes or releases the clients failed, or PgBouncer did not answer. Command and output are named.",
        "Run it by hand on the host that is named; when it works, run the same playbook again.",
        "No row of either side. Who serves is in the last line of the run; a hold ends by itself.",
    ),
    "rows_differ": Advice(
        "The comparison of the frozen rows found a difference. Tables and the number of rows are named, keys are in the journal.",
        "The run goes back by itself unless `cutover_on_failure: stop`. Keep both databases and report it: it must not happen.",
        SWITCHED,
    ),
    "rows_unfit": Advice(
        "Rows of legacy break a constraint or index of their own: it was switched off, made NOT VALID, or damaged. New would refuse them.",
        "Mend the rows whose keys are named, or drop the constraint; then run again.",
        NOTHING_WRITTEN,
    ),
    "schema_drift": Advice(
        "A table, column, index or function differs between the sides: a migration ran on one of them, or something was restored differently.",
        "Make the objects that are named equal, or let the migration wait until the move is over; then run again.",
        PAIR + " No window was opened.",
    ),
    "schema_unfit": Advice(
        "New cannot make an object of legacy's schema, or makes it otherwise: another version, a missing extension or locale. The server says why.",
        "Install what is missing on new, or change the object on legacy; then run again. The empty restore is tried anew.",
        "Legacy: nothing was written there. Nothing of the attempt is left on new.",
    ),
    "seed_error": Advice(
        "The copy of schema or rows failed. The server's own reason and the table are named.",
        "Mend what the reason says, on the side that is named; then run again: what was copied is kept, and the rest goes on.",
        "Legacy serves as before with every row.",
    ),
    "scheduled_job": Advice(
        "A job of pg_cron is active on new while legacy follows, and the table of jobs is replicated as any other one.",
        "Nothing for one that only writes into the database, which refuses it on the side that follows; start others when the pair is finished.",
        WARNS,
    ),
    "server_timeout": Advice(
        "The database sets `statement_timeout` or the like. Link and control sessions switch it off for themselves.", "Nothing.", WARNS
    ),
    "slot_limit": Advice(
        "`max_slot_wal_keep_size` is set: a slot that falls further behind loses its log, and the copy begins anew.",
        "Set it to -1 for the move, or to more than is written in the longest outage that you expect.",
        WARNS,
    ),
    "slot_lost": Advice(
        "A slot lost its log, because more was written than `max_slot_wal_keep_size` keeps; the follower cannot catch up.",
        "Run the cutover again: it copies anew. Give up with `bowline.fleet.cancel` if you do not want that.",
        "The side that serves goes on with every row. There is no way back until the copy is done.",
    ),
    "snapshot_format": Advice(
        "An earlier version took the snapshot and keeps its accounts as SQL, which is not run.", "Take a new snapshot.", SNAPSHOT
    ),
    "split_brain": Advice(
        "Both databases take writes. Somebody opened one by hand, or restored a fenced server from a copy.",
        "Stop the application now, on both sides. The message has the facts and ages of both and the statements that close either; decide which rows "
        "count, close the other one, and only then run something.",
        "Everything: nothing is done while two sides are open.",
    ),
    "sql_error": Advice(
        "A server refused a statement of ours. Its own message and SQLSTATE are in the details.",
        "Read them: a right, a limit (`max_locks_per_transaction`, `max_replication_slots`) or an object is named. Mend it, then run again.",
        PAIR,
    ),
    "sync_unavailable": Advice(
        "`pg_move_guarantee: sync` cannot be given: the other side does not follow, or the setting belongs to somebody.",
        "Mend what is named, or take `async`.",
        "The side that serves goes on without it; no commit waits.",
    ),
    "target_not_fenced": Advice(
        "It is not proven that the new side takes no writes, because it does not answer.",
        "Start it, which loses nothing. If it is gone for good, go back with `rollback_accept_loss`; docs/runbooks/cutover.md, How to go back.",
        "Legacy was not opened, so two sides are never open.",
    ),
    "timeout": Advice(
        "Something was not seen in time; what was last seen is named.", "Find out what it waits for, then run again; it continues.", PAIR
    ),
    "tls": Advice(
        "The server's certificate is not signed by `sslrootcert`, is for another name, has expired, or the server speaks no TLS.",
        "Correct the CA file or the name, or give the server a certificate.",
        NOTHING_WRITTEN + " The server was sent no password.",
    ),
    "tls_weak": Advice(
        "`sslmode` is weaker than verify-full: whoever is in the path can read the password, or be the server.",
        "Use verify-full with `sslrootcert`; docs/security.md says what the others give away.",
        WARNS,
    ),
    "type_unsupported": Advice(
        "A table without key has a column whose type knows no equality (json, point, xml), so a row cannot be found on the follower.",
        "Add a key to the table that is named.",
        NOTHING_WRITTEN,
    ),
    "unlogged_table": Advice(
        "Rows of an unlogged table are in no log; they are compared and carried inside the window.",
        "Look at the predicted pause; empty it before the switch if it only caches.",
        WARNS,
    ),
    "unreachable": Advice(
        "The server does not answer at the address and port that are named: it is down, the port is not published, or something is between.",
        "`psql` from the host that is named, with that very address. When it answers, run the same command again.",
        PAIR,
    ),
    "verify_incomplete": Advice(
        "The comparison of the rows was not finished in `pg_move_verify_timeout`, or its sessions were ended.",
        "Raise it; a comparison is only possible for the rows of a switch, so the next one is of the next switch. Its dump is in `snapshot_directory`.",
        SWITCHED,
    ),
    "window_aborted": Advice(
        "Something took longer than the window may be open, or failed in it. The reason stands in the message.",
        "Mend the reason, then run again; nothing else has to be undone.",
        WINDOW,
    ),
    "window_too_long": Advice(
        "With the engine dump the copy is made inside the window, and would take longer than `pg_move_max_window`.",
        "Raise it together with the hold of the edge, or take another engine (docs/engines.md).",
        NOTHING_WRITTEN,
    ),
}
