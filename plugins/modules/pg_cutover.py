#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_cutover
short_description: Move one PostgreSQL database between two servers and back, without losing a row
description:
  - One database, two servers, one wanted condition. Rows are replicated ahead, so the write pause does not grow with the data; afterwards
    the old server follows the new one, so the way back is the same switch with the sides exchanged.
  - What is done next follows from the catalogs of both servers alone. A run that was killed at any point is finished by the same task.
  - In the write pause a database is fenced by C(default_transaction_read_only) and the end of every session that began before; from
    V(armed) to V(finished) a trigger on each table refuses sessions that state READ WRITE themselves. A watchdog process gives the writes
    back when the module dies or is late; it never opens the side that is switched to.
  - Runs for O(state=new) on the host of legacy and for O(state=legacy) on the host of new, so it stands beside the server that is open.
    The other states need C(pg_dump), so they run where the newer one is.
  - Every account of the server that serves is made on the other one, with password, attributes, memberships and settings; one of the same name
    there is made equal to it. What changes later, settings of everybody and settings, grants, owner, comment and limit of the database too, follows
    at each O(state=armed) and right before a window, in both directions. What cannot be made equal is refused with C(accounts_differ). Nothing
    is dropped, an account that only the other side has is named. Who granted a membership is not carried, and the account that the module logs in
    with and the first superuser of a server are not changed there. Not so under O(engine=physical), where the cluster moves as a whole.
  - "Failure codes: see RV(failure); all findings of the preflight are in its details."
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.writer, bowline.fleet.pg]
options:
  state:
    description:
      - V(preflight) writes nothing and returns all findings. Whether new can make the schema of legacy is tried by V(seeded), in a database on new
        that is gone afterwards, before anything is written on legacy.
      - V(seeded) has schema, accounts, rows and indexes on new, in step with legacy, which stays open. New is fenced.
      - V(armed) needs no slow step any more for the next switch, whichever direction it has.
      - V(new) has new open, and legacy fenced and following.
      - V(legacy) has legacy open, and new fenced and following. Inside a window it aborts it.
      - V(finished) has neither pair, slots, freeze nor helper schema; replica identities are as before. New stays open and legacy fenced.
      - V(absent) gives the move up while legacy serves, in every phase before the switch and after the way back, also when new does not answer.
        Legacy is as it was before, with its slot, publication, subscription, freeze, helper schema, replica identities, settings and account of
        the link taken back. An account that was there before keeps the settings that it had; a password that was exchanged stays.
      - With V(absent) the database on new is dropped, also when it stood there empty before; accounts that were copied to new stay. A standby of
        O(engine=physical) is stopped. What is left on a new server that did not answer is named in the warnings, and taken away by the
        same state when it answers. C(wal_level) stays as O(allow_legacy_restart) has set it.
      - V(absent) is refused when new serves, or holds rows that legacy does not have.
      - What comes before a state is made first.
    type: str
    choices: [preflight, seeded, armed, new, legacy, finished, absent]
    required: true
  engine:
    description:
      - How rows are brought to new. A pair that exists already goes on as it is, unless V(physical) is asked for.
      - V(logical) replicates one database ahead of the switch; the write pause does not grow with the data. Both servers need
        C(wal_level=logical).
      - V(dump) copies with C(pg_dump) and C(pg_restore) inside the write pause, which grows with the data and has to fit into
        O(max_window). It works with C(wal_level=replica) on legacy. The way back is lossless all the same; afterwards new does not follow
        legacy unless that has C(wal_level=logical), so the next switch copies again. The dump is written below C(TMPDIR) on this host.
        Until new serves, O(guarantee=sync) and O(trial_window) are refused.
      - V(physical) moves the whole cluster by streaming replication, without a restart of legacy and with C(wal_level=replica). Both servers
        need the same major version (13 or newer), build and collation versions, equal values of C(max_connections) and of the other
        settings that a standby compares, and C(data_directory) beside C(service), or C(container), or C(data_directory) alone.
      - Under V(physical) new is an empty cluster with a configuration of its own; its data directory is replaced by a base backup, files
        ending in C(.conf) stay. Accounts and their passwords come from legacy. Replication connections of the link's account have to be allowed
        by C(pg_hba.conf) of both servers.
      - Under V(physical) the old side is stopped in the window, new is promoted, and the old side comes back as its standby. All databases
        are fenced. O(verify), O(keyless), O(ddl_freeze), O(seed_jobs) and O(ignore_databases) have no meaning there; O(guarantee=sync),
        O(trial_window), O(accept_loss) and O(snapshot) are refused.
      - V(auto) is logical if that is possible, with the restart that O(allow_legacy_restart) permits, else physical if every condition of it
        holds. Otherwise it fails with C(no_engine) and the ways on. It never takes V(dump), and a move that was begun with V(dump) asks for
        V(dump) again until new serves.
    type: str
    choices: [auto, logical, physical, dump]
    default: auto
  allow_legacy_restart:
    description:
      - Whether legacy may be restarted once when its C(wal_level) is not V(logical), by its C(container), C(service) or C(data_directory).
      - Clients are held by the O(router) meanwhile. Transactions have O(drain_grace) to end, then O(on_active) decides. The restart comes
        after everything else that can be proven beforehand.
      - C(wal_level) given on the command line of the server overrides C(ALTER SYSTEM), so that is refused with C(restart_required).
    type: bool
    default: false
  link:
    description: How each server's own process reaches the other one. Required unless O(state=preflight).
    type: dict
    suboptions:
      user:
        description:
          - Account of the subscriptions, made on both servers with C(LOGIN), C(REPLICATION), C(BYPASSRLS) and C(pg_read_all_data).
          - An account of this name that exists is given no right. When it lacks one of these, or has members who are no superusers, it is refused with
            C(link_account). Before PostgreSQL 14, where only a superuser reads every table, it is made by hand.
        type: str
        default: pgcut_repl
      password:
        description: Its password, set as a SCRAM verifier when the account has another one. Without it the account keeps the password it has.
        type: str
      sslmode:
        description: How the servers use and verify TLS between them.
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
        default: verify-full
      to_legacy:
        description: How the new server reaches legacy.
        type: dict
        required: true
        suboptions: &reach
          host: {description: Host name or address as the other server sees it., type: str, required: true}
          port: {description: Port., type: int, default: 5432}
          passfile:
            description: Password file of libpq as the process of the other server sees it; it owns the file, which has mode 0600.
            type: str
          sslrootcert: {description: CA certificates as the process of the other server sees them., type: str}
      to_new:
        description: How the legacy server reaches new.
        type: dict
        required: true
        suboptions: *reach
  router:
    description:
      - What holds and routes the clients during a switch. Whatever it is, the watchdog or a later run may call it again.
      - With V(none) clients see errors during the pause and reconnect.
      - With V(libpq) clients name both hosts and C(target_session_attrs=read-write) in their connection string. The fence is the router; each
        client loses one session per switch and finds the other side. Every client has to be one of these.
      - With V(pgbouncer) clients see latency only. Clients are held by C(PAUSE), host and port of the entry are exchanged in the file, and
        C(RELOAD) and C(RESUME) follow. Pooling has to be by transaction or statement. A C(PAUSE) that does not end within O(drain_grace)
        is taken back before anything is fenced, also with O(on_active=terminate).
      - With V(command) the commands below do it. Each is a list of words without a shell; C({side}) in a word is V(legacy) or V(new). A
        command must be idempotent, and fails by its exit code.
      - An option of another type is refused.
    type: dict
    suboptions:
      type: {description: Which of them it is., type: str, choices: [none, libpq, pgbouncer, command], default: none}
      pause: {description: Commands that hold requests and return when none is on its way., type: list, elements: list}
      route: {description: 'Commands that send requests to C({side}).', type: list, elements: list}
      warmup: {description: 'Commands that prove that C({side}) answers.', type: list, elements: list}
      resume: {description: Commands that release the requests., type: list, elements: list}
      check:
        description:
          - Commands that change nothing and take as long as the others, for instance one that shows their state.
          - They are only timed, for RV(predicted_window_ms), which leaves commands out without them. C({side}) is the side that is to serve, or
            the other one as long as they fail there.
        type: list
        elements: list
      timeout: {description: Seconds for each command and for each answer of PgBouncer., type: float, default: 30}
      host:
        description: Socket directory or address of PgBouncer's console. C(/var/run/postgresql) when it is not given.
        type: str
      port: {description: Port of PgBouncer. 6432 when it is not given., type: int}
      user: {description: One of its C(admin_users). C(pgbouncer) when it is not given., type: str}
      passfile: {description: Password file of libpq for this user., type: path}
      config:
        description:
          - The file that holds the entries, on the host where the module runs. Files that it includes are not searched; name the one that
            has the entries. C(/etc/pgbouncer/pgbouncer.ini) when it is not given.
          - Only host and port of the entries are changed. The file is replaced at once, with its mode and owner.
        type: path
      databases:
        description: Names of the entries of section C([databases]) that are moved. The name of the database when it is not given.
        type: list
        elements: str
      to_legacy:
        description: How PgBouncer reaches legacy, word by word as its file has it. As the module does when it is not given.
        type: dict
        suboptions: &address
          host: {description: 'Host name, address or socket directory.', type: str, required: true}
          port: {description: Port., type: int, default: 5432}
      to_new:
        description: How PgBouncer reaches new.
        type: dict
        suboptions: *address
  max_window:
    description: Longest write pause in seconds. After it the watchdog gives the writes back.
    type: float
    default: 10
  drain_grace:
    description: Seconds that open transactions have to end inside the window.
    type: float
    default: 2
  on_active:
    description: Whether transactions that do not end in time make the window, or the restart of legacy, be given up, or are ended.
    type: str
    choices: [abort, terminate]
    default: abort
  window_attempts:
    description: Windows that may be given up before the module fails; it waits 5, 10, 20 seconds between them.
    type: int
    default: 3
  verify:
    description:
      - How all rows are compared, as they were at the switch, after clients were released.
      - V(hash) and V(md5) hash every row, so they find any changed value, missing or extra row. V(counts) finds rows that are missing or extra,
        not a changed value. V(none) does neither.
      - Large objects are compared in all modes but V(none). Sequences are read back right before the opening, whatever the mode.
    type: str
    choices: [none, counts, hash, md5]
    default: hash
  verify_timeout: {description: Seconds for the comparison., type: float, default: 3600}
  keyless:
    description:
      - What a table without a key that replication can use gets, since its updates could not be replicated. A deferrable primary key is none.
      - With V(index_or_full) its unique index, or else the whole row, becomes the replica identity until O(state=finished).
        A column without equality (json, xml, point) cannot be part of a whole row, so such a table is refused.
      - With V(fail) every such table is refused.
    type: str
    choices: [index_or_full, fail]
    default: index_or_full
  ddl_freeze:
    description:
      - Whether changes of the schema are refused on the serving side, since they are not replicated. Temporary tables, TRUNCATE, ANALYZE,
        REINDEX and REFRESH MATERIALIZED VIEW pass.
      - With V(false) RV(rollback) says C(armed) false, and a schema that differs is C(schema_drift) with the objects.
      - A change that cannot wait is made on both sides, the one that follows first, by a superuser in sessions with C(SET pgcut.bypass = on). The
        next run with O(state=armed), V(new) or V(legacy) takes new tables in.
    type: bool
    default: true
  seed_jobs: {description: Parallel jobs for indexes; 0 is one per processor., type: int, default: 0}
  wait_timeout: {description: Seconds for the copy of all rows., type: float, default: 86400}
  ignore_databases:
    description: Other databases on legacy that are known and stay.
    type: list
    elements: str
    default: []
  snapshot:
    description:
      - With a switch, the database of the side that was closed is dumped as it was at the switch, after clients were released, as
        M(bowline.fleet.pg_snapshot) describes it (kind V(switch)). The pause does not wait for it.
      - What would stop the dump is found before the first step. One that fails later is a warning and in RV(snapshot); the switch stays.
      - The run ends after the dump. Until then a C(TRUNCATE) that is replicated to the closed side waits for it.
    type: dict
    suboptions:
      directory: {description: Where snapshots are kept on the host of this task., type: path, required: true}
      subject: {description: First part of its name; the name of the database without it., type: str}
      compress: {description: 'See M(bowline.fleet.pg_snapshot).', type: str, choices: [auto, gzip, zstd, none], default: auto}
  new_planned:
    description: In check mode and with O(state=preflight), new need not answer yet, because an earlier step of the same play makes it.
    type: bool
    default: false
  guarantee:
    description:
      - What the way back is worth while new serves. With V(async) legacy follows, and a new server that dies takes the commits of the last
        moments with it.
      - With V(sync) no commit on new is acknowledged before legacy has applied it, so none is lost with new; commits wait while legacy is
        unreachable. It begins when legacy follows and is in step, and is kept until the writes have moved back.
      - Read with O(state=new) and O(state=armed) while new serves; the other value changes a pair that stands. With O(guarantee=async),
        O(state=new) also works when legacy does not answer, so that commits which wait can go on.
    type: str
    choices: [async, sync]
    default: async
  trial_window:
    description:
      - With O(state=armed), a window after it that holds the clients, proves and compares every row, and gives the writes back.
      - Its RV(window_ms) is what the next switch will take. It never opens the side that does not serve, and always reports a change.
    type: bool
    default: false
  accept_owner_code:
    description:
      - Functions of owners who are no superusers that may run with the rights of a superuser, each as C(schema.function(argument types)). Every other
        one is refused with C(owner_code) before it runs, and that failure lists them as they are written here.
      - A row that is written calls functions, by CHECK constraints, domains, generated columns, indexes and keys of partitions. Rows are written with the
        rights of a superuser by replication while one of the servers is older than PostgreSQL 16, by O(engine=dump), for unlogged tables and for tables
        of a superuser. Keys of partitions and CHECK constraints over the whole row are evaluated by every copy of a schema.
      - Whoever owns an accepted function can become superuser by it on both servers. RV(evidence) names what was accepted.
    type: list
    elements: str
    default: []
  accept_loss:
    description:
      - With O(state=legacy), opens legacy without what new did not send, when no lossless way is left because new does not answer or nothing
        follows it. Without it the module says what would be missing, and changes nothing.
      - New is closed before legacy opens. When it does not answer it has to be stopped, and O(state=legacy) closes it once it answers again.
        Its rows stay there.
    type: bool
    default: false
