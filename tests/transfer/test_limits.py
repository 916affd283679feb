from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dxflow_async.concurrency.descriptors import Descriptors
from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ServiceError, StorageError, ThrottledError
from dxflow_async.providers.local.provider import LocalProvider
from dxflow_async.transfer import bandwidth
from dxflow_async.transfer.adaptive_limit import AdaptiveLimit, Permit
from dxflow_async.transfer.bandwidth import Bandwidth
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.memory_budget import MemoryBudget, MemoryShare
from tests.sessions import MiB


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock for limits, and for bandwidth."""
    clock = Clock()
    monkeypatch.setattr(bandwidth, "monotonic", clock)
    return clock


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("refused", "expected"), [(1, 39), (10, 35), (20, 30), (40, 20)])
async def test_a_step_down_is_as_large_as_the_share_that_was_refused(clock: Clock, refused: int, expected: int) -> None:
    """When all are refused half of the places go, when one is nearly none."""
    limit = AdaptiveLimit(64, 40, clock=clock)
    await _window(limit, clock, 40, refused)
    assert limit.limit == expected


async def test_answers_that_were_on_their_way_decrease_nothing(clock: Clock) -> None:
    """What was in flight at a step down is the same event; what is sent after it decreases again."""
    limit = AdaptiveLimit(64, 40, clock=clock)
    permits = [await limit.acquire() for _ in range(40)]
    clock.now += 0.3
    for permit in permits:
        limit.release(permit, ThrottledError("slow down"))
    assert limit.limit == 20
    await _window(limit, clock, 20, 20)
    assert limit.limit == 10


async def test_a_request_that_is_refused_counts(clock: Clock) -> None:
    """What requests raise comes through, their places are given back, and refusals are a reason to step down."""
    limit = AdaptiveLimit(64, 40, clock=clock)

    async def refuse() -> None:
        clock.now += 0.3
        raise ThrottledError("slow down")

    requests = [asyncio.ensure_future(limit.run(refuse)) for _ in range(8)]
    assert all(isinstance(error, ThrottledError) for error in await asyncio.gather(*requests, return_exceptions=True))
    assert (limit.in_flight, limit.limit) == (0, 20)


async def test_workers_follow_the_limits(clock: Clock, tmp_path: Path) -> None:
    """As many parts are worked on as the widest endpoint lets be in flight, and a few more."""
    budgets = Limits(max_concurrency=256, max_memory_bytes=64 * MiB)
    threads = Threads(1)
    provider = LocalProvider(tmp_path, threads)
    provider.features = replace(provider.features, endpoint="somewhere")
    before, limit = budgets.workers(), AdaptiveLimit(256, clock=clock, on_change=budgets.count_workers)
    budgets.endpoints["somewhere"] = limit
    assert budgets.requests(provider) is limit
    for _ in range(3):
        await _full_window(limit, clock)
    assert budgets.workers() - before == limit.limit - 48 > 0
    threads.close()


def test_calls_of_a_session_share_an_endpoints_limit(tmp_path: Path) -> None:
    """Two remotes at one endpoint have one limit, in later calls too; another endpoint has its own."""
    limits, threads = Limits(max_concurrency=256, max_memory_bytes=64 * MiB), Threads(1)
    providers = [LocalProvider(tmp_path, threads) for _ in range(3)]
    for provider, endpoint in zip(providers, ("somewhere", "somewhere", "elsewhere"), strict=True):
        provider.features = replace(provider.features, endpoint=endpoint)
    one, same, other = map(limits.requests, providers)
    assert one is same is limits.requests(providers[0])
    assert other is not one
    threads.close()


def test_a_provider_says_how_many_requests_come_first(tmp_path: Path) -> None:
    """A service that one slow disk may stand behind gets two requests of each size at the start."""
    limits, threads = Limits(max_concurrency=64, max_memory_bytes=64 * MiB), Threads(1)
    provider = LocalProvider(tmp_path, threads)
    provider.features = replace(provider.features, endpoint="somewhere", first_requests=2)
    limit = limits.requests(provider)
    assert limit is not None
    assert (limit.limit, limit.read_limit, limit.places) == (2, 2, 4)
    threads.close()


async def test_limit_never_falls_below_one(clock: Clock) -> None:
    """However often it is throttled, one request stays allowed."""
    limit = AdaptiveLimit(8, clock=clock)
    for _ in range(50):
        await _window(limit, clock, 8, 8)
    assert limit.limit == 1
    limit.release(await asyncio.wait_for(limit.acquire(), 5))


async def test_limit_grows_again_after_throttling(clock: Clock) -> None:
    """Windows in which all places were taken bring it back to where it began."""
    limit = AdaptiveLimit(64, 16, clock=clock)
    await _window(limit, clock, 16, 16)
    assert limit.limit == 8
    for _ in range(20):
        await _full_window(limit, clock)
    assert limit.limit >= 16


async def _window(limit: AdaptiveLimit, clock: Clock, requests: int, refused: int) -> None:
    """So many requests in flight at a time, or as many as may be, some of them refused, answered after a window."""
    permits = [await limit.acquire() for _ in range(min(requests, limit.limit))]
    for number, permit in enumerate(permits):
        clock.now += (number == len(permits) - 1) * 1.0
        limit.release(permit, ThrottledError("slow down") if number < refused else None)


async def test_limit_grows_while_goodput_does_and_stops_at_the_maximum(clock: Clock) -> None:
    """As long as more requests take no longer, there are more of them, up to the maximum."""
    limit = AdaptiveLimit(24, 16, clock=clock)
    for _ in range(20):
        await _full_window(limit, clock)
    assert limit.limit == 24


async def test_a_maximum_that_changes_holds_at_once(clock: Clock) -> None:
    """A worker whose share of the requests falls makes fewer; when it rises again, more are found to be of use."""
    limit = AdaptiveLimit(16, 8, clock=clock)
    for _ in range(20):
        await _full_window(limit, clock)
    assert limit.limit == 16
    limit.change_maximum(4)
    assert (limit.limit, limit.read_limit) == (4, 4)
    limit.change_maximum(40)
    for _ in range(20):
        await _full_window(limit, clock)
    assert limit.limit == 40


async def test_limit_stays_where_it_is_not_used_up(clock: Clock) -> None:
    """Without waiters nothing is learnt about more places."""
    limit = AdaptiveLimit(64, 16, clock=clock)
    for _ in range(20):
        async with limit.place():
            clock.now += 1
    assert limit.limit == 16


async def _full_window(limit: AdaptiveLimit, clock: Clock) -> None:
    permits = [await limit.acquire() for _ in range(limit.limit)]
    waiting = asyncio.ensure_future(limit.acquire())
    await settle()
    clock.now += 1
    for permit in permits:
        limit.release(permit)
    limit.release(await waiting)


async def test_places_are_given_in_order() -> None:
    """Who waits longest is served first."""
    limit, served = AdaptiveLimit(1, 1), []

    async def work(number: int) -> None:
        async with limit.place():
            served.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*map(work, range(50)))
    assert served == list(range(50))


@given(moments=st.lists(st.integers(0, 6), min_size=1, max_size=20), places=st.integers(1, 3))
@settings(deadline=None)
def test_cancelled_waiters_leak_no_place(moments: list[int], places: int) -> None:
    """Whenever waiters are cancelled, all places are free in the end, and never more are taken than there are."""

    async def run() -> None:
        limit = AdaptiveLimit(places, places)
        most = 0

        async def work() -> None:
            nonlocal most
            async with limit.place():
                most = max(most, limit.in_flight)
                await asyncio.sleep(0)

        workers = [asyncio.ensure_future(work()) for _ in range(20)]
        for moment, victim in zip(moments, itertools.cycle(workers), strict=False):
            for _ in range(moment):
                await asyncio.sleep(0)
            victim.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        assert limit.in_flight == 0
        assert most <= places

    asyncio.run(run())


async def test_fewer_large_requests_are_in_flight() -> None:
    """Large requests have a limit of their own, which is lower; small ones pass by those that wait for it."""
    limit, inside = AdaptiveLimit(64), {0: 0, MiB: 0}

    async def work(size: int) -> None:
        async def request() -> None:
            inside[size] += 1
            await asyncio.sleep(3600)

        await limit.run(request, size)

    workers = [asyncio.ensure_future(work(size)) for size in [MiB] * 50 + [0] * 50]
    await asyncio.sleep(0.01)
    assert (inside, limit.in_flight) == ({MiB: 6, 0: 48}, 54)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert limit.in_flight == 0
    async with asyncio.timeout(1):
        await asyncio.gather(*(limit.acquire(MiB) for _ in range(6)))


async def test_only_throttling_is_throttling(clock: Clock) -> None:
    """Requests that failed otherwise give their places back and take none away."""
    limit = AdaptiveLimit(16, clock=clock)
    for error, expected in ((ServiceError("failed"), 16), (ThrottledError("slow down"), 8)):
        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(_failing(limit, clock, error))
        assert (limit.in_flight, limit.limit) == (0, expected)


async def _failing(limit: AdaptiveLimit, clock: Clock, error: StorageError) -> None:
    with suppress(StorageError):
        async with limit.place():
            await asyncio.sleep(0)
            clock.now += 0.1
            raise error


async def test_a_call_of_the_other_size_is_not_held_up() -> None:
    """However many large requests wait, a small one enters at once, and the other way round."""
    limit = AdaptiveLimit(256)
    for size, other in ((MiB, 0), (0, MiB)):
        waiting = [asyncio.ensure_future(limit.acquire(size)) for _ in range(100)]
        await settle()
        limit.release(await asyncio.wait_for(limit.acquire(other), 5))
        for each in waiting:
            each.cancel()
        for entered in await asyncio.gather(*waiting, return_exceptions=True):
            if isinstance(entered, Permit):
                limit.release(entered)
    assert limit.in_flight == 0


Step = tuple[int, int, bool]


@given(
    size=st.integers(1, 100),
    steps=st.lists(st.tuples(st.integers(0, 150), st.integers(0, 4), st.booleans()), max_size=30),
)
@settings(deadline=None)
def test_memory_is_never_over_and_ends_empty(size: int, steps: list[Step]) -> None:
    """Whatever is taken, held and cancelled: never more is used than there is, and all comes back."""

    async def run() -> None:
        budget = MemoryBudget(size)

        async def hold(wanted: int, turns: int) -> None:
            taken = await budget.take(wanted)
            try:
                assert taken == min(wanted, size)
                assert budget.used <= size
                for _ in range(turns):
                    await asyncio.sleep(0)
            finally:
                budget.give(taken)

        holders = []
        for number, (wanted, turns, cancel) in enumerate(steps):
            holders.append(asyncio.ensure_future(hold(wanted, turns)))
            if cancel:
                for _ in range(turns):
                    await asyncio.sleep(0)
                holders[number // 2].cancel()
        async with asyncio.timeout(10):
            results = await asyncio.gather(*holders, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
        assert budget.used == 0

    asyncio.run(run())


async def test_large_request_is_not_starved() -> None:
    """Small ones that come later wait behind a large one."""
    budget = MemoryBudget(10)
    await budget.take(6)
    large = asyncio.ensure_future(budget.take(8))
    await settle()
    small = asyncio.ensure_future(budget.take(1))
    await settle()
    assert not large.done()
    assert not small.done()
    budget.give(6)
    assert await large == 8
    assert await small == 1


async def test_large_objects_leave_memory_to_small_ones() -> None:
    """While large requests take all the memory that they may, and wait for more, small ones still get some."""
    budget = MemoryBudget(64 * MiB)
    large = [asyncio.ensure_future(budget.take(8 * MiB)) for _ in range(20)]
    await settle()
    assert budget.used == 56 * MiB
    small = [asyncio.ensure_future(budget.take(64 << 10)) for _ in range(200)]
    await settle()
    assert sum(each.done() for each in small) == 8 * MiB // (64 << 10)
    for _ in range(20):
        for each in (*large, *small):
            if each.done() and not each.cancelled():
                budget.give(each.result())
        large, small = [each for each in large if not each.done()], [each for each in small if not each.done()]
        await settle()
    assert (large, small, budget.used) == ([], [], 0)


async def test_cancelled_large_request_lets_others_pass() -> None:
    """Who waits behind a request that is given up does not wait for it."""
    budget = MemoryBudget(10)
    await budget.take(6)
    large, small = asyncio.ensure_future(budget.take(8)), asyncio.ensure_future(budget.take(3))
    await settle()
    large.cancel()
    assert await asyncio.wait_for(small, 5) == 3
    assert budget.used == 9


async def test_a_share_leaves_memory_to_others() -> None:
    """What holds a share takes no more than it, waits for the whole budget too, and gives everything back."""
    budget = MemoryBudget(10)
    share, other = MemoryShare(budget, 6), MemoryShare(budget, 6)
    assert (share.try_take(9), share.try_take(1)) == (6, 0)
    waiting = asyncio.ensure_future(other.take(5))
    await settle()
    assert (other.try_take(1), waiting.done(), share.used, budget.used) == (0, False, 6, 6)
    share.give(6)
    assert await waiting == 5
    cancelled = asyncio.ensure_future(share.take(6))
    await settle()
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    assert (share.used, other.used, budget.used) == (0, 5, 5)
    assert share.try_take(5) == 5
    other.give(5)
    share.give(5)
    assert budget.used == 0


async def test_bandwidth_keeps_the_rate(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over any while, the burst and the rate's worth pass, and no more."""
    slept = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal slept
        slept += seconds
        clock.now += seconds

    monkeypatch.setattr(asyncio, "sleep", sleep)
    bandwidth = Bandwidth(1000, burst=0.25)
    for _ in range(100):
        await bandwidth.take(100)
    assert slept == pytest.approx(10 - 0.25)


async def test_bandwidth_serves_takers_at_once_by_turns() -> None:
    """Takers at the same time share the line: together they take as long as one after the other."""
    bandwidth, loop = Bandwidth(100_000, burst=0.0), asyncio.get_running_loop()
    started = loop.time()
    await asyncio.gather(*(bandwidth.take(1000) for _ in range(20)))
    assert loop.time() - started >= 0.19


def test_workers_follow_the_endpoints() -> None:
    """There are as many workers as requests may be in flight, and a few to read ahead, within the maximum."""
    assert Limits(4, 1 << 20).workers() == 8
    assert Limits(64, 1 << 20).workers() == 58


def test_reads_that_are_written_leave_their_workers_to_others() -> None:
    """Reads that are landing take no place among the requests, so as many workers more run; bounded all the same."""
    limits = Limits(64, 1 << 20)
    limits.landing.count = 10
    assert limits.workers() == 68
    limits.landing.count = 10_000
    assert limits.workers() == 2 * 58
    tight = Limits(64, 1 << 20, descriptors=Descriptors(workers=8, finishing=4, connections=17))
    before = tight.workers()
    tight.landing.count = 10
    assert tight.workers() == before
