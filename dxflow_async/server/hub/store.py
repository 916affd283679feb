"""The hub's database as its parts use it: one connection, one writer at a time, in threads and never on the loop."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from dxflow_async.server.hub.database import open_database

__all__ = ["Store"]

T = TypeVar("T")


class Store:
    """An open database; made by `open`.

    Example:
        store = await Store.open(settings.home)
        accounts = Accounts(store)
        await store.aclose()
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="dxflow-hub")

    @classmethod
    async def open(cls, home: Path) -> Self:
        """Open the database in `home`; both are created, for their owner only, when missing.

        Raises:
            ConfigurationError: it cannot be used, or a newer version of this program wrote it.
        """
        return cls(await asyncio.to_thread(open_database, home))

    async def aclose(self) -> None:
        """Wait for what is running, then close the database."""
        await asyncio.to_thread(self._close)

    async def run(self, call: Callable[..., T], *arguments: object) -> T:
        """What a call returns that uses `reading` or `transaction`."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for queries. Blocks."""
        with self._lock:
            yield self._database

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection, for changes that are made all or not at all. Blocks."""
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            yield self._database

    def _close(self) -> None:
        self._threads.shutdown()
        self._database.close()
