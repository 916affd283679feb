"""A thread pool that also works while the interpreter ends."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

__all__ = ["ExitSafeExecutor"]

P = ParamSpec("P")
T = TypeVar("T")


class ExitSafeExecutor(ThreadPoolExecutor):
    """Runs a function in the caller's thread where no thread can be started for it.

    An ending interpreter refuses new work to every thread pool, but a session that is closed then still has work: it
    signs out and closes its databases.
    """

    _ended = False

    def shutdown(self, *args: Any, **kwargs: Any) -> None:
        self._ended = True
        super().shutdown(*args, **kwargs)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        try:
            return super().submit(function, *args, **kwargs)
        except RuntimeError:
            if self._ended:
                raise
            future: Future[T] = Future()
            try:
                future.set_result(function(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - handed to the waiting thread
                future.set_exception(error)
            return future
