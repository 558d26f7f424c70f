# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of modules of nodes."""

from __future__ import annotations

import typing as t

from .hooks.model import OUTCOMES, STAGES
from .machine.model import KINDS
from .model import ARCHITECTURES, GUARDS, LIFECYCLES, SIGNALS, STATES
from .policy import VERBS, WORDS

_MODULES: t.Dict[str, t.Any] = {
    "type": "list",
    "elements": "dict",
    "options": {"name": {"type": "str", "required": True}, "ref": {"type": "str", "required": True}},
    "default": [],
}
_RECORD: t.Dict[str, t.Any] = {"store": {"type": "str"}, "reason": {"type": "str"}}

TEMPLATE: t.Dict[str, t.Any] = {
    **_RECORD,
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "platform": {"type": "str", "default": ""},
    "architecture": {"type": "str", "choices": list(ARCHITECTURES), "default": "amd64"},
    "image_family": {"type": "str", "default": ""},
    "modules": _MODULES,
    "hooks": {"type": "list", "elements": "str", "default": []},
    "defaults": {"type": "dict", "default": {}},
    "volumes": {"type": "list", "elements": "dict", "default": []},
}

NODE: t.Dict[str, t.Any] = {
    **_RECORD,
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "template": {"type": "str"},
    "platform": {"type": "str", "default": ""},
    "architecture": {"type": "str", "choices": ["", *ARCHITECTURES], "default": ""},
    "lifecycle_class": {"type": "str", "choices": list(LIFECYCLES), "default": "persistent"},
    "labels": {"type": "dict", "default": {}},
    "modules": _MODULES,
    "hooks": {"type": "list", "elements": "str", "default": []},
    "guards": {
        "type": "list",
        "elements": "dict",
        "options": {
            "kind": {"type": "str", "required": True, "choices": list(GUARDS)},
            "reason": {"type": "str", "default": ""},
            "until": {"type": "str"},
        },
        "default": [],
    },
    "quorum_group": {"type": "str", "default": ""},
}

FILTERS = ("phase", "health", "scheduling", "provider", "template", "lifecycle_class", "label")
GATHER = ("conditions", "actions", "steps", "events", "heartbeats", "recovery", "drift", "attribution", "certificates", "capacity")

INFO: t.Dict[str, t.Any] = {
    "store": {"type": "str"},
    "name": {"type": "str"},
    "source": {"type": "str", "choices": ["store", "provider", "both"], "default": "store"},
    "mode": {"type": "str"},
    "filter": {"type": "dict", "default": {}},
    "gather": {"type": "list", "elements": "str", "choices": list(GATHER), "default": ["conditions"]},
    "lookback_hours": {"type": "int", "default": 24},
    "limit": {"type": "int", "default": 50},
}

SWEEP: t.Dict[str, t.Any] = {
    "store": {"type": "str"},
    "receiver": {"type": "str", "default": "sweep"},
    "interval": {"type": "float", "default": 60},
    "statuses": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "node": {"type": "str", "required": True},
            "reached": {"type": "bool", "default": True},
            "text": {"type": "str", "default": ""},
            "message": {"type": "str", "default": ""},
        },
    },
}

ENROLMENT: t.Dict[str, t.Any] = {
    "store": {"type": "str"},
    "state": {"type": "str", "choices": ["authority", "enrolled", "absent"], "default": "enrolled"},
    "name": {"type": "str"},
    "authority": {"type": "path"},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "port": {"type": "int", "default": 22},
    "host_key": {"type": "str", "no_log": False},
    "expected_host_key": {"type": "str", "default": "", "no_log": False},
    "scan": {"type": "bool", "default": True},
    "csr": {"type": "str", "default": ""},
    "certificate": {"type": "str", "default": ""},
    "days": {"type": "int", "default": 90},
}

