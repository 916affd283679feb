from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from dxflow_async import Settings
from dxflow_async.exceptions import (
    ChecksumMismatchError,
    ConfigurationError,
    NotFoundError,
    ServiceError,
    StorageError,
)
from dxflow_async.models import Progress, TransferReport, TransferResult
from dxflow_async.providers.contract import Part
from dxflow_async.transfer import engine, progress
from dxflow_async.transfer.adaptive_limit import AdaptiveLimit
from dxflow_async.transfer.engine import Engine, TransferItem
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.plan import split
from dxflow_async.transfer.progress import Meter
from dxflow_async.transfer.resources import Resources
from tests.sessions import tasks

pytestmark = pytest.mark.every_loop


class Pool:
    """What the items of a test see of each other."""

    def __init__(self) -> None:
        self.at_work = self.most_at_work = 0
        self.open: set[str] = set()
        self.most_open = 0
        self.calls: Counter[tuple[str, str]] = Counter()


class FakeItem(TransferItem):
    """A item in memory: parts take some turns of the loop, and fail as told."""

    def __init__(
        self,
        pool: Pool,
        name: str,
        parts: int = 1,
        turns: int = 1,
        fail: Callable[[Part], Exception | None] = lambda part: None,
        finish: Callable[[], Exception | None] = lambda: None,
    ) -> None:
        self.size = parts
        self._pool, self._name, self._parts, self._turns = pool, name, parts, turns
        self._fail, self._finish = fail, finish
        self._attempts = 0

    @property
    def ends(self) -> tuple[str, str]:
        return self._name, self._name

    async def open(self) -> Iterator[Part]:
        self._attempts += 1
        self._called("open")
        self._pool.open.add(self._name)
        self._pool.most_open = max(self._pool.most_open, len(self._pool.open))
        return split(self._parts, 1)

    async def move(self, part: Part) -> None:
        self._called("move")
        self._pool.at_work += 1
        self._pool.most_at_work = max(self._pool.most_at_work, self._pool.at_work)
        try:
            for _ in range(self._turns):
                await asyncio.sleep(0)
            error = self._fail(part)
            if error is not None:
                raise error
        finally:
            self._pool.at_work -= 1

    async def finish(self) -> TransferResult:
        self._called("finish")
        error = self._finish()
        if error is not None:
            raise error
        self._pool.open.discard(self._name)
        return self.result(None)

    async def abort(self) -> None:
        self._called("abort")
        await asyncio.sleep(0)
        self._pool.open.discard(self._name)

    def result(self, error: StorageError | None) -> TransferResult:
        return TransferResult(self._name, self._name, self._parts, attempts=self._attempts, error=error)

    def _called(self, method: str) -> None:
        self._pool.calls[self._name, method] += 1


@pytest.fixture
def pool() -> Pool:
    return Pool()


async def plan_of(*items: TransferItem) -> AsyncIterator[TransferItem]:
    for item in items:
        yield item


async def run(items: AsyncIterator[TransferItem], workers: int = 8) -> TransferReport:
    before = tasks()
    try:
        async with asyncio.timeout(60):
            return await Engine(lambda: workers, Meter()).run(items)
    finally:
        assert tasks() == before


async def test_one_huge_job_uses_every_worker(pool: Pool) -> None:
    """The parts of one item are worked on at once, by as many workers as there may be."""
    report = await run(plan_of(FakeItem(pool, "huge", parts=500, turns=5)))
    assert report.ok
    assert pool.most_at_work == 8
    assert pool.calls["huge", "move"] == 500
    assert pool.calls["huge", "finish"] == 1


