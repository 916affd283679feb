"""The blocking twins of `dxflow_async.handles` and `dxflow_async.starting`."""

from __future__ import annotations

import builtins
import functools
import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, Unpack, overload

from dxflow_async.blocking.location_calls import LocationCalls
from dxflow_async.blocking.progress import contained, raising_callbacks
from dxflow_async.blocking.storage import StorageManager
from dxflow_async.blocking.transfers import TransferCalls
from dxflow_async.handles import AsyncTransferJob, JobState
from dxflow_async.models import Progress, SyncPlan, TransferReport
from dxflow_async.storage.resolver import Written
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.run_options import CallOptions
from dxflow_async.transfer.sync.rules import SyncOptions

if TYPE_CHECKING:
    from dxflow_async.session import AsyncSession

__all__ = ["Starter", "TransferJob"]

P = ParamSpec("P")
R = TypeVar("R")


class TransferJob(Generic[R]):
    """A bulk call that runs while the program goes on; the twin of `AsyncTransferJob`. `Session.start` makes it.

    Iterating over it yields its progress until it ends. Ctrl-C while a program waits for it does not cancel it; the
    session does when it closes.

    Example:
        >>> def main() -> None:
        ...     with Session() as session:
        ...         job = session.start.copy("results/", "aws:/bucket/results/")
        ...         for progress in job:
        ...             print(progress.phase, progress.fraction, progress.eta)
        ...         report = job.result()
    """

    def __init__(self, calls: TransferCalls, start: Callable[[], AsyncTransferJob[R]]) -> None:
        self._calls = calls
        self._portal = calls.portal
        self._twin = self._portal.call_soon(start)

    @property
    def operation(self) -> str:
        """The name of the call. Twin: `AsyncTransferJob.operation`."""
        return self._twin.operation

    @property
    def state(self) -> JobState:
        """What the job does. Twin: `AsyncTransferJob.state`."""
        return self._twin.state

    @property
    def progress(self) -> Progress | None:
        """The latest progress. Twin: `AsyncTransferJob.progress`."""
        return self._twin.progress

    @property
    def job_id(self) -> str | None:
        """The job that continues the call. Twin: `AsyncTransferJob.job_id`."""
        return self._twin.job_id

    def done(self) -> bool:
        """Returns whether the job has ended. Twin: `AsyncTransferJob.done`."""
        return self._twin.done()

    def result(self, timeout: float | None = None) -> R:
        """Waits for the job, and returns or raises its outcome.

        Args:
            timeout: the most seconds to wait; None: without limit.

        Raises:
            TimeoutError: the job has not ended by then. It goes on.
            concurrent.futures.CancelledError: the job was cancelled.
            TransferError: some item failed.
        """

        def wait() -> Any:
            outcome = self._portal.call(self._twin.outcome_within, timeout)
            if outcome.cancelled():
                raise _Cancelled
            return outcome.result()

        try:
            with raising_callbacks():
                return self._calls.report(wait)  # type: ignore[return-value]
        except _Cancelled:
            raise CancelledError from None

    def cancel(self) -> None:
        """Cancels the job, and waits until it has ended. Twin: `AsyncTransferJob.cancel`."""
        self._portal.call(self._settled, self._twin.cancel)

    def pause(self) -> None:
        """Stops the job, and waits until nothing moves any more. Twin: `AsyncTransferJob.pause`."""
        self._portal.call(self._settled, self._twin.pause)

    def resume(self) -> None:
        """Continues a paused job. Twin: `AsyncTransferJob.resume`."""
        self._portal.call_soon(self._twin.resume)

    def __iter__(self) -> Iterator[Progress]:
        return self._portal.iterate(self._twin.__aiter__, limit=1)

    def __repr__(self) -> str:
        return repr(self._twin).replace("AsyncTransferJob", type(self).__name__, 1)

    def _repr_html_(self) -> str:
        """Returns the job's state and progress as HTML, for notebooks."""
        return self._twin._repr_html_()

    async def _settled(self, begin: Callable[[], Any]) -> None:
        await begin()


class _Cancelled(Exception):  # noqa: N818 - it stands for CancelledError, which the portal takes for a closed session
    pass


class _Starts(Generic[P, R]):
    """A method of a starter: it has the parameters of a blocking call, and returns the handle of that call."""

    def __init__(self, call: Callable[Concatenate[Any, P], R]) -> None:
        self._call = call
        self.__doc__ = f"Starts `{call.__qualname__}`."

    @overload
    def __get__(self, starter: None, owner: type) -> _Starts[P, R]: ...
    @overload
    def __get__(self, starter: Starter, owner: type) -> Callable[P, TransferJob[R]]: ...
    def __get__(self, starter: Starter | None, owner: type) -> _Starts[P, R] | Callable[P, TransferJob[R]]:
        if starter is None:
            return self

        def start(*args: P.args, **kwargs: P.kwargs) -> TransferJob[R]:
            return starter.begin(self._call.__name__, *args, **kwargs)

        functools.update_wrapper(start, self._call)
        signature = inspect.signature(self._call)
        parameters = [*signature.parameters.values()][1:]
        start.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=parameters, return_annotation="TransferJob"
        )
        return start


class Starter:
    """Starts the bulk calls of a blocking session as handles; the twin of `AsyncStarter`.

    `pairs` are read whole before the job begins, in the calling thread.
    """

    def __init__(self, session: AsyncSession, calls: TransferCalls) -> None:
        self._session = session
        self._calls = calls

    copy = _Starts(LocationCalls.copy)
    move = _Starts(LocationCalls.move)
    delete = _Starts(LocationCalls.delete)
    upload = _Starts(StorageManager.upload)
    download = _Starts(StorageManager.download)
    upload_many = _Starts(StorageManager.upload_many)
    download_many = _Starts(StorageManager.download_many)

    @overload
    def sync(
        self, src: Written, dst: Written, *, dry_run: Literal[False] = False, **options: Unpack[SyncOptions]
    ) -> TransferJob[TransferReport]: ...
    @overload
    def sync(
        self, src: Written, dst: Written, *, dry_run: Literal[True], **options: Unpack[SyncOptions]
    ) -> TransferJob[SyncPlan]: ...
    def sync(
        self, src: Written, dst: Written, *, dry_run: bool = False, **options: Unpack[SyncOptions]
    ) -> TransferJob[Any]:
        """Starts a sync. Twin: `AsyncStarter.sync`."""
        return self.begin("sync", src, dst, dry_run=dry_run, **options)

    def resume(
        self, job_id: str, *, on_progress: OnProgress | None = None, **where: Unpack[CallOptions]
    ) -> TransferJob[TransferReport]:
        """Starts to resume a job of another call. Twin: `AsyncStarter.resume`."""
        return self.begin("resume", job_id, on_progress=on_progress, **where)

    def begin(self, name: str, /, *args: Any, **kwargs: Any) -> TransferJob[Any]:
        """Starts a call by its name."""
        if kwargs.get("on_progress") is not None:
            kwargs["on_progress"] = contained(kwargs["on_progress"])
        for option in ("pairs", "include", "exclude", "location"):
            if option in kwargs:
                kwargs[option] = _read(kwargs[option])
        first = (_read(args[0]),) if args else ()
        start = getattr(self._session.start, name)
        return TransferJob(self._calls, functools.partial(start, *first, *args[1:], **kwargs))


def _read(value: Any) -> Any:
    """Returns the elements of an iterable that is read in the calling thread; anything else as it is."""
    is_text = isinstance(value, str | bytes | os.PathLike)
    return builtins.list(value) if isinstance(value, Iterable) and not is_text else value
