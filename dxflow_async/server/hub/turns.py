"""Turns at work that takes a processor's time: a peer that asks for much of it waits, and others do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["QueueFullError", "Turns"]


class QueueFullError(Exception):
    """A peer has too many requests waiting."""


class Turns:
    """One request of a peer at a time, and few at once in all.

    Args:
        most_at_once: of all peers together.
        most_waiting: of one peer.
    """

    def __init__(self, most_at_once: int = 2, most_waiting: int = 256) -> None:
        self._at_once = asyncio.Semaphore(most_at_once)
        self._most_waiting = most_waiting
        # Only of peers that have a request here.
        self._peers: dict[str, tuple[asyncio.Lock, list[None]]] = {}

    @asynccontextmanager
    async def turn(self, peer: str) -> AsyncIterator[None]:
        """Waits for the peer's turn.

        Raises:
            QueueFullError: too many of its requests wait already.
        """
        lock, waiting = self._peers.setdefault(peer, (asyncio.Lock(), []))
        if len(waiting) >= self._most_waiting:
            raise QueueFullError
        waiting.append(None)
        try:
            async with lock, self._at_once:
                yield
        finally:
            waiting.pop()
            if not waiting:
                del self._peers[peer]
