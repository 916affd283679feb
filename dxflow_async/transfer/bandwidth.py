"""A limit on bytes per second."""

from __future__ import annotations

import asyncio
from time import monotonic

__all__ = ["Bandwidth"]


class Bandwidth:
    """A limit on bytes per second.

    Args:
        rate: bytes per second.
        burst: after a pause, as many seconds' worth may pass at once.
    """

    def __init__(self, rate: int, burst: float = 0.25) -> None:
        self._rate = rate
        self._burst = burst
        self._free_at = 0.0

    def change(self, rate: int) -> None:
        """Changes the limit."""
        self._rate = rate

    async def take(self, size: int) -> None:
        """Waits until `size` bytes may pass."""
        now = monotonic()
        self._free_at = max(self._free_at, now - self._burst) + size / self._rate
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)
