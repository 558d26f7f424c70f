# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the store keeps of nodes, who may write it, and what the database itself holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.errors import FleetError
from ansible_collections.bowline.fleet.plugins.module_utils._core.redact import MASK
from ansible_collections.bowline.fleet.plugins.module_utils._node import rows
from ansible_collections.bowline.fleet.plugins.module_utils._node.beats import Beats
from ansible_collections.bowline.fleet.plugins.module_utils._node.migrations import MIGRATIONS
from ansible_collections.bowline.fleet.plugins.module_utils._node.model import (
    Action, ActionStep, Condition, Guard, Heartbeat, Instance, Node, NodeEvent, Receiver, Skip, Template,
)  # fmt: skip
from ansible_collections.bowline.fleet.plugins.module_utils._node.requests import Requests
from ansible_collections.bowline.fleet.plugins.module_utils._node.store import ROOM, Held, NodeStore, chained, note, subject_of
from ansible_collections.bowline.fleet.plugins.module_utils._store.model import Owner
from ansible_collections.bowline.fleet.plugins.module_utils._store.sqlite import open_for_writing
from ansible_collections.bowline.fleet.plugins.module_utils._store.store import StateStore

NOW = 1_000_000.0
SUBJECT = subject_of("edge-1")


class Kept:
    """A store that ``opens`` under one clock; each controller is a process of its own on another machine."""

    def __init__(self, opens):
        self.now = NOW
        self.opens = opens
        self.database = opens()
        self.nodes = NodeStore(self.database, lambda: self.now)
        self.beats = Beats(self.database, lambda: self.now)

    def lease(self, name="ann", subject=SUBJECT, ttl=60.0) -> Held:
        owner = Owner(name, name, f"host-{name}", 7, "m", "b", "n", name)
        state = StateStore(self.database, owner, lambda _other, _me: "unknown", lambda: self.now)
        return Held(subject, state.open("node", [subject], [], lease_ttl=ttl)["lease_numbers"][subject])


@pytest.fixture
def opens(tmp_path):
    """The same tests run on PostgreSQL in the integration tests of the store."""
    return lambda: open_for_writing(tmp_path / "store.db")


@pytest.fixture
def kept(opens):
    store = Kept(opens)
    yield store
    store.database.close()


@pytest.fixture
def edge(kept):
    """A node with a template, and the right to write it."""
    held = kept.lease()
    kept.nodes.put_template(held, Template("edge", "debian", modules=({"name": "web", "ref": "r@sha256:1"},), hooks=("docker",), defaults={"type": "s"}))
    kept.nodes.put_node(held, Node("edge-1", "edge", labels={"owner": "ann"}, guards=(Guard("protected", "soak", NOW + 9),), hooks=("docker",)))
    return held


def refused(code, call):
    with pytest.raises(FleetError) as failure:
        call()
    assert failure.value.code == code
    return failure.value


def made(kept, held, **changed):
    return kept.nodes.reserve(held, replace(Instance("i-1", "edge-1", "local", 0, 0.0, {"image": "x"}, "v1:a"), **changed), "ann")


def test_what_is_written_is_read(kept, edge):
    template, node = kept.nodes.template("edge"), kept.nodes.node("edge-1")
    assert (template.revision, template.modules, template.defaults) == (1, ({"name": "web", "ref": "r@sha256:1"},), {"type": "s"})
    assert (node.revision, node.labels, node.guards, node.hooks) == (1, {"owner": "ann"}, (Guard("protected", "soak", NOW + 9),), ("docker",))
    assert (kept.nodes.templates(), kept.nodes.nodes()) == ([template], [node])
    instance = replace(made(kept, edge), provider_id="local:///1", power="on", finalizers=("dns",), addresses=("::1",),
                       skipped=(Skip("dns", "ann", "why", NOW),))  # fmt: skip
    assert kept.nodes.save(edge, instance) == kept.nodes.live("edge-1") == replace(instance, lease_number=edge.number)
    assert kept.nodes.known("edge-1").instance == kept.nodes.instances()[0]
    assert kept.nodes.template("none") is None and kept.nodes.node("none") is None and kept.nodes.live("none") is None
    assert kept.nodes.fleet() == kept.nodes.fleet() != ""


def test_a_store_of_yesterday_is_opened_again(kept, edge):
    again = Kept(kept.opens)
    assert again.nodes.node("edge-1").name == "edge-1"
    again.database.close()