"""
EXAMPLES = r"""
- name: Copy everything and keep it in step; legacy serves on
  bowline.fleet.pg_cutover:
    state: armed
    legacy: &legacy
      {host: 192.0.2.10, dbname: hub, passfile: /etc/bowline/control.pgpass, sslmode: verify-full, sslrootcert: /etc/bowline/ca.pem}
    new: &new
      {host: 192.0.2.20, dbname: hub, passfile: /etc/bowline/control.pgpass, sslmode: verify-full, sslrootcert: /etc/bowline/ca.pem}
    link: &link
      user: pgcut_repl
      password: "{{ vault_link_password }}"
      to_legacy: {host: 192.0.2.10, passfile: /var/lib/postgresql/link.pgpass, sslrootcert: /etc/bowline/ca.pem}
      to_new: {host: 192.0.2.20, passfile: /var/lib/postgresql/data/link.pgpass, sslrootcert: /etc/ssl/ca.pem}
  delegate_to: hub-new

- name: Switch to the new server while requests are held at the edge
  bowline.fleet.pg_cutover:
    state: new
    legacy: *legacy
    new: *new
    link: *link
    router:
      type: command
      pause: [[/usr/bin/python3, /usr/libexec/bowline/bowline-edge.pyz, --directory, /var/lib/bowline/edge, hold, --seconds, "20", --drain, "5"]]
      resume: [[/usr/bin/python3, /usr/libexec/bowline/bowline-edge.pyz, --directory, /var/lib/bowline/edge, switch, "{side}"]]
      check: [[/usr/bin/python3, /usr/libexec/bowline/bowline-edge.pyz, --directory, /var/lib/bowline/edge, ask, "{side}"]]
  delegate_to: hub-old
  register: switch

