"""`sync --watch`: syncs again whenever files change, or after an interval."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from dxflow_async.cli.json_lines import print_report
from dxflow_async.cli.status import complain, report_failure
from dxflow_async.exceptions import ConfigurationError, NotFoundError, StorageError, TransferError
from dxflow_async.models import TransferReport
from dxflow_async.session import AsyncSession

__all__ = ["check_watched", "is_remote", "sync_again"]

_RETRY_SECONDS = 30.0
"""A sync that failed is repeated after this time, also if nothing changes."""

_NEEDS = "--watch needs the package watchfiles: install dxflow-async[watch], or add --interval, such as --interval 60s"


def check_watched(src: str, interval: float | None) -> None:
    """Refuses a source that cannot be watched.

    Raises:
        ConfigurationError: it is remote, and there is no interval; or the package watchfiles is missing.
    """
    if interval is not None:
        return
    if is_remote(src):
        raise ConfigurationError(
            f"--watch: {src} does not tell when it changes; add --interval, such as --interval 60s, to look again and "
            "again"
        )
    try:
        import watchfiles
    except ImportError as error:
        raise ConfigurationError(_NEEDS) from error
    assert watchfiles


def is_remote(src: str) -> bool:
    """Returns whether a source is not a directory of this machine."""
    scheme = src.partition(":")[0] if ":" in src else ""
    return bool(scheme) and "/" not in scheme and scheme != "local" and not Path(src).exists()


async def sync_again(
    session: AsyncSession,
    src: str,
    call: Callable[[AsyncSession], Awaitable[TransferReport]],
    interval: float | None,
    show: Callable[[TransferReport], None],
    *,
    json: bool,
) -> int:
    """Syncs, and again whenever the source may have changed, until it is cancelled. A sync that fails ends nothing.

    Args:
        session: the session.
        src: the source.
        call: makes one sync.
        interval: the seconds between two syncs; None: as soon as a file changes.
        show: prints the report of a sync that did something.
        json: whether reports are printed as JSON lines.

    Raises:
        NotFoundError: the source does not exist.
    """
    rounds = _Rounds(src.removeprefix("local:"), interval)
    async for _ in rounds:
        try:
            report = await call(session)
            rounds.failed = False
        except NotFoundError:
            raise
        except StorageError as error:
            rounds.failed = True
            report_failure(error)
            if isinstance(error, TransferError) and json:
                print_report(error.report)
            complain(f"watching {src}; it is synced again when it changes")
            continue
        if len(report):
            show(report)
    return 0


class _Rounds:
    """Yields when it is time to sync. Changes during a sync lead to another one.

    Args:
        src: the directory.
        interval: the seconds between two rounds; None: as soon as a file changes.

    Attributes:
        failed: whether the last round failed, so that the next one comes also if nothing changes.
    """

    def __init__(self, src: str, interval: float | None) -> None:
        self._src = src
        self._interval = interval
        self._changed = asyncio.Event()
        self.failed = False

    async def __aiter__(self) -> AsyncIterator[None]:
        if self._interval is not None:
            while True:
                yield
                await asyncio.sleep(self._interval)
        watcher = asyncio.create_task(self._watch())
        try:
            await asyncio.sleep(0)  # the directory is watched before it is listed
            while True:
                self._changed.clear()
                yield
                await self._wait(watcher)
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)

    async def _watch(self) -> None:
        from watchfiles import awatch

        async for _ in awatch(self._src, recursive=True):
            self._changed.set()

    async def _wait(self, watcher: asyncio.Task[None]) -> None:
        waiting = asyncio.create_task(self._changed.wait())
        timeout = _RETRY_SECONDS if self.failed else None
        try:
            await asyncio.wait({waiting, watcher}, return_when=asyncio.FIRST_COMPLETED, timeout=timeout)
        finally:
            waiting.cancel()
        if watcher.done():
            watcher.result()
