"""Memory for chunks that are read one after the other.

The system zeroes each page that it gives to a process, so fresh memory for each chunk costs more than to receive it.
"""

from __future__ import annotations

__all__ = ["ReusedMemory"]

_SMALLEST = 128 << 10
"""Smaller blocks are reused by malloc."""

_MOST_BYTES, _MOST_BLOCKS = 64 << 20, 32
"""How much is kept."""


class ReusedMemory:
    """Gives memory, and gives it again once nothing refers to it.

    It keeps blocks while some chunk is read, which is the block of the `with` statement, and none after the last of
    them. It is used in one thread; what it gives may be used, and dropped, in any.

    Example:
        >>> memory = ReusedMemory()
        >>> with memory:
        ...     len(memory.take(1 << 20))
        1048576
    """

    def __init__(self) -> None:
        self._blocks: list[bytearray] = []
        self._reading = 0

    def __enter__(self) -> None:
        self._reading += 1

    def __exit__(self, *_: object) -> None:
        self._reading -= 1
        if not self._reading:
            self._blocks.clear()

    def take(self, size: int) -> bytearray | memoryview:
        """Returns memory for so many bytes. What it holds is not defined."""
        if size < _SMALLEST:
            return bytearray(size)
        for block in self._blocks:
            if size <= len(block) <= 2 * size and _is_free(block):
                return memoryview(block)[:size]
        if not self._has_room(size):
            self._blocks = [block for block in self._blocks if not _is_free(block)]
        block = bytearray(size + 1)
        block.pop()  # its place is what `_is_free` uses
        if self._has_room(size):
            self._blocks.append(block)
        return memoryview(block)

    def _has_room(self, size: int) -> bool:
        return len(self._blocks) < _MOST_BLOCKS and sum(map(len, self._blocks)) + size <= _MOST_BYTES


def _is_free(block: bytearray) -> bool:
    """Returns whether no view of a block is left: Python refuses to resize one that has views."""
    try:
        block.append(0)
    except BufferError:
        return False
    block.pop()
    return True
