"""Brings finished files to disk and gives them their names, before their writers are told that they are done.

Items that arrive while others are being synced wait, and are then synced together. So a batch grows with the slowness
of the disk. Within a batch, the bytes of all files go to disk first, then the files get their names, then the
directories go to disk. One thread does this, beside the threads that write.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from queue import SimpleQueue
from typing import NamedTuple, Protocol

from anyio import CancelScope

from dxflow_async.durability import BatchSync, SyncedDirectories
from dxflow_async.exceptions import SessionClosedError, StorageError

__all__ = ["Commits", "Item"]


class Item(Protocol):
    """Something that is brought to disk. It is closed afterwards; if that fails, its writer keeps it.

    Attributes:
        descriptor: of the file; -1 if only names were changed.
        device: of the file's file system.
        directories: the paths of the directories with a new name.
    """

    @property
    def descriptor(self) -> int: ...
    @property
    def device(self) -> int: ...
    @property
    def directories(self) -> Sequence[str]: ...
    def take_name(self) -> None:
        """Gives the file its name. Blocks."""

    def close(self) -> None:
        """Closes the file. Blocks."""


class Commits:
    """The commits of one session. It is used by one event loop."""

    def __init__(self) -> None:
        self.synced = SyncedDirectories()
        self._sync = BatchSync()
        # An executor of concurrent.futures refuses work once the main thread has ended; other threads may still run.
        self._batches: SimpleQueue[tuple[asyncio.AbstractEventLoop, list[_Waiting]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._waiting: list[_Waiting] = []
        self._busy = False
        self._closed = False

    async def commit(self, item: Item) -> None:
        """Waits until an item has its name and is on disk.

        A cancelled call either leaves the item as it was, or commits it before it returns.

        Raises:
            OSError: the bytes are not on disk and the file has no name; or the name is not on disk.
            StorageError: the file must not get its name.
            SessionClosedError: `close` was called before the item's turn.
        """
        if self._closed:
            raise _closed()
        loop = asyncio.get_running_loop()
        waiting = _Waiting(item, loop.create_future())
        self._waiting.append(waiting)
        if not self._busy:
            self._begin(loop)
        try:
            await waiting.future
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            else:
                with CancelScope(shield=True):
                    while not waiting.ended:
                        waiting.future = loop.create_future()
                        with contextlib.suppress(asyncio.CancelledError):
                            await asyncio.wait([waiting.future])
                if waiting.future.done() and not waiting.future.cancelled():
                    waiting.future.exception()  # nobody is left to see it
            raise

    async def sync_names(self, *directories: str) -> None:
        """Waits until the names in directories, and the names of the directories themselves, are on disk."""
        await self.commit(_Names(directories))

    def close(self) -> None:
        """Ends the thread once it has finished what it has begun."""
        self._closed = True
        if self._thread is not None:
            self._batches.put(None)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._waiting = self._waiting, []
        self._busy = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="dxflow-sync", daemon=True)
            self._thread.start()
        self._batches.put((loop, batch))

    def _work(self) -> None:
        while (next_batch := self._batches.get()) is not None:
            loop, batch = next_batch
            errors: list[BaseException | None]
            try:
                errors = [*self._commit([each.item for each in batch])]
            except BaseException as error:  # noqa: BLE001 - handed to those who wait, whatever it is
                errors = [error] * len(batch)
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
                loop.call_soon_threadsafe(self._ended, loop, batch, errors)

    def _ended(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting], errors: Sequence[BaseException | None]
    ) -> None:
        self._busy = False
        if self._closed:
            late, self._waiting = self._waiting, []
            for waiting in late:
                waiting.end(_closed())
        elif self._waiting:
            self._begin(loop)
        for waiting, error in zip(batch, errors, strict=True):
            waiting.end(error)

    def _commit(self, items: list[Item]) -> list[OSError | StorageError | None]:
        errors = self._commit_all(items)
        for item, error in zip(items, errors, strict=True):
            if error is None:
                item.close()
        return errors

    def _commit_all(self, items: list[Item]) -> list[OSError | StorageError | None]:
        moment = self.synced.moment
        descriptors = {each.descriptor: each.device for each in items if each.descriptor >= 0}
        failed = self._sync.sync_files(descriptors)
        errors: list[OSError | StorageError | None] = [failed.get(item.descriptor) or _error_of(item) for item in items]
        named = [item for item, error in zip(items, errors, strict=True) if error is None]
        wanted: dict[str, None] = {}
        for directory in {directory for item in named for directory in item.directories}:
            wanted |= dict.fromkeys(self.synced.to_sync(directory))
        lost = self._sync.sync_directories(list(wanted), descriptors)
        if not lost:
            self.synced.add(wanted, moment)
            return errors
        return [error or _first_of(item, lost) for item, error in zip(items, errors, strict=True)]


class _Waiting:
    """A commit that somebody waits for."""

    __slots__ = ("ended", "future", "item")

    def __init__(self, item: Item, future: asyncio.Future[None]) -> None:
        self.item = item
        self.future = future
        self.ended = False

    def end(self, error: BaseException | None) -> None:
        """Tells the one who waits, unless that was cancelled."""
        self.ended = True
        if self.future.done():
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(None)


class _Names(NamedTuple):
    """Directories in which names were changed."""

    directories: Sequence[str]
    descriptor: int = -1
    device: int = -1

    def take_name(self) -> None:
        return

    def close(self) -> None:
        return


def _closed() -> SessionClosedError:
    return SessionClosedError("the session is closed; create a new one")


def _error_of(item: Item) -> OSError | StorageError | None:
    try:
        item.take_name()
    except (OSError, StorageError) as error:
        return error
    return None


def _first_of(item: Item, lost: dict[str, OSError]) -> OSError | None:
    # A directory above may hold the new name of one of these, so its loss is an error of everything below it.
    return next((error for path, error in lost.items() for own in item.directories if _is_below(own, path)), None)


def _is_below(own: str, path: str) -> bool:
    return own == path or own.startswith(f"{path.rstrip('/')}/")
