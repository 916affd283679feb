"""A service that takes so many requests a second: fewer are in flight while it does, and more afterwards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from time import monotonic

import pytest

from dxflow_async.transfer.retry import RetryPolicy
from tests.faults.proxied_providers import Site, make_tree
from tests.faults.proxy import Dialect, FaultProxy, Mode, TokenBucket

_log = logging.getLogger("tests.faults")

LATENCY = 0.1
RATE = 80.0

_WORDS: dict[Dialect, Mode] = {"AWS": "slow_down", "AZURE": "slow_down", "GCP": "too_many", "UNIT": "too_many"}


class Watch:
    """How many requests are in flight, looked at again and again."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._seen: list[tuple[float, int]] = []

    async def look(self) -> None:
        while True:
            self._seen.append((monotonic(), self._proxy.in_flight))
            await asyncio.sleep(0.02)

    def mean(self, start: float, end: float) -> float:
        """The mean between two moments."""
        return mean(count for at, count in self._seen if start <= at < end)


@dataclass(frozen=True)
class Figures:
    """The mean number of requests in flight before, during and after a storm, and the share of the rate that was used.

    The first two seconds of a storm are left out: concurrency falls in them.
    """

    before: float
    during: float
    after: float
    goodput: float


async def storm(site: Site, tmp_path: Path, before: float, during: float, after: float) -> Figures:
    """Downloads for so many seconds, of which the service takes `RATE` requests a second during the storm."""
    tree, throttled = make_tree(tmp_path / "tree", 1), _WORDS[site.name]
    bucket = TokenBucket(1e9)
    proxy = site.proxy(throttle=bucket, throttled=throttled, retry_after=1, latency=LATENCY)
    watch, end = Watch(proxy), asyncio.Event()

    def pairs() -> Iterator[tuple[str, str]]:
        number = 0
        while not end.is_set():
            number += 1
            yield site / "small-0000", str(tmp_path / "back" / f"{number % 100}")

    async with proxy.running(), site.session(tmp_path / "home", proxy.endpoint) as session:
        session._resources.policy = RetryPolicy()  # with the waits of use
        storage = await site.storage(session)
        await storage.upload(f"{tree}/", site / "")
        looking = asyncio.ensure_future(watch.look())
        first = len(proxy.served)
        downloading = asyncio.ensure_future(storage.download_many(pairs()))
        while len(proxy.served) < first + 20:  # noqa: ASYNC110 - the proxy signals nothing; a slow start does not count
            await asyncio.sleep(0.02)
        await asyncio.sleep(before)
        begun, bucket.rate = monotonic(), RATE
        await asyncio.sleep(during)
        ended, bucket.rate = monotonic(), 1e9
        await asyncio.sleep(after)
        end.set()
        report = await downloading
        looking.cancel()
    assert report.ok
    served = sum(begun + 2 <= at < ended for at in proxy.served)
    figures = Figures(
        before=watch.mean(begun - 1, begun),
        during=watch.mean(begun + 2, ended),
        after=watch.mean(ended + after - 1, ended + after) if after else 0.0,
        goodput=served / (ended - begun - 2) / RATE,
    )
    refused = proxy.faults["throttled"]
    _log.warning("%s %s: %s, %d refused, %d retries", site.name, throttled, figures, refused, report.retries)
    return figures


@pytest.mark.parametrize("which", ["azure", *(pytest.param(each, marks=pytest.mark.long) for each in ("gcp", "unit"))])
async def test_storm(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Concurrency is down two seconds after a service has begun to refuse, in its own words."""
    site: Site = request.getfixturevalue(which)
    figures = await storm(site, tmp_path, 1.5, 3.5, 0.0)
    assert figures.during < 0.6 * figures.before


@pytest.mark.parametrize(
    "which", ["aws", *(pytest.param(name, marks=pytest.mark.long) for name in ("azure", "gcp", "unit"))]
)
async def test_after_a_storm(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """After a storm concurrency is back up, and during it little of what is allowed was lost."""
    site: Site = request.getfixturevalue(which)
    figures = await storm(site, tmp_path, 2.0, 6.0, 6.0)
    assert figures.during < 0.6 * figures.before
    assert figures.after > 0.5 * figures.before
    assert figures.goodput >= 0.6
