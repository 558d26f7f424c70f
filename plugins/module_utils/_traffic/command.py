# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""bowline-edge on the command line: one JSON line on standard output, and an exit code that says what happened."""

from __future__ import annotations

import argparse
import json
import sys
import typing as t

from .._core.errors import FleetError
from .control import Edge
from .model import SIDES

# 2 is argparse's own for wrong usage.
EXIT_CODES = {"unreachable": 3, "in_flight": 4, "warmup_failed": 5, "hold_refused": 6, "edge_missing": 7}


def main(argv: t.Sequence[str]) -> int:
    """0 done, 1 other failure, 2 usage, 3 edge not reachable, 4 drain not in time (released), 5 warm-up, 6 hold refused, 7 no edge."""
    options = _parser().parse_args(argv)
    edge = Edge(options.directory)
    verbs: dict[str, t.Callable[[], dict[str, t.Any]]] = {
        "hold": lambda: edge.hold(options.seconds, options.drain),
        "route": lambda: edge.route(options.side),
        "warmup": lambda: edge.warmup(options.side),
        "ask": lambda: edge.ask(options.side),
        "release": edge.release,
        "switch": lambda: edge.switch(options.side),
        "status": edge.status,
    }
    try:
        answer: dict[str, t.Any] = {"ok": True, **verbs[options.verb]()}
        code = 0
    except FleetError as error:
        answer = {"ok": False, "failure": error.as_failure()}
        code = EXIT_CODES.get(error.code, 1)
    sys.stdout.write(json.dumps(answer, sort_keys=True) + "\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bowline-edge", description="Hold, route and release the requests that pass the edge of this side."
    )
    parser.add_argument("--directory", required=True, help="directory of the edge")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    hold = verbs.add_parser("hold", help="make new requests wait, return when none is being served; else release and exit with 4")
    hold.add_argument("--seconds", type=float, default=15.0, help="the hold ends by itself after this time (default: 15)")
    hold.add_argument("--drain", type=float, default=5.0, help="seconds to wait for the requests that are being served (default: 5)")
    route = verbs.add_parser("route", help="send requests to a side")
    route.add_argument("side", choices=SIDES)
    warmup = verbs.add_parser("warmup", help="ask a side, past hold and route, until it answers; be newer than its edge")
    warmup.add_argument("side", choices=SIDES)
    ask = verbs.add_parser("ask", help="ask a side as warmup does and change nothing; as slow as switch, to tell a pause beforehand")
    ask.add_argument("side", choices=SIDES)
    verbs.add_parser("release", help="end the hold")
    switch = verbs.add_parser("switch", help="route, warmup and release with one start of this program, for inside a write pause")
    switch.add_argument("side", choices=SIDES)
    verbs.add_parser("status", help="say everything")
    return parser