def test_the_fleet_has_one_ca(kept):
    """Written once by whoever comes first, so it needs no lease."""
    assert kept.nodes.ca_fingerprint() == ""
    kept.nodes.keep_ca_fingerprint("a")
    kept.nodes.keep_ca_fingerprint("b")
    assert kept.nodes.ca_fingerprint() == "a"


def test_the_name_of_a_fleet_is_that_of_its_machines(kept, edge):
    """What was drawn meanwhile goes, with a CA that has signed nothing; once a machine carries it, it stays."""
    assert kept.nodes.named() == ""
    kept.nodes.fleet()
    kept.nodes.keep_ca_fingerprint("a")
    kept.nodes.keep_fleet("home")
    assert (kept.nodes.named(), kept.nodes.fleet(), kept.nodes.ca_fingerprint()) == ("home", "home", "")
    kept.nodes.keep_ca_fingerprint("b")
    made(kept, edge)
    kept.nodes.keep_fleet("home")
    refused("conflict", lambda: kept.nodes.keep_fleet("another"))
    assert (kept.nodes.named(), kept.nodes.ca_fingerprint()) == ("home", "b")


def test_a_row_is_restored_as_it_was(kept, edge):
    stood = Instance("i-7", "edge-1", "local", 7, NOW - 99, {"image": "x"}, "v1:a", provider_id="local:///7", machine_created_at=NOW - 98, power="on")
    assert kept.nodes.restore(edge, stood, "found") == kept.nodes.live("edge-1") == replace(stood, lease_number=edge.number)
    assert kept.nodes.restore(edge, replace(stood, id="i-8", generation=8), "found").id == "i-7", "one that lives stays"
    assert [(event.type, event.reason) for event in kept.nodes.events("edge-1")] == [("imported", "found")]
    kept.nodes.save(edge, replace(stood, terminated_at=NOW))
    assert made(kept, edge).generation == 8


def test_every_write_proves_the_lease(kept, edge):
    instance = made(kept, edge)
    kept.now += 61
    kept.lease("bob")
    nodes = kept.nodes
    writes = {
        "put_template": lambda: nodes.put_template(edge, nodes.template("edge")),
        "remove_template": lambda: nodes.remove_template(edge, "edge"),
        "put_node": lambda: nodes.put_node(edge, nodes.node("edge-1")),
        "remove_node": lambda: nodes.remove_node(edge, "edge-1"),
        "reserve": lambda: made(kept, edge),
        "restore": lambda: nodes.restore(edge, replace(instance, id="i-2", generation=2), "found"),
        "save": lambda: nodes.save(edge, replace(instance, phase="running")),
        "attempt": lambda: nodes.attempt(edge, "i-1", "create"),
        "over": lambda: nodes.over(edge, "i-1", "create"),
        "did": lambda: nodes.did(edge, ActionStep("i-1", "x", "p", "done", NOW, NOW)),
        "alive": lambda: nodes.alive(edge),
    }
    wanted = {name for name in vars(NodeStore) if not name.startswith("_")} - {
        "fleet", "named", "keep_fleet", "ca_fingerprint", "keep_ca_fingerprint", "template", "templates", "node", "nodes", "live", "known", "instances",
        "conditions", "actions",
        "steps", "events"}  # fmt: skip
    assert set(writes) == wanted, "a write that no test looks at"
    for write in writes.values():
        assert "No provider" not in str(refused("lease_lost", write))
    assert nodes.live("edge-1") == instance and nodes.actions("i-1") == () and nodes.node("edge-1").revision == 1


def test_a_write_is_a_sign_of_life(kept, edge):
    for _turn in range(3):
        kept.now += 50
        kept.nodes.alive(edge)
    refused("locked", lambda: kept.lease("bob"))


def test_a_lease_that_was_given_back_writes_nothing(kept, edge):
    kept.nodes.alive(edge)
    with kept.database.transaction() as transaction:
        operation = transaction.execute("SELECT operation_id FROM lease WHERE subject = ?", (SUBJECT,))[0]["operation_id"]
    StateStore(kept.database, Owner("ann", "ann", "h", 7), clock=lambda: kept.now).end(operation, "succeeded")
    refused("lease_lost", lambda: kept.nodes.alive(edge))


