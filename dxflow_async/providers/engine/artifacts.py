"""What an engine has: its directories, one at a time, and single names.

An engine is never asked for a tree, a page or a pattern that has to be believed: a directory is requested whole, and
the answer has to be complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from dxflow_async.providers import Call, Entry, NotFoundError, ServiceError, StorageError, not_the_service
from dxflow_async.providers.engine.names import Found, found_in, has_glob, hidden_names, path_of
from dxflow_async.providers.engine.requests import Requests

__all__ = ["Artifacts"]

_SMALLEST_PAGE = 100
"""A listing with fewer entries is not one that was cut off to a page."""

_RESTARTS = 3
"""So many pages of a listing without a new name end it."""

_ABANDONED_SECONDS = 86_400.0
"""Temporary files are left over after this time."""

_MAX_NOTED = 1000
"""The most directories whose temporary files are remembered."""

_LOOKS = (0.0, 0.1, 0.3, 0.6, 1.2)
"""Seconds before each look for a name that was just written: some engines show it late."""


class _Page(NamedTuple):
    """One answer to a listing.

    Attributes:
        found: the names.
        received: how many entities it had, the directory itself included.
        total: how many there are, as the engine tells it.
    """

    found: list[Found]
    received: int
    total: int | None


class Artifacts:
    """Looks at directories and names.

    Args:
        requests: sends the requests.

    Attributes:
        volume: the engine's own path of its volume, where it is known.
        patterns: whether the engine obeys `pattern`; None: not known yet.
    """

    def __init__(self, requests: Requests) -> None:
        self.volume: str | None = None
        self.patterns: bool | None = None
        self._requests = requests
        # What patterns have found below the top: files, directories. A pattern is believed to find nothing after it has
        # found both, since an engine may compare it with whole paths, or leave out directories.
        self._matched: set[bool] = set()
        self._top_is_dot = True
        self._left: dict[str, list[Entry]] = {}

    async def directory(self, call: Call, directory: str, *, temporary: bool = False) -> list[Entry]:
        """Returns all entries of a directory, in the order of the bytes of their keys.

        Args:
            call: the storage call.
            directory: its key: `""`, or with a slash at its end.
            temporary: whether to return the files of unfinished uploads, too.

        Raises:
            NotFoundError: there is no such directory.
            ServiceError: the answer is not complete.
        """
        found = await self._all(call, directory)
        if not found and directory:
            # Some engines answer so where there is nothing, or a file.
            parent, name = _split(directory)
            above = await self._all(call, parent)
            if not any(each.name == name and each.entry.directory for each in above):
                raise call.error(NotFoundError, "there is no such directory; check the path")
        hidden = hidden_names(each.name for each in found)
        if hidden:
            self._note_left(directory, [each.entry for each in found if each.name in hidden])
        entries = [each.entry for each in found if temporary or each.name not in hidden]
        return sorted(entries, key=lambda entry: entry.key.encode("utf-8", "surrogateescape"))

    def _note_left(self, directory: str, entries: Sequence[Entry]) -> None:
        self._left[directory] = [each for each in entries if not each.directory]
        if len(self._left) > _MAX_NOTED:
            self._left.pop(next(iter(self._left)))

    def abandoned(self, written: Entry) -> list[str]:
        """Returns the temporary files that earlier calls have left in the directory of a file that was just written.

        They were seen in a listing, and are older than a day by the clock of the engine.

        Args:
            written: the new file, as the engine lists it.
        """
        if not self._left:
            return []
        left = self._left.pop(_split(written.key)[0], [])
        latest = written.modified - _ABANDONED_SECONDS
        return [each.key for each in left if 0 < each.modified < latest]

    async def find(self, call: Call, key: str) -> Entry | None:
        """Returns what has a name, file or directory; None where nothing has."""
        if not key.strip("/"):
            return Entry("", directory=True)
        parent, name = _split(key)
        guess = None
        if self.patterns is not False and not has_glob(name):
            try:
                guess = (await self._page(call, parent, (("pattern", name),))).found
            except NotFoundError:
                return None
            hit = next((each.entry for each in guess if each.name == name), None)
            if hit is not None and parent:
                self._matched.add(hit.directory)
                self.patterns = len(self._matched) == 2 or self.patterns
            if hit is not None or self.patterns:
                return hit
        try:
            every = await self._all(call, parent)
        except NotFoundError:
            return None
        hit = next((each.entry for each in every if each.name == name), None)
        if guess is not None and hit is not None:
            self.patterns = False  # it missed a name that is there
        return hit

    async def stat(self, call: Call, key: str) -> Entry:
        """Returns what has a name.

        Raises:
            NotFoundError: nothing has, or a file has the name of a directory that was asked for.
        """
        entry = await self.find(call, key)
        if entry is None or (key.endswith("/") and not entry.directory):
            raise call.error(NotFoundError, "there is no such file or directory; check the path")
        return entry

    async def written(self, call: Call, key: str, size: int) -> Entry | None:
        """Looks for a file that was just written, a few times; returns what has its name at last."""
        entry = None
        for delay in _LOOKS:
            await asyncio.sleep(delay)
            entry = await self.find(call, key)
            if entry is not None and (entry.directory or entry.size == size):
                return entry
        return entry

    async def _all(self, call: Call, directory: str) -> list[Found]:
        """Returns all names in a directory. Where the engine sends them in pages, it requests all of these."""
        page = await self._page(call, directory, ())
        found, announced, offset, idle = page.found, page.total, page.received, 0
        missing = (announced or 0) - page.received
        while missing > 0 or (found and _may_be_a_page(offset, announced)):
            names = {each.name for each in found}
            more = await self._page(call, directory, (("offset", str(offset)), ("limit", "1000")))
            new = [each for each in more.found if each.name not in names]
            found += new
            missing -= len(new)
            offset += more.received
            idle = 0 if new else idle + 1
            if not new:
                if missing <= 0 or idle > _RESTARTS:
                    break
                offset = 0  # the order may have changed between the pages
        if missing > 0:
            text = f"a listing has {(announced or 0) - missing} entries where {announced} were announced"
            raise not_the_service(call, text)
        readable = [each.name for each in found if each.entry.unreadable is None]
        if len(set(readable)) < len(readable):
            raise not_the_service(call, "a listing has a name twice")
        return found

    async def _page(self, call: Call, directory: str, query: Sequence[tuple[str, str]]) -> _Page:
        rest = (("all", "true"), ("depth", "0"), *query)
        asked = (("directory", path_of(call, directory)), *rest)
        if directory or self._top_is_dot:
            try:
                answer = await self._requests.artifacts(call, "GET", query=asked)
            except StorageError as error:
                if directory or error.status not in (400, 404, 500):
                    raise
                answer = await self._requests.artifacts(call, "GET", query=rest)
                self._top_is_dot = False  # it names its volume by no path
        else:
            answer = await self._requests.artifacts(call, "GET", query=rest)
        try:
            found = [found_in(directory, payload, self.volume) for payload in answer.payloads]
        except ValueError as error:
            raise call.error(ServiceError, f"the engine's listing has {error}; try again") from error
        return _Page([each for each in found if each is not None], len(found), answer.total)


def _may_be_a_page(received: int, announced: int | None) -> bool:
    """Returns whether an engine may have cut off a listing to a page without saying so.

    Its total may be that of the page. Pages have round numbers of entries.
    """
    if received < _SMALLEST_PAGE:
        return False
    return announced is None or received % 50 == 0 or received & (received - 1) == 0


def _split(key: str) -> tuple[str, str]:
    """Returns the key of the directory that a key is in, and the key's own name."""
    parent, slash, name = key.removesuffix("/").rpartition("/")
    return parent + slash, name
