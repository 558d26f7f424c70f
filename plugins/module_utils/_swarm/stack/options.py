# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of swarm_stack was asked for, read from the module's parameters."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ..._core.argspec import unknown_keys
from ..._core.checkers import CHECKERS
from ..._core.finding import Finding
from ..._core.samples import gate_findings
from ..checkers import names as swarm_checkers
from ..model import Json
from ..verdict.converge import Limits
from .preflight import CHECKS, LEVELS

# What the docker CLI takes as the name of a stack (docker/cli, cli/command/stack/namespace.go) and a network of it can be called.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
CANARY = ("share", "services")


@dataclass(frozen=True)
class Options:
    """The parameters, read. ``revision`` is a number, ``previous``, ``stable`` or None; ``share`` in percent, None without a canary."""

    name: str
    state: str
    compose: t.Tuple[str, ...] = ()
    revision: t.Optional[t.Union[int, str]] = None
    env: t.Mapping[str, t.Any] = field(default_factory=dict)
    env_files: t.Tuple[str, ...] = ()
    strict_env: bool = True
    pin: str = "missing"
    registry_auth: bool = False
    replicas: str = "enforce"
    drift: str = "repair"
    prune: bool = True
    allow_recreate: t.Tuple[str, ...] = ()
    preflight: t.Mapping[str, str] = field(default_factory=dict)
    prepull: str = "auto"
    gates: t.Tuple[Json, ...] = ()
    on_failure: str = "rollback"
    reversible: bool = True
    limits: Limits = Limits()
    rollback_timeout: float = 600
    history_keep: int = 10
    lock_wait: float = 900
    lock_ttl: float = 60
    share: t.Optional[int] = None
    canary_services: t.Tuple[str, ...] = ()
    reason: str = ""
    vcs_ref: str = ""
    operation: str = ""


def read(params: t.Mapping[str, t.Any]) -> t.Tuple[Options, t.List[Finding]]:
    """The options, and everything that is wrong with them. Gates are checked here and read again when they run."""
    canary, levels = params.get("canary") or {}, {str(key): str(value) for key, value in (params.get("preflight") or {}).items()}
    limits = Limits(
        max_task_failures=params["max_task_failures"],
        pending_timeout=params["pending_timeout"],
        progress_deadline=params["progress_deadline"],
        wait_timeout=params["wait_timeout"],
        monitor=params["monitor"],
        any_replicas=params["replicas"] == "keep",
    )
    plain = ("name", "state", "strict_env", "pin", "registry_auth", "replicas", "drift", "prune", "prepull", "on_failure", "reversible", "rollback_timeout",
             "history_keep", "lock_wait", "lock_ttl")  # fmt: skip
    options = Options(
        **{key: params[key] for key in plain},
        compose=tuple(params.get("compose") or ()),
        revision=_revision(params.get("revision")),
        env=params.get("env") or {},
        env_files=tuple(params.get("env_files") or ()),
        allow_recreate=tuple(params.get("allow_recreate") or ()),
        preflight=levels,
        gates=tuple(params.get("gates") or ()),
        limits=limits,
        share=canary.get("share") if isinstance(canary.get("share"), int) else None,
        canary_services=tuple(canary.get("services") or ()),
        reason=params.get("reason") or "",
        vcs_ref=params.get("vcs_ref") or "",
        operation=params.get("operation") or "",
    )
    return options, _wrong(options, canary)


def _revision(value: t.Any) -> t.Optional[t.Union[int, str]]:
    if value is None or value == "":
        return None
    return int(value) if str(value).isdigit() else str(value)


def _wrong(options: Options, canary: t.Mapping[str, t.Any]) -> t.List[Finding]:
    said: t.List[t.Tuple[str, str, str]] = []
    if not _NAME.fullmatch(options.name):
        said.append(("invalid_value", "name", f"name is {options.name!r}; a stack is called by letters, digits, - _ and ., at most 63."))
    if isinstance(options.revision, str) and options.revision not in ("previous", "stable"):
        said.append(("invalid_value", "revision", f"revision is {options.revision!r}; expected a number, previous or stable."))
    if options.state != "absent" and bool(options.compose) == (options.revision is not None):
        said.append(("invalid_value", "compose", "Give either compose or revision."))
    said += [("unknown_key", "preflight", sentence) for sentence in unknown_keys("preflight", options.preflight, CHECKS)]
    said += [
        ("invalid_value", f"preflight.{key}", f"preflight.{key} is {value!r}; expected one of {', '.join(LEVELS)}.")
        for key, value in options.preflight.items()
        if key in CHECKS and value not in LEVELS
    ]
    said += [("unknown_key", "canary", sentence) for sentence in unknown_keys("canary", canary, CANARY)]
    if options.state == "canary" and (options.share is None or isinstance(canary.get("share"), bool) or not 0 < options.share < 100):
        said.append(("invalid_value", "canary.share", f"canary.share is {canary.get('share')!r}; expected a whole number of percent from 1 to 99."))
    if options.state == "canary" and options.revision is not None:
        said.append(("invalid_value", "revision", "A canary is of compose files; a revision is gone back to as a whole."))
    said += [
        ("invalid_value", field_, f"{field_} is {value:g}; expected {least:g} or more.")
        for field_, value, least in (
            ("history_keep", options.history_keep, 1), ("lock_ttl", options.lock_ttl, 5), ("lock_wait", options.lock_wait, 0),
            ("rollback_timeout", options.rollback_timeout, 1), ("wait_timeout", options.limits.wait_timeout, 1),
        )  # fmt: skip
        if value < least
    ]
    found = [Finding(code, "fail", field=where, message=message, remedy="Correct the option.") for code, where, message in said]
    return found + wrong_gates("gates", options.gates)


def wrong_gates(where: str, gates: t.Sequence[t.Any]) -> t.List[Finding]:
    """A finding for everything that is wrong with gates of the parameter or of the compose files."""
    sentences = gate_findings(where, gates, {**CHECKERS, **swarm_checkers()})[1]
    code = {True: "unknown_key", False: "invalid_value"}
    return [Finding(code["unknown key" in sentence], "fail", field=where, message=sentence, remedy="Correct the gate.") for sentence in sentences]
