# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Provider lexicon against PowerDNS' own interface. What the world holds is read with kdig; others write by RFC 2136."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import bowline_dns_rig as rig
import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.redact import redact
from ansible_collections.bowline.fleet.plugins.module_utils._dns.run import connect, run

OWNER = "cutover/hub-1"

pytestmark = pytest.mark.parametrize("pair", ["powerdns"], indirect=True)


def where(pair, **options):
    return {
        "provider": "powerdns",
        "parameters": {"pdns-server": pair.api},
        "resolver": pair.primary.where,
        "authority_port": pair.port,
        "timeout": 2,
        **options,
    }


def lexicon(pair, **options):
    """Options of the module, which reaches the same zone another way."""
    place = where(pair, **options.pop("place", {}))
    return {"provider": "lexicon", "provider_auth": {"auth_token": rig.API_KEY}, "all_options": place, **options}


def test_check_real_again_for_a_whole_cutover_and_its_way_back(pair):
    lower = lexicon(pair, state="prepared", expect_current=["10.0.0.1"], owner=OWNER)
    serial = pair.primary.serial()
    predicted = rig.do(pair, check_mode=True, **lower)
    assert pair.primary.serial() == serial
    prepared = rig.do_while_transferring(pair, **lower)
    assert (prepared["plan"], prepared["diff"], prepared["record"]) == (predicted["plan"], predicted["diff"], predicted["record"])
    assert pair.secondary.dig("hub.bowline.test", "A") == ["60 A 10.0.0.1"]
    assert rig.do(pair, **lower)["changed"] is False
    pair.edit('add _bowline-a.hub.bowline.test. 3600 TXT "somebody else wrote this"')
    move = lexicon(pair, values=["10.0.0.2"], expect_current=["10.0.0.1"], owner=OWNER)
    moved = rig.do_while_transferring(pair, **move)
    assert moved["verified"] and pair.secondary.dig("hub.bowline.test", "A") == ["60 A 10.0.0.2"]
    assert rig.do(pair, **move)["changed"] is False
    settled = rig.do_while_transferring(pair, **lexicon(pair, state="settled", owner=OWNER))
    assert settled["changed"] and pair.primary.dig("hub.bowline.test", "A") == ["300 A 10.0.0.2"]
    rig.do_while_transferring(pair, **lexicon(pair, previous=prepared["previous"], expect_current=["10.0.0.2"], owner=OWNER))
    assert pair.primary.dig("hub.bowline.test", "A") == ["300 A 10.0.0.1"]
    assert pair.primary.dig("_bowline-a.hub.bowline.test", "TXT") == ['3600 TXT "somebody else wrote this"'], "only ours goes"


def test_create_several_change_their_ttl_and_remove(pair):
    made = rig.do(pair, **lexicon(pair, name="new", values=["10.0.0.9", "10.0.0.8"], expect_current="absent", wait=False))
    assert pair.primary.dig("new.bowline.test", "A") == ["300 A 10.0.0.8", "300 A 10.0.0.9"]
    rig.do(pair, **lexicon(pair, name="new", values=["10.0.0.9", "10.0.0.7"], ttl=60, wait=False))
    assert pair.primary.dig("new.bowline.test", "A") == ["60 A 10.0.0.7", "60 A 10.0.0.9"]
    rig.do(pair, **lexicon(pair, name="new", values=["10.0.0.7", "10.0.0.6", "10.0.0.5"], wait=False))
    assert pair.primary.dig("new.bowline.test", "A") == ["60 A 10.0.0.5", "60 A 10.0.0.6", "60 A 10.0.0.7"]
    rig.do(pair, **lexicon(pair, name="new", previous=made["previous"], wait=False))
    assert pair.primary.dig("new.bowline.test", "A") == []


def test_name_is_never_without_a_record_when_its_values_change(pair, monkeypatch):
    import requests

    send, seen = requests.Session.request, []

    def watched(*words, **more):
        answer = send(*words, **more)
        seen.append(pair.primary.dig("hub.bowline.test", "A"))
        return answer

    monkeypatch.setattr(requests.Session, "request", watched)
    rig.do(pair, **lexicon(pair, values=["10.0.0.2"], wait=False))
    assert ["300 A 10.0.0.1", "300 A 10.0.0.2"] in seen and [] not in seen


def edited(pair, monkeypatch, when, command, **options):
    """The module's run, and somebody else's change just before or just after it writes."""
    given = rig.params(pair, **lexicon(pair, wait=False, **options))
    provider = connect(given, [])
    write = getattr(provider, when)

    def meddled(*arguments):
        if when == "apply":
            pair.edit(command)
        write(*arguments)
        if when != "apply":
            pair.edit(command)

    monkeypatch.setattr(provider, when, meddled)
    with pytest.raises(FleetError) as failure:
        run(given, lambda: provider, False)
    return failure.value


