"""Bodies: their generators end with whoever takes their buffers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from dxflow_async.streams import Buffer, chunks_of
from dxflow_async.transfer.progress import MeteredBody


class Body:
    """A body that notes whether its generator has ended."""

    size = 3
    crc32c = None

    def __init__(self) -> None:
        self.ended = False

    async def __aiter__(self) -> AsyncIterator[Buffer]:
        try:
            for letter in b"abc":
                yield bytes([letter])
        finally:
            await asyncio.sleep(0)
            self.ended = True


@pytest.mark.parametrize("metered", [False, True])
async def test_a_generator_ends_with_the_block(*, metered: bool) -> None:
    """However the block is left, the generators have ended before it is, also those of a body within a body."""
    body = Body()
    kept: list[object] = []
    with suppress(LookupError):
        async with chunks_of(MeteredBody(body, lambda _: None) if metered else body) as chunks:
            kept.append(chunks)  # what a traceback does
            assert await anext(chunks) == b"a"
            raise LookupError
    assert body.ended
