"""The minimum speed: a peer that keeps moving a byte now and then counts as stalled.

The stall timeout alone ends no request to a peer that sends or takes one byte a second. So each request has a window
that is as long as the stall timeout. If fewer than `min_speed` bytes a second moved in it, the request fails. Only
time in which the peer could move bytes counts: not the time in which the reader of a body, its source or a bandwidth
limit makes the peer wait, nor the time that a server takes before it begins to answer.

White space in a body of unknown length is a server's sign that it still works, as S3 sends it while it completes an
upload or copies an object; so is an interim answer (1xx). They keep a request alive for
`MAX_KEEP_ALIVES` stall timeouts at most.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
"""

from __future__ import annotations

import socket
import sys
from time import monotonic
from typing import Any

from dxflow_async.net.errors import TooSlowError
from dxflow_async.net.request import Timeouts
from dxflow_async.streams import Buffer

__all__ = ["CHECKS", "MAX_KEEP_ALIVES", "Pace", "bytes_in_flight", "is_keep_alive"]

CHECKS = 4
"""How often a connection is looked at in a stall timeout. When bytes in the system's buffer moved shows only then."""

MAX_KEEP_ALIVES = 1440
"""Stall timeouts for which white space keeps a request alive: a day, by the default of 60 s."""


class Pace:
    """Measures how fast the peer of one connection moves bytes.

    Args:
        timeouts: the stall timeout and the minimum speed.

    Attributes:
        since: when the current window began, by the monotonic clock. Move it forward by time that must not count.
    """

    __slots__ = ("_alive_until", "_moved", "_stall", "min_speed", "since")

    def __init__(self, timeouts: Timeouts) -> None:
        self.min_speed = timeouts.min_speed
        self._stall = timeouts.stall
        self._moved = 0
        self.since = 0.0
        self._alive_until = 0.0

    def begin(self, now: float, moved: int) -> None:
        """Begins the first window of a request; the arguments are those of `restart`."""
        self.since, self._moved = now, moved
        self._alive_until = now + MAX_KEEP_ALIVES * self._stall

    def restart(self, now: float, moved: int) -> None:
        """Begins a new window.

        Args:
            now: by the monotonic clock.
            moved: bytes that have moved so far.
        """
        self.since, self._moved = now, moved

    def keep_alive(self, moved: int) -> None:
        """Notes white space or an interim answer: the server still works."""
        now = monotonic()
        if now < self._alive_until:
            self.since, self._moved = now, moved

    def next_check(self, idle: float) -> float:
        """Returns the seconds until the next check, after bytes moved `idle` seconds ago."""
        return min(self._stall - idle, self._stall / CHECKS)

    def check(self, now: float, moved: int) -> TooSlowError | None:
        """Returns the error if the window has passed and too few bytes moved in it; else begins the next one in time.

        Args:
            now: by the monotonic clock.
            moved: bytes that have moved so far.
        """
        elapsed = now - self.since
        if elapsed < self._stall or not self.min_speed:
            return None
        size = moved - self._moved
        if size < self.min_speed * elapsed:
            return TooSlowError(
                f"only {max(size, 0)} bytes moved in {elapsed:.3g} s, which is less than min_speed "
                f"({self.min_speed:g} bytes a second)"
            )
        self.restart(now, moved)
        return None


def is_keep_alive(data: Buffer) -> bool:
    """Returns whether a piece of a body of unknown length is white space that shows that the server still works."""
    return len(data) < _KEEP_ALIVE_SIZE and bytes(data).isspace()


def bytes_in_flight(connected: socket.socket | Any | None) -> int:
    """Returns how many bytes the system holds that the peer's system has not confirmed yet; 0 if it cannot tell.

    Sources: https://man7.org/linux/man-pages/man7/tcp.7.html (SIOCOUTQ), the header `sys/socket.h` of macOS (SO_NWRITE)
    """
    if connected is None:
        return 0
    try:
        if sys.platform == "darwin":
            return int(connected.getsockopt(socket.SOL_SOCKET, _SO_NWRITE))
        if sys.platform == "linux":
            from fcntl import ioctl
            from termios import TIOCOUTQ

            return int.from_bytes(ioctl(connected.fileno(), TIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError):
        pass  # it was closed meanwhile
    return 0


_KEEP_ALIVE_SIZE = 64
"""Bytes below which white space is a sign of life, and not content."""

_SO_NWRITE = 0x1024
