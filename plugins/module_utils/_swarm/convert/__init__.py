# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From compose files to what the docker CLI would send: the CLI converts, against a recorder, and nothing of it reaches the cluster."""

from __future__ import annotations

import os
import typing as t

from ..._core.errors import FleetError
from ..._core.finding import Finding, failure
from ..._core.runner import Runner
from ..model import Desired, Json, World
from . import cli, documents, extension, newer, variables
from .recorder import KINDS, Recorder


def convert(
    name: str,
    compose: t.Sequence[str],
    env: t.Mapping[str, t.Any],
    env_files: t.Sequence[str],
    strict_env: bool,
    api_version: str,
    externals: t.Mapping[str, t.Mapping[str, str]],
    runner: Runner,
) -> Desired:
    """The stack ``name`` as the files want it; later files and variables win, ``env`` before ``env_files``.

    ``api_version`` is the engine's, ``externals`` what `externals_of` says; an external object that is not there is none of these failures, it
    stands in `Desired.externals` and is found by the preflight. Raises FleetError with all findings at once: compose_invalid, env_unset,
    unknown_key, or preflight_failed for several kinds; and converter_unknown_call, tool_missing. Takes about half a second.
    """
    paths = [os.path.abspath(path) for path in compose]
    given, wrong = _variables(env, env_files)
    environment = cli.environment(given)
    trees, closed, unread = documents.read(paths)
    closed = closed if paths else [Finding("compose_invalid", "fail", field="compose", message="No compose file is given.", remedy="Name at least one.")]
    try:
        own, found = extension.read(trees, environment)
        unset = documents.unset(trees, environment) if strict_env else []
        named = documents.files(trees, environment)
    except RecursionError as error:
        deep = Finding("compose_invalid", "fail", field="compose", message="Mappings of the files merge each other too deep.", remedy="Write them out.")
        raise failure([deep], "Nothing was sent to the cluster.") from error
    closed += wrong + _endless(named)
    found += closed + unset
    recorder = Recorder(api_version, externals)
    done = None
    # What the CLI would read without end, or must not be told, is never given to it.
    if not closed:
        with recorder:
            done = cli.deploy(name, paths, given, recorder.address, runner)
        if recorder.unknown:
            raise _unknown_call(recorder)
        found += _refusal(cli.own_words(done, given), named, unset) if done.rc else unread + (documents.dropped(trees) if strict_env else [])
    services, dropped, more = newer.fitted(recorder.created["services"], api_version)
    found += more
    if found or done is None:
        raise failure(found, "Nothing was sent to the cluster.")
    return _desired(name, recorder, services, own, (*cli.warnings(done), *dropped))


def _desired(name: str, recorder: Recorder, services: t.Mapping[str, Json], own: extension.Extension, warnings: tuple[str, ...]) -> Desired:
    # The CLI sends in the order of its maps, which is another one each time.
    sent = {kind: dict(sorted(bodies.items())) for kind, bodies in recorder.created.items()}
    return Desired(
        name=name,
        services=dict(sorted(services.items())),
        networks=sent["networks"],
        configs=sent["configs"],
        secrets=sent["secrets"],
        auth=recorder.auth,
        waves={full: own.waves.get(full[len(name) + 1 :], 0) for full in sent["services"]},
        gates=own.gates,
        externals={kind: tuple(sorted(recorder.asked[kind])) for kind in KINDS},
        warnings=warnings,
    )


def externals_of(world: World) -> dict[str, dict[str, str]]:
    """Ids of networks, configs and secrets by kind and name, as `convert` takes them. ``world`` has those of the whole cluster."""
    return {
        "networks": {item["Name"]: item["Id"] for item in world.networks if item.get("Scope") == "swarm"},
        "configs": {item["Spec"]["Name"]: item["ID"] for item in world.configs},
        "secrets": {item["Spec"]["Name"]: item["ID"] for item in world.secrets},
    }


def _variables(env: t.Mapping[str, t.Any], env_files: t.Sequence[str]) -> tuple[dict[str, str], list[Finding]]:
    values: dict[str, str] = {}
    found = []
    for path in env_files:
        problem = documents.unusable(path, documents.FILE_MAX)
        if problem:
            found.append(Finding("compose_invalid", "fail", field="env_files", message=f"{path} {problem}.",
                                 remedy="Correct the path, or bring the file to the host that runs the module."))
            continue
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            own, wrong = variables.read_file(file.read())
        found += [Finding("compose_invalid", "fail", field="env_files", message=f"{path}: {sentence}", remedy="Correct the line.") for sentence in wrong]
        for name in sorted(own):
            found += _refused(name, variables.refused_name(name, of_file=True), path)
        values.update(own)
    for name, value in env.items():
        found += _refused(name, variables.refused_name(name, of_file=False), "env")
        try:
            values[name] = variables.given_value(value)
        except ValueError as error:
            found.append(Finding("compose_invalid", "fail", field=f"env.{name}", message=f"env: the value of {name} {error}.",
                                 remedy="Give a text; '' for an empty one."))
    return values, found


def _refused(name: t.Any, problem: str, where: str) -> list[Finding]:
    if not problem:
        return []
    return [Finding("compose_invalid", "fail", field=f"env.{name}", message=f"{where}: {name!r} {problem}.",
                    remedy="Take it out, or use another name in the compose file.")]


def _endless(named: t.Sequence[documents.File]) -> list[Finding]:
    """Files that are there and cannot be what they are named for: a pipe or a device never ends, a config has a largest size."""
    found = []
    for file in named:
        problem = documents.unusable(file.path, file.most) if os.path.exists(file.path) else ""
        if problem and "this user" not in problem:
            found.append(Finding("compose_invalid", "fail", field="compose", message=f"{file.field}: {file.path} {problem}.",
                                 remedy="Name a file that can be read to its end."))
    return found


def _refusal(words: str, named: t.Sequence[documents.File], unset: t.Sequence[Finding]) -> list[Finding]:
    """The CLI stops at the first thing; what else it would have stopped at comes with it."""
    missing = [file for file in named if not os.path.exists(file.path)]
    found = [
        Finding("compose_invalid", "fail", field="compose", message=f"{file.field}: {file.path} does not exist.", remedy="Make the file, or correct the path.")
        for file in dict.fromkeys(missing)
    ]
    told = any(file.path in words for file in missing) or (unset and "required variable" in words)
    return found if told else [Finding("compose_invalid", "fail", field="compose", message=f"The docker CLI refuses the files: {words}",
                                       remedy="Correct the place that it names."), *found]


def _unknown_call(recorder: Recorder) -> FleetError:
    calls = ", ".join(dict.fromkeys(recorder.unknown))
    return FleetError(
        "converter_unknown_call",
        f"The docker CLI asked for {calls}, which the recorder does not know. Nothing was sent to the cluster.",
        remedy="Use a docker CLI from 20.10 to 28 on the host that runs the module, and report the call.",
        details={"calls": list(dict.fromkeys(recorder.unknown))},
    )
