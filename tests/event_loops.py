"""The event loops that tests run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import uvloop

__all__ = ["LOOPS", "LoopFactory"]

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


class DebugLoop(asyncio.SelectorEventLoop):
    """A loop that looks at what is done in it, whatever the runner of the tests says."""

    def set_debug(self, enabled: bool) -> None:
        super().set_debug(True)


LOOPS: dict[str, LoopFactory] = {
    "asyncio": asyncio.SelectorEventLoop,
    "debug": DebugLoop,
    "uvloop": uvloop.new_event_loop,
}
