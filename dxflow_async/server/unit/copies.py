"""The copies that a unit makes at the moment, and those that it made last.

A client whose answer was lost repeats its request. It then joins the copy, or gets the result if the destination still
is what that copy stored, and the source is unchanged. Nothing is copied twice.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from functools import partial

from dxflow_async.exceptions import NotFoundError
from dxflow_async.server.unit.copying import copy
from dxflow_async.server.unit.slow_answers import RunningWork
from dxflow_async.server.unit.unit import Unit
from dxflow_async.server.unit.volume import Found

__all__ = ["Copies"]

_REMEMBERED = 10_000


class Copies:
    """The copies of one unit."""

    def __init__(self) -> None:
        self._running = RunningWork()
        # The version that each copy stored, by source, destination and the source's version.
        self._made: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    def copy(
        self, unit: Unit, path: str, destination: str, etag: str | None, *, new: bool = False
    ) -> asyncio.Future[Found]:
        """Starts or joins a copy; the arguments are those of `copying.copy`."""
        key = path, destination, etag, new
        return self._running.join(key, lambda: self._copy(unit, path, destination, etag, new=new))

    async def aclose(self) -> None:
        """Waits for the copies that run."""
        await self._running.aclose()

    async def _copy(self, unit: Unit, path: str, destination: str, etag: str | None, *, new: bool) -> Found:
        run = partial(copy, unit.workspace, path, destination, etag, new=new)
        if etag is None:
            return await unit.run_long(run)
        key = path, destination, etag
        made = self._made.get(key)
        if made is not None and (found := await self._look(unit, destination)) is not None and found.etag == made:
            source = await self._look(unit, path)
            if source is not None and source.etag == etag:
                return found
        found = await unit.run_long(run)
        if found.etag is not None:
            self._made.pop(key, None)
            self._made[key] = found.etag
            if len(self._made) > _REMEMBERED:
                self._made.popitem(last=False)
        return found

    async def _look(self, unit: Unit, path: str) -> Found | None:
        try:
            return await unit.run(unit.volume.stat, path)
        except (NotFoundError, OSError):
            return None
