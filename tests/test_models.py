from __future__ import annotations

import dataclasses
import json
import pickle

import pytest

from dxflow_async.exceptions import NotFoundError
from dxflow_async.models import Item, Progress, SyncAction, SyncPlan, TransferReport, TransferResult


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
    assert repr(report) == (
        "<TransferReport items=3 bytes=10 skipped=1 failed=1 deleted=0 retries=2 verified=1 seconds=2.00 goodput=5 "
        "concurrency=0>"
    )


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


def test_plan_is_a_compact_sequence() -> None:
    """Actions come back as they were, by index, slice and iteration, also when there are many."""
    actions = [SyncAction("copy" if n % 3 else "delete", f"d/{n}\udcff ü", n, "new") for n in range(12_500)]
    plan = SyncPlan(actions)
    assert list(plan) == actions
    assert (plan[0], plan[999], plan[11_000], plan[-1]) == (actions[0], actions[999], actions[11_000], actions[-1])
    assert plan[10_995:11_005] == actions[10_995:11_005]
    assert plan[::-500] == actions[::-500]
    with pytest.raises(IndexError):
        _ = plan[12_500]
    with pytest.raises(IndexError):
        _ = SyncPlan()[0]
    assert actions[11_700] in plan


def test_report_is_a_compact_sequence() -> None:
    """Results come back as they were, the failed ones with their very error, also when there are many."""
    gone = NotFoundError("gone", path="/b/7")
    results = [
        TransferResult(
            f"d/{n}\udcff", f"/b/{n}", n, 0.1 + n, error=gone if n % 1000 == 7 else None, verified=n % 2 == 0
        )
        for n in range(12_500)
    ]
    report = TransferReport(results, 1.0)
    assert len(report) == 12_500
    assert list(report) == results
    assert (report[11_006], report[-1], report[10_005:10_010]) == (results[11_006], results[-1], results[10_005:10_010])
    assert report[11_007].error is gone
    assert [result.source for result in report.failed] == [each.source for each in results if each.error]
    assert (report.bytes, report.verified) == (sum(n for n in range(12_500) if n % 1000 != 7), 6250)
    assert list(pickle.loads(pickle.dumps(report))[:7]) == results[:7]
    assert sum(map(len, filter(lambda group: isinstance(group, bytes), report._groups))) < 2 * 1000 * 40


def test_plan_sums_up() -> None:
    """Only what is copied counts as bytes; its dict is plain JSON."""
    actions = [SyncAction("copy", "a", 3, "new"), SyncAction("delete", "b", 5, "x"), SyncAction("skip", "c", 7, "y")]
    plan = SyncPlan(actions)
    assert (len(plan), plan.copies, plan.deletes, plan.skips, plan.bytes, plan.unchanged) == (3, 1, 1, 1, 3, 0)
    tree = json.loads(json.dumps(plan.to_dict()))
    assert tree["actions"][1] == {"kind": "delete", "path": "b", "size": 5, "reason": "x"}
    assert repr(plan) == "<SyncPlan copies=1 deletes=1 skips=1 unchanged=0 bytes=3>"


def test_what_was_deleted_is_told_apart() -> None:
    """Nothing of it moved."""
    report = TransferReport([TransferResult("a", "/b/a", bytes=10), TransferResult("", "/b/c", deleted=True)], 1.0)
    assert [result.destination for result in report.deleted] == ["/b/c"]
    assert (report.bytes, report.to_dict()["items"][1]["deleted"]) == (10, True)
