"""Keys that match a glob pattern. Listings begin at the last directory before the first wildcard.

`glob_patterns` has the rules. A pattern that ends in a slash matches directories only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from dxflow_async.exceptions import NotFoundError
from dxflow_async.glob_patterns import ANY, has_magic, matches, matches_component
from dxflow_async.providers.contract import Entry, Provider
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.planning.listing import pages, stat
from dxflow_async.transfer.retry import RetryPolicy

__all__ = ["matching"]


async def matching(
    provider: Provider, pattern: str, *, hidden: bool, limits: Limits, policy: RetryPolicy
) -> AsyncIterator[Entry]:
    """Yields the objects and directories that match a pattern; the one whose key it is, if there is one.

    Args:
        provider: the provider to list.
        pattern: the pattern of keys.
        hidden: whether wildcards match a dot at the beginning of a name.
        limits, policy: the session's.

    Raises:
        StorageError: a listing failed.
    """
    exact = await stat(provider, pattern, limits=limits, policy=policy)
    if exact is not None:
        yield exact
        return
    walk = _Walk(provider, hidden=hidden, limits=limits, policy=policy)
    directories_only = pattern.endswith("/")
    async for entry in walk.below("", pattern.removesuffix("/").split("/")):
        if entry.directory or not directories_only:
            yield entry


class _Walk:
    def __init__(self, provider: Provider, *, hidden: bool, limits: Limits, policy: RetryPolicy) -> None:
        self._provider, self._hidden = provider, hidden
        self._limits, self._policy = limits, policy

    async def below(self, base: str, pattern: Sequence[str]) -> AsyncIterator[Entry]:
        """Yields what matches below a directory. `base` ends in a slash, or is empty."""
        first, rest = pattern[0], pattern[1:]
        if not has_magic(first) and rest:
            found = self.below(f"{base}{first}/", rest)
        elif not has_magic(first):
            found = self._named(base + first)
        elif ANY in pattern:
            found = self._anywhere(base, pattern)
        else:
            found = self._component(base, first, rest)
        async for entry in found:
            yield entry

    async def _named(self, key: str) -> AsyncIterator[Entry]:
        entry = await stat(self._provider, key, limits=self._limits, policy=self._policy)
        if entry is not None:
            yield entry

    async def _component(self, base: str, first: str, rest: Sequence[str]) -> AsyncIterator[Entry]:
        async for entry in self._list(base, recursive=False):
            name = entry.key[len(base) :].removesuffix("/")
            if not name or not matches_component(name, first, hidden=self._hidden):
                continue
            if not rest:
                yield entry
            elif entry.directory:
                async for found in self.below(entry.key, rest):
                    yield found

    async def _anywhere(self, base: str, pattern: Sequence[str]) -> AsyncIterator[Entry]:
        async for entry in self._list(base, recursive=True):
            name = entry.key[len(base) :].removesuffix("/")
            if name and matches(name.split("/"), pattern, hidden=self._hidden):
                yield entry

    async def _list(self, prefix: str, *, recursive: bool) -> AsyncIterator[Entry]:
        listing = pages(self._provider, prefix, recursive=recursive, limits=self._limits, policy=self._policy)
        try:
            async for page in listing:
                for entry in page:
                    yield entry
        except NotFoundError:
            return  # nothing is below a directory that does not exist
