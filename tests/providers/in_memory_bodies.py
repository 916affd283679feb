"""Bodies to be written, the bytes of objects, and why keys were not deleted."""

from __future__ import annotations

from collections.abc import Sequence

from dxflow_async.providers.contract import Provider
from dxflow_async.testing.bodies import BrokenBody, body

__all__ = ["BrokenBody", "body", "first_failure", "read"]


async def read(
    provider: Provider, key: str, start: int = 0, end: int | None = None, *, etag: str | None = None
) -> bytes:
    """Returns the bytes of an object."""
    async with await provider.read(key, start, end, etag=etag) as reading:
        data = b"".join([bytes(chunk) async for chunk in reading])
        assert len(data) == reading.size
        return data


async def first_failure(provider: Provider, keys: Sequence[str]) -> None:
    """Deletes keys, and raises the first of their errors."""
    for error in (await provider.delete(keys)).values():
        raise error
