"""The arguments of calls that run on an executor."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Self, TypedDict

from dxflow_async.exceptions import ConfigurationError

__all__ = ["Credentials", "ExecutorOptions", "Workers"]

Credentials = Literal["find", "send"]

_MAX_PROCESSES = 1024


class ExecutorOptions(TypedDict, total=False):
    """Where a call runs. Without these options it runs in this process.

    Attributes:
        processes: a number of processes of this machine, which the session starts and keeps until it closes.
        executor: a `concurrent.futures.Executor`, such as a `ProcessPoolExecutor`, or a `dask.distributed.Client`. The
            session does not close it.
        credentials: `"find"`: each worker finds credentials as any session does, in its own environment. `"send"`: the
            workers get the settings and the sign-in of this session. The processes of `processes` always get them.
        shared: directories that all workers see under the same paths. Other local paths can be used only by workers on
            this machine.
    """

    processes: int | None
    executor: Any
    credentials: Credentials
    shared: Iterable[str | os.PathLike[str]]


@dataclass(frozen=True, slots=True)
class Workers:
    """Where a call runs.

    Attributes:
        processes, executor, credentials: as in `ExecutorOptions`.
        shared: absolute paths.
    """

    processes: int | None
    executor: Any
    credentials: Credentials
    shared: tuple[str, ...]

    @classmethod
    def of(
        cls,
        processes: int | None = None,
        executor: Any = None,
        credentials: Credentials = "find",
        shared: Iterable[str | os.PathLike[str]] = (),
    ) -> Self | None:
        """Returns where a call with these options runs; None: in this process.

        Raises:
            ConfigurationError: the options contradict each other, or one is not valid.
        """
        directories = _directories(shared)
        if credentials not in ("find", "send"):
            raise ConfigurationError(f"credentials = {credentials!r} is not allowed; it must be find or send")
        if processes is not None and executor is not None:
            raise ConfigurationError("processes and executor exclude each other: give one of them")
        if processes is None and executor is None:
            return None
        if processes is not None:
            number = isinstance(processes, int) and not isinstance(processes, bool)
            if not number or not 1 <= processes <= _MAX_PROCESSES:
                raise ConfigurationError(f"processes = {processes!r} is not allowed; it must be 1 to {_MAX_PROCESSES}")
        return cls(processes, executor, credentials, directories)


def _directories(shared: object) -> tuple[str, ...]:
    """Returns the absolute paths of directories.

    Raises:
        ConfigurationError: the value is something else than a list of paths.
    """
    paths = None if isinstance(shared, str | bytes | os.PathLike) or not isinstance(shared, Iterable) else list(shared)
    if paths is None or not all(isinstance(each, str | os.PathLike) for each in paths):
        shown = os.fspath(shared) if isinstance(shared, os.PathLike) else shared
        raise ConfigurationError(f"shared = {shown!r} is not allowed; it must be a list of directories")
    return tuple(os.path.abspath(os.fsdecode(each)) for each in paths)
