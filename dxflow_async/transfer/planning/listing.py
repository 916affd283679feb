"""Listings page by page, with retries, and looking up one key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from copy import copy
from dataclasses import replace
from itertools import pairwise
from typing import Any

from anyio import CancelScope

from dxflow_async.exceptions import AccessDeniedError, NotFoundError, StorageError, UnsupportedError
from dxflow_async.providers.common.confirm import check_names, contradiction
from dxflow_async.providers.common.listing_orders import by_directories, question
from dxflow_async.providers.contract import Entry, Page, Provider, keys_of
from dxflow_async.providers.http import Call
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.planning.cursors import Cursors
from dxflow_async.transfer.planning.directory_listing import DirectoryListing
from dxflow_async.transfer.planning.parallel_listing import list_in_parallel
from dxflow_async.transfer.request import request
from dxflow_async.transfer.retry import RetryPolicy

__all__ = ["SHARED_AFTER", "pages", "pages_after", "pages_to_delete", "stat"]

SHARED_AFTER = 3
"""Pages after which workers of an executor list the rest: some thousand objects, which are worth several shards."""


async def pages(
    provider: Provider, prefix: str, *, recursive: bool, limits: Limits, policy: RetryPolicy
) -> AsyncGenerator[Sequence[Entry], None]:
    """Yields the entries whose keys start with `prefix`, in the order of their keys.

    It holds two pages in memory, or up to 160 pages of a listing that is requested in several places.

    From the second page on, the next page is requested while the caller works on one, and a recursive listing is
    requested in several places at once where the provider can.

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


async def pages_after(
    provider: Provider, prefix: str, after: str, *, limits: Limits, policy: RetryPolicy
) -> AsyncGenerator[Page, None]:
    """Yields all objects below a prefix whose keys follow a key, where `Features.list_after` is set.

    Args:
        provider: the provider to list.
        prefix: the beginning of the keys; it ends in a slash.
        after: as for `Provider.list_after`.
        limits: the session's limits.
        policy: the session's retry policy.

    Raises:
        UnsupportedError: the service lists from another key.
        StorageError: a page could not be fetched. The entries before it are right.
    """
    get, cursors = _Requests(provider, prefix, recursive=True, limits=limits, policy=policy), Cursors()
    page = await get.after(after)
    while True:
        if page.entries:
            if page.entries[0].key <= after:
                raise contradiction(get.call, "a page goes back to keys that are listed already")
            after = page.entries[-1].key
        yield page
        if page.cursor is None:
            return
        if cursors.repeat(page.cursor):
            raise contradiction(get.call, "the listing goes in a circle")
        page = await get.page(page.cursor)


async def pages_to_delete(
    provider: Provider, prefix: str, *, limits: Limits, policy: RetryPolicy
) -> AsyncGenerator[Sequence[Entry], None]:
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

    get = _Requests(provider, prefix, recursive=recursive, limits=limits, policy=policy)
    first = await get.page(None)
    yield first
    if first.cursor is None:
        return
    second = await get.page(first.cursor)
    long = recursive and second.cursor is not None and bool(second.entries)
    if long and provider.features.list_directories and provider.features.list_after:
        yield second
        following = await get.first_after(second)
        second = await get.page(second.cursor) if following is None else following
        long = second.cursor is not None and bool(second.entries)
    in_parallel = long and (not provider.features.list_after or await _may_be_cut(provider, get, prefix, first, second))
    rest = _rest(provider, get, prefix, second, limits, policy) if in_parallel else _read_ahead(get.page, second)
    cursors = Cursors()
    cursors.repeat(first.cursor)
    async with aclosing(rest) as found:
        async for page in found:
            if cursors.repeat(page.cursor):
                raise contradiction(get.call, "the listing goes in a circle")
            yield page


