# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which line of locale.gen makes a locale, by the list that Debian's package locales brings."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._native.locales import line, missing

SUPPORTED = """\
aa_ER UTF-8
de_DE.UTF-8 UTF-8
de_DE ISO-8859-1
de_DE@euro ISO-8859-15
en_US.UTF-8 UTF-8
en_US ISO-8859-1
en_US.ISO-8859-15 ISO-8859-15
sr_RS UTF-8
sr_RS@latin UTF-8
"""


@pytest.mark.parametrize(("wanted", "expected"), [
    ("en_US.utf8", "en_US.UTF-8 UTF-8"),
    ("en_US.UTF-8", "en_US.UTF-8 UTF-8"),
    ("en_US.UTF8", "en_US.UTF-8 UTF-8"),
    ("en_US", "en_US ISO-8859-1"),
    ("en_US.iso885915", "en_US.ISO-8859-15 ISO-8859-15"),
    ("de_DE@euro", "de_DE@euro ISO-8859-15"),
    ("de_DE.utf8", "de_DE.UTF-8 UTF-8"),
    ("aa_ER.utf8", "aa_ER UTF-8"),
    ("sr_RS.utf8@latin", "sr_RS@latin UTF-8"),
])  # fmt: skip
def test_every_way_to_write_a_locale_has_its_line(wanted, expected):
    assert line(wanted, SUPPORTED) == expected


@pytest.mark.parametrize("wanted", ["xx_YY.utf8", "en_US.koi8r", "", "en_US.UTF-8 UTF-8\nde_DE", "../../etc"])
def test_what_debian_does_not_have_is_refused_by_name(wanted):
    with pytest.raises(FleetError) as failure:
        line(wanted, SUPPORTED)
    assert (failure.value.code, bool(failure.value.remedy)) == ("locale_unknown", True)


@pytest.mark.parametrize(("wanted", "there", "expected"), [
    ("en_US.utf8", ["C", "C.utf8", "POSIX"], True),
    ("en_US.UTF-8", ["C", "en_US.utf8"], False),
    ("C.UTF-8", ["C", "C.utf8"], False),
    ("C", [], False),
    ("POSIX", [], False),
    ("de_DE", ["de_DE", "de_DE.iso88591"], False),
    ("de_DE.utf8", ["de_DE", "de_DE.iso88591"], True),
])  # fmt: skip
def test_a_locale_is_missing_when_the_host_does_not_list_it(wanted, there, expected):
    assert missing(wanted, there) is expected
