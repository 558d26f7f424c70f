# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was found on an old host, as text for the person who decides. Pure: the same facts give the same text."""

from __future__ import annotations

import typing as t

from .finding import Finding, sentence
from .visible import one_line

_KINDS = {
    "volume": "volume",
    "anonymous": "volume without a name",
    "bind": "files of the host",
    "config": "configuration",
    "secret": "secret",
    "host": "file that the new host has itself",
}


def report(project: t.Mapping[str, t.Any], native: t.Mapping[str, t.Any]) -> str:
    """Markdown: ``project`` is what compose_info returned, ``native`` what the filter native_from_compose made of it."""
    services = native["services"]
    moves = [service for service in services if service["manifest"]]
    stays = [service for service in services if not service["manifest"]]
    lines = [
        f"# What was found of {_code(project['name'])}",
        "",
        f"Folder {_code(project['folder'])}. Of {len(services)} services {len(moves)} can become native modules; {len(stays)} stay behind.",
        "",
        *_section("What has to be decided", _findings([*project["findings"], *native["findings"]], "fail")),
        *_section("What is different as a unit", _findings([*project["findings"], *(item for service in moves for item in service["warned"])], "warn")),
        *_section("What moves", _moving(moves)),
        *_section("What is carried", _carried(moves)),
        *_section("What stays behind", [f"- {_code(service['name'])}" for service in stays]),
        *_section("What has no meaning for a unit and is left out", _left_out(moves)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def open_decisions(project: t.Mapping[str, t.Any], native: t.Mapping[str, t.Any]) -> list[Finding]:
    """What stops a move until somebody has decided it."""
    return [Finding.of_dict(item) for item in (*project["findings"], *native["findings"]) if item["level"] == "fail"]


def _section(title: str, lines: t.Sequence[str]) -> list[str]:
    return [f"## {title}", "", *lines, ""] if lines else []


def _findings(found: t.Sequence[t.Mapping[str, t.Any]], level: str) -> list[str]:
    chosen = [item for item in found if item["level"] == level]
    return [f"- {_text(sentence({**item, 'field': '', 'object': ''}))} {_text(item['remedy'])} ({_code(item['field'])})" for item in chosen]


def _moving(services: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    if not services:
        return []
    rows = ["| service | runs | as | listens on | open outside |", "|---|---|---|---|---|"]
    for service in services:
        body = service["manifest"]["services"][0]
        outside = ", ".join(f"{item['port']}" + (f" → {item['to']}" if item["port"] != item["to"] else "") for item in service["published"])
        cells = (_code(service["name"]), _code(" ".join(body["start_command"])), _code(body.get("user") or "the image's user"),
                 ", ".join(f"{item['port']}/{item['protocol']}" for item in service["listening"]) or "–", outside or "–")  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _carried(services: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    rows = [
        f"| {_code(service['name'])} | {_KINDS[item['kind']]} | {_code(item['source'])} | {_code(item['target'])} |"
        for service in services
        for item in service["carried"]
    ]
    secrets = [
        f"| {_code(service['name'])} | secret | variable {_code(name)} | environment |" for service in services for name in service["secret_environment"]
    ]
    return ["| service | what | from | to |", "|---|---|---|---|", *rows, *secrets] if rows or secrets else []


def _left_out(services: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """A reason once, with the services that it is true of."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for service in services:
        for key, why in service["left_out"].items():
            reasons.setdefault((key, why), []).append(service["name"])
    return [f"- {_code(key)} of {', '.join(_code(name) for name in names)}: {_text(why)}." for (key, why), names in reasons.items()]


def _code(word: t.Any) -> str:
    """A value of somebody else's file as code: it cannot end the code, the line or the table."""
    return f"`{one_line(str(word)).replace('`', chr(39)).replace('|', '¦')}`"


def _text(words: t.Any) -> str:
    """Words with values of somebody else's file in them: no link, no markup, no table cell comes of it."""
    text = one_line(str(words))
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in text)
