"""The record of a call over time: fixed in size, exact in its sums."""

from __future__ import annotations

import pickle
import random
import tracemalloc
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxflow_async.reports import TransferReport, TransferResult, joined_timeline
from dxflow_async.timeline import MAX_BUCKETS, Bucket, Histogram, Timeline

SAMPLES = st.lists(
    st.tuples(
        st.floats(0, 5000, allow_nan=False),
        st.integers(-(1 << 40), 1 << 50),
        st.integers(0, 10_000),
        st.integers(0, 500),
    ),
    max_size=40,
)


def recorded(samples: list[tuple[float, int, int, int]], operation: str = "copy") -> Timeline:
    """Returns a record of samples: seconds since the one before, bytes, items, and requests at a time."""
    timeline, now, totals = Timeline(operation), 0.0, Bucket()
    for passed, size, items, concurrency in samples:
        now += passed
        totals = Bucket(totals.bytes + size, totals.items + items, concurrency=concurrency)
        timeline.sample(now, totals)
    return timeline


@given(SAMPLES)
def test_merging_buckets_keeps_the_sums(samples: list[tuple[float, int, int, int]]) -> None:
    """However long a call lasts, and however late samples are taken, the sums are exact and the buckets few."""
    timeline = recorded(samples)
    assert timeline.totals.bytes == sum(size for _, size, *_ in samples)
    assert timeline.totals.items == sum(items for *_, items, _ in samples)
    assert timeline.totals.concurrency == max((most for *_, most in samples), default=0)
    assert len(timeline.buckets) <= MAX_BUCKETS
    assert timeline.seconds == pytest.approx(sum(passed for passed, *_ in samples))
    assert len(timeline.buckets) * timeline.width <= timeline.seconds + timeline.width * 1.001


@given(SAMPLES, SAMPLES)
def test_joining_records_keeps_the_sums(
    first: list[tuple[float, int, int, int]], second: list[tuple[float, int, int, int]]
) -> None:
    """Two calls that followed one another have one record, as long as both."""
    reports = [TransferReport(), TransferReport(), TransferReport()]
    reports[0].timeline, reports[2].timeline = recorded(first), recorded(second)
    whole = joined_timeline(reports)
    assert whole is not None
    for name in ("bytes", "items"):
        sums = (getattr(each.timeline.totals, name) for each in reports if each.timeline is not None)
        assert getattr(whole.totals, name) == sum(sums)
    assert whole.seconds == pytest.approx(reports[0].timeline.seconds + reports[2].timeline.seconds)
    assert len(whole.buckets) <= MAX_BUCKETS


def test_a_late_sample_is_spread_over_its_time() -> None:
    """A loop that was busy for a second does not show as a peak."""
    timeline = Timeline()
    timeline.sample(1.0, Bucket(bytes=2000, items=7))
    assert [bucket.bytes for bucket in timeline.buckets] == [100] * 20
    assert sum(bucket.items for bucket in timeline.buckets) == 7


def test_bins_of_a_histogram() -> None:
    """Bins are powers of two; what is beyond the last one belongs to it."""
    histogram = Histogram(1e-4)
    for value in (-1.0, 0.0, 0.00005, 0.0001, 0.00039, 1e30):
        histogram.add(value)
    bins = histogram.bins()
    assert [count for *_, count in bins] == [3, 1, 1, 1]
    assert bins[1][:2] == pytest.approx((1e-4, 2e-4))
    assert histogram.count == 6


@given(st.lists(st.floats(0, 1e6), max_size=200))
def test_the_slowest_items_are_kept(times: list[float]) -> None:
    """The twenty slowest, the slowest first."""
    timeline = Timeline()
    for number, seconds in enumerate(times):
        timeline.add(f"a{number}", "b", 1, seconds)
    assert [item.seconds for item in timeline.slowest] == sorted(times, reverse=True)[:20]
    assert timeline.durations.count == len(times)


def test_only_transfers_are_measured() -> None:
    """What was skipped, deleted or failed has no size and no duration."""
    report = TransferReport()
    report.timeline = Timeline()
    report.note(TransferResult("a", "b", 3, 0.5))
    report.note(TransferResult("a", "b", skipped="exists"))
    report.note(TransferResult("a", "b", deleted=True))
    assert (len(report), report.timeline.sizes.count) == (3, 1)
    assert report.skip_reasons() == {"exists": 1}
    assert report.counts == {"failed": 0, "skipped": 1, "deleted": 1}


def test_a_record_can_be_copied() -> None:
    """With its report, and in plain JSON types."""
    report = TransferReport([TransferResult("a", "b", 3, 0.5)])
    report.timeline = recorded([(0.1, 3, 1, 4)])
    copy = pickle.loads(pickle.dumps(report))
    assert copy.to_dict() == report.to_dict()
    assert copy.to_dict()["timeline"]["buckets"][0]["concurrency"] == 4


def fill(timeline: Timeline, count: int) -> float:
    """Adds items, and samples as often as a call that moves 2,000 items a second; returns the CPU seconds it took."""
    source = random.Random(1)
    values = [(f"source-{number}", source.randrange(1 << 24), source.random()) for number in range(1000)]
    started = process_time()
    for number in range(count):
        name, size, seconds = values[number % 1000]
        timeline.add(name, "destination", size, seconds)
        if number % 100 == 0:
            totals = Bucket(number * 1000, number, item_seconds=timeline.item_seconds)
            timeline.sample(number / 2000, totals)
    return process_time() - started


def size_of_record(count: int) -> int:
    """Returns the most bytes that a record of so many items takes."""
    tracemalloc.start()
    try:
        fill(Timeline(), count)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_record_is_small_and_cheap() -> None:
    """It takes under 1 MiB, and a fraction of the CPU of an item, which takes at least 100 µs."""
    assert size_of_record(20_000) < 1 << 20
    assert min(fill(Timeline(), 20_000) for _ in range(3)) / 20_000 < 20e-6


@pytest.mark.long
def test_a_million_items_are_recorded_in_bounds() -> None:
    """The same for a million items."""
    assert size_of_record(1_000_000) < 1 << 20
    assert fill(Timeline(), 1_000_000) / 1_000_000 < 20e-6
