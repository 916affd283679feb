"""The response to an HTTP request, whichever lane it comes over."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache

from dxflow_async.streams import Buffer, Run, Write

__all__ = ["Headers", "Response", "header_name", "unknown_coding"]


class Headers(dict[str, str]):
    """A response's headers by lower-case name; the values of repeated headers are joined with commas.

    The repr shows the names only: a value may be a secret, such as a signed URL.
    """

    def __repr__(self) -> str:
        return f"<headers: {', '.join(self)}>"

    def add(self, name: bytes, value: bytes) -> None:
        """Adds a header as it arrived."""
        key, text = header_name(name), value.decode("utf-8", "replace")
        self[key] = f"{self[key]}, {text}" if key in self else text


@lru_cache(maxsize=256)
def header_name(name: bytes) -> str:
    """Returns a header's name in lower case. Servers send the same few names again and again."""
    return name.decode("latin-1").lower()


def unknown_coding(headers: Headers) -> str | None:
    """Returns the transfer coding of a body that cannot be decoded; None if there is none but `chunked`.

    No request asks for another one, so a body that has one is not the object's bytes.

    Source: https://www.rfc-editor.org/rfc/rfc9112#section-6.1
    """
    told = headers.get("transfer-encoding")
    if told is None or told == "chunked":
        return None
    codings = [each.strip().lower() for each in told.split(",")]
    return next((each for each in codings if each not in ("chunked", "identity", "")), None)


class Response(ABC):
    """The response to one request. Read its body to the end, or `close` it.

    Attributes:
        status: the HTTP status.
        headers: those of the head; trailers of a chunked body are dropped.
    """

    __slots__ = ("headers", "status")

    def __init__(self, status: int, headers: Headers) -> None:
        self.status = status
        self.headers = headers

    @abstractmethod
    async def read(self) -> Buffer:
        """Returns the next bytes of the body, as they arrived; empty at the end.

        Raises:
            ConnectionBrokenError: the body broke off.
            StalledError: no byte arrived for the stall timeout.
        """

    @abstractmethod
    async def readinto(self, buffer: memoryview) -> int:
        """Fills a buffer with the next bytes of the body and returns their number.

        Fewer bytes than fit mean that the body ended or broke off; 0 means that it ended.

        Args:
            buffer: is filled from its first byte on.

        Raises:
            ConnectionBrokenError, StalledError: as `read`, once no bytes are left that arrived before.
        """

    @abstractmethod
    async def stream_to(self, buffer: memoryview, write: Write, run: Run) -> int:
        """Moves the next bytes of the body to `write` and returns their number; 0 at the end.

        Args:
            buffer: scratch space that the bytes may pass through.
            write: takes the bytes; it blocks. What it raises comes through.
            run: executes it in a worker thread.

        Raises:
            ConnectionBrokenError, StalledError: as `read`, once no bytes are left that arrived before.
        """

    @abstractmethod
    def close(self) -> None:
        """Gives the connection back, or ends it if the body was not read to its end."""

    @abstractmethod
    def abort(self) -> None:
        """Ends the connection at once, for when it is not certain whose responses come over it."""
