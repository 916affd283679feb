"""The standard streams: as a place, and where the process was started without them."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

__all__ = ["STREAM", "check_output", "give_up_output", "open_closed_streams"]

STREAM = "<standard stream>"
"""Stands for an argument `-`, which the parser of arguments would take for an option."""

_closed: set[int] = set()
"""The descriptors that were closed when the process was started."""


def open_closed_streams() -> None:
    """Opens the null device in the place of each closed descriptor among 0, 1 and 2.

    Otherwise the next files and sockets would get these numbers: what is printed would go into them, and uvloop ends
    the process when it closes one. Call it before an event loop is made.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            _closed.add(descriptor)
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
            if opened == descriptor:
                os.set_inheritable(opened, True)
            else:
                os.dup2(opened, descriptor)
                os.close(opened)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process


def check_output() -> None:
    """Refuses to write what somebody wants to keep into a standard output that was closed.

    Raises:
        OSError: the process was started without a standard output.
    """
    if 1 in _closed:
        raise OSError(errno.EBADF, "it is closed")


def give_up_output() -> None:
    """Sends further output nowhere. Otherwise the interpreter's own last flush would fail."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
