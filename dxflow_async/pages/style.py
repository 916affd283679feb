"""The style sheet of all pages: light and dark, on phones, on wide screens and on paper."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #ffffff; --ink: #1b2330; --quiet: #5f6b7c; --line: #e3e7ed;
  --accent: #2f6bd8; --fill: #2f6bd8; --good: #1b7f4b; --warn: #b4660a; --bad: #c0362c; --good-tint: #e3f4ea;
  --bad-tint: #fbe6e4; --warn-tint: #fdf0dd; }
@media (prefers-color-scheme: dark) { :root { --page: #10141a; --card: #181e27; --ink: #e7ebf1; --quiet: #98a4b5;
  --line: #2a323e; --accent: #7fb0ff; --fill: #5b95f5; --good: #6fd39b; --warn: #f0b45c; --bad: #ff8a80;
  --good-tint: #17352a; --bad-tint: #3f2022; --warn-tint: #3a2c17; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); -webkit-text-size-adjust: 100%;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 56px; }
h1 { font-size: 28px; line-height: 1.2; letter-spacing: -0.015em; margin: 0; }
h2 { font-size: 13px; font-weight: 600; letter-spacing: 0.02em; margin: 0 0 14px; }
p { margin: 0; }
.top { display: flex; flex-wrap: wrap; align-items: center; gap: 10px 14px; }
.pill { border-radius: 99px; padding: 3px 12px; font-size: 13px; font-weight: 600; }
.pill.good { color: var(--good); background: var(--good-tint); }
.pill.bad { color: var(--bad); background: var(--bad-tint); }
.pill.warn { color: var(--warn); background: var(--warn-tint); }
.ends { margin-top: 10px; overflow-wrap: anywhere; }
.ends span { color: var(--quiet); }
.quiet { color: var(--quiet); font-size: 13px; }
.alert { margin-top: 18px; border-left: 3px solid var(--bad); background: var(--bad-tint); border-radius: 4px;
  padding: 10px 14px; overflow-wrap: anywhere; }
.tiles { display: flex; flex-wrap: wrap; gap: 1px; margin: 26px 0 18px;
  background: var(--line); border: 1px solid var(--line); border-radius: 12px; overflow: hidden; }
.tile { flex: 1 1 18%; min-width: 150px; background: var(--card); padding: 14px 16px; }
.tile b { display: block; font-size: 21px; font-weight: 600; line-height: 1.3; white-space: nowrap;
  font-variant-numeric: tabular-nums;
  letter-spacing: -0.01em; }
.tile.bad b { color: var(--bad); }
.tile.warn b { color: var(--warn); }
.cards { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: 18px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 18px 20px; margin: 0;
  min-width: 0; grid-column: span 3; }
.wide { grid-column: 1 / -1; }
.third { grid-column: span 2; }
.head { display: flex; justify-content: space-between; align-items: baseline; gap: 12px; }
.head .quiet { font-variant-numeric: tabular-nums; text-align: right; }
.plot { position: relative; }
.plot svg { display: block; width: 100%; height: 132px; overflow: visible; }
.wide .plot svg { height: 190px; }
.plot svg.marks { height: 26px; margin-top: 6px; }
.most { position: absolute; top: 3px; left: 0; font-size: 11px; color: var(--quiet); background: var(--card);
  padding-right: 6px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.ticks { position: relative; height: 17px; font-size: 11px; color: var(--quiet); margin-top: 6px;
  font-variant-numeric: tabular-nums; }
.ticks span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.ticks .first { transform: none; }
.ticks .last { transform: translateX(-100%); }
.key { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 12px; color: var(--quiet); margin-top: 8px; }
.key i { display: inline-block; width: 9px; height: 9px; border-radius: 2px; margin-right: 6px; }
.grid { stroke: var(--line); stroke-width: 1; vector-effect: non-scaling-stroke; }
.curve { fill: none; stroke: var(--accent); stroke-width: 1.75; vector-effect: non-scaling-stroke;
  stroke-linejoin: round; stroke-linecap: round; }
.area { fill: var(--fill); opacity: 0.14; }
.bar { fill: var(--fill); opacity: 0.82; }
.bar:hover { opacity: 1; }
.retry { fill: var(--warn); background: var(--warn); }
.throttle { fill: var(--bad); background: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th { text-align: left; font-weight: 500; color: var(--quiet); font-size: 12px; padding: 0 14px 8px 0; }
td { border-top: 1px solid var(--line); padding: 7px 14px 7px 0; vertical-align: top; overflow-wrap: anywhere; }
th.number, td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
tr > :last-child { padding-right: 0; }
.best { font-weight: 600; color: var(--good); }
.meter { position: relative; background: var(--line); border-radius: 3px; height: 6px; width: 140px; margin-top: 7px;
  overflow: hidden; }
.meter i { position: absolute; inset: 0 auto 0 0; background: var(--fill); border-radius: 3px; }
.meter.ours i { background: var(--good); }
.reason { border-top: 1px solid var(--line); padding: 12px 0; }
.reason:first-of-type { border-top: 0; padding-top: 0; }
.reason b { color: var(--bad); font-variant-numeric: tabular-nums; margin-right: 8px; }
.reason p { overflow-wrap: anywhere; }
ul { margin: 6px 0 0; padding-left: 20px; color: var(--quiet); font-size: 13px; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 0 32px; margin: 0; }
dl div { display: flex; justify-content: space-between; gap: 12px; border-top: 1px solid var(--line); padding: 6px 0;
  font-size: 13.5px; }
dt { color: var(--quiet); } dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
footer { margin-top: 26px; }
@media (max-width: 960px) { .third .ticks span:nth-child(even) { display: none; } }
@media (max-width: 720px) { .third .ticks span:nth-child(even) { display: inline; } }
@media (max-width: 720px) { main { padding: 24px 14px 40px; } .card { grid-column: 1 / -1; }
  h1 { font-size: 23px; } .card { padding: 15px 14px; } .wide .plot svg { height: 150px; }
  .tile { flex-basis: 40%; } .hide { display: none; } }
@media print { :root { --page: #ffffff; --card: #ffffff; --ink: #000000; --quiet: #4a5563; --line: #d5dae1;
  --accent: #2f6bd8; --fill: #2f6bd8; --good: #1b7f4b; --warn: #b4660a; --bad: #c0362c; --good-tint: #e3f4ea;
  --bad-tint: #fbe6e4; --warn-tint: #fdf0dd; color-scheme: light; }
  body { font-size: 11pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { max-width: none; padding: 0; } .card, .tiles, .reason, tr { break-inside: avoid; }
  .tile { flex-basis: 110px; padding: 8px 10px; } .third .ticks span:nth-child(even) { display: none; } }
"""
