"""The seam between a call and the workers: `submit(shard) -> receipt`, for any executor.

`FuturesExecutor` speaks to every `concurrent.futures.Executor`. `ProcessPool` is the pool that a session owns: it is
started again after a worker was lost.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from threading import Timer
from time import monotonic, sleep
from typing import Any

from dxflow_async.exceptions import ConfigurationError, DxflowError, ExecutorError
from dxflow_async.transfer.executor.main_module import PROTECT
from dxflow_async.transfer.executor.sealed import Sealed
from dxflow_async.transfer.executor.shard import Shard, ShardReceipt, package_version
from dxflow_async.transfer.executor.silence import Silence, is_stopped, named, processes_of

__all__ = [
    "FuturesExecutor",
    "OwnedPoolExecutor",
    "ProcessPool",
    "RunShard",
    "ShardExecutor",
    "WorkerLostError",
    "checked_receipt",
    "failed_worker",
    "lost_worker",
    "result_of",
]

_log = logging.getLogger("dxflow_async.transfer.executor")

RunShard = Callable[[str, Sealed, Sealed | None], ShardReceipt]
"""Does a shard in a worker: a function of a module.

It is called with the version of this package, the `Shard`, and what the worker gets of the session.
"""


class WorkerLostError(Exception):
    """The worker that held a shard is gone. The shard may be handed out again.

    Attributes:
        workers: how many workers were lost with it.
        out_of_memory: the worker had no memory left for it. It may not even have begun.
    """

    workers: int = 1
    out_of_memory: bool = False


class ShardExecutor(ABC):
    """Hands shards to workers."""

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many workers there are now."""

    @property
    def sessions(self) -> int:
        """How many sessions the workers have, which share the limits of a call: by default, each worker has one."""
        return self.workers

    @property
    def same_machine(self) -> bool:
        """Whether all workers are known to be processes of this machine."""
        return False

    async def may_have_redone(self) -> bool:
        """Returns whether the executor may have handed a shard to another worker by itself, since one was lost."""
        return not self.same_machine

    @property
    def advice(self) -> str:
        """What a user may do about workers that were lost, for the error of an item that ended them."""
        return "look for their end in the log of the system"

    @abstractmethod
    async def submit(self, shard: Shard) -> ShardReceipt:
        """Has a worker do a shard. A cancelled call withdraws a shard that has not begun, and waits for any other one.

        It is run in a task of its own. If that is cancelled once more, it does not wait any longer.

        Raises:
            WorkerLostError: the worker is gone, be it after the call was cancelled; the shard may be handed out again.
            ExecutorError: the executor takes no more shards.
            DxflowError: the worker cannot do any shard of the call.
        """

    def hung(self, pid: int) -> bool:
        """Is called when a worker process of this machine has not been heard of for long; returns whether it ends."""
        return False

    def heard(self) -> None:  # noqa: B027 - few executors need it
        """Is called when a worker process of this machine has been heard of."""

    async def end_shards(self, channel: str) -> None:  # noqa: B027 - few executors need it
        """Is called when a call is cancelled, to tell workers on other machines, which cannot see its channel."""

    def check(self, hang_seconds: float) -> None:  # noqa: B027 - few executors need it
        """Is called several times a second while a call runs, to find workers that hang before they begin a shard.

        Raises:
            ExecutorError: they hang, and cannot be replaced.
        """


