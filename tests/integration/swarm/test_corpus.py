# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is planned is what the CLI sends, object for object; what the CLI refuses is refused in its own words.

``compose/`` has what the compose files of others differ in, each in a small file of our own. BOWLINE_CORPUS names a folder with more files
(``*.yml``, ``*.yaml``): each is converted twice, with all its variables empty and with all of them set.
"""

from __future__ import annotations

import importlib.util
import os
import random
import re
import shutil
import sys
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.convert import convert, variables
from ansible_collections.bowline.fleet.plugins.plugin_utils.runner import run

SPEC = importlib.util.spec_from_file_location("bowline_plain_endpoint", Path(__file__).parent / "endpoint.py")
endpoint = importlib.util.module_from_spec(SPEC)
sys.modules["bowline_plain_endpoint"] = endpoint
SPEC.loader.exec_module(endpoint)

COMPOSE = Path(__file__).parent / "compose"
OURS = sorted(COMPOSE.glob("*.compose"))
OTHERS = sorted(path for path in Path(os.environ["BOWLINE_CORPUS"]).rglob("*.y*ml")) if os.environ.get("BOWLINE_CORPUS") else []
KINDS = ("networks", "configs", "secrets", "services")
NOISE = re.compile(r"Since --detach=false.*\n|In a future release.*\n|Ignoring (un)?supported options.*\n|image .* could not be accessed.*\n(.*\n){0,3}")


def without_ids(body):
    """Ids of configs and secrets are the manager's; their names stay. A credential spec has the id of its config alone."""
    if isinstance(body, dict):
        ids = {"ConfigID", "SecretID"} | ({"Config"} if isinstance(body.get("Config"), str) else set())
        return {key: without_ids(value) for key, value in body.items() if key not in ids}
    return [without_ids(item) for item in body] if isinstance(body, list) else body


def planned(name, files, env, *, env_files=(), **more):
    given = {"strict_env": False, "api_version": "1.50", "externals": {}, "runner": run, **more}
    return convert(name, [str(file) for file in files], env, env_files, **given)


def objects(desired):
    return {kind: without_ids(dict(getattr(desired, kind))) for kind in KINDS if getattr(desired, kind)}


def reason_of(sent):
    """The CLI's words; of a missing file its path, since ours names all that are missing."""
    gone = re.search(r"open (\S+): no such file", sent.err)
    return gone[1] if gone else " ".join(NOISE.sub("", sent.err).split())


def same(folder, files, env):
    """"converted" or "refused" when ours is the CLI's answer, and what was made of it; fails otherwise."""
    sent = endpoint.send(folder, "v-stack", files, env)
    if sent.rc:
        with pytest.raises(FleetError) as caught:
            planned("v-stack", files, env)
        assert caught.value.code in ("compose_invalid", "env_unset", "preflight_failed"), caught.value
        text = " ".join(caught.value.message.split())
        # Of several reasons the CLI names any one, each time another (its maps have no order).
        reasons = [reason_of(sent)]
        while reasons[-1] not in text and len(reasons) < 60:
            reasons.append(reason_of(endpoint.send(folder, "v-stack", files, env)))
        assert reasons[-1] in text, (set(reasons), text)
        return "refused", None
    desired = planned("v-stack", files, env)
    expected = {kind: without_ids(sent.bodies[kind]) for kind in KINDS if kind in sent.bodies}
    assert objects(desired) == expected
    return "converted", desired


@pytest.fixture(scope="module", autouse=True)
def program():
    assert shutil.which("docker"), "the docker CLI is not installed; scripts/packages installs it"


@pytest.fixture
def folder(tmp_path):
    """Our files and all that they name, where nothing else is."""
    shutil.copytree(COMPOSE, tmp_path / "c")
    return tmp_path


