# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hosts are served: by their own os-release and SELinux, as the distributions ship them."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.platform import refused, seen

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n'
UBUNTU = 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nID=ubuntu\nID_LIKE=debian\n'
ROCKY = 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nPRETTY_NAME="Rocky Linux 9.4 (Blue Onyx)"\n'
ALPINE = 'ID=alpine\nPRETTY_NAME="Alpine Linux v3.20"\n'


def host(root, release="", enforce=None, place="etc"):
    if release:
        (root / place).mkdir(parents=True)
        (root / place / "os-release").write_text(release)
    if enforce is not None:
        (root / "sys/fs/selinux").mkdir(parents=True)
        (root / "sys/fs/selinux/enforce").write_text(enforce)
    return seen(str(root))


@pytest.mark.parametrize(("release", "place"), [(DEBIAN, "etc"), (DEBIAN, "usr/lib"), (UBUNTU, "etc")])
def test_debian_and_what_is_made_from_it_is_served(tmp_path, release, place):
    assert refused(host(tmp_path, release, place=place), selinux=True) == ()


@pytest.mark.parametrize(("release", "named"), [(ROCKY, "Rocky Linux 9.4 (Blue Onyx)"), (ALPINE, "Alpine Linux v3.20"), ("", "no distribution")])
def test_any_other_is_refused_by_its_name(tmp_path, release, named):
    (reason,) = refused(host(tmp_path, release), selinux=True)
    assert named in reason


@pytest.mark.parametrize(("enforce", "selinux", "number"), [("1", True, 1), ("0", True, 0), ("1", False, 0), (None, True, 0)])
def test_an_enforcing_selinux_is_refused_where_units_are_made(tmp_path, enforce, selinux, number):
    assert len(refused(host(tmp_path, DEBIAN, enforce), selinux=selinux)) == number
