# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options: every one that cannot work is named at once, and a password comes out of a file that only its owner reads."""

from __future__ import annotations

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._redis.options import parse, secrets


def server(**changes):
    return {"host": "192.0.2.10", "port": 6379, "user": None, "tls": False, "password_file": None, "peer_host": None, "peer_port": None, **changes}


def params(**changes):
    return {"state": "replicating", "mode": "replicate", "legacy": server(), "new": server(host="192.0.2.20"), **changes}


def test_the_other_server_reaches_it_where_this_host_does_unless_it_is_said():
    options = parse(params(new=server(host="127.0.0.1", port=7000, peer_host="10.0.0.9", peer_port=6379)))
    assert (options.legacy.peer, options.new.peer, options.new.where) == (("192.0.2.10", 6379), ("10.0.0.9", 6379), "127.0.0.1:7000")


def test_every_wrong_option_is_named_at_once():
    wrong = params(legacy=server(host="/run/redis.sock", port=0, certificate="/c"), new=server(host="a b"), max_window=0, window_attempts=99,
                   accept_loss=["new", "legacy"], layouts=[{"kind": "keys"}], worker={"quiet": []})  # fmt: skip
    with pytest.raises(FleetError) as failed:
        parse(wrong)
    assert failed.value.code == "option_invalid"
    named = ("legacy.peer_host", "legacy.port", "legacy.certificate", "new.host", "max_window", "window_attempts", "accept_loss", "layouts[0].keys",
             "worker.quiet")  # fmt: skip
    assert [word for word in named if word not in failed.value.message] == []


def test_a_password_is_of_a_file_of_ones_own(tmp_path):
    path = tmp_path / "password"
    path.write_text("s3cret word\n", encoding="utf-8")
    path.chmod(0o600)
    options = parse(params(legacy=server(password_file=str(path))))
    assert options.legacy.password == "s3cret word" and secrets(options) == ["s3cret word"] and "s3cret" not in repr(options)
    path.chmod(0o644)
    none = str(tmp_path / "none")
    for change, code in (({"password_file": str(path)}, "unsafe_path"), ({"password_file": none}, "file_missing"), ({"ca_file": none}, "file_missing")):
        with pytest.raises(FleetError) as failed:
            parse(params(legacy=server(**change)))
        assert failed.value.code == code
