# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a request goes. `LUA` runs in HAProxy and follows the same rule as `decide`, which the tests explore exhaustively."""

from __future__ import annotations

from .model import HOPS_MAX, MAP_KEY, Hop, State


def decide(state: State, hop: Hop | None, foreign: bool = False) -> tuple[str, Hop | None]:
    """``local``, ``peer`` with the hop to send along, or ``loop`` (508) for a request that arrives with ``hop`` after any hold.

    A forwarder that knows at least as new a route as this edge has decided already. An edge that knows better decides anew, so one
    edge can be switched while the other is dead or not yet told. ``foreign`` is a request of an edge with another token: its hop does not
    count, and it is not forwarded again, for two edges that do not know each other would forward for ever.
    """
    if hop is not None and hop.count > HOPS_MAX:
        return "loop", None
    if state.route == "local" or (hop is not None and hop.epoch >= state.epoch):
        return "local", None
    if foreign:
        return "loop", None
    return "peer", Hop((hop.count if hop else 0) + 1, state.epoch)


# core.msleep(5): a held request is released at most 5 ms late. One Lua state per thread, so that held requests do not share one lock.
# After a hold the file is read, not the map: a worker that a reload left behind has held requests, but its map is not written any more.
_LUA = """\
-- Holds requests while the state says so, then says where each goes (docs/adr/0010). Written by bowline.fleet.traffic_edge.
local path, hold_max = "@MAP@", @HOLD_MAX@
local states = Map.new(path, Map._str)

local function parse(text)
  local route, epoch, hold_until = (text or ""):match("^(%l+):(%d+):(%d+)%s*$")
  if route == "local" or route == "peer" then
    return route, tonumber(epoch), tonumber(hold_until)
  end
end

local function from_file()
  local file = io.open(path)
  if not file then return end
  local text = file:read("a")
  file:close()
  return parse(text:match("^@KEY@ (.*)"))
end

local function hold(txn, hold_until)
  local now = txn.f:date(0, "ms")
  if not hold_until or hold_until <= now then return false end
  local last, _ = now + hold_max
  repeat
    core.msleep(5)
    _, _, hold_until = parse(states:lookup("@KEY@"))
    now = txn.f:date(0, "ms")
  until not hold_until or hold_until <= now or now >= last
  return true
end

core.register_action("edge", {"http-req"}, function(txn)
  local route, epoch, hold_until = parse(states:lookup("@KEY@"))
  if hold(txn, hold_until) then
    route, epoch = from_file()
  end
  if not route then
    return txn:set_var("txn.to", "unknown")
  end
  txn:set_var("txn.epoch", epoch)
  local count, hop_epoch = (txn:get_var("txn.hop") or ""):match("^(%d%d?%d?);(%d+)$")
  if hop_epoch and #hop_epoch > 15 then count, hop_epoch = nil, nil end
  count, hop_epoch = tonumber(count), tonumber(hop_epoch)
  if count and count > @HOPS_MAX@ then
    return txn:set_var("txn.to", "loop")
  end
  if route == "local" or (hop_epoch and hop_epoch >= epoch) then
    return txn:set_var("txn.to", "local")
  end
  if txn:get_var("txn.foreign") then
    return txn:set_var("txn.to", "loop")
  end
  txn.http:req_set_header("X-Bowline-Hop", ((count or 0) + 1) .. ";" .. epoch)
  txn:set_var("txn.to", "peer")
end, 0)
"""


def lua(map_path: str, hold_max: float) -> str:
    """The Lua file of an edge."""
    text = _LUA.replace("@MAP@", map_path).replace("@HOLD_MAX@", str(round(hold_max * 1000)))
    return text.replace("@KEY@", MAP_KEY).replace("@HOPS_MAX@", str(HOPS_MAX))
