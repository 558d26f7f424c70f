# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a seed to the statements that make a database. Pure: the same seed gives the same text, on every machine.

A feature is one function below `features/`: it gets a `Draw`, which has its random numbers and names, and yields statements. They run one after
the other in one session of a superuser, in the new database; ``search_path`` begins with the schema of the feature, which belongs to
`Draw.owner`. A feature relies on no other one, so the rest of a schema stays as it is when one is left out. A new one is five lines::

    @feature(weight=1)
    def twins(d):
        yield f"CREATE TABLE {d.name('t')} (a int)"
        yield f"INSERT INTO {d.last} VALUES (1), (1)"
"""

from __future__ import annotations

import random
import typing as t
from dataclasses import dataclass

DATABASE = "hub"
PASSWORD = "canary-app-3c2"

# What names look like in databases that grew. Each is at most 63 bytes, and used once in a feature.
_SCHEMAS = ("Größe", "a b", "it's", "UP", "%s", "x.y")
_ODD = (
    "select", "user", "table", "order", "default", "all", "null", "row", "values", "Größe", "Straße & Maß", 'with "quotes"', "it's", "100%", "%s",
    "dot.ted", " space ", "UPPER", "MixedCase", "back\\slash", "$1", "a;b", "--", "/* c", "{curly}", "tab\tbed", "line\nbreak", "éèê", "日本",
    "n" * 63, "ü" * 31, "-dash", "1digit", "\u2028", "pgcut_row", "source", "n", "c", "§",
)


def ident(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def in_public(name: str) -> t.Iterator[str]:
    """An extension in public, wherever an earlier feature has made it."""
    yield f"CREATE EXTENSION IF NOT EXISTS {name} SCHEMA public"
    yield f"ALTER EXTENSION {name} SET SCHEMA public"


def literal(text: str) -> str:
    """As a standard string, or with escapes when it has a backslash; right under every standard_conforming_strings."""
    quoted = text.replace("'", "''")
    return f" E'{quoted.replace(chr(92), chr(92) * 2)}'" if "\\" in quoted else f"'{quoted}'"


class Draw:
    """Random choices and names of one feature of one schema."""

    def __init__(self, seed: int, feature: str) -> None:
        self.random = random.Random(f"{seed} {feature}")
        self._feature = feature
        self._odd = list(_ODD)
        self._count = 0
        self.names: list[str] = []
        self.database = ident(DATABASE)
        self.schema = ident(feature if self.random.random() < 0.7 else f"{self.pick(_SCHEMAS)} {feature}")
        self.owner = self.pick(('"hub"', '"hub"', '"postgres"'))

    def pick(self, choices: t.Sequence[t.Any]) -> t.Any:
        return choices[self.random.randrange(len(choices))]

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def some(self, choices: t.Sequence[t.Any], least: int = 1) -> list[t.Any]:
        """A part of them, in their order."""
        chosen = self.random.sample(range(len(choices)), self.random.randint(least, len(choices)))
        return [choices[number] for number in sorted(chosen)]

    @property
    def last(self) -> str:
        """The name that was drawn last; ``names`` has all of them."""
        return self.names[-1]

    def name(self, plain: str = "t", odd: float = 0.3) -> str:
        """A new name, quoted."""
        self._count += 1
        if self._odd and self.chance(odd):
            self.names.append(ident(self._odd.pop(self.random.randrange(len(self._odd)))))
        else:
            self.names.append(ident(f"{plain}{self._count}"))
        return self.last

    def account(self, plain: str = "role") -> str:
        """The name of a new account, quoted; unlike those of other features."""
        self._count += 1
        odd = self.pick(("", "", "", "Ünlauter ", 'the "', "it's ", "%s ", "role.", "UPPER "))
        self.names.append(ident(f"{odd}{plain}{self._count} {self._feature}" if odd else f"{self._feature}_{plain}{self._count}"))
        return self.last


Make = t.Callable[[Draw], t.Iterator[str]]


@dataclass(frozen=True)
class Feature:
    """``weight`` is how often it is chosen against others; what stands in the way of others comes ``last``."""

    name: str
    weight: float
    last: bool
    make: Make


FEATURES: dict[str, Feature] = {}


def feature(weight: float = 1, last: bool = False) -> t.Callable[[Make], Make]:
    def register(make: Make) -> Make:
        name = make.__name__
        if name in FEATURES:
            raise ValueError(f"Two features are called {name}.")
        FEATURES[name] = Feature(name, weight, last, make)
        return make

    return register


@dataclass(frozen=True)
class Schema:
    """A database to be made: its features with their statements, and the words behind CREATE DATABASE."""

    seed: int
    create: str
    parts: t.Mapping[str, tuple[str, ...]]

    @property
    def statements(self) -> list[str]:
        return [text for part in self.parts.values() for text in part]

    def only(self, parts: t.Mapping[str, t.Sequence[str]], create: str | None = None) -> Schema:
        return Schema(self.seed, self.create if create is None else create, {name: tuple(texts) for name, texts in parts.items() if texts})

    def text(self) -> str:
        """One file that psql could run."""
        lines = [f"-- seed {self.seed}; CREATE DATABASE {ident(DATABASE)} OWNER hub {self.create}".rstrip()]
        for name, texts in self.parts.items():
            lines += [f"-- {name}", *(f"{text};" for text in texts)]
        return "\n".join(lines) + "\n"


# TEMPLATE template0 is what the rest needs. One in four databases has something of its own.
PLAIN_DATABASE = ""
DATABASES = (
    PLAIN_DATABASE, PLAIN_DATABASE, PLAIN_DATABASE, PLAIN_DATABASE, PLAIN_DATABASE, PLAIN_DATABASE,
    "TEMPLATE template0 LOCALE 'C'", "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de' LOCALE 'C.UTF-8'",
    "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'",
)


def part(seed: int, name: str) -> tuple[str, ...]:
    """The statements of one feature, with what comes before each feature."""
    draw = Draw(seed, name)
    before = (
        "RESET ROLE",
        f"CREATE SCHEMA {draw.schema} AUTHORIZATION {draw.owner}",
        f"SET search_path = {draw.schema}, public",
    )
    return (*before, *FEATURES[name].make(draw))


# How likely a feature of weight 1 is in a schema: some are small, some large. Each is drawn by itself, so a new feature leaves all others as they are.
_SHARE = (0.02, 0.13)


def generate(seed: int, only: t.Sequence[str] = (), without: t.Sequence[str] = ()) -> Schema:
    """The schema of ``seed``: two to twenty features, or those that are named."""
    chooser = random.Random(seed)
    create = chooser.choice(DATABASES)
    share = chooser.uniform(*_SHARE)
    drawn = [name for name, one in FEATURES.items() if random.Random(f"{seed} takes {name}").random() < one.weight * share]
    # ICU knows encodings, and this is none.
    unfit = ("collations",) if "SQL_ASCII" in create else ()
    chosen = [name for name in drawn if name not in (*without, *unfit)] or ["keyless"]
    if only:
        create, chosen = PLAIN_DATABASE, list(only)
    return Schema(seed, create, {name: part(seed, name) for name in sorted(chosen, key=lambda name: (FEATURES[name].last, name))})