class FuturesExecutor(ShardExecutor):
    """The workers of a `concurrent.futures.Executor` of the user's.

    Args:
        executor: the executor.
        run: does a shard in a worker.
        setup: handed to `run` with each shard.
        silence: of the executor's processes, for all calls that share it; by default only for this one.
    """

    def __init__(self, executor: Executor, run: RunShard, setup: Sealed | None, silence: Silence | None = None) -> None:
        self._executor = executor
        self._run = run
        self._setup = setup
        self._silence = silence or Silence()
        self._warned = False

    @property
    def workers(self) -> int:
        for name in ("_max_workers", "num_workers"):
            count = getattr(self._executor, name, None)
            if isinstance(count, int) and count > 0:
                return count
        return os.cpu_count() or 1

    @property
    def sessions(self) -> int:
        return 1 if isinstance(self._executor, ThreadPoolExecutor) else self.workers

    @property
    def same_machine(self) -> bool:
        return isinstance(self._executor, ProcessPoolExecutor | ThreadPoolExecutor)

    async def submit(self, shard: Shard) -> ShardReceipt:
        future = self._begin(await asyncio.to_thread(Sealed.of, shard))
        self._silence.waits_for(future)
        try:
            return await result_of(future)
        finally:
            self._silence.forget(future)

    def heard(self) -> None:
        self._silence.heard()

    def check(self, hang_seconds: float) -> None:
        pool = self._executor
        if not isinstance(pool, ProcessPoolExecutor) or not self._silence.ended(hang_seconds):
            return
        pids = [process.pid for process in processes_of(pool) if process.pid is not None]
        if any(map(is_stopped, pids)) or not self._silence.is_shared(pool):
            raise ExecutorError(
                f"no worker of the executor was heard of for {hang_seconds:.0f} seconds, though work waits for them: "
                f"{named(pids)} hangs; find out why, end the workers, and make a new executor"
            )
        if not self._warned:
            self._warned = True
            _log.warning("work waits for %d seconds for the executor, which is busy with other work", hang_seconds)

    def _begin(self, shard: Sealed) -> Future[ShardReceipt]:
        try:
            future = self._executor.submit(self._run, package_version(), shard, self._setup)
        except BrokenExecutor as error:
            text = f"the executor lost a worker and takes no more work ({type(error).__name__})"
            start = "" if self._silence.started else f"; if its processes end as they start, {PROTECT}"
            raise ExecutorError(
                f"{text}; make a new executor, or use processes=N, whose pool is started again{start}"
            ) from error
        except Exception as error:
            reason = str(error) if isinstance(error, RuntimeError) else f"{type(error).__name__}: {error}"
            raise ExecutorError(f"the executor takes no work ({reason}); make a new one") from error
        if not isinstance(future, Future):
            raise ExecutorError(
                f"submit of the executor returned {type(future).__name__} in place of a concurrent.futures.Future; use "
                "another executor"
            )
        return future


async def result_of(future: Future[ShardReceipt], *, withdraw: bool = True) -> ShardReceipt:
    """Awaits a receipt. A cancelled caller withdraws a shard that no worker has begun, and waits for any other one.

    A caller that is cancelled once more does not wait any longer.

    Args:
        future: of the receipt.
        withdraw: False: waits for the worker in any case, which sees at once that the call has ended.

    Raises:
        WorkerLostError, ExecutorError, DxflowError: as `ShardExecutor.submit`.
    """
    waiting = asyncio.wrap_future(future)
    try:
        receipt = await asyncio.shield(waiting)
    except asyncio.CancelledError:
        if waiting.cancelled():
            raise WorkerLostError from None
        if not (withdraw and future.cancel()):
            waiting.add_done_callback(_ignore)
            await asyncio.wait([waiting])
            error = None if waiting.cancelled() else waiting.exception()
            if isinstance(error, _LOST):
                raise lost_worker(error) from error
        raise
    except _LOST as error:
        raise lost_worker(error) from error
    except DxflowError:
        raise
    except Exception as error:
        raise failed_worker(error) from error
    return checked_receipt(receipt)


_LOST = (BrokenExecutor, CancelledError, ConnectionError, EOFError, MemoryError)
"""How executors say that the worker of a shard is gone."""


def _ignore(future: asyncio.Future[ShardReceipt]) -> None:
    """Takes an outcome that nobody is left to see."""
    if not future.cancelled():
        future.exception()


