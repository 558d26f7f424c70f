# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running ``docker stack deploy`` against a recorder: which words, which environment, and what its own words mean."""

from __future__ import annotations

import os
import re
import typing as t

from ..._core.errors import FleetError
from ..._core.redact import redact
from ..._core.runner import Completed, Runner
from ..._core.secret_forms import names_secret

# What the CLI needs of the environment of this process; everything else that it sees was given.
KEPT = ("PATH", "HOME", "DOCKER_CONFIG")

# Seconds. It takes less than one; a file that never ends would take for ever.
TIMEOUT = 60.0

# Ansible sets these for programs, and they are no part of what was given.
_LOCALE = ("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LC_NUMERIC")

_NOISE = re.compile(r"^(Since --detach=false was not specified|In a future release, --detach=false|Ignoring (un)?supported options|\s*$)")


def environment(given: t.Mapping[str, str]) -> dict[str, str]:
    """All that the CLI sees, for interpolation, too."""
    return {**{name: os.environ[name] for name in KEPT if name in os.environ}, **given}


def deploy(name: str, compose: t.Sequence[str], given: t.Mapping[str, str], address: str, runner: Runner) -> Completed:
    """Run the CLI once. Values of ``given`` are in its environment, never among its words, which others can read.

    Raises FleetError tool_missing, and compose_invalid when it does not end.
    """
    words = ["--host", address, "stack", "deploy", "--resolve-image", "never", "--with-registry-auth"]
    files = [word for path in compose for word in ("--compose-file", _csv(path))]
    # Newer CLIs wait for the services unless told not to; older ones do not know the word (docker/cli #5268).
    done = _run([*words, "--detach=true", *files, "--", name], given, runner)
    if done.rc and "unknown flag: --detach" in done.err:
        done = _run([*words, *files, "--", name], given, runner)
    if done.rc in (124, 137):
        raise FleetError(
            "compose_invalid",
            f"The docker CLI did not end within {TIMEOUT:g} s; one of the files may never end. Nothing was sent to the cluster.",
            remedy="Look at what the files name under `file` and `env_file`.",
        )
    if done.rc == 127 or (done.rc == 126 and "docker" in done.err):
        raise FleetError(
            "tool_missing", "The program docker was not found; its CLI converts the compose files.", remedy="Install the package docker-cli or docker-ce-cli."
        )
    return done


def own_words(done: Completed, given: t.Mapping[str, str]) -> str:
    """Why the CLI refused, as it says it, without its advertisements and without values that are named like secrets."""
    lines = [line for line in done.err.splitlines() if not _NOISE.match(line)] or done.out.splitlines()[-1:]
    secrets = [value for name, value in given.items() if names_secret(name) and len(value) > 3]
    return str(redact(" ".join(line.strip() for line in lines) or f"exit code {done.rc}", secrets))


def warnings(done: Completed) -> tuple[str, ...]:
    """What the CLI passes over, in its words."""
    return tuple(line.strip() for line in done.err.splitlines() if line.startswith("Ignoring unsupported options"))


def _run(words: t.Sequence[str], given: t.Mapping[str, str], runner: Runner) -> Completed:
    # A Runner adds to the environment of this process; env(1) takes the rest of it away by name.
    keep = {*KEPT, *given}
    gone = [word for name in sorted({*os.environ, *_LOCALE} - keep) for word in ("-u", name)]
    return runner(["env", *gone, "docker", *words], env=dict(given), timeout=TIMEOUT)


def _csv(path: str) -> str:
    """The CLI reads the option as a line of CSV (pflag, StringSlice)."""
    return '"' + path.replace('"', '""') + '"' if re.search(r'[",\r\n]', path) else path
