"""A worker process of an executor: it keeps one session for its life, and does the shards that it is handed.

The session is made of the settings and the sign-in that the coordinator sent, or of those that any session of this
process finds. It has an event loop of its own in a thread. The state is the process's, because an executor calls a
function of a module and hands nothing but its arguments to it.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import multiprocessing
import os
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.util import Finalize
from typing import Any, TypeVar

from dxflow_async.account_connection import AccountConnection, SignedIn
from dxflow_async.concurrency.owners import forget_owner, new_owner_id, owned_by
from dxflow_async.config.settings import Settings
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.contract import Provider
from dxflow_async.providers.registry import local_provider
from dxflow_async.storage.resolver import Areas, LocationResolver
from dxflow_async.transfer.context import Place
from dxflow_async.transfer.executor.channel import ShardCancelledError, WorkerChannel
from dxflow_async.transfer.executor.dask import task_dropped
from dxflow_async.transfer.executor.runner import run_shard
from dxflow_async.transfer.executor.sealed import Sealed
from dxflow_async.transfer.executor.shard import Shard, ShardPlace, ShardReceipt, package_version
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.resources import Resources

__all__ = ["WorkerSetup", "do_shard", "end_shards", "initialize", "settings_that_matter"]

_log = logging.getLogger("dxflow_async.transfer.executor")

T = TypeVar("T")

_MATTER = (
    "part_size",
    "max_attempts",
    "connect_timeout",
    "stall_timeout",
    "min_speed",
    "disk_threads",
    "max_memory_bytes",
    "durable",
    "transport",
    "sdk_configuration",
)
"""Settings that travel with each shard: they are not secret, and a worker's own would make another transfer."""

_MAX_DISKS = 1000
_MAX_SESSIONS = 8
"""Sessions that a worker keeps open. The one that was used least recently is closed for another one."""

_MAX_CALLS = 1000
"""Calls that a worker remembers: those that were cancelled, and the owners of its temporary files in each."""

_CLOSE_SECONDS = 5.0
_ALIVE_SECONDS = 5.0
"""How often a thread that waits for the event loop looks whether it still runs."""

_ORPHAN_SECONDS = 15.0
"""Time for the shards of a worker whose coordinator is gone to end."""


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """What a worker gets of the coordinator's session, where it does not find it by itself.

    Attributes:
        id: names the session.
        settings: its settings, with their secrets.
        account: its sign-in, if it has an account.
    """

    id: str
    settings: Settings = field(repr=False)
    account: SignedIn | None = field(default=None, repr=False)


def settings_that_matter(settings: Settings) -> dict[str, Any]:
    """Returns the settings that travel with each shard, by name."""
    return {name: getattr(settings, name) for name in _MATTER}


