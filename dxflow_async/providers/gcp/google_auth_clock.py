"""Gives google-auth another time than this machine's, in the thread that signs in.

google-auth reads the time in one function, and no argument changes it: signed requests and assertions of a machine with
a wrong clock are refused. The function is replaced only when a token server's `Date` has shown that the clock is wrong,
and other threads still get this machine's time from it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

__all__ = ["shifted_by"]

_local = threading.local()
_replacing = threading.Lock()


@contextmanager
def shifted_by(seconds: float) -> Iterator[None]:
    """Adds seconds to the time that google-auth reads in this thread."""
    if not seconds:
        yield
        return
    _replace()
    _local.seconds = seconds
    try:
        yield
    finally:
        _local.seconds = 0.0


def _replace() -> None:
    from google.auth import _helpers

    with _replacing:
        utcnow = _helpers.utcnow
        if getattr(utcnow, "shifted", False):
            return

        def shifted() -> datetime:
            now: datetime = utcnow()  # type: ignore[no-untyped-call]
            return now + timedelta(seconds=getattr(_local, "seconds", 0.0))

        shifted.shifted = True  # type: ignore[attr-defined]
        _helpers.utcnow = shifted