def test_the_database_itself_holds_one_live_machine_a_node(kept, edge):
    first = made(kept, edge)
    assert made(kept, edge, id="i-2") == first, "whoever comes second gets the one that lives"
    copy = "INSERT INTO node_instance SELECT 'i-2', node, provider, 9, spec, spec_hash, created_at, desired, phase, phase_since, '', machine_created_at,"
    copy += " power, powered_at, contacted_at, missing_since, missed_at, cordoned_by, drained_at, delete_requested_at, finalizers, skipped, {}, lease_number,"
    copy += " addresses"
    copy += " FROM node_instance WHERE id = 'i-1'"

    def insert(ended):
        with kept.database.transaction() as transaction:
            transaction.execute(copy.format(ended))

    assert "unique" in refused("store_unavailable", lambda: insert("NULL")).message.lower()
    insert(NOW)
    assert len(kept.nodes.instances("edge-1")) == 2 and kept.nodes.live("edge-1") == first


def test_one_machine_is_of_one_instance(kept, edge):
    kept.nodes.save(edge, replace(made(kept, edge), provider_id="local:///1"))
    other = kept.lease(subject=subject_of("edge-2"))
    kept.nodes.put_node(other, Node("edge-2", "edge"))
    second = kept.nodes.reserve(other, Instance("i-2", "edge-2", "local", 0, 0.0))
    refused("store_unavailable", lambda: kept.nodes.save(other, replace(second, provider_id="local:///1")))
    kept.nodes.save(edge, replace(kept.nodes.live("edge-1"), terminated_at=NOW))
    kept.nodes.save(other, replace(second, provider_id="local:///1"))


def test_generations_are_counted_past_the_end(kept, edge):
    kept.nodes.save(edge, replace(made(kept, edge), terminated_at=NOW))
    assert made(kept, edge, id="i-2").generation == 2


def test_nobody_writes_over_what_he_has_not_read(kept, edge):
    node = kept.nodes.node("edge-1")
    kept.nodes.put_node(edge, replace(node, labels={"a": "b"}))
    refused("conflict", lambda: kept.nodes.put_node(edge, node))
    refused("conflict", lambda: kept.nodes.put_template(edge, Template("edge")))
    assert kept.nodes.node("edge-1").labels == {"a": "b"}


def test_a_node_with_a_machine_stays(kept, edge):
    instance = made(kept, edge)
    refused("node_has_instance", lambda: kept.nodes.remove_node(edge, "edge-1"))
    kept.nodes.save(edge, replace(instance, terminated_at=NOW))
    kept.nodes.remove_node(edge, "edge-1")
    assert kept.nodes.node("edge-1") is None and len(kept.nodes.instances("edge-1")) == 1


def test_a_template_of_a_node_stays(kept, edge):
    refused("store_unavailable", lambda: kept.nodes.remove_template(edge, "edge"))
    kept.nodes.remove_node(edge, "edge-1")
    kept.nodes.remove_template(edge, "edge")
    assert kept.nodes.templates() == []


def test_an_attempt_is_counted_until_its_action_is_over(kept, edge):
    made(kept, edge)
    first = kept.nodes.attempt(edge, "i-1", "create", "ann")
    kept.now += 5
    second = kept.nodes.attempt(edge, "i-1", "create")
    assert (first.key, second.key, second.attempts, second.attempted_at) == ("i-1/create/1", "i-1/create/1", 2, NOW + 5)
    kept.nodes.over(edge, "i-1", "create")
    assert kept.nodes.actions("i-1") == ()
    assert kept.nodes.attempt(edge, "i-1", "create").key == "i-1/create/2"


def test_an_action_is_asked_for_once_for_each_cause(kept, edge):
    made(kept, edge)
    requests = Requests(kept.database, lambda: kept.now)
    asked = Action("i-1", "reboot", "i-1/reboot/f1", "pending", actor="ann", fingerprint="f1", reason="token=abcdefghijklmnop123456", asked_at=NOW)

    def keep(action, word, severity="info"):
        return requests.keep(edge, "edge-1", action, word, "ann", severity)

    keep(asked, "asked")
    begun = keep(replace(asked, state="running", attempts=1, attempted_at=NOW), "begun", "warn")
    assert requests.of_node("edge-1", NOW + 1) == [begun] and "abcdefghijklmnop" not in str(begun), "an open one, whenever it was asked for"
    assert (requests.node_of(asked.key), requests.node_of("x"), requests.of_node("edge-2")) == ("edge-1", "", [])
    refused("store_unavailable", lambda: keep(replace(asked, key="another", ended_at=NOW), "asked"))
    assert kept.nodes.actions("i-1") == (begun,)
    keep(replace(begun, state="complete", ended_at=NOW), "complete")
    assert requests.of_node("edge-1", NOW + 1) == [] and len(requests.of_node("edge-1", NOW)) == 1
    seen = [(event.after, event.severity) for event in reversed(kept.nodes.events("edge-1")) if event.type == "action"]
    assert seen == [("asked", "info"), ("begun", "warn"), ("complete", "info")]
    kept.now += 61
    kept.lease("bob")
    refused("lease_lost", lambda: keep(begun, "aborted"))


