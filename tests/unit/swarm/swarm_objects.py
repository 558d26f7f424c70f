# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects of the Engine API in their shortest form that still has all that the room reads."""

from __future__ import annotations

MONITOR = 5


def node(name, *, role="manager", availability="active", state="ready", labels=None, engine_labels=None, arch="x86_64", cpus=2, memory=8 << 30,
         address=None, plugins=(), reach="reachable"):
    found = {
        "ID": f"id-{name}",
        "Spec": {"Role": role, "Availability": availability, "Labels": labels or {}},
        "Description": {
            "Hostname": name, "Platform": {"Architecture": arch, "OS": "linux"}, "Resources": {"NanoCPUs": int(cpus * 1e9), "MemoryBytes": memory},
            "Engine": {"EngineVersion": "20.10.24", "Labels": engine_labels or {}, "Plugins": list(plugins)},
        },
        "Status": {"State": state, "Addr": address or "10.77.0.11"},
    }
    if role == "manager":
        found["ManagerStatus"] = {"Reachability": reach, "Leader": name == "m1"}
    return found


NODES = (node("m1"), node("m2", address="10.77.0.12"), node("m3", address="10.77.0.13"))


def spec(image="app:1", *, name="s_web", replicas=2, mode=None, constraints=(), monitor=MONITOR, order=None, ports=(), maximum=0, memory=0, **template):
    placement = {"Constraints": list(constraints), "MaxReplicas": maximum} if constraints or maximum else {}
    resources = {"Resources": {"Reservations": {"MemoryBytes": memory}}} if memory else {}
    return {
        "Name": name,
        "Labels": {"com.docker.stack.namespace": name.partition("_")[0]},
        "TaskTemplate": {"ContainerSpec": {"Image": image}, "Placement": placement, "ForceUpdate": 0, "Runtime": "container", **resources, **template},
        "Mode": mode or {"Replicated": {"Replicas": replicas}},
        "UpdateConfig": {"Parallelism": 1, "Monitor": int(monitor * 1e9), "FailureAction": "pause", **({"Order": order} if order else {})},
        "EndpointSpec": {"Mode": "dnsrr", "Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": port, "PublishMode": "host"} for port in ports]},
    }


def service(of, *, update=None, message="", index=10, job=None):
    found = {"ID": f"id-{of['Name']}", "Version": {"Index": index}, "Spec": of}
    if update:
        found["UpdateStatus"] = {"State": update, "Message": message}
    if job is not None:
        found["JobStatus"] = {"JobIteration": {"Index": job}}
    return found


def task(name, of, *, slot=1, on="m1", state="running", wanted="running", error="", code=None, at="", job=None):
    status = {"State": state, "Timestamp": at or f"2026-01-01T00:00:{sum(map(ord, name)) % 60:02}Z"}
    status.update({"Err": error} if error else {}, **({"ContainerStatus": {"ContainerID": "c", "ExitCode": code}} if code is not None else {}))
    shown = {key: value for key, value in of["TaskTemplate"].items() if key != "Runtime"}
    found = {"ID": name, "ServiceID": f"id-{of['Name']}", "Slot": slot, "Spec": shown, "Status": status, "DesiredState": wanted}
    if on:
        found["NodeID"] = f"id-{on}"
    if job is not None:
        found["JobIteration"] = {"Index": job}
    return found
