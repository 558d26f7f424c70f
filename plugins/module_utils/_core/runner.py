# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running outside programs: the protocol that engine rooms are given, and its implementation over ``run_command``."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .errors import FleetError

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


@dataclass(frozen=True)
class Completed:
    """How a program ended: exit code, standard output and standard error as text."""

    rc: int
    out: str
    err: str


class Runner(t.Protocol):
    """Runs one argv without a shell."""

    def __call__(
        self, argv: t.Sequence[str], *, env: t.Mapping[str, str] | None = None, stdin: str | None = None, timeout: float | None = None
    ) -> Completed:
        """Raises FleetError ``tool_missing`` when the program is not there; a non-zero exit code is returned, not raised.

        ``env`` is added to the environment of this one process. ``timeout`` in seconds; past it the program is ended and rc is 124.
        """


def module_runner(module: AnsibleModule) -> Runner:
    """A `Runner` for modules. A timeout is kept by coreutils' ``timeout``, since ``run_command`` has none."""

    def run(
        argv: t.Sequence[str], *, env: t.Mapping[str, str] | None = None, stdin: str | None = None, timeout: float | None = None
    ) -> Completed:
        words = list(argv)
        if module.get_bin_path(words[0]) is None:
            raise FleetError("tool_missing", f"{words[0]} was not found.", remedy=f"Install the package that brings {words[0]}.")
        if timeout is not None:
            words = ["timeout", "--kill-after=2", f"{timeout:g}", *words]
        rc, out, err = module.run_command(words, environ_update=dict(env or {}), data=stdin, binary_data=True, handle_exceptions=False)
        return Completed(rc, out, err)

    return run
