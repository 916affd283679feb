"""Local files that are read and written piece by piece, for `local.py`: all of it blocks."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import stat
import threading
from collections.abc import Sequence

from dxflow_async.checksum import crc32c
from dxflow_async.digests import RunningDigest
from dxflow_async.exceptions import (
    ChecksumMismatchError,
    PreconditionFailedError,
    SourceChangedError,
    UnsupportedError,
)
from dxflow_async.modes import PERMISSIONS, PRIVATE, mode_of
from dxflow_async.providers.contract import Buffer, Entry, ObjectOptions, Part, PartReceipt
from dxflow_async.providers.local.root import Root, error_of, etag_of, refuse_special
from dxflow_async.providers.local.temporary_files import hold_temporary, is_temporary, temporary_name

__all__ = ["CACHED_SIZE", "READ_SIZE", "WRITE_SIZE", "ReadableFile", "Stretch", "TemporaryFile", "copy_file"]

READ_SIZE = 512 << 10
"""Bytes a read asks the system for: large against the cost of a call, small against a cache."""

WRITE_SIZE = 1 << 20
"""Bytes that are gathered before they are written; a body of up to that is written in one go."""

SCAN_SIZE = 256 << 10
"""Bytes of a checksum's pass over a file: they stay in the processor's cache."""

CACHED_SIZE = 64 << 10
"""Of bytes that are in memory anyway, as many are read in the event loop: some 10 microseconds' worth."""

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_CHANGED = "the file was changed meanwhile; try again"
_COPY_SIZE = 1 << 20
_DIGESTED_SIZE = 32 << 20
_MAX_BUFFERS = 1024  # IOV_MAX of Linux, and at least that of other systems


