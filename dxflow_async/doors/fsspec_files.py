"""The open files of the file system of fsspec."""

from __future__ import annotations

import asyncio
import contextlib
import io
import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from fsspec.asyn import sync
from fsspec.compression import compr
from fsspec.core import OpenFile, OpenFiles
from fsspec.spec import AbstractBufferedFile

from dxflow_async.blocking.files import (
    READ_BUFFER,
    WRITE_BUFFER,
    FileReader,
    FileWriter,
    RawReader,
    RawWriter,
    TextWriter,
)
from dxflow_async.storage.files.raised_blocks import exit_with_error
from dxflow_async.storage.files.reader import AsyncFileReader
from dxflow_async.storage.files.writer import AsyncFileWriter

__all__ = ["CachedFile", "FileSystemCalls", "OpenedReader", "OpenedWriter", "layered"]

T = TypeVar("T")

_OPEN_FILE_EXITS = {OpenFile.__exit__.__code__, OpenFiles.__exit__.__code__}
"""What ends the blocks of `fsspec.open` and `fsspec.open_files`."""


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

    def __init__(
        self, file: AsyncFileReader, calls: FileSystemCalls, filesystem: Any, path: str, rules: Mapping[str, Any]
    ) -> None:
        super().__init__(RawReader(file, calls, filesystem), READ_BUFFER)
        self.fs = filesystem
        self.path = path
        self._rules = rules

    def info(self) -> dict[str, Any]:
        """Returns what the file system says of the file."""
        found: dict[str, Any] = self.fs.info(self.path)
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.fs, self.path, self.tell(), self._rules)


class OpenedWriter(FileWriter):
    """A file open for writing; in a transaction, `commit` stores it, and not `close`.

    Attributes:
        layer: the text or compressed file above it, if there is one.
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
        self.layer: weakref.ref[io.IOBase] | None = None

    def write(self, data: Any) -> int:
        """Writes bytes, and returns how many.

        An archive is closed after the block of its member, and only then ends the file. So the last bytes of a member
        whose block has raised discard the file.
        """
        if exit_with_error(_OPEN_FILE_EXITS):
            raw: Any = self.raw
            raw.discard()
        return super().write(data)

    def commit(self) -> None:
        """Stores a file of a transaction, and closes it first if it is open."""
        layer = self.layer and self.layer()
        (layer or self).close()
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


class _CompressingWriter(RawWriter):
    """The unbuffered file above a compressor: the compressors of fsspec leave the file below them open."""

    def __init__(self, file: OpenedWriter, compressor: Any) -> None:
        self.name = file.name
        self.mode = file.mode
        self._below = file
        self._compressor = compressor
        self._discarded = False

    def tell(self) -> int:
        position: int = self._compressor.tell()
        return position

    def write(self, data: Any) -> int:
        if not self._discarded:
            self._compressor.write(bytes(data))
        return len(data)

    def close(self) -> None:
        if self.closed:
            return
        io.RawIOBase.close(self)
        if self._discarded:
            return
        try:
            self._compressor.close()
        except BaseException:
            self._below.discard()
            raise
        self._below.close()

    def discard(self, *, wait: bool = True) -> None:
        """Lets nothing be stored."""
        if self.closed or self._discarded:
            return
        self._discarded = True
        self._below.discard(wait=wait)
        with contextlib.suppress(ValueError):  # the end of its format goes to a closed file
            self._compressor.close()


def layered(file: OpenedWriter, compression: str | None, text: Mapping[str, Any] | None) -> io.IOBase:
    """Returns the compressed file, and the text file, above a file that is written. Closing it closes all of them.

    Args:
        file: the binary file.
        compression: the name of a compression of fsspec; None: the bytes are stored as they are.
        text: the arguments of `io.TextIOWrapper`; None: it is a binary file.
    """
    top: FileWriter | TextWriter = file
    if compression is not None:
        top = FileWriter(_CompressingWriter(file, compr[compression](file, mode="w")), WRITE_BUFFER)
    if text is not None:
        top = TextWriter(top, **text)
    if top is not file:
        file.layer = weakref.ref(top)
    return top


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
        return self._calls.call(self._file._ranges.read_bytes, start, end) if start < end else b""


def _reopened(filesystem: Any, path: str, position: int, rules: Mapping[str, Any]) -> OpenedReader:
    file: OpenedReader = filesystem.open(path, **rules)
    file.seek(position)
    return file
