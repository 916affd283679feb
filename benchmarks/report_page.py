"""The page of `python -m benchmarks report --html`: a card for each row, with the medians of all contestants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.contestants import NOT_DURABLE, OURS
from benchmarks.race import Run
from dxflow_async.pages.document import bytes_text, card, duration_text, page, pairs, table, text

__all__ = ["race_page"]

_OURS = (OURS, NOT_DURABLE)


def race_page(races: Sequence[tuple[str, Mapping[str, Any]]], titles: Mapping[str, str]) -> str:
    """Returns the page of races.

    Args:
        races: pairs of a name and what the race's `--json` wrote.
        titles: those of tables, by their names.
    """
    parts = ['<header><div class="top"><h1>Benchmarks</h1></div>']
    parts.append('<p class="quiet">Medians of all runs. The shorter a bar, the better.</p></header>')
    for file, content in races:
        runs = [Run(**each) for each in content["runs"]]
        parts.append(f'<p class="ends"><span>{text(file)}, {text(content.get("date", ""))}</span></p>')
        cards = [
            _row(runs, name, row, content["rows"].get(row, row), titles.get(name, name))
            for name, row in dict.fromkeys((run.table, run.row) for run in runs)
        ]
        machine = {name: str(value) for name, value in content.get("machine", {}).items()}
        machine |= {name: str(version) for name, version in content.get("versions", {}).items() if version}
        cards.append(card("Machine and versions", pairs(machine), width="wide"))
        parts.append(f'<div class="cards">{"".join(cards)}</div>')
    return page("Benchmarks", "\n".join(parts))


def _row(runs: Sequence[Run], name: str, row: str, title: str, table_title: str) -> str:
    found: dict[str, list[Run]] = {}
    for run in runs:
        if (run.table, run.row) == (name, row):
            found.setdefault(run.contestant, []).append(run)
    wall = {each: median(run.wall for run in own) for each, own in found.items()}
    slowest = max(wall.values())
    rows = []
    for each in sorted(found, key=wall.__getitem__):
        share = 100 * wall[each] / slowest if slowest else 0
        kind = "meter ours" if each in _OURS else "meter"
        bar = f'<div class="{kind}"><i style="width: {share:.1f}%"></i></div>'
        label = f'<span class="best">{text(each)}</span>' if each in _OURS else text(each)
        cpu, rss = (median(getattr(run, figure) for run in found[each]) for figure in ("cpu", "rss"))
        figures = (duration_text(wall[each]), duration_text(cpu), bytes_text(rss))
        rows.append([label, bar, *map(text, figures)])
    drawn = table(["contestant", "", "wall", "CPU", "peak RSS"], rows, numbers=(2, 3, 4), hidden=(1,))
    counts = sorted({len(own) for own in found.values()})
    note = f"{table_title}; {' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} runs of each"
    return card(title, drawn, note=note, width="wide")
