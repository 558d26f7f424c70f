# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""inventories/example_hub as somebody with the lab's stack has it: copied, and filled in with what example/filled_in.yml says."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

import yaml
from world import BIN, ROOT

FILLED_IN = yaml.safe_load((Path(__file__).parent / "example" / "filled_in.yml").read_text(encoding="utf-8"))
BUNDLE = Path(__file__).parent / "example" / "bundle"


class Example:
    """A copy below ``base``, run from there with Ansible's own defaults, as somebody who has installed the collection."""

    def __init__(self, base: Path, lab: dict[str, t.Any]) -> None:
        self.base, self.lab = base, lab
        self.inventory, self.files = base / "inventories" / "mine", base / "moves" / "mine"
        shutil.copytree(ROOT / "inventories" / "example_hub", self.inventory)
        shutil.copytree(ROOT / "moves" / "example_hub", self.files)
        self._words()
        with (self.inventory / "group_vars" / "all" / "cutover.yml").open("a", encoding="utf-8") as file:
            file.write(self._lab(FILLED_IN["more"]))
        texts = {name: Path(self._lab(path)).read_text(encoding="utf-8") for name, path in FILLED_IN["files"].items()}
        for name, text in {**texts, **FILLED_IN["texts"]}.items():
            path = self.files / name
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o600)

    def _words(self) -> None:
        texts = {path: path.read_text(encoding="utf-8") for folder in (self.inventory, self.files) for path in folder.rglob("*.yml")}
        for word, value in FILLED_IN["words"].items():
            assert any(word in text for text in texts.values()), f"the example does not say {word!r}"
            texts = {path: text.replace(word, self._lab(value)) for path, text in texts.items()}
        for path, text in texts.items():
            assert not re.search(r"192\.0\.2\.|example\.com", text), f"not all of {path} is filled in"
            path.write_text(text, encoding="utf-8")

    def _lab(self, text: str) -> str:
        """``text`` with what the lab says for each <a.b>."""
        def said(match: re.Match[str]) -> str:
            value: t.Any = self.lab
            for name in match.group(1).split("."):
                value = value[int(name)] if name.isdigit() else value[name]
            return str(value)

        return re.sub(r"<([a-z0-9_.]+)>", said, text)

    @contextlib.contextmanager
    def hosts(self, rootfs: Path) -> t.Iterator[None]:
        """What both hosts have before a move: the authority of the certificates, and on the new one the programs of the application."""
        inside = Path(self.lab["databases"]["legacy"]["sslrootcert_inside"])
        for root in (Path("/"), rootfs):
            place = root / inside.relative_to("/")
            place.parent.mkdir(exist_ok=True)
            shutil.copy(self.lab["ca_file"], place)
        programs = rootfs / "opt" / "hub"
        for folder in ("bin", "server/public", "worker"):
            (programs / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(BUNDLE, programs / "bin" / "bundle")
        try:
            yield
        finally:
            shutil.rmtree(inside.parent)

    def run(self, kind: str, *more: str) -> subprocess.CompletedProcess[str]:
        words = [str(BIN / "ansible-playbook"), "-i", "inventories/mine", f"bowline.fleet.{kind}", *more]
        return subprocess.run(words, cwd=self.base, env=self._environment(), capture_output=True, text=True, timeout=1500, check=False)

    def result(self, kind: str) -> dict[str, t.Any]:
        return json.loads((self.files / "reports" / kind / "result.json").read_text(encoding="utf-8"))

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_") or name == "ANSIBLE_COLLECTIONS_PATH"}
        # The one setting that takes a third of the time away, as ansible.cfg of this clone has it. Without it: installed.py.
        kept["ANSIBLE_PIPELINING"] = "true"
        return {**kept, "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1", "XDG_STATE_HOME": str(self.base / "state")}
