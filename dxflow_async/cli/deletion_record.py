"""Records what `rm` does over time, for its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import monotonic

from dxflow_async.exceptions import StorageError, TransferError
from dxflow_async.models import Progress, TransferReport, TransferResult
from dxflow_async.security.redaction import redacted
from dxflow_async.timeline import Bucket, Timeline
from dxflow_async.transfer.progress import OnProgress

__all__ = ["DeletionRecord"]


class DeletionRecord:
    """The record of deletions that follow one another, made from their progress.

    Args:
        locations: what is deleted.

    Attributes:
        report: the items that failed, and the timeline.
    """

    def __init__(self, locations: Sequence[str]) -> None:
        self._began = monotonic()
        self._before = Bucket()
        self._now = Bucket()
        self.report = TransferReport()
        self._timeline = Timeline("delete", ", ".join(map(redacted, locations)))
        self.report.timeline = self._timeline

    def following(self, show: OnProgress | None) -> OnProgress:
        """Returns a callback that records the progress, and passes it on to `show`."""

        def follow(progress: Progress) -> None:
            now = self._now = Bucket(
                items=progress.files_done,
                failed=progress.failed,
                retries=progress.retries,
                concurrency=progress.concurrency,
            )
            now.add(self._before)
            self._sample(now)
            if show is not None:
                show(progress)

        return follow

    def next(self) -> None:
        """Notes that one deletion has ended."""
        self._before = self._now

    def failed(self, location: str, error: Exception, *, counted: bool) -> None:
        """Notes what was not deleted; `counted` says whether the progress counts it."""
        if not counted:
            self._now = replace(self._now, items=self._now.items + 1, failed=self._now.failed + 1)
            self.next()
        if isinstance(error, TransferError):
            for result in error.report:
                self.report.append(result)
        elif isinstance(error, StorageError):
            self.report.append(TransferResult(location, "", error=error))

    def close(self) -> None:
        """Takes the last sample."""
        self._sample(self._now)
        self.report.seconds = self._timeline.seconds

    def _sample(self, totals: Bucket) -> None:
        self._timeline.sample(monotonic() - self._began, totals)
