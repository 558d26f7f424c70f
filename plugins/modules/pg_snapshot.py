#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_snapshot
short_description: Keep dumps of a PostgreSQL database that are proven by a restore
description:
  - A snapshot is one directory C(<directory>/<name>) with a dump in custom format, the accounts it uses, a manifest and the SHA-256 sum of
    each, where the name is C(<subject>-<time>-<kind>). It is put in place by one rename when all of it is on disk, so a run that was killed
    leaves nothing but a C(.partial), which the next run removes.
  - The manifest holds versions, extensions, a count and a hash of the rows of every table taken in the same snapshot as the dump, sequences and
    large objects. V(tested) restores the dump into a scratch database and compares all of it.
  - The directory has mode 0700 and the files 0600, because C(<name>.accounts.json) holds the password verifiers of the accounts that the database
    uses. It is data and no SQL. No password is in an argument of a process.
  - The helper schema of M(bowline.fleet.pg_cutover), publications and subscriptions are not part of a dump; RV(snapshot.left_out) names them.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.writer]
requirements:
  - psycopg >= 3.1 (Debian package python3-psycopg)
  - C(pg_dump) and C(pg_restore), not older than the server
options:
  state:
    description:
      - V(preflight) reads only and returns RV(findings), everything that would stop V(present) of O(source), or V(tested) on a server that has none
        of its accounts yet.
      - V(present) has a snapshot that is younger than O(max_age) and whose sums hold; without O(source), or with O(name), it only has to be
        there. C(<name>.partial) with all files of O(name), as copied from another host, is put in place.
      - V(tested) has one that was restored into a scratch database on O(target) and equals its manifest. The scratch database is removed. Where an
        account is missing on O(target), owners, grants and policies are passed over and named.
      - V(restored) has O(target) restored from it, or from O(file), accounts that are missing included; an account that has more rights there than it
        had is refused by name. The database must not exist, be empty, or be what an interrupted run left. It takes no writes unless
        O(fenced=false). There is no way back to what is written elsewhere since.
      - V(absent) has O(name) removed, which is refused before O(retention) and for the only good copy.
    type: str
    choices: [preflight, present, tested, restored, absent]
    default: present
  directory:
    description: Absolute path on the host of this task. Made with mode 0700; one that others can read or exchange is refused.
    type: path
    required: true
  subject: {description: 'First part of the name: 1 to 30 letters, digits, dots, dashes or underscores.', type: str, required: true}
  kind:
    description: V(before) is taken live by this module, V(switch) by M(bowline.fleet.pg_cutover) from the rows at the switch point.
    type: str
    choices: [before, switch]
    default: before
  name: {description: One snapshot of this subject and kind; the newest one without it. Required with O(state=absent)., type: str}
  source:
    description: Server and database to dump, as a superuser. With O(state=preflight) and O(state=present).
    type: dict
    suboptions: &server
      host: {description: 'Host name, address or directory of the socket.', type: str, required: true}
      port: {description: Port., type: int, default: 5432}
      dbname: {description: 'Database that is dumped, or restored for good. Required for these two.', type: str}
      user: {description: Superuser. It also uses the database C(postgres)., type: str, default: postgres}
      password: {description: 'Its password. It never appears in results, logs, arguments or statements.', type: str}
      passfile: {description: 'Password file of libpq on the host of this task, mode 0600, instead of a password.', type: path}
      sslmode:
        description:
          - How TLS is used and verified. Unless it is set C(verify-full), where O(source.host) is no directory of a socket.
          - A weaker word is used as it is said, with a warning that tells what somebody in the path gets. The password is then never sent in clear
            (C(require_auth=!password) of libpq 16 and newer).
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
      sslrootcert:
        description: CA certificates on the host of this task, to verify the server with. Without it libpq looks for C(~/.postgresql/root.crt).
        type: path
      container: {description: 'Container of the server. Only for findings and remedies.', type: str}
      data_directory: {description: 'Its data directory. If it is on the host of this task, room for a restore is judged before.', type: path}
      service: {description: 'As M(bowline.fleet.pg_cutover) takes it, so that one connection serves both. Not used.', type: str}
      command_prefix: {description: As O(source.service)., type: list, elements: str}
      server_bindir: {description: As O(source.service)., type: path}
      bindir:
        description: >-
          Directory of PostgreSQL's programs on the host of this task. Without it the version below C(/usr/lib/postgresql) that is the server's or
          the next older one, else the search path.
        type: path
  target:
    description: Server to restore into. O(target.dbname) is not used with O(state=tested).
    type: dict
    suboptions: *server
  compress:
    description:
      - V(auto) is zstd where this C(pg_dump) knows it (version 16 and newer), else gzip.
    type: str
    choices: [auto, gzip, zstd, none]
    default: auto
  max_age: {description: Seconds for which a snapshot counts as present and a test as done., type: float, default: 86400}
  retention: {description: Seconds that a snapshot is kept; 2592000 (30 days) at least., type: float, default: 7776000}
  elsewhere:
    description: >-
      RV(snapshot) of other copies, as O(state=present) returned them on their hosts less than an hour ago. One with the same sums in another
      place makes O(state=absent) possible. Remove one copy at a time, and prove the others anew before each.
    type: list
    elements: dict
    default: []
  file:
    description: With O(state=restored), a foreign archive of C(pg_dump) instead of a snapshot. Its accounts must exist on O(target).
    type: path
  accept_owner_code:
    description:
      - With O(state=tested) and O(state=restored), functions of the dump that may run with the rights of a superuser on O(target), each as
        C(schema.function(argument types)); see M(bowline.fleet.pg_cutover). Every other one is refused with C(owner_code), which lists them so, after the
        schema was restored and before a row is; the scratch database is removed, and one that is restored for good stays closed.
      - Where owners are not restored, because an account is missing on O(target), every function counts that belongs to no extension.
    type: list
    elements: str
    default: []
  fenced:
    description: With O(state=restored), whether the database refuses writes. One that was opened is not closed again.
    type: bool
    default: true
