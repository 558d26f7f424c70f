# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What bench-swarm measures beside deployments: drains under load, the takeover of a lock, and what tests of their own count.

Each part gives lines of the table.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import typing as t
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests" / "integration" / "swarm"
sys.path[:0] = [str(ROOT / "tests" / "bench"), str(ROOT / "tests" / "lab"), str(TESTS)]

from rig.shell import wait  # noqa: E402
from rig.swarm import engine, images  # noqa: E402
from swarm_figures import Row  # noqa: E402
from swarm_load import Load  # noqa: E402

PORT = 18590
STACK = "bench-drain"
# A short one, so that a takeover is measured in seconds; the ratio is what counts.
TTL = 10.0
# Tests that count what the table promises, by its words.
COUNTED = {
    "specs planned otherwise than the CLI sends them, files and texts with $": ("test_corpus.py",),
    "places where a secret was seen: argv, results, diffs, history, logs, store": (
        "test_service.py::test_as_a_playbook_runs_them", "test_service.py::test_the_history_holds_no_content_of_secrets",
        "test_cluster.py::test_what_the_store_keeps_holds_no_key",
    ),
}  # fmt: skip


def counted(bench: t.Any) -> list[Row]:
    """Failed of all tests that look for it."""
    found: list[Row] = []
    for number, (what, names) in enumerate(COUNTED.items()):
        report = bench.folder / f"counted-{number}.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *(str(TESTS / name) for name in names)]
        subprocess.run(command, cwd=ROOT, env={**os.environ, "BOWLINE_LAB_SWARM": str(bench.lab.json)}, capture_output=True, check=False)
        found.append(of_report(what, report.read_text(encoding="utf-8") if report.exists() else ""))
    return found


def of_report(what: str, report: str) -> Row:
    """The line of a JUnit report; without one nothing was proven."""
    suites = ElementTree.fromstring(report).iter("testsuite") if report else []
    numbers = [{name: int(suite.get(name) or 0) for name in ("tests", "failures", "errors", "skipped")} for suite in suites]
    ran = sum(one["tests"] - one["skipped"] for one in numbers)
    bad = sum(one["failures"] + one["errors"] for one in numbers)
    return Row(what, {"ours": f"{bad} of {ran}" if ran else "not run"}, float(bad) if ran else None, 0)


# --- drains -----------------------------------------------------------------------------------------------------------------------


def drains(bench: t.Any) -> list[Row]:
    """Each manager in turn, while it runs the only task of a service under load: by swarm_node, and as Swarm itself does it."""
    # The health check is that of a machine under load; the task is taken for healthy by the same answer as by the proxy.
    service = {
        "image": images.reference(bench.lab, "plain"),
        "healthcheck": {"test": ["CMD", "/bin/wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/health"], "interval": "1s", "timeout": "10s",
                        "retries": 10},
        "ports": [{"target": 8080, "published": PORT, "mode": "host"}],
        "deploy": {"replicas": 1, "endpoint_mode": "dnsrr", "update_config": {"monitor": "1s"}, "restart_policy": {"delay": "1s"}},
    }
    file = bench.folder / "drain.yml"
    file.write_text(json.dumps({"version": "3.8", "services": {"web": service}}), encoding="utf-8")
    bench.remove(STACK)
    engine.docker(bench.manager, "stack", "deploy", "--resolve-image", "never", "-c", str(file), STACK)
    wait("the service to run", lambda: _holder(bench) != "", 60, 0.2)
    failed: dict[str, list[int]] = {"ours": [], "cli": []}
    served: dict[str, int] = {"ours": 0, "cli": 0}
    violations: list[str] = []
    try:
        for way in failed:
            folder = bench.folder / f"load-{way}"
            folder.mkdir()
            with Load(folder, [f"{member.address}:{PORT}" for member in bench.lab.members]) as load:
                for member in bench.lab.members:
                    _bring(bench, member.name)
                    before = load.failed
                    _drain(bench, way, member.name, violations)
                    wait("the service to run elsewhere", lambda: _holder(bench) not in ("", member.name), 60, 0.2)
                    failed[way].append(load.failed - before)
                    _set(bench, member.name, "active")
                served[way] = load.served
    finally:
        # What was broken off is taken back by who knows how.
        for member in bench.lab.members:
            _node(bench, member.name, "active")
        bench.remove(STACK)
    return of_drains(failed, served, violations)


def of_drains(failed: t.Mapping[str, t.Sequence[int]], served: t.Mapping[str, int], violations: t.Sequence[str]) -> list[Row]:
    values = {way: f"{' + '.join(map(str, counts))} of {served[way]}" for way, counts in failed.items()}
    ours = float(sum(failed["ours"])) if failed["ours"] else None
    return [Row("failed requests, each manager drained in turn, one replica under load", values, ours, 0),
            Row("quorum violations after these drains", {"ours": len(violations)}, float(len(violations)), 0)]  # fmt: skip


