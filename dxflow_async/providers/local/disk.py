"""Blocking work on the local disk: run in threads, its errors made ours.

Source: https://man7.org/linux/man-pages/man3/errno.3.html
"""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TypeVar, TypeVarTuple

from anyio import CancelScope

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import (
    AccessDeniedError,
    AlreadyExistsError,
    NotFoundError,
    StorageError,
    UnsafePathError,
    UnsupportedError,
)
from dxflow_async.providers.contract import Body, Buffer, StreamedBody, is_streamed
from dxflow_async.providers.local.files import WRITE_SIZE, Stretch, TemporaryFile
from dxflow_async.providers.local.root import Root, error_of

__all__ = ["Disk"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# errno: our error, and what to do about it.
_ERRORS: dict[int, tuple[type[StorageError], str]] = {
    errno.ENOENT: (NotFoundError, "it does not exist; check the path"),
    errno.ENOTDIR: (NotFoundError, "a part of the path is a file, not a directory; check the path"),
    errno.EACCES: (AccessDeniedError, "permission denied; check its owner and mode"),
    errno.EPERM: (AccessDeniedError, "the operation is not permitted; check its owner and mode"),
    errno.EROFS: (AccessDeniedError, "the file system is read-only"),
    errno.EEXIST: (AlreadyExistsError, "something of that name exists; choose another name"),
    errno.EISDIR: (AlreadyExistsError, "a directory has that name; choose another name"),
    errno.ENOTEMPTY: (AlreadyExistsError, "a directory that is not empty has that name; choose another name"),
    errno.ENAMETOOLONG: (UnsafePathError, "the name is too long for this file system; choose a shorter one"),
    errno.EINVAL: (UnsafePathError, "this file system does not take the name; choose another"),
    errno.ELOOP: (UnsafePathError, "it is a symbolic link, or one into a loop; remove the link"),
    errno.ENXIO: (UnsupportedError, "it is not a regular file; leave it out"),
    errno.ENOSPC: (StorageError, "the disk is full; make room"),
    errno.EDQUOT: (StorageError, "the disk quota is used up; make room"),
    errno.EFBIG: (StorageError, "this file system does not take files of that size; choose another"),
}

_KEPT_BLOCKS = 8
"""Blocks of `WRITE_SIZE` that are kept for the next bodies: they are in memory already, the last one in the cache."""


class Disk:
    """Runs what blocks.

    Args:
        threads: where.
        root: what keys are below, to be named in errors.
        durable: whether what is written may have to be on disk; the threads say whether it has to.

    Attributes:
        durable: whether it has to be.
    """

    def __init__(self, threads: Threads, root: Root, *, durable: bool = True) -> None:
        self._threads = threads
        self._commits = threads.commits if durable else None
        self.durable = self._commits is not None
        self._root = root
        self._spare: list[memoryview] = []

    async def run(self, operation: str, key: str, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """What `function(*arguments)` returns.

        Raises:
            StorageError: for the `OSError` it raised.
        """
        try:
            return await self._threads.run(function, *arguments)
        except StorageError:
            raise
        except OSError as error:
            raise self._translated(operation, key, error) from error

    async def commit(self, operation: str, file: TemporaryFile) -> None:
        """Waits until a complete file has its name and is on disk; nothing is left to do for one that has its name.

        Raises:
            StorageError: the file is as it was.
        """
        if self._commits is not None and file.held:
            try:
                await self._commits.commit(file)
            except OSError as error:
                raise self._translated(operation, file.key, error) from error

    async def sync_names(self, operation: str, *keys: str, made: bool = False) -> None:
        """Waits until the names of keys are on disk, those of the directories above among them.

        Args:
            operation: as errors call it.
            keys: what was renamed, or made.
            made: the keys are of directories that were made, or were there.
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
        """Directories were removed or renamed: what gets their names is new."""
        if self._commits is not None:
            self._commits.synced.forget()

    def _translated(self, operation: str, key: str, error: OSError) -> StorageError:
        path = str(error.filename2 or error.filename or "")
        if not os.path.isabs(path):  # a name in a directory that was opened before
            path = os.path.join(self._root.path, key)
        cls, text = _ERRORS.get(error.errno or 0, (StorageError, error.strerror or str(error)))
        return error_of(operation, path, cls, text, errno.errorcode.get(error.errno or 0))

    async def collect(self, body: Body) -> Sequence[Buffer]:
        """A small body, whole."""
        if is_streamed(body):
            buffer = memoryview(bytearray(body.size))
            return [buffer[: await _fill(body, buffer)]]
        return [chunk async for chunk in body]

    async def write_at(self, file: TemporaryFile, offset: int, body: Body) -> int:
        """Writes a body at an offset and returns its checksum."""
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

    async def discard(self, file: TemporaryFile) -> None:
        """Removes a temporary file, also while a cancellation is under way."""
        if file.held:
            with CancelScope(shield=True):
                await self._threads.run(file.discard)


async def _blocks(body: Body) -> AsyncIterator[Sequence[Buffer]]:
    """A body in pieces worth a call to a thread; a piece is written before the next one is asked for."""
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
