"""The page of a transfer: what moved, how fast it was over time, what was slow, and what failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from dxflow_async.pages.charts import Point, columns, curve, marks, time_axis
from dxflow_async.pages.document import (
    bytes_text,
    card,
    duration_text,
    name,
    number_text,
    page,
    pairs,
    table,
    text,
    tile,
)
from dxflow_async.plurals import counted
from dxflow_async.timeline import Bucket, Timeline

if TYPE_CHECKING:
    from dxflow_async.reports import TransferReport

__all__ = ["transfer_page"]

_POINTS = 128
"""The most points of a curve. More buckets than that become averages of neighbours."""

_GROUPS, _NAMES = 30, 5
"""How many reasons of failures are shown, and how many items of each."""

_TITLES = {
    "upload": "Upload",
    "download": "Download",
    "copy": "Copy",
    "move": "Move",
    "sync": "Sync",
    "upload_many": "Upload",
    "download_many": "Download",
    "delete": "Deletion",
}

_SIZES = {"part_size", "max_bandwidth", "max_memory_bytes", "min_speed"}


def transfer_page(report: TransferReport, *, failure: str | None = None, interrupted: bool = False) -> str:
    """Returns the page of a report.

    Args:
        report: the report.
        failure: why the call ended early; None if it did not.
        interrupted: whether the call was cancelled.
    """
    timeline = _recorded(report)
    seconds = report.seconds or timeline.seconds
    title = _TITLES.get(timeline.operation, "Transfer")
    parts = [_head(report, timeline, title, failure, interrupted=interrupted)]
    parts.append(_tiles(report, timeline, seconds))
    cards = [*_over_time(timeline, seconds), *_histograms(timeline), _slowest(timeline), _failures(report)]
    cards += [_notes(report), _settings(timeline.settings)]
    parts.append(f'<div class="cards">{"".join(cards)}</div>')
    parts.append('<footer class="quiet">A report of dxflow-async. This page needs no network.</footer>')
    return page(f"{title}: {_summary(report, timeline)}", "\n".join(parts))


def _recorded(report: TransferReport) -> Timeline:
    """Returns the report's record, or one without times that is made from its items."""
    if report.timeline is not None:
        return report.timeline
    made = Timeline(began=0.0)
    for each in report:
        if each.error is None and each.skipped is None and not each.deleted:
            made.add(each.source, each.destination, each.bytes, each.seconds, each.attempts)
    return made


def _item_count(report: TransferReport, timeline: Timeline) -> int:
    """Returns how many items ended. A deletion's report holds only those that failed."""
    return max(len(report), timeline.totals.items)


def _summary(report: TransferReport, timeline: Timeline) -> str:
    return f"{_items_text(_item_count(report, timeline))}, {bytes_text(report.bytes)}"


