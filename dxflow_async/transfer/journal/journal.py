"""The journal: what a call has done so far, kept on disk so that another process can resume it.

How it works: events are noted in memory and written together, a quarter of a second later, in a thread. The creation of
an upload is written before it is requested, and its beginning and each stored part before the transfer goes on. So a
call without large files that ends within a quarter of a second writes nothing, and after a kill only the parts that
were on their way are sent again. A file is created by the first write. It is removed at the end of a call that went
well.

An upload stays in the file until it is gone: finished, or its removal confirmed. Until then, whoever resumes the job or
cleans up after it knows the upload. Where the answer to a creation may be lost, the upload's key is kept until the
provider's own list of unfinished uploads was searched.

Errors of the journal are logged and never reach the transfer. The transfer continues without a journal, and a process
that resumes it repeats what the journal does not know.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

from anyio import move_on_after

from dxflow_async.concurrency.shielded import clean_up
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
    WORKER,
    Row,
)
from dxflow_async.transfer.journal.records import BegunUpload, ItemId, JobSpec

__all__ = ["Item", "Journal"]

_log = logging.getLogger("dxflow_async.transfer.journal")

T = TypeVar("T")

_SECONDS = 0.25
"""Seconds between an event and its being written."""

_MAX_ROWS = 5000
"""Events that may wait to be written. Beyond that, whoever notes one waits."""

_MAX_DIRECTORIES = 10_000

_DISCARD_SECONDS = 10.0
"""Time for removing uploads that no item resumes, also during a cancellation."""


class Item(Protocol):
    """An item as the journal sees it."""

    @property
    def ends(self) -> tuple[str, str]: ...
    async def seen(self) -> str | None: ...


ItemT = TypeVar("ItemT", bound=Item)


class Journal:
    """The journal of one call.

    Args:
        home: the home directory.
        threads: where files are written.
        spec: the call.
        file: the file of an earlier process whose job is resumed.
        discard: removes the uploads of earlier processes that no item resumes, and returns whether all of them are
            gone.
    """

    def __init__(
        self,
        home: Path,
        threads: Threads,
        spec: JobSpec,
        file: JobFile | None = None,
        discard: Callable[[JobFile], Awaitable[bool]] | None = None,
    ) -> None:
        self.spec = spec
        self._home = home
        self._threads = threads
        self._owner_id = threads.owner_id
        self._file = file
        self._discard = discard
        self._earlier = file is not None
        self._began = time.time()
        self._items = 0
        self._rows: list[Row] = []
        self._writing = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._broken = self._unreadable = self._reported = self._closed = False
        self._swept: set[str] = set()
        # Keys and ids of uploads that may still exist, and keys of uploads whose creation may have happened.
        self._open: set[tuple[str, str]] = set()
        self._unsure: set[str] = set()
        self._wanted: dict[str, list[float]] | None = None
        self._has_begun = False

    @property
    def job_id(self) -> str | None:
        """The job's id; None until the file exists."""
        return None if self._file is None else self._file.id

    @property
    def resuming(self) -> bool:
        """Whether the call resumes an earlier one."""
        return self._earlier

    @property
    def pairs(self) -> list[ItemId]:
        """The items that a call was given by name, if they are not written yet."""
        return [ItemId(*row.values) for row in self._rows if row.statement == PLANNED]

    # Events

    def planned(self, item: Item) -> None:
        """Notes that an item is planned. Only items that cannot be planned again are written."""
        self._items += 1
        if self.spec.source is None:
            self._note(PLANNED, self._id_of(item))

    def listed(self) -> None:
        """Notes that an item is planned that a worker of an executor has listed."""
        self._items += 1

    def plan_ended(self) -> None:
        """Notes that all items are planned."""
        if self.spec.source is None:
            self._note(PLAN_ENDED, ())

    async def ended(self, result: TransferResult, version: str | None) -> None:
        """Notes that an item ended. `version` is the version of the source that was moved."""
        state = "failed" if result.error is not None else "skipped" if result.skipped is not None else "done"
        reason = str(result.error) if result.error is not None else result.skipped
        ends = self._absolute(result.source, result.destination)
        self._note(ENDED, (*ends, state, version, result.bytes, reason))
        if len(self._rows) >= _MAX_ROWS:
            await self._flush()

    def worker_began(self, owner_id: str, pid: int) -> None:
        """Notes that a worker of an executor works on the call. `owner_id` names its temporary files."""
        self._note(WORKER, (owner_id, pid, time.time()))

    async def upload_wanted(self, key: str) -> None:
        """Notes that an upload is about to be created. It is written when this returns.

        Otherwise, a process that is killed before the answer arrives leaves an upload that nobody looks for.
        """
        self._unsure.add(key)
        self._note(CREATING, (key, time.time()))
        try:
            await self._flush()
        except asyncio.CancelledError:
            self.upload_certain(key)  # nothing was requested
            raise

    async def wanted_before(self, key: str) -> list[float]:
        """Returns when earlier processes requested uploads of a key without, perhaps, learning their ids."""
        if not self._earlier:
            return []
        if self._wanted is None:
            nothing: dict[str, list[float]] = {}
            self._wanted = await self._read(lambda file: file.creations(), default=nothing)
        wanted: list[float] = self._wanted.pop(key, [])
        return wanted

    def upload_certain(self, key: str) -> None:
        """Notes that the ids of all uploads that were created for a key are known."""
        self._unsure.discard(key)
        self._note(CREATED, (key,))

    async def upload_begun(self, item: Item, begun: BegunUpload) -> None:
        """Notes that an item is sent in parts. It is written when this returns."""
        self._has_begun = True
        self._open.add((begun.key, begun.id))
        values = (begun.key, begun.id, begun.version, begun.size, begun.part_size)
        self._note(BEGUN, (*self._id_of(item), *values))
        await self._flush()

    async def item_begun(self, item: Item) -> None:
        """Notes that a large item is sent whose upload cannot be resumed. It is written when this returns."""
        self._has_begun = True
        self._note(UPLOAD_ENDED, self._id_of(item))
        await self._flush()

    async def part_done(self, item: Item, receipt: PartReceipt) -> None:
        """Notes that a part is stored. It is written when this returns."""
        part, crc32c, verified = receipt.part, receipt.crc32c, int(receipt.verified)
        self._note(PART, (*self._id_of(item), *part, receipt.etag, crc32c, verified))
        await self._flush()

    def upload_ended(self, item: Item, key: str, upload_id: str) -> None:
        """Notes that an item's upload is gone: finished or removed."""
        self._open.discard((key, upload_id))
        self._note(UPLOAD_ENDED, self._id_of(item))

    async def others(self) -> set[str] | None:
        """Returns the ids of the uploads that other jobs have begun; None if they cannot be read."""
        job_id = self.job_id or ""
        try:
            return await self._threads.run(lambda: known_uploads(self._home, but_of=job_id))
        except Exception as error:  # noqa: BLE001 - no error of the journal's reaches the transfer
            self._report(error)
            return None

    async def close(self, *, succeeded: bool, pauses: bool = False, resumable: bool = True) -> None:
        """Ends the journal with its call, also if the task is cancelled meanwhile.

        Args:
            succeeded: everything worked, so nothing is kept. Otherwise the file keeps what a resumed call needs.
            pauses: the same handle resumes the call, so nobody has to be told how.
            resumable: whether another call could go on. Otherwise nothing is kept unless an upload has begun.
        """
        self._closed = True  # what is still noted is written here, and not by a task that outlives the call
        if self._timer is not None:
            self._timer.cancel()
        ending = self._end(succeeded=succeeded, pauses=pauses, resumable=resumable)
        await clean_up(ending, 2 * _DISCARD_SECONDS, after_cancellation=True)

    async def _end(self, *, succeeded: bool, pauses: bool, resumable: bool) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])
        left = bool(self._open or self._unsure)
        if not (succeeded or left or self._earlier or self._has_begun or (self._items > 1 and resumable)):
            succeeded = True  # nothing was sent, so there is nothing to resume
        if left or self._earlier or (not succeeded and (self._file is not None or self._items > 1)):
            await self._flush()
        if self._file is not None:
            try:
                await self._close(self._file, succeeded=succeeded, left=left, pauses=pauses)
            except Exception as error:  # noqa: BLE001 - no error of the journal's reaches the transfer
                self._report(error)

    # What an earlier process did

    def remaining(self, items: AsyncIterator[ItemT]) -> AsyncIterator[ItemT]:
        """Leaves out planned items that are done and whose source is unchanged. A sync compares by itself."""
        return self._remaining(items) if self._earlier and self.spec.operation != "sync" else items

    async def begun_upload(self, item: Item) -> BegunUpload | None:
        """Returns the upload that an earlier process began for an item."""
        ends = self._id_of(item)
        begun = await self._read(lambda file: file.upload_of(ends), None)
        if begun is not None:
            self._open.add((begun.key, begun.id))
        return begun

    async def has_moved_from(self, directory: str) -> bool:
        """Returns whether an earlier process moved anything out of a directory. `directory` ends in a slash."""
        source, _ = self._absolute(directory, "")
        return await self._read(lambda file: file.ended_any_below(source), default=False)

    async def sweep(self, provider: Provider, key: str) -> None:
        """Removes temporary files of earlier processes from the directory of a key that is about to be written."""
        files = provider.temporary_files if self._earlier else None
        if files is None:
            return
        above, slash, _ = key.removesuffix("/").rpartition("/")
        directory, disk = above + slash, provider.local_disk
        place = directory if disk is None else disk.path(directory)  # a call has one destination, or several disks
        if place in self._swept:
            return
        if len(self._swept) >= _MAX_DIRECTORIES:
            self._swept.clear()
        self._swept.add(place)
        nothing: tuple[set[str], set[str]] = set(), set()
        owners, kept = await self._read(
            lambda file: (file.earlier_owners, {begun.id for _, begun in file.uploads()}), default=nothing
        )
        if owners:
            try:
                await files.remove(await files.find(directory, owners, kept))
            except NotFoundError:
                return
            except Exception as error:  # noqa: BLE001 - what was left is in nobody's way
                _log.info(
                    "temporary files of an earlier process beside %s could not be removed: %s", printable(key), error
                )

    async def _remaining(self, items: AsyncIterator[ItemT]) -> AsyncIterator[ItemT]:
        try:
            async for item in items:
                if not await self._is_done(item):
                    yield item
        finally:
            if isinstance(items, AsyncGenerator):
                await items.aclose()

    async def _is_done(self, item: Item) -> bool:
        ends = self._id_of(item)
        state = await self._read(lambda file: file.state_of(ends), None)
        if state is None or state[0] != "done":
            return False
        try:
            version = await item.seen()
        except NotFoundError:
            return True  # the item was moved, so its source is gone
        except Exception:  # noqa: BLE001 - whatever is wrong with the source is told when it is moved again
            return False
        if version is not None and version == state[1]:
            return True
        _log.warning("%s was changed since job %s began: it is transferred again", printable(ends.source), self.job_id)
        return False

    async def _read(self, look: Callable[[JobFile], T], default: T) -> T:
        """Reads from the file of an earlier process. Returns the default if there is none, or if it cannot be read."""
        if not self._earlier or self._unreadable or self._file is None:
            return default
        try:
            async with self._writing:
                return await self._threads.run(look, self._file)
        except Exception as error:  # noqa: BLE001 - no error of the journal's reaches the transfer
            self._unreadable = True
            self._report(error)
            return default

    # Writing

    def _note(self, statement: int, values: tuple[object, ...]) -> None:
        if self._broken:
            return
        if self._timer is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(_SECONDS, self._flush_soon)
        self._rows.append(Row(statement, values))

    def _flush_soon(self) -> None:
        if self._task is not None and not self._task.done():
            self._timer = asyncio.get_running_loop().call_later(_SECONDS, self._flush_soon)
            return
        self._timer = None
        self._task = asyncio.ensure_future(self._flush())

    async def _flush(self) -> None:
        """Writes all noted events. Of several callers, the first writes for all of them."""
        async with self._writing:
            rows, self._rows = self._rows, []
            if not rows or self._broken:
                return
            try:
                await self._threads.finish(self._write, rows)
            except Exception as error:  # noqa: BLE001 - no error of the journal's reaches the transfer
                self._broken = True
                self._report(error)

    def _write(self, rows: list[Row]) -> None:
        if self._file is None:
            self._file = JobFile.create(
                self._home, self.spec, self._owner_id, self._began, durable=self._threads.commits is not None
            )
        self._file.write(rows)

    def _report(self, error: Exception) -> None:
        """Logs an error of the journal; only the first one is a warning."""
        level = logging.DEBUG if self._reported else logging.WARNING
        self._reported = True
        text = "the transfer continues without a journal, which cannot be used: %s: %s"
        _log.log(level, text, type(error).__name__, error)
        _log.debug("where the journal failed", exc_info=error)

    async def _close(self, file: JobFile, *, succeeded: bool, left: bool, pauses: bool) -> None:
        if not succeeded:
            await self._threads.finish(file.close)
            text = (
                "job %s is not finished: dxflow-async jobs resume %s continues it, "
                "and dxflow-async jobs clean %s --yes removes it"
            )
            _log.log(logging.DEBUG if pauses else logging.WARNING, text, *[file.id] * 3)
            return
        if self._earlier and self._discard is not None:
            left = True
            with move_on_after(_DISCARD_SECONDS):
                left = not await self._discard(file)
        if left:
            await self._threads.finish(file.close)
            text = (
                "job %s is done, but an unfinished upload could not be removed: "
                "dxflow-async jobs clean %s --yes removes it"
            )
            _log.warning(text, file.id, file.id)
        else:
            await self._threads.finish(file.remove)
        self._file = None

    def _id_of(self, item: Item) -> ItemId:
        return ItemId(*self._absolute(*item.ends))

    def _absolute(self, source: str, destination: str) -> tuple[str, str]:
        start, end = self.spec.places
        return (
            self._below(source) if start is None else source,
            self._below(destination) if end is None else destination,
        )

    def _below(self, path: str) -> str:
        # Most paths are absolute, and `join` is slow to see it.
        return path if os.sep == "/" == path[:1] else os.path.join(self.spec.directory, path)
