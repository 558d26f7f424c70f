# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The style sheet of the page."""

from __future__ import annotations

STYLE = """
:root{--ink:#1c2430;--soft:#5b6675;--line:#dfe4ea;--page:#f5f6f8;--paper:#fff;--good:#1a7f4b;--bad:#c02b3c;--warn:#a86200;
--legacy:#c98a2b;--new:#2f7fb8;--unknown:#a9b3bf;--latency:#4b2a86;--done:#2f7fb8;--same:#9db7c9;
--c0:#2f7fb8;--c1:#5aa5a0;--c2:#c98a2b;--c3:#8a6fc0;--c4:#6c8f4e;--c5:#b8656f}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa6b5;--line:#303a46;--page:#12171d;--paper:#1a2129;--good:#4cc38a;
--bad:#ff7a85;
--warn:#e5a84b;--legacy:#dca34b;--new:#58a6dd;--unknown:#66717e;--latency:#efe6ff;--done:#58a6dd;--same:#4a6478;
--c0:#4f97cc;--c1:#5fb3ad;--c2:#d9a04a;--c3:#9d86d1;--c4:#86a866;--c5:#cf7f88}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:1040px;margin:0 auto;padding:32px 20px 48px}
header{margin-bottom:20px}h1{font-size:28px;line-height:1.2;margin:10px 0 14px;letter-spacing:-.01em}
h2{font-size:17px;margin:0 0 12px}
.badge{display:inline-block;padding:3px 12px;border-radius:99px;font-weight:600;font-size:13px;color:var(--paper);background:var(--soft)}
.badge.good{background:var(--good)}.badge.bad{background:var(--bad)}.badge.warn{background:var(--warn)}
.facts{display:flex;flex-wrap:wrap;gap:6px 28px;margin:0}.facts dt{color:var(--soft);font-size:12px}.facts dd{margin:0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:18px 0}
.card{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.card span{display:block;color:var(--soft);font-size:12px}.card b{font-size:21px;font-weight:650;font-variant-numeric:tabular-nums}
.card.good b{color:var(--good)}.card.bad b{color:var(--bad)}.card.none b{color:var(--soft);font-size:16px;font-weight:500}
section{background:var(--paper);border:1px solid var(--line);border-radius:10px;padding:18px 20px;margin:0 0 16px}
.note{border-left:4px solid var(--soft);background:var(--paper);padding:10px 14px;border-radius:6px;margin:0 0 14px}
.note p{margin:4px 0}.note h2{margin:0;font-family:ui-monospace,monospace}.note ul{margin:0;padding-left:18px}
.note.bad{border-color:var(--bad)}.note.bad h2{color:var(--bad)}.note.warn{border-color:var(--warn)}.note.good{border-color:var(--good)}
.missing{color:var(--soft);font-style:italic;margin:4px 0}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;margin-top:10px;font-size:13.5px;font-variant-numeric:tabular-nums}
th{text-align:left;color:var(--soft);font-weight:600;font-size:12px;padding:4px 10px 4px 0;border-bottom:1px solid var(--line)}
td{padding:5px 10px 5px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
tbody tr:last-child td{border-bottom:0}
.pairs td:first-child{width:34%;color:var(--soft)}.numbers{max-width:420px}.words td:nth-child(-n+2){white-space:nowrap}
.words td:nth-child(3){color:var(--soft);min-width:8em}
code{font:12px/1.45 ui-monospace,SFMono-Regular,Menlo,monospace}
.state{font-weight:600}.state.good{color:var(--good)}.state.bad{color:var(--bad)}.state.warn{color:var(--warn)}
.state.quiet{color:var(--soft);font-weight:400}
figure{margin:0}svg{display:block;width:100%;height:auto;font-family:inherit;overflow:visible}
svg text{font-size:12px;fill:var(--ink)}svg .tick,svg .quiet{fill:var(--soft);font-size:11px}svg .value{fill:var(--soft);font-size:11.5px}
.grid{stroke:var(--line);stroke-width:1}.mark{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:2 2}
.bar.done{fill:var(--done)}.bar.same{fill:var(--same)}.bar.failed{fill:var(--bad)}.bar.open{fill:var(--warn)}
.side-legacy{fill:var(--legacy)}.side-new{fill:var(--new)}.side-unknown{fill:var(--unknown)}.side-failed{fill:var(--bad)}
svg .latency{fill:none;stroke:var(--latency);stroke-width:1.4;stroke-linejoin:round}svg .latency-text{fill:var(--latency)}
.hold{fill:var(--ink);fill-opacity:.18;stroke:var(--ink);stroke-opacity:.55;stroke-width:1}
.c0{fill:var(--c0)}.c1{fill:var(--c1)}.c2{fill:var(--c2)}.c3{fill:var(--c3)}.c4{fill:var(--c4)}.c5{fill:var(--c5)}
.key{color:var(--soft);font-size:12px;margin:8px 0 0}.key i{display:inline-block;width:11px;height:11px;border-radius:2px;
margin:0 5px -1px 12px}.key i:first-child{margin-left:0}
.key .done{background:var(--done)}.key .same{background:var(--same)}.key .failed,.key .side-failed{background:var(--bad)}
.key .open{background:var(--warn)}
.key .side-legacy{background:var(--legacy)}.key .side-new{background:var(--new)}.key .side-unknown{background:var(--unknown)}
.key .latency{background:var(--latency);height:2px;margin-bottom:4px}.key .hold{background:var(--ink);opacity:.16}
.key .mark{width:0;border-left:2px dashed var(--ink);border-radius:0}
footer{color:var(--soft);font-size:12px;margin-top:22px}
@media print{:root{--ink:#000;--soft:#444;--line:#ccc;--page:#fff;--paper:#fff;--good:#14663c;--bad:#a3182a;--warn:#8a5000;
--legacy:#c98a2b;--new:#2f7fb8;
--unknown:#a9b3bf;--latency:#7a4fb5;--done:#2f7fb8;--same:#9db7c9}
body{font-size:11pt}main{max-width:none;padding:0}section,.card{break-inside:avoid;border-color:#bbb}*{print-color-adjust:exact;
-webkit-print-color-adjust:exact}}
"""
