"""What a call has done so far, kept for whoever goes on with it when its process is gone.

Whatever happens is noted in memory and written together: after a quarter of a second, or at once where an upload
begins or has one part more. So a call that ends before that writes nothing, and after a kill at most those parts are
sent again that were on their way. The writing is done in a thread. Whatever goes wrong with it is logged, and never
reaches the transfer: that goes on without a journal, and does again what the journal cannot tell of.

An upload is struck when it is gone: finished, or its removal confirmed. Until then whoever goes on with the job, or
cleans up after it, knows of it. Where the creation of one was sent and its answer may have been lost, its key is kept
until the provider's own list of unfinished uploads was looked through.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

from anyio import CancelScope, move_on_after

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import NotFoundError
from dxflow_async.models import TransferResult
from dxflow_async.providers.contract import PartReceipt, Provider
from dxflow_async.security.redaction import printable
from dxflow_async.transfer.journal.jobfile import JobFile, known_uploads
from dxflow_async.transfer.journal.queries import (
    BEGUN,
    CREATED,
    CREATING,
    ENDED,
    PART,
    PLAN_ENDED,
    PLANNED,
    UPLOAD_ENDED,
    Row,
)
from dxflow_async.transfer.journal.records import BegunUpload, ItemId, JobSpec

__all__ = ["Item", "Journal"]

_log = logging.getLogger("dxflow_async.transfer.journal")

T = TypeVar("T")

_SECONDS = 0.25
"""Between what happens and its being written."""

_MAX_ROWS = 5000
"""Noted and not yet written; beyond that whoever has something to note waits."""

_MAX_DIRECTORIES = 10_000

_DISCARD_SECONDS = 10.0
"""For removing uploads that nobody goes on with, also while cancelled."""


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
        discard: removes what earlier processes have begun and nobody goes on with; whether all of it is gone.
    """

    def __init__(
        self,
        home: Path,
        threads: Threads,
        asked: JobSpec,
        file: JobFile | None = None,
        discard: Callable[[JobFile], Awaitable[bool]] | None = None,
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
        self._broken = self._unreadable = self._stumbled = False
        self._swept: set[str] = set()
        # Keys and ids of uploads that are not known to be gone, and keys of those that may have been created.
        self._open: set[tuple[str, str]] = set()
        self._unsure: set[str] = set()
        self._wanted: dict[str, list[float]] | None = None
        self._has_begun = False

    @property
    def job_id(self) -> str | None:
        """Names the job, once it is written."""
        return None if self._file is None else self._file.id

    @property
    def goes_on(self) -> bool:
        """Whether an earlier process has done some of it."""
        return self._earlier

    @property
    def pairs(self) -> list[ItemId]:
        """Of a call that was told its items and is not written: these."""
        return [ItemId(*row.values) for row in self._rows if row.statement == PLANNED]

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

    def upload_wanted(self, key: str) -> None:
        """An upload is about to be created; written while its answer is waited for."""
        self._unsure.add(key)
        self._note(CREATING, (key, time.time()))
        if not self._broken:
            if self._timer is not None:
                self._timer.cancel()
            self._flush_soon()

    async def wanted_before(self, key: str) -> list[float]:
        """When earlier processes asked for an upload of that key that they may not have been told of."""
        if not self._earlier:
            return []
        if self._wanted is None:
            nothing: dict[str, list[float]] = {}
            self._wanted = await self._read(lambda file: file.creations(), default=nothing)
        wanted: list[float] = self._wanted.pop(key, [])
        return wanted

    def upload_certain(self, key: str) -> None:
        """Of the creations of that key, none has made an upload that is not known."""
        self._unsure.discard(key)
        self._note(CREATED, (key,))

    async def upload_begun(self, job: Item, begun: BegunUpload) -> None:
        """An item is sent in parts; written when this returns."""
        self._has_begun = True
        self._open.add((begun.key, begun.id))
        values = (begun.key, begun.id, begun.version, begun.size, begun.part_size)
        self._note(BEGUN, (*self._ends(job), *values))
        await self._flush()

    async def part_done(self, job: Item, receipt: PartReceipt) -> None:
        """A part is stored; written when this returns."""
        part, crc32c, verified = receipt.part, receipt.crc32c, int(receipt.verified)
        self._note(PART, (*self._ends(job), *part, receipt.etag, crc32c, verified))
        await self._flush()

    def upload_ended(self, job: Item, key: str, upload_id: str) -> None:
        """An item's upload is gone: finished, or removed."""
        self._open.discard((key, upload_id))
        self._note(UPLOAD_ENDED, self._ends(job))

    async def others(self) -> set[str] | None:
        """The ids of the uploads that other jobs have begun; None when they cannot be told."""
        job_id = self.job_id or ""
        try:
            return await self._threads.run(lambda: known_uploads(self._home, but_of=job_id))
        except Exception as error:  # noqa: BLE001 - no error of the journal's reaches the transfer
            self._stumble(error)
            return None

    async def close(self, *, well: bool) -> None:
        """The call ends: where it went well nothing is kept of it, else what is needed to go on."""
        if self._timer is not None:
            self._timer.cancel()
        with CancelScope(shield=True):
            if self._task is not None:
                await asyncio.wait([self._task])
            left = bool(self._open or self._unsure)
            if not (well or left or self._earlier or self._has_begun or self._items > 1):
                well = True  # a single item of which nothing was sent is no job to go on with
            if left or self._earlier or (not well and (self._file is not None or self._items > 1)):
                await self._flush()
            if self._file is not None:
                try:
                    await self._close(self._file, well=well, left=left)
                except Exception as error:  # noqa: BLE001 - no error of the journal's reaches the transfer
                    self._stumble(error)

    # What an earlier process did

    def remaining(self, jobs: AsyncIterator[ItemT]) -> AsyncIterator[ItemT]:
        """Of all that is planned, what is not done yet, or whose source was changed since. A sync compares anyway."""
        return self._remaining(jobs) if self._earlier and self.asked.operation != "sync" else jobs

    async def begun_upload(self, job: Item) -> BegunUpload | None:
        """The upload that an earlier process began for an item."""
        ends = self._ends(job)
        begun = await self._read(lambda file: file.upload_of(ends), None)
        if begun is not None:
            self._open.add((begun.key, begun.id))
        return begun

    async def has_moved_from(self, directory: str) -> bool:
        """Whether an earlier process has moved something out of a directory, which is written with its slash."""
        source = self._absolute(directory, "").source
        return await self._read(lambda file: file.ended_any_below(source), default=False)

    async def sweep(self, provider: Provider, key: str) -> None:
        """Removes what earlier processes were writing, beside a name that is written to now."""
        disk = provider.local_disk if self._earlier else None
        if disk is None:
            return
        directory = os.path.dirname(disk.path(key))
        if directory in self._swept:
            return
        if len(self._swept) >= _MAX_DIRECTORIES:
            self._swept.clear()
        self._swept.add(directory)
        nothing: tuple[set[str], set[str]] = set(), set()
        marks, kept = await self._read(
            lambda file: (file.marks, {begun.id for _, begun in file.uploads()}), default=nothing
        )
        if marks:
            try:
                await disk.sweep(key, marks, kept)
            except Exception as error:  # noqa: BLE001 - what was left is in nobody's way
                _log.info("what an earlier process left beside %s could not be removed: %s", printable(key), error)

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
        state = await self._read(lambda file: file.state_of(ends), None)
        if state is None or state[0] != "done":
            return False
        try:
            version = await job.seen()
        except NotFoundError:
            return True  # it was moved, and its source is gone
        except Exception:  # noqa: BLE001 - whatever is wrong with the source is told when it is moved again
            return False
        if version is not None and version == state[1]:
            return True
        _log.warning("%s was changed since job %s began: it is moved again", printable(ends.source), self.job_id)
        return False

    async def _read(self, look: Callable[[JobFile], T], default: T) -> T:
        """What an earlier process has noted; the default where there was none, or it cannot be read."""
        if not self._earlier or self._unreadable or self._file is None:
            return default
        try:
            async with self._writing:
                return await self._threads.run(look, self._file)
        except Exception as error:  # noqa: BLE001 - no error of the journal's reaches the transfer
            self._unreadable = True
            self._stumble(error)
            return default

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
            except Exception as error:  # noqa: BLE001 - no error of the journal's reaches the transfer
                self._broken = True
                self._stumble(error)

    def _write(self, rows: list[Row]) -> None:
        if self._file is None:
            self._file = JobFile.create(
                self._home, self.asked, self._threads.owner_id, self._began, durable=self._threads.commits is not None
            )
        self._file.write(rows)

    def _stumble(self, error: Exception) -> None:
        """Says, once, that there is no journal from here on."""
        level = logging.DEBUG if self._stumbled else logging.WARNING
        self._stumbled = True
        text = "the transfer goes on without a journal, which cannot be used: %s: %s"
        _log.log(level, text, type(error).__name__, error)
        _log.debug("where the journal failed", exc_info=error)

    async def _close(self, file: JobFile, *, well: bool, left: bool) -> None:
        if not well:
            await self._threads.run(file.close)
            _log.warning(
                "job %s has not come to its end: dxflow-async jobs resume %s goes on with it", file.id, file.id
            )
            return
        if self._earlier and self._discard is not None:
            left = True
            with move_on_after(_DISCARD_SECONDS):
                left = not await self._discard(file)
        if left:
            await self._threads.run(file.close)
            text = (
                "job %s is done, but an upload in parts could not be removed: dxflow-async jobs clean %s --yes does it"
            )
            _log.warning(text, file.id, file.id)
        else:
            await self._threads.run(file.remove)
        self._file = None

    def _ends(self, job: Item) -> ItemId:
        return self._absolute(*job.ends)

    def _absolute(self, source: str, destination: str) -> ItemId:
        start, end = self.asked.places
        return ItemId(
            self._below(source) if start is None else source, self._below(destination) if end is None else destination
        )

    def _below(self, path: str) -> str:
        # Most are absolute, and `join` takes its time to see it.
        return path if os.sep == "/" == path[:1] else os.path.join(self.asked.directory, path)
