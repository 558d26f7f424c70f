# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge: compares the file of acknowledged writes with the rows of the database that serves now.

It believes nothing that a module, role or report says: who serves is asked through the public name, which databases are open is read
from both catalogs. ``judge()`` is for tests; on the command line the verdict is JSON, and the exit code 2 when there is nothing to judge.
"""
from __future__ import annotations

import contextlib
import http.client
import json
import sys
import typing as t
from pathlib import Path

from rig import client, ledger
from rig.application import HUB, Application

SIDES = ("legacy", "target")

FENCED = """
select coalesce(bool_or(lower(split_part(item, '=', 2)) in ('on', 'true', 'yes', '1')), false)
from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase, unnest(s.setconfig) item
where d.datname = current_database() and s.setrole = 0 and item like 'default_transaction_read_only=%'
"""


def connect(database: t.Mapping[str, t.Any]) -> t.Any:
    """A superuser's session on one of lab.json's databases, verified TLS."""
    import psycopg

    return psycopg.connect(
        host=database["host"], port=database["port"], dbname=database["dbname"], user=database["superuser"],
        password=Path(database["superuser_password_file"]).read_text(encoding="utf-8").strip(),
        sslmode=database["sslmode"], sslrootcert=database["sslrootcert"], connect_timeout=5, autocommit=True, application_name="judge",
    )


def database_state(database: t.Mapping[str, t.Any], app: Application = HUB) -> str:
    """open, fenced, empty (no table of the application in it), absent (no such database) or unreachable."""
    import psycopg

    try:
        with connect(database) as session:
            if session.execute("select to_regclass(%s)", [app.table]).fetchone()[0] is None:
                return "empty"
            return "fenced" if session.execute(FENCED).fetchone()[0] else "open"
    except psycopg.OperationalError as problem:
        return "absent" if "does not exist" in str(problem) else "unreachable"


def serving(lab: t.Mapping[str, t.Any], app: Application = HUB) -> str | None:
    """The side that answers the health path by the public name with 200; None when nobody does."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        reply = client.Client(lab, timeout=10).request("GET", app.health)
        return reply.side if reply.status == 200 else None
    return None


def compare(verdicts: t.Mapping[str, t.Mapping[str, t.Any]], rows: t.Sequence[tuple[int, str, int]], failed: int) -> dict[str, t.Any]:
    """The ledger's verdict. ``rows`` are (id, key, amount) of the writers' keys, read after the file.

    A row whose key the file does not know is a request that was still under way when the file was read: no error.
    """
    present: dict[str, list[tuple[int, int]]] = {}
    for number, key, amount in rows:
        present.setdefault(key, []).append((number, amount))
    by_state: dict[str, list[str]] = {state: [] for state in ledger.STATES}
    for key, verdict in verdicts.items():
        by_state[verdict["state"]].append(key)
    lost = [key for key in by_state["acknowledged"]
            if not any(number in verdicts[key]["ids"] and amount == verdicts[key]["amount"] for number, amount in present.get(key, []))]
    refused_present = [key for key in by_state["refused"] if key in present]
    doubles = [key for key, found in present.items() if len(found) > 1]
    doubles += [key for key, verdict in verdicts.items() if len(verdict["ids"]) > 1 and key not in doubles]
    return {
        "acknowledged": len(by_state["acknowledged"]),
        "lost": len(lost),
        "unacknowledged_present": len(refused_present),
        "duplicates": len(doubles),
        "in_doubt": len(by_state["in_doubt"]),
        "refused": len(by_state["refused"]),
        "failed_requests": failed,
        "examples": {"lost": lost[:10], "unacknowledged_present": refused_present[:10], "duplicates": doubles[:10]},
    }


def judge(lab: t.Mapping[str, t.Any] | None = None, file: Path | None = None, app: Application = HUB) -> dict[str, t.Any]:
    """The verdict; LookupError when no side serves and not exactly one database is open."""
    lab = lab or client.load(app.description)
    entries = list(ledger.read(file or app.ledger))
    states = {side: database_state(lab["databases"][side], app) for side in SIDES}
    opened = [side for side in SIDES if states[side] == "open"]
    side = serving(lab, app)
    read = side or (opened[0] if len(opened) == 1 else None)
    if read is None:
        raise LookupError(f"Nobody answers {lab['url']}{app.health} with 200, and the databases are {states}: there is nothing to judge by.")
    with connect(lab["databases"][read]) as session:
        rows = session.execute(app.rows).fetchall()
    verdict = compare(ledger.verdicts(entries), rows, sum(entry["failed"] for entry in entries))
    one_open = opened == [read]
    clean = one_open and not (verdict["lost"] or verdict["unacknowledged_present"] or verdict["duplicates"])
    return {"clean": clean, **verdict, "serving": side, "judged": read, "databases": states, "one_open": one_open}


def main() -> int:
    try:
        verdict = judge()
    except (LookupError, FileNotFoundError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    print(json.dumps(verdict, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