async def test_many_tiny_jobs_with_the_plan_a_little_ahead(pool: Pool) -> None:
    """Twenty thousand items are planned only as fast as they are done, few of them open at a time."""
    done, most_ahead = 0, 0

    async def plan() -> AsyncIterator[TransferItem]:
        nonlocal most_ahead
        for number in range(20_000):
            most_ahead = max(most_ahead, number - pool.calls.total() // 3)
            yield FakeItem(pool, str(number % 50), turns=0)

    report = await run(plan())
    done = len(report)
    assert done == 20_000
    assert most_ahead <= engine._PLANNED + 10
    assert pool.most_open <= 8


async def test_plan_failing_midway_keeps_what_was_planned(pool: Pool) -> None:
    """Jobs planned before it broke off are done, and the failure is an item of its own."""

    async def plan() -> AsyncIterator[TransferItem]:
        for number in range(20):
            yield FakeItem(pool, str(number))
        raise ServiceError("the listing failed", path="/bucket/")

    report = await run(plan())
    assert len(report) == 21
    assert [(result.source, str(result.error)) for result in report.failed] == [("/bucket/", "the listing failed")]


async def test_plan_failing_at_once_is_raised(pool: Pool) -> None:
    """Where nothing could be planned, the error itself is raised."""

    async def plan() -> AsyncIterator[TransferItem]:
        raise NotFoundError("no such directory")
        yield FakeItem(pool, "never")

    with pytest.raises(NotFoundError, match="no such directory"):
        await run(plan())


async def test_failing_part_aborts_its_job_only(pool: Pool) -> None:
    """One failure ends one item: it is aborted once, never finished, and the others are done."""
    bad = FakeItem(pool, "bad", parts=100, fail=lambda part: ServiceError("no") if part.number == 5 else None)
    report = await run(plan_of(*(FakeItem(pool, str(number), parts=3) for number in range(30)), bad))
    assert [result.source for result in report.failed] == ["bad"]
    assert len(report) == 31
    assert pool.calls["bad", "abort"] == 1
    assert pool.calls["bad", "finish"] == 0
    assert pool.calls["bad", "move"] < 100
    assert sum(pool.calls[str(number), "abort"] for number in range(30)) == 0


async def test_wrong_whole_is_done_again(pool: Pool) -> None:
    """A mismatch of the whole's checksum restarts the item; twice, then it is an error."""
    verdicts = [ChecksumMismatchError("flipped"), None]
    once = FakeItem(pool, "once", parts=4, finish=lambda: verdicts.pop(0))
    always = FakeItem(pool, "always", parts=4, finish=lambda: ChecksumMismatchError("flipped"))
    report = await run(plan_of(once, always))
    by_name = {result.source: result for result in report}
    assert by_name["once"].error is None
    assert by_name["once"].attempts == 2
    assert isinstance(by_name["always"].error, ChecksumMismatchError)
    assert by_name["always"].attempts == 3
    assert pool.calls["always", "abort"] == 3


async def test_restarted_last_job_is_not_lost_when_fewer_workers_are_allowed(pool: Pool) -> None:
    """Workers that became too many go; what is left to do is done by the others."""
    allowed = 40

    def fewer() -> ChecksumMismatchError | None:
        nonlocal allowed
        if allowed == 40:
            allowed = 1
            return ChecksumMismatchError("flipped")
        return None

    items = [FakeItem(pool, str(number), parts=40, turns=3, finish=fewer) for number in range(5)]
    async with asyncio.timeout(30):
        report = await Engine(lambda: allowed, Meter()).run(plan_of(*items))
    assert report.ok
    assert len(report) == 5


async def test_jobs_that_end_the_plan_are_done_by_fewer_workers(pool: Pool) -> None:
    """Idle workers that the plan's end wakes up do not leave while items wait, even when they are too many by then."""
    allowed = 20

    async def plan() -> AsyncIterator[TransferItem]:
        nonlocal allowed
        yield FakeItem(pool, "many", parts=100, turns=2)
        for _ in range(200):
            await asyncio.sleep(0)
        assert pool.calls["many", "finish"] == 1
        allowed = 5
        yield FakeItem(pool, "last")

    async with asyncio.timeout(30):
        report = await Engine(lambda: allowed, Meter()).run(plan())
    assert [result.source for result in report] == ["many", "last"]


async def test_more_workers_start_while_parts_are_under_way(pool: Pool) -> None:
    """When more workers are allowed, they start at once: parts may take long, and none of them has to end first."""
    allowed = 2
    works = Engine(lambda: allowed, Meter())
    running = asyncio.ensure_future(works.run(plan_of(FakeItem(pool, "large", parts=40, turns=1_000_000))))
    await _turn_until(lambda: pool.at_work == 2)
    allowed = 9
    works.call_workers()
    await _turn_until(lambda: pool.at_work == 9)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    works.call_workers()  # nothing is left to do
    assert pool.at_work == 0


async def test_a_call_follows_limits_that_rise(pool: Pool, tmp_path: Path) -> None:
    """The workers of a session's calls start when a limit of the session rises."""
    resources = Resources(Settings(home=tmp_path, journal=False))
    call = resources.begin(JobSpec("download", "source", "destination"), None)
    running = asyncio.ensure_future(call.run(plan_of(FakeItem(pool, "large", parts=300, turns=1_000_000))))
    before = resources.limits.workers()
    await _turn_until(lambda: pool.at_work == before)
    resources.limits.endpoints["somewhere"] = AdaptiveLimit(200, 120)
    resources.limits.count_workers()
    await _turn_until(lambda: pool.at_work == resources.limits.workers() > before)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not resources.limits.watchers
    await resources.aclose()


async def _turn_until(there: Callable[[], bool]) -> None:
    for _ in range(1000):
        if there():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not come")


@pytest.mark.parametrize("turns", [1, 3, 10, 30, 100])
async def test_cancellation_aborts_every_open_job_once(pool: Pool, turns: int) -> None:
    """Whenever it is cancelled: what was opened and not ended is aborted, once, and no task is left."""
    before = tasks()
    items = plan_of(*(FakeItem(pool, str(number), parts=5, turns=7) for number in range(50)))
    running = asyncio.ensure_future(Engine(lambda: 8, Meter()).run(items))
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert tasks() == before
    assert not pool.open
    for number in map(str, range(50)):
        ended = pool.calls[number, "abort"] + pool.calls[number, "finish"]
        assert ended == pool.calls[number, "open"] or pool.calls[number, "abort"] == 1


async def test_abort_that_hangs_does_not_hold_up_a_cancellation(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cleaning up has its time, and no more."""
    monkeypatch.setattr(engine, "_ABORT_SECONDS", 0.05)

    class Hanging(FakeItem):
        async def abort(self) -> None:
            self._called("abort")
            await asyncio.Event().wait()

    running = asyncio.ensure_future(Engine(lambda: 4, Meter()).run(plan_of(Hanging(pool, "hangs", turns=1_000_000))))
    for _ in range(10):
        await asyncio.sleep(0)
    running.cancel()
    started = monotonic()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 30)
    assert pool.calls["hangs", "abort"] == 1
    assert monotonic() - started >= 0.04


async def test_any_exception_is_the_failure_of_its_item(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    """What is no storage error fails its item, with the original as its cause and in the log; the others are done."""

    def broken(method: str) -> FakeItem:
        item = FakeItem(pool, method)

        async def fail() -> Any:
            raise ZeroDivisionError(f"a bug in {method}")

        item.__dict__[method] = fail if method != "move" else lambda part: fail()
        return item

    group = FakeItem(pool, "group", fail=lambda part: ExceptionGroup("some", [KeyError("inner")]))
    items = [broken("open"), broken("move"), broken("finish"), group]
    report = await run(plan_of(FakeItem(pool, "first"), *items, FakeItem(pool, "last")))
    failed = {each.source: each.error for each in report.failed if each.error is not None}
    assert sorted(failed) == ["finish", "group", "move", "open"]
    assert len(report) == 6
    for name in ("open", "move", "finish"):
        assert isinstance(failed[name], StorageError)
        assert isinstance(failed[name].__cause__, ZeroDivisionError)
        assert f"ZeroDivisionError: a bug in {name}" in str(failed[name])
    assert isinstance(failed["group"].__cause__, KeyError)
    logged = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(logged) == 4
    assert all(record.exc_info for record in logged)


async def test_a_clean_up_that_breaks_hides_no_failure(pool: Pool) -> None:
    """What `mend` and `abort` raise is logged; the item's own failure is in the report."""

    class Broken(FakeItem):
        async def mend(self) -> Iterator[Part] | None:
            raise LookupError("mend")

        async def abort(self) -> None:
            raise TypeError("abort")

    wrong = Broken(pool, "wrong", finish=lambda: ChecksumMismatchError("other bytes"))
    failing = Broken(pool, "failing", fail=lambda part: NotFoundError("gone"))
    report = await run(plan_of(wrong, failing))
    assert sorted(str(each.error) for each in report.failed) == ["gone", "other bytes"]


async def test_running_out_of_memory_is_no_items_failure(pool: Pool) -> None:
    """It comes out as it is, also where several raise it at once, and everything else is aborted."""
    items = [FakeItem(pool, str(number), fail=lambda part: MemoryError("no room")) for number in range(5)]
    with pytest.raises(MemoryError, match="no room"):
        await run(plan_of(*items))
    assert not pool.open


async def test_what_on_progress_raises_is_raised(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own exception is no item's failure: it ends the call as it is, and `on_progress` is not called again."""
    monkeypatch.setattr(progress, "_INTERVAL", 0.0)
    states: list[Progress] = []

    def show(state: Progress) -> None:
        states.append(state)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await Engine(lambda: 8, Meter(show)).run(plan_of(*(FakeItem(pool, str(number)) for number in range(30))))
    assert len(states) == 1
    assert not pool.open


async def test_a_wrong_setting_is_raised_where_nothing_else_is_to_be_told(pool: Pool) -> None:
    """A setting that fails every item is the call's error; where only some fail, it is theirs."""

    def refused(_: Part) -> Exception:
        return ConfigurationError("set the key")

    with pytest.raises(ConfigurationError, match="set the key"):
        await run(plan_of(*(FakeItem(pool, str(number), fail=refused) for number in range(3))))
    report = await run(plan_of(FakeItem(pool, "odd", fail=refused), FakeItem(pool, "even")))
    assert [(each.source, str(each.error)) for each in report.failed] == [
        ("odd", "transfer of odd to odd failed: set the key")
    ]


async def test_broken_off_plan_is_closed_at_once(pool: Pool) -> None:
    """The plan's own clean-up has run when the cancelled call ends."""
    closed = False

    async def plan() -> AsyncIterator[TransferItem]:
        nonlocal closed
        try:
            for number in range(1_000_000):
                yield FakeItem(pool, str(number % 8), turns=3)
        finally:
            await asyncio.sleep(0)
            closed = True

    running = asyncio.ensure_future(Engine(lambda: 8, Meter()).run(plan()))
    for _ in range(10):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert closed


async def test_empty_plan_is_an_empty_report() -> None:
    """Nothing to do is no failure."""
    report = await run(plan_of())
    assert len(report) == 0
    assert report.ok