REFUSED = {path.name for path in OURS if path.name.startswith("refused_")}


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_our_files_become_what_the_cli_sends(folder, path):
    env = {"TAG": "1.2", "DOMAIN": "example.org", "SECRET_OF_ENV": "pa$$word $HOME ${X}", "EMPTY": ""}
    assert same(folder, [folder / "c" / path.name], env)[0] == ("refused" if path.name in REFUSED else "converted")


def test_several_files_are_one_stack_and_the_later_one_wins(folder):
    files = [folder / "c" / name for name in ("long.compose", "override.compose")]
    outcome, desired = same(folder, files, {"TAG": "1"})
    assert outcome == "converted"
    assert desired.waves == {"v-stack_web": 4, "v-stack_api": 1} and [gate["name"] for gate in desired.gates] == ["front"]


@pytest.mark.skipif(not OTHERS, reason="BOWLINE_CORPUS names no folder: the files of others are not part of this project")
@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_files_of_others_become_what_the_cli_sends(tmp_path, path):
    file = tmp_path / path.name
    shutil.copy(path, file)
    names = set(re.findall(r"\$\{?([A-Za-z_]\w*)", path.read_text()))
    outcomes = []
    for env in ({}, dict.fromkeys(names, "1")):
        for _attempt in range(40):
            sent = endpoint.send(tmp_path, "v-stack", [file], env)
            gone = re.search(r"open (\S+): no such file", sent.err)
            if not gone:
                break
            # Files that it names and that were not published with it.
            Path(gone[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(gone[1]).touch()
        outcomes.append(same(tmp_path, [file], env)[0])
    print(path.name, *outcomes)


def test_texts_with_dollars_are_replaced_once_and_as_the_cli_does(folder):
    """Random texts through labels, environment, command and a config's file name; a fixed seed, so that a failure comes again."""
    dice = random.Random(20261128)
    parts = ["$", "$$", "$$$", "${", "}", "${A}", "$A", "${NONE}", "$NONE", "${NONE:-d}", "${NONE-$x}", "${E:-e}", "${E-e}", "${A:?m}", "${A?m}"]
    parts += ["${A:-${B}}", "${A:+x}", "$1", *"a -_1{:?é\\'\"#%"]
    env = {"A": "va$$l ${B} $B", "B": "b", "E": ""}
    seen = {"converted": 0, "refused": 0}
    for number in range(24):
        # Of several texts that it refuses the CLI names any, so that a file has one of them or none.
        texts, left = [], 1 if number % 4 == 0 else 0
        while len(texts) < 20:
            text = "".join(dice.choice(parts) for _part in range(dice.randint(1, 8)))
            taken = is_taken(text, env)
            if taken or left:
                texts.append(text)
                left -= 0 if taken else 1
        file = folder / f"fuzz{number}.yml"
        file.write_text(compose_with(texts), encoding="utf-8")
        outcome, desired = same(folder, [file], env)
        seen[outcome] += 1
        if outcome == "converted":
            container = desired.services["v-stack_web"]["TaskTemplate"]["ContainerSpec"]
            for place, text in enumerate(texts):
                if is_taken(text, env):
                    ours = variables.substitute(text, env)
                    assert (container["Args"][place], container["Labels"][f"l{place}"], container["Env"][place]) == (ours, ours, f"V{place:02}={ours}")
        if not all(is_taken(text, env) for text in texts):
            # What the CLI drops without a word is named, too.
            with pytest.raises(FleetError):
                planned("v-stack", [file], env, strict_env=True)
    assert seen["converted"] >= 18 and seen["refused"] >= 1


def is_taken(text, env):
    try:
        variables.substitute(text, env)
    except variables.Unset:
        return False
    return True


def compose_with(texts):
    def quoted(text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines = ["services:", "  web:", "    image: nginx:1", "    labels:"]
    lines += [f"      l{place}: {quoted(text)}" for place, text in enumerate(texts)]
    lines += ["    environment:", *(f"      V{place:02}: {quoted(text)}" for place, text in enumerate(texts))]
    lines += ["    command:", *(f"      - {quoted(text)}" for text in texts)]
    return "\n".join(lines) + "\n"
