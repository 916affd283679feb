"""A store of zarr version 3 over any location of a session.

Example:
    >>> import zarr
    >>> array = zarr.create_array(DxflowStore("aws:/bucket/array.zarr"), shape=(1000, 1000), dtype="f4")
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from functools import partial
from typing import Any, Self

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from dxflow_async.concurrency.pool import results_of
from dxflow_async.doors.loop_sessions import LoopSessions
from dxflow_async.doors.reused_memory import ReusedMemory
from dxflow_async.exceptions import AlreadyExistsError, NotFoundError, PreconditionFailedError, UnsupportedError
from dxflow_async.location_path import LocationPath
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.session import AsyncSession
from dxflow_async.storage.area_storage import AsyncAreaStorage

__all__ = ["DxflowStore"]

_RANGES = 32
"""How many ranges of one call are read at a time."""

_CHUNK = 1 << 20

_Place = tuple[AsyncSession, AsyncAreaStorage, str, ReusedMemory]
"""A session, the storage and the path of the store there, and the memory of what is read in its event loop."""

_VALUES = ObjectOptions("application/octet-stream")


class DxflowStore(Store):
    """Keeps the chunks and the metadata of arrays below a location.

    Args:
        location: a directory, as for `AsyncSession.copy`, or a path of `AsyncSession.path`.
        session: the session to use, in its own event loop; by default a session is made in zarr's.
        read_only: whether writes are refused.
        storage_type: the area of remotes, `"private"` or `"public"`.
        object_options: what is stored with every value that is written.
        options: the arguments of `AsyncSession` for a session that is made.
    """

    supports_writes: bool = True
    supports_deletes: bool = True
    supports_listing: bool = True
    supports_partial_writes: Any = False

    def __init__(
        self,
        location: str | os.PathLike[str],
        *,
        session: AsyncSession | None = None,
        read_only: bool = False,
        storage_type: str = "private",
        object_options: ObjectOptions | None = None,
        **options: Any,
    ) -> None:
        super().__init__(read_only=read_only)
        self._top = LocationPath(location)
        self._storage_type = storage_type
        self._object_options = object_options or _VALUES
        self._session = session
        self._options = options
        self._sessions = LoopSessions(session, **options)
        self._places: dict[int, _Place] = {}

    def with_read_only(self, read_only: bool = False) -> Self:  # noqa: FBT002 - as zarr has it
        """Returns a store of the same location that is, or is not, read-only."""
        return type(self)(
            self._top,
            session=self._session,
            read_only=read_only,
            storage_type=self._storage_type,
            object_options=self._object_options,
            **self._options,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DxflowStore) and self._identity == other._identity

    __hash__ = None  # type: ignore[assignment]  # as the other stores of zarr

    def __str__(self) -> str:
        return f"dxflow+{self._top}"

    def __repr__(self) -> str:
        return f"DxflowStore({self._top!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._session is not None:
            raise TypeError(f"{self} has a session, which belongs to this process; give settings to a store to pickle")
        options = {**self._options, "storage_type": self._storage_type, "object_options": self._object_options}
        return _restored, (self._top.text, self.read_only, options, self._is_open)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Returns a value, or a range of it; None if there is none."""
        if not self._is_open:
            await self._open()
        _, storage, top, memory = await self._placed()
        path = top + key
        try:
            start, end = 0, None
            if isinstance(byte_range, RangeByteRequest):
                start, end = byte_range.start, byte_range.end
            elif isinstance(byte_range, OffsetByteRequest):
                start = byte_range.offset
            elif isinstance(byte_range, SuffixByteRequest):
                start = max((await storage.stat(path)).size - byte_range.suffix, 0)
            elif byte_range is not None:
                raise ValueError(f"Unexpected byte_range, got {byte_range}.")
            data: bytes | bytearray | memoryview
            if end is not None and end <= start and not await self.exists(key):
                return None
            with memory:
                data = await storage._read_whole(path, start, end, memory=memory.take)
        except NotFoundError:
            return None
        except PreconditionFailedError:
            if (await storage.stat(path)).size > start:
                raise
            data = b""  # the value ends before the range
        return prototype.buffer.from_bytes(data)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Returns several ranges, read at the same time."""
        reads = [partial(self.get, key, prototype, byte_range) for key, byte_range in key_ranges]
        return await results_of(reads, _RANGES)

    async def exists(self, key: str) -> bool:
        """Returns whether there is a value."""
        storage, top = await self._place()
        try:
            return not (await storage.stat(top + key)).directory
        except NotFoundError:
            return False

    async def set(self, key: str, value: Buffer) -> None:
        """Stores a value; readers see the old one or the new one."""
        await self._set(key, value, overwrite=True)

    async def set_partial_values(self, key_start_values: Iterable[tuple[str, int, Any]]) -> None:
        """Raises `UnsupportedError`: values are written whole. zarr before 3.1.2 asks for the method."""
        raise UnsupportedError("values are not written in part: supports_partial_writes is not set", operation="set")

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Stores a value unless there is one. Of two writers one wins, where the storage itself can tell."""
        with contextlib.suppress(AlreadyExistsError):
            await self._set(key, value, overwrite=False)

    async def _set(self, key: str, value: Buffer, *, overwrite: bool) -> None:
        if not self._is_open:
            await self._open()
        self._check_writable()
        if not isinstance(value, Buffer):
            raise TypeError(f"DxflowStore.set(): `value` must be a Buffer instance. Got a {type(value)} instead.")
        storage, top = await self._place()
        await storage.write(top + key, _chunks(value), options=self._object_options, overwrite=overwrite)

    async def delete(self, key: str) -> None:
        """Deletes a value; one that is not there is no error."""
        self._check_writable()
        storage, top = await self._place()
        await storage.delete(top + key)

    async def delete_dir(self, prefix: str) -> None:
        """Deletes all values below a prefix, many with one request where the service can."""
        self._check_writable()
        storage, top = await self._place()
        name = prefix.strip("/")
        with contextlib.suppress(NotFoundError):
            await storage.delete(_below(top, name))

    async def list(self) -> AsyncIterator[str]:
        """Yields all keys."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yields the keys that begin with a prefix."""
        storage, top = await self._place()
        directory = prefix.rpartition("/")[0]
        try:
            async with aclosing(storage.scan(_below(top, directory), recursive=True)) as items:
                async for item in items:
                    key = item.path[len(top) :]
                    if not item.directory and key.startswith(prefix):
                        yield key
        except NotFoundError:
            return

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yields the names directly below a prefix."""
        storage, top = await self._place()
        name = prefix.strip("/")
        try:
            async with aclosing(storage.scan(_below(top, name), recursive=False)) as items:
                async for item in items:
                    yield item.name
        except NotFoundError:
            return

    async def getsize(self, key: str) -> int:
        """Returns the size of a value in bytes.

        Raises:
            FileNotFoundError: there is no such value.
        """
        storage, top = await self._place()
        return (await storage.stat(top + key)).size

    async def getsize_prefix(self, prefix: str) -> int:
        """Returns the size of all values below a prefix, with one listing."""
        storage, top = await self._place()
        name = prefix.strip("/")
        try:
            async with aclosing(storage.scan(_below(top, name), recursive=True)) as items:
                return sum([item.size async for item in items])
        except NotFoundError:
            return 0

    @property
    def _identity(self) -> tuple[Any, ...]:
        return self._top, self.read_only, self._storage_type, self._object_options, self._options

    async def _place(self) -> tuple[AsyncAreaStorage, str]:
        """Returns the storage, and the path of the store there with a slash at its end."""
        return (await self._placed())[1:3]

    async def _placed(self) -> _Place:
        session = self._sessions.get()
        known = self._places.get(id(session))
        if known is None or known[0] is not session:
            storage, path = await session.path(self._top, storage_type=self._storage_type)._at()
            known = session, storage, f"{path.rstrip('/')}/", ReusedMemory()
            self._places = {id(session): known}
        return known


def _restored(
    location: str,
    read_only: bool,
    options: dict[str, Any],
    is_open: bool,
) -> DxflowStore:
    store = DxflowStore(location, read_only=read_only, **options)
    store._is_open = is_open
    return store


def _below(top: str, name: str) -> str:
    """Returns the path of a directory, with a slash at its end."""
    return f"{top}{name}/" if name else top


async def _chunks(value: Buffer) -> AsyncIterator[bytes]:
    view = memoryview(value.as_buffer_like()).cast("B")
    for start in range(0, len(view), _CHUNK):
        yield view[start : start + _CHUNK]  # type: ignore[misc]