"""
EXAMPLES = r"""
- name: Dump the database while it serves, with proof
  bowline.fleet.pg_snapshot:
    directory: /var/backups/bowline
    subject: hub-1
    source: {host: 192.0.2.10, dbname: hub, passfile: /etc/bowline/control.pgpass, sslmode: verify-full, sslrootcert: /etc/bowline/ca.pem}

- name: Prove it by a restore on the new server
  bowline.fleet.pg_snapshot:
    state: tested
    directory: /var/backups/bowline
    subject: hub-1
    target: {host: /run/postgresql}

- name: Prove the copy on another host
  bowline.fleet.pg_snapshot:
    directory: /var/backups/bowline
    subject: hub-1
    name: hub-1-20260801T020000Z-before
  delegate_to: hub-old
  register: copy

- name: Remove one after 90 days, because the other one is whole
  bowline.fleet.pg_snapshot:
    state: absent
    directory: /var/backups/bowline
    subject: hub-1
    name: hub-1-20260801T020000Z-before
    elsewhere: ["{{ copy.snapshot }}"]

- name: Start a server from a dump that came from elsewhere
  bowline.fleet.pg_snapshot:
    state: restored
    directory: /var/backups/bowline
    subject: hub-1
    file: /root/cutover-final.dump
    target: {host: /run/postgresql, dbname: hub}
    fenced: false
"""
RETURN = r"""
plan:
  description: Steps done (foreseen in check mode).
  returned: success
  type: list
  elements: dict
  sample: [{"action": "dump", "reason": "no snapshot of kind before is younger than a day", "disruptive": false}]
