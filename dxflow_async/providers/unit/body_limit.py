"""The largest request body that reaches a unit, as it is learned from refusals.

A proxy in front of a unit may limit request bodies (nginx: 1 MiB by default, Cloudflare: 100 MB). It answers 413 or
closes the connection. A server may also store only the first bytes of each body, which tus allows. Bodies become
smaller then, for all later requests to that unit. A file is sent in several requests, whose bytes are in memory
meanwhile.

Source: https://nginx.org/en/docs/http/ngx_http_core_module.html#client_max_body_size
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from dxflow_async.exceptions import StorageError
from dxflow_async.providers.contract import Body, Buffer

__all__ = ["MIN_BODY_SIZE", "BodyLimit", "Pieces", "is_proxy_limit"]

MIN_BODY_SIZE = 64 << 10
"""Bodies of this many bytes are not divided further."""

_MAX_PIECE = 4 << 20
"""The most bytes of one request, once a body is sent in several; they are in memory."""

_MAX_BREAKS = 2
"""Connections in a row that break during one body before it is taken for too large."""

_MAX_NAMES = 1000


class BodyLimit:
    """The largest body that a unit is known to accept; one for all requests of a provider.

    Attributes:
        size: in bytes; None while no body was refused.
        whole: whether the request that creates an upload may hold a whole file.
        proven: whether some body arrived.

    Args:
        on_lower: called when the limit became known, or smaller.
    """

    def __init__(self, on_lower: Callable[[], None] = lambda: None) -> None:
        self._on_lower = on_lower
        self.size: int | None = None
        self.whole = True
        self.proven = False
        self._breaks: dict[str, int] = {}

    def allows(self, size: int) -> bool:
        """Returns whether a body of that many bytes may be sent in one request."""
        return self.size is None or size <= self.size

    @property
    def piece_size(self) -> int:
        """The size in bytes of each request's body where a file needs several."""
        return _MAX_PIECE if self.size is None else min(self.size, _MAX_PIECE)

    def refused(self, size: int) -> bool:
        """Notes that a body was refused for its size; returns whether a smaller one can be tried."""
        if size <= MIN_BODY_SIZE:
            return False
        # A power of two: the limits of proxies are multiples of one, and 1 MiB + 1 should become 1 MiB.
        self._lower(1 << ((size - 1).bit_length() - 1))
        return True

    def stored_in_part(self, stored: int) -> None:
        """Notes that the server stored only the first bytes of a body."""
        self.whole = False
        self._lower(stored)

    def broken(self, name: str, size: int) -> bool:
        """Notes that the connection broke during a body; returns whether smaller bodies follow.

        Args:
            name: of the body; it breaks for its size only if it breaks again.
            size: in bytes.
        """
        count = self._breaks.pop(name, 0) + 1
        if count >= _MAX_BREAKS:
            return self.refused(size)
        self._breaks[name] = count
        if len(self._breaks) > _MAX_NAMES:
            del self._breaks[next(iter(self._breaks))]
        return False

    def passed(self, name: str) -> None:
        """Notes that a body arrived."""
        self.proven = True
        if self._breaks:
            self._breaks.pop(name, None)

    def _lower(self, size: int) -> None:
        size = max(size, MIN_BODY_SIZE)
        if self.size is None or size < self.size:
            self.size = size
            self._on_lower()


def is_proxy_limit(error: StorageError) -> bool:
    """Returns whether an error is the refusal of a body's size by something in front of the unit.

    A unit of this library sends a code with each refusal.
    """
    return error.status == 413 and error.code is None


class Pieces:
    """Takes the bytes of a body in pieces; a piece that did not arrive is given back.

    Args:
        body: read once.
    """

    def __init__(self, body: Body) -> None:
        self._chunks: AsyncIterator[Buffer] = aiter(body)
        self._ready: list[memoryview] = []

    async def take(self, size: int) -> list[memoryview]:
        """Returns the next `size` bytes."""
        taken: list[memoryview] = []
        while size:
            view = self._ready.pop(0) if self._ready else memoryview(await anext(self._chunks))
            if len(view) > size:
                self._ready.insert(0, view[size:])
                view = view[:size]
            taken.append(view)
            size -= len(view)
        return taken

    def give_back(self, piece: list[memoryview], kept: int) -> None:
        """Takes back a piece, without its first `kept` bytes; `take` returns these bytes next."""
        left = []
        for view in piece:
            left.append(view[kept:])
            kept = max(0, kept - len(view))
        self._ready = [view for view in left if len(view)] + self._ready

    async def finish(self) -> None:
        """Reads the end of the body, where it verifies itself."""
        async for _ in self._chunks:
            pass