STATUS: t.Dict[str, t.Any] = {
    "boot_id": {"type": "str", "required": True},
    "sequence": {"type": "int"},
    "enrolled": {"type": "bool", "default": False},
    "modules_active": {"type": "bool", "default": False},
    "services_ready": {"type": "bool", "default": False},
    "failed_units": {"type": "list", "elements": "str", "default": []},
    "runtimes": {"type": "list", "elements": "str", "default": []},
    "certificate_not_after": {"type": "float"},
}
EVIDENCE: t.Dict[str, t.Any] = {
    "hook": {"type": "str", "required": True},
    "stage": {"type": "str", "choices": list(STAGES)},
    "outcome": {"type": "str", "required": True, "choices": list(OUTCOMES)},
    "observed_at": {"type": "str"},
    "blockers": {"type": "list", "elements": "dict", "default": []},
    "changed": {"type": "list", "elements": "str", "default": []},
}
INSTANCE: t.Dict[str, t.Any] = {
    **_RECORD,
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": list(STATES), "default": "running"},
    "provider": {"type": "str", "choices": list(KINDS)},
    "provider_options": {"type": "dict", "default": {}},
    "mode": {"type": "str"},
    "instance_type": {"type": "str"},
    "image": {"type": "str"},
    "image_sha256": {"type": "str"},
    "status": {"type": "dict", "options": STATUS},
    "evidence": {"type": "list", "elements": "dict", "options": EVIDENCE, "default": []},
    "drain": {"type": "dict", "options": {"enabled": {"type": "bool", "default": True}}, "default": {"enabled": True}},
    "wait_for": {"type": "str", "choices": ["infrastructure", "contacted"], "default": "infrastructure"},
    "boot_factor": {"type": "float", "default": 1.0},
    "on_immutable_change": {"type": "str", "choices": ["fail", "replace"], "default": "fail"},
    "force": {"type": "bool", "default": False},
    "skip_finalizers": {"type": "list", "elements": "str", "default": []},
    "adopt": {"type": "bool", "default": False},
    "accept_undrained": {"type": "bool", "default": False},
    "confirm": {"type": "str"},
}

_DECLARED = ("store", "reason", "state")
IMPORT: t.Dict[str, t.Any] = {
    **_RECORD,
    "fleet": {"type": "str"},
    "authority": {"type": "path"},
    "templates": {
        "type": "list",
        "elements": "dict",
        "options": {name: option for name, option in TEMPLATE.items() if name not in _DECLARED},
        "default": [],
    },
    "nodes": {"type": "list", "elements": "dict", "options": {name: option for name, option in NODE.items() if name not in _DECLARED}, "default": []},
    "machines": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "host": {"type": "str", "required": True},
            "kind": {"type": "str", "default": ""},
            "uri": {"type": "str", "default": ""},
            "folder": {"type": "str", "default": ""},
            "answer": {"type": "dict", "required": True},
        },
    },
    "statuses": {**SWEEP["statuses"], "required": False, "default": []},
    "interval": {"type": "float", "default": 60},
}

ACTION: t.Dict[str, t.Any] = {
    **_RECORD,
    "action_id": {"type": "str"},
    "name": {"type": "str"},
    "verb": {"type": "str", "choices": [*VERBS, "ladder"]},
    "fingerprint": {"type": "str"},
    "state": {"type": "str", "choices": ["pending", "approved", "rejected", "running", "completed", "aborted"], "default": "pending"},
    "policy": {
        "type": "list",
        "elements": "dict",
        "options": {
            "verb": {"type": "str", "choices": list(VERBS)},
            "lifecycle_class": {"type": "str", "choices": list(LIFECYCLES)},
            "node": {"type": "str"},
            "answer": {"type": "str", "choices": list(WORDS), "required": True},
        },
        "default": [],
    },
    "ssh": {"type": "bool"},
    "status": {"type": "dict", "options": STATUS},
    "provider_options": {"type": "dict", "default": {}},
    "mode": {"type": "str"},
    "wait_timeout": {"type": "float", "default": 300},
}
ACTION_CONSTRAINTS: t.Dict[str, t.Any] = {
    "required_one_of": [("action_id", "name")],
    "mutually_exclusive": [("action_id", "name")],
    "required_by": {"name": ("verb", "fingerprint")},
}

# Numbers of seconds.
THRESHOLDS = ("late", "silent", "lost", "certificate", "certificate_critical")
SENSORS: t.Dict[str, t.Any] = {
    "store": {"type": "str"},
    "sensors": {"type": "list", "elements": "str", "choices": list(SIGNALS), "default": []},
    "name": {"type": "str"},
    "since": {"type": "str"},
    "thresholds": {"type": "dict", "options": {name: {"type": "float"} for name in THRESHOLDS}},
    "machines": {**IMPORT["machines"], "required": False, "default": []},
}
