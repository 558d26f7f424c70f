# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stored state of a stack: what it holds, how it is written, which one is meant, which ones are kept. Pure.

A stack is named as the CLI names it; a service outside of any stack has a history under its own name.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import typing as t
import zlib
from dataclasses import dataclass, field, replace

from ..._core.errors import FleetError
from ..._core.finding import Finding
from ..._core.redact import redact
from ..model import CONFIG_MAX, Json
from ..spec.same import bare, same
from . import keep

KIND = "revision"

NUMBER, STATUS, ACTION, STABLE, DURATION, DIGEST = (f"bowline.{word}" for word in ("revision", "status", "action", "stable", "duration", "digest"))

ACTIONS = ("adopt", "deploy", "redeploy", "rollback", "scale", "canary", "remove")

PENDING, SUCCEEDED = "pending", "succeeded"

STATUSES = (PENDING, SUCCEEDED, "failed", "rolled_back", "rollback_failed", "aborted", "superseded")

# Format of the data; a reader refuses what is newer than itself.
FORMAT = 1

# zlib's window for data with gzip's head; and what a config of 1 MB may come to, so that a crafted one does not fill the memory.
_GZIP, _UNPACKED_MAX = 31, 64 * 1024 * 1024

Selector = t.Union[int, str]


@dataclass(frozen=True)
class Content:
    """What a stack is. ``services`` are full specs by name, ``networks`` bodies of their create calls by name; of configs and secrets only the
    names are kept, ``digests`` are those of images by reference. Nothing in it is a secret's content."""

    services: t.Mapping[str, Json]
    networks: t.Mapping[str, Json] = field(default_factory=dict)
    configs: t.Tuple[str, ...] = ()
    secrets: t.Tuple[str, ...] = ()
    digests: t.Mapping[str, str] = field(default_factory=dict)
    waves: t.Mapping[str, int] = field(default_factory=dict)
    gates: t.Tuple[Json, ...] = ()

    def digest(self) -> str:
        """Equal for equal content, whatever the order of keys and whatever is null or empty."""
        said = {"services": self.services, "networks": self.networks, "waves": self.waves, "gates": list(self.gates)}
        named = {"configs": sorted(self.configs), "secrets": sorted(self.secrets)}
        return hashlib.sha256(json.dumps(bare({**said, **named}), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Revision:
    """One entry of the history. ``baseline`` has the live specs before the first write where they differ from the parent's, None for a service of
    the parent that was not there. ``config`` is the engine's object, empty before it is written."""

    stack: str
    number: int
    action: str
    content: Content
    parent: t.Optional[int] = None
    baseline: t.Mapping[str, t.Optional[Json]] = field(default_factory=dict)
    actor: str = ""
    reason: str = ""
    vcs_ref: str = ""
    operation: str = ""
    begun: str = ""
    status: str = PENDING
    stable: bool = False
    duration: float = 0.0
    config: Json = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        return keep.name_of(self.stack, end=f".r{self.number}")

    def summary(self) -> Json:
        """What results show of it: no specs."""
        words = {key: getattr(self, key) for key in ("number", "action", "status", "stable", "parent", "actor", "reason", "vcs_ref", "operation", "begun")}
        images = {name: image_of(spec) for name, spec in sorted(self.content.services.items())}
        return {**words, "duration": self.duration, "services": images, "digest": self.content.digest()}


def image_of(spec: Json) -> str:
    return str(((spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}).get("Image") or "")


def encoded(revision: Revision) -> bytes:
    """Gzipped JSON, the same bytes for the same revision. Raises FleetError "history_too_large"."""
    content = revision.content
    said = {
        "format": FORMAT,
        "stack": revision.stack,
        "number": revision.number,
        "action": revision.action,
        "parent": revision.parent,
        "services": content.services,
        "networks": content.networks,
        "configs": list(content.configs),
        "secrets": list(content.secrets),
        "digests": content.digests,
        "waves": content.waves,
        "gates": list(content.gates),
        "baseline": revision.baseline,
        **{key: getattr(revision, key) for key in ("actor", "reason", "vcs_ref", "operation", "begun")},
    }
    packed = io.BytesIO()
    # Without a time in its head the same content is the same bytes. Keys keep their order, so that specs come back as they were.
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0) as file:
        file.write(json.dumps(said, separators=(",", ":")).encode())
    data = packed.getvalue()
    if len(data) > CONFIG_MAX:
        raise FleetError(
            "history_too_large",
            f"Revision {revision.number} of {revision.stack} is {len(data)} bytes, packed; a config holds {CONFIG_MAX}. Nothing was changed.",
            "Split the stack, or move long values out of environment and labels into configs.",
            {"stack": revision.stack, "bytes": len(data), "limit": CONFIG_MAX},
        )
    return data


def labels(revision: Revision) -> dict[str, str]:
    return {
        keep.KIND: KIND,
        keep.SUBJECT: revision.stack,
        NUMBER: str(revision.number),
        ACTION: revision.action,
        STATUS: revision.status,
        STABLE: "true" if revision.stable else "false",
        DURATION: f"{revision.duration:.3f}",
        DIGEST: revision.content.digest(),
    }


def decoded(config: Json) -> t.Optional[Revision]:
    """The revision in a config; None where it holds none that we can read (of a newer collection, or damaged)."""
    marks = keep.labels_of(config)
    try:
        said = json.loads(zlib.decompressobj(_GZIP).decompress(keep.data_of(config), _UNPACKED_MAX))
        if said["format"] > FORMAT:
            return None
        content = Content(
            said["services"],
            said["networks"],
            tuple(said["configs"]),
            tuple(said["secrets"]),
            said["digests"],
            said["waves"],
            tuple(said["gates"]),
        )
        words = {key: said[key] for key in ("stack", "number", "action", "parent", "baseline", "actor", "reason", "vcs_ref", "operation", "begun")}
        status = marks.get(STATUS, PENDING)
        return Revision(content=content, status=status, stable=marks.get(STABLE) == "true", duration=float(marks.get(DURATION) or 0), config=config, **words)
    except (zlib.error, ValueError, KeyError, TypeError):
        return None


# --- which one is meant


def select(revisions: t.Sequence[Revision], wanted: Selector, stack: str) -> Revision:
    """``revisions`` are in order of their numbers. ``previous`` is the successful one before the last successful one.

    Raises FleetError "revision_unavailable" with what there is.
    """
    done = [one for one in revisions if one.status == SUCCEEDED and one.action != "remove"]
    if wanted == "stable":
        found = [one for one in done if one.stable][-1:]
    elif wanted == "previous":
        found = done[-2:-1]
    else:
        found = [one for one in revisions if str(one.number) == str(wanted)]
    if found:
        return found[0]
    known = ", ".join(f"{one.number} ({one.status}{', stable' if one.stable else ''})" for one in revisions) or "none"
    raise FleetError(
        "revision_unavailable",
        f"Stack {stack} has no revision {wanted}; there are {known}. Nothing was changed.",
        "Name one that is there, or deploy the compose files of that version.",
        {"stack": stack, "revision": str(wanted), "revisions": [one.number for one in revisions]},
    )


def last(revisions: t.Sequence[Revision]) -> t.Optional[Revision]:
    """The one that the stack was last brought to; None where that is not known."""
    return next((one for one in reversed(revisions) if one.status == SUCCEEDED), None)


def dead(revisions: t.Sequence[Revision]) -> t.Optional[Revision]:
    """The revision of a run that ended in the middle. Only who holds the lock may ask: without it, the run may be alive."""
    return next((one for one in reversed(revisions) if one.status == PENDING), None)


# --- before the first write


def baseline(parent: t.Optional[Content], live: t.Mapping[str, Json]) -> dict[str, t.Optional[Json]]:
    """What of ``live`` (specs by name) differs from ``parent``; None for what of it is not there."""
    was = parent.services if parent else {}
    differs: dict[str, t.Optional[Json]] = {name: spec for name, spec in live.items() if name not in was or not _equal(was[name], spec)}
    differs.update({name: None for name in was if name not in live})
    return differs


def before(revision: Revision, revisions: t.Sequence[Revision]) -> dict[str, Json]:
    """Specs by name as they were before the first write of ``revision``: its parent with its baseline over it.

    Raises FleetError "revision_unavailable" when the parent is gone and something of it is needed.
    """
    parent = next((one for one in revisions if one.number == revision.parent), None)
    if revision.parent is not None and parent is None:
        raise FleetError(
            "revision_unavailable",
            f"Revision {revision.parent} of {revision.stack}, from which revision {revision.number} began, is not in the history.",
            "Deploy the compose files of the version that is wanted.",
            {"stack": revision.stack, "revision": revision.parent},
        )
    merged: dict[str, t.Optional[Json]] = {**(parent.content.services if parent else {}), **revision.baseline}
    return {name: spec for name, spec in merged.items() if spec is not None}


def follow(revisions: t.Sequence[Revision], fresh: Revision, live: t.Mapping[str, Json]) -> tuple[Revision, t.Optional[Revision]]:
    """The revision to work with, and the dead one that it takes the place of.

    ``fresh`` is wanted: its action, content and words. A dead run of the same content is continued. With other content its baseline stays, because
    it alone knows what was there before anybody wrote.
    """
    left = dead(revisions)
    if left is not None and left.content.digest() == fresh.content.digest() and left.action == fresh.action:
        return left, None
    number = max((one.number for one in revisions), default=0) + 1
    if left is not None:
        return replace(fresh, number=number, parent=left.parent, baseline=left.baseline), left
    parent = last(revisions)
    return replace(fresh, number=number, parent=parent.number if parent else None, baseline=baseline(parent.content if parent else None, live)), None


def _equal(one: Json, other: Json) -> bool:
    # Byte for byte, as far as JSON has bytes: what comes back has to be what was.
    return one == other


# --- what is kept


def surplus(revisions: t.Sequence[Revision], count: int, needed: t.Iterable[int] = ()) -> list[Revision]:
    """What may go: all but the newest ``count``, the last stable one, those in ``needed`` (of an open rollout), pending ones and their parents."""
    stable = [one.number for one in revisions if one.stable and one.status == SUCCEEDED][-1:]
    current = last(revisions)
    kept = {one.number for one in revisions[-max(count, 1) :]} | set(stable) | set(needed) | ({current.number} if current else set())
    kept |= {number for one in revisions if one.status == PENDING for number in (one.number, one.parent) if number is not None}
    return [one for one in revisions if one.number not in kept]


def named(revisions: t.Iterable[Revision], kind: str) -> set[str]:
    """Names of configs or secrets that any of ``revisions`` needs, those in specs and baselines among them."""
    found: set[str] = set()
    for one in revisions:
        found |= set(getattr(one.content, kind))
        for spec in (*one.content.services.values(), *one.baseline.values()):
            found |= set(used_by(spec or {}, kind))
    return found


def used_by(spec: Json, kind: str) -> list[str]:
    """Names of the ``kind`` (configs or secrets) that a service's spec mounts."""
    field_of = {"configs": ("Configs", "ConfigName"), "secrets": ("Secrets", "SecretName")}[kind]
    container = (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    return [str(one.get(field_of[1])) for one in container.get(field_of[0]) or ()]


# --- what it would keep that it should not


def secret_findings(services: t.Mapping[str, Json]) -> list[dict[str, str]]:
    """Findings of level warn for values of environments that look like secrets; the values are not in them."""
    findings = []
    for name, spec in sorted(services.items()):
        container = (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
        for entry in container.get("Env") or ():
            key, _mark, value = str(entry).partition("=")
            if value and not key.upper().endswith("_FILE") and not value.startswith("/run/secrets/") and redact({key: value}) != {key: value}:
                findings.append(
                    Finding(
                        "secret_in_history",
                        "warn",
                        f"{name}: {key}",
                        "The value looks like a secret; whoever may ask a manager can read it, in the service and in its history.",
                        f"Give it as a Docker secret and name its file ({key}_FILE), where the image takes that.",
                    ).as_dict()
                )
    return findings


def differences(before_: t.Mapping[str, Json], after: t.Mapping[str, Json]) -> dict[str, tuple[t.Optional[Json], t.Optional[Json]]]:
    """Services whose specs do not say the same, each with both."""
    names = sorted({*before_, *after})
    pairs = {name: (before_.get(name), after.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] is None or pair[1] is None or not same(*pair)}
