"""Standard streams, pipes and devices as the source or the destination of a command.

A pipe or a device that the user names is read until it ends, or written into; it is never replaced. Every wait lasts a
fraction of a second, so that Ctrl-C always ends it: a pipe may never get a second end, and a terminal no input.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import stat
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from dxflow_async.cli.standard_streams import STREAM, check_output
from dxflow_async.exceptions import ConfigurationError, StorageError
from dxflow_async.paths import parse_location

__all__ = ["ByteStream", "find_stream"]

T = TypeVar("T")

_CHUNK = 1 << 20
_PIECE = 64 << 10
_ATOMIC = 4096
"""So many bytes can be written without waiting into a pipe that takes any (PIPE_BUF)."""

_PATIENCE = 0.2
"""Seconds after which a wait looks whether it was cancelled."""

_STANDARD = {"stdin": 0, "stdout": 1, "stderr": 2}


@dataclass(frozen=True, slots=True)
class ByteStream:
    """A pipe, a device or an open descriptor of this process.

    Attributes:
        shown: the name as the user wrote it.
        path: the path to open; empty for `-`.
        descriptor: the descriptor, of a standard stream or of a name such as /dev/fd/3; None if the path is opened.
    """

    shown: str
    path: str = ""
    descriptor: int | None = None

    @property
    def name(self) -> str | None:
        """The last component of its name, for a copy in a directory; None for `-`."""
        return os.path.basename(self.path) or None

    @property
    def is_output(self) -> bool:
        """Whether it is standard output."""
        return self.descriptor == 1

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yields the bytes until the stream ends.

        Raises:
            StorageError: it cannot be opened or read.
        """
        with self._translated("read"):
            descriptor = await asyncio.to_thread(self._open, os.O_RDONLY | os.O_NONBLOCK)
        try:
            while chunk := await self._cancellable("read", lambda stopped: _read(descriptor, stopped)):
                yield chunk
        finally:
            os.close(descriptor)

    @asynccontextmanager
    async def written(self) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
        """Opens the stream; yields the function that writes bytes into it.

        A pipe is waited for until somebody reads from it.

        Raises:
            StorageError: it cannot be opened or written.
            BrokenPipeError: nobody reads standard output any more.
        """
        with self._translated("write"):
            descriptor = await self._open_for_writing()
        try:
            waits = stat.S_ISREG(os.fstat(descriptor).st_mode)
            piece = _CHUNK if waits else _PIECE if not os.get_blocking(descriptor) else _ATOMIC

            async def write(data: bytes) -> None:
                await self._cancellable("write", lambda stopped: _write(descriptor, data, piece, stopped))

            yield write
        finally:
            os.close(descriptor)

    async def _open_for_writing(self) -> int:
        while True:
            try:
                return await asyncio.to_thread(self._open, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(self.path).st_mode):
                    raise
            await asyncio.sleep(_PATIENCE / 4)  # nobody reads from the pipe yet

    def _open(self, flags: int) -> int:
        if self.descriptor is None:
            return os.open(self.path, flags | os.O_CLOEXEC | os.O_NOCTTY)
        if self.descriptor == 1:
            check_output()
            sys.stdout.flush()
        return os.dup(self.descriptor)

    async def _cancellable(self, operation: str, call: Callable[[threading.Event], T]) -> T:
        stopped = threading.Event()
        calling = asyncio.ensure_future(asyncio.to_thread(call, stopped))
        try:
            with self._translated(operation):
                return await asyncio.shield(calling)
        except asyncio.CancelledError:
            stopped.set()
            await asyncio.wait({calling})  # the descriptor is closed afterwards
            raise

    @contextmanager
    def _translated(self, operation: str) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError as error:
            if self.is_output:
                raise
            raise self._failure(operation, "its reader has ended") from error
        except OSError as error:
            raise self._failure(operation, error.strerror or str(error)) from error

    def _failure(self, operation: str, reason: str) -> StorageError:
        text = f"LOCAL {operation} of {self.shown} failed: {reason}; check it, and run the command again"
        return StorageError(text, provider="LOCAL", operation=operation, path=self.shown)


def find_stream(location: str, *, into: bool = False) -> ByteStream | None:
    """Returns the pipe, the device or the open descriptor that a location names; None if it names something else.

    Args:
        location: the location as the user wrote it.
        into: whether it is a destination: `-` is standard output then, and standard input otherwise.
    """
    if location == STREAM:
        return ByteStream("standard output", descriptor=1) if into else ByteStream("standard input", descriptor=0)
    try:
        place = parse_location(location)
    except ConfigurationError:
        return None  # at a remote of the user's, or a name that the session explains
    if place.provider != "LOCAL" or "\0" in place.path or place.path.endswith("/"):
        return None
    try:
        path = os.path.abspath(place.path)
        mode = os.stat(path).st_mode
    except OSError:
        return None
    descriptor = _descriptor_of(path)
    if descriptor is None and not (stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISFIFO(mode)):
        return None
    return ByteStream(location, path, descriptor)


def _descriptor_of(path: str) -> int | None:
    """Returns the descriptor that a path such as /dev/stdin, /dev/fd/3 or /proc/self/fd/3 names; None for others."""
    directory, name = os.path.split(path)
    if directory == "/dev" and name in _STANDARD:
        return _STANDARD[name]
    own = ("/dev/fd", "/proc/self/fd", f"/proc/{os.getpid()}/fd")
    return int(name) if directory in own and name.isascii() and name.isdigit() else None


def _read(descriptor: int, stopped: threading.Event) -> bytes:
    """Returns the next bytes; none at the end, or once it is stopped. Blocks."""
    found = bytearray()
    while not stopped.is_set() and len(found) < _CHUNK:
        if not _ready(descriptor, select.POLLIN, 0 if found else _PATIENCE):
            if found:
                break
            continue
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            continue
        found += chunk
        if not chunk:
            break
    return bytes(found)


def _write(descriptor: int, data: bytes, piece: int, stopped: threading.Event) -> None:
    """Writes all bytes, unless it is stopped. Blocks."""
    left = memoryview(data)
    while left and not stopped.is_set():
        if _ready(descriptor, select.POLLOUT, _PATIENCE):
            with suppress(BlockingIOError):
                left = left[os.write(descriptor, left[:piece]) :]


def _ready(descriptor: int, events: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, events)
    return bool(poll.poll(seconds * 1000))
