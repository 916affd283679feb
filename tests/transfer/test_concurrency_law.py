"""How many requests are in flight is found, at modelled endpoints and without noise from a machine."""

from __future__ import annotations

from functools import partial

import pytest

from dxflow_async.transfer.adaptive_limit import INITIAL, AdaptiveLimit
from dxflow_async.transfer.concurrency_law import ConcurrencyLaw
from tests.transfer.simulated_endpoints import CappedConnections, Clock, SmallRequests

KiB, MiB = 1 << 10, 1 << 20

SMALL = {
    "loopback": SmallRequests(0.0005),
    "5 ms": SmallRequests(0.005),
    "40 ms": SmallRequests(0.04),
    "40 ms, noisy": SmallRequests(0.04, noise=0.5),
    "40 ms, many sizes": SmallRequests(0.04, client=3000, sizes=(KiB, 16 * KiB, 128 * KiB, 900 * KiB), bandwidth=20e6),
    "80 ms, quick client": SmallRequests(0.08, client=20000),
    "10 ms, serves 1,500/s": SmallRequests(0.01, rate=1500),
    "40 ms, serves 300/s": SmallRequests(0.04, rate=300),
    "20 ms, refuses above 2,000/s": SmallRequests(0.02, quota=2000),
    "20 ms, refuses above 200/s": SmallRequests(0.02, quota=200),
    "40 ms, refuses above 3,000/s": SmallRequests(0.04, quota=3000),
}

LARGE = {
    "fast": CappedConnections(1e12, 1.2e9, 0.0005),
    "20 MB/s a connection": CappedConnections(20e6, 1.2e9, 0.001),
    "20 MB/s a connection, 40 ms": CappedConnections(20e6, 1.2e9, 0.04),
    "90 MB/s a connection, 40 ms": CappedConnections(90e6, 1.2e9, 0.04),
    "90 MB/s a connection, 40 ms, a link of 1 GB/s": CappedConnections(90e6, 1e9, 0.04),
    "20 MB/s a connection, in bursts": CappedConnections(20e6, 1e9, 0.0005, burst=2_500_000),
    "20 MB/s a connection, 5 ms, in bursts": CappedConnections(20e6, 1e9, 0.005, burst=2_500_000),
    "a link of 100 MB/s": CappedConnections(1e12, 100e6, 0.02),
    "writes, fast": CappedConnections(1e12, 1.2e9, 0.0005, writes=True),
    "writes, 20 MB/s a connection": CappedConnections(20e6, 0.6e9, 0.001, writes=True),
    "writes, 20 MB/s a connection, 40 ms": CappedConnections(20e6, 1.2e9, 0.04, writes=True),
    "writes, 90 MB/s a connection, 5 ms": CappedConnections(90e6, 1.2e9, 0.005, writes=True),
    "writes, a link of 100 MB/s": CappedConnections(1e12, 100e6, 0.02, writes=True),
    "writes, a server of 230 MB/s": CappedConnections(1e12, 230e6, 0.005, writes=True),
}


@pytest.mark.parametrize("endpoint", SMALL.values(), ids=SMALL)
def test_small_requests(endpoint: SmallRequests) -> None:
    """After two seconds at most, as much is done as at the best fixed number, but for 15 %, and never below half."""
    best, run = endpoint.best(), endpoint.run(6.0)
    assert run.rate(2.0, 6.0) >= 0.85 * best
    assert min(run.rate(start / 2, start / 2 + 0.5) for start in range(4, 12)) >= 0.5 * best


@pytest.mark.parametrize("endpoint", LARGE.values(), ids=LARGE)
def test_large_requests(endpoint: CappedConnections) -> None:
    """After two seconds at most, as much moves as at the best fixed number, but for 15 %, and never below half."""
    best, run = endpoint.best(), endpoint.run(5.0)
    assert run.rate(2.0, 5.0) >= 0.85 * best
    assert min(run.rate(start / 2, start / 2 + 0.5) for start in range(4, 10)) >= 0.5 * best


def test_a_burst_misleads_for_one_window_at_most() -> None:
    """What buffers give at once is not what a step up gained: the next step is judged by what the first could gain."""
    law = ConcurrencyLaw(8, 512)
    for goodput, limit in ((100.0, 16), (800.0, 32), (400.0, 64)):  # twice the requests move twice as much, but for 800
        law.measured(goodput, None)
        assert law.limit == limit


def test_no_more_than_it_takes() -> None:
    """Where more requests in flight gain nothing, few are: latency and memory have a cost."""
    assert max(SMALL["loopback"].run(3.0).limits[20:]) <= 64
    assert max(LARGE["fast"].run(3.0).limits[20:]) <= 12
    assert max(LARGE["a link of 100 MB/s"].run(6.0).limits) <= 12
    assert max(LARGE["writes, fast"].run(6.0).limits) <= 12
    assert max(LARGE["writes, a server of 230 MB/s"].run(6.0).limits) <= 12


def _worked(clock: Clock, share: float) -> float:
    return share * clock.now


def test_a_busy_client_asks_for_no_more() -> None:
    """While the client's thread works all the time, more requests in flight would only wait for it."""
    found = []
    for share in (0.95, 0.5):
        clock = Clock()
        limit = AdaptiveLimit(512, clock=clock, work=partial(_worked, clock, share))
        SMALL["40 ms"].use(limit, clock, 3.0)
        found.append(limit.limit)
    assert found[0] == INITIAL < found[1]


def test_a_later_call_begins_where_the_last_one_was() -> None:
    """What was found is kept: after a minute without requests, the next call has as many in flight from the start."""
    clock, endpoint = Clock(), SMALL["40 ms"]
    limit = AdaptiveLimit(512, clock=clock)
    first = endpoint.use(limit, clock, 3.0)
    found = limit.limit
    clock.now += 60.0
    second = endpoint.use(limit, clock, 3.0)
    assert found > 2 * first.limits[0]
    assert min(second.limits) >= 0.9 * found
    assert second.rate(0.1, 0.5) >= 0.85 * endpoint.best()


def test_writes_find_that_a_service_serves_more() -> None:
    """After a time in which more large writes only waited for each other, more are made where that has ended."""
    clock = Clock()
    limit = AdaptiveLimit(512, clock=clock)
    found = []
    for waves, seconds_of in ((30, lambda number: 0.05 * number), (120, lambda _: 0.4)):
        for _ in range(waves):
            permits = []
            while (permit := limit.try_acquire(8 * MiB, writes=True)) is not None:
                permits.append(permit)
            clock.now += seconds_of(len(permits))
            for permit in permits:
                limit.release(permit)
        found.append(limit.write_limit)
    assert found[0] <= 12
    assert found[1] >= 24
