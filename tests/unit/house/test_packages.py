# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""scripts/packages with programs of Debian that a test can watch: the policy that forbids starting services does not outlive its run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


class Machine:
    """A folder with a copy of the script, its policy beside it, and programs that stand in for dpkg and apt."""

    def __init__(self, base: Path) -> None:
        self.guard = base / "policy-rc.d"
        self.script = base / "scripts" / "packages"
        self.script.parent.mkdir()
        text = (ROOT / "scripts" / "packages").read_text(encoding="utf-8")
        assert text.count("guard=/usr/sbin/policy-rc.d\n") == 1
        self.script.write_text(text.replace("/usr/sbin/policy-rc.d", str(self.guard)), encoding="utf-8")
        self.script.chmod(0o755)
        self.bin = base / "bin"
        self.bin.mkdir()
        self.program("dpkg-query", 'echo "install ok installed"')
        self.program("systemctl", "exit 0")
        self.program("sudo", 'exec "$@"')

    def program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (self.bin / name).chmod(0o755)

    def run(self) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}"}
        return subprocess.run([str(self.script)], env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_policy_that_a_killed_run_left_is_removed_at_the_next_start(machine):
    """apt-get kills the script that called it, as kill -9 or a machine without memory does."""
    machine.program("dpkg-query", "exit 1")
    machine.program("apt-get", "kill -9 $PPID")
    assert machine.run().returncode == -9
    assert machine.guard.exists(), "the test has to leave what a killed run leaves"
    machine.program("dpkg-query", 'echo "install ok installed"')
    done = machine.run()
    assert done.returncode == 0 and "killed run" in done.stdout, done
    assert not machine.guard.exists()


def test_a_run_takes_its_own_policy_away_and_forbids_meanwhile(machine):
    machine.program("dpkg-query", "exit 1")
    machine.program("apt-get", f"{machine.guard} nginx start; echo $? >> {machine.bin}/asked")
    assert machine.run().returncode == 0
    assert (machine.bin / "asked").read_text() == "101\n" and not machine.guard.exists()


def test_the_policy_of_somebody_else_stays(machine):
    machine.guard.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    assert machine.run().returncode == 0
    assert machine.guard.read_text(encoding="utf-8") == "#!/bin/sh\nexit 101\n"


def test_the_policy_of_a_run_that_goes_on_stays(machine):
    """A second start while the first one installs."""
    machine.program("dpkg-query", "exit 1")
    second = f"cp {machine.guard} {machine.bin}/first; printf '#!/bin/sh\\necho \"install ok installed\"\\n' > {machine.bin}/dpkg-query"
    machine.program("apt-get", f"{second}; {machine.script}; test -e {machine.guard} && touch {machine.bin}/stayed")
    assert machine.run().returncode == 0
    assert (machine.bin / "stayed").exists() and not machine.guard.exists()
