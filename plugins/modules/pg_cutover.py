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
  - In the write pause a database is fenced by C(default_transaction_read_only) and the end of every session that began before. A watchdog
    process gives the writes back when the module dies or is late; it never opens the side that is switched to.
  - Runs for O(state=new) on the host of legacy and for O(state=legacy) on the host of new, so it stands beside the server that is open.
    The other states need C(pg_dump), so they run where the newer one is.
  - "Failure codes: see RV(failure); all findings of the preflight are in its details."
author: The bowline contributors (@bowline)
version_added: 1.0.0
extends_documentation_fragment: [bowline.fleet.attributes.writer, bowline.fleet.pg]
options:
  state:
    description:
      - V(preflight) writes nothing and returns all findings.
      - V(seeded) has schema, roles, rows and indexes on new, in step with legacy, which stays open. New is fenced.
      - V(armed) needs no slow step any more for the next switch, whichever direction it has.
      - V(new) has new open, and legacy fenced and following.
      - V(legacy) has legacy open, and new fenced and following. Inside a window it aborts it.
      - V(finished) has neither pair, slots, freeze nor helper schema; replica identities are as before. New stays open and legacy fenced.
      - What comes before a state is made first.
    type: str
    choices: [preflight, seeded, armed, new, legacy, finished]
    required: true
  engine:
    description:
      - How rows are moved. V(auto) goes on with the engine that a pair has, else it chooses V(logical). V(dump) fails with C(no_engine).
      - V(physical) moves the whole cluster by streaming replication, without a restart of legacy and with C(wal_level=replica). Both servers
        need the same major version (13 or newer), build and collation versions, equal values of C(max_connections) and of the other
        settings that a standby compares, and C(data_directory) beside C(service), or C(container), or C(data_directory) alone.
      - Under V(physical) new is an empty cluster with a configuration of its own; its data directory is replaced by a base backup, files
        ending in C(.conf) stay. Roles and their passwords come from legacy. Replication connections of the link's role have to be allowed
        by C(pg_hba.conf) of both servers.
      - Under V(physical) the old side is stopped in the window, new is promoted, and the old side comes back as its standby. All databases
        are fenced. O(verify), O(keyless), O(ddl_freeze), O(seed_jobs) and O(ignore_databases) have no meaning there.
    type: str
    choices: [auto, logical, physical, dump]
    default: auto
  link:
    description: How each server's own process reaches the other one. Required unless O(state=preflight).
    type: dict
    suboptions:
      user:
        description: Role of the subscriptions, made on both servers with C(LOGIN), C(REPLICATION), C(BYPASSRLS) and C(pg_read_all_data).
        type: str
        default: pgcut_repl
      password:
        description: Its password, set as a SCRAM verifier when the role has another one. Without it the role keeps the password it has.
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
      - What holds and routes the clients during a switch. With V(none) they see errors during the pause and reconnect.
      - Each command is a list of words without a shell; C({side}) in a word is V(legacy) or V(new). A command must be idempotent, since the
        watchdog or a later run may call it again. It fails by its exit code.
      - RV(window_ms) contains C(route), C(warmup) and C(resume), so one command that does all three belongs into C(resume).
    type: dict
    suboptions:
      type: {description: 'V(none), or V(command) for the lists below.', type: str, choices: [none, command], default: none}
      pause: {description: Commands that hold requests and return when none is on its way., type: list, elements: list}
      route: {description: 'Commands that send requests to C({side}).', type: list, elements: list}
      warmup: {description: 'Commands that prove that C({side}) answers.', type: list, elements: list}
      resume: {description: Commands that release the requests., type: list, elements: list}
      timeout: {description: Seconds for each command., type: float, default: 30}
  max_window:
    description: Longest write pause in seconds. After it the watchdog gives the writes back.
    type: float
    default: 10
  drain_grace:
    description: Seconds that open transactions have to end inside the window.
    type: float
    default: 2
  on_active:
    description: Whether transactions that do not end in time make the window be given up or are ended.
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
      - V(hash) and V(md5) hash every row, V(counts) only counts, V(none) does neither.
    type: str
    choices: [none, counts, hash, md5]
    default: hash
  verify_timeout: {description: Seconds for the comparison., type: float, default: 3600}
  keyless:
    description:
      - What a table without primary key gets, since its updates could not be replicated.
      - With V(index_or_full) its unique index, or else the whole row, becomes the replica identity until O(state=finished).
    type: str
    choices: [index_or_full, fail]
    default: index_or_full
  ddl_freeze:
    description: Whether changes of the schema are refused on the serving side, since they are not replicated.
    type: bool
    default: true
  seed_jobs: {description: Parallel jobs for indexes; 0 is one per processor., type: int, default: 0}
  wait_timeout: {description: Seconds for the copy of all rows., type: float, default: 86400}
  ignore_databases:
    description: Other databases on legacy that are known and stay.
    type: list
    elements: str
    default: []
  new_planned:
    description: In check mode and with O(state=preflight), new need not answer yet, because an earlier step of the same play makes it.
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
  delegate_to: hub-old
  register: switch