def _holder(bench: t.Any) -> str:
    """Name of the node whose task answers alone; empty while there is none, or two."""
    lines = engine.docker(bench.manager, "service", "ps", "--filter", "desired-state=running", "--format", "{{.Node}} {{.CurrentState}}", f"{STACK}_web",
                          check=False).splitlines()  # fmt: skip
    running = [line.split()[0] for line in lines if " Running" in line]
    return running[0] if len(running) == len(lines) == 1 else ""


def _bring(bench: t.Any, name: str) -> None:
    """The task to the named node, without a failed request of its own: ours, by swarm_node, with the third node paused."""
    for _turn in range(5):
        wait("one task", lambda: _holder(bench) != "", 60, 0.2)
        here = _holder(bench)
        if here == name:
            return
        others = [member.name for member in bench.lab.members if member.name not in (here, name)]
        for other in others:
            _set(bench, other, "pause")
        if here:
            _node(bench, here, "drained")
            _set(bench, here, "active")
        for other in others:
            _set(bench, other, "active")
    raise RuntimeError(f"The task does not come to {name}.")


def _drain(bench: t.Any, way: str, name: str, violations: list[str]) -> None:
    if way == "ours":
        _node(bench, name, "drained")
    else:
        _set(bench, name, "drain")
    # Of the managers, as one that is not drained sees them.
    other = next(member for member in bench.lab.members if member.name != name)
    seen = engine.docker(other, "node", "ls", "--format", "{{.ManagerStatus}}").split()
    violations += [] if seen.count("Leader") == 1 and len(seen) == len(bench.lab.members) else [f"{name}: {seen}"]


def _set(bench: t.Any, name: str, availability: str) -> None:
    engine.docker(bench.manager, "node", "update", "--availability", availability, name)


def _node(bench: t.Any, name: str, state: str) -> None:
    _seconds, code, said = bench.module("bowline.fleet.swarm_node", {"node": name, "state": state})
    # None: it had to be ended.
    if code != 0:
        raise RuntimeError(f"swarm_node {name} {state}: {said[-600:]}")


# --- the lock ---------------------------------------------------------------------------------------------------------------------


def takeovers(bench: t.Any, count: int) -> list[Row]:
    """A holder is killed; how long the next one waits, over the TTL of the lock."""
    stack = "bench-lock"
    bench.remove(stack)
    file = bench.folder / "lock.yml"
    image = images.reference(bench.lab, "plain")
    file.write_text(json.dumps({"version": "3.8", "services": {"none": {"image": image, "deploy": {"replicas": 0, "endpoint_mode": "dnsrr"}}}}))
    engine.docker(bench.manager, "stack", "deploy", "--resolve-image", "never", "-c", str(file), stack)
    service = bench.services(stack)["none"]["ID"]
    try:
        return [of_takeovers([_takeover(bench, stack, service) for _number in range(count)])]
    finally:
        bench.remove(stack)


def of_takeovers(seconds: t.Sequence[float]) -> Row:
    median = statistics.median(seconds) if seconds else None
    return Row(f"takeover of a dead holder's lock, s; ours / lock_ttl {TTL:.0f}", {"ours": median}, None if median is None else median / TTL, 1.3)


def _takeover(bench: t.Any, stack: str, service: str) -> float:
    given = {"connection": bench.connection(), "subject": stack, "service": service, "ttl": TTL, "wait": 10 * TTL}
    first = _locker({**given, "name": "first", "writes": 10**6})
    _until(first, "wrote")
    first.kill()
    first.wait()
    began = time.monotonic()
    second = _locker({**given, "name": "second", "writes": 1})
    waits, held = _until(second, "waits"), _until(second, "held")
    second.wait(60)
    sys.stderr.write(f"takeover  {held - waits:.1f} s of a TTL of {TTL:.0f} s ({time.monotonic() - began:.1f} s with the start of the program)\n")
    return held - waits


def _locker(given: t.Mapping[str, t.Any]) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, str(TESTS / "locker.py"), json.dumps(given)], stdout=subprocess.PIPE, text=True, env=dict(os.environ))


def _until(process: subprocess.Popen[str], word: str) -> float:
    """The moment at which the program said ``word``, by its own clock."""
    assert process.stdout is not None
    for line in process.stdout:
        said = json.loads(line)
        if said["word"] == word:
            return float(said["at"])
        if said["word"] == "failed":
            break
    raise RuntimeError(f"The holder of the lock ended before it said {word}.")
