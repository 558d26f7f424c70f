# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target: the machine to which the legacy stack is to move."""
from __future__ import annotations

from . import image, settings, versions
from .machine import Machine
from .shell import Daemon, write

TARGET = Machine(settings.TARGET_NAME, settings.TARGET, settings.ROOTFS, settings.SSH, Daemon("target"),
                 lambda: image.name("target", versions.majors()["target"]))

SSH_OPTIONS = TARGET.ssh_options
state = TARGET.state
stop = TARGET.stop
remove = TARGET.remove
kill_unit = TARGET.kill_unit


def ensure() -> str:
    done = TARGET.ensure()
    # As an upgrade of its package would; whoever runs it decides when to restart it.
    upgraded = write(settings.ROOTFS / "opt/hub/app.py", (settings.LAB / "app" / "app.py").read_text(encoding="utf-8"), 0o755)
    return done + (", application upgraded" if upgraded else "")


def heal_units() -> str:
    return ensure() if TARGET.daemon.pid() is None else TARGET.heal_units()
