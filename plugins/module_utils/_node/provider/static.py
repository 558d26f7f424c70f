# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that stands already. It is adopted by a mark and let go by taking the mark away; it is never made, switched off or destroyed.

Its host key is what SSH pins; the mark says whose it is. All calls are made on the host itself.
"""

from __future__ import annotations

import base64
import binascii
import json
import typing as t
from dataclasses import asdict

from ..._core.argspec import unknown_keys
from ..._core.finding import Finding
from ..machine.model import Identity, NotFound, Observed, Sighting, Unknown
from .model import Call, Catalogue, Result, observed, troubled, unavailable, unsupported

# A file of its own, so that nothing else has to be made or removed with it.
MARK = "/etc/bowline-identity.json"
_SPEC = ("region", "instance_type", "image")


class Static:
    """``options`` may have ``mark``, the path of the file."""

    name = "static"
    catalogue = Catalogue(("local",), {"static": {}})

    def __init__(self, options: t.Mapping[str, t.Any]) -> None:
        self._mark = str(options.get("mark") or MARK)
        self._unknown = unknown_keys("provider_options", options, ("mark",))

    def validate(self, spec: t.Mapping[str, t.Any]) -> t.Tuple[Finding, ...]:
        said = [*self._unknown, *unknown_keys("spec", spec, _SPEC)]
        if spec.get("image"):
            said.append("spec.image: a host that stands already is not made from an image.")
        return tuple(Finding("option_invalid", "fail", field=where, message=message, remedy="Correct the template or the node.")
                     for where, _colon, message in (sentence.partition(": ") for sentence in said))  # fmt: skip

    def read(self, identity: Identity) -> Call[Sighting]:
        return Call("ansible.builtin.slurp", {"src": self._mark}, self._seen, "node")

    def create(self, identity: Identity, spec: t.Mapping[str, t.Any]) -> Call[Sighting]:
        """Adopt it. A mark that is there is not written over: it is read afterwards whose it is."""
        content = json.dumps(asdict(identity), sort_keys=True) + "\n"
        arguments = {"dest": self._mark, "content": content, "mode": "0644", "owner": "root", "group": "root", "force": False}
        return Call("ansible.builtin.copy", arguments, lambda result: troubled(result) or self._observed(identity), "node")

    def power(self, identity: Identity, to: str) -> Unknown:
        return unsupported(self.name, f"switch a host {to}")

    def destroy(self, identity: Identity) -> Call[Sighting]:
        """Our mark goes; the host stays."""
        return Call("ansible.builtin.file", {"path": self._mark, "state": "absent"}, lambda result: troubled(result) or NotFound(final=True), "node")

    def list(self, fleet: str) -> Call[t.Sequence[Observed]]:
        """The host itself, when it is one of the fleet."""

        def parse(result: Result) -> t.Sequence[Observed]:
            seen = self._seen(result)
            if isinstance(seen, Unknown):
                raise unavailable(seen)
            return (seen,) if isinstance(seen, Observed) and seen.identity is not None and seen.identity.fleet == fleet else ()

        return Call("ansible.builtin.slurp", {"src": self._mark}, parse, "node")

    def console_tail(self, identity: Identity, lines: int) -> Unknown:
        return unsupported(self.name, "read a console")

    def _seen(self, result: Result) -> Sighting:
        # The words of ansible.builtin.slurp for ENOENT; every other failure leaves open what is there.
        if result.get("failed") and not result.get("unreachable") and str(result.get("msg", "")).startswith("file not found"):
            return NotFound(final=True)
        unknown = troubled(result)
        if unknown is not None:
            return unknown
        try:
            words = json.loads(base64.b64decode(str(result["content"]), validate=True))
        except (KeyError, ValueError, binascii.Error) as error:
            return Unknown("unsupported", f"{self._mark} cannot be read ({error}); somebody else has written it.")
        return observed({"provider_id": self._id(words), "power": "on", "identity": words, "details": {}})

    def _observed(self, identity: Identity) -> Sighting:
        return observed({"provider_id": self._id(asdict(identity)), "power": "on", "identity": asdict(identity), "details": {}})

    def _id(self, words: t.Any) -> str:
        return f"static://{words.get('name') if isinstance(words, dict) else ''}"
