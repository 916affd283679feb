"""A service that takes so many requests a second: fewer are in flight while it does, and more afterwards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from time import monotonic

from tests.faults.proxied_providers import Site, make_tree
from tests.faults.proxy import Dialect, FaultProxy, Mode, TokenBucket

_log = logging.getLogger("tests.faults")

LATENCY = 0.1
RATE = 80.0
BEFORE, STORM, AFTER = 2.0, 6.0, 6.0

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


async def test_storm(site: Site, tmp_path: Path) -> None:
    """Concurrency is down two seconds after a storm begins, and back up after it; little of what is allowed is lost."""
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
        storage = await site.storage(session)
        await storage.upload(f"{tree}/", site / "")
        looking = asyncio.ensure_future(watch.look())
        downloading = asyncio.ensure_future(storage.download_many(pairs()))
        await asyncio.sleep(BEFORE)
        begun, bucket.rate = monotonic(), RATE
        await asyncio.sleep(STORM)
        ended, bucket.rate = monotonic(), 1e9
        await asyncio.sleep(AFTER)
        end.set()
        report = await downloading
        looking.cancel()
    before, during = watch.mean(begun - 1, begun), watch.mean(begun + 2, ended)
    after = watch.mean(ended + AFTER - 1, ended + AFTER)
    served = sum(begun + 2 <= at < ended for at in proxy.served)
    goodput = served / (ended - begun - 2) / RATE
    figures = "%s %s: in flight %.1f, %.1f in the storm, %.1f after; goodput %.0f %%, %d refused, %d retries"
    _log.warning(
        figures, site.name, throttled, before, during, after, 100 * goodput, proxy.faults["throttled"], report.retries
    )
    assert report.ok
    assert during < 0.6 * before
    assert after > 0.7 * before
    assert goodput >= 0.8
