"""Calls of a session that share an endpoint: none of them waits for the end of another one."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from dxflow_async.transfer.adaptive_limit import LARGE_SIZE, AdaptiveLimit

LARGE_TURNS = 20
"""Turns of the loop that a large request takes here; a small one takes one."""


async def _call(limit: AdaptiveLimit, name: str, size: int, requests: int, ended: list[str]) -> None:
    """Makes the requests of one call, as many at a time as the endpoint allows, and a few that wait."""
    left = iter(range(requests))

    async def work() -> None:
        for _ in left:
            async with limit.place(size):
                for _ in range(LARGE_TURNS if size >= LARGE_SIZE else 1):
                    await asyncio.sleep(0)
            ended.append(name)

    await asyncio.gather(*(work() for _ in range(limit.limit + 4)))


async def test_two_calls_share_an_endpoint_by_turns() -> None:
    """Of two equal calls that run side by side, neither is far ahead of the other at any time."""
    limit, ended = AdaptiveLimit(6, 6), list[str]()
    await asyncio.gather(*(_call(limit, name, 1000, 120, ended) for name in ("one", "other")))
    for end in range(20, len(ended) + 1, 20):
        count = Counter(ended[:end])
        assert abs(count["one"] - count["other"]) <= end // 4 + 10


@pytest.mark.parametrize("maximum", [8, 64])
async def test_large_requests_do_not_starve_small_ones(maximum: int) -> None:
    """Small requests end while a call of large ones runs, also where the large ones could fill every place."""
    limit, ended = AdaptiveLimit(maximum, 4), list[str]()
    await asyncio.gather(_call(limit, "large", LARGE_SIZE, 60, ended), _call(limit, "small", 1000, 60, ended))
    last_small = len(ended) - 1 - ended[::-1].index("small")
    assert Counter(ended[:last_small])["large"] <= 30


@pytest.mark.parametrize("maximum", [8, 64])
async def test_small_requests_do_not_starve_large_ones(maximum: int) -> None:
    """Large requests end while a call of many small ones runs."""
    limit, ended = AdaptiveLimit(maximum, 4), list[str]()
    await asyncio.gather(_call(limit, "small", 1000, 2000, ended), _call(limit, "large", LARGE_SIZE, 12, ended))
    last_large = len(ended) - 1 - ended[::-1].index("large")
    assert Counter(ended[:last_large])["small"] <= 1000
