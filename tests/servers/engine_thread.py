"""Serves an engine on a thread of its own, as one on another machine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.engine import EngineServer
from tests.servers.engine_switches import Switches

__all__ = ["engine_on_a_thread"]


@contextmanager
def engine_on_a_thread(root: Path, switches: Switches | None = None) -> Iterator[EngineServer]:
    """Serves an engine while in it.

    Args:
        root: the volume.
        switches: how it behaves.
    """
    loop, started = asyncio.new_event_loop(), threading.Event()
    ending = asyncio.Event()
    made: list[EngineServer] = []

    async def serve() -> None:
        async with EngineServer(root, switches).serve() as server:
            made.append(server)
            started.set()
            await ending.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="engine")
    thread.start()
    try:
        assert started.wait(20)
        yield made[0]
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.close()