async def _may_be_cut(provider: Provider, get: _Requests, prefix: str, *seen: Page) -> bool:
    """Returns whether a listing may be requested in several places, by the order of the service.

    The service is asked for its order once, by keys that were listed. Where these stand alike in both orders, nothing
    can be asked, and the listing may be cut as long as no others come. It is not cut where the question is refused.
    """
    if provider.features.key_order or provider.features.directory_order is not None:
        return True
    keys = [key for page in seen for key in keys_of(page.entries)]
    if any(after < before for before, after in pairwise(keys)):
        order = all(by_directories(before) < by_directories(after) for before, after in pairwise(keys))
        provider.features = replace(provider.features, directory_order=order or None)
        return order
    if (asked := question(prefix, keys)) is None:
        return True
    twin = copy(provider)
    twin.features = replace(provider.features, directory_order=asked.directories)
    try:
        found = await get.of(twin).after(asked.after)
        is_there = any(each.key == asked.key for each in found.entries)
        if not is_there:
            before = keys.index(asked.key) - 1
            again = await (get.page(None) if before < 0 else get.after(keys[before]))
            if all(each.key != asked.key for each in again.entries):
                return False  # it was deleted meanwhile, so the answer tells nothing
    except StorageError as error:
        if isinstance(error, UnsupportedError):
            provider.features = replace(provider.features, list_after=False)
        return False
    provider.features = replace(provider.features, directory_order=asked.directories == is_there)
    return True


def _rest(
    provider: Provider, get: _Requests, prefix: str, page: Page, limits: Limits, policy: RetryPolicy
) -> AsyncGenerator[Page, None]:
    """Returns a page and those after it, requested in the way that the provider can."""
    if provider.features.list_after:
        directories = False if provider.features.key_order else provider.features.directory_order
        return list_in_parallel(get.call, prefix, page, go_on=get.page, start_after=get.after, directories=directories)
    if not provider.features.list_directories:
        return _read_ahead(get.page, page)

    async def page_of(directory: str, recursive: bool, cursor: Any) -> Page:
        requests = _Requests(provider, directory, recursive=recursive, limits=limits, policy=policy)
        return await requests.page(cursor)

    return DirectoryListing(page_of, provider.listing_order, lambda: provider.real_directories).pages(prefix, page)


class _Requests:
    """Requests pages of a listing, with retries, and checks them."""

    def __init__(
        self, provider: Provider, prefix: str, *, recursive: bool, limits: Limits, policy: RetryPolicy
    ) -> None:
        self.call = Call(provider.name, "list", f"/{prefix}")
        self._provider, self._prefix, self._recursive = provider, prefix, recursive
        self._limits, self._policy = limits, policy

    def of(self, provider: Provider) -> _Requests:
        """Returns the same for another provider."""
        return _Requests(provider, self._prefix, recursive=self._recursive, limits=self._limits, policy=self._policy)

    async def page(self, cursor: Any) -> Page:
        """Returns the page of a cursor; that of None is the first one."""

        async def look() -> Page:
            page = await self._provider.list_page(self._prefix, recursive=self._recursive, cursor=cursor)
            # A cursor that is not a text is a running listing, and stays the same object.
            if isinstance(cursor, str) and page.cursor == cursor:
                raise contradiction(self.call, "a page names itself as the next page")
            return page

        return await self._checked(look)

    async def after(self, key: str) -> Page:
        """Returns the first page of the keys above one."""
        return await self._checked(lambda: self._provider.list_after(self._prefix, key))

    async def first_after(self, page: Page) -> Page | None:
        """Returns the page after another one, requested by its last key; None if the service begins elsewhere."""
        try:
            following = await self.after(page.entries[-1].key)
        except UnsupportedError:
            return None
        if following.entries:
            return following
        self._provider.features = replace(self._provider.features, list_after=False)  # there is more
        return None

    async def _checked(self, look: Callable[[], Awaitable[Page]]) -> Page:
        async def once() -> Page:
            page = await look()
            check_names(self.call, self._prefix, page.entries)
            return page

        return await request(once, self._provider, limits=self._limits, policy=self._policy, kind="list")


async def _read_ahead(get: Callable[[Any], Coroutine[Any, Any, Page]], page: Page) -> AsyncGenerator[Page, None]:
    """Yields a page and those after it, fetching one page ahead."""
    ahead = None
    try:
        while True:
            ahead = None if page.cursor is None else asyncio.create_task(get(page.cursor))
            yield page
            if ahead is None:
                return
            page = await ahead
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
    except AccessDeniedError:
        # Rights on objects need not include the right to list them: a bucket may be looked up by itself.
        if not (features.buckets and prefix.count("/") == 1):
            raise
        return await look(prefix)
    # A bucket or a real directory may be empty. A prefix without keys does not exist.
    if provider.features.directories or prefix.count("/") <= 1:
        return Entry(prefix, directory=True)
    found = await look(prefix) if provider.features.directories_vary and not named else None
    return found if found is not None and found.directory else None
