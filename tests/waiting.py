"""Waits for what another task, thread or process does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool]) -> None:
    """Waits for that, for at most some minutes."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0.003)
    raise TimeoutError
