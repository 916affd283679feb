"""A local directory as a provider: the worked example, and what stands in where no cloud is configured.

Sections, in the order every provider keeps: features, the provider (listing, reading, writing, the rest), its reading,
its upload, errors. What is specific to a kind of storage (here: `files.py`) stands beside.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from anyio import CancelScope

from dxflow_async.exceptions import (
    AccessDeniedError,
    AlreadyExistsError,
    NotFoundError,
    PreconditionFailedError,
    StorageError,
    UnsafePathError,
)
from dxflow_async.providers.base import (
    Body,
    Buffer,
    Buffered,
    Entry,
    Features,
    ObjectOptions,
    Page,
    Part,
    Provider,
    Reading,
    Receipt,
    Upload,
)
from dxflow_async.providers.files import CACHED_SIZE, READ_SIZE, ReadableFile, Root, TemporaryFile, etag_of
from dxflow_async.providers.threads import Threads

__all__ = ["LocalProvider"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_PAGE_SIZE = 1000

# Features

_FEATURES = Features(rereads=True, directories=True, copy=True, rename=True, max_copy_size=1 << 62, max_size=1 << 62)


# The provider


class LocalProvider(Provider):
    """The files below a directory; keys never lead out of it.

    Args:
        root: the directory; it need not exist before something is written.
        threads: where the blocking work is done.
        follow_symlinks: for the user's own files: links may lead out of `root`.
    """

    name = "LOCAL"
    features = _FEATURES

    def __init__(self, root: Path, threads: Threads, *, follow_symlinks: bool = False) -> None:
        self.root = Root(root, follow_symlinks=follow_symlinks)
        self._threads = threads

    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        walk: Iterator[Entry] = cursor or self.root.walk(prefix, recursive=recursive)
        entries = await self._run("list", prefix, lambda: list(islice(walk, _PAGE_SIZE)))
        return Page(entries, walk if len(entries) == _PAGE_SIZE else None)

    async def stat(self, key: str) -> Entry:
        return await self._run("stat", key, self._stat, key)

    async def read(
        self,
        key: str,
        start: int = 0,
        end: int | None = None,
        *,
        etag: str | None = None,
        listed: Entry | None = None,
    ) -> Reading:
        file = ReadableFile(self.root.resolve(key), key, start, end)
        first: Buffer | None = None
        try:
            if listed is not None and listed.size <= CACHED_SIZE and self.root.follow_symlinks:
                first = self._open_cached(file)
            if first is None:
                first = await self._run("read", key, self._open, file, key)
            if etag is not None and file.entry.etag != etag:
                raise _error("read", key, PreconditionFailedError, "the file was changed meanwhile; try again")
        except BaseException:
            file.close()
            raise
        return _LocalReading(self, file, start, first)

    async def write(self, key: str, body: Body, options: ObjectOptions) -> Entry:
        file = TemporaryFile(self.root, key)
        try:
            if body.size <= READ_SIZE:
                chunks = [chunk async for chunk in body]
                crc = await self._run("write", key, file.write_new, chunks, body.crc32c, options.modified)
            else:
                await self._run("write", key, file.create, body.size)
                crc = await self.write_at(file, 0, body)
                await self._run("write", key, file.compare_and_commit, crc, body.crc32c, options.modified)
        finally:
            await self.discard(file)
        return Entry(key, body.size, crc32c=crc)

    async def start_upload(self, key: str, size: int | None, options: ObjectOptions) -> Upload:
        file = TemporaryFile(self.root, key)
        try:
            await self._run("write", key, file.create, size)
        except BaseException:
            await self.discard(file)
            raise
        return _LocalUpload(self, file, key, options)

    async def delete(self, keys: Sequence[str]) -> int:
        for key in keys:
            await self._run("delete", key, self._delete, key)
        return len(keys)

    async def copy(self, source: Entry, key: str, options: ObjectOptions) -> Entry:
        return await self._run("copy", key, self._copy, source, key)

    async def rename(self, source: str, key: str) -> None:
        await self._run("move", source, lambda: os.replace(self.root.contained(source), self.root.for_writing(key)))
        self.root.forget_directories()

    async def make_directory(self, key: str) -> None:
        await self._run("make directory", key, lambda: os.makedirs(self.root.contained(key), exist_ok=True))

    async def write_at(self, file: TemporaryFile, offset: int, body: Body) -> int:
        """Writes a body at an offset and returns its checksum."""
        chunks: list[Buffer] = []
        size = crc = 0
        async for chunk in body:
            chunks.append(chunk)
            size += len(chunk)
            if size >= READ_SIZE:
                crc = await self._run("write", file.path, file.write, chunks, offset, crc)
                offset += size
                chunks, size = [], 0
        return await self._run("write", file.path, file.write, chunks, offset, crc) if chunks else crc

    async def discard(self, file: TemporaryFile) -> None:
        """Removes a temporary file, also while a cancellation is under way."""
        if file.path:
            with CancelScope(shield=True):
                await self._threads.run(file.discard)

    async def _run(self, operation: str, key: str, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        try:
            return await self._threads.run(function, *arguments)
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise _translated(operation, str(error.filename or key), error) from error

    def _open_cached(self, file: ReadableFile) -> Buffer | None:
        """In the loop: its directory entry was just listed, and its bytes are taken only where they are in memory."""
        try:
            return file.open_cached(self.root.cached_reads)
        except OSError:
            file.close()
            return None

    def _open(self, file: ReadableFile, key: str) -> Buffer:
        self.root.contained(key)
        return file.open()

    def _stat(self, key: str) -> Entry:
        status = os.stat(self.root.contained(key))
        if os.path.isdir(self.root.resolve(key)):
            return Entry(key.removesuffix("/") + "/", modified=status.st_mtime, directory=True)
        if key.endswith("/"):
            raise NotADirectoryError(errno.ENOTDIR, "it is a file", key)
        return Entry(key, status.st_size, status.st_mtime, etag=etag_of(status))

    def _delete(self, key: str) -> None:
        path = self.root.for_deleting(key)
        try:
            if key.endswith("/"):
                shutil.rmtree(path)
                self.root.forget_directories()
            else:
                os.unlink(path)
        except (FileNotFoundError, NotADirectoryError):
            pass

    def _copy(self, source: Entry, key: str) -> Entry:
        file = TemporaryFile(self.root, key)
        try:
            file.create(source.size)
            shutil.copyfile(self.root.contained(source.key), file.path)
            file.commit(None)
        finally:
            file.discard()
        return Entry(key, source.size)


# Its reading


class _LocalReading(Reading):
    def __init__(self, provider: LocalProvider, file: ReadableFile, start: int, first: Buffer) -> None:
        self.entry = file.entry
        self.size = file.remaining + len(first)
        self._start = start
        self._provider = provider
        self._file = file
        self._first = first

    async def read(self) -> Buffer:
        if self._first:
            first, self._first = self._first, b""
            return first
        return await self._provider._run("read", self.entry.key, self._file.read) if self._file.remaining else b""

    async def replayable(self) -> Body:
        chunks = [self._first] if self._first else []
        if not self._file.remaining:
            return Buffered(chunks, self.size, self._file.crc32c)
        crc = await self._provider._run("read", self.entry.key, self._file.scan, self._file.crc32c)
        return _FileBody(self._provider, self.entry, self._start, self.size, crc)

    async def aclose(self) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class _FileBody:
    """A part of a file that was read once, for its checksum, and is read again whenever it is sent."""

    provider: LocalProvider
    entry: Entry
    start: int
    size: int
    crc32c: int | None

    async def __aiter__(self) -> AsyncIterator[Buffer]:
        reading = await self.provider.read(self.entry.key, self.start, self.start + self.size, etag=self.entry.etag)
        try:
            while chunk := await reading.read():
                yield chunk
        finally:
            await reading.aclose()


# Its upload


class _LocalUpload(Upload):
    def __init__(self, provider: LocalProvider, file: TemporaryFile, key: str, options: ObjectOptions) -> None:
        self.id = file.path
        self._provider = provider
        self._file = file
        self._key = key
        self._options = options

    async def write_part(self, part: Part, body: Body) -> Receipt:
        crc = await self._provider.write_at(self._file, part.offset, body)
        return Receipt(part, crc32c=crc)

    async def finish(self, receipts: Sequence[Receipt], crc32c: int | None) -> Entry:
        await self._provider._run("write", self._key, self._file.commit, self._options.modified)
        return Entry(self._key, sum(receipt.part.size for receipt in receipts), crc32c=crc32c)

    async def abort(self) -> None:
        await self._provider.discard(self._file)


# Errors

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
    errno.ENOSPC: (StorageError, "the disk is full; make room"),
    errno.EDQUOT: (StorageError, "the disk quota is used up; make room"),
}


def _translated(operation: str, path: str, error: OSError) -> StorageError:
    cls, text = _ERRORS.get(error.errno or 0, (StorageError, error.strerror or str(error)))
    return _error(operation, path, cls, text, code=errno.errorcode.get(error.errno or 0))


def _error(operation: str, path: str, cls: type[StorageError], text: str, code: str | None = None) -> StorageError:
    return cls(
        f"LOCAL {operation} of {path} failed: {text}", provider="LOCAL", operation=operation, path=path, code=code
    )