snapshot:
  description: The snapshot. Null after V(absent), for a foreign file, and in check mode when it would be taken.
  returned: success
  type: dict
  contains:
    name: {description: Its name., type: str, returned: success}
    host: {description: Host name of the machine that it is on., type: str, returned: success}
    directory: {description: The directory of the snapshots., type: str, returned: success}
    path: {description: The dump., type: str, returned: success}
    kind: {description: 'V(before) or V(switch).', type: str, returned: success}
    taken_at: {description: 'When it was taken, in UTC.', type: str, returned: success}
    frozen_at_switch: {description: Whether it holds exactly the rows at a switch., type: bool, returned: success}
    bytes: {description: Size of all files., type: int, returned: success}
    database_bytes: {description: Size of the database when it was dumped., type: int, returned: success}
    tables: {description: How many tables it has., type: int, returned: success}
    rows: {description: How many rows they have., type: int, returned: success}
    compress: {description: 'How the dump is compressed.', type: str, returned: success}
    seconds: {description: 'How long C(dump) and C(all) took.', type: dict, returned: success}
    left_out: {description: 'Names of C(publications) and C(subscriptions) that the database has and the dump has not.', type: dict, returned: success}
    sums: {description: SHA-256 by file name., type: dict, returned: success}
    checked_at: {description: Unix seconds at which the sums were seen to hold., type: float, returned: success}
    tested:
      description: >-
        The newest restore of these files: C(at), C(server), C(version), C(restore_seconds), C(seconds), C(tables), C(rows), C(roles_missing),
        C(passed_over). Null when there is none.
      type: dict
      returned: success
  sample:
    name: hub-20261128T024059Z-before
    host: hub-old
    directory: /var/backups/bowline
    path: /var/backups/bowline/hub-20261128T024059Z-before/hub-20261128T024059Z-before.dump
    kind: before
    taken_at: '2026-11-28T02:40:59Z'
    frozen_at_switch: false
    bytes: 450474
    database_bytes: 18136423
    tables: 6
    rows: 19604
    compress: gzip
    seconds: {dump: 0.69, all: 0.97}
    left_out:
      publications: []
      subscriptions: []
    sums: {hub-20261128T024059Z-before.dump: 7d6a3ef8eabf0357bf353d427af8251e10a77e0fac6a1675ccda0b7a1be3d59d}
    checked_at: 1795834266.7
    tested: null
findings:
  description: With O(state=preflight), what stands against a snapshot, each with C(code), C(level), C(field), C(object), C(message) and C(remedy).
  returned: O(state=preflight)
  type: list
  elements: dict
  sample: []
evidence:
  description: >-
    What was judged before a dump as C(database_bytes), C(free_bytes), C(compress) and C(pg_dump); after a restore C(accepted_owner_code), the
    functions of O(accept_owner_code) that may have run.
  returned: success
  type: dict
  sample: {"database_bytes": 18136423, "free_bytes": 51539607552, "compress": "gzip", "pg_dump": "15.18"}
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample:
    code: disk_space
    message: /var/backups/bowline has 12 MB free; the dump needs 22 MB.
    remedy: Free space, or name another directory.
    details: {}
"""
from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner
from ..module_utils._pg.argspec import COMPRESS, SNAPSHOT_SERVERS, PairModule
from ..module_utils._pg.options import secrets
from ..module_utils._pg.snapshot.run import run

SPEC = {
    "state": {"type": "str", "choices": ["preflight", "present", "tested", "restored", "absent"], "default": "present"},
    "directory": {"type": "path", "required": True},
    "subject": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": ["before", "switch"], "default": "before"},
    "name": {"type": "str"},
    "compress": {"type": "str", "choices": COMPRESS, "default": "auto"},
    "max_age": {"type": "float", "default": 86400},
    "retention": {"type": "float", "default": 7776000},
    "elsewhere": {"type": "list", "elements": "dict", "default": []},
    "file": {"type": "path"},
    "accept_owner_code": {"type": "list", "elements": "str", "default": []},
    "fenced": {"type": "bool", "default": True},
}


def main() -> None:
    required = [("state", "preflight", ["source"]), ("state", "tested", ["target"]), ("state", "restored", ["target"]), ("state", "absent", ["name"])]
    module = PairModule({**SNAPSHOT_SERVERS, **SPEC}, required_if=required, supports_check_mode=True)
    finish(module, lambda: run(module.params, module_runner(module), module.check_mode), secrets(module.params))


if __name__ == "__main__":
    main()
