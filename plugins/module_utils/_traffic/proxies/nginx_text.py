# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx's configuration language as directives with their places in the text. Pure, and content with a file that is only a part.

Words, quotes, escapes and comments as ngx_conf_read_token has them (nginx, src/core/ngx_conf_file.c): ; and { end a word, } ends a block only
where a word could begin, # is a comment only there, ${ belongs to its word.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field


class Word(t.NamedTuple):
    """A word without its quotes, and where it stands with them."""

    text: str
    begin: int
    end: int


@dataclass
class Directive:
    """A directive; ``end`` is behind its ; or }. ``body`` is None without a block, ``inside`` says where the block's content is."""

    words: list[Word]
    begin: int
    end: int = 0
    parent: Directive | None = None
    body: list[Directive] | None = None
    inside: tuple[int, int] = (0, 0)
    over_lines: list[tuple[int, int]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.words[0].text if self.words else ""

    @property
    def args(self) -> list[str]:
        return [word.text for word in self.words[1:]]

    def walk(self) -> t.Iterator[Directive]:
        """All directives below."""
        for child in self.body or []:
            yield child
            yield from child.walk()

    def above(self) -> t.Iterator[Directive]:
        """The blocks around, the nearest first; the file itself, which has no name, last."""
        here = self.parent
        while here is not None:
            yield here
            here = here.parent

    def has(self, name: str) -> list[Directive]:
        return [child for child in self.body or [] if child.name == name]


_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n]+)|(?P<comment>\#[^\n]*)|(?P<mark>[;{}])
    |(?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<word>(?:\\.|\$\{|[^\s;{\\])+|\\)""",
    re.VERBOSE | re.DOTALL,
)


def parse(text: str) -> Directive:
    """The file as one block. What is not closed ends with the file."""
    root = here = Directive([], 0, len(text), body=[], inside=(0, len(text)))
    words: list[Word] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            # A quote that nothing closes.
            break
        kind, found, position = str(match.lastgroup), match.group(0), match.end()
        if kind in ("quoted", "word"):
            words.append(Word(re.sub(r"\\([\"'\\])", r"\1", found[1:-1] if kind == "quoted" else found), match.start(), match.end()))
            if "\n" in found:
                root.over_lines.append(match.span())
        elif found == ";" and words:
            t.cast("list[Directive]", here.body).append(Directive(words, words[0].begin, position, here))
            words = []
        elif found == "{":
            child = Directive(words, words[0].begin if words else match.start(), len(text), here, [], (position, len(text)))
            t.cast("list[Directive]", here.body).append(child)
            words = []
            if re.fullmatch(r"\w+_by_lua_block", child.name):
                position = _foreign(text, position)
                root.over_lines.append((child.begin, position))
                child.inside, child.end = (child.inside[0], position - 1), position
            else:
                here = child
        elif found == "}" and here.parent is not None:
            here.inside, here.end = (here.inside[0], match.start()), position
            here, words = here.parent, []
    return root


def _foreign(text: str, position: int) -> int:
    """The end of a block in another language, which nginx finds by its braces."""
    depth = 1
    while position < len(text) and depth:
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        position += 1
    return position


def seconds(value: str) -> float | None:
    """A time of nginx (syntax.html#time): 90, 90s, 1m30s, 500ms; None for what is none."""
    units = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    if not re.fullmatch(r"(?:\d+(?:ms|[smhd])?)+", value):
        return None
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)(ms|[smhd]|)", value))


def dumped(output: str) -> dict[str, str]:
    """The files of ``nginx -T`` by path: it prints "# configuration file <path>:" before each."""
    parts = re.split(r"^# configuration file (\S+):\n", output, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))
