"""Charts as inline SVG.

The drawings stretch to the width of their card, and so they hold shapes only. Texts stand beside them as HTML, which
keeps its size on a phone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dxflow_async.pages.document import text

__all__ = ["Point", "columns", "curve", "marks", "time_axis"]

_WIDTH, _HEIGHT = 1000, 200
_TICKS = 4

_ROUND_SECONDS = [
    *(power * step for power in (0.001, 0.01, 0.1, 1) for step in (1, 2, 5)),
    *(10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1200, 1800),
    *(3600 * hours for hours in (1, 2, 3, 4, 6, 12, 24, 48, 96, 240)),
]

Point = tuple[float, float]


def curve(
    title: str, points: Sequence[Point], end: float, format_value: Callable[[float], str], *, binary: bool = False
) -> str:
    """Draws a value over time as a line above a filled area.

    Args:
        title: describes the chart to screen readers.
        points: pairs of seconds and a value.
        end: the seconds at the right edge.
        format_value: writes a value with its unit.
        binary: the units are KiB, MiB and so on.
    """
    peak = max((value for _, value in points), default=0.0)
    most = nice_ceiling(peak, binary=binary)
    placed = [(_WIDTH * at / end if end else 0.0, _HEIGHT * (1 - max(value, 0.0) / most)) for at, value in points]
    if placed:  # the first and the last value hold up to the edges
        placed = [(0.0, placed[0][1]), *placed, (float(_WIDTH), placed[-1][1])]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    grid = "".join(f'<line class="grid" x1="0" x2="{_WIDTH}" y1="{y}" y2="{y}" />' for y in (0, _HEIGHT // 2, _HEIGHT))
    area = f'<polygon class="area" points="0,{_HEIGHT} {line} {_WIDTH},{_HEIGHT}" />'
    shapes = f'{area}<polyline class="curve" points="{line}" />'
    described = f"{title}: at most {format_value(peak)}"
    return _plot(described, grid + (shapes if placed else ""), most=format_value(most))


def marks(title: str, groups: Sequence[tuple[str, Sequence[tuple[float, float, int]]]], end: float) -> str:
    """Draws when events occurred, as columns below a chart; the taller, the more.

    Args:
        title: describes the chart to screen readers.
        groups: pairs of a CSS class and events: where each begins and ends, in seconds, and how many.
        end: the seconds at the right edge.
    """
    most = max((count for _, events in groups for *_, count in events), default=0)
    shapes = []
    for kind, events in groups:
        for start, until, count in events:
            height = 6 + 18 * count / most
            width = max(_WIDTH * (until - start) / end, 3.0)
            x = min(_WIDTH * start / end, _WIDTH - width)
            shapes.append(
                f'<rect class="{kind}" x="{x:.1f}" y="{26 - height:.1f}" width="{width:.1f}" height="{height:.1f}">'
                f"<title>{text(f'{count} {kind}')}</title></rect>"
            )
    base = f'<line class="grid" x1="0" x2="{_WIDTH}" y1="26" y2="26" />'
    return _svg(title, base + "".join(shapes), height=26, kind="marks")


def time_axis(end: float, format_value: Callable[[float], str]) -> str:
    """Returns the labels below a chart over time, at round times.

    Args:
        end: the seconds at the right edge.
        format_value: writes a time.
    """
    step = next((each for each in _ROUND_SECONDS if end / each < _TICKS + 1), end / _TICKS)
    return _ticks([(step * place / end, format_value(step * place)) for place in range(int(end / step) + 1)])


def columns(
    title: str, bins: Sequence[tuple[float, float, int]], format_value: Callable[[float], str], unit: str
) -> str:
    """Draws a histogram. Bins that are missing between others are empty.

    Args:
        title: describes the chart to screen readers.
        bins: where each begins and ends, and its count; each is twice as wide as the one before.
        format_value: writes a bound.
        unit: of the counts, such as `"items"`.
    """
    filled = _with_gaps(bins)
    most = max((count for *_, count in filled), default=0)
    step = _WIDTH / max(len(filled), 6)
    left = (_WIDTH - step * len(filled)) / 2
    shapes = [f'<line class="grid" x1="0" x2="{_WIDTH}" y1="{_HEIGHT}" y2="{_HEIGHT}" />']
    for place, (start, stop, count) in enumerate(filled):
        if not count:
            continue
        height = max(_HEIGHT * 0.92 * count / most, 2.0)
        label = f"{format_value(start)} to {format_value(stop)}: {count:,} {unit}"
        shapes.append(
            f'<rect class="bar" x="{left + step * (place + 0.06):.1f}" y="{_HEIGHT - height:.1f}" '
            f'width="{step * 0.88:.1f}" height="{height:.1f}"><title>{text(label)}</title></rect>'
        )
    bounds = [start for start, *_ in filled] + ([filled[-1][1]] if filled else [])
    stride = max(1, -(-(len(bounds) - 1) // _TICKS)) if len(bounds) > 1 else 1
    shown = list(range(0, len(bounds), stride))
    labels = [((left + step * place) / _WIDTH, format_value(bounds[place])) for place in shown]
    return _plot(title, "".join(shapes), most=f"{most:,} {unit}") + _ticks(labels)


def nice_ceiling(value: float, *, binary: bool = False) -> float:
    """Returns the next round number above a value.

    Args:
        value: the value.
        binary: the number is round in KiB, MiB and so on.

    Example:
        >>> nice_ceiling(7.2), nice_ceiling(130), nice_ceiling(0)
        (8.0, 150.0, 1.0)
    """
    if value <= 0:
        return 1.0
    unit = 1.0
    while binary and value / unit >= 1024:
        unit *= 1024
    value /= unit
    power = 1.0
    while power > value:
        power /= 10
    while power * 10 <= value:
        power *= 10
    steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
    found = next(power * step for step in steps if power * step >= value * 0.999)
    return unit * (1024 if binary and found > 999 else found)


def _with_gaps(bins: Sequence[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    found: list[tuple[float, float, int]] = []
    for start, stop, count in bins:
        while found and found[-1][1] < start * 0.999:
            before = found[-1][1]
            found.append((before, before * 2, 0))
        found.append((start, stop, count))
    return found


def _ticks(labels: Sequence[tuple[float, str]]) -> str:
    """Returns labels at fractions of the width."""
    spans = []
    for at, label in labels:
        kind = ' class="first"' if at < 0.03 else ' class="last"' if at > 0.94 else ""
        spans.append(f'<span{kind} style="left: {at * 100:.2f}%">{text(label)}</span>')
    return f'<div class="ticks">{"".join(spans)}</div>'


def _plot(title: str, shapes: str, *, most: str) -> str:
    return f'<div class="plot">{_svg(title, shapes)}<span class="most">{text(most)}</span></div>'


def _svg(title: str, shapes: str, *, height: int = _HEIGHT, kind: str = "chart") -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" viewBox="0 0 {_WIDTH} {height}" '
        f'preserveAspectRatio="none" role="img" aria-label="{text(title)}">{shapes}</svg>'
    )
