"""A few connections to one SSH server, shared by all that read and write there.

Each connection has one SFTP channel, over which any number of requests are outstanding at a time. A server works on the
requests of a channel one after the other, and encrypts on one processor for each connection; that is why there are
several, as many as there is work for. A connection that breaks is dropped, and whoever comes next makes a new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from dxflow_async.exceptions import SessionClosedError
from dxflow_async.providers import Call, StallTimeoutError, StorageError, clean_up, finish_or_undo
from dxflow_async.providers.sftp.connector import Connector
from dxflow_async.providers.sftp.errors import error_of, status_of

if TYPE_CHECKING:
    import asyncssh

__all__ = ["Channel", "Connections"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_BUSY = 6
"""Users of every channel from which on another connection is made."""

_MAX_BLOCK_SIZE = 255 << 10
_MIN_BLOCK_SIZE = 4 << 10
_CLOSE_SECONDS = 2.0

_SLOW_ATTEMPTS = 5
"""Attempts at reading from a server that is too slow."""


class Channel:
    """One connection with its SFTP channel.

    Args:
        connection, sftp: open.
        stall_timeout: seconds without an answer after which the connection is given up.
        min_speed: bytes a second that short answers to reads have to bring over the stall timeout; 0: any number does.

    Attributes:
        users: how many use it.
        read_size, write_size: bytes of one request, at most.
    """

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        sftp: asyncssh.SFTPClient,
        stall_timeout: float,
        min_speed: float = 0.0,
    ) -> None:
        self.sftp = sftp
        self.users = 0
        self.read_size = _block_size(sftp.limits.max_read_len)
        self.write_size = _block_size(sftp.limits.max_write_len)
        self._connection = connection
        self._stall_timeout = stall_timeout
        self._pending = 0
        self._answered = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._stalled = False
        self._min_speed = min_speed

    @property
    def usable(self) -> bool:
        """Whether the connection is open."""
        return not self._connection.is_closed()

    @property
    def host_key(self) -> str | None:
        """The fingerprint of the server's key, which is the same under all addresses of the server."""
        key = self._connection.get_server_host_key()
        return None if key is None else key.get_fingerprint()

    async def run(self, call: Call, request: Callable[[*Ts], Awaitable[T]], *arguments: *Ts) -> T:
        """Sends the request `request(*arguments)` and returns the answer.

        Raises:
            StorageError: the server refused it, or the connection broke.
        """
        self._pending += 1
        if self._pending == 1:
            self._answered = monotonic()
            if self._timer is None:
                self._watch()
        try:
            answer = await request(*arguments)
        except Exception as error:
            if isinstance(error, StorageError):
                raise
            if self._stalled:
                text = f"the server did not answer for {self._stall_timeout} s"
                raise call.error(StallTimeoutError, text) from error
            if status_of(error) is not None:
                self._answered = monotonic()
            raise error_of(call, error) from error
        finally:
            self._pending -= 1
        self._answered = monotonic()
        return answer

    def check_speed(self, call: Call, began: float, moved: int) -> None:
        """Checks the speed of a server that answers with fewer bytes than were requested.

        Each of its answers ends the stall timeout, so it could send one byte at a time for ever.

        Args:
            call: the storage call, for errors.
            began: when the first of these answers arrived, by the monotonic clock.
            moved: bytes of all answers since.

        Raises:
            StallTimeoutError: the stall timeout has passed, and the minimum speed was not reached.
        """
        elapsed = monotonic() - began
        if elapsed >= self._stall_timeout and moved < self._min_speed * elapsed:
            text = (
                f"only {moved} bytes moved in {elapsed:.3g} s, which is less than min_speed ({self._min_speed:g} bytes "
                "a second); check the network, or set min_speed to a smaller value"
            )
            raise call.error(StallTimeoutError, text, max_attempts=_SLOW_ATTEMPTS)

    async def open(
        self, call: Call, path: bytes, flags: int, attributes: asyncssh.SFTPAttrs | None = None
    ) -> asyncssh.SFTPClientFile:
        """Opens a file; when it is cancelled meanwhile, the file is closed again. Raises as `run`."""
        import asyncssh

        async def request() -> asyncssh.SFTPClientFile:
            given = attributes or asyncssh.SFTPAttrs()
            return await self.sftp.open(path, flags, given, encoding=None, block_size=0, max_requests=1)

        return await finish_or_undo(self.run(call, request), lambda file: self.close(call, file))

    async def close(self, call: Call, file: asyncssh.SFTPClientFile) -> None:
        """Closes a file, also while a cancellation is under way; the server does it where the connection broke."""
        if self.usable:
            with suppress(StorageError):
                await clean_up(self.run(call, file.close), _CLOSE_SECONDS)

    def abort(self) -> None:
        """Closes the connection at once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._connection.abort()

    async def aclose(self) -> None:
        """Closes the connection; one whose server does not answer is broken off."""
        self._connection.close()
        with suppress(Exception):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._connection.wait_closed()
        self.abort()

    def _watch(self) -> None:
        """Breaks the connection off when requests are outstanding and no answer comes."""
        self._timer = None
        if not self._pending:
            return
        idle = monotonic() - self._answered
        if idle >= self._stall_timeout:
            self._stalled = True
            self._connection.abort()
            return
        self._timer = asyncio.get_running_loop().call_later(self._stall_timeout - idle + 0.01, self._watch)


class Connections:
    """The connections to one server.

    Args:
        connector: makes them.
        max_connections: how many, at most.
        stall_timeout, min_speed: as for `Channel`.
    """

    def __init__(
        self, connector: Connector, max_connections: int, stall_timeout: float, min_speed: float = 0.0
    ) -> None:
        self._connector = connector
        self._max = max_connections
        self._stall_timeout = stall_timeout
        self._min_speed = min_speed
        self._channels: list[Channel] = []
        self._connecting = asyncio.Lock()
        self._closed = False

    @asynccontextmanager
    async def channel(self, call: Call) -> AsyncIterator[Channel]:
        """Gives a channel for the time of a `with` block. Raises as `acquire`."""
        channel = await self.acquire(call)
        try:
            yield channel
        finally:
            self.release(channel)

    async def acquire(self, call: Call) -> Channel:
        """Takes a channel, which is to be released; makes a connection where there is none, or all are busy.

        Raises:
            SessionClosedError: after `aclose`.
            ConfigurationError, StorageError: no connection could be made.
        """
        channel = self._least_busy()
        if channel is None or (self._wants_more(channel) and not self._connecting.locked()):
            async with self._connecting:
                channel = self._least_busy()
                if channel is None or self._wants_more(channel):
                    channel = await self._connect(call, channel)
        channel.users += 1
        return channel

    def release(self, channel: Channel) -> None:
        """Gives a channel back."""
        channel.users -= 1

    async def aclose(self) -> None:
        """Closes every connection."""
        self._closed = True
        channels, self._channels = self._channels, []
        await asyncio.gather(*(channel.aclose() for channel in channels))
        await self._connector.aclose()

    def _least_busy(self) -> Channel | None:
        if self._closed:
            raise SessionClosedError("the session was closed; make a new one")
        self._channels = [channel for channel in self._channels if channel.usable]
        return min(self._channels, key=lambda channel: channel.users, default=None)

    def _wants_more(self, least_busy: Channel) -> bool:
        return least_busy.users >= _BUSY and len(self._channels) < self._max

    async def _connect(self, call: Call, other: Channel | None) -> Channel:
        """Makes a connection; where the server allows no more of them, `other` has to do."""
        try:
            connection, sftp = await self._connector.connect(call)
        except StorageError:
            if other is None or not other.usable:
                raise
            self._max = len(self._channels)
            return other
        channel = Channel(connection, sftp, self._stall_timeout, self._min_speed)
        if self._closed:
            channel.abort()
            raise SessionClosedError("the session was closed; make a new one")
        self._channels.append(channel)
        return channel


def _block_size(told: int) -> int:
    return max(_MIN_BLOCK_SIZE, min(told, _MAX_BLOCK_SIZE)) if told else 32 << 10
