"""Listings page by page, with retries, and looking up one key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from typing import Any

from anyio import CancelScope

from dxflow_async.exceptions import NotFoundError
from dxflow_async.providers.common.confirm import check_names, contradiction
from dxflow_async.providers.contract import Entry, Page, Provider
from dxflow_async.providers.http import Call
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.request import request
from dxflow_async.transfer.retry import RetryPolicy

__all__ = ["pages", "pages_to_delete", "stat"]


async def pages(
    provider: Provider, prefix: str, *, recursive: bool, limits: Limits, policy: RetryPolicy
) -> AsyncIterator[Sequence[Entry]]:
    """Yields the entries whose keys start with `prefix`, in the order of their keys. It holds two pages in memory.

    From the second page on, the next page is requested while the caller works on one.

    Args:
        provider: the provider to list.
        prefix: the beginning of the keys; it ends in a slash, or is empty.
        recursive: whether to list everything below the prefix.
        limits: the session's limits.
        policy: the session's retry policy.

    Raises:
        StorageError: a page could not be fetched. The entries before it are right.
    """
    async with aclosing(_listing(provider, prefix, recursive=recursive, limits=limits, policy=policy)) as listing:
        async for page in listing:
            if page.entries:
                yield page.entries


async def pages_to_delete(
    provider: Provider, prefix: str, *, limits: Limits, policy: RetryPolicy
) -> AsyncIterator[Sequence[Entry]]:
    """Yields everything that is deleted with a directory; real directories come after their content.

    Raises as `pages`.
    """
    found = False
    async with aclosing(_listing(provider, prefix, recursive=True, limits=limits, policy=policy)) as listing:
        async for page in listing:
            found = found or bool(page.entries or page.directories)
            yield (*page.entries, *page.directories)
    if not found and provider.features.directories_vary:
        entry = await stat(provider, prefix, limits=limits, policy=policy)
        if entry is not None and entry.key.count("/") > 1:
            yield (entry,)


async def _listing(
    provider: Provider, prefix: str, *, recursive: bool, limits: Limits, policy: RetryPolicy
) -> AsyncGenerator[Page, None]:
    if recursive and provider.features.buckets and "/" not in prefix:
        async for buckets in pages(provider, prefix, recursive=False, limits=limits, policy=policy):
            for bucket in buckets:
                content = _listing(provider, bucket.key, recursive=True, limits=limits, policy=policy)
                async with aclosing(content) as listing:
                    async for page in listing:
                        yield page
        return

    async def look(cursor: Any) -> Page:
        page = await provider.list_page(prefix, recursive=recursive, cursor=cursor)
        call = Call(provider.name, "list", f"/{prefix}")
        check_names(call, prefix, page.entries)
        # A cursor that is not a text is a running listing, and stays the same object.
        if isinstance(cursor, str) and page.cursor == cursor:
            raise contradiction(call, "a page names itself as the next page")
        return page

    async def get(cursor: Any) -> Page:
        return await request(lambda: look(cursor), provider, limits=limits, policy=policy, kind="list")

    cursors = _Cursors()
    async with aclosing(_read_ahead(get)) as found:
        async for page in found:
            if cursors.repeat(page.cursor):
                raise contradiction(Call(provider.name, "list", f"/{prefix}"), "the listing goes in a circle")
            yield page


class _Cursors:
    """Finds a listing that goes in a circle, of any length, in the memory of one cursor (Brent's algorithm).

    Cursors that are not texts are ignored: they are running listings.
    """

    def __init__(self) -> None:
        self._number = 0
        self._earlier: str | None = None  # the last cursor whose number was a power of two

    def repeat(self, cursor: Any) -> bool:
        """Takes the next cursor; returns whether it was there before."""
        if not isinstance(cursor, str):
            return False
        if cursor == self._earlier:
            return True
        self._number += 1
        if not self._number & (self._number - 1):
            self._earlier = cursor
        return False


async def _read_ahead(get: Callable[[Any], Coroutine[Any, Any, Page]]) -> AsyncGenerator[Page, None]:
    """Yields pages by their cursors, fetching one page ahead. After the first page nothing is fetched ahead."""
    page, ahead = await get(None), None
    try:
        while True:
            yield page
            if page.cursor is None:
                return
            page = await (ahead or get(page.cursor))
            ahead = None if page.cursor is None else asyncio.create_task(get(page.cursor))
    finally:
        if ahead is not None:
            ahead.cancel()  # the error of a page that nobody wants is dropped
            with CancelScope(shield=True):
                await asyncio.wait([ahead])


async def stat(provider: Provider, key: str, *, limits: Limits, policy: RetryPolicy) -> Entry | None:
    """Returns the object of a key, or the directory when something is below it; None when there is neither."""

    async def look(name: str) -> Entry | None:
        with suppress(NotFoundError):
            return await request(lambda: provider.stat(name), provider, limits=limits, policy=policy)
        return None

    named = bool(key) and not key.endswith("/")
    features = provider.features
    if named and ((found := await look(key)) is not None or features.directories or features.unlisted):
        return found
    prefix = f"{key.removesuffix('/')}/" if key else ""
    try:
        async for page in pages(provider, prefix, recursive=False, limits=limits, policy=policy):
            if page:
                return Entry(prefix, directory=True)
    except NotFoundError:
        return None
    # A bucket or a real directory may be empty. A prefix without keys does not exist.
    if provider.features.directories or prefix.count("/") <= 1:
        return Entry(prefix, directory=True)
    found = await look(prefix) if provider.features.directories_vary and not named else None
    return found if found is not None and found.directory else None
