# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A compose project as it is read: what runs, what its files say, and nothing secret."""

from __future__ import annotations

import io
import json
import os
import tarfile

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.compose import Compose
from ansible_collections.bowline.fleet.plugins.module_utils._core.discovery import open_decisions, report
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.runner import Completed

CANARY = "hunter2-canary"
CONFIG = {"name": "shop", "services": {
    "web": {"image": "shop", "environment": {"DB_PASSWORD": CANARY, "URL": f"postgres://shop:{CANARY}@db/shop"}, "command": ["web", f"--password={CANARY}"]},
    "db": {"image": "db"},
}}  # fmt: skip


def container(service, state="running", folder="/srv/shop", project="shop", one_off="False", given_hash="h1"):
    labels = {"project": project, "service": service, "project.working_dir": folder, "project.config_files": f"{folder}/compose.yml", "oneoff": one_off,
              "config-hash": given_hash}  # fmt: skip
    return {"Id": f"id-{service}-{one_off}", "Name": f"/shop-{service}-1", "Image": f"sha256:{service}", "State": {"Status": state},
            "Config": {"Labels": {f"com.docker.compose.{key}": value for key, value in labels.items()}}}  # fmt: skip


def archive(text):
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as file:
        member = tarfile.TarInfo("passwd")
        member.size = len(text)
        file.addfile(member, io.BytesIO(text.encode()))
    return memory.getvalue().decode("utf-8", "surrogateescape")


class Engine:
    """Answers as the CLI does; ``called`` is what it was asked."""

    def __init__(self, containers, config=None, **answers):
        self.containers, self.config, self.answers, self.called = containers, config or CONFIG, answers, []

    def __call__(self, argv, *, env=None, stdin=None, timeout=None):
        self.called.append(list(argv))
        words = [word for word in argv[1:] if not word.startswith("-")]
        for key, answer in self.answers.items():
            if key in argv:
                return answer
        if words[0] == "ps":
            return Completed(0, "\n".join(item["Id"] for item in self.containers), "")
        if words[0] == "inspect":
            return Completed(0, json.dumps([item for item in self.containers if item["Id"] in argv]), "")
        if words[0] == "image":
            config = {"Cmd": ["x"], "Secret": "no", "User": ""}
            return Completed(0, json.dumps([{"Id": argv[-1], "Architecture": "amd64", "Os": "linux", "Config": config}]), "")
        if words[0] == "cp":
            return Completed(0, archive("root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/app:/bin/sh\nbroken\n" if "passwd" in argv[-2] else "app:x:1001:\n"), "")
        if "--hash" in argv:
            return Completed(0, "".join(f"{name} h1\n" for name in self.config["services"]), "")
        return Completed(0, json.dumps(self.config), "")


def read(containers, folder="/srv/shop", **options):
    return Compose(Engine(containers, **options)).read(folder)


def test_a_project_is_read_whole():
    found = read([container("web"), container("db"), container("web", one_off="True")])
    assert (found["name"], found["folder"], found["files"], found["findings"]) == ("shop", "/srv/shop", ["/srv/shop/compose.yml"], [])
    web = found["services"]["web"]
    assert [item["id"] for item in web["containers"]] == ["id-web-False"]
    assert web["image"] == {"id": "sha256:web", "architecture": "amd64", "os": "linux", "size": None, "config": {"Cmd": ["x"]},
                            "users": {"root": [0, 0, "/root"], "app": [1000, 1001, "/app"]}, "groups": {"app": 1001}, "programs": None}  # fmt: skip


def test_the_project_is_asked_for_as_it_was_started():
    given = container("web")
    given["Config"]["Labels"]["com.docker.compose.project.environment_file"] = "/srv/shop/prod.env"
    engine = Engine([given])
    Compose(engine).read("/srv/shop")
    asked = next(argv for argv in engine.called if "--format" in argv and "config" in argv)
    assert asked[2:10] == ["--project-directory", "/srv/shop", "--project-name", "shop", "-f", "/srv/shop/compose.yml", "--env-file", "/srv/shop/prod.env"]


def test_programs_are_looked_for_in_the_layers_of_a_container_that_ended(tmp_path):
    for layer, name in (("upper", "bin/other"), ("one", "usr/bin/x"), ("two", "bin/x")):
        (tmp_path / layer / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / layer / name).write_text("")
    ended = container("web", state="exited")
    ended["GraphDriver"] = {"Name": "overlay2", "Data": {"UpperDir": f"{tmp_path}/upper", "LowerDir": f"{tmp_path}/one:{tmp_path}/two"}}
    config = {"name": "shop", "services": {"web": {"entrypoint": ["other"], "healthcheck": {"test": ["CMD", "gone"]}}}}
    # Cmd of the image is x; /usr/bin comes before /bin in its PATH.
    assert read([ended], config=config)["services"]["web"]["image"]["programs"] == {"other": "/bin/other", "x": "/usr/bin/x"}


