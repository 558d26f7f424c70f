# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`node_enrolment`: who may become a member, with which key and certificate. Called on the controller, where the fleet's CA is."""

from __future__ import annotations

import contextlib
import json
import typing as t

from .._core.errors import FleetError
from .._core.finding import Finding, failure
from .._core.result import Step, result
from .hostkeys import Pin, forgotten, key_of, names_of, pinned, seen
from .model import Instance, Json
from .run import nearest
from .store import NodeStore

Params = t.Mapping[str, t.Any]
_UNCHANGED = "Nothing was changed."


class Signed(t.NamedTuple):
    """A certificate as PEM text. ``reason`` is why it was made; empty when the one that was there is good. Times are unix seconds."""

    certificate: str
    not_after: float
    reason: str


class Authority(t.Protocol):
    """The CA of one fleet and the file of its host keys, in a folder of this user's alone."""

    def fingerprint(self) -> str:
        """SHA-256 of the CA's certificate; empty when there is no CA."""

    def make(self) -> str:
        """Make it where it is missing; its fingerprint."""

    def certificate(self) -> str:
        """The CA's certificate as PEM text."""

    def sign(self, csr: str, current: str, instance: str) -> Signed:
        """A certificate for the key of ``csr``. What else the request asks for is ignored. Raises FleetError ``csr_invalid``."""

    def known_hosts(self) -> str:
        """The text of the file; empty when there is none."""

    def write_known_hosts(self, text: str) -> None:
        """Replace it."""

    def alone(self) -> t.ContextManager[None]:
        """Nobody else writes here meanwhile."""


def run(params: Params, store: NodeStore, authority: Authority, scan: t.Callable[[], str], check_mode: bool) -> Json:
    """One state of one node. Raises FleetError with all findings at once, before anything is written."""
    with contextlib.nullcontext() if check_mode else authority.alone():
        if params["state"] == "authority":
            return _authority(store, authority, check_mode)
        if params["state"] == "absent":
            return _absent(params, authority, check_mode)
        return _enrolled(params, store, authority, scan, check_mode)


def _authority(store: NodeStore, authority: Authority, check_mode: bool) -> Json:
    before = authority.fingerprint()
    _refuse_other(store, before, missing=bool(store.ca_fingerprint()))
    steps = [] if before else [Step("make_authority", "the fleet has no CA")]
    after = before if before or check_mode else authority.make()
    if after and not check_mode:
        store.keep_ca_fingerprint(after)
        # Another controller may have been faster with one of its own.
        _refuse_other(store, after)
    return result(steps, before=before, after=after, ca=authority.certificate() if after else "")


def _refuse_other(store: NodeStore, fingerprint: str, missing: bool = True) -> None:
    """The CA is there and is the one that the store knows."""
    known = store.ca_fingerprint()
    if fingerprint and (not known or known == fingerprint):
        return
    if not fingerprint and not missing:
        return
    seen_here = f"is another one ({fingerprint[:16]})" if fingerprint else "is not here"
    message = f"The store knows the CA {known[:16]} of this fleet, and the one in `authority` {seen_here}." if known else "The fleet has no CA."
    remedy = "Name the folder that has it in `authority`, or restore it." if known else "Run role node_enrol, tasks_from authority, once."
    raise FleetError("authority_missing", f"{message} {_UNCHANGED}", remedy)


def _enrolled(params: Params, store: NodeStore, authority: Authority, scan: t.Callable[[], str], check_mode: bool) -> Json:
    instance = _member(params["name"], store)
    _refuse_other(store, authority.fingerprint())
    wanted = Pin(names_of(params["addresses"], params["port"]), key_of(params["host_key"]), instance.node, instance.id, "")
    scanned = scan() if wanted.names else ""
    before = authority.known_hosts()
    live = {one.id for one in store.instances(None, 100_000) if one.terminated_at is None}
    found = seen(wanted, params["expected_host_key"], scanned)
    after, wrong = (before, []) if found else pinned(before, wanted, live)
    found += wrong
    if not wanted.names:
        found.append(Finding("option_invalid", "fail", field="addresses", message="addresses names no host.", remedy="Name the address of the machine."))
    if found:
        raise failure(found, _UNCHANGED)
    # Without a request this is the question whether one would be granted, so nothing is written for it.
    signed = authority.sign(params["csr"], params["certificate"], instance.id) if params["csr"] else None
    steps = [Step("pin", f"the host key of {instance.node} is not in the file of the fleet")] if after != before else []
    steps += [Step("sign", signed.reason)] if signed is not None and signed.reason else []
    steps += [Step("sign", "the machine has no key yet")] if signed is None else []
    if after != before and signed is not None and not check_mode:
        authority.write_known_hosts(after)
    identity = {"instance": instance.id, "node": instance.node, "fleet": store.fleet()}
    evidence = {"host_key": wanted.key, "scanned": bool(scanned.strip()), "expected": bool(params["expected_host_key"])}
    return result(
        steps, before=before, after=after if signed is not None else before, evidence=evidence, instance=instance.id,
        identity=json.dumps(identity, sort_keys=True) + "\n", ca=authority.certificate(), certificate=signed.certificate if signed else "",
        certificate_not_after=signed.not_after if signed else None,
    )  # fmt: skip


def _absent(params: Params, authority: Authority, check_mode: bool) -> Json:
    before = authority.known_hosts()
    after = forgotten(before, params["name"])
    steps = [Step("unpin", f"the host key of {params['name']} is in the file of the fleet")] if after != before else []
    if steps and not check_mode:
        authority.write_known_hosts(after)
    return result(steps, before=before, after=after)


def _member(name: str, store: NodeStore) -> Instance:
    """The machine that enrols. One whose end has begun does not."""
    if store.node(name) is None:
        raise FleetError("node_unknown", nearest("node", name, (node.name for node in store.nodes())), "Correct the name, or declare it with node.")
    instance = store.live(name)
    if instance is None:
        raise FleetError("no_machine", f"{name} has no machine. {_UNCHANGED}", "Run node_instance for it first.")
    if instance.delete_requested_at is not None:
        message = f"The end of the machine of {name} has begun, so it gets no certificate any more. {_UNCHANGED}"
        raise FleetError("finalizers_pending", message, "Let its end come: node_instance with state: absent.")
    return instance
