"""Units for the tests of their provider, and what passes between the two."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dxflow_async.exceptions import NetworkError, StorageError
from dxflow_async.providers.contract import Part, PartReceipt, Upload
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.unit.app import CONNECTION_OPTIONS, create_unit_app
from tests.providers.in_memory_bodies import body
from tests.server.running_hub import SECRETS

__all__ = ["BreakingOff", "Counter", "again", "again_with_failures", "own_unit"]

_PIECE = 128 << 10


@asynccontextmanager
async def own_unit(root: Path) -> AsyncIterator[str]:
    """The URL of a server of ours, in this process."""
    os.makedirs(root, exist_ok=True)
    server = Server(create_unit_app(root, SECRETS), Listening(), CONNECTION_OPTIONS)
    yield await server.start()
    await server.aclose(1.0)


class Counter:
    """Takes the place of a cap on bandwidth, and counts what the data plane sends and receives."""

    def __init__(self) -> None:
        self.bytes = 0

    async def take(self, size: int) -> None:
        self.bytes += size


async def again(upload: Upload, part: Part, data: bytes) -> PartReceipt:
    """A part that broke off, sent again until the server has seen that the first connection is gone."""
    _, receipt = await again_with_failures(upload, part, data)
    return receipt


async def again_with_failures(upload: Upload, part: Part, data: bytes) -> tuple[list[StorageError], PartReceipt]:
    """The same, with what failed meanwhile."""
    failures: list[StorageError] = []
    while len(failures) < 100:
        try:
            return failures, await upload.write_part(part, body(data))
        except StorageError as error:
            if not error.retryable:
                raise
            failures.append(error)
            await asyncio.sleep(0.05)
    raise AssertionError("it stays locked")


class BreakingOff:
    """A body that comes slowly, and breaks off.

    Args:
        data: the whole.
        after: bytes that come.
    """

    crc32c = None

    def __init__(self, data: bytes, after: int) -> None:
        self.size = len(data)
        self._data = data[:after]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._data), _PIECE):
            yield self._data[start : start + _PIECE]
            await asyncio.sleep(0.01)
        raise NetworkError("broke off")
