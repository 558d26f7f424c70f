# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What differs between two specs: as a person would say it, without a value that could be a secret; and as a diff with secrets as short hashes. Pure."""

from __future__ import annotations

import hashlib
import hmac
import secrets as random
import typing as t

from ..._core.redact import redact
from ..._core.secret_forms import hide, names_secret
from ..model import Json
from .canonical import canonical

# One key a process: a short hash tells equal from different inside of one diff, and nothing can be tried against it later.
_KEY = random.token_bytes(32)

_LISTS = {"Configs": ("config", "ConfigName"), "Secrets": ("secret", "SecretName")}


def reasons(before: Json, after: Json) -> tuple[str, ...]:
    """One sentence for each difference of two canonical specs; empty when they are equal."""
    said: list[str] = []
    old, new = before.get("TaskTemplate") or {}, after.get("TaskTemplate") or {}
    one, two = old.get("ContainerSpec") or {}, new.get("ContainerSpec") or {}
    if one.get("Image") != two.get("Image"):
        said.append(f"image {one.get('Image')} becomes {two.get('Image')}")
    said += _keys("environment", _pairs(one.get("Env")), _pairs(two.get("Env")))
    said += _keys("labels of the containers", one.get("Labels"), two.get("Labels"))
    said += _keys("labels of the service", before.get("Labels"), after.get("Labels"))
    for key, (word, name) in _LISTS.items():
        said += _references(word, name, one.get(key) or [], two.get(key) or [])
    said += _members("network", [str(item["Target"]) for item in old.get("Networks") or []], [str(item["Target"]) for item in new.get("Networks") or []])
    places = [(form.get("Placement") or {}).get("Constraints") or [] for form in (old, new)]
    said += _members("constraint", *places)
    ports = [[_port(port) for port in (form.get("EndpointSpec") or {}).get("Ports") or []] for form in (before, after)]
    said += _members("port", *ports)
    said += _rest(before, after, (), bool(said))
    return tuple(said)


def _rest(old: t.Any, new: t.Any, path: tuple[str, ...], told: bool) -> list[str]:
    """All other leaves: numbers with their values, texts without."""
    if old == new or path in _TOLD:
        # The order of networks, constraints or ports differs, or what else a list of their names does not show.
        return [] if old == new or told else [f"{_words(path)} changed"]
    if isinstance(old, dict) or isinstance(new, dict):
        one, two = (value if isinstance(value, dict) else {} for value in (old, new))
        return [line for key in sorted({*one, *two}) for line in _rest(one.get(key), two.get(key), (*path, key), told)]
    if all(value is None or isinstance(value, (bool, int, float)) for value in (old, new)):
        return [f"{_words(path)} {_value(old, path)} becomes {_value(new, path)}"]
    return [f"{_words(path)} {'added' if old is None else 'removed' if new is None else 'changed'}"]


_TOLD = {
    ("TaskTemplate", "ContainerSpec", "Image"),
    ("TaskTemplate", "ContainerSpec", "Env"),
    ("TaskTemplate", "ContainerSpec", "Labels"),
    ("TaskTemplate", "ContainerSpec", "Configs"),
    ("TaskTemplate", "ContainerSpec", "Secrets"),
    ("TaskTemplate", "Networks"),
    ("TaskTemplate", "Placement", "Constraints"),
    ("EndpointSpec", "Ports"),
    ("Labels",),
}
_SHORT: dict[tuple[str, ...], str] = {("Mode", "Replicated", "Replicas"): "replicas"}


def _words(path: tuple[str, ...]) -> str:
    left = [word for word in path if word not in ("TaskTemplate", "ContainerSpec")]
    return _SHORT.get(path) or ".".join(left)


def _value(value: t.Any, path: tuple[str, ...]) -> str:
    if value is None:
        return "unset"
    # Durations of the engine are nanoseconds.
    seconds = path[-1] in ("Delay", "Window", "Monitor", "Interval", "Timeout", "StartPeriod", "StartInterval", "StopGracePeriod")
    return f"{value / 1e9:g}s" if seconds and isinstance(value, (int, float)) else str(value)


def _pairs(env: t.Any) -> dict[str, str]:
    return {name: value for name, _mark, value in (str(item).partition("=") for item in env or [])}


def _keys(what: str, old: t.Any, new: t.Any) -> list[str]:
    one, two = old or {}, new or {}
    words = [f"{key} added" for key in sorted(two) if key not in one]
    words += [f"{key} removed" for key in sorted(one) if key not in two]
    words += [f"{key} changed" for key in sorted(one) if key in two and one[key] != two[key]]
    return [f"{what}: {', '.join(words)}"] if words else []


def _members(what: str, old: t.Sequence[str], new: t.Sequence[str]) -> list[str]:
    return [f"{what} {item} added" for item in new if item not in old] + [f"{what} {item} removed" for item in old if item not in new]


def _references(word: str, name: str, old: t.Sequence[Json], new: t.Sequence[Json]) -> list[str]:
    """Configs and secrets by the file that they become in the container."""
    one, two = ({str((item.get("File") or {}).get("Name") or item[name]): item for item in items} for items in (old, new))
    said = [f"{word} {two[file][name]} added as {file}" for file in two if file not in one]
    said += [f"{word} {one[file][name]} removed" for file in one if file not in two]
    for file in (file for file in one if file in two and one[file] != two[file]):
        if one[file][name] != two[file][name]:
            said.append(f"{word} {one[file][name]} becomes {two[file][name]}")
        elif {**one[file], **_ids(two[file])} == two[file]:
            said.append(f"{word} {one[file][name]} was made anew")
        else:
            said.append(f"{word} {one[file][name]}: owner or mode of {file} changed")
    return said


def _ids(item: Json) -> Json:
    return {key: item[key] for key in ("ConfigID", "SecretID") if key in item}


def _port(port: Json) -> str:
    host = ", on each node" if port.get("PublishMode") == "host" else ""
    return f"{port.get('PublishedPort') or 'any'} to {port.get('TargetPort')}/{port.get('Protocol') or 'tcp'}{host}"


def shown(spec: t.Optional[Json], networks: t.Optional[t.Mapping[str, str]] = None) -> t.Optional[Json]:
    """The canonical form for a diff: values that look like secrets are short hashes, which differ where the values differ."""
    return None if spec is None else t.cast(Json, _veiled(canonical(spec, networks), ""))


def _veiled(value: t.Any, field: str) -> t.Any:
    if isinstance(value, dict):
        return {key: _veiled(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_veiled_pair(item) if field == "Env" else _veiled(item, field) for item in value]
    if isinstance(value, str) and value and (names_secret(field) or _looks_secret(value)):
        return _mark(value)
    return value


def _veiled_pair(pair: str) -> str:
    name, mark, value = pair.partition("=")
    # Without the sign of a value behind the name, so that the mark is not taken for the secret itself.
    return f"{name} {_mark(value)}" if value and (names_secret(name) or _looks_secret(value) or _looks_secret(pair)) else f"{name}{mark}{value}"


def _looks_secret(text: str) -> bool:
    return bool(redact(text) != text or hide(text) != text)


def _mark(value: str) -> str:
    return f"(secret {hmac.new(_KEY, value.encode(), hashlib.sha256).hexdigest()[:8]})"
