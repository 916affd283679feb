"""Shards on a Dask cluster. The client is the user's, synchronous or asynchronous, and stays open.

Dask hands a task whose worker was lost to another worker by itself, and gives it up after several workers
(`distributed.scheduler.allowed-failures`).

Workers on other machines do not see the channel of a call. When the call is cancelled, the coordinator calls
`end_shards` on all workers. When the coordinator ends, the scheduler drops the tasks of its client, and each worker
sees that nobody wants its task any more.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

from dxflow_async.exceptions import ConfigurationError, DxflowError, ExecutorError
from dxflow_async.transfer.executor.sealed import Sealed
from dxflow_async.transfer.executor.seam import (
    RunShard,
    ShardExecutor,
    WorkerLostError,
    checked_receipt,
    failed_worker,
    lost_worker,
)
from dxflow_async.transfer.executor.shard import Shard, ShardReceipt, package_version
from dxflow_async.transfer.executor.silence import WatchedTime

__all__ = ["DaskExecutor", "dask_client", "task_dropped"]

_log = logging.getLogger("dxflow_async.transfer.executor")

_LOOK_SECONDS = 0.5
_GONE_SECONDS = 10.0
"""A scheduler that cannot be reached for so long is gone."""

_COUNT_SECONDS = 3.0
"""How old the number of workers may be."""

_END_SECONDS = 5.0
"""Time for the workers of a cancelled call to end their shards."""


def dask_client(executor: Any) -> tuple[Any, Mapping[str, Any]] | None:
    """Returns a client of Dask and the options of its tasks, from the client or from its `get_executor`.

    It does not import Dask. Other executors are None.
    """
    if _is(executor, "distributed.cfexecutor", "ClientExecutor"):
        return executor._client, executor._kwargs
    return (executor, {}) if _is(executor, "distributed.client", "Client") else None


def _is(value: Any, module: str, name: str) -> bool:
    return any((cls.__module__, cls.__name__) == (module, name) for cls in type(value).__mro__)


def task_dropped() -> Callable[[], bool]:
    """Returns a function that says whether Dask has dropped the task that runs in this thread.

    The state of tasks is described at https://distributed.dask.org/en/stable/worker-state.html.
    """
    module = sys.modules.get("distributed.worker")
    if module is None:
        return _never
    try:
        worker, key = module.get_worker(), module.thread_state.key
    except (ValueError, AttributeError):  # no worker of Dask calls
        return _never

    def dropped() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    return dropped


def _never() -> bool:
    return False


class DaskExecutor(ShardExecutor):
    """The workers of a Dask cluster.

    Args:
        client: the client.
        options: of its tasks, such as `workers`.
        run: does a shard in a worker.
        end: called on each worker with the channel of a call that is cancelled.
        setup: handed to `run` with each shard. It has secrets.

    Raises:
        ConfigurationError: secrets would be sent to a cluster without TLS.
    """

    def __init__(
        self,
        client: Any,
        options: Mapping[str, Any],
        run: RunShard,
        end: Callable[[str], None],
        setup: Sealed | None,
    ) -> None:
        self._client = client
        self._options = options
        self._run = run
        self._end = end
        self._setup = setup
        self._workers = 1
        self._memory_limit = 0
        self._counted = 0.0
        self._seen: set[str] = set()
        self._lost = False
        self._none = False
        self._gone_since: float | None = None
        self._time = WatchedTime()
        address = "" if client.scheduler is None else str(client.scheduler.address)
        if setup is not None and not address.startswith(("tls://", "inproc://")):
            raise ConfigurationError(
                f"credentials='send' is not allowed for {address}: the cluster has no TLS, so others could read them; "
                "configure the credentials where the workers run, or give the cluster TLS"
            )

    @property
    def workers(self) -> int:
        return self._workers

    @property
    def advice(self) -> str:
        text = "look for their end in the logs of their nannies and of the system"
        if not self._memory_limit:
            return text
        return (
            f"{text}: a nanny ends a worker that comes near its memory limit ({self._memory_limit >> 20} MiB); start "
            "workers with a higher --memory-limit, or lower max_memory_bytes"
        )

    async def may_have_redone(self) -> bool:
        if not self._lost:
            self._counted = 0.0
            try:
                await self._count()
            except ExecutorError:
                return True
        return self._lost

    async def submit(self, shard: Shard) -> ShardReceipt:
        await self._count()
        future = self._begin(await asyncio.to_thread(Sealed.of, shard))
        done = asyncio.ensure_future(self._done(future))
        try:
            while not done.done():
                await asyncio.wait([done], timeout=_LOOK_SECONDS)
                if not done.done():
                    self._check()
            return done.result()
        except asyncio.CancelledError:
            await asyncio.wait([done], timeout=_END_SECONDS)
            raise
        finally:
            done.cancel()
            with suppress(Exception):
                released = future.cancel()
                if asyncio.iscoroutine(released):
                    await released

    async def end_shards(self, channel: str) -> None:
        try:
            async with asyncio.timeout(_END_SECONDS):
                if self._client.asynchronous:
                    await self._client.run(self._end, channel, on_error="ignore")
                else:
                    await asyncio.to_thread(self._client.run, self._end, channel, on_error="ignore")
        except Exception as error:  # noqa: BLE001 - the scheduler drops the tasks anyway
            _log.debug("the workers were not told that the call was cancelled: %s", type(error).__name__)

    def _begin(self, shard: Sealed) -> Any:
        client = self._client
        options = {**self._options, "key": f"dxflow-{secrets.token_hex(8)}", "pure": False}
        try:
            return client.submit(self._run, package_version(), shard, self._setup, **options)
        except Exception as error:
            raise ExecutorError(f"the Dask client takes no work: {error}; connect a new client") from error

    async def _done(self, future: Any) -> ShardReceipt:
        try:
            # No thread waits for each shard: the loop's own threads are few.
            gathered = self._client.gather(future, asynchronous=True)
            if not self._client.asynchronous:
                loop = self._client.loop.asyncio_loop
                gathered = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(gathered, loop))
            receipt = await gathered
        except MemoryError as error:
            raise lost_worker(error) from error
        except (DxflowError, asyncio.CancelledError):
            if future.cancelled():
                raise self._dropped("its shards were cancelled") from None
            raise
        except Exception as error:
            name = type(error).__name__
            if name == "KilledWorker":
                lost = WorkerLostError()
                lost.workers = getattr(error, "allowed_failures", 2) + 1
                self._memory_limit = getattr(getattr(error, "last_worker", None), "memory_limit", None) or 0
                raise lost from error
            if future.cancelled() or name in ("FutureCancelledError", "CancelledError", "CommClosedError"):
                raise self._dropped(name) from error
            raise failed_worker(error) from error
        return checked_receipt(receipt)

    def _dropped(self, reason: str) -> ExecutorError:
        """Returns the error of a call whose shards the scheduler does not know any more."""
        if self._client.status == "running":
            return ExecutorError(f"the Dask cluster dropped the call ({reason}): it was restarted; make the call again")
        return ExecutorError(f"the Dask cluster lost the call ({reason}); connect a new client")

    def _check(self) -> None:
        """Checks that the scheduler can be reached.

        Raises:
            ExecutorError: it is gone.
        """
        if self._client.status == "running":
            self._gone_since = None
            return
        now = self._time.look()
        self._gone_since = now if self._gone_since is None else self._gone_since
        if self._client.status == "closed" or now - self._gone_since > _GONE_SECONDS:
            raise ExecutorError("the Dask scheduler cannot be reached; start it again, and connect a new client")

    async def _count(self) -> None:
        if monotonic() - self._counted < _COUNT_SECONDS:
            return
        self._counted = monotonic()
        try:
            async with asyncio.timeout(_GONE_SECONDS):
                if self._client.asynchronous:
                    threads = await self._client.nthreads()
                else:
                    threads = await asyncio.to_thread(self._client.nthreads)
        except Exception as error:
            raise ExecutorError(
                f"the Dask scheduler does not answer ({type(error).__name__}); connect a new client"
            ) from error
        if not threads and not self._none:
            _log.warning("the Dask cluster has no workers; the call waits until there are some")
        self._none = not threads
        self._lost = self._lost or not self._seen.issubset(threads)
        self._seen.update(threads)
        self._workers = max(len(threads), 1)