class ReadableFile:
    """The bytes `[start, end)` of a file, read in pieces; all methods block.

    Attributes:
        entry: what it is, once it is open.
        crc32c: of the first piece; of all others, whoever gets them computes it.
    """

    entry: Entry

    def __init__(self, root: Root, key: str, start: int, end: int | None) -> None:
        self._root = root
        self._key = key
        self._range = start, end
        self._position = self._end = start
        self._descriptor = -1
        self.crc32c = 0

    @property
    def path(self) -> str:
        """Where the file is."""
        return self._root.resolve(self._key)

    def open(self) -> Buffer:
        """Opens the file, fills `entry`, and reads the first piece; closed again when that is all.

        Raises:
            UnsupportedError: it is no regular file, or one that does not tell its size.
        """
        if not self._open().st_size and os.pread(self._descriptor, 1, 0):
            text = "its size is not known, as that of the files in /proc; copy it with cat first"
            raise error_of("read", self.path, UnsupportedError, text)
        first = self.read()
        self.crc32c = crc32c(first)
        return first

    def open_cached(self) -> Buffer | None:
        """The whole of a small file that was just listed, where that takes no waiting; else None, and it is closed."""
        buffer: bytearray | None = None
        with contextlib.suppress(OSError):
            flags = self._root.cached_reads.flags(self._open().st_dev)
            if flags is not None and self.remaining <= CACHED_SIZE:
                wanted = bytearray(self.remaining)
                if not wanted or os.preadv(self._descriptor, [wanted], self._position, flags) == len(wanted):
                    buffer = wanted
                    self._position += len(buffer)
                    self.crc32c = crc32c(buffer)
        self.close()
        return buffer

    def _open(self) -> os.stat_result:
        # Opening a named pipe would wait for a writer.
        self._descriptor = self._root.open_file(self._key, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(self._descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise FileNotFoundError(errno.ENOENT, "it is a directory", self.path)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.ENXIO, "it is not a regular file", self.path)
        modified = status.st_mtime
        mode = status.st_mode & PERMISSIONS
        self.entry = Entry(self._key, status.st_size, modified, etag=etag_of(status), mtime=modified, mode=mode)
        start, end = self._range
        self._end = status.st_size if end is None else min(end, status.st_size)
        self._position = start
        if start >= status.st_size and (start or end is not None):
            text = f"it has no byte at {start}; look at its size again"
            raise error_of("read", self.path, PreconditionFailedError, text)
        return status

    @property
    def remaining(self) -> int:
        """Bytes not yet read."""
        return self._end - self._position

    def read(self) -> bytes:
        """The next piece; at the last one the file is closed.

        Raises:
            SourceChangedError: the file is not what it was when it was opened.
        """
        if not self.remaining:
            self.close()
            return b""
        data = os.pread(self._descriptor, min(READ_SIZE, self.remaining), self._position)
        self._position += len(data)
        if not data or not self.remaining:
            changed = not data or etag_of(os.fstat(self._descriptor)) != self.entry.etag
            self.close()
            if changed:
                raise error_of("read", self.path, SourceChangedError, _CHANGED)
        return data

    def scan(self, crc: int) -> int:
        """The checksum of what came before (`crc`) and of all that is left, which stays to be read."""
        buffer = memoryview(bytearray(min(SCAN_SIZE, self.remaining)))
        position = self._position
        while position < self._end:
            size = os.preadv(self._descriptor, [buffer[: self._end - position]], position)
            if not size:
                raise error_of("read", self.path, SourceChangedError, _CHANGED)
            crc = crc32c(buffer[:size], crc)
            position += size
        return crc

    def close(self) -> None:
        """Also when it was never opened."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


class TemporaryFile:
    """Bytes written beside their target and renamed to it; all methods block.

    Nobody else reads them before they are complete. Their directory is held open, so that nothing that is put in the
    place of that directory's name gets the bytes. To be committed or discarded, also when nothing was done with it.

    Args:
        root, key: the target.
        mark: of the session that writes: the name begins with it.
        durable: whether a complete file waits until it is on disk for its name, else it gets it at once.

    Attributes:
        held: whether there is something to `discard`.
        path: where the bytes are; empty when they are not, or no longer.
        writing: lets two write at a time: one does, and the other's bytes are measured and wait in their thread.
    """

    def __init__(self, root: Root, key: str, mark: str, *, durable: bool) -> None:
        self._root = root
        self._mark = mark
        self._durable = durable
        self.key = key
        above, _, self._target = key.rpartition("/")
        self._directory = root.directories.hold(above)
        self._descriptor = -1
        self._replaced: int | None = None  # the mode of what has the name
        self._name = ""
        self.held = True
        self.writing = asyncio.Semaphore(2)
        self._lock = threading.Lock()
        self.path = ""

    def create(self, size: int | None = None) -> None:
        """Makes the file, and its directory where it is missing; with a size, only where that fits on the disk."""
        path = self._root.resolve_below(self.key)
        if self.key.endswith("/"):
            raise IsADirectoryError(errno.EISDIR, "a file's name has no slash at its end", path)
        name = temporary_name(self._mark)
        self._descriptor = self._open(name, _NEW, make=True)
        hold_temporary(self._descriptor)
        self._name, self.path = name, os.path.join(os.path.dirname(path), name)
        if size and _free_space(self._descriptor) < size:
            raise OSError(errno.ENOSPC, "No space left on device", path)

    def _open(self, name: str, flags: int, *, make: bool) -> int:
        """A file beside the target.

        Raises:
            UnsafePathError: a link, a pipe, a socket or a device has the target's name.
        """

        def open_directory(key: str) -> int:
            return self._root.open_directory(key, make=make)

        def open_in(directory: int) -> int:
            self._replaced = refuse_special("write", self._root, self.key, directory)
            return os.open(name, flags, PRIVATE, dir_fd=directory)

        try:
            return open_in(self._directory.descriptor(open_directory))
        except FileNotFoundError:  # the directory was removed since it was opened, or is not there at all
            self._directory = self._directory.renewed()
            return open_in(self._directory.descriptor(open_directory))

    def reopen(self, path: str, receipts: Sequence[PartReceipt]) -> Sequence[PartReceipt]:
        """Opens a file that another process began; of its parts' receipts, those whose bytes are there.

        Raises:
            FileNotFoundError: it is not there, or is no temporary file beside the target.
        """
        beside, name = os.path.split(path)
        if beside != os.path.dirname(self._root.resolve(self.key)) or not is_temporary(name):
            raise FileNotFoundError(errno.ENOENT, "it is no upload to this name", path)
        self._descriptor = self._open(name, _OLD, make=False)
        hold_temporary(self._descriptor)
        self._name, self.path = name, path
        return [receipt for receipt in receipts if self._checksum(receipt.part) == receipt.crc32c]

    def _checksum(self, part: Part) -> int | None:
        """The checksum of a part's bytes; None when they are not all there."""
        buffer = memoryview(bytearray(min(SCAN_SIZE, part.size)))
        position, end, crc = part.offset, part.offset + part.size, 0
        while position < end:
            size = os.preadv(self._descriptor, [buffer[: end - position]], position)
            if not size:
                return None
            crc = crc32c(buffer[:size], crc)
            position += size
        return crc

    def update_digest(self, digest: RunningDigest, position: int) -> int:
        """Adds the bytes from a position on to a digest: how many; 0 at the end.

        Not all in one go: whoever is cancelled waits until it returns.
        """
        buffer, start = memoryview(bytearray(SCAN_SIZE)), position
        while position - start < _DIGESTED_SIZE and (size := os.preadv(self._descriptor, [buffer], position)):
            digest.update(buffer[:size])
            position += size
        return position - start

    def write(self, chunks: Sequence[Buffer], offset: int, crc: int = 0) -> int:
        """Writes chunks at an offset; the checksum of what came before (`crc`) and them."""
        for chunk in chunks:
            crc = crc32c(chunk, crc)
        views = [memoryview(chunk) for chunk in chunks]
        with self._lock:  # in the kernel, writers of one file wait for each other spinning
            while views:
                written = os.pwritev(self._descriptor, views[:_MAX_BUFFERS], offset)
                offset += written
                while views and written >= len(views[0]):
                    written -= len(views.pop(0))
                if written:
                    views[0] = views[0][written:]
        return crc

    def write_new(self, chunks: Sequence[Buffer], size: int, expected: int | None, options: ObjectOptions) -> int:
        """A whole small file: made, written, compared and completed in one go. Returns its checksum."""
        self.create()
        crc = self.write(chunks, 0)
        self._compare(sum(map(len, chunks)), crc, size, expected)
        self.complete(options.modified, options.mode)
        return crc

    def compare_and_complete(self, crc: int, size: int, expected: int | None, options: ObjectOptions) -> None:
        """Completes the file when its size, and its checksum where one is expected, are what they should be.

        Raises:
            ChecksumMismatchError: they are not; whatever has the name still has it.
        """
        self._compare(os.fstat(self._descriptor).st_size, crc, size, expected)
        self.complete(options.modified, options.mode)

    def _compare(self, arrived: int, crc: int, size: int, expected: int | None) -> None:
        if arrived != size or crc != (crc if expected is None else expected):
            text = f"{arrived} bytes arrived of {size}, or with another checksum than the source's; try again"
            raise error_of("write", self._root.resolve(self.key), ChecksumMismatchError, text)

    def complete(self, modified: float | None, mode: int | None) -> None:
        """All bytes are written: gives the file its time and its mode, see `modes.mode_for`."""
        os.fchmod(self._descriptor, mode_of(self._replaced, mode))
        if modified is not None:
            os.utime(self._descriptor, (modified, modified))
        if not self._durable:
            self.take_name()
            self.close()

    @property
    def descriptor(self) -> int:
        """Of the file while it is open."""
        return self._descriptor

    @property
    def directories(self) -> tuple[str]:
        """The path of the directory that it is in."""
        return (os.path.dirname(self._root.resolve(self.key)),)

    def take_name(self) -> None:
        """Gives the file its name; what had it before is replaced at once."""
        directory = self._directory.open_descriptor
        os.replace(self._name, self._target, src_dir_fd=directory, dst_dir_fd=directory)
        self._name = self.path = ""

    def discard(self) -> None:
        """Removes the file, if it is still there under its temporary name."""
        name, self._name, self.path = self._name, "", ""
        if name:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._directory.open_descriptor)
        self.close()

    def fill_from(self, descriptor: int) -> None:
        """Takes the bytes of an open file."""
        with (
            open(descriptor, "rb", 0, closefd=False) as source,
            open(self._descriptor, "wb", 0, closefd=False) as target,
        ):
            shutil.copyfileobj(source, target, _COPY_SIZE)

    def close(self) -> None:
        """Lets go of the file and its directory; a temporary file stays."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        if self.held:
            self.held = False
            self._directory.release()


class Stretch:
    """Bytes that are written to a file one after the other, from an offset on; `crc32c` is theirs so far."""

    def __init__(self, file: TemporaryFile, offset: int) -> None:
        self._file = file
        self._offset = offset
        self.crc32c = 0

    def write(self, data: Buffer) -> None:
        """Writes what comes next; blocks."""
        self.crc32c = self._file.write((data,), self._offset, self.crc32c)
        self._offset += len(data)


def _free_space(descriptor: int) -> int:
    status = os.fstatvfs(descriptor)
    return status.f_bavail * status.f_frsize


def copy_file(root: Root, source: Entry, file: TemporaryFile) -> int:
    """Copies a file, in the version that was seen: its size in bytes.

    Raises:
        PreconditionFailedError: it is another one now.
    """
    descriptor = root.open_file(source.key, os.O_RDONLY | os.O_CLOEXEC)
    try:
        file.create(source.size)
        file.fill_from(descriptor)
        status = os.fstat(descriptor)
        if source.etag not in (None, etag_of(status)):
            raise error_of("copy", root.resolve(source.key), PreconditionFailedError, _CHANGED)
        file.complete(status.st_mtime, status.st_mode)
    finally:
        os.close(descriptor)
    return status.st_size