- name: Switch behind PgBouncer, whose clients wait a moment and lose nothing
  bowline.fleet.pg_cutover:
    state: new
    legacy: *legacy
    new: *new
    link: *link
    router:
      type: pgbouncer
      user: operator
      passfile: /etc/bowline/pgbouncer.pgpass
      databases: [hub]
  delegate_to: hub-old

- name: Make a legacy server publish, with one restart while requests are held at the edge
  bowline.fleet.pg_cutover:
    state: seeded
    allow_legacy_restart: true
    legacy:
      host: 192.0.2.10
      dbname: hub
      passfile: /etc/bowline/control.pgpass
      service: postgresql@15-main.service
    new: *new
    link: *link
    router: &edge
      type: command
      pause:
        - [/usr/bin/python3, /usr/libexec/bowline/bowline-edge.pyz, --directory, /var/lib/bowline/edge, hold, --seconds, "150", --drain, "5"]
      resume: [[/usr/bin/python3, /usr/libexec/bowline/bowline-edge.pyz, --directory, /var/lib/bowline/edge, switch, "{side}"]]
  delegate_to: hub-old

- name: Switch from a server that can neither publish nor be restarted; the pause is that of a copy
  bowline.fleet.pg_cutover:
    state: new
    engine: dump
    max_window: 120
    legacy: *legacy
    new: *new
    link: *link
    router: *edge
  delegate_to: hub-old

