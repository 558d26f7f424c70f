# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A proxy that is configured by a file: the careful change of that file.

The file is written in place: one that is bind-mounted into a container on its own would not be seen there after a rename. Before that, what was
there and what is to be there are kept beside the edge, so that a run that is killed in the middle of a write loses nothing.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import typing as t

from ..._core import private
from ..._core.errors import FleetError
from ..._core.redact import MASK
from ..._core.runner import Runner
from . import marked, nginx_text
from .insertion import Insertion, Prove, command, failed, finding, of_error, refuse
from .source import Driver, Fault, Plan, Source

JOURNAL = "proxy.json"


class FileProxy:
    """See `insertion.Proxy`. ``directory`` is the edge's, whose name the marks have; ``private_folder`` is root's alone."""

    def __init__(self, insertion: Insertion, driver: Driver, directory: str, private_folder: str, run: Runner) -> None:
        self.insertion = insertion
        self._driver = driver
        self._owner = directory
        self._journal = f"{private_folder}/{JOURNAL}"
        self._run = run
        self._others: tuple[str, dict[str, str]] | None = None

    def seen(self) -> str:
        """The file as it is; one that a killed run left half written as it was before that run."""
        there = self._read()
        kept = self._kept()
        if kept and there not in kept and (_torn(there, *kept) or _torn(there, *reversed(kept))):
            return _text(kept[0])
        return _text(there)

    def inserted(self, seen: str) -> str:
        text = self.restored(seen)
        plan = self._plan(text, seen)
        refuse(plan.faults, self.insertion.config)
        return marked.replaced(text, plan.edits, self._owner)

    def restored(self, seen: str) -> str:
        return marked.restored(seen, self._owner)

    def digest(self, state: str) -> str:
        return hashlib.sha256(_bytes(state)).hexdigest()

    def shown(self, state: str) -> t.Any:
        """What is in for the edge, or what it would replace; nothing else of a configuration, and of headers there only the names."""
        try:
            text = self.restored(state)
            edits = self._plan(text, state).edits
            mine = marked.inside(state, self._owner)
            if mine and state != marked.replaced(text, edits, self._owner):
                return _masked(mine)
        except FleetError:
            return ""
        return _masked("\n".join(edit.text if mine else text[edit.begin : edit.end] for edit in edits))

    def change(self, seen: str, back: str, new: str, prove: Prove = lambda: None) -> None:
        """See `insertion.Proxy`. Raises FleetError ``file_changed`` when others wrote meanwhile, and leaves what they wrote."""
        if self.seen() != seen:
            raise self._changed("between reading and writing it")
        self._keep(seen, new)
        try:
            self._write(new)
        except FleetError:
            if self._read() != _bytes(seen):
                self._write(seen)
            self._forget()
            raise
        refused = self._commands()
        if refused:
            self._put_back(new, back)
            if refused.details["field"] == "proxy.reload":
                # It may have taken a part of it.
                self._commands()
            raise refused
        try:
            prove()
        except BaseException as error:
            self._put_back(new, back)
            refused = self._commands()
            if isinstance(error, FleetError):
                error.message += f" {self.insertion.config} is as before" + (f", but not taken: {refused.message}" if refused else " and taken again.")
            raise
        self._forget()

    def notes(self, seen: str) -> list[dict[str, str]]:
        text = self.restored(seen)
        found = [finding(note, self.insertion.config, "warn") for note in self._plan(text, seen).notes]
        rules = self._driver.address_rules(text)
        if rules:
            message = f"{self.insertion.config} has {', '.join(rules)}, so what the other side forwards is judged by the address of its host."
            remedy = f"{self._driver.address_remedy} docs/runbooks/cutover.md says more."
            found.append(finding(Fault("address_rules", "", message, remedy), self.insertion.config, "warn"))
        return found

    def findings(self) -> list[dict[str, str]]:
        config = self.insertion.config
        found = []
        for field, words in (("check", self.insertion.check), ("reload", self.insertion.reload)):
            if words and not _program(words[0]):
                found.append(finding(Fault("tool_missing", "", f"{words[0]} of proxy.{field} was not found.", f"Correct proxy.{field}."), config))
        try:
            refused = self._refused() if not found else None
            found += [of_error(refused, config)] if refused else []
            seen = self.seen()
            text = self.restored(seen)
            plan = self._plan(text, seen)
            found += [finding(fault, config) for fault in plan.faults]
            marked.replaced(text, plan.edits, self._owner)
            if not os.access(config, os.W_OK):
                found.append(of_error(self._unwritable("it is read-only"), config))
            found += self.notes(seen)
        except FleetError as error:
            found.append(of_error(error, config))
        return found

    def labels(self) -> dict[str, str]:
        return {}

    def timeout(self) -> float | None:
        seen = self.seen()
        return self._plan(self.restored(seen), seen).timeout

    def _plan(self, text: str, seen: str) -> Plan:
        return self._driver.plan(Source(self.insertion.config, text, self._files(seen)), self.insertion.upstreams)

    def _files(self, seen: str) -> dict[str, str]:
        """The other files as nginx itself reads them (nginx -T prints them all); none for those that do not tell, or not now."""
        if self.insertion.driver != "nginx" or "-t" not in self.insertion.check:
            return {}
        if self._others is None or self._others[0] != seen:
            self._others = (seen, self._dumped(seen))
        return self._others[1]

    def _dumped(self, seen: str) -> dict[str, str]:
        words = ["-T" if word == "-t" else word for word in self.insertion.check]
        try:
            completed = self._run(words, timeout=30)
        except FleetError:
            return {}
        files = nginx_text.dumped(completed.out) if not completed.rc else {}
        return {path: text for path, text in files.items() if text.strip() != seen.strip()}

    def _refused(self) -> FleetError | None:
        """What the proxy says against its configuration as it is now: a reload would fail for a reason that is not ours."""
        if not self.insertion.check:
            return None
        completed = command("check", self.insertion.check, self.insertion, self._run)
        return failed("check", self.insertion.check, completed, "That is its present configuration.") if completed.rc else None

    def _commands(self) -> FleetError | None:
        """Have the proxy check what is written and take it; the refusal, if there is one."""
        for field, words in (("check", self.insertion.check), ("reload", self.insertion.reload)):
            if words:
                completed = command(field, words, self.insertion, self._run)
                if completed.rc:
                    return failed(field, words, completed, f"{self.insertion.config} is as before.")
        return None

    def _put_back(self, new: str, back: str) -> None:
        if self._read() != _bytes(new):
            raise self._changed("while the proxy looked at it")
        self._write(back)
        self._forget()

    def _changed(self, when: str) -> FleetError:
        return FleetError(
            "file_changed",
            f"proxy.config {self.insertion.config} was changed by somebody else {when}; what they wrote stays.",
            remedy="Run again when they are done.",
            details={"field": "proxy.config"},
        )

    def _read(self) -> bytes:
        try:
            with open(self.insertion.config, "rb") as file:
                return file.read()
        except OSError as error:
            raise FleetError(
                "option_invalid",
                f"proxy.config {self.insertion.config} cannot be read: {error.strerror or error}.",
                remedy="Correct proxy.config: the file on this host, not the path inside a container.",
                details={"field": "proxy.config"},
            ) from error

    def _write(self, text: str) -> None:
        """Proxies read it at a reload only. New bytes are written over the old ones before the rest is cut off, so it is never empty."""
        try:
            with open(self.insertion.config, "r+b") as file:
                file.write(_bytes(text))
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from error

    def _unwritable(self, why: str) -> FleetError:
        return FleetError(
            "option_invalid",
            f"proxy.config {self.insertion.config} cannot be written: {why}.",
            remedy="Make it writable and give its disk room, or name the file that the proxy has this one from.",
            details={"field": "proxy.config"},
        )

    def _kept(self) -> tuple[bytes, bytes] | None:
        """What the file was before a change that was not finished, and what it was to be."""
        try:
            kept = json.loads(private.read(self._journal, 0o600))
        except FileNotFoundError:
            return None
        if kept["config"] != self.insertion.config:
            return None
        return base64.b64decode(kept["before"]), base64.b64decode(kept["after"])

    def _keep(self, before: str, after: str) -> None:
        both = {name: base64.b64encode(_bytes(text)).decode() for name, text in (("before", before), ("after", after))}
        private.write(self._journal, json.dumps({"config": self.insertion.config, **both}).encode(), 0o600)

    def _forget(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._journal)


def _masked(text: str) -> str:
    """Values of headers may be secrets: nginx ends them with ;, a Caddyfile with the line."""
    masked = re.sub(r"(\bproxy_set_header\s+(?!Host\b)\S+\s+)[^;]*;", rf"\g<1>{MASK};", text)
    return re.sub(r"(\bheader_(?:up|down)\s+(?!Host\b)\S+[ \t]+).*", rf"\g<1>{MASK}", masked)


def _torn(there: bytes, old: bytes, new: bytes) -> bool:
    """Whether ``there`` is what a write of ``new`` over ``old`` is after some bytes: the beginning of the one, and the rest of the other."""
    same = len(os.path.commonprefix([there, new]))
    return there[same:] == old[same:]


def _program(name: str) -> bool:
    return shutil.which(name) is not None


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
