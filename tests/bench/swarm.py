# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deployments of a Swarm stack: swarm_stack, `docker stack deploy --detach=false` and community.docker.docker_stack, side by side.

``make bench-swarm`` (or ``python tests/bench/swarm.py [--samples 10] [--rounds 3] [--ways ours cli community] [--parts …]``) writes
build/bench/swarm.md and build/bench/swarm.json. It ends with 0, with 1 when a target was missed, with 2 when it was given up. What it measures
beside deployments (drains, the lock) is in swarm_more.py, the table in swarm_figures.py.

Each way has a stack of its own, from the same file, in the Swarm lab; the ways take turns. What became of a deployment is asked from the
engine, never from the way: a deployment that says success and does not run as it is wanted is a failed one that was reported as success.
Seconds are those of this machine; only the ratios mean something on another one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import typing as t
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests" / "lab"), str(ROOT / "tests" / "bench")]

from project import collection_tree  # noqa: E402
from rig.shell import wait  # noqa: E402
from rig.swarm import engine, images, instance  # noqa: E402
from swarm_figures import FAULTS, MONITOR, PENDING_TIMEOUT, WAYS, Row, Sample, Samples, markdown, rows  # noqa: E402
from swarm_more import counted, drains, takeovers  # noqa: E402

OUT = ROOT / "build" / "bench"
PARTS = ("deployments", "drains", "lock", "counted")
# Seconds after which a way that waits is ended.
PATIENCE = 120
REPLICAS = 2
# Module and options beside the connection, name and files. A constraint is to be missed while the service is updated, so ours does not look for it
# before; it would refuse it at once. The others pull nothing first either.
MODULES: dict[str, tuple[str, dict[str, t.Any]]] = {
    "ours": ("bowline.fleet.swarm_stack", {"pending_timeout": PENDING_TIMEOUT, "prepull": "none", "preflight": {"constraints": "skip", "placement": "skip"}}),
    "community": ("community.docker.docker_stack", {"state": "present", "detach": False, "validate_certs": True}),
}

# --- the ways ---------------------------------------------------------------------------------------------------------------------


