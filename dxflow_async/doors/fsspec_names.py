"""Names and patterns of the file system of fsspec. What exists as it is written is not a pattern."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from fsspec.asyn import AsyncFileSystem
from fsspec.core import has_magic
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import other_paths

from dxflow_async.exceptions import NotFoundError, UnsafePathError

__all__ = ["NameCalls", "call_as_written"]


class NameCalls(AsyncFileSystem):  # type: ignore[misc]
    """The part of the file system that expands patterns."""

    async def _expand_path(
        self,
        path: Any,
        recursive: bool = False,  # noqa: FBT002 - as fsspec has it
        maxdepth: int | None = None,
        assume_literal: bool = False,  # noqa: FBT002 - as fsspec has it
    ) -> Any:
        """Expands patterns. A path that exists as it is written is not a pattern.

        Raises:
            NotFoundError: no path is there, and no pattern matches.
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        found: set[str] = set()
        for each in self._strip_protocol([path] if isinstance(path, str | os.PathLike) else list(path)):
            pattern = not assume_literal and has_magic(each) and not await self._exists(each)
            expand = self._matching if pattern else self._with_content
            found.update(await expand(each, recursive, maxdepth))
        if not found:
            raise _nothing_at(path)
        return sorted(found)

    async def _matching(self, pattern: str, recursive: bool, maxdepth: int | None) -> set[str]:
        """Returns what matches a pattern and, with `recursive`, what lies below that."""
        matched = await self._glob(self._strip_protocol(pattern), maxdepth=maxdepth, detail=True)
        found, depth = set(matched), maxdepth and maxdepth - 1
        if recursive and depth != 0:
            for top in [name for name, info in matched.items() if info["type"] == "directory"]:
                found.update(await self._find(top, maxdepth=depth, withdirs=True))
        return found

    async def _with_content(self, path: str, recursive: bool, maxdepth: int | None) -> set[str]:
        """Returns a path and, with `recursive`, what lies below it; nothing if that does not exist."""
        path = self._strip_protocol(path)
        if not recursive:
            return {path}
        found = set(await self._find(path, maxdepth=maxdepth, withdirs=True))
        return found | {path} if path in found or await self._exists(path) else found


async def call_as_written(
    call: Callable[..., Awaitable[object]],
    source: Any,
    target: Any,
    *,
    here: Any = None,
    there: Any = None,
    recursive: bool = False,
    maxdepth: int | None = None,
) -> None:
    """Makes a call of fsspec, with lists of names if the source looks like a pattern.

    fsspec takes each source with `*`, `?` or `[` in its name for a pattern: it moves what matches, and takes the target
    for a directory. Here, a source that exists as it is written has its targets by the rules for other names.

    Args:
        call: the call of fsspec.
        source, target: names, or lists of them, which are left to the call.
        here, there: the file systems of the source and of the target; None: this machine's.
        recursive, maxdepth: as for the call.

    Raises:
        NotFoundError: nothing matches the source.
        UnsafePathError: a name would leave its target on this machine.
    """
    depth = {"recursive": recursive, "maxdepth": maxdepth}
    if not (isinstance(source, str) and isinstance(target, str | os.PathLike) and has_magic(source)):
        await call(source, target, **depth)
        return
    here, there, text = here or _Disk, there or _Disk, os.fspath(target)
    literal = await here._exists(source)
    found = await (here._with_content if literal else here._matching)(source, **depth)
    if not found:
        raise _nothing_at(source)
    names = sorted(found)
    if not recursive or maxdepth is not None:
        names = [each for each in names if not await here._isdir(each)]
    if literal:
        inside = not source.endswith("/") and (text.endswith("/") or await there._isdir(text))
    else:
        inside = len(names) == 1
    top = there._strip_protocol(text)
    targets = other_paths(names, top, exists=inside) if names else []
    outside = [each for each in targets if ".." in each.removeprefix(top).split("/")]
    if there is _Disk and outside:
        raise UnsafePathError(f"{outside[0]} lies outside of {top}; give the file another name")
    await call(names, targets, **depth)


def _nothing_at(path: Any) -> NotFoundError:
    return NotFoundError(f"nothing is found at {path}; check the path or the pattern", operation="list", path=str(path))


class _Disk:
    """The methods of a file system that are needed here, for this machine."""

    _strip_protocol = LocalFileSystem._strip_protocol

    @staticmethod
    async def _exists(path: str) -> bool:
        return await asyncio.to_thread(LocalFileSystem().exists, path)

    @staticmethod
    async def _isdir(path: str) -> bool:
        return await asyncio.to_thread(LocalFileSystem().isdir, path)

    @staticmethod
    async def _matching(pattern: str, recursive: bool, maxdepth: int | None) -> set[str]:
        return {*await asyncio.to_thread(LocalFileSystem().expand_path, pattern, recursive, maxdepth)}

    @staticmethod
    async def _with_content(path: str, recursive: bool, maxdepth: int | None) -> set[str]:
        find = partial(LocalFileSystem().find, path, maxdepth=maxdepth, withdirs=True)
        below = await asyncio.to_thread(find) if recursive else ()
        return {LocalFileSystem._strip_protocol(path), *below}
