"""Watches one exchange over aiohttp: aiohttp times out what it waits to read, and nothing else."""

from __future__ import annotations

import asyncio
from time import monotonic

from dxflow_async.net.aiohttp_lane.body import SentBody
from dxflow_async.net.aiohttp_lane.connector import Exchange
from dxflow_async.net.errors import NetError, StalledError
from dxflow_async.net.pace import CHECKS, Pace, bytes_in_flight
from dxflow_async.net.request import Throttle, Timeouts
from dxflow_async.streams import Body

__all__ = ["Watch"]


class Watch:
    """Notices a server that takes no more bytes of a large body, or that moves too few until its answer begins.

    Args:
        current: tells the connection, once there is one.
        timeouts: when a request fails because no bytes move, or too few.
    """

    def __init__(self, current: Exchange, timeouts: Timeouts) -> None:
        self._current = current
        self._stall_timeout = timeouts.stall
        self._pace = Pace(timeouts)
        self._body: SentBody | None = None
        self._sending = self._answering = False
        self._error: NetError | None = None
        self._confirmed = self._queued = 0
        self._waited = 0.0
        self._moved_at = monotonic()
        self._pace.begin(self._moved_at, 0)
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(timeouts.stall / CHECKS, self._check)

    def watch(self, body: Body, throttle: Throttle | None) -> SentBody:
        """Returns a large body as aiohttp takes it; until all of it is sent, its bytes are watched."""
        self._body, self._sending = SentBody(body, throttle, self._all_taken), True
        return self._body

    @property
    def refused(self) -> bool:
        """Whether the server answered before the system had taken all of the body."""
        return self._body is not None and not (self._body.complete and not self._unsent())

    @property
    def failure(self) -> BaseException | None:
        """Why the request failed, if the reason lies here."""
        if self._error is not None or self._body is None:
            return self._error
        return None if isinstance(self._body.error, asyncio.CancelledError) else self._body.error

    async def end(self) -> None:
        """Stops; returns once the body is not read any more."""
        self._timer.cancel()
        if self._body is not None and not self._body.complete:
            await self._body.settle()

    @property
    def sending(self) -> bool:
        """Whether bytes of a large body were under way when that was last looked at, so that nothing timed out."""
        return self._sending

    def _all_taken(self) -> None:
        """Begins to wait for the response, unless the system still has bytes of the body to send."""
        connection = self._current.connection
        assert connection is not None
        if not (self._unsent() or bytes_in_flight(connection.transport.get_extra_info("socket"))):
            self.await_answer()

    def await_answer(self) -> None:
        """From now on aiohttp waits for the response, and times that out."""
        self._sending = False
        connection = self._current.connection
        assert connection is not None
        connection.protocol.read_timeout = self._stall_timeout

    def _unsent(self) -> int:
        connection = self._current.connection
        if connection is None or not connection.open:
            return 0
        size: int = connection.transport.get_write_buffer_size()
        return size

    def _check(self) -> None:
        """Ends the connection if nothing moved since the timer was set, or too little; else sets the timer again."""
        connection, now = self._current.connection, monotonic()
        idle = 0.0
        if connection is not None and connection.open:
            queued = self._unsent() + bytes_in_flight(connection.transport.get_extra_info("socket"))
            received = connection.protocol.received
            if received:
                if not self._answering:
                    self._answering = True
                    self._pace.restart(connection.protocol.answered_at, 0)
                self._error = self._pace.check(now, received)
            elif self._sending:
                idle = self._idle(now, queued)
                if idle >= self._stall_timeout:
                    self._error = StalledError(f"no byte moved for {self._stall_timeout} s")
                elif not queued and self._body is not None and self._body.complete:
                    self.await_answer()
                    connection.protocol.start_timeout()
            if self._error is not None:
                connection.protocol.abort()
                return
        self._timer = self._loop.call_later(self._pace.next_check(idle), self._check)

    def _idle(self, now: float, queued: int) -> float:
        """Returns the seconds since bytes of the body moved; notices those that move too slowly."""
        body = self._body
        assert body is not None
        confirmed = body.taken - queued
        waiting = body.inside and not queued  # for us, not for the server
        if waiting or (confirmed > self._confirmed and (queued or self._queued)):
            self._moved_at = now
        self._confirmed, self._queued = confirmed, queued
        if waiting or not queued:
            self._pace.restart(now, confirmed)
        else:
            self._pace.since += body.waited - self._waited
            self._error = self._pace.check(now, confirmed)
        self._waited = body.waited
        return now - max(self._moved_at, body.moved_at)
