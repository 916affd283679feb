"""Batches of pairs and bytes that the calling thread hands to the event loop."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO

__all__ = ["BATCH_BYTES", "buffers", "groups"]

BATCH_BYTES = 1 << 20
"""The size of a batch of bytes."""

_BATCH_SECONDS = 0.05
_BATCH_PAIRS = 256


def groups(pairs: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Yields the pairs in batches of 256."""
    remaining = iter(pairs)
    while group := list(itertools.islice(remaining, _BATCH_PAIRS)):
        yield group


def buffers(data: bytes | BinaryIO | Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yields the data in batches of about one mebibyte, or after 50 ms what has arrived by then.

    Raises:
        TypeError: the data is not bytes.
    """
    group: list[bytes] = []
    size, deadline = 0, time.monotonic() + _BATCH_SECONDS
    for chunk in _chunks(data):
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise TypeError(f"write takes bytes, not {type(chunk).__name__}: encode text, open files in binary mode")
        group.append(bytes(chunk))
        size += len(chunk)
        if size >= BATCH_BYTES or time.monotonic() >= deadline:
            yield group
            group, size, deadline = [], 0, time.monotonic() + _BATCH_SECONDS
    if group:
        yield group


def _chunks(data: bytes | BinaryIO | Iterable[bytes]) -> Iterable[bytes]:
    if isinstance(data, bytes | bytearray | memoryview):
        view = memoryview(data).cast("B")
        return (bytes(view[start : start + BATCH_BYTES]) for start in range(0, len(view), BATCH_BYTES))
    if hasattr(data, "read"):
        return iter(functools.partial(data.read, BATCH_BYTES), b"")
    return data
