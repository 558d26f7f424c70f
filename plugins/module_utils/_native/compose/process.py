# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs: program, user, environment, signals, restarts, health, and what it waits for."""

from __future__ import annotations

import posixpath
import typing as t

from ..._core.secret_forms import MASK, hide, names_secret
from ..findings import Findings
from ..process import stop_signal
from .model import ENGINE_PATIENCE
from .reading import Reading, label

# As the engine gives it to an image that sets none. https://github.com/moby/moby/blob/master/oci/defaults.go
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RESTART = {"no": "never", "always": "always", "unless-stopped": "always", "on-failure": "on_failure", "none": "never", "any": "always"}
_NANOSECONDS = 1e9
_CHECK = ("test", "interval", "timeout", "retries", "start_period", "start_interval", "disable")
_CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")


def process(reading: Reading) -> dict[str, t.Any]:
    """Keys of the service's part of a manifest."""
    user, groups, home = _user(reading)
    environment, secrets = _environment(reading, home)
    found: dict[str, t.Any] = {
        "start_command": _command(reading),
        "user": user,
        "groups": groups,
        "working_directory": str(reading.spec.get("working_dir") or reading.image.config.get("WorkingDir") or "/"),
        "environment": environment,
        "secret_environment": secrets,
        "stop_signal": _signal(reading),
        "stop_timeout": max(1.0, reading.seconds("stop_grace_period", reading.spec.get("stop_grace_period"), ENGINE_PATIENCE)),
        "restart_policy": _restart(reading),
        "depends_on": _depends(reading),
        "health": _health(reading),
    }
    return {key: value for key, value in found.items() if value not in (None, "", [], {})}


def _command(reading: Reading) -> list[str]:
    """ENTRYPOINT and CMD as the engine puts them together: an entrypoint of compose takes the image's command away, too."""
    config, spec = reading.image.config, reading.spec
    own = "entrypoint" in spec
    entrypoint = spec["entrypoint"] if own else config.get("Entrypoint") or []
    command = spec["command"] if "command" in spec else [] if own else config.get("Cmd") or []
    words = [str(word) for word in [*entrypoint, *command]]
    if not words or not words[0]:
        reading.refuse("command", "is nowhere: neither the image nor the service says what to run")
        return []
    if "/" in words[0] and not words[0].startswith("/"):
        # The engine looks from the working directory.
        words[0] = posixpath.normpath(posixpath.join(str(spec.get("working_dir") or config.get("WorkingDir") or "/"), words[0]))
    words[0] = _program(reading, "command", words[0])
    if any(MASK in word or hide(word) != word for word in words):
        reading.refuse("command", "has a secret in its words, which everybody on the host can read and which is masked here",
                       "Give it to the program by a file or a variable, if it takes one.")  # fmt: skip
    return words


def _program(reading: Reading, key: str, word: str) -> str:
    """The whole path of the first word of a command, by what was seen in the image."""
    if "/" in word:
        return word
    known = reading.image.programs
    if known is None:
        reading.refuse(key, f"begins with {word}, and nobody sees where that lies: no container of it is there, or its files are not on this host",
                       f"Start {reading.name}, ask on the host of the engine and as root, or name the program by its whole path.")  # fmt: skip
    elif word not in known:
        reading.refuse(key, f"begins with {word}, which is nowhere in the PATH of the image", "Name the program by its whole path.")
    return (known or {}).get(word, word)


def _user(reading: Reading) -> tuple[str, list[int], str]:
    """``uid:gid`` in numbers, further groups, and the home, by the image's own files; a name that nobody has looked up stays a name."""
    given = str(reading.spec.get("user") or reading.image.config.get("User") or "")
    name, colon, group = given.partition(":")
    users, known_groups = reading.image.users, reading.image.groups
    uid: t.Optional[int] = int(name) if name.isdigit() else 0 if name in ("", "root") else None
    entry = None
    if users is not None:
        entry = users.get(name) if uid is None else next((item for item in users.values() if item[0] == uid), None)
        if uid is None and entry is None:
            reading.refuse("user", f"{name} is in no /etc/passwd of the image", "Name the user by its number.")
    home = entry[2] if entry else "/root" if uid == 0 else ""
    gid = _group(reading, "user", group) if colon else entry[1] if entry else 0 if uid is not None else None
    groups = [found for found in (_group(reading, "group_add", str(item)) for item in reading.items("group_add")) if found is not None]
    if entry is not None:
        uid = entry[0]
    if uid is None or gid is None:
        return ("" if known_groups is not None and users is not None else given), groups, home
    return f"{uid}:{gid}", groups, home


