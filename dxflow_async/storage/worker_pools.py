"""Where a session's calls run: the pools that it owns, and the executors of its user."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary

from dxflow_async.account_connection import AccountConnection
from dxflow_async.exceptions import ConfigurationError, ExecutorError
from dxflow_async.storage.shard_worker import (
    WorkerSetup,
    do_shard,
    end_shards,
    initialize,
    settings_that_matter,
)
from dxflow_async.transfer.executor.dask import DaskExecutor, dask_client
from dxflow_async.transfer.executor.main_module import check_main_module
from dxflow_async.transfer.executor.options import Workers
from dxflow_async.transfer.executor.sealed import Sealed
from dxflow_async.transfer.executor.seam import FuturesExecutor, OwnedPoolExecutor, ProcessPool, ShardExecutor
from dxflow_async.transfer.executor.shard import Budget, Shard
from dxflow_async.transfer.executor.silence import Silence
from dxflow_async.transfer.journal.records import JobSpec
from dxflow_async.transfer.resources import Resources

__all__ = ["WorkerPools"]


class WorkerPools:
    """Finds the executor of a call.

    Args:
        resources: the session's resources, which end the pools when they are closed.
        account: the session's account.
    """

    def __init__(self, resources: Resources, account: AccountConnection) -> None:
        self._resources = resources
        self._account = account
        self._id = secrets.token_hex(8)
        self._silences: WeakKeyDictionary[Executor, Silence] = WeakKeyDictionary()

    def executor_for(self, workers: Workers) -> ShardExecutor:
        """Returns what hands the shards of a call to workers.

        Raises:
            ConfigurationError: the executor cannot be used, or its workers cannot find the account.
        """
        if workers.processes is not None:
            return OwnedPoolExecutor(self._pool(workers.processes))
        setup = self._setup() if workers.credentials == "send" else None
        if setup is None and self._account.embedded:
            raise ConfigurationError(
                "workers cannot find an account at the hub inside this process: pass credentials='send', or use "
                "processes=N"
            )
        return self._adapted(workers.executor, setup)

    def template(self, workers: Workers, spec: JobSpec, executor: ShardExecutor, channel: str) -> Shard:
        """Returns a shard of a call without its work."""
        settings = self._resources.settings
        return Shard(
            number=0,
            operation=spec.operation,
            areas=spec.places,
            account=spec.account,
            settings=settings_that_matter(settings),
            budget=Budget(settings.max_concurrency, settings.max_bandwidth),
            channel=channel,
            same_machine=executor.same_machine,
            shared=workers.shared,
            began=time.time(),
        )

    def _pool(self, count: int) -> ProcessPool:
        pools = self._resources.pools
        if count not in pools:
            check_main_module()
            pools[count] = ProcessPool(count, do_shard, initialize, self._setup())
        return pools[count]

    def _setup(self) -> Sealed:
        setup = WorkerSetup(self._id, self._resources.settings, self._account.signed_in())
        try:
            return Sealed.of(setup)
        except ExecutorError as error:
            # No cause: its frames hold the settings, secrets among them.
            reason = type(error.__cause__).__name__
            raise ConfigurationError(
                f"the settings cannot be sent to workers ({reason}): a setting is a function of this program; "
                "configure the credentials in another way"
            ) from None

    def _adapted(self, executor: Any, setup: Sealed | None) -> ShardExecutor:
        if isinstance(executor, type):
            raise ConfigurationError(
                f"executor = {executor.__name__} is a class; make an executor of it, and pass that"
            )
        if (found := dask_client(executor)) is not None:
            return DaskExecutor(*found, do_shard, end_shards, setup)
        if isinstance(executor, ProcessPoolExecutor):
            return FuturesExecutor(executor, do_shard, setup, self._silences.setdefault(executor, Silence()))
        if isinstance(executor, Executor) or (callable(getattr(executor, "submit", None)) and _is_futures(executor)):
            return FuturesExecutor(executor, do_shard, setup)
        raise ConfigurationError(
            f"executor = {type(executor).__name__} is not allowed; it must be a concurrent.futures.Executor, or a "
            "dask.distributed.Client"
        )


def _is_futures(executor: Any) -> bool:
    return callable(getattr(executor, "shutdown", None)) and callable(getattr(executor, "map", None))
