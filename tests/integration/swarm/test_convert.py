# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the conversion guarantees around the CLI: what it sees, what it may say, what it may reach, and every bad input at once with its remedy."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import stat
from pathlib import Path

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.spec.canonical import canonical
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.convert import convert
from ansible_collections.bowline.fleet.plugins.module_utils._swarm.convert.recorder import Recorder
from ansible_collections.bowline.fleet.plugins.plugin_utils.runner import run

DEBIAN_CLI = "/usr/bin/docker"
PASSWORD = "hunter2-of-nobody"


@pytest.fixture(scope="module", autouse=True)
def program():
    assert shutil.which("docker"), "the docker CLI is not installed; scripts/packages installs it"


@pytest.fixture
def write(tmp_path):
    def one(text, name="stack.yml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return one


def converted(*files, env=None, env_files=(), strict_env=True, externals=None, runner=run, name="v-one", api_version="1.50"):
    return convert(name, files, env or {}, env_files, strict_env, api_version, externals or {}, runner)


def refused(*files, **more):
    with pytest.raises(FleetError) as caught:
        converted(*files, **more)
    error = caught.value
    assert error.remedy and all(finding["remedy"] and finding["message"] for finding in error.details.get("findings", []))
    assert "Nothing was sent to the cluster" in error.message
    return error


def container(desired, service="v-one_web"):
    return desired.services[service]["TaskTemplate"]["ContainerSpec"]


def watched(calls):
    """A runner that keeps what it is given, and what lies beside the socket while the CLI runs."""

    def runner(argv, **more):
        socket = Path(re.search(r"unix://(\S+)", " ".join(argv))[1])
        calls.append({"argv": list(argv), **more, "modes": [stat.S_IMODE(path.stat().st_mode) for path in (socket.parent,)], "socket": socket})
        return run(argv, **more)

    return runner


def test_the_cli_sees_its_environment_and_what_was_given_and_nothing_else(write, tmp_path, monkeypatch):
    monkeypatch.setenv("OUTSIDE", "leaks")
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
    monkeypatch.setenv("DOCKER_CONTEXT", "somewhere")
    monkeypatch.setenv("LC_ALL", "C")
    passed_on = "environment: [OUTSIDE, LC_ALL, HOME, TAG, SECRET, FROM]"
    file = write(f"services: {{web: {{image: 'nginx:${{TAG}}', {passed_on}, labels: {{a: '${{OUTSIDE}}', b: '${{DOCKER_HOST}}'}}}}}}")
    env_file = write("FROM=file\nTAG=file\n", "one.env")
    calls = []
    desired = converted(file, env={"TAG": 2, "SECRET": PASSWORD}, env_files=[env_file], strict_env=False, runner=watched(calls))
    assert container(desired)["Env"] == ["FROM=file", f"HOME={os.environ['HOME']}", "LC_ALL", "OUTSIDE", f"SECRET={PASSWORD}", "TAG=2"]
    assert container(desired)["Labels"] == {"com.docker.stack.namespace": "v-one", "a": "", "b": ""}
    assert container(desired)["Image"] == "nginx:2"
    # Nothing that was given stands among the words, which every user of the host can read; nobody else reaches the socket, and it goes.
    assert all(PASSWORD not in word and "file" != word for call in calls for word in call["argv"])
    assert calls[0]["modes"] == [0o700] and not calls[0]["socket"].parent.exists()


def test_credentials_for_a_registry_are_kept_in_memory_and_for_the_services_that_need_them(write, tmp_path):
    folder = tmp_path / "docker"
    folder.mkdir()
    auth = base64.b64encode(f"robot:{PASSWORD}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {"registry.example.org:5000": {"auth": auth}}}))
    file = write("services: {web: {image: 'registry.example.org:5000/a:1'}, db: {image: 'postgres:16'}}")
    desired = converted(file, env={"DOCKER_CONFIG": str(folder)})
    assert list(desired.auth) == ["v-one_web"]
    assert json.loads(base64.urlsafe_b64decode(desired.auth["v-one_web"]))["password"] == PASSWORD
    assert PASSWORD not in repr(desired) and desired.auth["v-one_web"] not in repr(desired)


def test_external_objects_that_are_missing_are_all_named_and_those_that_are_there_have_their_ids(write):
    file = write(
        "services: {web: {image: nginx, networks: [a, b], configs: [c, d], secrets: [e, f]}}\n"
        "networks: {a: {external: true}, b: {external: true}}\n"
        "configs: {c: {external: true}, d: {external: true}}\nsecrets: {e: {external: true}, f: {external: true}}\n"
    )
    desired = converted(file, externals={"networks": {"a": "na"}, "configs": {"c": "cc"}, "secrets": {"e": "se"}})
    assert desired.externals == {"networks": ("a", "b"), "configs": ("c", "d"), "secrets": ("e", "f")}
    assert [item["ConfigID"] for item in container(desired)["Configs"]][0] == "cc" and desired.configs == desired.secrets == {}


def test_what_the_cli_passes_over_is_said(write):
    assert converted(write("services: {web: {image: nginx, build: ., privileged: true}}")).warnings == ("Ignoring unsupported options: build, privileged",)


def test_everything_that_is_wrong_with_the_input_comes_at_once(write, tmp_path):
    file = write(
        "x-bowline: {gate: []}\n"
        "services:\n"
        "  web: {image: 'nginx:${TAG}', environment: {A: '$NOBODY ${ALSO:?say it}'}, configs: [a], secrets: [b], x-bowline: {wave: first}, replica: 2}\n"
        "configs: {a: {file: ./none.conf}}\nsecrets: {b: {file: ./none.txt}}\n"
    )
    error = refused(file)
    codes = [finding["code"] for finding in error.details["findings"]]
    assert error.code == "preflight_failed" and sorted(set(codes)) == ["compose_invalid", "env_unset", "unknown_key"]
    text = error.message
    assert all(word in text for word in ("Did you mean gates?", "TAG has no value", "NOBODY has no value", "ALSO has no value (say it)", "wave is 'first'"))
    # What the CLI would only say after the variables are there is not invented here.
    good = {"TAG": "1", "NOBODY": "", "ALSO": "x"}
    later = refused(write(Path(file).read_text().replace("{gate: []}", "{gates: []}").replace("first", "1"), "b.yml"), env=good)
    assert later.code == "compose_invalid" and "replica" in later.message
    last = refused(write(Path(tmp_path / "b.yml").read_text().replace(", replica: 2", ""), "c.yml"), env=good)
    assert "none.conf does not exist" in last.message and "none.txt does not exist" in last.message
    for name in ("none.conf", "none.txt"):
        (tmp_path / name).write_text("x")
    assert converted(str(tmp_path / "c.yml"), env=good).waves == {"v-one_web": 1}, "the remedies lead to a conversion"


@pytest.mark.parametrize(
    ("text", "strict", "part"),
    [
        ("services: {web: {image: 'nginx:${TAG}'}}", True, "TAG has no value"),
        ("services: {web: {image: nginx, command: 'a $( b ${X:-c}'}}", True, "the CLI drops it without a word"),
        ("services: {web: {image: nginx, environment: [NOBODY]}}", True, "NOBODY has no value (it is passed on to the container)"),
        ("services: {web: {image: nginx, command: '${A:-${B}}'}}", True, "B has no value (it stands inside of ${A…}"),
        ("services: {web: {image: 'nginx:${TAG:?which}'}}", False, "required variable TAG is missing a value: which"),
        ("services: {web: {image: nginx, ports: [http]}}", True, "The docker CLI refuses the files:"),
        ("", True, "The docker CLI refuses the files:"),
        ("- a\n- b\n", True, "The docker CLI refuses the files:"),
        ("services: {web: {image: nginx}}\n---\nservices: {api: {image: nginx}}\nx: [", True, ""),
    ],
)
def test_a_file_that_cannot_be_is_refused_with_its_reason(write, text, strict, part):
    if not part:
        # The CLI reads the first document and no further; so do we.
        assert list(converted(write(text), strict_env=strict).services) == ["v-one_web"]
        return
    assert part in refused(write(text), strict_env=strict).message


def test_a_password_is_in_no_message_of_the_cli(write):
    error = refused(write("services: {web: {image: nginx, ports: ['${DB_PASSWORD}']}}"), env={"DB_PASSWORD": PASSWORD})
    assert PASSWORD not in error.message + str(error.details)


def test_what_steers_the_cli_or_loads_code_into_it_is_refused_before_it_runs(write, tmp_path):
    calls = []
    env_file = write("LD_PRELOAD=/tmp/evil.so\nDOCKER_CONFIG=/tmp/evil\nBROKEN\nOK=1\n", "evil.env")
    error = refused(
        write("services: {web: {image: nginx}}"),
        env={"DOCKER_HOST": "tcp://192.0.2.1:2375", "PATH": "/tmp/evil", "NOTHING": None}, env_files=[env_file, str(tmp_path / "none.env")],
        runner=watched(calls),
    )  # fmt: skip
    assert calls == [] and error.code == "compose_invalid"
    assert len(error.details["findings"]) == 7, error.message
    assert all(name in error.message for name in ("LD_PRELOAD", "DOCKER_CONFIG", "DOCKER_HOST", "'PATH'", "NOTHING", "line 3", "none.env"))


@pytest.mark.parametrize("where", ["configs: {a: {file: %s}}", "secrets: {a: {file: %s}}", "services: {web: {image: nginx, env_file: [%s]}}"])
def test_a_file_without_end_is_not_read(write, tmp_path, where):
    os.mkfifo(tmp_path / "pipe")
    calls = []
    for path in (tmp_path / "pipe", "/dev/zero"):
        base = "" if "services" in where else "services: {web: {image: nginx}}\n"
        error = refused(write(base + where % path), runner=watched(calls))
        assert "is no regular file" in error.message and calls == []
    assert "is no regular file" in refused(str(tmp_path / "pipe"), runner=watched(calls)).message and calls == []


def test_merges_that_grow_without_end_end(write):
    lines = ["x0: &x0 {image: nginx}", "y0: &y0 {image: nginx}"]
    for number in range(1, 60):
        lines += [f"{name}{number}: &{name}{number} {{<<: [*x{number - 1}, *y{number - 1}]}}" for name in "xy"]
    assert "The docker CLI refuses the files" in refused(write("\n".join([*lines, "services: {web: *x59}"]))).message
    chain = ["x0: &x0 {image: nginx}", *(f"x{number}: &x{number} {{<<: *x{number - 1}}}" for number in range(1, 3000))]
    assert "too deep" in refused(write("\n".join([*chain, "services: {web: *x2999}"]))).message


def test_a_config_that_is_too_large_is_found_before_anything_is_made(write, tmp_path):
    (tmp_path / "large").write_bytes(b"x" * 1_024_000)
    assert "1024000 bytes, 1023999 are the most" in refused(write("services: {web: {image: nginx}}\nconfigs: {a: {file: ./large}}")).message


@pytest.mark.parametrize("kind", ["configs", "secrets"])
def test_two_keys_with_one_name_and_two_contents_are_refused_as_a_manager_would(write, tmp_path, kind):
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    text = "services: {web: {image: nginx}}\n%s: {a: {file: ./one, name: same}, b: {file: ./%s, name: same}}\n"
    assert list(getattr(converted(write("version: '3.8'\n" + text % (kind, "one"))), kind)) == ["same"]
    assert "only updates to Labels are allowed" in refused(write("version: '3.8'\n" + text % (kind, "two"))).message


def test_what_an_older_engine_would_drop_is_said_or_refused(write):
    """The engine drops these without a word, and every later plan would find a difference."""
    file = write("services: {web: {image: nginx, oom_score_adj: 5, healthcheck: {test: [CMD, x], start_interval: 1s}}}")
    newest, older = converted(file), converted(file, api_version="1.43")
    assert newest.warnings == () and container(newest)["Healthcheck"]["StartInterval"] == 10**9
    assert "StartInterval" not in container(older)["Healthcheck"] and "OomScoreAdj" not in container(older)
    assert "v-one_web: healthcheck.start_interval needs an engine with API 1.44, and this one has 1.43; it has no effect." in older.warnings
    sub = write("services: {web: {image: nginx, volumes: [{type: volume, source: d, target: /d, volume: {subpath: a}}]}}\nvolumes: {d: {}}", "sub.yml")
    assert container(converted(sub))["Mounts"][0]["VolumeOptions"]["Subpath"] == "a"
    assert "volumes.volume.subpath needs an engine with API 1.45" in refused(sub, api_version="1.44").message


def test_a_path_is_one_path_whatever_is_in_it(write, tmp_path):
    folder = tmp_path / 'a, "b" c'
    folder.mkdir()
    shutil.copy(write("services: {web: {image: nginx, env_file: ./x.env}}"), folder / "-stack,1.yml")
    (folder / "x.env").write_text("A=1\n")
    assert container(converted(str(folder / "-stack,1.yml")))["Env"] == ["A=1"]


def test_names_that_look_like_options_reach_the_cli_as_names(write):
    assert list(converted(write("services: {web: {image: nginx}}"), name="--help").services) == ["--help_web"]


def test_a_missing_cli_and_one_that_does_not_end_are_failures_of_their_own(write, monkeypatch, tmp_path):
    file = write("services: {web: {image: nginx}}")
    with pytest.raises(FleetError) as caught:
        converted(file, runner=lambda argv, **more: Completed(124, "", ""))
    assert caught.value.code == "compose_invalid" and "did not end" in caught.value.message
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "env").symlink_to(shutil.which("env"))
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(FleetError) as caught:
        converted(file)
    assert caught.value.code == "tool_missing" and "docker" in caught.value.remedy


def test_a_call_that_is_not_known_fails_the_run(write, tmp_path, monkeypatch):
    """A CLI of a later year: a program in its place asks what the recorder does not know, and is content with any answer."""
    programs = tmp_path / "bin"
    programs.mkdir()
    asks = "import http.client, socket, sys\n" \
           "path = sys.argv[2][len('unix://'):]\n" \
           "c = http.client.HTTPConnection('x'); c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(path)\n" \
           "c.request('DELETE', '/v1.50/services/x'); print(c.getresponse().status)\n"
    (programs / "docker").write_text(f"#!/usr/bin/env python3\n{asks}")
    (programs / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with pytest.raises(FleetError) as caught:
        converted(write("services: {web: {image: nginx}}"))
    assert caught.value.code == "converter_unknown_call" and caught.value.details["calls"] == ["DELETE /v1.50/services/x"]
    assert "Nothing was sent" in caught.value.message


@pytest.mark.parametrize("request_line", ["GET /v1.50/nodes HTTP/1.1", "POST /v1.50/services/x/update HTTP/1.1", "PUT /a HTTP/1.1", "nonsense"])
def test_the_recorder_knows_nothing_but_what_a_deployment_needs(request_line):
    import socket

    with Recorder("1.50", {}) as recorder:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(5)
        client.connect(recorder.address[len("unix://") :])
        client.sendall(f"{request_line}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while chunk := client.recv(4096):
            answer += chunk
        client.close()
        assert (b" 501 " in answer.split(b"\r\n")[0] and recorder.unknown) or b"400" in answer, answer
        assert recorder.created["services"] == {}


def test_the_example_of_the_guide_is_taken_as_it_stands(write, tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "guides" / "stacks.md").read_text(encoding="utf-8")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "password").write_text(PASSWORD)
    file = write(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    assert "VERSION has no value (which version)" in refused(file).message
    desired = converted(file, env={"VERSION": "2"})
    assert desired.waves == {"v-one_db": 0, "v-one_web": 1} and [gate["name"] for gate in desired.gates] == ["up"]
    assert container(desired)["Env"] == ["LEVEL=info", "PRICE=5$"]


@pytest.mark.skipif(not os.path.exists(DEBIAN_CLI), reason="Debian's docker.io is not installed, so its older CLI is not tried")
def test_debians_older_cli_makes_the_same_of_a_stack(write, tmp_path, monkeypatch):
    """CLI 20.10 speaks API 1.41 and knows no --detach."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "docker").symlink_to(DEBIAN_CLI)
    file = write(
        "version: '3.8'\nservices: {web: {image: nginx, configs: [c], environment: {A: 'x$$y'}, ports: ['8080:80']}}\nconfigs: {c: {file: ./c.txt}}\n"
    )
    (tmp_path / "c.txt").write_text("content")
    newer = converted(file)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    older = converted(file)
    assert canonical(older.services["v-one_web"]) == canonical(newer.services["v-one_web"]) and older.configs == newer.configs