- name: Go back, with every row that was written meanwhile
  bowline.fleet.pg_cutover:
    state: legacy
    legacy: *legacy
    new: *new
    link: *link
  delegate_to: hub-new

- name: See what the pause will be, with everything but the opening
  bowline.fleet.pg_cutover:
    state: armed
    trial_window: true
    legacy: *legacy
    new: *new
    link: *link
  delegate_to: hub-old
  register: trial

- name: Open legacy although the new server is dead, and close that one when it comes back by the same task
  bowline.fleet.pg_cutover:
    state: legacy
    accept_loss: true
    legacy: *legacy
    new: *new
    link: *link
  delegate_to: hub-old
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{"action": "switch", "reason": "legacy serves, new is wanted", "disruptive": true}]
phase_before:
  description: >-
    Phase at the start: empty, prepared, seeding, seeded, armed, window_forward, window_reverse, switched_cleanup, new, new_armed,
    rolled_back_cleanup, new_only, finished, slot_lost, split_brain, inconsistent; after accept_loss abandoned (new is not closed yet),
    abandoned_fenced, or abandoning; with engine physical also opening_new and opening_legacy, in which that side was promoted and does
    not take writes yet; unknown when one server did not answer.
  returned: success
  type: str
  sample: "armed"
phase_after:
  description: Phase at the end (predicted in check mode).
  returned: success
  type: str
  sample: "new"