- name: Go back, with every row that was written meanwhile
  bowline.fleet.pg_cutover:
    state: legacy
    legacy: *legacy
    new: *new
    link: *link
  delegate_to: hub-new
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
phase_before:
  description: >-
    Phase at the start: empty, prepared, seeding, seeded, armed, window_forward, window_reverse, switched_cleanup, new, new_armed,
    rolled_back_cleanup, new_only, finished, slot_lost, split_brain or inconsistent; with engine physical also opening_new and
    opening_legacy, in which that side was promoted and does not take writes yet.
  returned: success
  type: str
phase_after:
  description: Phase at the end (predicted in check mode).
  returned: success
  type: str
serving:
  description: Side that takes writes at the end; nobody inside a window, unknown when the facts do not say.
  returned: success
  type: str
engine:
  description: The engine that was used.
  returned: success
  type: str
window_ms:
  description: >-
    Milliseconds from the fence of the source until clients can write on the target: its fence is off, sessions that began under it have
    ended, and the router's commands route, warmup and resume have returned. Null without a switch.
  returned: success
  type: float
database_ms:
  description: Milliseconds of it until the fence of the target was off.
  returned: success
  type: float
hold:
  description: Unix seconds C(from) which the clients waited, and C(until) which; null without a switch.
  returned: success
  type: dict
pause_ms:
  description: Milliseconds from the start of the router's command pause to the end of resume.
  returned: success
  type: float
steps:
  description: Every step of the window with its name and milliseconds.
  returned: success
  type: list
  elements: dict
drained:
  description: Sessions ended on the source because they were C(idle), after they C(waited) for their transaction, or C(terminated).
  returned: success
  type: dict
sequences:
  description: How many sequences were set exactly and read back; null with engine physical, which brings them along.
  returned: success
  type: int
verify:
  description: >-
    Comparison of all rows as C(mode), C(tables), C(rows), C(equal), C(seconds) and C(mismatches). Null when this run did not switch.
    With engine physical C(mode) is position: the target has replayed the shutdown checkpoint at C(checkpoint), the last record of the
    source, up to C(replayed) on C(timeline); no table is read.
  returned: success
  type: dict
findings:
  description: >-
    What the preflight found as C(code), C(level) (fail or warn), C(object), C(message) and C(remedy). Empty when nothing had to be done.
  returned: success
  type: list
  elements: dict
predicted_window_ms:
  description: What RV(window_ms) of the next switch is expected to be; null where it was not asked for.
  returned: success
  type: float
rollback:
  description: Whether the side that served before can serve again without loss, as C(armed), C(guarantee), C(lag_ms) and C(reason).
  returned: success
  type: dict
evidence:
  description: The facts of both catalogs at the end.
  returned: success
  type: dict
failure:
  description: Code, message, remedy and details. With rows_differ the switch stays, and details hold C(verify) and C(window_ms).
  returned: failure
  type: dict
"""
from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner
from ..module_utils._pg.argspec import LINK, ROUTER, SERVERS, PairModule
from ..module_utils._pg.model import secrets
from ..module_utils._pg.run import run

SPEC = {
    "state": {"type": "str", "choices": ["preflight", "seeded", "armed", "new", "legacy", "finished"], "required": True},
    "engine": {"type": "str", "choices": ["auto", "logical", "physical", "dump"], "default": "auto"},
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
    "new_planned": {"type": "bool", "default": False},
}


def main() -> None:
    module = PairModule({**SERVERS, **SPEC}, supports_check_mode=True)
    finish(module, lambda: run(module.params, module_runner(module), module.check_mode), secrets(module.params))


if __name__ == "__main__":
    main()
