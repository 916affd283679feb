"""The protocols of obspec, the interface of object stores, over any location of a session.

Libraries that ask for the asynchronous protocols of obspec, such as `GetRangesAsync` or `ListAsync`, take an
`ObspecStore`; `BlockingObspecStore` has the blocking ones. Neither needs a package: the protocols are structural.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dxflow_async.concurrency.pool import results_of
from dxflow_async.doors.obspec_results import (
    GotObjectAsync,
    PreconditionError,
    check_conditions,
    object_options,
    range_of,
    rules_of_mode,
)
from dxflow_async.doors.own_errors import raise_own_error
from dxflow_async.exceptions import ConfigurationError, PreconditionFailedError
from dxflow_async.models import Item
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.storage.area_storage import AsyncAreaStorage
from dxflow_async.storage.path import AsyncStoragePath

if TYPE_CHECKING:
    from obspec import Attributes, GetOptions, ListResult, ObjectMeta, PutMode, PutResult

__all__ = ["ObspecStore"]

_RANGES = 32
"""How many ranges of one call are read at a time."""

_PAGE = 1000


class ObspecStore:
    """The objects below a path, by names without a slash at the beginning.

    It implements all asynchronous protocols: `GetAsync`, `GetRangeAsync`, `GetRangesAsync`, `PutAsync`, `HeadAsync`,
    `ListAsync`, `ListWithDelimiterAsync`, `DeleteAsync`, `CopyAsync` and `RenameAsync`.

    Args:
        top: a path of `AsyncSession.path`.
        object_options: what is stored with every object that is written, copied or renamed, such as its storage class
            or its encryption, for which obspec has no names. Attributes and tags of a call win.

    Example:
        >>> async def head(session: "AsyncSession") -> int:
        ...     store = ObspecStore(session.path("aws:/bucket/dir"))
        ...     return (await store.head_async("x"))["size"]
    """

    def __init__(self, top: AsyncStoragePath, *, object_options: ObjectOptions | None = None) -> None:
        self._top = top
        self._options = object_options or ObjectOptions()

    async def get_async(self, path: str, *, options: GetOptions | None = None) -> GotObjectAsync:
        """Opens an object. Its bytes are read, in one version, when they are asked for.

        Args:
            path: the object.
            options: a range, a version, and conditions, which the store compares itself.

        Raises:
            NotFoundError: there is no such object.
            PreconditionError, NotModifiedError: a condition does not hold.
            ConfigurationError: the range has no byte of the object.
        """
        given = options or {}
        storage, top = await self._place()
        file = await storage.open(top + path, version=given.get("version"))
        entry = file._ranges.entry
        check_conditions(given, entry, path)
        span = (0, 0) if given.get("head") else range_of(given, file.size)
        area = await storage._find()
        return GotObjectAsync(file, _meta(area.item(entry), top), entry, span)

    async def put_async(
        self,
        path: str,
        file: Any,
        *,
        attributes: Attributes | None = None,
        tags: dict[str, str] | None = None,
        mode: PutMode | None = None,
        use_multipart: bool | None = None,
        chunk_size: int = 0,
        max_concurrency: int = 0,
    ) -> PutResult:
        """Stores an object.

        Args:
            path: the object.
            file: an open binary file, a `Path`, a buffer, or an iterable of buffers, asynchronous or not.
            attributes: the media type and other HTTP headers by their names; all other names are metadata.
            tags: stored with the object, where the service can.
            mode: `"overwrite"`, `"create"`, or the etag of the object to replace.
            use_multipart, chunk_size, max_concurrency: ignored; the session's settings and the size decide.

        Raises:
            AlreadyExistsError: the object exists, and the mode is `"create"`.
            PreconditionError: the object does not have the etag of the mode.
            UnsupportedError: the service keeps no such attribute or tag.
        """
        del use_multipart, chunk_size, max_concurrency
        storage, top = await self._place()
        rules = rules_of_mode(mode)
        options = object_options(attributes, tags, self._options)
        try:
            if isinstance(file, Path):
                await raise_own_error(storage.upload(file, top + path, options=options, **rules))
            else:
                data = file if isinstance(file, AsyncIterable) else _data(file)
                await storage.write(top + path, data, options=options, **rules)
        except PreconditionFailedError as error:
            raise PreconditionError(str(error), operation="put", path=path) from error
        stored = await storage.stat(top + path)
        return {"e_tag": stored.etag, "version": stored.version}

    async def get_range_async(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> bytes:
        """Returns the bytes `[start, end)`, or `length` bytes from `start` on.

        Raises:
            ConfigurationError: not exactly one of `end` and `length` is given.
            StorageError: the range could not be read.
        """
        if (end is None) == (length is None):
            raise ConfigurationError(f"end = {end}, length = {length} is not allowed; give one of them")
        stop = end if end is not None else start + (length or 0)
        storage, top = await self._place()
        return await storage._read_bytes(top + path, start, stop)

    async def get_ranges_async(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
    ) -> list[bytes]:
        """Returns several ranges of an object, read at the same time. Raises as `get_range_async`."""
        stops = ends if ends is not None else lengths
        if stops is None or len(stops) != len(starts) or (ends is not None and lengths is not None):
            raise ConfigurationError("ends, lengths are not allowed so; give one of them, as long as starts")
        name = "end" if ends is not None else "length"
        pairs = zip(starts, stops, strict=True)
        reads = [partial(self.get_range_async, path, start=start, **{name: stop}) for start, stop in pairs]
        return await results_of(reads, _RANGES)

    async def head_async(self, path: str) -> ObjectMeta:
        """Returns what is known of an object.

        Raises:
            NotFoundError: there is no such object.
        """
        storage, top = await self._place()
        return _meta(await storage.stat(top + path), top)

    def list_async(
        self, prefix: str | None = None, *, offset: str | None = None
    ) -> AsyncIterator[Sequence[ObjectMeta]]:
        """Yields all objects below a prefix, in order, a thousand at a time; with `offset` those after that name."""
        return self._pages(prefix or "", offset)

    async def list_with_delimiter_async(self, prefix: str | None = None) -> ListResult[Sequence[ObjectMeta]]:
        """Returns the objects and the directories directly below a prefix."""
        storage, top = await self._place()
        objects: list[ObjectMeta] = []
        prefixes: list[str] = []
        async with aclosing(storage.scan(_directory(top, prefix or ""), recursive=False)) as items:
            async for item in items:
                if item.directory:
                    prefixes.append(item.path[len(top) :].rstrip("/"))
                else:
                    objects.append(_meta(item, top))
        return {"common_prefixes": prefixes, "objects": objects}

    async def delete_async(self, paths: str | Sequence[str]) -> None:
        """Deletes objects, many with one request where the service can. One that does not exist is no error."""
        storage, top = await self._place()
        await storage.delete([top + path for path in ([paths] if isinstance(paths, str) else paths)])

    async def copy_async(self, from_: str, to: str, *, overwrite: bool = True) -> None:
        """Copies an object.

        Raises:
            NotFoundError: there is no such object.
            AlreadyExistsError: `overwrite` is not set, and the target exists.
        """
        storage, top = await self._place()
        await raise_own_error(storage.copy(top + from_, top + to, options=self._options, overwrite=overwrite))

    async def rename_async(self, from_: str, to: str, *, overwrite: bool = True) -> None:
        """Moves an object. Raises as `copy_async`."""
        storage, top = await self._place()
        await raise_own_error(storage.move(top + from_, top + to, options=self._options, overwrite=overwrite))

    async def _place(self) -> tuple[AsyncAreaStorage, str]:
        storage, path = await self._top._at()
        return storage, f"{path.rstrip('/')}/"

    async def _pages(self, prefix: str, offset: str | None) -> AsyncIterator[Sequence[ObjectMeta]]:
        storage, top = await self._place()
        page: list[ObjectMeta] = []
        async with aclosing(storage.scan(_directory(top, prefix), recursive=True)) as items:
            async for item in items:
                meta = _meta(item, top)
                if offset is None or meta["path"] > offset:
                    page.append(meta)
                if len(page) >= _PAGE:
                    yield page
                    page = []
        if page:
            yield page


def _data(file: Any) -> Any:
    """Returns what `write` takes: buffers of other libraries become views of bytes."""
    if hasattr(file, "read") or isinstance(file, bytes | bytearray | memoryview):
        return file
    try:
        return memoryview(file).cast("B")
    except TypeError:
        return (bytes(memoryview(each).cast("B")) for each in file)


def _directory(top: str, prefix: str) -> str:
    name = prefix.strip("/")
    return f"{top}{name}/" if name else top


def _meta(item: Item, top: str) -> ObjectMeta:
    return {
        "path": item.path[len(top) :],
        "last_modified": datetime.fromtimestamp(item.modification, tz=UTC),
        "size": item.size,
        "e_tag": item.etag,
        "version": item.version,
    }