def checked_receipt(receipt: object) -> ShardReceipt:
    """Returns what an executor returned, if it is a receipt.

    Raises:
        ExecutorError: it is something else.
    """
    if isinstance(receipt, ShardReceipt):
        return receipt
    raise ExecutorError(
        f"the executor returned {type(receipt).__name__} in place of what the function returned; use another executor"
    )


def lost_worker(error: BaseException) -> WorkerLostError:
    """Returns the error of a shard whose worker is gone, or ran out of memory."""
    lost = WorkerLostError()
    lost.out_of_memory = isinstance(error, MemoryError)
    return lost


def failed_worker(error: Exception) -> ExecutorError:
    """Returns the error of a call whose worker failed in another way than a shard can fail."""
    text = f"a worker failed with {type(error).__name__}: {error}"
    own = any(getattr(error, name, None) for name in ("name", "obj")) and "dxflow_async" in str(error)
    if own and isinstance(error, ImportError | AttributeError):
        return ExecutorError(f"{text}; install dxflow-async {package_version()} where the workers run")
    return ExecutorError(f"{text}; see the log of the worker")


class ProcessPool:
    """A pool of processes that a session owns. They are started when they are needed.

    Args:
        count: the number of processes.
        run: does a shard in a worker.
        initialize: called with `setup` in each new process.
        setup: what the workers get of the session. It goes through the pipe that starts a process.
    """

    def __init__(self, count: int, run: RunShard, initialize: Callable[[Sealed], None], setup: Sealed) -> None:
        self.count = count
        self._run = run
        self._initialize = initialize
        self._setup = setup
        self._pool: ProcessPoolExecutor | None = None
        self._useless = 0
        self._failed_starts = 0
        self._failed: list[list[BaseProcess]] = []  # pools that broke before any process was heard of
        self._silence = Silence()

    def executor(self) -> ProcessPoolExecutor:
        """Returns the pool, and starts it again if it is broken."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.count, get_context("spawn"), self._initialize, (self._setup,))
            self._silence.began()
        return self._pool

    async def submit(self, shard: Sealed) -> Future[ShardReceipt]:
        """Hands a shard to the pool.

        Raises:
            ConfigurationError: this process may not start any.
            ExecutorError: as for `check`.
        """
        while True:
            await self.check()
            try:
                future = self._submit(shard)
                break
            except BrokenExecutor:
                self.drop()
        self._silence.waits_for(future)
        future.add_done_callback(self._ended)
        return future

    def _submit(self, shard: Sealed) -> Future[ShardReceipt]:
        try:
            return self.executor().submit(self._run, package_version(), shard, None)
        except AssertionError as error:  # how multiprocessing says it
            self.drop()
            raise ConfigurationError(
                "processes= is not allowed in a daemonic process, such as a worker of Dask or of multiprocessing.Pool, "
                "because it cannot start processes; make the call without it"
            ) from error

    def heard(self) -> None:
        """Notes that a process has been heard of, in whichever call."""
        self._silence.heard()

    def end_silent(self, hang_seconds: float) -> None:
        """Ends the processes when none of them has been heard of for so long, though shards wait for them."""
        if self._pool is not None and self._silence.ended(hang_seconds):
            _log.warning("no worker process was heard of for %d seconds; they are started again", hang_seconds)
            _kill(processes_of(self._pool))

    async def check(self) -> None:
        """Checks that the processes can be started. Waits until it is known how those of a broken pool have ended.

        Raises:
            ExecutorError: several pools in a row ended before a worker did anything.
        """
        while self._failed:
            processes = self._failed[0]
            failed = await asyncio.to_thread(_has_failed, processes)
            if self._failed and self._failed[0] is processes:  # no other shard has counted it meanwhile
                del self._failed[0]
                self._failed_starts += failed
        if self._failed_starts < _FAILED_STARTS and self._useless <= max(_USELESS * self.count, _LEAST_USELESS):
            return
        self._failed_starts = self._useless = 0  # another call may try again
        raise ExecutorError(f"worker processes end as they start, and print their errors: {PROTECT}, and check memory")

    def drop(self) -> None:
        """Gives a broken pool up."""
        pool, self._pool = self._pool, None
        if pool is not None:
            if not self._silence.started:
                self._failed.append(processes_of(pool))
            feeding = _calls(pool)
            pool.shutdown(wait=False, cancel_futures=True)
            _stop_feeding(feeding)

    def close(self) -> None:
        """Ends the processes. Blocks for a moment. Processes that do not end are killed."""
        pool, self._pool = self._pool, None
        if pool is not None:
            timer = Timer(_CLOSE_SECONDS, _end, (processes_of(pool), _calls(pool)))
            timer.daemon = True
            timer.start()
            pool.shutdown(wait=True, cancel_futures=True)
            timer.cancel()

    def _ended(self, future: Future[ShardReceipt]) -> None:
        if future.cancelled():
            return
        broken = isinstance(future.exception(), BrokenExecutor)
        self._useless = self._useless + 1 if broken else 0
        self._failed_starts = self._failed_starts if broken else 0


def _calls(pool: ProcessPoolExecutor) -> Any:
    """Returns the queue of the shards that the processes take; None once the pool is closed."""
    return getattr(pool, "_call_queue", None)


def _kill(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        with suppress(ValueError):  # it has ended and was closed
            process.kill()


def _has_failed(processes: Sequence[BaseProcess]) -> bool:
    """Returns whether a process of a broken pool ended with an error, as soon as it is known how they have ended.

    A pool is told of an end before its exit code is there, and then joins its processes in a thread of its own.
    """
    deadline = monotonic() + _EXIT_SECONDS
    while any(process.exitcode is None for process in processes) and monotonic() < deadline:
        sleep(_LOOK_SECONDS)
    return any((process.exitcode or 0) > 0 for process in processes)


def _stop_feeding(calls: Any) -> None:
    """Lets the thread end that writes shards into the pipe to the workers, also when no worker is left to read them.

    CPython before 3.11.5 waits for that thread for ever when a pool breaks (gh-94777). Later ones close the pipe
    themselves, in a thread of theirs, beside which nobody else may.
    """
    if calls is not None and sys.version_info < (3, 11, 5):
        with suppress(OSError):
            calls._reader.close()


def _end(processes: Sequence[BaseProcess], calls: Any) -> None:
    _kill(processes)
    _stop_feeding(calls)


_CLOSE_SECONDS = 5.0
"""Time for processes to end when their pool is closed."""

_EXIT_SECONDS = 2.0
"""Time for the processes of a broken pool to end."""

_LOOK_SECONDS = 0.005

_USELESS = 12
"""Shards in a row, for each process, that were lost before one was done."""

_FAILED_STARTS = 2
"""Pools in a row of which a process ended with an error before any was heard of."""

_LEAST_USELESS = 30
"""Looking for one item that ends its workers, among thousands, takes that many losses."""


class OwnedPoolExecutor(ShardExecutor):
    """The workers of a session's own pool, for one call."""

    def __init__(self, pool: ProcessPool) -> None:
        self._pool = pool

    @property
    def workers(self) -> int:
        return self._pool.count

    @property
    def same_machine(self) -> bool:
        return True

    async def submit(self, shard: Shard) -> ShardReceipt:
        sealed = await asyncio.to_thread(Sealed.of, shard)
        # CPython before 3.12.1 forgets all other shards if it finds a withdrawn one when the pool breaks.
        return await result_of(await self._pool.submit(sealed), withdraw=False)

    def heard(self) -> None:
        self._pool.heard()

    def check(self, hang_seconds: float) -> None:
        self._pool.end_silent(hang_seconds)

    def hung(self, pid: int) -> bool:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return True
