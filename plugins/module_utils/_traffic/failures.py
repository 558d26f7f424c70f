# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about failures of edge, proxy and probe; see _core/failures.py."""

from __future__ import annotations

from .._core.failures import NOTHING_WRITTEN, Advice

PROXY = "The proxy has its old configuration and sends to the application as before."
EDGE = "The edge goes on with the configuration and the route that it has."

ADVICE = {
    "address_rules": Advice(
        "The proxy judges the address of a client (`allow`, `limit_req`, `geo`, …). A forwarded request comes from the host of the other edge.",
        "Tell the proxy to look behind that one address; docs/runbooks/cutover.md has the lines for each proxy.",
        "Everything; a finding of level warn stops nothing.",
    ),
    "edge_config_invalid": Advice(
        "HAProxy refuses what would be written, most often an address or a timeout of `edge_sides`.", "Correct the option that is named.", EDGE
    ),
    "edge_crashed": Advice(
        "The container or unit of the edge ended by itself; how, and its last words, stand in the message: a port, a user, a file that it cannot read.",
        "Mend what they say, then run again.",
        PROXY,
    ),
    "edge_forwards": Advice(
        "The edge sends requests to the other side; without it the application here would get them.",
        "Route it to its own side first, or give the move up with `bowline.fleet.cancel`, which does it in the right order.",
        PROXY + " " + EDGE,
    ),
    "edge_missing": Advice(
        "There is no edge in this directory: it was never made, taken out again, or the path is another one.",
        "Correct `edge_sides.<side>.directory`, or run the cutover, which makes it.",
        NOTHING_WRITTEN,
    ),
    "edge_not_ready": Advice(
        "A request through the edge itself did not get a 200, so nobody was sent to it: it does not run, or the application behind it does not answer.",
        "Read what it answered. Look at the log of its container or unit, and at `edge_path`; then run again.",
        PROXY,
    ),
    "edge_outdated": Advice(
        "An earlier version made this edge, whose pair shares no token.", "Take both edges out (`bowline.fleet.cancel`), then run again.", PROXY + " " + EDGE
    ),
    "edge_reload_failed": Advice(
        "HAProxy took the configuration in its check and refused it at the reload: an address that is taken, a file that it may not read.",
        "Read what it said, which stands in the message; mend that, then run again.",
        "The edge's old files are back, and its process goes on with them.",
    ),
    "edge_state_unreadable": Advice(
        "`edge.map` or `edge.json` in the edge's directory is damaged, or was edited by hand.",
        "Compare it with the other side's; when it cannot be mended, take the edge out and run again.",
        EDGE,
    ),
    "file_changed": Advice(
        "Somebody else wrote the proxy's configuration between our reading and writing.",
        "Run again when they are done; a configuration management that writes this file has to rest during a move.",
        "What they wrote stays; nothing of ours is in it.",
    ),
    "hold_refused": Advice(
        "The hold would be longer than `edge_hold_max` or than the proxy waits for an answer, or it ended before the requests were through.",
        "Shorten the hold of `pg_move_router`, or raise `edge_hold_max` below the timeout of the proxy.",
        "Clients are served by the side that served before; no window was opened.",
    ),
    "in_flight": Advice(
        "Requests that were on their way did not end in the time that they had: long downloads, streams, slow answers.",
        "Wait for a quieter minute or raise `--drain` of the hold, then run again.",
        "The hold was released, none of the requests was cut; the side that served goes on.",
    ),
    "not_owner": Advice(
        "The directory, container, unit or the marked part of the proxy's configuration is of another stack on this host.",
        "Leave `directory`, `unit` and `container.name` out of `edge_sides`, so that they are made from `cutover_subject`, or give this stack its own.",
        NOTHING_WRITTEN,
    ),
    "option_invalid": Advice(
        "A value of `edge_sides` or of the probe cannot work; every one that is wrong is named.", "Correct the option that is named.", NOTHING_WRITTEN
    ),
    "probe_failed": Advice(
        "The process that measures from outside did not start or did not end.",
        "Look at the last lines of its file, which is named; a probe is an instrument, clients do not depend on it.",
        "Proxy, edges and databases: the probe touches none of them.",
    ),
    "proxy_bypass": Advice(
        "Another part of the proxy's configuration leads to the same application past the edge; those requests are not held by a switch.",
        "Name it in `edge_sides.<side>.proxy.upstreams` as well, unless nobody writes through it.",
        "Everything; a finding of level warn stops nothing.",
    ),
    "proxy_check_failed": Advice(
        "The proxy's own check or its reload refused the new configuration.",
        "Run the command that is named by hand and read what it says; it is often a fault that was there before.",
        PROXY,
    ),
    "proxy_conflict": Advice(
        "Somebody edited the marked part of the proxy's configuration.",
        "Give the marked part back the form that the message shows, or take the marks out, then run again.",
        "The file is as you left it; the proxy goes on with what it has loaded.",
    ),
    "proxy_door": Advice(
        "Nothing answers at the proxy's own door (the public TLS port of this side), so it could not be proven that requests reach the edge.",
        "Start the proxy, or correct `edge_sides.<other side>.peer`, which is where that door is; then run again.",
        PROXY,
    ),
    "proxy_not_proven": Advice(
        "Behind the reload not every request through the proxy's door reached the edge: another server block, an old worker, or a limit in between.",
        "Read which request it was and what came back; docs/guides/proxy.md says what each driver changes. Then run again.",
        PROXY,
    ),
    "proxy_unsupported": Advice(
        "The proxy reaches the application in a way that an edge cannot stand in: TLS, HTTP/2, FastCGI, or a form that cannot be read safely.",
        "Let the application answer plain HTTP on its host, or use the driver `command`; docs/guides/proxy.md.",
        NOTHING_WRITTEN,
    ),
    "proxy_upstream_missing": Advice(
        "The file has no such upstream, or one in a form that cannot be rewritten safely.",
        "Correct `edge_sides.<side>.proxy`; docs/guides/proxy.md shows the forms that are taken.",
        PROXY,
    ),
    "unreachable": Advice(
        "The edge's process does not answer on its socket: it was stopped, or its container or unit ended.",
        "Start it (`docker start`, `systemctl start`) and read its log; then run again.",
        "Its route is kept in a file and is the same when it runs again.",
    ),
    "warmup_failed": Advice(
        "The side that is to serve did not answer the warm-up request with 200 often enough.",
        "Ask it by hand (`bowline-edge status`, curl on its port), mend the application, then run again.",
        "The route is as before: the side that served goes on.",
    ),
}
