"""The items of directories: with their names there, page by page, and as the API writes them."""

from __future__ import annotations

import base64
import os
import secrets
import stat
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from dxflow_async.hub_page.locations import encode_location, is_odd
from dxflow_async.models import Item
from dxflow_async.paths import utf8_shown
from dxflow_async.server.common.middleware import refusal
from dxflow_async.session import AsyncSession

__all__ = ["Listings", "as_directory", "files_of", "item_tree", "items_below"]

_MAX_OPEN = 6
_OPEN_SECONDS = 120.0


@dataclass
class _Listing:
    """A directory that is being listed, and where it is."""

    location: str
    items: AsyncGenerator[tuple[str, Item], None]
    used: float = field(default_factory=time.monotonic)


class Listings:
    """The directories that a visitor has listed in part. A few of them stay open, so that the next page is cheap."""

    def __init__(self) -> None:
        self._open: dict[str, _Listing] = {}

    async def page(
        self, session: AsyncSession, location: str, after: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Returns the next items of a directory, and the token of the rest; None at the end."""
        listing = await self._continued(session, location, after)
        found: list[tuple[str, Item]] = []
        try:
            async for each in listing.items:
                found.append(each)
                if len(found) == limit:
                    break
            else:
                return await self._shown(session, location, found), None
        except BaseException:
            await listing.items.aclose()
            raise
        token = await self._keep(listing, found[-1][0])
        return await self._shown(session, location, found), token

    async def sweep(self) -> None:
        """Closes directories that nobody has continued for a while."""
        now = time.monotonic()
        for token in [token for token, each in self._open.items() if now - each.used > _OPEN_SECONDS]:
            await self._open.pop(token).items.aclose()

    async def aclose(self) -> None:
        """Closes all of them."""
        while self._open:
            await self._open.popitem()[1].items.aclose()

    async def _continued(self, session: AsyncSession, location: str, after: str | None) -> _Listing:
        key, _, name = (after or "").partition(".")
        listing = self._open.pop(key, None)
        if listing is not None and listing.location == location:
            return listing
        if listing is not None:
            await listing.items.aclose()
        items = items_below(session, location, recursive=False)
        if after:
            # It was closed: everything up to the name is listed again.
            items = _after(items, _name_of(name))
        return _Listing(location, items)

    async def _keep(self, listing: _Listing, name: str) -> str:
        await self.sweep()
        while len(self._open) >= _MAX_OPEN:
            await self._open.pop(next(iter(self._open))).items.aclose()
        key = secrets.token_urlsafe(16).replace(".", "")
        listing.used = time.monotonic()
        self._open[key] = listing
        return f"{key}.{base64.urlsafe_b64encode(name.encode('utf-8', 'surrogateescape')).decode()}"

    async def _shown(
        self, session: AsyncSession, location: str, found: Sequence[tuple[str, Item]]
    ) -> list[dict[str, Any]]:
        trees = [item_tree(location, name, item) for name, item in found]
        if location.startswith("local:") and found:
            paths = [item.path for _, item in found]
            kinds = await session._resources.threads.run(_kinds, paths)
            for tree, kind in zip(trees, kinds, strict=True):
                tree["kind"] = kind or tree["kind"]
        return trees


async def files_of(session: AsyncSession, location: str) -> AsyncIterator[Item]:
    """Yields the files below a directory, or the one file of a location.

    Raises:
        NotFoundError: there is neither.
    """
    if not location.endswith("/"):
        item = await session.stat(location)
        if not item.directory:
            yield item
            return
    async with aclosing(items_below(session, as_directory(location), recursive=True)) as items:
        async for _, item in items:
            if not item.directory:
                yield item


async def items_below(
    session: AsyncSession, location: str, *, recursive: bool
) -> AsyncGenerator[tuple[str, Item], None]:
    """Yields the items below a directory with their paths there, in the order of their names.

    The names of directories end in a slash.
    """
    storage, path = await session.storage_at(location)
    prefix = path if path.endswith("/") else f"{path}/"
    async with storage.scan(path, recursive=recursive) as items:
        async for item in items:
            yield _relative(prefix, item), item


def item_tree(location: str, name: str, item: Item) -> dict[str, Any]:
    """Returns an item as the API writes it.

    Args:
        location: the directory that was listed, with a slash at its end.
        name: the item's path there.
        item: the item.
    """
    last = name.rstrip("/").rpartition("/")[2] or name
    tree = {
        "name": utf8_shown(last),
        "location": encode_location(location + name),
        "kind": "directory" if item.directory else "file",
        "size": None if item.directory else item.size,
        "modified": item.modification or None,
    }
    if is_odd(last):
        tree["odd"] = True
    return tree


def _relative(prefix: str, item: Item) -> str:
    path = item.path
    if item.directory and not path.endswith("/"):
        path += "/"
    if path.startswith(prefix):
        return path[len(prefix) :]
    # Paths on a unit may begin with its mount point or not.
    short = prefix.removeprefix("/volume")
    return path[len(short) :] if path.startswith(short) else path.rstrip("/").rpartition("/")[2]


def as_directory(location: str) -> str:
    """Returns a location with a slash at its end."""
    return location if location.endswith("/") else f"{location}/"


def _name_of(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode("ascii", "strict")).decode("utf-8", "surrogateescape")
    except ValueError:
        raise refusal(web.HTTPBadRequest, "invalid_token", "after is not a token of this listing") from None


async def _after(items: AsyncGenerator[tuple[str, Item], None], name: str) -> AsyncGenerator[tuple[str, Item], None]:
    """Leaves out the items up to one.

    Raises:
        HTTPGone: it is not there any more.
    """
    seen = False
    async with aclosing(items):
        async for each in items:
            if seen:
                yield each
            seen = seen or each[0] == name
    if not seen:
        raise refusal(web.HTTPGone, "listing_changed", "the directory has changed; list it again")


def _kinds(paths: Sequence[str]) -> list[str | None]:
    """Returns which local paths are neither plain files nor directories. Blocks."""
    kinds: list[str | None] = []
    for path in paths:
        kind = None
        with suppress(OSError):
            mode = os.lstat(path.rstrip("/")).st_mode
            if stat.S_ISLNK(mode):
                kind = None if os.path.isdir(path) else "link"
            elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                kind = "other"
        kinds.append(kind)
    return kinds
