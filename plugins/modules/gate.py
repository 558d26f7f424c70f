#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gate
short_description: Run named checks that must all pass
description:
  - Runs a list of checks on the host and fails with C(check_failed), naming every one that did not pass and what was seen.
  - Closed by default. An empty answer, an error, a missing tool or an answer that cannot be read is a failed check.
  - All checks are run, in order, also after one has failed. Misspelt keys are refused before any is run.
author: The bowline contributors (@bowline)
version_added: 0.9.0
attributes:
  check_mode:
    description: Checks that only read are run; those that may write are listed as RV(planned) and not run.
    support: full
  diff_mode:
    description: Returns what would change (or has changed) in diff mode.
    support: N/A
    details: Nothing is changed that lasts, so there is nothing to compare.
  platform:
    description: Families of operating systems that the module works on.
    support: full
    platforms: posix
requirements:
  - docker >= 7.1 (PyPI) for checks of type C(swarm) and C(events)
  - jmespath (Debian package python3-jmespath) for C(jmespath) of checks of type C(http)
  - psycopg 3 (Debian package python3-psycopg) for checks of type C(postgres)
options:
  checks:
    description:
      - The checks. A key that its type does not know is refused with the nearest one that it knows.
      - "Every check: C(name) (required, unique), C(type) (required), C(timeout) (5, seconds for one attempt),
        C(repeat) (1, times in a row that it must pass), C(interval) (0.2, seconds in between),
        C(wait_timeout) (0, seconds in which it may become true), C(log_of) (systemd unit whose last log lines a failure shows)."
      - "C(http): C(url) (required), C(method) (GET), C(request_headers), C(body) (text, or data that is sent as JSON),
        C(connect_to) (C(address[:port]) to connect to instead; Host and certificate stay those of the URL), C(ca_file);
        expected are C(status) (200; one or a list), C(headers), C(body_contains), C(json) (data that the answer must contain),
        C(jmespath) (an expression over the JSON body that must give true, such as C(lag < `10`)), C(max_ms).
        Redirects are not followed. Certificates are always verified."
      - "C(exchange): C(url) (base, required), C(requests) (required, each with the keys of C(http) but C(connect_to),
        C(ca_file) and C(secret_files)),
        C(connect_to), C(ca_file). A request runs only if all before it passed, one with C(cleanup) true always.
        C(save) keeps fields of the JSON answer by dotted path for later requests; cookies are kept too."
      - "In requests C({unique}) is replaced by a random token, the same within one check, and C({name}) by the content of the file that
        C(secret_files) has under this name."
      - "C(tcp): C(host), C(port) (both required)."
      - "C(free): C(host), C(port) (both required): nobody listens there, or C(unit) does, which is then active."
      - "C(tls): C(host) (required), C(port) (443), C(hostname) (of the certificate; default C(host)), C(ca_file), C(min_days) (14)."
      - "C(command): C(argv) (required), C(rc) (0), C(stdout_contains), C(read_only) (false; true lets it run in check mode). With
        C(in_unit) it runs in the files of that unit's main process, with its variables and as C(user) (C(0:0), in numbers)."
      - "C(unit): C(unit) (required), C(active) (true), C(enabled) (true), C(restarts) (0, most restarts by systemd); null expects nothing."
      - "C(disk): C(path), which need not exist yet, C(free_bytes) (both required)."
      - "C(postgres): C(host), C(dbname), C(user) (required), C(port) (5432), C(passfile), C(sslmode) (V(verify-full) unless C(host) is a
        directory of a socket), C(sslrootcert); expected are C(read_write) (true or false), C(version) (V(15) or V(15.6))."
      - "C(prometheus): C(url), C(query) (both required; one number must answer), and at least one of C(min), C(max), C(compare_to) (V(stable):
        the same query with V(stable) in the place of C({track}), which is V(canary) otherwise; at most C(max_ratio), 1.2, times as much is right);
        C(samples_query) (a number below C(min_samples), 20, is no data), C(request_headers), C(secret_files), C(connect_to), C(ca_file).
        No series, or NaN, does not pass."
      - "C(swarm): every service of C(stack), or those of C(services), runs as many tasks as it wants. C(events): no task of them died, ran out of
        memory, became unhealthy or was refused since C(since) (unix seconds, required); the engine keeps 256 events, and a gap does not pass. Both
        take C(connection), a dictionary with the endpoint's options as in M(bowline.fleet.swarm_stack)."
      - "What a host has, asked before anything is done to it: C(root) (the task runs as root); C(account) with C(account), C(kind) (V(user), or
        V(group)); C(file) with C(path), C(kind) (V(file), V(directory) or V(any)); C(program) with C(program), a path or a name; C(package) with
        C(package), which is installed or can be by apt; C(python) with C(module), which the interpreter of this task imports."
      - "C(certificate) with C(chains), PEM texts of which one holds, C(hostname), C(ca_file) (those of the system); C(image) with C(image), C(pull)
        (V(missing), V(always) or V(never)), which docker has or can pull; C(locale) with C(locale), which is there or can be made; C(resolves) with
        C(host); C(reach) with C(host), C(port), C(listening) (true; false: a refused connection is enough), C(postgres_tls) (false; true: a
        PostgreSQL that speaks TLS)."
    type: list
    elements: dict
    required: true
