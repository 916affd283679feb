"""What a call has done so far, kept for whoever goes on with it when its process is gone.

Whatever happens is noted in memory and written together: after a quarter of a second, or at once where an upload
begins or has one part more. So a call that ends before that writes nothing, and after a kill at most those parts are
sent again that were on their way. The writing is done in a thread; where it fails, the transfer goes on without.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from anyio import CancelScope

from dxflow_async.exceptions import ConfigurationError, NotFoundError, StorageError
from dxflow_async.models import TransferResult
from dxflow_async.providers.base import Provider, Receipt
from dxflow_async.providers.local import LocalProvider
from dxflow_async.providers.threads import Threads
from dxflow_async.transfer.jobfile import (
    BEGUN,
    ENDED,
    PART,
    PLAN_ENDED,
    PLANNED,
    UPLOAD_ENDED,
    Asked,
    BegunUpload,
    Ends,
    JobFile,
    Row,
)

__all__ = ["Item", "Journal"]

_log = logging.getLogger("dxflow_async.transfer.journal")

T = TypeVar("T")

_SECONDS = 0.25
"""Between what happens and its being written."""

_MAX_ROWS = 5000
"""Noted and not yet written; beyond that whoever has something to note waits."""

_MAX_DIRECTORIES = 10_000


class Item(Protocol):
    """What a record knows an item by."""

    @property
    def ends(self) -> tuple[str, str]: ...
    async def seen(self) -> str | None: ...


ItemT = TypeVar("ItemT", bound=Item)


class Journal:
    """The record of one call.

    Args:
        home: the home directory.
        threads: where files are written.
        asked: what the call is to do.
        file: of an earlier process, to be gone on with.
        discard: removes an upload that nobody goes on with.
    """

    def __init__(
        self,
        home: Path,
        threads: Threads,
        asked: Asked,
        file: JobFile | None = None,
        discard: Callable[[BegunUpload], Awaitable[None]] | None = None,
    ) -> None:
        self.asked = asked
        self._home = home
        self._threads = threads
        self._file = file
        self._discard = discard
        self._earlier = file is not None
        self._began = time.time()
        self._items = 0
        self._rows: list[Row] = []
        self._writing = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._broken = False
        self._swept: set[str] = set()

    @property
    def job_id(self) -> str | None:
        """Names the job, once it is written."""
        return None if self._file is None else self._file.id

    @property
    def pairs(self) -> list[Ends]:
        """Of a call that was told its items and is not written: these."""
        return [Ends(*row.values) for row in self._rows if row.statement == PLANNED]

    # What happens

    def planned(self, job: Item) -> None:
        """An item is to be done. Only what cannot be planned again is noted."""
        self._items += 1
        if self.asked.source is None:
            self._note(PLANNED, self._ends(job))

    def plan_ended(self) -> None:
        """All items are known."""
        if self.asked.source is None:
            self._note(PLAN_ENDED, ())

    async def ended(self, result: TransferResult, version: str | None) -> None:
        """An item came to its end; `version` names what of its source was moved."""
        state = "failed" if result.error is not None else "skipped" if result.skipped is not None else "done"
        reason = str(result.error) if result.error is not None else result.skipped
        ends = self._absolute(result.source, result.destination)
        self._note(ENDED, (*ends, state, version, result.bytes, reason))
        if len(self._rows) >= _MAX_ROWS:
            await self._flush()

    async def upload_begun(self, job: Item, begun: BegunUpload) -> None:
        """An item is sent in parts; written when this returns."""
        values = (begun.key, begun.id, begun.version, begun.size, begun.part_size)
        self._note(BEGUN, (*self._ends(job), *values))
        await self._flush()

    async def part_done(self, job: Item, receipt: Receipt) -> None:
        """A part is stored; written when this returns."""
        part, crc32c, verified = receipt.part, receipt.crc32c, int(receipt.verified)
        self._note(PART, (*self._ends(job), *part, receipt.etag, crc32c, verified))
        await self._flush()

    def upload_ended(self, job: Item) -> None:
        """An upload is finished, or removed."""
        self._note(UPLOAD_ENDED, self._ends(job))

    async def close(self, *, well: bool) -> None:
        """The call ends: where it went well nothing is kept of it, else what is needed to go on."""
        if self._timer is not None:
            self._timer.cancel()
        with CancelScope(shield=True):
            if self._task is not None:
                await asyncio.wait([self._task])
            if not well and (self._file is not None or self._items > 1):
                await self._flush()
            if self._file is not None:
                await self._close(self._file, well=well)

    # What an earlier process did

    def remaining(self, jobs: AsyncIterator[ItemT]) -> AsyncIterator[ItemT]:
        """Of all that is planned, what is not done yet, or whose source was changed since. A sync compares anyway."""
        return self._remaining(jobs) if self._earlier and self.asked.operation != "sync" else jobs

    async def begun_upload(self, job: Item) -> BegunUpload | None:
        """The upload that an earlier process began for an item."""
        ends = self._ends(job)
        return await self._read(lambda file: file.upload_of(ends)) if self._earlier else None

    async def sweep(self, provider: Provider, key: str) -> None:
        """Removes what earlier processes were writing, beside a name that is written to now."""
        if not self._earlier or not isinstance(provider, LocalProvider):
            return
        directory = os.path.dirname(provider.root.resolve(key))
        if directory in self._swept:
            return
        if len(self._swept) >= _MAX_DIRECTORIES:
            self._swept.clear()
        self._swept.add(directory)
        marks, kept = await self._read(lambda file: (file.marks, {begun.id for _, begun in file.uploads()}))
        await provider.sweep(key, marks, kept)

    async def _remaining(self, jobs: AsyncIterator[ItemT]) -> AsyncIterator[ItemT]:
        try:
            async for job in jobs:
                if not await self._is_done(job):
                    yield job
        finally:
            if isinstance(jobs, AsyncGenerator):
                await jobs.aclose()

    async def _is_done(self, job: Item) -> bool:
        ends = self._ends(job)
        state = await self._read(lambda file: file.state_of(ends))
        if state is None or state[0] != "done":
            return False
        try:
            version = await job.seen()
        except NotFoundError:
            return True  # it was moved, and its source is gone
        except StorageError:
            return False
        if version is not None and version == state[1]:
            return True
        _log.warning("%s was changed since job %s began: it is moved again", ends.source, self.job_id)
        return False

    async def _read(self, look: Callable[[JobFile], T]) -> T:
        assert self._file is not None
        async with self._writing:
            return await self._threads.run(look, self._file)

    # Writing

    def _note(self, statement: int, values: tuple[object, ...]) -> None:
        if self._broken:
            return
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SECONDS, self._flush_soon)
        self._rows.append(Row(statement, values))

    def _flush_soon(self) -> None:
        if self._task is not None and not self._task.done():
            self._timer = asyncio.get_running_loop().call_later(_SECONDS, self._flush_soon)
            return
        self._timer = None
        self._task = asyncio.ensure_future(self._flush())

    async def _flush(self) -> None:
        """Writes what is noted; of those who wait for that, the first writes for all."""
        async with self._writing:
            rows, self._rows = self._rows, []
            if not rows or self._broken:
                return
            try:
                await self._threads.run(self._write, rows)
            except (OSError, sqlite3.Error, ConfigurationError) as error:
                self._broken = True
                _log.warning("the transfer goes on without a journal, which cannot be written: %s", error)

    def _write(self, rows: list[Row]) -> None:
        if self._file is None:
            self._file = JobFile.create(
                self._home, self.asked, self._threads.mark, self._began, durable=self._threads.commits is not None
            )
        self._file.write(rows)

    async def _close(self, file: JobFile, *, well: bool) -> None:
        if not well:
            await self._threads.run(file.close)
            _log.warning(
                "job %s has not come to its end: dxflow-async jobs resume %s goes on with it", file.id, file.id
            )
            return
        if self._earlier and self._discard is not None:
            for _, begun in await self._threads.run(file.uploads):
                with suppress(StorageError):
                    await self._discard(begun)
        await self._threads.run(file.remove)
        self._file = None

    def _ends(self, job: Item) -> Ends:
        return self._absolute(*job.ends)

    def _absolute(self, source: str, destination: str) -> Ends:
        start, end = self.asked.places
        return Ends(
            self._below(source) if start is None else source, self._below(destination) if end is None else destination
        )

    def _below(self, path: str) -> str:
        # Most are absolute, and `join` takes its time to see it.
        return path if os.sep == "/" == path[:1] else os.path.join(self.asked.directory, path)
