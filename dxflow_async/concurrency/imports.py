"""Imports in worker threads, which a fork waits for.

Python keeps a lock for each module that is being imported. A child that is forked meanwhile inherits the lock without
the thread that would release it, and waits for ever when it imports that module itself. So a fork waits until no
worker thread of ours imports anything.

Source: https://docs.python.org/3/library/os.html#os.register_at_fork
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["importing"]

P = ParamSpec("P")
T = TypeVar("T")

_PATIENCE = 10.0
"""The most seconds that a fork waits: an import may wait for the very thread that forks."""


class _Imports:
    """The threads that import."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.threads: set[int] = set()

    def wait_and_hold(self) -> None:
        """Waits until no other thread imports; none begins until `go_on`."""
        self.changed.acquire()
        own = {threading.get_ident()}
        self.changed.wait_for(lambda: self.threads <= own, _PATIENCE)

    def go_on(self) -> None:
        self.changed.release()

    def forget(self) -> None:
        self.__init__()  # type: ignore[misc]  # the other threads are the parent's


_imports = _Imports()


def importing(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls a function that imports modules, in a worker thread. A fork waits until it has returned."""
    ident = threading.get_ident()
    with _imports.changed:
        inner = ident in _imports.threads
        _imports.threads.add(ident)
    try:
        return function(*args, **kwargs)
    finally:
        if not inner:
            with _imports.changed:
                _imports.threads.discard(ident)
                _imports.changed.notify_all()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_imports.wait_and_hold, after_in_parent=_imports.go_on, after_in_child=_imports.forget)