"""
EXAMPLES = r"""
- name: See that the new side serves
  bowline.fleet.gate:
    checks:
      - name: up
        type: http
        url: https://hub.example.org/up
        connect_to: 192.0.2.20
        ca_file: /etc/ssl/certs/example-ca.pem
        repeat: 5
        wait_timeout: 10
      - {name: certificate, type: tls, host: 192.0.2.20, hostname: hub.example.org, min_days: 14}
      - {name: backend, type: unit, unit: hub-backend-web.service}
      - name: database
        type: postgres
        host: /var/run/postgresql
        dbname: hub
        user: hub
        read_write: true
        version: 15
      - name: mutation
        type: exchange
        url: https://hub.example.org
        connect_to: 192.0.2.20
        requests:
          - {url: /ledger, method: POST, body: {key: "smoke-{unique}", amount: 1}, status: [200, 201]}
          - {url: "/ledger/smoke-{unique}", json: {amount: 1}}
          - {url: "/ledger/smoke-{unique}", method: DELETE, status: [200, 204], cleanup: true}
"""
RETURN = r"""
passed:
  description: How many checks passed.
  returned: success
  type: int
  sample: 2
total:
  description: How many checks there are. The same as RV(passed) unless some were only planned.
  returned: success
  type: int
  sample: 2
planned:
  description: Names of the checks that check mode did not run.
  returned: success
  type: list
  elements: str
  sample: []
checks:
  description: Per check C(name), C(type), C(ok) (null if planned), C(evidence), C(findings) and C(seconds).
  returned: success
  type: list
  elements: dict
  sample:
    - name: up
      type: http
      ok: true
      evidence: {url: 'https://hub.example.org/up', method: GET, status: 200, ms: 31, bytes: 17}
      findings: []
      seconds: 0.031
failure:
  description: Code, message, remedy and details; the details hold the same as a success, and the names that C(failed).
  returned: failure
  type: dict
  sample:
    code: check_failed
    message: '1 of 2 checks failed: up: status 502, expected 200.'
    remedy: Look at what the check saw.
    details:
      failed: [up]
"""
from ..module_utils._core.askers import ASKERS
from ..module_utils._core.checkers import CHECKERS
from ..module_utils._core.gates import Tools, run_gates
from ..module_utils._core.module import FleetModule
from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner
from ..module_utils._swarm.checkers import connecting
from ..module_utils._swarm.client.engine import Engine


def main() -> None:
    module = FleetModule({"checks": {"type": "list", "elements": "dict", "required": True}}, supports_check_mode=True)
    tools = Tools(module_runner(module))
    types = {**CHECKERS, **ASKERS, **connecting(Engine.connect)}
    finish(
        module,
        lambda: {"changed": False, **run_gates(module.params["checks"], types, tools, check_mode=module.check_mode)},
        tools.secrets,
    )


if __name__ == "__main__":
    main()
