"""The files, directories and connections that this process may open at a time.

The operating system gives each process a limit (`RLIMIT_NOFILE`, `ulimit -n`). A session counts what is left below it
when it begins, and shares that out: to the workers of its calls, to files that wait for the disk, and to connections.
Other libraries open files too, so the limit may be met all the same. Then whoever opens waits for a moment and tries
again, and what cannot wait fails with an error that is retried.

The soft limit is the user's: a library that raises it changes what every other part of the process, and each of its
children, may rely on. So a session leaves it alone, and only the command line raises it (`raise_limit`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from time import sleep
from typing import ParamSpec, TypeVar

from dxflow_async.exceptions import ConfigurationError

try:
    import resource
except ImportError:  # Windows: sockets are no descriptors there, and files are limited by memory
    resource = None  # type: ignore[assignment]

__all__ = [
    "ADVICE",
    "OUT_OF_DESCRIPTORS",
    "Descriptors",
    "is_out_of_descriptors",
    "patiently",
    "raise_limit",
    "wait_for_descriptors",
]

OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
"""The error codes of a process, and of a system, that has too many files open."""

ADVICE = "this process has too many files open; raise the limit, such as with `ulimit -n 1024`"

_UNLIMITED = 1 << 16
_RAISED = 4096
"""The command line needs no more; macOS refuses more than 10,240, and children may close each possible descriptor."""

_RESERVED = 12
"""For the journal, looking up hosts, certificates, modules, and listings that read ahead."""

_PER_WORKER = 4
"""A worker holds two connections at most, or one and a file, and opens a directory meanwhile."""

_WAITS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.2)
"""Seconds between attempts to open something."""

P = ParamSpec("P")
T = TypeVar("T")


_CAUSES = 20
"""How many causes of an error are looked at."""


@dataclass(frozen=True, slots=True)
class Descriptors:
    """The shares of the descriptors that are free.

    Attributes:
        workers: how many parts may move at a time, over all calls of a session.
        finishing: how many files may wait for the disk beside them.
        connections: how many connections may be open.
    """

    workers: int
    finishing: int
    connections: int

    @classmethod
    def free(cls) -> Descriptors:
        """Returns the shares of what is free now.

        Raises:
            ConfigurationError: fewer are free than one worker needs.
        """
        limit = _limit()
        left = limit - _count_open(limit) - _RESERVED
        if left < _PER_WORKER + 1:
            raise ConfigurationError(
                f"this process may open {limit} files, of which {max(left + _RESERVED, 0)} are left; a session needs "
                f"{_RESERVED + _PER_WORKER + 1}: raise the limit, such as with `ulimit -n 256`, or close files"
            )
        workers = max(1, left * 3 // 4 // _PER_WORKER)
        return cls(workers, max(1, (left - workers * _PER_WORKER) // 2), 2 * workers + 1)


def is_out_of_descriptors(error: BaseException | None) -> bool:
    """Returns whether an error, or one that caused it, is that too many files are open."""
    for _ in range(_CAUSES):  # an error may be its own cause
        if error is None:
            return False
        if isinstance(error, OSError) and error.errno in OUT_OF_DESCRIPTORS:
            return True
        error = error.__cause__
    return False


def patiently(opened: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Returns `opened(*args, **options)`; while too many files are open, it waits and tries again. Blocks.

    Raises:
        OSError: as `opened`; too many files were open for some seconds.
    """
    for wait in _WAITS:
        try:
            return opened(*args, **options)
        except OSError as error:
            if error.errno not in OUT_OF_DESCRIPTORS:
                raise
        sleep(wait)
    return opened(*args, **options)


def wait_for_descriptors(count: int) -> None:
    """Waits until so many descriptors are free, for code that takes a lack of them for another error. Blocks.

    Raises:
        OSError: too many files were open for some seconds.
    """
    patiently(_open_some, count)


def _open_some(count: int) -> None:
    opened: list[int] = []
    try:
        for _ in range(count):
            opened.append(os.open(os.devnull, os.O_RDONLY))  # noqa: PERF401 - what is open is closed after an error
    finally:
        for descriptor in opened:
            os.close(descriptor)


def raise_limit() -> None:
    """Raises the soft limit of this process towards the hard one, as far as it is of use."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _RAISED if hard == resource.RLIM_INFINITY else min(_RAISED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # the system has a lower limit of its own
            return


def _limit() -> int:
    if resource is None:
        return _UNLIMITED
    soft: int = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft


def _count_open(limit: int) -> int:
    """Returns how many descriptors below a limit are open. Where the system lists none, the lowest free one tells.

    Those above it were opened before the limit was lowered, and take nothing from it.
    """
    for listing in ("/proc/self/fd", "/dev/fd"):
        try:
            return sum(int(name) < limit for name in os.listdir(listing)) - 1  # one is that of the listing
        except OSError:
            continue
    try:
        lowest = os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return _limit()
    os.close(lowest)
    return lowest
