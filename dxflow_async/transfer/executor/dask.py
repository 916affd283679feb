"""Shards on a Dask cluster. The client is the user's, synchronous or asynchronous, and stays open.

Dask hands a task whose worker was lost to another worker by itself, and gives it up after several workers
(`distributed.scheduler.allowed-failures`).
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from time import monotonic
from typing import Any

from dxflow_async.exceptions import ConfigurationError, DxflowError, ExecutorError
from dxflow_async.transfer.executor.seam import RunShard, ShardExecutor, WorkerLostError
from dxflow_async.transfer.executor.shard import Shard, ShardReceipt

__all__ = ["DaskExecutor", "is_dask_client"]

_LOOK_SECONDS = 0.5
_GONE_SECONDS = 10.0
"""A scheduler that cannot be reached for so long is gone."""

_COUNT_SECONDS = 3.0
"""How old the number of workers may be."""

_END_SECONDS = 2.0
"""Time for workers that see the channel of a cancelled call to end."""


def is_dask_client(executor: Any) -> bool:
    """Returns whether an executor is a client of Dask, without importing Dask."""
    return any(f"{cls.__module__}.{cls.__name__}" == "distributed.client.Client" for cls in type(executor).__mro__)


class DaskExecutor(ShardExecutor):
    """The workers of a Dask cluster.

    Args:
        client: the client.
        run: does a shard in a worker.
        setup: handed to `run` with each shard. It has secrets.

    Raises:
        ConfigurationError: secrets would be sent to a cluster without TLS.
    """

    def __init__(self, client: Any, run: RunShard, setup: Any) -> None:
        self._client = client
        self._run = run
        self._setup = setup
        self._workers = 1
        self._counted = 0.0
        self._gone_since: float | None = None
        address = str(self._client.scheduler.address)
        if setup is not None and not address.startswith(("tls://", "inproc://")):
            raise ConfigurationError(
                f"credentials='send' is not allowed for {address}: the cluster has no TLS, so others could read them; "
                "configure the credentials where the workers run, or give the cluster TLS"
            )

    @property
    def workers(self) -> int:
        return self._workers

    async def submit(self, shard: Shard) -> ShardReceipt:
        await self._count()
        future = self._begin(shard)
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

    def _begin(self, shard: Shard) -> Any:
        client = self._client
        if client.asynchronous and client.loop.asyncio_loop is not asyncio.get_running_loop():
            raise ConfigurationError(
                "the Dask client belongs to another event loop; make it where the call is made, or make a synchronous "
                "client"
            )
        try:
            return client.submit(self._run, shard, self._setup, key=f"dxflow-{secrets.token_hex(8)}", pure=False)
        except Exception as error:
            raise ExecutorError(f"the Dask client takes no work: {error}; connect a new client") from error

    async def _done(self, future: Any) -> ShardReceipt:
        try:
            if self._client.asynchronous:
                receipt = await future
            else:
                receipt = await asyncio.to_thread(future.result)
        except (DxflowError, MemoryError, asyncio.CancelledError):
            if future.cancelled():
                raise ExecutorError("the Dask cluster lost the call; connect a new client") from None
            raise
        except Exception as error:
            name = type(error).__name__
            if name == "KilledWorker":
                lost = WorkerLostError()
                lost.workers = getattr(error, "allowed_failures", 2) + 1
                raise lost from error
            if future.cancelled() or name in ("FutureCancelledError", "CancelledError", "CommClosedError"):
                raise ExecutorError(f"the Dask cluster lost the call ({name}); connect a new client") from error
            raise ExecutorError(f"a worker failed with {name}: {error}; see the log of the worker") from error
        assert isinstance(receipt, ShardReceipt)
        return receipt

    def _check(self) -> None:
        """Checks that the scheduler can be reached.

        Raises:
            ExecutorError: it is gone.
        """
        if self._client.status == "running":
            self._gone_since = None
            return
        self._gone_since = self._gone_since or monotonic()
        if self._client.status == "closed" or monotonic() - self._gone_since > _GONE_SECONDS:
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
        self._workers = max(len(threads), 1)