class Bench:
    """The lab, a folder for files, and what has been measured."""

    def __init__(self, lab: instance.Instance, folder: Path) -> None:
        self.lab, self.folder, self.samples = lab, folder, Samples()
        self.manager = lab.members[0]
        self.certificates = folder / "certificates"
        self.certificates.mkdir()
        for source, name in ((lab.authority.certificate, "ca.pem"), (f"{lab.client}.crt", "cert.pem"), (f"{lab.client}.key", "key.pem")):
            (self.certificates / name).write_bytes(Path(source).read_bytes())

    def connection(self) -> dict[str, t.Any]:
        return {
            "docker_host": self.manager.docker_host, "ca_path": str(self.lab.authority.certificate),
            "client_cert": f"{self.lab.client}.crt", "client_key": f"{self.lab.client}.key",
        }

    def compose(self, stack: str, back: str, front: str, constraint: str | None = None) -> Path:
        """Two services of two replicas. A failure makes Swarm roll back the service, which is the best that it can do."""
        def service(tag: str, constraints: t.Sequence[str] = ()) -> dict[str, t.Any]:
            return {
                "image": images.reference(self.lab, tag),
                "healthcheck": {"test": ["CMD", "/bin/wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/health"], "interval": "1s",
                                "retries": 4, "start_period": "5s"},
                "deploy": {
                    "replicas": REPLICAS, "endpoint_mode": "dnsrr", "restart_policy": {"delay": "200ms"}, "placement": {"constraints": list(constraints)},
                    "update_config": {"parallelism": 0, "monitor": f"{MONITOR}s", "failure_action": "rollback"},
                },
            }

        path = self.folder / f"{stack}-{time.monotonic_ns()}.yml"
        path.write_text(json.dumps({"version": "3.8", "services": {"back": service(back), "front": service(front, [constraint] if constraint else [])}}))
        return path

    def services(self, stack: str) -> dict[str, dict[str, t.Any]]:
        """Services of a stack as the engine has them, by name."""
        ids = engine.docker(self.manager, "service", "ls", "-q", "--filter", f"label=com.docker.stack.namespace={stack}").split()
        found = json.loads(engine.docker(self.manager, "service", "inspect", *ids)) if ids else []
        return {one["Spec"]["Name"].removeprefix(f"{stack}_"): one for one in found}

    def tasks(self, stack: str) -> list[str]:
        """Ids of tasks of a stack that run and shall."""
        lines = engine.docker(self.manager, "stack", "ps", "-q", "--no-trunc", "--filter", "desired-state=running", stack, check=False).split()
        states = json.loads(engine.docker(self.manager, "inspect", "--type", "task", *lines)) if lines else []
        return sorted(one["ID"] for one in states if one["Status"]["State"] == "running")

    def good(self, stack: str, back: str, front: str) -> bool:
        """Whether the engine has the wanted images in its specs and runs every task of them."""
        live = self.services(stack)
        wanted = {"back": back, "front": front}
        for name, tag in wanted.items():
            task = live.get(name, {}).get("Spec", {}).get("TaskTemplate", {})
            if not task.get("ContainerSpec", {}).get("Image", "").startswith(images.reference(self.lab, tag)):
                return False
        return len(self.tasks(stack)) == 2 * REPLICAS

    def call(self, way: str, stack: str, path: Path) -> tuple[float, int | None, str]:
        """Deploy in one way: seconds, exit code (None: ended by us), and what it said."""
        if way == "cli":
            cli = {"DOCKER_HOST": self.manager.docker_host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(self.certificates)}
            return self._run(["docker", "stack", "deploy", "--detach=false", "-c", str(path), stack], cli)
        name, more = MODULES[way]
        return self.module(name, {"name": stack, "compose": [str(path)], **more})

    def module(self, name: str, options: t.Mapping[str, t.Any]) -> tuple[float, int | None, str]:
        """One task of Ansible, as `call`."""
        argv = [str(Path(sys.executable).with_name("ansible")), "localhost", "-i", "localhost,", "-c", "local",
                "-e", f"ansible_python_interpreter={sys.executable}", "-m", name, "-a", json.dumps({**self.connection(), **options})]
        paths = {"ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(collection_tree(ROOT))}
        return self._run(argv, {**paths, "ANSIBLE_NOCOLOR": "1"})

    def _run(self, argv: t.Sequence[str], more: t.Mapping[str, str]) -> tuple[float, int | None, str]:
        env = {name: value for name, value in os.environ.items() if name not in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") and not name.startswith("DOCKER_")}
        env.update(more)
        began = time.monotonic()
        # timeout(1) ends the whole group, and Ansible's task is a child of its child.
        words = ["timeout", "--kill-after=5", str(PATIENCE), *argv]
        done = subprocess.run(words, env=env, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode in (124, 128 + 9):
            return time.monotonic() - began, None, "ended by the bench"
        return time.monotonic() - began, done.returncode, done.stdout + done.stderr

    def deploy(self, way: str, what: str, back: str, front: str, constraint: str | None = None) -> Sample:
        """One deployment, judged from outside."""
        stack = f"bench-{way}"
        path, before, tasks = self.compose(stack, back, front, constraint), self.services(stack), self.tasks(stack)
        watch = Watch(self, stack, before.get("front", {}).get("Version", {}).get("Index"))
        with watch:
            seconds, code, said = self.call(way, stack, path)
        after = self.services(stack)
        # What Swarm still does is waited for: the question is what becomes of the stack.
        good = constraint is None and self._settled(stack, back, front) if code == 0 else self.good(stack, back, front) and constraint is None
        details = _failure(said)
        return Sample(
            way, what, seconds, code, good, said=said[-400:],
            moved=sum(one["Version"]["Index"] != before.get(name, {}).get("Version", {}).get("Index") for name, one in after.items()),
            restarted=len(set(tasks) - set(self.tasks(stack))),
            restored=self._restored(stack, before) if what in FAULTS else None,
            # Ours says so when it is back, or at once where nothing was changed; the others leave it to Swarm.
            detected=watch.seconds if way != "ours" else seconds - details.get("rollback_duration_s", 0.0) if code else None,
            back=details.get("rollback_duration_s"),
        )

    def _settled(self, stack: str, back: str, front: str) -> bool:
        """Whether a deployment that was called good is good, or becomes it in a while."""
        try:
            wait("the stack to be good", lambda: self.good(stack, back, front), 20, 0.5)
        except Exception:
            return False
        return True

    def _restored(self, stack: str, before: dict[str, dict[str, t.Any]]) -> bool:
        """Whether all specs are, or in a while become, byte by byte what they were."""
        def equal() -> bool:
            now = self.services(stack)
            return {name: json.dumps(one["Spec"]) for name, one in now.items()} == {name: json.dumps(one["Spec"]) for name, one in before.items()}

        try:
            wait("the specs of before", equal, 20, 0.5)
        except Exception:
            return False
        return True

    def remove(self, stack: str) -> None:
        engine.docker(self.manager, "stack", "rm", stack, check=False)
        wait(f"{stack} to be gone", lambda: not self.services(stack) and not self.tasks(stack), 60, 0.5)
        for line in engine.docker(self.manager, "config", "ls", "--format", "{{.ID}} {{.Name}}").splitlines():
            identity, _space, name = line.partition(" ")
            if name.startswith("bowline.") and stack in name.split("."):
                engine.docker(self.manager, "config", "rm", identity, check=False)
        # Its network goes with the last container on each node.
        names = ("network", "ls", "--format", "{{.Name}}")
        wait(f"the network of {stack} to be gone", lambda: f"{stack}_default" not in engine.docker(self.manager, *names).split(), 60, 0.5)


class Watch:
    """How long Swarm itself needs to see that an update of `front` fails: polled beside the deployment."""

    def __init__(self, bench: Bench, stack: str, version: int | None) -> None:
        self._bench, self._stack, self._version = bench, stack, version
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.seconds: float | None = None

    def __enter__(self) -> Watch:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._thread.join(10)

    def _look(self) -> None:
        while not self._end.wait(0.2):
            service = self._bench.services(self._stack).get("front", {})
            state = (service.get("UpdateStatus") or {}).get("State", "")
            if service.get("Version", {}).get("Index") != self._version and state in ("rollback_started", "rollback_completed", "paused"):
                self.seconds = time.monotonic() - self._began
                return


def _failure(said: str) -> dict[str, t.Any]:
    """Details of the failure of a module, from what `ansible` prints of its result."""
    _head, _arrow, text = said.partition("=> ")
    try:
        found = json.JSONDecoder().raw_decode(text)[0]
    except ValueError:
        return {}
    return ((found.get("failure") or {}).get("details") or {}) if isinstance(found, dict) else {}


def measure(bench: Bench, ways: t.Sequence[str], samples: int, rounds: int) -> None:
    """All samples, the ways in turns; what is measured goes to the terminal as well."""
    def take(way: str, what: str, back: str, front: str, constraint: str | None = None) -> Sample:
        one = bench.deploy(way, what, back, front, constraint)
        verdict = "good" if one.good else "not good"
        sys.stderr.write(f"{way:<10}{what:<32}{one.seconds:6.1f} s  code {one.code}, {verdict}\n")
        bench.samples.all.append(one)
        return one

    for way in ways:
        bench.remove(f"bench-{way}")
        if not take(way, "first deploy", "1", "1").good:
            raise RuntimeError(f"{way}: the first deployment is not good: {bench.samples.all[-1].said}")
    for number in range(samples):
        tag = "2" if number % 2 == 0 else "1"
        for way in ways:
            take(way, "good deploy", tag, tag)
        for way in ways:
            take(way, "no-op", tag, tag)
    for _round in range(rounds):
        for what, (tag, constraint) in FAULTS.items():
            for way in ways:
                bench.call("cli" if way == "community" else way, f"bench-{way}", bench.compose(f"bench-{way}", "1", "1"))
                if not bench.good(f"bench-{way}", "1", "1"):
                    raise RuntimeError(f"{way}: nothing good to begin with")
                take(way, what, "2", tag, constraint)
    if "ours" in ways:
        bench.remove("bench-ours")
        bench.call("cli", "bench-ours", bench.compose("bench-ours", "1", "1"))
        wait("the CLI's stack to be good", lambda: bench.good("bench-ours", "1", "1"), 60, 0.5)
        take("ours", "adoption", "1", "1")
    for way in ways:
        bench.remove(f"bench-{way}")


def measured(bench: Bench, parts: t.Collection[str], ways: t.Sequence[str], samples: int, rounds: int) -> list[Row]:
    """The lines of the table, those of the chosen parts."""
    found: list[Row] = []
    if "deployments" in parts:
        measure(bench, ways, samples, rounds)
        found += rows(bench.samples, ways)
    more: dict[str, t.Callable[[], list[Row]]] = {"drains": lambda: drains(bench), "lock": lambda: takeovers(bench, rounds), "counted": lambda: counted(bench)}
    for part, work in more.items():
        if part in parts and "ours" in ways:
            sys.stderr.write(f"{part} …\n")
            found += work()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10, help="good deployments and second runs of each way")
    parser.add_argument("--rounds", type=int, default=3, help="failed updates of each kind and way, and takeovers of a lock")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS, help="what is measured; all of it by default")
    given = parser.parse_args()
    ways = [way for way in WAYS if way in given.ways]
    subprocess.run([sys.executable, str(ROOT / "tests" / "lab" / "swarm.py"), "up"], check=True, cwd=ROOT)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(instance.chosen(), Path(folder))
        try:
            found = measured(bench, given.parts, ways, given.samples, given.rounds)
        except KeyboardInterrupt:
            return 130
        except Exception:  # whatever it was, the exit code must not be that of a missed target
            traceback.print_exc()
            sys.stderr.write("Given up: what is above stands in the way of measuring anything. Nothing was written.\n")
            return 2
        version = engine.docker(bench.manager, "version", "--format", "engine {{.Server.Version}}, docker CLI {{.Client.Version}}")
    machine = f"{platform.system()} {platform.release()}, {os.cpu_count()} cores; {version}. Medians of {given.samples}; {given.rounds} of each failed update."
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "swarm.md").write_text(markdown(found, ways, machine), encoding="utf-8")
    data = {"machine": machine, "rows": [{**asdict(row), "met": row.met} for row in found], "samples": [asdict(one) for one in bench.samples.all]}
    (OUT / "swarm.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    print((OUT / "swarm.md").read_text(encoding="utf-8"))
    return int(any(row.met is False for row in found))


if __name__ == "__main__":
    sys.exit(main())