def test_change_between_reading_and_writing_is_a_conflict_and_nothing_is_written(pair, monkeypatch):
    failure = edited(pair, monkeypatch, "apply", "add hub.bowline.test. 300 A 10.0.0.66", values=["10.0.0.2"])
    assert failure.code == "conflict" and "changed meanwhile" in failure.message
    assert pair.primary.dig("hub.bowline.test", "A") == ["300 A 10.0.0.1", "300 A 10.0.0.66"]


def test_change_in_the_window_that_is_left_is_seen_afterwards(pair, monkeypatch):
    failure = edited(pair, monkeypatch, "_replace", "add hub.bowline.test. 300 A 10.0.0.66", values=["10.0.0.2"])
    assert failure.code == "conflict" and "a moment later" in failure.message
    assert "10.0.0.66" in failure.details["seen"]


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({"provider_auth": {"auth_token": "wrong+and/secret"}}, "auth", "powerdns did not accept"),
        ({"provider_auth": None}, "refused", "auth_token"),
        ({"zone": "elsewhere.test"}, "zone_not_found", "elsewhere.test"),
        ({"place": {"parameters": {"pdns-server": "http://127.0.53.1:9"}}}, "unreachable", "could not be asked"),
        ({"place": {"provider": "powerdnss"}}, "invalid_value", "powerdnss"),
        ({"place": {"provider": ""}}, "invalid_value", "provider_options.provider"),
        ({"type": "CNAME", "values": ["a.test"]}, "invalid_value", "type CNAME"),
        ({"place": {"ignore_server": "ns1"}}, "unknown_key", "ignore_server"),
    ],
)
def test_errors_are_named_without_the_credentials(pair, monkeypatch, change, code, word):
    # The library alone would complete missing credentials from the environment.
    monkeypatch.setenv("LEXICON_POWERDNS_AUTH_TOKEN", rig.API_KEY)
    secrets = []
    given = rig.params(pair, **{**lexicon(pair, place=change.pop("place", {}), values=["10.0.0.2"]), **change})
    with pytest.raises(FleetError) as failure:
        run(given, lambda: connect(given, secrets), False)
    assert failure.value.code == code, failure.value.message
    assert word in failure.value.message + failure.value.remedy
    assert "secret" not in str(failure.value.as_failure())
    assert pair.primary.dig("hub.bowline.test", "A") == ["300 A 10.0.0.1"]


def test_secrets_are_known_in_the_forms_that_errors_show(pair, tmp_path):
    (tmp_path / "auth").write_text(json.dumps({"auth_token": rig.API_KEY}), encoding="utf-8")
    secrets = []
    given = rig.params(pair, **{**lexicon(pair, place={"auth_file": str(tmp_path / "auth")}), "provider_auth": None, "state": "absent", "name": "new"})
    assert run(given, lambda: connect(given, secrets), False)["changed"] is False
    for text in (rig.API_KEY, "the%2Fkey%20of%2Bthe%3DAPI", "the%2Fkey+of%2Bthe%3DAPI"):
        assert text not in redact(f"401 for https://api.test/?auth={text}&x=1", secrets)


def test_module_shows_no_credentials(pair, tmp_path):
    options, auth = json.dumps(where(pair)), json.dumps({"auth_token": "wrong+and/secret"})
    book = tmp_path / "play.yml"
    book.write_text(
        f"""\
---
- hosts: localhost
  gather_facts: false
  tasks:
    - bowline.fleet.dns_record_info:
        {{provider: lexicon, provider_options: {options}, provider_auth: {auth}, zone: bowline.test, name: hub}}
""",
        encoding="utf-8",
    )
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", "-vvv", "--diff", str(book)]
    command += ["-e", f"ansible_python_interpreter={sys.executable}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "did not accept the credentials" in done.stdout, done.stdout + done.stderr
    assert "wrong+and" not in done.stdout + done.stderr


def test_another_owner_and_an_alias_are_left_alone(pair):
    pair.edit('add _bowline-a.hub.bowline.test. 60 TXT "v=bowline1 owner=somebody"')
    with pytest.raises(FleetError) as failure:
        rig.do(pair, **lexicon(pair, values=["10.0.0.2"], owner=OWNER, expect_current=["10.0.0.1"]))
    assert failure.value.code == "not_owner"
    with pytest.raises(FleetError) as failure:
        rig.do(pair, **lexicon(pair, name="alias", values=["10.0.0.2"]))
    assert failure.value.code == "cname_conflict"