def test_events_are_a_chain(kept, edge):
    instance = made(kept, edge)
    for phase in ("provisioning", "provisioning", "running"):
        instance = kept.nodes.save(edge, replace(instance, phase=phase), event="seen" if phase == "running" else "", reason="token=abcdefghijklmnop123456")
    events = list(reversed(kept.nodes.events("edge-1")))
    assert [(event.type, event.before, event.after) for event in events] == [
        ("reserved", "", "pending"), ("phase", "pending", "provisioning"), ("phase", "provisioning", "running"), ("seen", "", "")]  # fmt: skip
    assert [event.digest for event in events] == [chained(event, before) for event, before in zip(events, ["", *(one.digest for one in events)])]
    assert "abcdefghijklmnop" not in str(events)
    with kept.database.transaction() as transaction:
        transaction.execute("UPDATE node_event SET actor = 'eve' WHERE position = 2")
    assert chained(kept.nodes.events("edge-1")[2], events[0].digest) != events[1].digest


def test_conditions_and_steps_are_kept(kept, edge):
    instance = made(kept, edge)
    found = (Condition("enrolled", "true", "", "", NOW, 1), Condition("stalled", "false", "", "", NOW, 1))
    kept.nodes.save(edge, instance, found)
    kept.nodes.save(edge, instance, (replace(found[0], status="false", reason="not_enrolled"),))
    assert {one.type: one.status for one in kept.nodes.conditions("i-1")} == {"enrolled": "false", "stalled": "false"}
    kept.nodes.did(edge, ActionStep("i-1", "reserve", "the row", "done", NOW, NOW))
    kept.nodes.did(edge, ActionStep("i-1", "create_machine", "the machine", "done", NOW, NOW + 3))
    assert [(step.position, step.name) for step in kept.nodes.steps("i-1")] == [(1, "reserve"), (2, "create_machine")]


def said(sequence, boot="b1", good=True, **changed):
    return Heartbeat("i-1", 5.0, boot, sequence, good, good, good, **changed)


