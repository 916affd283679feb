"""A pool of threads that loses shards: their work is done, or not begun, and their receipts never arrive."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from dxflow_async.transfer.executor.shard import Shard

__all__ = ["LosingExecutor"]


class LosingExecutor(ThreadPoolExecutor):
    """Runs shards in threads of this process.

    Args:
        workers: how many threads.
        loses: says whether the receipt of a shard is lost.
        before: shards are lost before they begin.
        closes_after: takes no more shards after so many.

    Attributes:
        shards: the shards that were submitted.
        lost: how many were lost.
    """

    def __init__(
        self,
        workers: int = 2,
        loses: Callable[[Shard], bool] = lambda _: False,
        *,
        before: bool = False,
        closes_after: int = 1 << 30,
    ) -> None:
        super().__init__(workers)
        self._loses = loses
        self._before = before
        self._closes_after = closes_after
        self.shards: list[Shard] = []
        self.lost = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if len(self.shards) >= self._closes_after:
            raise RuntimeError("closed")
        shard: Shard = args[1].opened()
        self.shards.append(shard)
        return super().submit(self._run, fn, shard, args)

    def _run(self, fn: Callable[..., Any], shard: Shard, args: Any) -> Any:
        loses = self._loses(shard)
        if not (loses and self._before):
            receipt = fn(*args)
            if not loses:
                return receipt
        self.lost += 1
        raise MemoryError("the worker is out of memory")
