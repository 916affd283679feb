"""Runs blocking disk work in threads and translates its errors.

Source: https://man7.org/linux/man-pages/man3/errno.3.html
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from time import monotonic
from typing import TypeVar, TypeVarTuple

from anyio import CancelScope

from dxflow_async.concurrency.descriptors import ADVICE, OUT_OF_DESCRIPTORS
from dxflow_async.concurrency.threads import Threads
from dxflow_async.digests import RunningDigest
from dxflow_async.exceptions import (
    AccessDeniedError,
    AlreadyExistsError,
    NotFoundError,
    StorageError,
    UnsafePathError,
    UnsupportedError,
)
from dxflow_async.providers.contract import Body, Buffer, ObjectOptions, StreamedBody, is_streamed
from dxflow_async.providers.local.directories import Directory
from dxflow_async.providers.local.files import WRITE_SIZE, CopiedFile, Stretch, TemporaryFile
from dxflow_async.providers.local.readable_file import CACHED_SIZE
from dxflow_async.providers.local.root import Root, error_of

__all__ = ["Disk"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_CANNOT = "this file system cannot do that; use another one"

# errno: the error class, and the reason with what to do.
_ERRORS: dict[int, tuple[type[StorageError], str]] = {
    errno.ENOENT: (NotFoundError, "it does not exist; check the path"),
    errno.ENOTDIR: (NotFoundError, "a part of the path is a file, not a directory; check the path"),
    errno.EACCES: (AccessDeniedError, "permission denied; check its owner and mode"),
    errno.EPERM: (AccessDeniedError, "the operation is not permitted; check its owner and mode"),
    errno.EROFS: (AccessDeniedError, "the file system is read-only"),
    errno.EEXIST: (AlreadyExistsError, "something that is not a directory has that name; choose another name"),
    errno.EISDIR: (AlreadyExistsError, "a directory has that name; choose another name"),
    errno.ENOTEMPTY: (AlreadyExistsError, "a directory that is not empty has that name; choose another name"),
    errno.ENAMETOOLONG: (UnsafePathError, "the name is too long for this file system; choose a shorter one"),
    errno.EINVAL: (UnsafePathError, "this file system does not take the name; choose another"),
    errno.ELOOP: (UnsafePathError, "it is a symbolic link, or one into a loop; remove the link"),
    errno.ENXIO: (UnsupportedError, "it is not a regular file; leave it out"),
    errno.ENOSPC: (StorageError, "the disk is full; make room"),
    errno.EDQUOT: (StorageError, "the disk quota is used up; make room"),
    errno.EMFILE: (StorageError, ADVICE),
    errno.ENFILE: (StorageError, "the system has too many files open; close some, or raise its limit (fs.file-max)"),
    errno.EFBIG: (StorageError, "this file system does not take files of that size; choose another"),
    errno.EXDEV: (UnsupportedError, "it is on another file system, and cannot be renamed; copy it, then delete it"),
    errno.ENOSYS: (UnsupportedError, _CANNOT),
    errno.ENOTSUP: (UnsupportedError, _CANNOT),
    errno.EBUSY: (StorageError, "it is in use, as a mount point is; choose another name"),
    errno.EIO: (StorageError, "the disk, or the server of the file system, reports an error; check it"),
    errno.ESTALE: (StorageError, "the server of the file system does not know it any more; try again"),
}

_KEPT_BLOCKS = 8
"""How many buffers of `WRITE_SIZE` are reused: they are in memory already, and the last one is in the cache."""


class Disk:
    """Runs the blocking calls of one root.

    Args:
        threads: run the calls.
        root: the directory that keys are below, for errors.
        durable: whether written files must survive a loss of power, if `threads` are durable too.

    Attributes:
        durable: whether both are.
    """

    def __init__(self, threads: Threads, root: Root, *, durable: bool = True) -> None:
        self._threads = threads
        self._commits = threads.commits if durable else None
        self.durable = self._commits is not None
        self._root = root
        self._spare: list[memoryview] = []
        self._kept: dict[str, Directory] = {}

    async def run(self, operation: str, key: str, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Runs `function(*arguments)` in a thread and returns its result.

        Raises:
            StorageError: translated from the `OSError` that it raised.
        """
        try:
            return await self._threads.run(function, *arguments)
        except StorageError:
            raise
        except OSError as error:
            raise self._translated(operation, key, error) from error

    async def finish(self, operation: str, key: str, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Like `run`, for clean-up, also after the session was closed (`Threads.finish`)."""
        try:
            return await self._threads.finish(function, *arguments)
        except StorageError:
            raise
        except OSError as error:
            raise self._translated(operation, key, error) from error

    async def run_short(self, operation: str, key: str, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Like `run`, for a call about one small file: it shares a thread with others (`Threads.run_short`)."""
        try:
            return await self._threads.run_short(function, *arguments)
        except StorageError:
            raise
        except OSError as error:
            raise self._translated(operation, key, error) from error

    async def commit(self, operation: str, file: TemporaryFile) -> None:
        """Waits until a complete file is on disk and has its name. Does nothing for a file that has its name.

        Raises:
            StorageError: it failed, and the target is untouched.
        """
        if self._commits is not None and file.held:
            try:
                await self._commits.commit(file)
            except StorageError:
                raise
            except OSError as error:
                raise self._translated(operation, file.key, error) from error

    async def sync_names(self, operation: str, *keys: str, made: bool = False) -> None:
        """Waits until the names of keys are on disk, with the directories above them.

        Args:
            operation: for errors.
            keys: renamed or created.
            made: whether the keys are directories that exist now.
        """
        if self._commits is None:
            return
        paths = [self._root.resolve(key) for key in keys]
        wanted = {path if made else os.path.dirname(path) for path in paths}
        if made and all(map(self._commits.synced.has, wanted)):
            return
        try:
            await self._commits.sync_names(*wanted)
        except OSError as error:
            raise self._translated(operation, keys[-1], error) from error

    def forget_names(self) -> None:
        """Forgets which names are on disk, after directories were removed or renamed."""
        if self._commits is not None:
            self._commits.synced.forget()

    def _translated(self, operation: str, key: str, error: OSError) -> StorageError:
        path = str(error.filename2 or error.filename or "")
        if not os.path.isabs(path):  # relative to an open directory
            path = os.path.join(self._root.path, key)
        cls, text = _ERRORS.get(error.errno or 0, (StorageError, error.strerror or str(error)))
        failure = error_of(operation, path, cls, text, errno.errorcode.get(error.errno or 0))
        failure.retryable = failure.retryable or error.errno in OUT_OF_DESCRIPTORS
        return failure

    def temporary(self, key: str, options: ObjectOptions, *, reads_back: bool = False) -> TemporaryFile:
        """Returns what becomes the file of a key; nothing is made yet."""
        mark, durable, absent = self._threads.owner_id, self.durable, options.if_absent
        file = TemporaryFile(self._root, key, mark, durable=durable, if_absent=absent, if_match=options.if_match)
        file.reads_back = reads_back
        return file

    async def write_small(self, file: TemporaryFile, body: Body, options: ObjectOptions) -> int:
        """Writes, verifies and completes a small file in one go, and returns its CRC32C.

        Where the file system is memory, the event loop does it: giving it to a thread costs more.
        """
        chunks = await self.collect(body)
        expected, cached = (body.size, body.crc32c, options), self._root.cached_reads
        if body.size > CACHED_SIZE or not (self._root.in_memory and cached.allowed):
            return await self.run_short("write", file.key, file.write_new, chunks, *expected)
        self._keep_directory(file.key)
        waits, began = cached.waits(), monotonic()
        try:
            return file.write_new(chunks, *expected)
        except StorageError:
            raise
        except OSError as error:
            raise self._translated("write", file.key, error) from error
        finally:
            cached.took(monotonic() - began, waits)

    async def write_large(self, file: TemporaryFile, body: Body, options: ObjectOptions) -> int:
        """Writes, verifies and completes a file as its bytes arrive, and returns its CRC32C."""
        await self.run("write", file.key, file.create, body.size)
        crc = await self.write_at(file, 0, body)
        if file.reads_back:
            await self.compare_written(file, crc)
        await self.run("write", file.key, file.compare_and_complete, crc, body.size, body.crc32c, options)
        return crc

    async def complete_copy(self, file: TemporaryFile, copied: CopiedFile) -> None:
        """Compares what `copy_file` wrote with what it read, completes the file, and waits until it is on disk."""
        await self.compare_written(file, copied.crc32c)
        await self.run("copy", file.key, file.complete, copied.modified, copied.mode, copied.crc32c)
        await self.commit("copy", file)

    def _keep_directory(self, key: str) -> None:
        """Keeps the directory of a key open for the files that are written in this turn of the loop, not longer."""
        above = key.rpartition("/")[0]
        if above not in self._kept:
            if not self._kept:
                asyncio.get_running_loop().call_soon(self._release_directories)
            self._kept[above] = self._root.directories.hold(above)

    def _release_directories(self) -> None:
        for directory in self._kept.values():
            directory.release()
        self._kept.clear()

    async def collect(self, body: Body) -> Sequence[Buffer]:
        """Returns the buffers of a small body."""
        if is_streamed(body):
            first = await body.read()  # all of it, if it arrived ahead of its reader
            if len(first) >= body.size:
                return [first]
            buffer = memoryview(bytearray(body.size))
            filled = len(first)
            buffer[:filled] = first
            return [buffer[: filled + await _fill(body, buffer[filled:])]]
        return [chunk async for chunk in body]

    async def write_at(self, file: TemporaryFile, offset: int, body: Body) -> int:
        """Writes a body at an offset and returns its CRC32C."""
        if is_streamed(body):
            stretch = Stretch(file, offset)
            block = self._spare.pop() if self._spare else memoryview(bytearray(WRITE_SIZE))
            run = partial(self.run, "write", file.path)
            while await body.stream_to(block, stretch.write, run):
                pass
            if len(self._spare) < _KEPT_BLOCKS:
                self._spare.append(block)
            return stretch.crc32c
        crc = 0
        async for chunks in _blocks(body):
            async with file.writing:
                crc = await self.run("write", file.path, file.write, chunks, offset, crc)
            offset += sum(map(len, chunks))
        return crc

    async def compare_written(self, file: TemporaryFile, crc: int) -> None:
        """Reads a file that has all its bytes again, and compares their CRC32C with that of what was written.

        Raises:
            ChecksumMismatchError: it has other bytes.
        """
        found = await self.digest_written(file, "crc32c")
        file.check_written(int.from_bytes(found, "big"), crc)

    async def digest_written(self, file: TemporaryFile, algorithm: str) -> bytes:
        """Returns a digest of the bytes that a file has."""
        digest, position = RunningDigest(algorithm), 0
        while size := await self.run("read", file.key, file.update_digest, digest, position):
            position += size
        return digest.value

    async def discard(self, file: TemporaryFile) -> None:
        """Removes a temporary file, also during a cancellation."""
        if file.held:
            with CancelScope(shield=True):
                await self._threads.finish(file.discard)


async def _blocks(body: Body) -> AsyncIterator[Sequence[Buffer]]:
    """Groups the buffers of a body, so that each call to a thread has enough to do. Buffers are written in order."""
    chunks: list[Buffer] = []
    size = 0
    async for chunk in body:
        chunks.append(chunk)
        size += len(chunk)
        if size >= WRITE_SIZE:
            yield chunks
            chunks, size = [], 0
    if chunks:
        yield chunks


async def _fill(body: StreamedBody, buffer: memoryview) -> int:
    filled = 0
    while filled < len(buffer) and (size := await body.readinto(buffer[filled:])):
        filled += size
    return filled
