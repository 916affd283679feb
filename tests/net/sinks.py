"""Where tests write a body to in worker threads."""

from __future__ import annotations

import threading

from dxflow_async.concurrency.threads import Threads
from dxflow_async.net import Client
from tests.net.exchanges import MiB

__all__ = ["Sink", "stream"]


class Sink:
    """Takes a body, and notes which threads write it."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.data = bytearray()
        self.threads: set[str] = set()
        self.began = threading.Event()
        self._fail_at = fail_at

    def write(self, data: memoryview) -> None:
        """Takes the next bytes."""
        self.threads.add(threading.current_thread().name)
        if self._fail_at is not None and len(self.data) >= self._fail_at:
            raise OSError("the disk is full")
        self.data += data
        self.began.set()


async def stream(client: Client, threads: Threads, url: str, sink: Sink, size: int = MiB) -> None:
    """Streams a body to its end, through a buffer of so many bytes."""
    response = await client.send("GET", f"{url}/x", {"host": "h"})
    buffer = memoryview(bytearray(size))
    before = 0
    try:
        while moved := await response.stream_to(buffer, sink.write, threads.run):
            before += moved
            assert before == len(sink.data)
    finally:
        response.close()
