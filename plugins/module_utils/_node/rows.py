# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of the tables of this room as what they mean, and the other way round."""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import asdict, fields

from .._core.redact import redact
from .._core.result import plain
from .._store.database import Row
from .model import Guard, Heartbeat, Instance, Node, Skip, Template

_COLUMNS = tuple(one.name for one in fields(Instance))
_DOCUMENTS = ("spec", "finalizers", "skipped", "addresses")
# An absolute path of at least two words; what else stands there is taken for the secret itself.
_FILE = re.compile(r"(/[A-Za-z0-9._@:-]+){2,64}")


def columns(instance: Instance) -> t.Dict[str, t.Any]:
    """Columns of `node_instance`, in their order."""
    values = {name: getattr(instance, name) for name in _COLUMNS}
    return {**values, **{name: text(values[name]) for name in _DOCUMENTS}}


def instance_of(row: Row) -> Instance:
    given = {**row, **{name: json.loads(row[name]) for name in _DOCUMENTS}}
    lists = {name: tuple(given[name]) for name in ("finalizers", "addresses")}
    return Instance(**{**given, **lists, "skipped": tuple(Skip(**skip) for skip in given["skipped"])})


def document_of(given: t.Union[Template, Node]) -> str:
    return text({name: value for name, value in asdict(given).items() if name not in ("name", "revision")})


def template_of(row: Row) -> Template:
    given = json.loads(row["document"])
    return Template(row["name"], revision=row["revision"], **{**given, **{name: tuple(given[name]) for name in ("modules", "hooks", "volumes")}})


def node_of(row: Row) -> Node:
    given = json.loads(row["document"])
    lists = {name: tuple(given[name]) for name in ("modules", "hooks")}
    return Node(row["name"], revision=row["revision"], **{**given, **lists, "guards": tuple(Guard(**guard) for guard in given["guards"])})


def text(value: t.Any) -> str:
    return json.dumps(plain(kept(plain(value))), sort_keys=True, default=str)


def kept(value: t.Any) -> t.Any:
    """``value`` without secrets. Files of credentials stay what they are, whatever their names say: a credential is given by its file alone."""
    return _with_files(redact(value), value)


def _with_files(clean: t.Any, given: t.Any) -> t.Any:
    if not isinstance(clean, t.Mapping) or not isinstance(given, t.Mapping):
        return clean
    files = given.get("credentials")
    found = {name: _with_files(value, given.get(name)) for name, value in clean.items()}
    if isinstance(files, t.Mapping) and isinstance(found["credentials"], t.Mapping):
        found["credentials"] = {**found["credentials"], **{name: path for name, path in files.items() if _FILE.fullmatch(str(path))}}
    return found


def heartbeat_of(row: t.Mapping[str, t.Any]) -> Heartbeat:
    flags = {name: bool(row[name]) for name in ("enrolled", "modules_active", "services_ready")}
    lists = {name: tuple(json.loads(row[name])) for name in ("failed_units", "runtimes")}
    return Heartbeat(**{**row, **flags, **lists, "document": json.loads(row["document"])})
