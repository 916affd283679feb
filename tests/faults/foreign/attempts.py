"""What an operation is that is tried while a service's answers are foreign, and the files it is about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from tests.faults.foreign.places import Files
from tests.faults.proxy import Dialect
from tests.sessions import MiB

if TYPE_CHECKING:
    from tests.faults.foreign.world import World

__all__ = ["LAST", "OLD", "SIZES", "SMALL", "Attempt", "Operation"]


def _bytes(seed: int, size: int) -> bytes:
    return Random(seed).randbytes(size)


SMALL: Files = {"a.bin": _bytes(1, 10_000), "b.bin": _bytes(2, 10_000), "c/d e.bin": _bytes(3, 3_000)}
OLD: Files = {"a.bin": _bytes(4, 10_000), "b.bin": SMALL["b.bin"], "extra.bin": _bytes(5, 10_000)}
"""What is at the destination before: another version of the same size, the same, and one that the source has not."""

LAST = 300_000
"""Bytes of a large file's last part."""

SIZES = {"AWS": 5 * MiB + LAST, "AZURE": 2 * MiB + LAST, "UNIT": 2 * MiB + LAST, "GCP": 8 * MiB + LAST}
"""Bytes of a file that is sent in parts of 1 MiB, or of the provider's smallest."""


class Attempt(ABC):
    """An operation that is prepared and not made yet."""

    @abstractmethod
    async def run(self) -> Any:
        """Makes the call."""

    @abstractmethod
    async def complaints(self, result: Any, error: BaseException | None) -> list[str]:
        """What is wrong after it returned `result`, or raised `error`."""


@dataclass(frozen=True, eq=False)
class Operation(ABC):
    """A call, or several.

    Attributes:
        name: what it is.
        large: whether a large file is moved, in parts.
        only: the services at which it says something else than others; none: all.
        verbs: the requests that it is there for; none: whatever it makes.
    """

    name: str
    large: bool = field(default=False, kw_only=True)
    only: tuple[Dialect, ...] = field(default=(), kw_only=True)
    verbs: tuple[str, ...] = field(default=(), kw_only=True)

    @abstractmethod
    async def prepare(self, world: World) -> Attempt:
        """Makes what it needs, in places of its own."""

    def contents(self, world: World) -> Files:
        """What is moved."""
        if not self.large:
            return SMALL
        return {"large.bin": world.large(SIZES[world.site.name])}
