"""The iterators that blocking calls return."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Self, TypeVar

__all__ = ["ItemStream"]

T_co = TypeVar("T_co", covariant=True)


class ItemStream(Iterator[T_co]):
    """Yields the items of a call, such as the chunks of an object; the blocking twin of `AsyncItemStream`.

    A stream that is not read to its end holds a connection until it is closed: with `close`, at the end of `with`, or
    when it is garbage collected.

    Args:
        items: the generator that yields the items.

    Example:
        >>> def first_chunk(storage: "StorageManager") -> bytes:
        ...     with storage.read("/bucket/object") as chunks:
        ...         return next(chunks, b"")
    """

    def __init__(self, items: Generator[T_co, None, None]) -> None:
        self._items = items

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T_co:
        return next(self._items)

    def close(self) -> None:
        """Ends the stream, and gives its connection back. A second call does nothing."""
        self._items.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
