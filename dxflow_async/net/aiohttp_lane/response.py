"""A response of the aiohttp lane."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

import aiohttp

from dxflow_async.net.aiohttp_lane.connector import ConnectionState
from dxflow_async.net.aiohttp_lane.failures import FOREIGN, net_error
from dxflow_async.net.errors import ConnectionBrokenError, NetError
from dxflow_async.net.pace import Pace, is_keep_alive
from dxflow_async.net.request import Timeouts
from dxflow_async.net.response import Headers, Response
from dxflow_async.streams import Buffer, Run, Write

__all__ = ["AiohttpResponse"]


class AiohttpResponse(Response):
    """The response to one request, read from aiohttp's.

    Args:
        response: aiohttp's.
        connection: what it comes over.
        timeouts: when the body fails because too few bytes move.
    """

    __slots__ = (
        "_connection",
        "_ended",
        "_left_at",
        "_measured",
        "_pace",
        "_response",
        "_rest",
        "_size",
        "_stall_timeout",
    )

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        connection: ConnectionState,
        timeouts: Timeouts,
    ) -> None:
        headers = Headers()
        for name, value in response.raw_headers:
            headers.add(name, value)
        super().__init__(response.status, headers)
        self._response = response
        self._connection = connection
        self._stall_timeout = timeouts.stall
        self._pace = Pace(timeouts)
        self._size = 0
        self._left_at = monotonic()
        self._pace.begin(self._left_at, 0)
        self._measured = "content-length" in headers
        self._rest = memoryview(b"")
        self._ended = False

    async def read(self) -> Buffer:
        if self._rest:
            rest, self._rest = self._rest, memoryview(b"")
            return rest
        if self._ended:
            return b""
        failure: NetError
        self._pace.since += monotonic() - self._left_at  # the server had to wait
        try:
            chunk = await self._response.content.readany()
        except FOREIGN as error:
            failure = net_error(error, self._stall_timeout)
        except RuntimeError:
            if self._connection.open:
                raise
            failure = ConnectionBrokenError("the connection was closed")
        else:
            if chunk:
                self._check_pace(chunk)
                return chunk
            if not self._ends_with_the_connection or self._connection.ended_properly:
                self._ended = True
                return b""
            failure = ConnectionBrokenError("the connection was closed in the middle of the response")
        raise failure

    def _check_pace(self, chunk: bytes) -> None:
        """Counts a piece of the body.

        Raises:
            TooSlowError: the body arrives too slowly.
        """
        self._size += len(chunk)
        self._left_at = monotonic()
        if not self._measured and is_keep_alive(chunk):
            self._pace.keep_alive(self._size)
        error = self._pace.check(self._left_at, self._size)
        if error is not None:
            raise error

    @property
    def _ends_with_the_connection(self) -> bool:
        """Whether the body has no length."""
        if "content-length" in self.headers or "chunked" in self.headers.get("transfer-encoding", "").lower():
            return False
        return self._response.method != "HEAD" and self.status not in (204, 304)

    async def readinto(self, buffer: memoryview) -> int:
        filled = 0
        while filled < len(buffer):
            if not self._rest:
                try:
                    self._rest = memoryview(await self.read())
                except NetError:
                    if filled:
                        break  # the next call raises it again
                    raise
                if not self._rest:
                    break
            size = min(len(self._rest), len(buffer) - filled)
            buffer[filled : filled + size] = self._rest[:size]
            self._rest = self._rest[size:]
            filled += size
        return filled

    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        """See `Response.stream_to`. The bytes are written from where aiohttp received them, not through the buffer."""
        chunks: list[Buffer] = []
        size = 0
        while size < len(buffer):
            try:
                chunk = await self.read()
            except NetError:
                if chunks:
                    break  # the next call raises it again
                raise
            if not chunk:
                break
            chunks.append(chunk)
            size += len(chunk)
        if chunks:
            await run(_write_all, write, chunks)
        return size

    def close(self) -> None:
        self._rest = memoryview(b"")
        if not self._ended:
            self._ended = True
            self._response.close()

    def abort(self) -> None:
        self.close()
        self._connection.protocol.abort()


def _write_all(write: Write, chunks: Sequence[Buffer]) -> None:
    for chunk in chunks:
        write(memoryview(chunk))