def test_heartbeats_are_of_the_moment_of_their_receipt(kept, edge):
    made(kept, edge)
    assert kept.beats.last("i-1") is None
    kept.beats.heard(said(1, document={"sent_at": 4_000_000_000, "token": "sekrit"}, runtimes=("docker",), failed_units=("web.service",)))
    last = kept.beats.last("i-1")
    assert (last.received_at, last.runtimes, last.failed_units, last.ready_boot) == (NOW, ("docker",), ("web.service",), "b1")
    assert "sekrit" not in str(last)
    kept.now += 40
    kept.beats.heard(said(3))
    kept.now += 5
    assert kept.beats.heard(said(2)).received_at == NOW + 40, "one that was overtaken changes nothing"
    assert kept.beats.hours("i-1") == [{"hour": int(NOW // 3600), "heartbeats": 2, "largest_gap": 40.0}]


def test_a_boot_that_was_good_once_is_remembered(kept, edge):
    made(kept, edge)
    states = [kept.beats.heard(said(*one)).ready_boot for one in ((1, "b1", False), (2, "b1", True), (3, "b1", False), (1, "b2", False), (2, "b2", True))]
    assert states == ["", "b1", "b1", "", "b2"]


def test_a_machine_that_no_row_knows_is_not_heard(kept, edge):
    refused("store_unavailable", lambda: kept.beats.heard(said(1)))


def test_receivers_say_that_they_live(kept, edge):
    kept.beats.listens("a", NOW)
    kept.now += 20
    kept.beats.listens("a", NOW)
    assert [(one.id, one.started, one.last_alive, one.gap) for one in kept.beats.receivers()] == [("a", NOW, NOW + 20, 60.0)]


def test_a_receiver_says_when_it_comes_again(kept):
    for pause, gap in ((0, 120.0), (110, 600.0), (590, 120.0), (121, 600.0)):
        kept.now += pause
        kept.beats.swept("s", gap, [])
    receiver = kept.beats.receivers()[0]
    assert (receiver.started, receiver.gap) == (NOW, 600.0), "the fourth came within what it gives itself now"
    kept.now += 601
    kept.beats.swept("s", 120.0, [])
    assert kept.beats.receivers()[0].started == kept.now


def test_tables_of_the_first_version_are_brought_on(opens):
    """Rows that it wrote have what the new columns mean by default."""
    database = opens()
    database.join(ROOM, MIGRATIONS[:1])
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO node_receiver (id, started, last_alive) VALUES ('r', 1, 2)")
        transaction.execute(
            "INSERT INTO node_instance (id, node, provider, generation, spec, spec_hash, created_at, desired, phase, phase_since, provider_id, power,"
            " cordoned_by, finalizers, skipped, lease_number) VALUES ('i-0', 'old', 'static', 1, '{}', '', 1, 'running', 'running', 1, '', '', '', '[]',"
            " '[]', 1)"
        )
    assert Beats(database).receivers() == (Receiver("r", 1.0, 2.0, 60.0),)
    assert NodeStore(database).live("old").addresses == ()
    database.close()


# --- what is forgotten ------------------------------------------------------------------------------------------------------------


def test_events_are_kept_300_of_a_node_and_30_days(kept, edge):
    def happened(node, count):
        with kept.database.transaction() as transaction:
            for _turn in range(count):
                note(transaction, NodeEvent(node, 0, kept.now, "seen"))

    happened("edge-1", 310)
    happened("edge-2", 3)
    kept.beats.tidied()
    left = kept.nodes.events("edge-1", 1000)
    assert (len(left), left[-1].position, len(kept.nodes.events("edge-2"))) == (300, 11, 3)
    kept.now += 30 * 86400 + 1
    happened("edge-1", 1)
    kept.beats.tidied()
    assert [event.position for event in kept.nodes.events("edge-1")] == [311]
    assert [event.position for event in kept.nodes.events("edge-2")] == [3], "the last one is what the next is counted from"
    happened("edge-2", 1)
    later, last = kept.nodes.events("edge-2")
    assert (later.position, later.digest) == (4, chained(later, last.digest)), "the chain goes on"


def test_machines_are_kept_90_days_past_their_end(kept, edge):
    def lived(name):
        instance = made(kept, edge, id=name)
        kept.nodes.attempt(edge, name, "create")
        kept.nodes.did(edge, ActionStep(name, "x", "not", "done", kept.now, kept.now))
        kept.beats.heard(replace(said(1), instance=name))
        kept.nodes.save(edge, replace(instance, terminated_at=kept.now), (Condition("enrolled", "true", "", "", NOW, 1),))

    lived("i-1")
    with kept.database.transaction() as transaction:
        row = "INSERT INTO node_certificate (serial, instance, key, not_before, not_after, reason) VALUES ('1', 'i-1', 'k', 0, {}, 'denied')"
        transaction.execute(row.format(NOW + 100 * 86400))
    lived("i-2")
    lived("i-3")
    kept.now += 90 * 86400 - 1
    kept.nodes.alive(edge)
    assert kept.beats.tidied() == {"instances": 0}
    kept.now += 2
    assert kept.beats.tidied() == {"instances": 1}
    assert sorted(one.id for one in kept.nodes.instances("edge-1")) == ["i-1", "i-3"], "a certificate that lives; the last machine of a node"
    assert kept.nodes.steps("i-2") == [] and kept.nodes.steps("i-3") != []
    kept.now += 10 * 86400
    assert kept.beats.tidied() == {"instances": 1}
    assert made(kept, kept.lease(), id="i-4").generation == 4


def test_a_file_of_a_credential_is_no_secret_and_everything_else_there_is():
    given = {"defaults": {"credentials": {"token": "/root/bowline/token", "password": "hunter2", "api_key": "/9j"}, "password": "/root/x"}}
    assert rows.kept(given) == {"defaults": {"credentials": {"token": "/root/bowline/token", "password": MASK, "api_key": MASK}, "password": MASK}}
