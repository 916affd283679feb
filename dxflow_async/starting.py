"""`session.start`: starts the bulk calls of a session as handles."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, Unpack, overload

from dxflow_async.handles import AsyncTransferJob, CollectedPairs
from dxflow_async.location_calls import AsyncLocationCalls
from dxflow_async.models import SyncPlan, TransferReport
from dxflow_async.storage.manager import AsyncStorageManager
from dxflow_async.storage.resolver import Written
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.run_options import CallOptions
from dxflow_async.transfer.sync.rules import SyncOptions

__all__ = ["AsyncStarter"]

P = ParamSpec("P")
R = TypeVar("R")

_CALL_OPTIONS = ("timeout", "on_cancel", "processes", "executor", "credentials", "shared")


class _Starts(Generic[P, R]):
    """A method of a starter: it has the parameters of a call, and returns the handle of that call.

    Args:
        call: the method of the session or of its storage manager.
        resumable: whether `AsyncSession.resume` continues the call.
    """

    def __init__(self, call: Callable[Concatenate[Any, P], Awaitable[R]], *, resumable: bool = True) -> None:
        self._call = call
        self._resumable = resumable
        self.__doc__ = f"Starts `{call.__qualname__}`."

    @overload
    def __get__(self, starter: None, owner: type) -> _Starts[P, R]: ...
    @overload
    def __get__(self, starter: AsyncStarter, owner: type) -> Callable[P, AsyncTransferJob[R]]: ...
    def __get__(self, starter: AsyncStarter | None, owner: type) -> _Starts[P, R] | Callable[P, AsyncTransferJob[R]]:
        if starter is None:
            return self

        def start(*args: P.args, **kwargs: P.kwargs) -> AsyncTransferJob[R]:
            return starter.begin(self._call, args, kwargs, resumable=self._resumable)

        functools.update_wrapper(start, self._call)
        signature = inspect.signature(self._call)
        parameters = [*signature.parameters.values()][1:]
        start.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=parameters, return_annotation="AsyncTransferJob"
        )
        return start


class AsyncStarter:
    """Starts the bulk calls of a session: each method has the parameters of the call, and returns its handle.

    `copy`, `move`, `sync`, `delete` and `resume` are those of `AsyncSession`; `upload`, `download`, `upload_many` and
    `download_many` those of its storage manager. `AsyncSession.start` returns it. A job that is not awaited is
    cancelled when the session closes.

    Args:
        calls: the session's calls on locations.
        storage: its storage manager.
        resume: resumes a job.
        discard: removes what a job has left.

    Example:
        >>> async def main() -> None:
        ...     async with AsyncSession() as session:
        ...         job = session.start.upload("results/", "/bucket/results/", "AWS")
        ...         print(await job)
    """

    def __init__(
        self,
        calls: AsyncLocationCalls,
        storage: AsyncStorageManager,
        resume: Callable[..., Awaitable[TransferReport]],
        discard: Callable[[str], Awaitable[object]],
    ) -> None:
        self._calls = calls
        self._storage = storage
        self._resume = resume
        self._discard = discard
        self._jobs: set[AsyncTransferJob[Any]] = set()

    copy = _Starts(AsyncLocationCalls.copy)
    move = _Starts(AsyncLocationCalls.move)
    delete = _Starts(AsyncLocationCalls.delete, resumable=False)
    upload = _Starts(AsyncStorageManager.upload)
    download = _Starts(AsyncStorageManager.download)
    upload_many = _Starts(AsyncStorageManager.upload_many)
    download_many = _Starts(AsyncStorageManager.download_many)

    @overload
    def sync(
        self, src: Written, dst: Written, *, dry_run: Literal[False] = False, **options: Unpack[SyncOptions]
    ) -> AsyncTransferJob[TransferReport]: ...
    @overload
    def sync(
        self, src: Written, dst: Written, *, dry_run: Literal[True], **options: Unpack[SyncOptions]
    ) -> AsyncTransferJob[SyncPlan]: ...
    def sync(
        self, src: Written, dst: Written, *, dry_run: bool = False, **options: Unpack[SyncOptions]
    ) -> AsyncTransferJob[Any]:
        """Starts `AsyncSession.sync`."""
        return self.begin(AsyncLocationCalls.sync, (src, dst), {"dry_run": dry_run, **options}, resumable=not dry_run)

    def resume(
        self, job_id: str, *, on_progress: OnProgress | None = None, **where: Unpack[CallOptions]
    ) -> AsyncTransferJob[TransferReport]:
        """Starts `AsyncSession.resume`."""

        async def call(told: OnProgress) -> TransferReport:
            return await self._resume(job_id, on_progress=told, **where)

        return self._added(AsyncTransferJob("resume", call, self._resumes(dict(where)), self._discard, on_progress))

    def begin(
        self,
        method: Callable[..., Awaitable[R]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        resumable: bool = True,
    ) -> AsyncTransferJob[R]:
        """Starts a method of the session, or of its storage manager.

        Raises:
            SessionClosedError: the session was closed.
            RuntimeError: no event loop runs.
            TypeError: the method has no such parameters.
        """
        of_storage = method.__qualname__.startswith(f"{AsyncStorageManager.__name__}.")
        self_of = self._storage if of_storage else self._calls
        bound = inspect.signature(method).bind(self_of, *args, **kwargs)
        values = dict(bound.arguments)
        rest = {name: values.pop(name) for name in ("where", "options") if isinstance(values.get(name), dict)}
        given = {name: value for each in rest.values() for name, value in each.items()}
        values |= given
        values.pop("self")
        on_progress = values.pop("on_progress", None)
        pairs = CollectedPairs(values.pop("pairs")) if "pairs" in values else None
        running = {name: values[name] for name in _CALL_OPTIONS if name in values}

        async def call(told: OnProgress) -> R:
            more = {} if pairs is None else {"pairs": pairs}
            if values.get("dry_run"):
                return await method(self_of, **values)
            return await method(self_of, **values, **more, on_progress=told)

        resume = self._resumes(running) if resumable else None
        job = self._added(AsyncTransferJob(method.__name__, call, resume, self._discard, on_progress))
        if pairs is not None:
            job.add_done_callback(lambda _: pairs.close())
        return job

    def _resumes(self, running: dict[str, Any]) -> Callable[[str, OnProgress], Awaitable[Any]]:
        """Returns what resumes a job with these options of the call."""

        async def resume(job_id: str, told: OnProgress) -> TransferReport:
            return await self._resume(job_id, on_progress=told, **running)

        return resume

    def _added(self, job: AsyncTransferJob[R]) -> AsyncTransferJob[R]:
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job

    async def aclose(self) -> None:
        """Cancels the jobs that have not ended, and waits for them."""
        for job in [job for job in self._jobs if job.belongs_to(asyncio.get_running_loop())]:
            await job.close()
