# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which servers can read each other's files: versions and builds as servers said them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._pg.engines.physical.build import Build, unlike, unsorted
from ansible_collections.bowline.fleet.plugins.module_utils._pg.server.collations import Collation, base

# What version() says of the official images (docker-library/postgres builds with --build of its distribution, and PG_VERSION_STR in configure.ac
# takes its host), of Debian's package, of Red Hat's, of a build with meson (meson.build), and of one for macOS.
ALPINE = "PostgreSQL 15.15 on x86_64-pc-linux-musl, compiled by gcc (Alpine 15.2.0) 15.2.0, 64-bit"
ARM = "PostgreSQL 15.15 on aarch64-unknown-linux-musl, compiled by gcc (Alpine 15.2.0) 15.2.0, 64-bit"
OFFICIAL = "PostgreSQL 15.10 (Debian 15.10-1.pgdg120+1) on x86_64-pc-linux-gnu, compiled by gcc (Debian 12.2.0-14) 12.2.0, 64-bit"
DEBIAN = "PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu, compiled by gcc (Debian 12.2.0-14+deb12u1) 12.2.0, 64-bit"
REDHAT = "PostgreSQL 15.10 on x86_64-redhat-linux-gnu, compiled by gcc (GCC) 11.5.0 20240719 (Red Hat 11.5.0-2), 64-bit"
MESON = "PostgreSQL 17.0 on x86_64-linux, compiled by gcc-13.2.0, 64-bit"
MACOS = "PostgreSQL 15.4 on aarch64-apple-darwin22.6.0, compiled by Apple clang version 14.0.3 (clang-1403.0.22.14.1), 64-bit"

CONTROL = {"database_block_size": 8192, "max_data_alignment": 8, "float8_pass_by_value": True, "pg_control_version": 1300}
OFFERS = {"default_toast_compression": ["pglz", "lz4"], "wal_compression": ["pglz", "lz4", "zstd", "on", "off"]}
GLIBC = {("c", ""): "2.36", ("i", "de"): "153.120.42"}
# musl: no program locale, so initdb finds none, and the library tells no version (docker-library/postgres, issues 1047 and 1082).
MUSL = Build(ALPINE, CONTROL, OFFERS, {("i", "de"): "153.120.42"}, ("C", "POSIX"))
GNU = Build(OFFICIAL, CONTROL, OFFERS, GLIBC, ("C", "C.utf8", "POSIX", "en_US.utf8"))


@pytest.mark.parametrize(("said", "target"), [
    (ALPINE, ("x86_64", "linux-musl")), (ARM, ("aarch64", "linux-musl")), (OFFICIAL, ("x86_64", "linux-gnu")), (DEBIAN, ("x86_64", "linux-gnu")),
    (REDHAT, ("x86_64", "linux-gnu")), (MESON, ("x86_64", "linux")), (MACOS, ("aarch64", "darwin22.6.0")),
    ("PostgreSQL 15.4 on x86_64-linux-gnu, compiled", ("x86_64", "linux-gnu")), ("something else", ("something else", "something else")),
])  # fmt: skip
def test_the_target_of_a_build(said, target):
    assert Build(said).target == target


def test_a_build_with_meson_is_known_by_its_versions():
    assert Build(MESON, sorts=GLIBC).target == ("x86_64", "linux-gnu")
    assert unlike(Build(MESON, CONTROL, OFFERS, GLIBC), replace(GNU, version=OFFICIAL)) == []


