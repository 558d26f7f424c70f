# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first request of each stream of a probe, sent before there is one: what fails here would fail thousands of times later."""

from __future__ import annotations

import os
import time
import typing as t

from .._core.finding import Finding
from . import prober


def try_workers(config: t.Mapping[str, t.Any], check_mode: bool) -> list[dict[str, t.Any]]:
    """One line for each worker, as the probe writes them. Check mode sends nothing that may write: of those it only looks whether they connect."""
    shared = {**config, "prefix": f"probe-try-{os.getpid()}-{int(time.time())}"}
    workers = [prober.Worker({**worker, "concurrency": 0}, shared, lambda line: None) for worker in config["workers"]]
    return [worker.once(send=not (check_mode and asked["writes"])) for worker, asked in zip(workers, config["workers"])]


def findings(config: t.Mapping[str, t.Any], lines: t.Sequence[t.Mapping[str, t.Any]]) -> list[dict[str, str]]:
    """What stands against each worker, with the option that is to be looked at. Pure."""
    return [_finding(config, worker, line) for worker, line in zip(config["workers"], lines) if not line["ok"]]


def _finding(config: t.Mapping[str, t.Any], worker: t.Mapping[str, t.Any], line: t.Mapping[str, t.Any]) -> dict[str, str]:
    name, error = worker["name"], str(line.get("error") or "")
    asked = f"worker {name}: {worker['method']} {worker['path']} of {config['url']}"
    if not line["address"]:
        where = f"the resolvers {', '.join(config['resolvers'])}" if config["resolvers"] else "the resolver of this machine"
        return _found("unreachable", "url, resolvers", f"{asked}: the name was not resolved by {where}: {error}.",
                      "Name a resolver that knows the name in resolvers, or correct url.")  # fmt: skip
    if "CertificateVerif" in error or "CERTIFICATE_VERIFY" in error:
        return _found("certificate_invalid", "ca_file, url", f"{asked} at {line['address']}: {error}.", "Name the CA of the service in ca_file.")
    if error:
        return _found("unreachable", f"workers.{name}", f"{asked} at {line['address']}: {error}.", f"Correct workers.{name}.address, or url.")
    wanted = ", ".join(map(str, worker["expect_status"]))
    return _found(
        "check_failed",
        f"workers.{name}",
        f"{asked} at {line['address']} was answered with {line['status']}, expected {wanted}.",
        f"Name a path in workers.{name}.path that answers so while the application works, or what it answers in expect_status.",
    )


def _found(code: str, field: str, message: str, remedy: str) -> dict[str, str]:
    return Finding(code, "fail", field=field, message=message, remedy=remedy).as_dict()