def _head(report: TransferReport, timeline: Timeline, title: str, failure: str | None, *, interrupted: bool) -> str:
    failed = len(report.failed)
    if failed or (failure is not None and not interrupted):
        kind, state = "bad", f"{number_text(failed)} failed" if failed else "failed"
    elif interrupted:
        kind, state = "warn", "interrupted"
    else:
        kind, state = "good", "done"
    lines = [f'<header><div class="top"><h1>{text(title)}</h1><span class="pill {kind}">{text(state)}</span></div>']
    if timeline.source is not None:
        rest = "" if timeline.destination is None else f" <span>to</span> {name(timeline.destination)}"
        lines.append(f'<p class="ends"><span>from</span> {name(timeline.source)}{rest}</p>')
    if timeline.began:
        began = datetime.fromtimestamp(timeline.began, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
        job = "" if report.job_id is None else f"; resume it with: dxflow-async jobs resume {report.job_id}"
        lines.append(f'<p class="quiet">began {text(began)}{text(job)}</p>')
    if failure is not None:
        lines.append(f'<p class="alert">{text(failure)}</p>')
    return "".join([*lines, "</header>"])


def _tiles(report: TransferReport, timeline: Timeline, seconds: float) -> str:
    totals = timeline.totals
    items, failed, size = _item_count(report, timeline), len(report.failed), report.bytes
    tiles = [
        tile("transferred", bytes_text(size)),
        tile("took", duration_text(seconds)),
        tile("goodput", f"{bytes_text(size / seconds if seconds else 0.0)}/s"),
        tile("items", number_text(items)),
        tile("items a second", number_text(items / seconds if seconds else 0.0)),
        tile("failed", number_text(failed), "bad" if failed else ""),
        tile("retries", number_text(max(report.retries, totals.retries)), "warn" if totals.retries else ""),
        tile("throttled", number_text(totals.throttles), "warn" if totals.throttles else ""),
    ]
    if totals.concurrency:
        tiles.append(tile("requests at once, at most", number_text(totals.concurrency)))
    if report.verified or report.unverified:
        tiles.append(tile("verified", number_text(report.verified)))
    counts = report.counts
    tiles += [tile(each, number_text(counts[each])) for each in ("skipped", "deleted") if counts[each]]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _over_time(timeline: Timeline, seconds: float) -> list[str]:
    """Returns the charts over time; none for a call that was not recorded. Means are over `seconds`, as elsewhere."""
    end, spans = timeline.seconds, _spans(timeline)
    if not spans or end <= 0:
        return []
    totals, axis = timeline.totals, time_axis(end, duration_text)

    def rate(value: float) -> str:
        return f"{bytes_text(value)}/s"

    below = _events(timeline, end)
    middles = [((start + until) / 2, until - start, bucket) for start, until, bucket in spans]
    found: list[tuple[str, str, str]] = []

    def chart(
        title: str, points: list[Point], write: Callable[[float], str], note: str, *, binary: bool = False
    ) -> None:
        # The marks stand below the first chart.
        drawn = curve(title, points, end, write, binary=binary) + ("" if found else below) + axis
        found.append((title, drawn, note))

    if totals.bytes > 0:
        goodput = [(at, bucket.bytes / width) for at, width, bucket in middles]
        chart("Goodput", goodput, rate, f"mean {rate(totals.bytes / seconds)}", binary=True)
    if totals.items:
        items = [(at, bucket.items / width) for at, width, bucket in middles]
        chart("Items a second", items, number_text, f"mean {number_text(totals.items / seconds)}")
    if totals.concurrency:
        places = [(at, float(bucket.concurrency)) for at, _, bucket in middles]
        chart("Requests at once", places, number_text, f"found: at most {number_text(totals.concurrency)}")
    if totals.latency is not None:
        times = [(at, bucket.latency) for at, _, bucket in middles if bucket.latency is not None]
        chart("Latency of requests", times, duration_text, f"mean {duration_text(totals.latency)}")
    elif totals.items and totals.item_seconds:
        times = [(at, bucket.item_seconds / bucket.items) for at, _, bucket in middles if bucket.items > 0]
        chart("Time of an item", times, duration_text, f"mean {duration_text(totals.item_seconds / totals.items)}")
    rest = {1: "wide", 2: "", 3: "third"}.get(len(found) - 1, "")
    return [
        card(title, drawn, note=note, width=rest if place else "wide")
        for place, (title, drawn, note) in enumerate(found)
    ]


def _events(timeline: Timeline, end: float) -> str:
    """Returns the marks of retries and throttles with their key; empty if there were none."""
    spans = _spans(timeline)
    groups = []
    for kind in ("retry", "throttle"):
        counter = "retries" if kind == "retry" else "throttles"
        events = [(start, until, count) for start, until, each in spans if (count := getattr(each, counter)) > 0]
        if events:
            groups.append((kind, events))
    if not groups:
        return ""
    totals = timeline.totals
    labels = {"retry": counted(totals.retries, "retry", "retries"), "throttle": f"{totals.throttles:,} throttled"}
    key = "".join(f'<span><i class="{kind}"></i>{text(labels[kind])}</span>' for kind, _ in groups)
    drawn = marks("Retries and throttles", groups, end)
    return f'{drawn}<div class="key">{key}</div>'


def _spans(timeline: Timeline) -> list[tuple[float, float, Bucket]]:
    """Returns the buckets with their times, several as one where there are more than a curve shows."""
    together = -(-len(timeline.buckets) // _POINTS) or 1
    spans = []
    for place in range(0, len(timeline.buckets), together):
        whole = Bucket()
        for bucket in timeline.buckets[place : place + together]:
            whole.add(bucket)
        start = place * timeline.width
        until = min(start + together * timeline.width, timeline.seconds)
        if until > start:
            spans.append((start, until, whole))
    return spans


def _histograms(timeline: Timeline) -> list[str]:
    if not timeline.sizes.count:
        return []
    sizes = columns("Sizes of items", timeline.sizes.bins(), bytes_text, "items")
    durations = columns("Durations of items", timeline.durations.bins(), duration_text, "items")
    note = _items_text(timeline.sizes.count)
    return [card("Sizes", sizes, note=note), card("Durations", durations, note=note)]


def _slowest(timeline: Timeline) -> str:
    slowest = timeline.slowest
    if not slowest:
        return ""
    rows = []
    for each in slowest:
        share = 100 * each.seconds / slowest[0].seconds if slowest[0].seconds else 0
        bar = f'<div class="meter"><i style="width: {share:.1f}%"></i></div>'
        speed = f"{bytes_text(each.bytes / each.seconds)}/s" if each.seconds else ""
        figures = (duration_text(each.seconds), bytes_text(each.bytes), speed, each.attempts)
        rows.append([name(each.source), bar, *map(text, figures)])
    drawn = table(["item", "", "took", "size", "goodput", "attempts"], rows, numbers=(2, 3, 4, 5), hidden=(1, 4, 5))
    return card("Slowest items", drawn, width="wide")


def _failures(report: TransferReport) -> str:
    groups = report.failure_groups()
    if not groups:
        return ""
    parts = []
    for reason, results in groups[:_GROUPS]:
        names = "".join(f"<li>{name(each.source)}</li>" for each in islice(results, _NAMES))
        more = f"<li>and {number_text(len(results) - _NAMES)} more</li>" if len(results) > _NAMES else ""
        count = number_text(len(results))
        parts.append(f'<div class="reason"><p><b>{count}</b>{text(reason)}</p><ul>{names}{more}</ul></div>')
    if len(groups) > _GROUPS:
        parts.append(f'<p class="quiet">and {number_text(len(groups) - _GROUPS)} other reasons</p>')
    return card("Failures by reason", "".join(parts), note=_items_text(len(report.failed)), width="wide")


def _notes(report: TransferReport) -> str:
    lines = [*report.notices]
    lines += [f"{count:,} not verified: {reason}" for reason, count in report.unverified.items()]
    if report.compared_by_age:
        lines.append(f"{report.compared_by_age:,} compared by size and age: the destination keeps no time with them")
    lines += [f"{count:,} skipped: {reason}" for reason, count in report.skip_reasons().items()]
    if not lines:
        return ""
    return card("Notes", f"<ul>{''.join(f'<li>{text(line)}</li>' for line in lines)}</ul>", width="wide")


def _settings(settings: Mapping[str, Any]) -> str:
    if not settings:
        return ""
    return card(
        "Settings that applied", pairs({key: _setting(key, value) for key, value in settings.items()}), width="wide"
    )


def _setting(key: str, value: Any) -> str:
    if value is None or value in ([], ()):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key in _SIZES:
        return bytes_text(value)
    if isinstance(value, float):
        return duration_text(value)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _items_text(count: int) -> str:
    return f"{number_text(count)} {'item' if count == 1 else 'items'}"