@pytest.mark.parametrize(("legacy", "new", "reason"), [
    (MUSL, GNU, "system and C library (version()): linux-musl on legacy and linux-gnu on new; files are not portable between them"),
    (GNU, MUSL, "system and C library (version()): linux-gnu on legacy and linux-musl on new; files are not portable between them"),
    (replace(MUSL, version=ARM), MUSL, "processor (version()): aarch64 on legacy and x86_64 on new; files are not portable between them"),
    (GNU, replace(GNU, control={**CONTROL, "database_block_size": 32768}),
     "database_block_size (pg_controldata): 8192 on legacy and 32768 on new; files are not portable between them"),
    (GNU, replace(GNU, control={**CONTROL, "float8_pass_by_value": False}),
     "float8_pass_by_value (pg_controldata): True on legacy and False on new; files are not portable between them"),
    (GNU, replace(GNU, offers={**OFFERS, "default_toast_compression": ["pglz"]}),
     "lz4 of default_toast_compression is not built into new, which could not read what it compressed"),
    (replace(GNU, offers={**OFFERS, "wal_compression": ["on", "off", "pglz"]}), GNU,
     "lz4, zstd of wal_compression is not built into legacy, which could not read what it compressed"),
])  # fmt: skip
def test_builds_that_cannot_read_each_other_are_told_by_what_differs(legacy, new, reason):
    assert unlike(legacy, new) == [reason]


def test_the_vendor_and_the_compiler_mean_nothing():
    for said in (DEBIAN, REDHAT):
        assert unlike(GNU, replace(GNU, version=said)) == []


HERE = "database hub"
ROWS = [
    # The official image of Alpine, and one of Debian on the files of that one.
    pytest.param(Collation(HERE, "c", "en_US.utf8", None, None), "of which the library on legacy tells no version, as musl does", id="musl"),
    pytest.param(Collation(HERE, "c", "en_US.utf8", None, "2.36"), "made with version none of locale en_US.utf8, and legacy has 2.36 now", id="was musl"),
    pytest.param(Collation(HERE, "c", "en_US.utf8", "2.31", "2.36"), "made with version 2.31", id="upgraded"),
    pytest.param(Collation(HERE, "c", "en_US.UTF-8", "2.31", "2.31"), "sorts by version 2.31 of locale en_US.UTF-8 on legacy and 2.36 on new", id="older"),
    pytest.param(Collation(HERE, "c", "en_US.UTF-8", "2.36", "2.36"), "", id="same, spelt otherwise"),
    pytest.param(Collation(HERE, "c", "de_DE.utf8", "2.36", "2.36"), "locale de_DE.utf8 (database hub) does not exist on new", id="not there"),
    pytest.param(Collation(HERE, "c", "C", None, None), "", id="C"),
    pytest.param(Collation(HERE, "c", "POSIX", None, None), "", id="POSIX"),
    pytest.param(Collation(HERE, "c", "C.UTF-8", None, None), "", id="C.UTF-8"),
    pytest.param(Collation(HERE, "b", "C.UTF-8", "1", "1"), "", id="builtin"),
    pytest.param(Collation(HERE, "i", "de", "153.120.42", "153.120.42"), "", id="ICU"),
    pytest.param(Collation(HERE, "i", "de-u-co-phonebk", "153.120.7", "153.120.7"), "", id="ICU with keywords"),
    pytest.param(Collation(HERE, "i", "de@collation=phonebook", "153.14.7", "153.14.7"), "sorts by version 153.14.7", id="other ICU with keywords"),
    pytest.param(Collation(HERE, "i", "de", "153.14.38", "153.14.38"), "version 153.14.38 of locale de on legacy and 153.120.42 on new", id="other ICU"),
    pytest.param(Collation(HERE, "i", "sv", "153.120.42", "153.120.42"), "on legacy and none on new", id="ICU without it"),
]


@pytest.mark.parametrize(("used", "reason"), ROWS)
def test_an_order_of_text_that_cannot_be_shown_to_be_the_same_is_another_one(used, reason):
    found = unsorted([used, used], GNU)
    assert len(found) == bool(reason) and reason in "".join(found)


def test_one_locale_has_one_spelling():
    assert len({base(name) for name in ("en_US.utf8", "en_US.UTF-8", "en_us.UTF8")}) == 1 != len({base("en_US.utf8"), base("en_GB.utf8")})
