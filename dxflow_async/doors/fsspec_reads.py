"""The calls of fsspec that read many files or ranges.

fsspec makes a task for each of them, and looks at all waiting tasks each time one ends. A fixed number of workers takes
a third less CPU for small ranges.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from dxflow_async.concurrency.pool import results_of
from dxflow_async.doors.fsspec_bulk import BulkCalls
from dxflow_async.exceptions import PreconditionFailedError

__all__ = ["ReadCalls"]

_READS = 128
"""How many ranges are read at a time, as in fsspec. The session's own limits hold below it."""


class ReadCalls(BulkCalls):
    """The part of the file system that reads many files, or many ranges of them."""

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Returns the bytes `[start, end)` of a file, as slices have them."""
        path = self._strip_protocol(path)
        if (start is not None and start < 0) or (end is not None and end < 0):
            start, end = slice(start, end).indices((await self._info(path))["size"])[:2]
            end = max(start, end)
        if end is not None and end <= (start or 0):
            await self._info(path)
            return b""
        storage, inner = await self._at(path)
        try:
            return bytes(await storage._read_whole(inner, start, end))
        except PreconditionFailedError:
            if (await self._info(path))["size"] > (start or 0):
                raise
            return b""  # the file ends before the range

    async def _cat(
        self,
        path: Any,
        recursive: bool = False,  # noqa: FBT002 - as fsspec has it
        on_error: str = "raise",
        batch_size: int | None = None,
        **options: Any,
    ) -> Any:
        """Returns the content of a file, or of each of several by their names. Directories have none."""
        paths: list[str] = []

        async def expand() -> None:
            found = await self._expand_path(path, recursive=recursive)
            paths.extend([each for each in found if not (recursive and await self._isdir(each))])

        await self._expanded(expand())
        reads = [partial(self._cat_file, each, **options) for each in paths]
        found = await self._outcomes(reads, batch_size, raising=on_error == "raise")
        if not isinstance(path, list) and paths == [self._strip_protocol(path)]:
            return found[0]
        pairs = zip(paths, found, strict=True)
        return {name: data for name, data in pairs if on_error != "omit" or not isinstance(data, Exception)}

    async def _cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        batch_size: int | None = None,
        on_error: str = "return",
        **options: Any,
    ) -> list[Any]:
        """Returns ranges of files, read at the same time."""
        if max_gap is not None:
            raise NotImplementedError("max_gap is not supported; leave it out")
        if not isinstance(paths, list):
            raise TypeError(f"paths must be a list, not {type(paths).__name__}")
        starts, ends = (list(each) if isinstance(each, Iterable) else [each] * len(paths) for each in (starts, ends))
        if not len(starts) == len(ends) == len(paths):
            raise ValueError(f"{len(paths)} paths, {len(starts)} starts, {len(ends)} ends: give each as many")
        spans = zip(paths, starts, ends, strict=True)
        reads = [partial(self._cat_file, path, start=start, end=end, **options) for path, start, end in spans]
        return await self._outcomes(reads, batch_size, raising=on_error != "return")

    async def _du(
        self,
        path: str,
        total: bool = True,  # noqa: FBT002 - as fsspec has it
        maxdepth: int | None = None,
        **options: Any,
    ) -> Any:
        """Returns the size of all files below a path, or that of each of them, with one listing."""
        found = await self._find(path, maxdepth=maxdepth, detail=True, **options)
        sizes = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    async def _outcomes(
        self, reads: Sequence[Callable[[], Awaitable[Any]]], batch_size: int | None, *, raising: bool
    ) -> list[Any]:
        """Returns what each call returns or, unless `raising` is set, raises."""

        async def attempt(read: Callable[[], Awaitable[Any]]) -> Any:
            try:
                return await read()
            except Exception as error:  # noqa: BLE001 - it is the result
                return error

        size = batch_size or self.batch_size or _READS
        workers = len(reads) if size == -1 else size
        return await results_of(reads if raising else [partial(attempt, each) for each in reads], workers)
