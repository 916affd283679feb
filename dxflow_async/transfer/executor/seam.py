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
from time import monotonic
from typing import Any

from dxflow_async.exceptions import ConfigurationError, DxflowError, ExecutorError
from dxflow_async.transfer.executor.sealed import Sealed
from dxflow_async.transfer.executor.shard import Shard, ShardReceipt, package_version

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

    @abstractmethod
    async def submit(self, shard: Shard) -> ShardReceipt:
        """Has a worker do a shard. A cancelled call withdraws a shard that has not begun, and waits for any other one.

        Raises:
            WorkerLostError: the worker is gone; the shard may be handed out again.
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
        """Is called several times a second while a call runs, to end workers that hang before they begin a shard."""


class FuturesExecutor(ShardExecutor):
    """The workers of a `concurrent.futures.Executor` of the user's.

    Args:
        executor: the executor.
        run: does a shard in a worker.
        setup: handed to `run` with each shard.
    """

    def __init__(self, executor: Executor, run: RunShard, setup: Sealed | None) -> None:
        self._executor = executor
        self._run = run
        self._setup = setup

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
        return await result_of(self._begin(await asyncio.to_thread(Sealed.of, shard)))

    def _begin(self, shard: Sealed) -> Future[ShardReceipt]:
        try:
            return self._executor.submit(self._run, package_version(), shard, self._setup)
        except BrokenExecutor as error:
            text = f"the executor lost a worker and takes no more work ({type(error).__name__})"
            raise ExecutorError(
                f"{text}; make a new executor, or use processes=N, whose pool is started again"
            ) from error
        except Exception as error:
            reason = str(error) if isinstance(error, RuntimeError) else f"{type(error).__name__}: {error}"
            raise ExecutorError(f"the executor takes no work ({reason}); make a new one") from error


async def result_of(future: Future[ShardReceipt], *, withdraw: bool = True) -> ShardReceipt:
    """Awaits a receipt. A cancelled caller withdraws a shard that no worker has begun, and waits for any other one.

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
            await asyncio.wait([waiting])
            if not waiting.cancelled():
                waiting.exception()  # nobody is left to see it
        raise
    except (BrokenExecutor, CancelledError, ConnectionError, EOFError, MemoryError) as error:
        raise lost_worker(error) from error
    except DxflowError:
        raise
    except Exception as error:
        raise failed_worker(error) from error
    return checked_receipt(receipt)


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
        self._out: set[Future[ShardReceipt]] = set()
        self._heard_at = 0.0
        self._started = False

    def executor(self) -> ProcessPoolExecutor:
        """Returns the pool, and starts it again if it is broken."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.count, get_context("spawn"), self._initialize, (self._setup,))
            self._started = False
            self._heard_at = monotonic()
        return self._pool

    def submit(self, shard: Sealed) -> Future[ShardReceipt]:
        """Hands a shard to the pool.

        Raises:
            ConfigurationError: this process may not start any.
        """
        try:
            future = self._submit(shard)
        except BrokenExecutor:
            self.drop()
            future = self._submit(shard)
        if not self._out:
            self._heard_at = monotonic()
        self._out.add(future)
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
        self._started = True
        self._heard_at = monotonic()

    def end_silent(self, hang_seconds: float) -> None:
        """Ends the processes when none of them has been heard of for so long, though shards wait for them.

        A process that stops between two shards has told nothing of the next one, and may hold the queue's lock.
        """
        seconds = hang_seconds if self._started else max(hang_seconds, _START_SECONDS)
        if self._pool is not None and self._out and monotonic() - self._heard_at > seconds:
            _log.warning("no worker process was heard of for %d seconds; they are started again", seconds)
            self._heard_at = monotonic()
            _kill(_processes(self._pool))

    def check(self) -> None:
        """Checks that the processes can be started.

        Raises:
            ExecutorError: several pools in a row ended before a worker did anything.
        """
        if self._useless > max(_USELESS * self.count, _LEAST_USELESS):
            raise ExecutorError(
                "worker processes end as they start: protect the beginning of the program with "
                'if __name__ == "__main__":, and check memory'
            )

    def drop(self) -> None:
        """Gives a broken pool up."""
        pool, self._pool = self._pool, None
        if pool is not None:
            feeding = _calls(pool)
            pool.shutdown(wait=False, cancel_futures=True)
            _stop_feeding(feeding)

    def close(self) -> None:
        """Ends the processes. Blocks for a moment. Processes that do not end are killed."""
        pool, self._pool = self._pool, None
        if pool is not None:
            timer = Timer(_CLOSE_SECONDS, _end, (_processes(pool), _calls(pool)))
            timer.daemon = True
            timer.start()
            pool.shutdown(wait=True, cancel_futures=True)
            timer.cancel()

    def _ended(self, future: Future[ShardReceipt]) -> None:
        self._out.discard(future)
        if future.cancelled():
            return
        self._heard_at = monotonic()
        broken = isinstance(future.exception(), BrokenExecutor)
        self._useless = self._useless + 1 if broken else 0


def _processes(pool: ProcessPoolExecutor) -> list[BaseProcess]:
    return list((pool._processes or {}).values())  # there is no public way before Python 3.14


def _calls(pool: ProcessPoolExecutor) -> Any:
    """Returns the queue of the shards that the processes take; None once the pool is closed."""
    return getattr(pool, "_call_queue", None)


def _kill(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        with suppress(ValueError):  # it has ended and was closed
            process.kill()


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


_START_SECONDS = 60.0
"""Time for new processes to start, which import the program's main module."""

_CLOSE_SECONDS = 5.0
"""Time for processes to end when their pool is closed."""

_USELESS = 12
"""Shards in a row, for each process, that were lost before one was done."""

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
        self._pool.check()
        sealed = await asyncio.to_thread(Sealed.of, shard)
        # CPython before 3.12.1 forgets all other shards if it finds a withdrawn one when the pool breaks.
        return await result_of(self._pool.submit(sealed), withdraw=False)

    def heard(self) -> None:
        self._pool.heard()

    def check(self, hang_seconds: float) -> None:
        self._pool.end_silent(hang_seconds)

    def hung(self, pid: int) -> bool:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return True
