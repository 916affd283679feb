from __future__ import annotations

import dataclasses
import json

import pytest

from dxflow_async.exceptions import NotFoundError
from dxflow_async.models import Item, Progress, TransferReport, TransferResult


@pytest.fixture
def report() -> TransferReport:
    """One good, one failed, one skipped."""
    results = [
        TransferResult("a", "/b/a", bytes=10, attempts=3, verified=True, checksum="crc32c:AAAAAA=="),
        TransferResult("c", "/b/c", bytes=4, error=NotFoundError("gone")),
        TransferResult("d", "/b/d", skipped="not a regular file"),
    ]
    return TransferReport(results, 2.0)


def test_report_is_a_sequence(report: TransferReport) -> None:
    """It has a length, items, slices, and can be gone through."""
    assert len(report) == 3
    assert report[0].source == "a"
    assert [result.source for result in report[1:]] == ["c", "d"]
    assert [result.source for result in report] == ["a", "c", "d"]
    assert report[0] in report


def test_report_sums_up(report: TransferReport) -> None:
    """Bytes of failed items do not count."""
    assert (report.bytes, report.retries, report.verified, report.goodput) == (10, 2, 1, 5.0)
    assert [result.source for result in report.failed] == ["c"]
    assert [result.source for result in report.skipped] == ["d"]
    assert not report.ok
    assert TransferReport([], 0.0).ok
    assert TransferReport([], 0.0).goodput == 0.0


def test_report_becomes_json(report: TransferReport) -> None:
    """Its dict is plain JSON."""
    tree = json.loads(json.dumps(report.to_dict()))
    assert tree["bytes"] == 10
    assert [item["error"] for item in tree["items"]] == [None, "gone", None]


def test_repr_is_short(report: TransferReport) -> None:
    """A report of a million items prints as one line."""
    assert repr(report) == "<TransferReport items=3 failed=1 bytes=10 seconds=2.00>"


def test_values_are_frozen_and_hashable() -> None:
    """They can be shared, compared, and kept in sets."""
    item = Item("a", "/b/a", metadata={"x": "y"})
    with pytest.raises(dataclasses.FrozenInstanceError):
        item.size = 3  # type: ignore[misc]
    assert {item, Item("a", "/b/a", metadata={"x": "y"})} == {item}


def test_progress_tells_goodput() -> None:
    """Bytes a second, and nothing before any time has passed."""
    assert Progress(1, 2, 100, None, 0, 0, 4.0).goodput == 25.0
    assert Progress(0, None, 0, None, 0, 0, 0.0).goodput == 0.0
