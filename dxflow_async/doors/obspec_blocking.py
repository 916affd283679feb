"""The blocking protocols of obspec: one delegate for each method of `ObspecStore`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dxflow_async.blocking.path import StoragePath
from dxflow_async.doors.obspec import ObspecStore
from dxflow_async.doors.obspec_results import GotObject
from dxflow_async.providers.contract import ObjectOptions

if TYPE_CHECKING:
    from obspec import Attributes, GetOptions, ListResult, ObjectMeta, PutMode, PutResult

__all__ = ["BlockingObspecStore"]


class BlockingObspecStore:
    """The objects below a path, for blocking callers; the twin of `ObspecStore`.

    It implements `Get`, `GetRange`, `GetRanges`, `Put`, `Head`, `List`, `ListWithDelimiter`, `Delete`, `Copy` and
    `Rename`.

    Args:
        top: a path of `Session.path`.
        object_options: as for `ObspecStore`.

    Example:
        >>> def head(session: "Session") -> int:
        ...     return BlockingObspecStore(session.path("aws:/bucket/dir")).head("x")["size"]
    """

    def __init__(self, top: StoragePath, *, object_options: ObjectOptions | None = None) -> None:
        self._session = top._bound  # a session that nobody holds is closed
        self._portal = self._session._portal
        self._store = ObspecStore(top._twin, object_options=object_options)

    def get(self, path: str, *, options: GetOptions | None = None) -> GotObject:
        """Twin: `ObspecStore.get_async`."""
        return GotObject(self._portal.call(self._store.get_async, path, options=options), self._portal)

    def get_range(self, path: str, *, start: int, end: int | None = None, length: int | None = None) -> bytes:
        """Twin: `ObspecStore.get_range_async`."""
        return self._portal.call(self._store.get_range_async, path, start=start, end=end, length=length)

    def get_ranges(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
    ) -> Sequence[bytes]:
        """Twin: `ObspecStore.get_ranges_async`."""
        return self._portal.call(self._store.get_ranges_async, path, starts=starts, ends=ends, lengths=lengths)

    def put(
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
        """Twin: `ObspecStore.put_async`."""
        del use_multipart, chunk_size, max_concurrency
        return self._portal.call(self._store.put_async, path, file, attributes=attributes, tags=tags, mode=mode)

    def head(self, path: str) -> ObjectMeta:
        """Twin: `ObspecStore.head_async`."""
        return self._portal.call(self._store.head_async, path)

    def list(self, prefix: str | None = None, *, offset: str | None = None) -> Iterator[Sequence[ObjectMeta]]:
        """Twin: `ObspecStore.list_async`."""
        pages: partial[AsyncIterator[Sequence[ObjectMeta]]] = partial(self._store.list_async, prefix, offset=offset)
        return self._portal.iterate(pages, weigh=len)

    def list_with_delimiter(self, prefix: str | None = None) -> ListResult[Sequence[ObjectMeta]]:
        """Twin: `ObspecStore.list_with_delimiter_async`."""
        return self._portal.call(self._store.list_with_delimiter_async, prefix)

    def delete(self, paths: str | Sequence[str]) -> None:
        """Twin: `ObspecStore.delete_async`."""
        self._portal.call(self._store.delete_async, paths)

    def copy(self, from_: str, to: str, *, overwrite: bool = True) -> None:
        """Twin: `ObspecStore.copy_async`."""
        self._portal.call(self._store.copy_async, from_, to, overwrite=overwrite)

    def rename(self, from_: str, to: str, *, overwrite: bool = True) -> None:
        """Twin: `ObspecStore.rename_async`."""
        self._portal.call(self._store.rename_async, from_, to, overwrite=overwrite)
