"""The answer to an HTTP request, and how it may fail to come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dxflow_async.streams import Buffer, Run, Write

if TYPE_CHECKING:
    from dxflow_async.net.fast.connection import Connection

__all__ = ["ConnectionBrokenError", "Headers", "Response", "StalledError"]


class ConnectionBrokenError(ConnectionError):
    """The connection ended, or what came over it was not HTTP. `unanswered`: not a byte of the response had come."""

    def __init__(self, reason: str, *, unanswered: bool = False) -> None:
        super().__init__(reason)
        self.unanswered = unanswered


class StalledError(TimeoutError):
    """No byte moved for the stall timeout."""


class Headers(dict[str, str]):
    """A response's headers, by lower-case name; repeated ones are joined with commas.

    Their repr shows the names only: an address that is given there may be a secret.
    """

    def __repr__(self) -> str:
        return f"<headers: {', '.join(self)}>"


class Response:
    """The answer to one request. Read its body to the end, or `close` it."""

    __slots__ = ("_connection", "headers", "status")

    def __init__(self, status: int, headers: Headers, connection: Connection) -> None:
        self.status = status
        self.headers = headers
        # Given up at the body's end: from then on the connection may serve another request.
        self._connection: Connection | None = connection

    async def read(self) -> Buffer:
        """The next bytes of the body, as they came; empty at the end.

        Raises:
            ConnectionBrokenError: the body broke off.
            StalledError: no byte came for the stall timeout.
        """
        if self._connection is None:
            return b""
        chunk = await self._connection.read_body()
        if not chunk:
            self.close()
        return chunk

    async def readinto(self, buffer: memoryview) -> int:
        """Fills a buffer with the next bytes of the body; returns how many, fewer only at its end or where it broke.

        Raises:
            ConnectionBrokenError, StalledError: as `read`, once there is nothing left that came before.
        """
        if self._connection is None:
            return 0
        size = await self._connection.read_body_into(buffer)
        if not size:
            self.close()
        return size

    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        """As `Reader.stream_to`.

        Raises:
            ConnectionBrokenError, StalledError: as `read`, once there is nothing left that came before.
        """
        if self._connection is None:
            return 0
        size = await self._connection.pour_body(buffer, write, run)
        if not size:
            self.close()
        return size

    def close(self) -> None:
        """Gives the connection back, or ends it when the body was not read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()

    def abort(self) -> None:
        """Ends the connection: it is not known whose answers come over it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
            connection.release()