def _group(reading: Reading, key: str, name: str) -> t.Optional[int]:
    if name.isdigit():
        return int(name)
    found = (reading.image.groups or {}).get(name)
    if found is None and reading.image.groups is not None:
        reading.refuse(key, f"{name} is in no /etc/group of the image", "Name the group by its number.")
    return found


def _environment(reading: Reading, home: str) -> tuple[dict[str, str], list[str]]:
    """Variables of the image below those of the service, and the names of those whose values are secrets."""
    found = {"PATH": _PATH, **({"HOME": home} if home else {})}
    for line in reading.image.config.get("Env") or []:
        name, _is, value = str(line).partition("=")
        found[name] = value
    given = reading.spec.get("environment") or {}
    for name, value in (given if isinstance(given, t.Mapping) else {}).items():
        if value is None:
            reading.warn(f"environment.{name}", "has no value where compose was asked", f"Set {name} in the project's .env, or take it out.")
            found.pop(str(name), None)
        else:
            found[str(name)] = str(value)
    secrets = sorted(name for name, value in found.items() if value and (MASK in value or names_secret(name) or hide(value) != value))
    return {name: found[name] for name in sorted(found) if name not in secrets}, secrets


def _signal(reading: Reading) -> str:
    findings = Findings()
    found = stop_signal(findings, "stop_signal", reading.spec.get("stop_signal") or reading.image.config.get("StopSignal"), "SIGTERM")
    if findings.items:
        reading.refuse("stop_signal", findings.items[0].partition(": ")[2].rstrip("."))
    return found


def _restart(reading: Reading) -> str:
    """``restart``, else the condition of ``deploy.restart_policy``, which compose reads too."""
    deployed = ((reading.spec.get("deploy") or {}).get("restart_policy") or {}).get("condition")
    word = str(reading.spec.get("restart") or deployed or "no").partition(":")[0]
    if word not in _RESTART:
        reading.refuse("restart", f"must be one of {', '.join(sorted(_RESTART))}, is {word!r}")
    if str(reading.spec.get("restart") or "").startswith("on-failure:"):
        reading.leave("restart", "is tried for ever, a second apart, and not a number of times")
    return _RESTART.get(word, "never")


def _depends(reading: Reading) -> list[str]:
    given = reading.spec.get("depends_on") or {}
    if isinstance(given, list):
        given = {str(name): {} for name in given}
    found = []
    for name, item in given.items():
        details = reading.mapping(f"depends_on.{name}", item or {}, ("condition", "required", "restart"))
        if details.get("condition", "service_started") not in _CONDITIONS:
            reading.refuse(f"depends_on.{name}", f"has the condition {details['condition']!r}, which is not known here")
        found.append(str(name))
    found += [str(link).partition(":")[0] for link in reading.items("links")]
    known = reading.project.get("services") or {}
    # One that is not required, or that no profile starts, is not in the project.
    return [f"{label(name)}/{label(name)}" for name in dict.fromkeys(found) if name in known]


def _health(reading: Reading) -> t.Optional[dict[str, t.Any]]:
    """The check runs inside of the service's root. ``retries`` and the like decide what an engine calls it; a gate asks until it holds."""
    image = reading.image.config.get("Healthcheck") or {}
    given = reading.mapping("healthcheck", reading.spec.get("healthcheck") or {}, _CHECK)
    test = given.get("test") or image.get("Test") or []
    test = ["CMD-SHELL", test] if isinstance(test, str) else [str(word) for word in test]
    if given.get("disable") or not test or test[0] == "NONE":
        return None
    for name in sorted({"retries", "start_period", "start_interval"} & set(given)):
        reading.leave(f"healthcheck.{name}", "decides what an engine calls the container; a gate asks until the check holds")
    if test[0] not in ("CMD", "CMD-SHELL") or len(test) < 2:
        reading.refuse("healthcheck.test", f"must begin with CMD, CMD-SHELL or NONE, is {test[0]!r}")
        return None
    if any(MASK in word or hide(word) != word for word in test):
        reading.warn("healthcheck.test", "has a secret in its words, which is masked here, so the check is not carried over",
                     "Let it read the secret from a file or a variable.")  # fmt: skip
        return None
    defaults = {name: float(image[key]) / _NANOSECONDS for name, key in (("interval", "Interval"), ("timeout", "Timeout")) if image.get(key)}
    return {
        "type": "exec",
        "command": ["/bin/sh", "-c", *test[1:]] if test[0] == "CMD-SHELL" else [_program(reading, "healthcheck.test", test[1]), *test[2:]],
        "interval": reading.seconds("healthcheck.interval", given.get("interval"), defaults.get("interval", 30.0)),
        "timeout": reading.seconds("healthcheck.timeout", given.get("timeout"), defaults.get("timeout", 30.0)),
    }
