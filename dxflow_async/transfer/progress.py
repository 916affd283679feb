"""Counting what a call has done, and telling of it, at most ten times a second."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from dxflow_async.models import Progress, TransferResult

__all__ = ["Meter", "OnProgress"]

OnProgress = Callable[[Progress], None]

_INTERVAL = 0.1


class Meter:
    """The counters of one call.

    Args:
        on_progress: is told of them from the event loop, and once at the end; it should return at once.

    Attributes:
        raised: what `on_progress` raised; it is not called any more.
    """

    def __init__(self, on_progress: OnProgress | None = None) -> None:
        self.raised: BaseException | None = None
        self._on_progress = on_progress
        self._started = monotonic()
        self._told = 0.0
        self._complete = False
        self._files_planned = self._bytes_planned = 0
        self._files_done = self._bytes_done = 0
        self._failed = self._retries = 0

    @property
    def seconds(self) -> float:
        """Since the call began."""
        return monotonic() - self._started

    @property
    def left(self) -> int:
        """Items that are planned and have not ended."""
        return self._files_planned - self._files_done

    def planned(self, size: int) -> None:
        """An item more is to be done; its size in bytes, 0 where it is not known yet."""
        self._files_planned += 1
        self._bytes_planned += size

    def sized(self, size: int) -> None:
        """The size of an item whose size was not known when it was planned."""
        self._bytes_planned += size

    def plan_ended(self) -> None:
        """The totals are known now."""
        self._complete = True

    def moved(self, size: int) -> None:
        """Bytes arrived; negative when they turned out to be of no use."""
        self._bytes_done += size
        self._tell()

    def done(self, result: TransferResult) -> None:
        """An item ended."""
        self._files_done += 1
        self._failed += result.error is not None
        self._retries += result.attempts - 1
        self._tell()

    def close(self) -> None:
        """Tells the last state."""
        if self._on_progress is not None and self.raised is None:
            self._on_progress(self.state())

    def state(self) -> Progress:
        """The counters now."""
        return Progress(
            self._files_done,
            self._files_planned if self._complete else None,
            self._bytes_done,
            self._bytes_planned if self._complete else None,
            self._failed,
            self._retries,
            monotonic() - self._started,
        )

    def _tell(self) -> None:
        if self._on_progress is not None and (now := monotonic()) - self._told >= _INTERVAL:
            self._told = now
            if self.raised is None:
                try:
                    self._on_progress(self.state())
                except BaseException as error:
                    self.raised = error
                    raise
