"""The options of commands that run on several processes or machines."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from dxflow_async.exceptions import ConfigurationError, ExecutorError
from dxflow_async.transfer.executor.options import ExecutorOptions

__all__ = ["OnWorkers"]

_DASK = "dask needs the package distributed: install dxflow-async[dask]"
_CONNECT_SECONDS = 10


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class OnWorkers:
    """Where a transfer runs; by default in this process.

    Attributes:
        processes: Run on so many processes, or on auto, one for each processor.
        dask: Run on the Dask cluster whose scheduler has this address, such as tcp://host:8786.
        dask_scheduler_file: Run on the Dask cluster whose scheduler has written this file.
        shared: A directory that all workers of the cluster see; may be given several times.
    """

    processes: str | None = None
    dask: str | None = None
    dask_scheduler_file: Path | None = None
    shared: Annotated[tuple[Path, ...], Parameter(consume_multiple=False, negative=(), show_default=False)] = ()

    @asynccontextmanager
    async def options(self) -> AsyncIterator[ExecutorOptions]:
        """Yields the options of a call; a connection to a cluster is closed afterwards.

        Raises:
            ConfigurationError: the options contradict each other, or Dask is not installed.
            ExecutorError: the scheduler cannot be reached.
        """
        given = [each for each in (self.processes, self.dask, self.dask_scheduler_file) if each is not None]
        if len(given) > 1:
            raise ConfigurationError(
                "--processes, --dask and --dask-scheduler-file exclude each other: give one of them"
            )
        if self.processes is not None:
            yield {"processes": _count(self.processes)}
        elif given:
            async with await self._connect() as client:
                yield {"executor": client, "shared": self.shared}
        else:
            yield {}

    async def _connect(self) -> Any:
        try:
            import distributed
        except ImportError as error:
            raise ConfigurationError(_DASK) from error
        file = None if self.dask_scheduler_file is None else str(self.dask_scheduler_file)
        if self.dask_scheduler_file is not None:
            _check_scheduler_file(self.dask_scheduler_file)
        make: Any = distributed.Client
        try:
            return await make(self.dask, scheduler_file=file, asynchronous=True, timeout=_CONNECT_SECONDS)
        except (OSError, TimeoutError, ValueError) as error:
            where = self.dask or file
            raise ExecutorError(f"the Dask scheduler at {where} cannot be reached; check the address") from error


def _check_scheduler_file(path: Path) -> None:
    """Checks what is in a scheduler's file. One that is not there yet is waited for by Dask.

    Raises:
        ConfigurationError: no scheduler has written it.
    """
    if not path.exists():
        return
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("address"), str):
        raise ConfigurationError(
            f"dask_scheduler_file = {path} is not allowed; it must be the file that a scheduler of Dask has written"
        )


def _count(text: str) -> int:
    if text == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdigit():
        raise ConfigurationError(f"processes = {text!r} is not allowed; it must be a number or auto")
    return int(text)
