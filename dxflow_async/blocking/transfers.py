"""Making the calls that transfer: with a progress bar on a terminal, and reports whose `retry_failed` blocks, too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from dxflow_async.blocking.portal import Portal
from dxflow_async.blocking.progress import shown
from dxflow_async.exceptions import TransferError
from dxflow_async.models import TransferReport
from dxflow_async.transfer.progress import OnProgress

__all__ = ["TransferCalls"]

T = TypeVar("T")


class TransferCalls:
    """Makes the transfers of a blocking session.

    Args:
        portal: the session's portal.
        progress: whether calls show a bar, on a terminal and unless they are given `on_progress`.

    Attributes:
        portal: the session's portal, for all other calls.
    """

    def __init__(self, portal: Portal, *, progress: bool) -> None:
        self.portal = portal
        self._progress = progress

    def call(self, function: Callable[..., Awaitable[TransferReport]], *args: str) -> TransferReport:
        """Returns or raises the outcome of `await function(*args)`, without a bar."""
        return self.report(lambda: self.portal.call(function, *args))

    def run(
        self,
        label: str,
        on_progress: OnProgress | None,
        function: Callable[[OnProgress | None], Awaitable[TransferReport]],
    ) -> TransferReport:
        """Returns or raises the outcome of `await function(on_progress)`.

        Args:
            label: the text beside the bar.
            on_progress: the caller's callback; without one a bar is shown.
            function: the asynchronous call.
        """
        with shown(label, on_progress, enabled=self._progress) as show:
            return self.report(lambda: self.portal.call(function, show))

    def watch(
        self, label: str, on_progress: OnProgress | None, function: Callable[[OnProgress | None], Awaitable[T]]
    ) -> T:
        """Does what `run` does for a call that returns something other than a report."""
        with shown(label, on_progress, enabled=self._progress) as show:
            return self.portal.call(function, show)

    def feed(
        self,
        label: str,
        on_progress: OnProgress | None,
        function: Callable[[AsyncIterator[T], OnProgress | None], Awaitable[TransferReport]],
        items: Iterable[Sequence[T]],
    ) -> TransferReport:
        """Returns or raises the outcome of `await function(stream, on_progress)`.

        The stream yields the elements of `items`, which is iterated in the calling thread.
        """
        with shown(label, on_progress, enabled=self._progress) as show:
            return self.report(lambda: self.portal.feed(lambda stream: function(stream, show), items))

    def report(self, call: Callable[[], TransferReport]) -> TransferReport:
        try:
            report = call()
        except TransferError as error:
            error.report.retry_through(self._retry)
            raise
        report.retry_through(self._retry)
        return report

    def _retry(self, again: Callable[[], Awaitable[TransferReport]]) -> TransferReport:
        return self.report(partial(self.portal.call, again))