serving:
  description: Side that takes writes at the end; nobody inside a window, unknown when the facts do not say.
  returned: success
  type: str
  sample: "new"
engine:
  description: The engine that is used; null when none fits.
  returned: success
  type: str
  sample: "logical"
engine_reason:
  description: Why it is this one, or what stands against each.
  returned: success
  type: str
  sample: "wal_level is logical on both servers"
restart_ms:
  description: Milliseconds for which clients were held while legacy was restarted; null without a restart.
  returned: success
  type: float
  sample: null
window_ms:
  description: >-
    Milliseconds from the fence of the source until clients can write on the target: its fence is off, sessions that began under it have
    ended, and the router has routed and released the clients. Null without a switch.
  returned: success
  type: float
  sample: 312.4
database_ms:
  description: Milliseconds of it until the fence of the target was off.
  returned: success
  type: float
  sample: 171.9
hold:
  description: Unix seconds C(from) which the clients waited, and C(until) which; null without a switch.
  returned: success
  type: dict
  sample: {"from": 1795834323.04, "until": 1795834323.79}
pause_ms:
  description: Milliseconds from the moment at which the router begins to hold the clients until it has released them.
  returned: success
  type: float
  sample: 503.7
steps:
  description: Every step of the window with its name and milliseconds.
  returned: success
  type: list
  elements: dict
  sample: [{"name": "W2", "ms": 127.6}, {"name": "W7", "ms": 8.6}]
drained:
  description: Sessions ended on the source because they were C(idle), after they C(waited) for their transaction, or C(terminated).
  returned: success
  type: dict
  sample: {"idle": 10, "terminated": 0, "waited": 0}
sequences:
  description: How many sequences were set exactly and read back; null with engine physical, which brings them along.
  returned: success
  type: int
  sample: 4
verify:
  description: >-
    Comparison of all rows as C(mode), C(tables), C(rows), C(equal), C(seconds) and C(mismatches). Null when this run did not switch.
    With engine physical C(mode) is position: the target has replayed the shutdown checkpoint at C(checkpoint), the last record of the
    source, up to C(replayed) on C(timeline); no table is read.
  returned: success
  type: dict
  sample: {"mode": "hash", "equal": true, "tables": 6, "rows": 65502, "mismatches": [], "seconds": 1.44}
