"""Open files for blocking callers: real `io` objects, which every library that reads files takes.

`io` keeps two rules that storage does not: a file that is garbage collected is closed, and so is one whose `with` block
raised. Closing stores the object, so both would store half of a file. The classes here discard it instead.
"""

from __future__ import annotations

import codecs
import io
import logging
import warnings
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Protocol, TypeVar

from dxflow_async.storage.files.opening import OpenOptions, OpenRules, check_mode
from dxflow_async.storage.files.raised_blocks import block_has_raised, raised_blocks
from dxflow_async.storage.files.reader import AsyncFileReader
from dxflow_async.storage.files.writer import AsyncFileWriter

__all__ = [
    "READ_BUFFER",
    "WRITE_BUFFER",
    "Calls",
    "FileReader",
    "FileWriter",
    "RawReader",
    "RawWriter",
    "TextWriter",
    "open_file",
    "reader",
    "text_writer",
    "writer",
]

_log = logging.getLogger("dxflow_async.storage")

T = TypeVar("T")

READ_BUFFER = 128 << 10
WRITE_BUFFER = 256 << 10
"""Bytes that the buffered files of `io` hold."""


class Calls(Protocol):
    """Runs coroutines in the event loop of the files."""

    def call(self, function: Callable[..., Awaitable[T]], /, *args: Any) -> T:
        """Returns or raises the outcome of `await function(*args)`."""
        ...

    def release(self, function: Callable[[], Awaitable[object]], /) -> None:
        """Begins `await function()` without waiting for it. Safe during garbage collection."""
        ...


class RawReader(io.RawIOBase):
    """The unbuffered file below a reader.

    Args:
        file: the asynchronous twin.
        calls: runs its methods.
        keep: what must not be collected while the file is open, such as the session.
    """

    mode = "rb"

    def __init__(self, file: AsyncFileReader, calls: Calls, keep: object = None) -> None:
        self.name = file.name
        self.size = file.size
        self._file = file
        self._calls = calls
        self._keep = keep

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._calls.call(self._file.seek, offset, whence)

    def readinto(self, buffer: Any) -> int:
        return self._calls.call(self._file.readinto, buffer)

    def readall(self) -> bytes:
        return self._calls.call(self._file.read)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._calls.release(self._file.aclose)


class RawWriter(io.RawIOBase):
    """The unbuffered file below a writer; the arguments are those of `RawReader`."""

    def __init__(self, file: AsyncFileWriter, calls: Calls, keep: object = None) -> None:
        self.name = file.name
        self.mode = file.mode
        self._file = file
        self._calls = calls
        self._keep = keep
        self._discarded = False

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def write(self, data: Any) -> int:
        if self._discarded:
            return len(data)
        return self._calls.call(self._file.write, bytes(data))

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        if not self._discarded:
            self._calls.call(self._file.aclose)

    def discard(self, *, wait: bool = True) -> None:
        """Lets nothing be stored."""
        if self.closed or self._discarded:
            return
        self._discarded = True
        if wait:
            self._calls.call(self._file.discard)
        else:
            self._calls.release(self._file.discard)

    def __del__(self) -> None:
        _drop(self, self)


class FileWriter(io.BufferedWriter):
    """A binary file open for writing.

    It is stored when it is closed, but not after an exception in its `with` block, or in that of what closes it.
    """

    def __init__(self, raw: RawWriter, buffer_size: int) -> None:
        super().__init__(raw, buffer_size)
        self._raised_before = raised_blocks()

    def close(self) -> None:
        """Stores the file. A second call does nothing."""
        if not self.closed and block_has_raised(self._raised_before):
            _log.info("%s is not stored: the block that wrote it has raised", _raw(self).name)
            self.discard()
        else:
            super().close()

    def discard(self, *, wait: bool = True) -> None:
        """Closes the file, and stores nothing.

        Args:
            wait: whether to return only after the upload has been ended.
        """
        _raw(self).discard(wait=wait)
        super().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        _drop(self, self)


class TextWriter(io.TextIOWrapper):
    """A text file open for writing, with the rules of `FileWriter`."""

    def __init__(self, buffer: Any, encoding: str | None = None, *rules: Any, **named: Any) -> None:
        super().__init__(buffer, encoding, *rules, **named)
        # io leaves out their byte order marks where a file cannot seek
        if codecs.lookup(self.encoding).name in ("utf-16", "utf-32"):
            self.buffer.write("".encode(self.encoding))

    def discard(self) -> None:
        """Closes the file, and stores nothing."""
        _raw(self.buffer).discard()
        self.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        if not self.closed:
            _drop(self, self.buffer)


class FileReader(io.BufferedReader):
    """A binary file open for reading."""

    @property
    def size(self) -> int:
        """The object's size in bytes."""
        raw = self.raw
        assert isinstance(raw, RawReader)
        return raw.size


def reader(file: AsyncFileReader, calls: Calls, keep: object = None) -> FileReader:
    """Returns a buffered file for reading."""
    return FileReader(RawReader(file, calls, keep), READ_BUFFER)


def writer(file: AsyncFileWriter, calls: Calls, keep: object = None) -> FileWriter:
    """Returns a buffered file for writing."""
    return FileWriter(RawWriter(file, calls, keep), WRITE_BUFFER)


def text_writer(file: FileWriter, encoding: str, errors: str, newline: str | None) -> TextWriter:
    """Returns a text file over a binary one. Line feeds are written as they are, unless `newline` names another end."""
    return TextWriter(file, encoding, errors, newline or "\n")


def open_file(
    open_twin: Callable[..., Awaitable[Any]], mode: str, calls: Calls, keep: object, options: OpenOptions
) -> io.BufferedReader | FileWriter | io.TextIOWrapper:
    """Opens a file of `io`.

    Args:
        open_twin: opens the asynchronous twin in a binary mode.
        mode: as for `AsyncAreaStorage.open`.
        calls: runs the twin's methods.
        keep: what must not be collected while the file is open.
        options: the other arguments of `AsyncAreaStorage.open`.
    """
    kind, text = check_mode(mode)
    rules = OpenRules(**options)
    rules.check(kind)

    async def begin() -> Any:
        return await open_twin(f"{kind}b", **rules.of_binary(kind))

    twin = calls.call(begin)
    if kind == "r":
        file = reader(twin, calls, keep)
        return io.TextIOWrapper(file, rules.encoding, rules.errors, rules.newline) if text else file
    written = writer(twin, calls, keep)
    return text_writer(written, rules.encoding, rules.errors, rules.newline) if text else written


def _raw(file: Any) -> RawWriter:
    raw = file.raw
    assert isinstance(raw, RawWriter)
    return raw


def _drop(file: Any, binary: Any) -> None:
    """Discards a file that is collected without being closed. `io` has closed it by then, if nothing stops it."""
    if file.closed:
        return
    raw = binary if isinstance(binary, RawWriter) else _raw(binary)
    if not raw.closed:
        raw.discard(wait=False)
        warnings.warn(f"{raw.name} was not closed: nothing is stored", ResourceWarning, stacklevel=2, source=file)
    file.close()
