"""A number of places that tasks wait for."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Gate"]


class Gate:
    """Lets a number of tasks in at a time. The others wait and are served in order.

    Attributes:
        capacity: how many tasks may be inside.
        inside: how many tasks are inside.
        waiters: of the tasks that wait, in order.
    """

    def __init__(self) -> None:
        self.capacity = 0
        self.inside = 0
        self.waiters: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> bool:
        """Whether a task waits."""
        return bool(self.waiters)

    def try_enter(self) -> bool:
        """Takes a place if there is a free one, and returns whether it did."""
        free = self.inside < self.capacity and not self.waiters
        self.inside += free
        return free

    async def enter(self) -> None:
        """Waits for a place and takes it."""
        if self.inside < self.capacity and not self.waiters:
            self.inside += 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Gives a place back."""
        self.inside -= 1
        if self.waiters:
            self.admit()

    def admit(self) -> None:
        """Lets waiters in while places are free."""
        while self.waiters and self.inside < self.capacity:
            waiter = self.waiters.popleft()
            if not waiter.done():
                self.inside += 1
                waiter.set_result(None)
