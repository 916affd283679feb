"""Streams of items: what cancelling, closing and dropping them does."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from dxflow_async.concurrency.item_stream import AsyncItemStream
from dxflow_async.concurrency.ownership import Owner


class Source:
    """Yields batches of numbers, each of them when it is allowed to."""

    def __init__(self, batches: Sequence[Sequence[int]] = ((1, 2), (), (3,))) -> None:
        self.batches = batches
        self.gate = asyncio.Event()
        self.closed = 0
        self.ended = asyncio.Event()

    async def items(self) -> AsyncGenerator[Sequence[int], None]:
        """The generator."""
        try:
            for batch in self.batches:
                await self.gate.wait()
                yield batch
        finally:
            await asyncio.sleep(0)
            self.closed += 1
            self.ended.set()

    def stream(self) -> AsyncItemStream[int]:
        """The stream over it."""
        return AsyncItemStream(self.items(), Owner(self))


pytestmark = pytest.mark.every_loop


async def test_cancelled_anext_loses_nothing() -> None:
    """After timeouts, in the same task and in tasks of their own, every item comes, once and in order."""
    source = Source()
    stream = source.stream()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.001)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await anext(stream)
    source.gate.set()
    assert [item async for item in stream] == [1, 2, 3]
    assert source.closed == 1


async def test_cancelled_while_the_item_arrives() -> None:
    """A wait that is cancelled in the very moment in which the item is there keeps it for the next one."""
    for turns in range(6):
        source = Source()
        stream = source.stream()
        waiting = asyncio.create_task(stream.asend(None))
        await asyncio.sleep(0)
        source.gate.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        got = [] if waiting.cancel() else [waiting.result()]
        await asyncio.wait([waiting])
        got += [] if waiting.cancelled() or got else [waiting.result()]
        got += [item async for item in stream]
        assert got == [1, 2, 3], turns


async def test_several_waiters_share_the_stream() -> None:
    """Each item goes to one of them."""
    source = Source([[n] for n in range(6)])
    source.gate.set()
    stream = source.stream()
    assert sorted(await asyncio.gather(*(anext(stream) for _ in range(6)))) == list(range(6))
    assert [item async for item in stream] == []


async def test_closing_ends_a_wait() -> None:
    """`aclose` cancels the step that runs, waits for its clean-up, and leaves an ended stream."""
    source = Source()
    stream = source.stream()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(stream), 0.001)
    await stream.aclose()
    assert source.closed == 1
    source.gate.set()
    assert [item async for item in stream] == []
    await stream.aclose()


async def test_aclosing_closes_in_the_middle() -> None:
    """`contextlib.aclosing` and a `break` end the generator."""
    source = Source()
    source.gate.set()
    async with aclosing(source.stream()) as stream:
        async for item in stream:
            assert item == 1
            break
    assert source.closed == 1


@pytest.mark.parametrize("begun", [True, False])
async def test_dropped_streams_are_closed(begun: bool) -> None:
    """A stream that nobody holds any more ends its generator, also one whose step waits."""
    source = Source()
    stream = source.stream()
    if begun:
        source.gate.set()
        assert await anext(stream) == 1
        source.gate.clear()
    else:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.001)
    del stream
    gc.collect()
    async with asyncio.timeout(5):
        await source.ended.wait()


async def test_errors_pass_through_once() -> None:
    """The generator's own error reaches who waits, and the stream has ended then."""

    async def items() -> AsyncGenerator[Sequence[int], None]:
        yield (1,)
        raise ZeroDivisionError

    stream = AsyncItemStream(items(), Owner(object))
    assert await anext(stream) == 1
    with pytest.raises(ZeroDivisionError):
        await anext(stream)
    assert [item async for item in stream] == []
