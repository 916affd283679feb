"""The outcome of deleting many objects: how many are gone, which are not, and what the session's listings learn."""

from __future__ import annotations

from collections.abc import Mapping

from dxflow_async.exceptions import StorageError, TransferError
from dxflow_async.models import TransferReport, TransferResult
from dxflow_async.paths import key_of
from dxflow_async.storage.area import Area
from dxflow_async.storage.listing import AreaId, ListingCache

__all__ = ["Deletion"]

_MAX_FAILURES = 10_000


class Deletion:
    """What one call deletes.

    Args:
        cache: the session's listings, which forget what was deleted.
        where: names the area in them.
        area: where objects are deleted.

    Attributes:
        area: where objects are deleted.
        keys: to be deleted next.
        asked: how many objects were tried.
        report: those that could not be deleted.
        error: what ended the call early.
        gave_up: whether so many failed that the rest is not tried.
    """

    def __init__(self, cache: ListingCache, where: AreaId, area: Area) -> None:
        self.area = area
        self.keys: list[str] = []
        self.asked = 0
        self.report = TransferReport()
        self.error: StorageError | None = None
        self.gave_up = False
        self._cache = cache
        self._where = where
        self._path = ""
        self._paths: list[str] = []

    @property
    def deleted(self) -> int:
        """How many of the objects are gone."""
        return self.asked - len(self.report.failed)

    def begin(self, path: str) -> None:
        """The keys of a path follow."""
        self._path = f"/{key_of(path)}"

    def known(self) -> None:
        """All keys of the path are known."""
        self._paths.append(self._path)
        self._path = ""

    def tried(self, failed: Mapping[str, StorageError]) -> None:
        """The keys were deleted, but for those that failed."""
        self.asked += len(self.keys)
        for path in self._paths:
            self._cache.removed(self._where, path)
        for key, error in failed.items():
            path = self.area.path(key)
            self._cache.doubted(self._where, path)
            self.report.append(TransferResult(self.area.shown(path), "", error=error))
        self.gave_up = len(self.report.failed) >= _MAX_FAILURES
        self.keys.clear()
        self._paths.clear()

    def close(self) -> None:
        """Nothing more is deleted; of what was not tried, or only in part, nothing is known."""
        for path in [self._path, *map(self.area.path, self.keys)]:
            if path:
                self._cache.doubted(self._where, path)

    def failure(self) -> StorageError | None:
        """What to raise: the only error there was, or a `TransferError` that has each; None when all went."""
        failed = self.report.failed
        if not failed:
            return self.error
        first = failed[0].error
        assert first is not None
        if self.asked == 1 and self.error is None:
            return first
        rest = "; so many failed that the rest was not tried" if self.gave_up else ""
        last = "" if self.error is None else f"; it ended early: {self.error}"
        return TransferError(
            f"{len(failed)} of {self.asked} items could not be deleted, {self.deleted} were{rest}; "
            f"the first: {first}{last}",
            report=self.report,
            provider=first.provider,
            operation=first.operation,
            path=first.path,
            status=first.status,
            code=first.code,
            request_id=first.request_id,
        )