def test_a_process_of_somebody_else_is_not_taken_for_the_containers(tmp_path):
    """Behind the socket of an engine elsewhere the number of its process may be anybody's here."""
    running = container("web")
    running["State"]["Pid"] = os.getpid()
    assert read([running])["services"]["web"]["image"]["programs"] is None


def test_a_docker_without_compose_is_named():
    with pytest.raises(FleetError) as failed:
        read([container("web")], json=Completed(1, "", "docker: 'compose' is not a docker command.\nSee 'docker --help'\n"))
    assert (failed.value.code, "docker-compose-plugin" in failed.value.remedy) == ("tool_missing", True)


def test_it_is_found_by_its_name():
    engine = Engine([container("web"), container("db")])
    assert Compose(engine).read(name="shop")["folder"] == "/srv/shop"
    assert "label=com.docker.compose.project=shop" in engine.called[0]


def test_no_secret_leaves():
    assert CANARY not in json.dumps(read([container("web")]))


def test_only_questions_are_asked():
    engine = Engine([container("web"), container("db")])
    Compose(engine).read("/srv/shop")
    reading = {("docker", "ps"), ("docker", "inspect"), ("docker", "image"), ("docker", "cp"), ("docker", "compose")}
    assert {tuple(argv[:2]) for argv in engine.called} <= reading
    assert all("config" in argv for argv in engine.called if argv[1] == "compose")
    # Out of the container, never into it.
    assert all(argv[-1] == "-" for argv in engine.called if argv[1] == "cp")


def test_what_runs_is_held_against_the_files():
    given = [container("web", given_hash="old"), container("gone")]
    found = [(item["code"], item["object"]) for item in read(given)["findings"]]
    assert found == [("compose_down", "db"), ("compose_changed", "gone"), ("compose_changed", "web")]


def test_a_file_that_is_mounted_and_not_there_is_named(tmp_path):
    config = {"name": "shop", "services": {"web": {"volumes": [{"type": "bind", "source": str(tmp_path / "no"), "target": "/x"},
                                                               {"type": "bind", "source": str(tmp_path), "target": "/y"}]}}}  # fmt: skip
    found = [item for item in read([container("web")], config=config)["findings"] if item["level"] == "fail"]
    assert [(item["code"], item["field"]) for item in found] == [("compose_bind_missing", "services.web.volumes[0]")]


@pytest.mark.parametrize(("given", "code"), [
    ({"containers": [], "folder": "", "name": "shop"}, "compose_unknown"),
    ({"containers": [container("web"), container("db", folder="/srv/other")], "folder": "", "name": "shop"}, "compose_ambiguous"),
    ({"containers": [container("web"), container("db", project="other")], "folder": "/srv/shop", "name": ""}, "compose_ambiguous"),
])  # fmt: skip
def test_which_project_is_meant(given, code):
    with pytest.raises(FleetError) as failed:
        Compose(Engine(given["containers"])).read(given["folder"], given["name"])
    assert failed.value.code == code


def test_the_words_of_the_cli_are_told():
    with pytest.raises(FleetError) as failed:
        read([container("web")], json=Completed(1, "", 'time="x" level=warning msg="y"\nservices.web must be a mapping\n'))
    assert failed.value.code == "compose_invalid"
    assert "are refused: services.web must be a mapping." in failed.value.message
    with pytest.raises(FleetError) as failed:
        read([], ps=Completed(1, "", "permission denied"))
    assert failed.value.code == "engine_unreachable"


@pytest.mark.parametrize("answer", [Completed(1, "", "no such file"), Completed(0, "", ""), Completed(0, "no archive", "")])
def test_an_image_without_users_is_read_too(answer):
    assert read([container("web"), container("db")], cp=answer)["services"]["web"]["image"]["users"] is None


def service(**more):
    runs = {"start_command": ["/x", "a|b`c"], "user": "1:1"}
    return {"name": "web", "manifest": {"services": [runs]}, "warned": [], "left_out": {"tty": "why"}, "carried": [], "published": [{"port": 80, "to": 8000}],
            "listening": [{"port": 8000, "protocol": "tcp"}], "secret_environment": ["A"], **more}  # fmt: skip


def test_the_page_says_what_is_to_be_known_and_values_stay_values():
    evil = {"code": "x", "level": "fail", "object": "", "field": "services.web", "message": "[a](http://x) <b>\n# Title", "remedy": "Do."}
    native = {"services": [service(), service(name="db", manifest=None)], "findings": [evil]}
    page = report({"name": "shop`\n# Title", "folder": "/srv", "findings": []}, native)
    assert "Of 2 services 1 can become native modules; 1 stay behind." in page
    assert [line for line in page.splitlines() if line.startswith("# ")] == [page.splitlines()[0]]
    assert "| `web` | `/x a¦b'c` | `1:1` | 8000/tcp | 80 → 8000 |" in page
    assert "[a](" not in page
    assert "<b>" not in page.replace("\\<b\\>", "")
    assert "| `web` | secret | variable `A` | environment |" in page
    assert [finding.field for finding in open_decisions({"findings": []}, {"findings": [evil]})] == ["services.web"]
