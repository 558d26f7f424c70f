# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lookups in real plays: what they return, what they refuse, and that they write nothing."""

from __future__ import annotations

import json

import pytest


STORE = "store='sqlite://%s'"
ANSWERS = {
    "one": "lookup('bowline.fleet.instance', 'web-1', gather=['drift'], STORE)",
    "both": "query('bowline.fleet.instance', 'web-1', 'db-1', STORE) | map(attribute='name')",
    "all": "query('bowline.fleet.instances', STORE) | map(attribute='name')",
    "some": "query('bowline.fleet.instances', filter={'phase': 'no_instance'}, STORE) | map(attribute='name')",
    "events": "query('bowline.fleet.events', 'web-1', 'db-1', lookback_hours=1, STORE)",
}
REFUSED = {
    "lookup('bowline.fleet.instance', 'web-l', STORE)": "[node_unknown] No node web-l. Did you mean web-2?",
    "query('bowline.fleet.events', 'db-l', STORE)": "Did you mean db-1?",
    "query('bowline.fleet.instances', filter={'helth': 'ok'}, STORE)": "filter.helth: unknown key. Did you mean health?",
    "lookup('bowline.fleet.instance', 'web-1', gather=['drfit'], STORE)": "gather.drfit: unknown key. Did you mean drift?",
    "query('bowline.fleet.instances', 'web-1', STORE)": "takes no names",
    "query('bowline.fleet.instances', limit=2, STORE)": "4 nodes fit, and limit is 2",
    "query('bowline.fleet.events', 'web-1', lookback_hours=999, STORE)": "it takes 1 to 168",
    "query('bowline.fleet.instances', store='sqlite:///nowhere/store.db')": "[store_unavailable] There is no store at",
}


@pytest.fixture
def play(fleet):
    """Runs tasks; what the one expression of ``kept`` gives behind them."""

    def run(tasks, kept):
        content = {"content": "{{ " + kept + " | to_json }}", "dest": str(fleet.folder / "said.json"), "mode": "0600"}
        fleet.play([*tasks, {"ansible.builtin.copy": content}])
        return json.loads((fleet.folder / "said.json").read_text())

    return run


def test_what_they_return(fleet, play, canary):
    before = fleet.store.read_bytes()
    expressions = ", ".join(f"'{name}': {text.replace('STORE', STORE % fleet.store)}" for name, text in ANSWERS.items())
    found = play([], f"{{{expressions}}}")
    one = found["one"]
    assert (one["phase"], one["health"], one["drift"]["drift"], one["instance"]["addresses"]) == ("running", "ok", False, ["127.0.0.1", "10.0.0.7"])
    assert one["node"]["labels"]["rack"] == fleet.hostile and not (fleet.folder / "owned").exists()
    assert (found["both"], found["all"], found["some"]) == (["web-1", "db-1"], ["db-1", "localhost", "web-1", "web-2"], ["web-2"])
    events = found["events"]
    assert {event["node"] for event in events} == {"web-1", "db-1"} and events == sorted(events, key=lambda event: event["at"], reverse=True)
    assert canary not in json.dumps(found)
    assert fleet.store.read_bytes() == before


def test_what_they_refuse(fleet, play):
    tasks = [{"ansible.builtin.debug": {"msg": "{{ " + text.replace("STORE", STORE % fleet.store) + " }}"}, "register": f"r{number}", "ignore_errors": True}
             for number, text in enumerate(REFUSED)]  # fmt: skip
    said = play(tasks, "[" + ", ".join(f"r{number}.msg" for number in range(len(tasks))) + "]")
    assert [(text, wanted) for (text, wanted), message in zip(REFUSED.items(), said) if wanted not in message] == []
