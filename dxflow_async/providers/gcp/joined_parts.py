"""Reads the temporary objects of an upload as one body, for servers that do not compose objects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.contract import Buffer, Reader
from dxflow_async.providers.gcp.store import Version

__all__ = ["JoinedParts", "Piece", "refuses_compose"]


class Piece(NamedTuple):
    """A stretch of the object, stored as a temporary object."""

    version: Version
    size: int
    crc32c: int | None


class JoinedParts:
    """The bytes of temporary objects, one after the other. It can be sent more than once.

    Args:
        read: opens a version of a temporary object.
        pieces: the objects in order.
        crc32c: of the whole, where it is known.
    """

    def __init__(
        self, read: Callable[[Version], Awaitable[Reader]], pieces: Sequence[Piece], crc32c: int | None
    ) -> None:
        self.size = sum(piece.size for piece in pieces)
        self.crc32c = crc32c
        self._read = read
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[Buffer]:
        for piece in self._pieces:
            reading = await self._read(piece.version)
            try:
                while chunk := await reading.read():
                    yield chunk
            finally:
                await reading.aclose()


def refuses_compose(error: StorageError) -> bool:
    """Returns whether a server has no compose requests: a missing object is told with a reason, a missing route is not.

    Source: https://cloud.google.com/storage/docs/json_api/v1/status-codes
    """
    if error.status in (405, 501) or error.code in ("notImplemented", "methodNotAllowed"):
        return True
    return error.status == 404 and not error.code
