# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plan steps and the result that every writing module returns."""

from __future__ import annotations

import json
import typing as t
from dataclasses import asdict, dataclass, is_dataclass

from .errors import FleetError
from .finding import sentence
from .redact import redact
from .visible import one_line, visible

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

# In the folder of the collection, and below the address that galaxy.yml calls documentation.
PAGE = "docs/failures.md"


@dataclass(frozen=True)
class Step:
    """One step of a plan. ``disruptive`` is true when clients can notice it."""

    action: str
    reason: str
    disruptive: bool = False


def plain(value: t.Any) -> t.Any:
    """``value`` with dataclasses, tuples and sets turned into what JSON knows; sets are sorted."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, t.Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def diff_text(value: t.Any) -> str:
    """``value`` as stable text for ``--diff``; None is the empty text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value if not value or value.endswith("\n") else value + "\n"
    return json.dumps(plain(value), indent=2, sort_keys=True, default=str) + "\n"


def result(
    steps: t.Sequence[Step],
    *,
    before: t.Any,
    after: t.Any,
    evidence: t.Any = None,
    warnings: t.Sequence[str] = (),
    **objects: t.Any,
) -> dict[str, t.Any]:
    """The result of a writing module: ``changed``, ``plan``, ``diff``, ``evidence`` and the objects under their own names.

    ``changed`` is derived from ``steps``, so plan and verdict cannot disagree. ``warnings`` are shown by `finish`.
    """
    return {
        "changed": bool(steps),
        "plan": [asdict(step) for step in steps],
        "diff": {"before": diff_text(before), "after": diff_text(after)},
        "evidence": plain(evidence if evidence is not None else {}),
        "warnings": list(warnings),
        **{name: plain(value) for name, value in objects.items()},
    }


def finish(module: AnsibleModule, work: t.Callable[[], dict[str, t.Any]], secrets: t.Sequence[str] = ()) -> None:
    """Run ``work`` and end the module with its result, or with ``failure`` when it raises `FleetError`.

    Every other exception stays unhandled: ansible-core reports it better than we could. ``secrets`` never leave the module.
    """
    # Ansible shows the parameters with -vvv, those in lists and dictionaries as they were given.
    given = {"invocation": {"module_args": redact(module.params, secrets)}}
    try:
        outcome = work()
    except FleetError as error:
        module.fail_json(**failed(error, secrets), **given)
        return
    for warning in outcome.pop("warnings", []):
        module.warn(visible(redact(warning, secrets)))
    outcome = redact(outcome, secrets)
    # What people read of it; the objects stay as the servers have them.
    outcome.update({name: visible(outcome[name]) for name in ("diff", "plan") if name in outcome})
    module.exit_json(**outcome, **given)


def failed(error: FleetError, secrets: t.Sequence[str] = ()) -> dict[str, t.Any]:
    """A failed result with ``msg`` and ``failure``. Ansible hands both to the terminal as they are, so nothing unseen is in them."""
    failure = visible(redact(error.as_failure(), secrets))
    findings = [finding for finding in failure["details"].get("findings") or [] if isinstance(finding, t.Mapping)]
    if findings:
        # A line each, which Ansible's own callback keeps. A message that is made of them would say them twice.
        twice = any(str(finding.get("message")) in failure["message"] for finding in findings)
        head = f"{len(findings)} {'finding' if len(findings) == 1 else 'findings'}:" if twice else failure["message"]
        lines = [f"[{failure['code']}] {head}", *map(finding_line, findings), f"Each code: {PAGE}"]
        return {"failed": True, "msg": "\n  ".join(lines), "failure": failure}
    message = f"{failure['message']} Remedy: {failure['remedy']}" if failure["remedy"] else failure["message"]
    return {"failed": True, "msg": f"[{failure['code']}] {message} ({page(failure['code'])})", "failure": failure}


def page(code: t.Any) -> str:
    """Where to read why a failure comes, what to do, and what is unchanged."""
    return f"{PAGE}#{code}"


def finding_line(finding: t.Mapping[str, t.Any]) -> str:
    """``fail: port_taken: cutover_preflight_ports: Port … answers. Remedy: …`` on one line."""
    text = one_line(f"{finding.get('level', 'fail')}: {finding.get('code')}: {sentence(finding)}")
    return f"{text} Remedy: {one_line(finding['remedy'])}" if finding.get("remedy") else text
