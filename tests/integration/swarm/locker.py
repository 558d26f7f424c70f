# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One writer of test_lock.py, in a process of its own that can be frozen: takes the lock, then writes its name into a service, again and again."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def _collection() -> None:
    """What tests/conftest.py does for the tests of this process."""
    spec = importlib.util.spec_from_file_location("bowline_conftest", ROOT / "tests" / "conftest.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


_collection()

from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError  # noqa: E402
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.client.engine import Engine  # noqa: E402
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.record.lock import Held, boottime  # noqa: E402


def say(word: str, **more: object) -> None:
    print(json.dumps({"word": word, "at": boottime(), **more}), flush=True)


def planned(engine: Engine, service: str, name: str) -> tuple[str, Callable[[], object]]:
    """Who wrote last, and a write that is planned from the version that was read just now."""
    before = engine.service(service)
    labels = before["Spec"]["Labels"]
    spec = {**before["Spec"], "Labels": {**labels, "by": name, "number": str(int(labels.get("number", "0")) + 1)}}
    return labels.get("by", ""), lambda: engine.service_update(service, before["Version"]["Index"], spec)


def main() -> None:
    given = json.loads(sys.argv[1])
    engine = Engine.connect(given["connection"])
    done = 0
    say("waits")
    try:
        with Held(engine, given["subject"], wait=given["wait"], ttl=given["ttl"], reason="test") as lock:
            say("held")
            while done < given["writes"]:
                by, send = planned(engine, given["service"], given["name"])
                lock.check()
                send()
                done += 1
                say("wrote", after=by)
    except FleetError as failure:
        say("failed", code=failure.code)
        return
    say("ended")


if __name__ == "__main__":
    main()
