"""The calls of fsspec that read many files or ranges.

fsspec makes a task for each of them, and looks at all waiting tasks each time one ends. Here, a fixed number of workers
reads them, and ranges that lie close to each other are read with one request.
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

_GAP = 256 << 10
"""To receive so many bytes costs about as much CPU as another request."""

_MERGED = 1 << 20
"""The most bytes of ranges that are read together: larger ones are faster read at the same time."""

_Range = tuple[str, int | None, int | None]


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
            data: bytes = await storage._read_bytes(inner, start, end)
        except PreconditionFailedError:
            if (await self._info(path))["size"] > (start or 0):
                raise
            return b""  # the file ends before the range
        return data

    async def _cat(
        self,
        path: Any,
        recursive: bool = False,  # noqa: FBT002 - as fsspec has it
        on_error: str = "raise",
        batch_size: int | None = None,
        **options: Any,
    ) -> Any:
        """Returns the content of a file, or of each of several by their names. Directories have none."""
        with self._noting():
            found = await self._expand_path(path, recursive=recursive)
            paths = [each for each in found if not (recursive and await self._isdir(each))]
        reads = [partial(self._cat_file, each, **options) for each in paths]
        read = await self._outcomes(reads, batch_size, raising=on_error == "raise")
        if not isinstance(path, list) and paths == [self._strip_protocol(path)]:
            return read[0]
        pairs = zip(paths, read, strict=True)
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
        """Returns ranges of files, read at the same time.

        Args:
            paths: the file of each range.
            starts, ends: in bytes, as for `_cat_file`; one number is that of all ranges.
            max_gap: ranges of a file that lie at most so many bytes apart are read with one request; None: 256 KiB.
            batch_size: how many requests may run at a time; None: that of the file system, or 128.
            on_error: `"return"` puts an exception in the place of its range, `"raise"` raises it.
            options: as for `_cat_file`.
        """
        if not isinstance(paths, list):
            raise TypeError(f"paths must be a list, not {type(paths).__name__}")
        starts, ends = (list(each) if isinstance(each, Iterable) else [each] * len(paths) for each in (starts, ends))
        if not len(starts) == len(ends) == len(paths):
            raise ValueError(f"{len(paths)} paths, {len(starts)} starts, {len(ends)} ends: give each as many")
        merged = _merged([*zip(paths, starts, ends, strict=True)], _GAP if max_gap is None else max_gap)
        reads = [partial(self._cat_file, path, start=start, end=end, **options) for path, start, end, _ in merged]
        found = await self._outcomes(reads, batch_size, raising=on_error != "return")
        ranges: list[Any] = [None] * len(paths)
        for (_, first, _, numbers), data in zip(merged, found, strict=True):
            for number in numbers:
                whole = len(numbers) == 1 or isinstance(data, Exception)
                ranges[number] = data if whole else data[starts[number] - first : ends[number] - first]
        return ranges

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


def _merged(ranges: Sequence[_Range], gap: int) -> list[tuple[str, Any, Any, list[int]]]:
    """Returns what to read for some ranges: a file, the first byte, the end, and the numbers of the ranges in it.

    Ranges that count from the end of their file, or go to it, are read alone.
    """
    alone: list[tuple[str, Any, Any, list[int]]] = []
    spans: list[tuple[str, int, int, int]] = []
    for number, (path, start, end) in enumerate(ranges):
        if end is None or start is None or not 0 <= start < end:
            alone.append((path, start, end, [number]))
        else:
            spans.append((path, start, end, number))
    merged: list[tuple[str, int, int, list[int]]] = []
    for path, start, end, number in sorted(spans):
        if merged:
            last, first, stop, numbers = merged[-1]
            if path == last and start - stop <= gap and max(stop, end) - first <= _MERGED:
                numbers.append(number)
                merged[-1] = path, first, max(stop, end), numbers
                continue
        merged.append((path, start, end, [number]))
    return alone + merged
