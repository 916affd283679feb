"""The data that `write` takes: bytes, open binary files, and iterables of bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from functools import partial
from typing import BinaryIO

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import ConfigurationError

__all__ = ["WrittenData", "chunks_of_data"]

WrittenData = bytes | bytearray | memoryview | BinaryIO | AsyncIterable[bytes] | Iterable[bytes]
"""Bytes, an open binary file (from its position to its end), or an iterable of bytes, asynchronous or not."""

_CHUNK = 1 << 20


async def chunks_of_data(data: WrittenData, threads: Threads) -> AsyncGenerator[bytes, None]:
    """Yields data in chunks. Files and iterables that may block are read in worker threads.

    Raises:
        ConfigurationError: it is a text, or something else that is not bytes.
    """
    if isinstance(data, bytes | bytearray | memoryview):
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _CHUNK):
            yield bytes(view[start : start + _CHUNK])
    elif isinstance(data, AsyncIterable):
        async for chunk in data:
            yield chunk
    elif hasattr(data, "read"):
        read = partial(data.read, _CHUNK)
        while chunk := await threads.run(read):
            yield _checked(chunk)
    elif isinstance(data, Iterable) and not isinstance(data, str):
        remaining, end = iter(data), object()
        while (found := await threads.run(next, remaining, end)) is not end:
            yield _checked(found)
    else:
        raise _not_bytes(data)


def _checked(chunk: object) -> bytes:
    if not isinstance(chunk, bytes | bytearray | memoryview):
        raise _not_bytes(chunk)
    return bytes(chunk)


def _not_bytes(data: object) -> ConfigurationError:
    return ConfigurationError(
        f"data of type {type(data).__name__} is not allowed; encode text, open files in binary mode, or give an "
        "iterable of bytes"
    )
