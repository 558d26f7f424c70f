#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pg_cutover_info
short_description: Read which of two PostgreSQL servers serves a database, and whether the way back is open
description:
  - Reads the catalogs of both servers without lock and without writing, so it can be asked while M(bowline.fleet.pg_cutover) works.
  - A server that cannot be read is null in RV(facts) and has an entry in RV(failures); it is never taken for one that is not fenced.
author: The bowline contributors (@bowline)
version_added: 0.9.0
extends_documentation_fragment: [bowline.fleet.attributes.reader, bowline.fleet.pg]
"""
EXAMPLES = r"""
- name: Ask who serves
  bowline.fleet.pg_cutover_info:
    legacy: {host: 192.0.2.10, dbname: hub, passfile: /etc/bowline/control.pgpass}
    new: {host: 192.0.2.20, dbname: hub, passfile: /etc/bowline/control.pgpass}
  register: pair

- name: Stop unless the way back is open
  ansible.builtin.assert:
    that: pair.rollback.armed
"""
RETURN = r"""
engine:
  description: How the pair is kept in step, C(physical) when both servers are one cluster, else C(logical).
  returned: success
  type: str
  sample: "logical"
phase:
  description: Phase of the pair as M(bowline.fleet.pg_cutover) names it; unknown when a server cannot be read.
  returned: success
  type: str
  sample: "armed"
serving:
  description: >-
    Side that takes writes: legacy, new, nobody (inside a window) or unknown. With one server unreadable it is the other one if that is
    open, because a switch opens a side only after the other one was fenced.
  returned: success
  type: str
  sample: "legacy"
epoch:
  description: Last epoch of each side, C(<id>:open), C(<id>:commit), C(<id>:abort), C(<id>:seed) of a copy or C(<id>:loss) of an accepted loss.
  returned: success
  type: dict
  sample: {"legacy": null, "new": null}
facts:
  description: What each side says, and both directions of replication as C(forward) and C(reverse).
  returned: success
  type: dict
  sample: {"legacy": {"exists": true, "fenced": false, "epoch": null, "stage": null, "helper": true, "publishes": true}}
lag:
  description: How far each follower is behind as C(ms) and C(bytes), by direction; null when it is not connected.
  returned: success
  type: dict
  sample: {"pgcut_fwd": {"bytes": 0, "ms": 0.4}, "pgcut_rev": null}
apply_errors:
  description: Errors of each follower since its statistics began; null before PostgreSQL 15.
  returned: success
  type: dict
  sample: {"pgcut_fwd": 0, "pgcut_rev": 0}
databases_not_moved:
  description: Other databases on legacy.
  returned: success
  type: list
  elements: str
  sample: ["metrics"]
holder:
  description: Process that works on the pair now, with its C(pid), C(application_name) and C(age) in seconds; null when there is none.
  returned: success
  type: dict
  sample: null
rollback:
  description: Whether the side that served before can serve again without loss, as C(armed), C(guarantee), C(lag_ms) and C(reason).
  returned: success
  type: dict
  sample: {"armed": true, "guarantee": "async", "lag_ms": 16.0, "reason": ""}
failures:
  description: Per side that cannot be read its C(code), C(message), C(remedy) and C(details).
  returned: success
  type: dict
  sample: {}
failure:
  description: Code, message, remedy and details.
  returned: failure
  type: dict
  sample: {"code": "invalid_value", "message": "legacy.port is no number.", "remedy": "Correct legacy.port.", "details": {}}
"""
from ..module_utils._core.result import finish
from ..module_utils._core.runner import module_runner
from ..module_utils._pg.argspec import SERVERS, PairModule
from ..module_utils._pg.info import info
from ..module_utils._pg.options import secrets


def main() -> None:
    module = PairModule(dict(SERVERS), supports_check_mode=True)
    finish(module, lambda: info(module.params, module_runner(module)), secrets(module.params))


if __name__ == "__main__":
    main()
