"""What a move that goes on makes of directories that an earlier process has emptied."""

from __future__ import annotations

from typing import Any, cast

import pytest

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import NotFoundError
from dxflow_async.providers.contract import Entry, Features, Page, Provider
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.journal.journal import Journal
from dxflow_async.transfer.limits import Limits
from dxflow_async.transfer.planning.tree import _was_emptied
from dxflow_async.transfer.progress import Meter
from dxflow_async.transfer.retry import RetryPolicy


class Destination:
    """A provider whose bucket has these names; None: it is gone."""

    name = "AWS"
    features = Features(buckets=True)

    def __init__(self, names: list[str] | None) -> None:
        self._names = names

    async def list_page(self, prefix: str, *, recursive: bool, cursor: Any | None = None) -> Page:
        if self._names is None:
            raise NotFoundError("the bucket does not exist")
        return Page([Entry(f"{prefix}{name}") for name in self._names], None)


class EarlierJournal:
    """Of a killed process, which noted nothing of the directory."""

    resuming = True

    async def has_moved_from(self, directory: str) -> bool:
        return False


@pytest.mark.parametrize(("names", "emptied"), [(["x"], True), ([], False), (None, False)])
async def test_what_was_emptied(names: list[str] | None, emptied: bool) -> None:
    """A directory was emptied when its destination has something; a bucket that is gone ends no call here.

    A call that ended because something is not there would be taken for a move that was done.
    """
    journal, provider = cast("Journal", EarlierJournal()), cast("Provider", Destination(names))
    context = TransferContext(Limits(8, 1 << 20), RetryPolicy(max_attempts=1), Meter(), 8 << 20, Threads(1), journal)
    source, target = Place(provider, "d/", "/home/me/d/"), Place(provider, "b/d/", "aws:/b/d/")
    assert await _was_emptied(context, source, target) is emptied
