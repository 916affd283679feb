"""The open files of the file system of fsspec."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from fsspec.asyn import sync
from fsspec.spec import AbstractBufferedFile

from dxflow_async.blocking.files import READ_BUFFER, WRITE_BUFFER, FileReader, FileWriter, RawReader, RawWriter
from dxflow_async.storage.files.reader import AsyncFileReader
from dxflow_async.storage.files.writer import AsyncFileWriter

__all__ = ["CachedFile", "FileSystemCalls", "OpenedReader", "OpenedWriter"]

T = TypeVar("T")


class FileSystemCalls:
    """Runs coroutines in the file system's event loop."""

    def __init__(self, filesystem: Any) -> None:
        self._loop = filesystem.loop

    def call(self, function: Callable[..., Awaitable[T]], /, *args: Any) -> T:
        """See `Calls.call`."""
        result: T = sync(self._loop, function, *args)
        return result

    def release(self, function: Callable[[], Awaitable[object]], /) -> None:
        """See `Calls.release`."""

        async def run() -> None:
            await function()

        if not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(run(), self._loop)


class OpenedReader(FileReader):
    """A file open for reading, with the attributes that the files of fsspec have. It is pickled as its place.

    Attributes:
        fs: the file system.
        path: the file, without the protocol.
    """

    def __init__(self, file: AsyncFileReader, calls: FileSystemCalls, filesystem: Any, path: str) -> None:
        super().__init__(RawReader(file, calls, filesystem), READ_BUFFER)
        self.fs = filesystem
        self.path = path

    def info(self) -> dict[str, Any]:
        """Returns what the file system says of the file."""
        found: dict[str, Any] = self.fs.info(self.path)
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.fs, self.path, self.tell())


class OpenedWriter(FileWriter):
    """A file open for writing; in a transaction, `commit` stores it, and not `close`.

    Attributes:
        fs: the file system.
        path: the file, without the protocol.
    """

    def __init__(
        self, file: AsyncFileWriter, calls: FileSystemCalls, filesystem: Any, path: str, *, waits: bool
    ) -> None:
        raw = (_WaitingWriter if waits else RawWriter)(file, calls, filesystem)
        super().__init__(raw, WRITE_BUFFER)
        self._written = file
        self._calls = calls
        self.fs = filesystem
        self.path = path

    def commit(self) -> None:
        """Stores a file of a transaction, which was closed."""
        self._calls.call(self._written.aclose)

    def discard(self, *, wait: bool = True) -> None:
        """Closes the file, and stores nothing, also after a file of a transaction was closed."""
        if not self.closed:
            super().discard(wait=wait)
        elif isinstance(self.raw, _WaitingWriter):
            self._calls.call(self._written.discard)


class _WaitingWriter(RawWriter):
    """The unbuffered file of a transaction: closing it stores nothing yet."""

    def close(self) -> None:
        io.RawIOBase.close(self)


class CachedFile(AbstractBufferedFile):  # type: ignore[misc]
    """A file open for reading with one of the caches of fsspec, as its caching file systems ask for it."""

    def __init__(
        self, filesystem: Any, path: str, file: AsyncFileReader, calls: FileSystemCalls, options: Mapping[str, Any]
    ) -> None:
        self._file = file
        self._calls = calls
        block_size = options.get("block_size")
        super().__init__(
            filesystem,
            path,
            "rb",
            **({} if block_size is None else {"block_size": block_size}),
            cache_type=options["cache_type"],
            cache_options=options.get("cache_options"),
            size=file.size,
        )

    def close(self) -> None:
        """Closes the file. A second call does nothing."""
        if not self.closed:
            super().close()
            self._calls.release(self._file.aclose)

    def _fetch_range(self, start: int, end: int) -> bytes:
        end = min(end, self._file.size)
        return bytes(self._calls.call(self._file._ranges.read, start, end)) if start < end else b""


def _reopened(filesystem: Any, path: str, position: int) -> OpenedReader:
    file: OpenedReader = filesystem.open(path)
    file.seek(position)
    return file