def initialize(setup: Sealed) -> None:
    """Prepares a process of a session's own pool: it ends with its parent, and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _process.given = setup.opened()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), name="dxflow-parent", daemon=True).start()


def do_shard(version: str, sealed: Sealed, setup: Sealed | None) -> ShardReceipt:
    """Does a shard, and returns its receipt. It is what an executor calls in a worker.

    Args:
        version: the version of this package at the coordinator.
        sealed: the `Shard`.
        setup: the `WorkerSetup` that the coordinator sent; None where `initialize` got it, and where the worker finds
            credentials by itself.

    Raises:
        ConfigurationError: the worker has another version, does not find the areas of the call, or does not see local
            paths of the coordinator's machine.
        ShardCancelledError: the call has ended.
    """
    if version != (own := package_version()):
        raise ConfigurationError(
            f"a worker has dxflow-async {own}, and the call was made with {version}; "
            "install the same version for all workers"
        )
    shard: Shard = sealed.opened()
    given: WorkerSetup | None = None if setup is None else setup.opened()
    dropped = task_dropped()
    with _process.worker_for(given, shard) as worker:
        return worker.do(shard, lambda: shard.channel in _process.ended or dropped())


def end_shards(channel: str) -> None:
    """Ends the shards of a cancelled call in this process, also those that have not begun.

    Args:
        channel: the path of the call's channel.
    """
    _process.ended[channel] = None
    while len(_process.ended) > _MAX_CALLS:
        _process.ended.popitem(last=False)


class _Process:
    """The sessions of this process: one for each session of a coordinator that it works for, usually one.

    Attributes:
        given: what `initialize` got.
        ended: the channels of cancelled calls.
    """

    def __init__(self) -> None:
        self.given: WorkerSetup | None = None
        self.ended: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._pid = 0
        self._workers: OrderedDict[tuple[Any, ...], _Worker] = OrderedDict()

    @contextmanager
    def worker_for(self, setup: WorkerSetup | None, shard: Shard) -> Iterator[_Worker]:
        """Yields the worker for a shard, which the first shard of a session starts."""
        setup = setup or self.given
        # The data plane has a throttle or none.
        throttled = shard.budget.max_bandwidth is not None
        key = ("" if setup is None else setup.id, throttled, *sorted(shard.settings.items()))
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._workers.clear()
                atexit.register(self.close)
                Finalize(self, self.close, exitpriority=10)
            worker = self._workers.get(key)
            if worker is None or not worker.alive:
                worker = self._workers[key] = _Worker(setup, shard)
            self._workers.move_to_end(key)
            worker.shards += 1
            unused = self._surplus()
        for each in unused:
            each.close()
        try:
            yield worker
        finally:
            with self._lock:
                worker.shards -= 1

    def _surplus(self) -> list[_Worker]:
        """Takes out sessions beyond those that are kept, unless they are in use."""
        surplus = len(self._workers) - _MAX_SESSIONS
        idle = [key for key, each in self._workers.items() if not each.shards]
        return [self._workers.pop(key) for key in idle[: max(surplus, 0)]]

    def close(self) -> None:
        """Closes all sessions."""
        with self._lock:
            workers = list(self._workers.values()) if self._pid == os.getpid() else []
            self._workers.clear()
        for worker in workers:
            worker.close()


_process = _Process()


class _Worker:
    """A session in an event loop of its own.

    Args:
        setup: what the coordinator sent; None: it is found.
        shard: the first shard, which has settings of the coordinator.

    Attributes:
        shards: how many shards it does now.
    """

    def __init__(self, setup: WorkerSetup | None, shard: Shard) -> None:
        found = Settings.load() if setup is None else setup.settings
        budget = shard.budget
        self._settings = replace(
            found,
            **shard.settings,
            journal=False,
            max_concurrency=budget.max_concurrency,
            max_bandwidth=budget.max_bandwidth,
        )
        self.shards = 0
        self._setup = setup
        self._disks: dict[tuple[str, bool], Provider] = {}
        self._owners: dict[str, str] = {}
        self._loop = _new_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="dxflow-worker", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            raise MemoryError("no thread can be started") from error
        self._resources: Resources
        self._resolver: LocationResolver
        self._call(self._open())

    @property
    def alive(self) -> bool:
        """Whether its event loop runs. One that ran out of memory has ended."""
        return self._thread.is_alive()

    def do(self, shard: Shard, dropped: Callable[[], bool]) -> ShardReceipt:
        """Does a shard, unless its call is cancelled."""
        return self._call(self._do(shard, dropped))

    def close(self) -> None:
        """Closes the session and its loop."""
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._aclose(), self._loop).result(_CLOSE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()

    async def _open(self) -> None:
        self._resources = resources = Resources(self._settings)
        account = await self._account(resources)
        self._resolver = LocationResolver(resources, account)

    async def _account(self, resources: Resources) -> AccountConnection:
        if self._setup is None:
            from dxflow_async.control.stored_login import StoredLogin

            login = await resources.threads.run(StoredLogin.load, self._settings.home)
            if login is not None:
                return AccountConnection(resources, secrets=login.secrets.to_dict(), hub=login.hub)
            return AccountConnection(resources)
        if self._setup.account is None:
            return AccountConnection(resources)
        return AccountConnection.of_sign_in(resources, self._setup.account)

    async def _do(self, shard: Shard, dropped: Callable[[], bool]) -> ShardReceipt:
        resources = self._resources
        resources.limits.change_budget(*shard.budget)
        owner_id = self._owner_of(shard.channel)
        channel = WorkerChannel(shard.channel, shard.number, owner_id, dropped)
        if shard.same_machine and not channel.visible:
            raise ShardCancelledError("the call has ended")
        if not channel.visible:
            _check_shared(shard)
        areas = await self._areas(shard)

        def place(end: int, at: ShardPlace) -> Place:
            area = areas[end]
            if area is not None:
                return Place(area.provider, at.key, at.shown)
            return Place(self._disk(at.root or os.sep, follows=at.follows), at.key, at.shown)

        with owned_by(owner_id if channel.visible else shard.owner_id or owner_id):
            return await run_shard(resources, place, shard, channel)

    def _owner_of(self, channel: str) -> str:
        """Returns the owner of the temporary files that this worker writes for a call of its machine."""
        owner_id = self._owners.pop(channel, None) or new_owner_id()
        self._owners[channel] = owner_id
        if len(self._owners) > _MAX_CALLS:
            forget_owner(self._owners.pop(next(iter(self._owners))))
        return owner_id

    def _disk(self, root: str, *, follows: bool) -> Provider:
        disk = self._disks.get((root, follows))
        if disk is None:
            if len(self._disks) >= _MAX_DISKS:
                self._disks.clear()
            disk = local_provider(root, self._resources.threads, follow_symlinks=follows)
            self._disks[root, follows] = disk
        return disk

    async def _areas(self, shard: Shard) -> Areas:
        if shard.account is not None:
            await self._resolver.account.sign_in()
        spec = JobSpec(shard.operation, None, None, {}, shard.areas, shard.account)
        try:
            return await self._resolver.areas_of(spec)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"a worker does not find what the call needs: {error}; configure it there, or pass credentials='send'"
            ) from error

    async def _aclose(self) -> None:
        self._resources.closed = True
        for owner_id in self._owners.values():
            forget_owner(owner_id)
        try:
            await self._resolver.aclose()
        finally:
            await self._resources.aclose()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        """Returns the outcome of a coroutine in the loop. An exception of this thread, such as Ctrl-C, cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while True:
                # A loop that ran out of memory has ended, and answers nobody.
                wait([future], _ALIVE_SECONDS)
                if future.done():
                    return future.result()
                if not self._thread.is_alive():
                    raise MemoryError("the event loop of the worker has ended")
        except BaseException:
            if not future.done() and self._thread.is_alive():
                future.cancel()
                with suppress(BaseException):
                    future.result(_CLOSE_SECONDS)
            raise


def _check_shared(shard: Shard) -> None:
    """Checks that local paths mean the same on this machine.

    Raises:
        ConfigurationError: one is not in a directory that all workers see.
    """
    local = [number for number, area in enumerate(shard.areas) if area is None]
    ends = [(record.source, record.destination) for record in shard.items]
    if shard.parts is not None:
        ends.append((shard.parts.source, shard.parts.destination))
    if shard.range is not None:
        ends.append((shard.range.source, shard.range.destination))
    for each in ends:
        for number in local:
            path = os.path.join(each[number].root or os.sep, each[number].key)
            if not any(os.path.join(path, "").startswith(os.path.join(top, "")) for top in shard.shared):
                raise ConfigurationError(
                    f"{path} is a local path, and a worker is on another machine; copy from or to a remote, or name "
                    "a directory that all workers see with shared="
                )


def _end_with(parent: Any) -> None:
    """Ends this process after its parent has ended. Its shards see that their coordinator is gone, and end first."""
    parent.join()
    timer = threading.Timer(_ORPHAN_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()
    _process.close()
    os._exit(1)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
