"""Local files that are written in pieces. All of it blocks."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sys
import threading
from collections.abc import Sequence
from functools import cached_property
from time import monotonic
from typing import NamedTuple

from dxflow_async.checksum import crc32c
from dxflow_async.concurrency.descriptors import patiently
from dxflow_async.digests import RunningDigest
from dxflow_async.exceptions import (
    AlreadyExistsError,
    ChecksumMismatchError,
    PreconditionFailedError,
)
from dxflow_async.file_systems import free_space, set_mode, set_time
from dxflow_async.modes import PRIVATE, mode_of
from dxflow_async.presumed_digests import PartsDigest
from dxflow_async.providers.common.conditions import EXISTS, REPLACED
from dxflow_async.providers.common.etags import same_etag
from dxflow_async.providers.contract import Buffer, Entry, ObjectOptions, Part, PartReceipt
from dxflow_async.providers.local.readable_file import CHANGED, READ_SIZE, SCAN_SIZE
from dxflow_async.providers.local.root import Root, error_of, etag_of, refuse_special
from dxflow_async.providers.local.temporary_files import hold_temporary, is_temporary, temporary_name
from dxflow_async.security.new_names import rename_new

__all__ = [
    "WRITE_SIZE",
    "CopiedFile",
    "Stretch",
    "TemporaryFile",
    "copy_file",
]

WRITE_SIZE = 1 << 20
"""Bytes that are collected before they are written. A body of up to this size is written in one go."""

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_DIGESTED_SIZE = 32 << 20
_MAX_BUFFERS = 1024  # IOV_MAX of Linux, and at least that of other systems


class TemporaryFile:
    """A file that is written beside its target and renamed to it; all methods block.

    No other user can read it before it is complete. Its directory is held open, so that another one that takes the
    name meanwhile does not get the file. It is committed or discarded at the end, also if it was never created.

    Args:
        root: the directory of the target's key.
        key: the target.
        mark: the owner id of the session, with which the file's name begins.
        durable: whether a complete file gets its name only once it is on disk; else, and where the file system is
            memory, it gets it at once.
        if_absent, if_match: as in `ObjectOptions`.

    Attributes:
        held: whether there is something to `discard`.
        path: the path of the temporary file; empty if there is none.
        reads_back: whether it is compared with what was written before it gets its name: `write_new` does it, and
            callers of the other methods.
    """

    def __init__(
        self, root: Root, key: str, mark: str, *, durable: bool, if_absent: bool = False, if_match: str | None = None
    ) -> None:
        self._root = root
        self._mark = mark
        self._durable = durable
        self._if_absent = if_absent
        self._if_match = if_match
        self.key = key
        above, _, self._target = key.rpartition("/")
        self._directory = root.directories.hold(above)
        self._above = ""
        self._descriptor = -1
        self._replaced: int | None = None  # the mode of the file that has the name
        self._unkept: tuple[os.stat_result, int] | None = None  # a checksum that is kept once the file has its name
        self._name = ""
        self.held = True
        self.reads_back = False
        self._lock = threading.Lock()
        self.path = ""

    @cached_property
    def writing(self) -> asyncio.Semaphore:
        """Lets two tasks write: while one writes, the thread of the other computes its checksum."""
        return asyncio.Semaphore(2)

    def create(self, size: int | None = None) -> None:
        """Creates the file, and its directory if it is missing; checks first that `size` bytes fit on the disk."""
        path = self._root.resolve_below(self.key)
        if self.key.endswith("/"):
            raise IsADirectoryError(errno.EISDIR, "a file's name has no slash at its end", path)
        name = temporary_name(self._mark)
        self._descriptor = self._open(name, _NEW, make=True)
        hold_temporary(self._descriptor)
        self._above = path[: -len(self._target)]
        self._name, self.path = name, self._above + name
        if size and (free := free_space(self._descriptor)) is not None and free < size:
            raise OSError(errno.ENOSPC, "No space left on device", path)

    def _open(self, name: str, flags: int, *, make: bool) -> int:
        """Opens a file beside the target.

        Raises:
            UnsafePathError: a link, a pipe, a socket or a device has the target's name.
        """

        def open_directory(key: str) -> int:
            opened, directory, root = self._root.open_directory(key, make=make), self._directory, self._root
            directory.device = os.fstat(opened).st_dev
            root.in_memory = directory.in_memory = root.cached_reads.is_memory(directory.device)
            return opened

        def open_in(directory: int) -> int:
            self._replaced = refuse_special("write", self._root, self.key, directory)
            return patiently(os.open, name, flags, PRIVATE, dir_fd=directory)

        try:
            return open_in(self._directory.descriptor(open_directory))
        except FileNotFoundError:  # the directory was removed since it was opened, or is not there at all
            self._directory = self._directory.renewed()
            return open_in(self._directory.descriptor(open_directory))

    def reopen(self, path: str, receipts: Sequence[PartReceipt]) -> Sequence[PartReceipt]:
        """Opens a file that another process began; returns the receipts of the parts whose bytes are there.

        Raises:
            FileNotFoundError: it does not exist, or is not a temporary file beside the target.
        """
        beside, name = os.path.split(path)
        if beside != os.path.dirname(self._root.resolve(self.key)) or not is_temporary(name):
            raise FileNotFoundError(errno.ENOENT, "it is no upload to this name", path)
        self._descriptor = self._open(name, _OLD, make=False)
        hold_temporary(self._descriptor)
        self._above, self._name, self.path = os.path.join(beside, ""), name, path
        return [receipt for receipt in receipts if self._checksum(receipt.part) == receipt.crc32c]

    def _checksum(self, part: Part) -> int | None:
        """Returns the CRC32C of a part's bytes; None if they are not all there."""
        buffer = memoryview(bytearray(min(SCAN_SIZE, part.size)))
        position, end, crc = part.offset, part.offset + part.size, 0
        while position < end:
            size = os.preadv(self._descriptor, [buffer[: end - position]], position)
            if not size:
                return None
            crc = crc32c(buffer[:size], crc)
            position += size
        return crc

    def update_digest(self, digest: RunningDigest | PartsDigest, position: int, end: int = sys.maxsize) -> int:
        """Adds bytes of `[position, end)` to a digest; returns how many, 0 at the end."""
        # Their number is limited, because a cancelled caller waits until this returns.
        buffer, start = memoryview(bytearray(SCAN_SIZE)), position
        while position - start < _DIGESTED_SIZE:
            piece = buffer[: min(end - position, SCAN_SIZE)]
            if not piece or not (size := os.preadv(self._descriptor, [piece], position)):
                break
            digest.update(piece[:size])
            position += size
        return position - start

    def write(self, chunks: Sequence[Buffer], offset: int, crc: int = 0) -> int:
        """Writes chunks at an offset; returns the CRC32C of the bytes before (`crc`) and them."""
        for chunk in chunks:
            crc = crc32c(chunk, crc)
        views = [memoryview(chunk) for chunk in chunks]
        with self._lock:  # concurrent writers of one file spin in the kernel
            while views:
                written = os.pwritev(self._descriptor, views[:_MAX_BUFFERS], offset)
                offset += written
                while views and written >= len(views[0]):
                    written -= len(views.pop(0))
                if written:
                    views[0] = views[0][written:]
        return crc

    def write_new(self, chunks: Sequence[Buffer], size: int, expected: int | None, options: ObjectOptions) -> int:
        """Creates, writes, verifies and completes a small file in one go. Returns its CRC32C."""
        began = monotonic()
        self.create()
        crc = self.write(chunks, 0)
        self._compare(sum(map(len, chunks)), crc, size, expected)
        if self.reads_back:
            self.check_written(self._checksum(Part(1, 0, size)), crc)
        self.complete(options.modified, options.mode, crc)
        self._root.cached_reads.took_in_thread(monotonic() - began)
        return crc

    def compare_and_complete(self, crc: int, size: int, expected: int | None, options: ObjectOptions) -> None:
        """Completes the file if it has the expected size, and the expected CRC32C where there is one.

        Raises:
            ChecksumMismatchError: it does not; the target is untouched.
        """
        self._compare(os.fstat(self._descriptor).st_size, crc, size, expected)
        self.complete(options.modified, options.mode, crc)

    def check_written(self, found: int | None, crc: int) -> None:
        """Compares the CRC32C of what the file has (`found`; None if it is too short) with that of what was written.

        Raises:
            ChecksumMismatchError: they differ; the target is untouched.
        """
        if found != crc:
            text = "the file has other bytes than were written to it; try again, and check memory and disk"
            raise error_of("write", self._root.resolve(self.key), ChecksumMismatchError, text)

    def _compare(self, arrived: int, crc: int, size: int, expected: int | None) -> None:
        if arrived != size or crc != (crc if expected is None else expected):
            text = f"{arrived} bytes arrived of {size}, or with another checksum than the source's; try again"
            raise error_of("write", self._root.resolve(self.key), ChecksumMismatchError, text)

    def complete(self, modified: float | None, mode: int | None, crc: int | None = None) -> None:
        """Sets the time and the mode of the file after all bytes were written, and keeps its CRC32C (`crc`).

        See `modes.mode_for`.
        """
        set_mode(self._descriptor, mode_of(self._replaced, mode))
        if modified is not None:
            set_time(self._descriptor, modified)
        if (kept := self._root.kept_checksums) is not None and crc is not None and not kept.keep(self._descriptor, crc):
            self._unkept = os.fstat(self._descriptor), crc
        if not self._durable or self._directory.in_memory:
            self.take_name()
            self.close()

    @property
    def descriptor(self) -> int:
        """The descriptor of the file while it is open."""
        return self._descriptor

    @property
    def device(self) -> int:
        """The device of its file system."""
        return self._directory.device

    @property
    def directories(self) -> tuple[str]:
        """The path of its directory."""
        return (os.path.dirname(self._above),)

    def take_name(self) -> None:
        """Renames the file to its target, which is replaced atomically.

        Raises:
            AlreadyExistsError: there is a file, and it must not be replaced.
            PreconditionFailedError: another version is there than the one to be replaced. The file is compared right
                before, since no system call compares and renames in one step.
        """
        directory = self._directory.open_descriptor
        if self._if_absent:
            try:
                rename_new(directory, self._name, self._target)
            except FileExistsError as error:
                raise error_of("write", self._root.resolve(self.key), AlreadyExistsError, EXISTS) from error
        else:
            if self._if_match is not None:
                self._check_matching(directory)
            os.replace(self._name, self._target, src_dir_fd=directory, dst_dir_fd=directory)
        self._name = self.path = ""
        if self._unkept is not None and (kept := self._root.kept_checksums) is not None:
            kept.keep_elsewhere(self._root.resolve(self.key), *self._unkept)

    def _check_matching(self, directory: int) -> None:
        found = None
        with contextlib.suppress(FileNotFoundError):
            found = etag_of(os.stat(self._target, dir_fd=directory, follow_symlinks=False))
        if found is None or not same_etag(found, self._if_match):
            raise error_of("write", self._root.resolve(self.key), PreconditionFailedError, REPLACED)

    def discard(self) -> None:
        """Removes the file if it still has its temporary name."""
        name, self._name, self.path = self._name, "", ""
        if name:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._directory.open_descriptor)
        self.close()

    def fill_from(self, descriptor: int) -> int:
        """Copies the bytes of an open file; returns their CRC32C."""
        buffer, position, crc = memoryview(bytearray(READ_SIZE)), 0, 0
        while size := os.preadv(descriptor, [buffer], position):
            crc = self.write((buffer[:size],), position, crc)
            position += size
        return crc

    def close(self) -> None:
        """Closes the file and releases its directory; a temporary file stays."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        if self.held:
            self.held = False
            self._directory.release()


class Stretch:
    """Consecutive writes to a file from an offset on; `crc32c` is that of the bytes so far."""

    def __init__(self, file: TemporaryFile, offset: int) -> None:
        self._file = file
        self._offset = offset
        self.crc32c = 0

    def write(self, data: Buffer) -> None:
        """Writes the next bytes; blocks."""
        self.crc32c = self._file.write((data,), self._offset, self.crc32c)
        self._offset += len(data)


class CopiedFile(NamedTuple):
    """What a copy has, and what its file is completed with.

    Attributes:
        size: in bytes.
        crc32c: of the bytes that were read.
        modified, mode: of the source.
    """

    size: int
    crc32c: int
    modified: float
    mode: int


def copy_file(root: Root, source: Entry, file: TemporaryFile) -> CopiedFile:
    """Copies the bytes of a file in the version that was seen; the copy is not complete yet.

    Raises:
        PreconditionFailedError: the source has changed.
        ChecksumMismatchError: the source has other bytes than its kept checksum is of.
    """
    descriptor = root.open_file(source.key, os.O_RDONLY | os.O_CLOEXEC)
    try:
        file.create(source.size)
        crc = file.fill_from(descriptor)
        status = os.fstat(descriptor)
        if source.etag not in (None, etag_of(status)):
            raise error_of("copy", root.resolve(source.key), PreconditionFailedError, CHANGED)
        path = root.resolve(source.key)
        if (kept := root.kept_checksums) is not None and kept.of(descriptor, path, status) not in (None, crc):
            text = "its bytes have another checksum than when it was stored; store it again, and check the disk"
            raise error_of("copy", path, ChecksumMismatchError, text)
    finally:
        os.close(descriptor)
    return CopiedFile(status.st_size, crc, status.st_mtime, status.st_mode)
