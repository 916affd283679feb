"""A response of the fast lane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dxflow_async.net.response import Headers, Response
from dxflow_async.streams import Buffer, Run, Write

if TYPE_CHECKING:
    from dxflow_async.net.fast.connection import Connection

__all__ = ["FastResponse"]


class FastResponse(Response):
    """The response to one request, read from its connection.

    The connection is given up once all of the body was read: from then on it may serve another request.
    """

    __slots__ = ("_connection",)

    def __init__(self, status: int, headers: Headers, connection: Connection) -> None:
        self.status = status
        self.headers = headers
        self._connection: Connection | None = connection

    async def read(self) -> Buffer:
        if self._connection is None:
            return b""
        chunk = await self._connection.read_body()
        if not chunk or self._connection.drained:
            self.close()
        return chunk

    async def readinto(self, buffer: memoryview) -> int:
        if self._connection is None:
            return 0
        size = await self._connection.read_body_into(buffer)
        if not size or self._connection.drained:
            self.close()
        return size

    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        if self._connection is None:
            return 0
        size = await self._connection.stream_body_to(buffer, write, run)
        if not size:
            self.close()
        return size

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()

    def abort(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
            connection.release()