loss:
  description: >-
    With O(accept_loss=true), what legacy knows of the rows that it has: C(guarantee), C(position) in the log of new up to which all has
    arrived, C(applied_until), C(last_contact), newest C(marker), last C(ids) of tables, C(tables) that differ in number; C(sequences) that
    were moved behind the rows that arrived, and C(uncounted) ones that no column tells about. Null in other runs; also in the details of
    the failures loss_possible and target_not_fenced.
  returned: success
  type: dict
  sample: null
snapshot:
  description: >-
    The dump of the switch point as M(bowline.fleet.pg_snapshot) returns it, or its C(failure). Null when this run took none.
  returned: success
  type: dict
  sample: null
findings:
  description: >-
    What the preflight found as C(code), C(level) (fail or warn), C(field) (the option to look at), C(object) (what it is about on the server),
    C(message) and C(remedy); one of C(field) and C(object) may be empty. Empty when nothing had to be done.
  returned: success
  type: list
  elements: dict
  sample:
    - {code: materialized_view, level: warn, field: "", object: public.document_states, message: Materialized view public.document_states is filled by a refresh
        of its own after each switch., remedy: Nothing has to be done.}
predicted_window_ms:
  description: >-
    What RV(window_ms) of the next switch is expected to be, by the round trips, reads and router of now. Null where it was not asked for
    or could not be measured; a warning says why.
  returned: success
  type: float
  sample: 344.0
rollback:
  description: Whether the side that served before can serve again without loss, as C(armed), C(guarantee), C(lag_ms) and C(reason).
  returned: success
  type: dict
  sample: {"armed": true, "guarantee": "async", "lag_ms": 16.0, "reason": ""}
evidence:
  description: C(facts) of both catalogs at the end, and C(accepted_owner_code), the functions of O(accept_owner_code) that may have run.
  returned: success
  type: dict
  sample: {"facts": {"legacy": {"exists": true, "fenced": true, "epoch": "1795834131545-5c5d47:commit"}}}
failure:
  description: Code, message, remedy and details. With rows_differ the switch stays, and details hold C(verify) and C(window_ms).
  returned: failure
  type: dict
  sample:
    code: active_transactions
    message: 'Sessions were still inside a transaction after 2 s: pid 4711 (report, 63.0 s, active). The window was given up.'
    remedy: 'End them, raise drain_grace, or set on_active: terminate.'
    details: {}
"""
from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner
from ..module_utils._pg.argspec import LINK, ORDER, ROUTER, SERVERS, PairModule
from ..module_utils._pg.options import secrets
from ..module_utils._pg.run import run

SPEC = {
    "state": {"type": "str", "choices": ["preflight", "seeded", "armed", "new", "legacy", "finished", "absent"], "required": True},
    "engine": {"type": "str", "choices": ["auto", "logical", "physical", "dump"], "default": "auto"},
    "allow_legacy_restart": {"type": "bool", "default": False},
    "link": LINK,
    "router": ROUTER,
    "max_window": {"type": "float", "default": 10},
    "drain_grace": {"type": "float", "default": 2},
    "on_active": {"type": "str", "choices": ["abort", "terminate"], "default": "abort"},
    "window_attempts": {"type": "int", "default": 3},
    "verify": {"type": "str", "choices": ["none", "counts", "hash", "md5"], "default": "hash"},
    "verify_timeout": {"type": "float", "default": 3600},
    "keyless": {"type": "str", "choices": ["index_or_full", "fail"], "default": "index_or_full"},
    "ddl_freeze": {"type": "bool", "default": True},
    "seed_jobs": {"type": "int", "default": 0},
    "wait_timeout": {"type": "float", "default": 86400},
    "ignore_databases": {"type": "list", "elements": "str", "default": []},
    "snapshot": ORDER,
    "new_planned": {"type": "bool", "default": False},
    "guarantee": {"type": "str", "choices": ["async", "sync"], "default": "async"},
    "trial_window": {"type": "bool", "default": False},
    "accept_loss": {"type": "bool", "default": False},
    "accept_owner_code": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    module = PairModule({**SERVERS, **SPEC}, supports_check_mode=True)
    finish(module, lambda: run(module.params, module_runner(module), module.check_mode), secrets(module.params))


if __name__ == "__main__":
    main()
